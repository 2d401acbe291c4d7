//! The state behind its lock, and the committer that makes it durable: a thread, a lock and a clock around the
//! [`Ledger`].
//!
//! If the store refuses a write, or a transaction or the committer panics, memory may differ from the disk. Then the
//! database stops for good ([`Stopped`]): it runs nothing more, lets nothing out, and the process has to end.
//!
//! A transaction runs on the caller's thread under the writer's lock. What it changed joins the ledger's queue, in
//! order, while the lock is still held; the committer's thread takes everything that has queued up
//! meanwhile, writes it with one fsync, and then lets all the waiting callers go. Reads wait in the
//! same way for the revision that they saw: nobody learns of a change that a crash could undo.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use longshore_base::{Clock, Ids, Seed};
use longshore_store::{Conflict, LimitExceeded, Revision, Store, StoreError};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use crate::board::{Board, Inbox};
use crate::domain::Domains;
use crate::hint::Hint;
use crate::ledger::{self, Group, Ledger, NotSubmitted, Progress, Reach, Sequence, Verdict, Wait};
use crate::load::LoadError;
use crate::state::State;
use crate::time::SteadyClock;
use crate::tx::{self, Tx, Work};

pub use crate::ledger::Stopped;

/// How long the committer waits before it asks a store again that gave no answer. It has waited for one before that.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Why a transaction was not run, or was undone. No record has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the database has stopped")]
    Stopped(#[from] Stopped),
    #[error("a transaction changes more than a commit takes")]
    TooLarge(#[from] LimitExceeded),
}

/// Draws seeds for commands. A program asks the operating system, a test counts.
pub trait SeedSource: Send + Sync {
    fn draw(&self) -> Seed;
}

/// The database: clone the `Arc` freely.
pub struct Db {
    state: RwLock<State>,
    books: Arc<Books>,
    clock: Arc<dyn Clock>,
    seeds: Arc<dyn SeedSource>,
    board: Board,
}

/// Whoever waits for the store.
type Waiter = oneshot::Sender<Result<(), Stopped>>;

/// The ledger and what tells of it, shared with the committer.
struct Books {
    ledger: Mutex<Ledger<Waiter>>,
    /// The committer waits here.
    work: Condvar,
    /// For readers, most of whom need not wait: one more than the sequence that is durable, and 0 after the end. Changes
    /// under the ledger's lock only.
    mark: AtomicU64,
    stopped: watch::Sender<Option<Stopped>>,
    /// Whether the ledger's queue has room, as of the last change of that.
    room: watch::Sender<bool>,
    /// Nobody has the database any more. Changes under the ledger's lock only.
    is_closed: AtomicBool,
    commits: OnceLock<CommitObserver>,
    /// Since when the store has had the group that it is writing.
    writing_since: Mutex<Option<Instant>>,
}

/// Called after each group is durable: its number of transactions, the last one's sequence, and how
/// long the store took.
type CommitObserver = Box<dyn Fn(u64, u64, Duration) + Send + Sync>;

impl Reach<Waiter> for &Books {
    fn reach<T>(&mut self, f: impl FnOnce(&mut Ledger<Waiter>) -> T) -> T {
        let mut ledger = self.ledger.lock();
        let done = f(&mut ledger);
        self.tell_room(&ledger);
        done
    }
}

impl Books {
    fn new(ledger: Ledger<Waiter>) -> Self {
        Self {
            mark: AtomicU64::new(ledger.progress().sequence + 1),
            ledger: Mutex::new(ledger),
            work: Condvar::new(),
            stopped: watch::Sender::new(None),
            room: watch::Sender::new(true),
            is_closed: AtomicBool::new(false),
            commits: OnceLock::new(),
            writing_since: Mutex::new(None),
        }
    }

    fn stop(&self, why: Stopped) {
        let released = {
            let mut ledger = self.ledger.lock();
            self.mark.store(0, Ordering::Release);
            let released = ledger.stop(why.clone());
            self.tell_room(&ledger);
            released
        };
        self.tell_stopped(why, released);
    }

    /// Lets in who waits for room, or nobody any more. Under the ledger's lock, so that the last word is the true one.
    fn tell_room(&self, ledger: &Ledger<Waiter>) {
        let room = ledger.has_room();
        if *self.room.borrow() != room {
            self.room.send_replace(room);
        }
    }

    /// Tells everybody; the first reason stays.
    fn tell_stopped(&self, why: Stopped, released: Vec<Waiter>) {
        self.stopped.send_if_modified(|at| {
            let is_first = at.is_none();
            if is_first {
                tracing::error!(why = &why as &dyn std::error::Error, "the database has stopped");
                *at = Some(why.clone());
            }
            is_first
        });
        for waiter in released {
            // Who does not wait any more need not know.
            let _ = waiter.send(Err(why.clone()));
        }
    }

    /// The next group to write; `None` when the database is gone and all is written.
    fn next_group(&self) -> Option<Group> {
        let mut ledger = self.ledger.lock();
        loop {
            if let Some(group) = ledger.next_group() {
                self.tell_room(&ledger);
                return Some(group);
            }
            if self.is_closed.load(Ordering::Relaxed) {
                return None;
            }
            self.work.wait(&mut ledger);
        }
    }

    /// Takes in the store's answer; `false`: it has to be asked again.
    fn settle(
        &self,
        group: &Group,
        outcomes: Result<Vec<Result<Revision, Conflict>>, StoreError>,
        took: Duration,
    ) -> Result<bool, Ended> {
        let verdict = {
            let mut ledger = self.ledger.lock();
            let verdict = ledger.committed(group, outcomes);
            if let Verdict::Durable { progress, .. } = &verdict {
                self.mark.store(progress.sequence + 1, Ordering::Release);
            } else if let Verdict::Stopped { .. } = &verdict {
                self.mark.store(0, Ordering::Release);
                self.tell_room(&ledger);
            }
            verdict
        };
        match verdict {
            Verdict::InDoubt => Ok(false),
            Verdict::Durable { progress: Progress { sequence, .. }, released } => {
                for waiter in released {
                    let _ = waiter.send(Ok(()));
                }
                if let Some(observe) = self.commits.get() {
                    observe(group.len() as u64, sequence, took);
                }
                Ok(true)
            }
            Verdict::Stopped { why, released } => {
                self.tell_stopped(why, released);
                Err(Ended)
            }
        }
    }
}

/// The database has stopped, which it has told.
struct Ended;

/// Stops the database when the committer's thread panics. Its other ends have given their reason, or the database is
/// gone.
struct Farewell(Arc<Books>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(Stopped::NoCommitter);
        }
    }
}

impl Db {
    /// Loads everything from the store and starts the committer. `domains` are all that the store may hold.
    ///
    /// Nobody else may have the store: the database leads from now on, without a fence.
    pub fn open(
        store: Arc<dyn Store>,
        domains: &Domains,
        clock: Arc<dyn Clock>,
        seeds: Arc<dyn SeedSource>,
    ) -> Result<Arc<Self>, LoadError> {
        let (mut state, revision) = State::load_at(&*store, domains, clock.now())?;
        let mut ledger = Ledger::new(&state, revision);
        // Nobody listens yet; an inbox begins with all hints.
        let time = ledger.lead(&mut state, None, clock.now());
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(clock, time));
        let books = Arc::new(Books::new(ledger));
        let farewell = Farewell(books.clone());
        std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || {
                let Farewell(books) = &farewell;
                write_groups(&*store, books)
            })
            .map_err(LoadError::Thread)?;
        Ok(Arc::new(Self { state: RwLock::new(state), books, clock, seeds, board: Board::default() }))
    }

    /// Reads, and waits until all that was seen is durable.
    pub async fn read<T>(&self, f: impl FnOnce(&State) -> T) -> Result<T, Stopped> {
        let (value, sequence) = {
            let state = self.state.read();
            (f(&state), state.sequence())
        };
        self.wait_durable(sequence).await?;
        Ok(value)
    }

    /// Chance for what is made of a state and changes nothing in it.
    pub fn draw_seed(&self) -> Seed {
        self.seeds.draw()
    }

    /// Reads without waiting. Only for what the caller has seen durable before, or does not let out.
    pub fn peek<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read())
    }

    /// Runs a transaction, and waits until it is durable. One that fails leaves no trace; its error
    /// too waits for the state that it saw.
    pub async fn write<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, Refused> {
        self.room().await?;
        let (result, sequence) = self.submit(f)?;
        self.wait_durable(sequence).await?;
        Ok(result)
    }

    /// Waits until the store has taken enough of what it was given that there may be more. Without any lock: the
    /// committer, readers and whoever cannot wait go on.
    pub async fn room(&self) -> Result<(), Stopped> {
        let mut room = self.books.room.subscribe();
        room.wait_for(|room| *room).await.expect("the sender lives as long as the database");
        self.goes_on()
    }

    /// Runs a transaction without waiting; what it gives must not leave the process before
    /// [`Db::wait_durable`] of the sequence.
    ///
    /// Who submits much waits for [`Db::room`] first, as [`Db::write`] does: the queue is in memory.
    ///
    /// A panic of `f` stops the database and goes on to the caller.
    pub fn submit<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(Result<T, E>, Sequence), Refused> {
        let (sequence, result) = tx::lent(f, |work| self.submit_work(work));
        let sequence = sequence?;
        Ok((result.expect("a transaction that was submitted was run"), sequence))
    }

    fn submit_work(&self, work: &mut Work<'_>) -> Result<Sequence, Refused> {
        let ids = Ids::new(self.seeds.draw());
        let mut state = self.state.write();
        // Under the lock: who reads it first need not get the lock first.
        let now = self.clock.now();
        let before = state.sequence();
        let run = catch_unwind(AssertUnwindSafe(|| {
            // Asks under the lock whether it may: whoever panicked has said so before it gave the lock up.
            ledger::submit_work(&mut state, &mut &*self.books, now, ids, work)
        }));
        let submitted = match run {
            Ok(submitted) => submitted,
            Err(panic) => {
                self.books.stop(Stopped::Panicked(text_of(&*panic).into()));
                drop(state);
                resume_unwind(panic)
            }
        };
        drop(state);
        let (hints, sequence) = submitted.map_err(|error| match error {
            NotSubmitted::Stopped(why) => Refused::Stopped(why),
            NotSubmitted::TooLarge(exceeded) => Refused::TooLarge(exceeded),
            NotSubmitted::Following => unreachable!("a database leads from the moment it is open"),
        })?;
        if sequence != before {
            self.books.work.notify_one();
        }
        if let Some(hints) = hints {
            self.board.post(&hints);
        }
        Ok(sequence)
    }

    /// Waits until everything up to `sequence` is on disk.
    pub async fn wait_durable(&self, sequence: Sequence) -> Result<(), Stopped> {
        if self.books.mark.load(Ordering::Acquire) > sequence {
            return Ok(());
        }
        let (waiter, told) = oneshot::channel();
        match self.books.ledger.lock().wait(sequence, waiter) {
            Wait::Durable(_) => return Ok(()),
            Wait::Stopped(why, _) => return Err(why),
            Wait::Kept => {}
        }
        told.await.expect("the ledger lives as long as the database, and gives back whoever waits")
    }

    /// Resolves when the database has stopped. The program should then end.
    pub async fn stopped(&self) -> Stopped {
        let mut stopped = self.books.stopped.subscribe();
        let why = stopped.wait_for(Option::is_some).await.expect("the sender lives as long as the database");
        why.clone().expect("it was waited for")
    }

    /// Why the database has stopped, if it has.
    pub fn goes_on(&self) -> Result<(), Stopped> {
        self.books.stopped.borrow().clone().map_or(Ok(()), Err)
    }

    /// How long the store has been writing at what it was given last; `None` while it has nothing to write.
    pub fn writing_for(&self) -> Option<Duration> {
        self.books.writing_since.lock().map(|since| since.elapsed())
    }

    /// The time of transactions, which never falls ([`crate::time`]).
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Hints of one type from now on, beginning with all of those that there may be.
    pub fn inbox<H: Hint>(&self) -> Inbox<H> {
        let state = self.state.read();
        // Under the lock: what is done after this look is posted after the inbox is there.
        self.board.inbox(state.all_hints().take())
    }

    /// Has `tell` called with the hints of one type, as soon as a transaction that gives some is over.
    pub fn on_hint<H: Hint>(&self, tell: impl Fn(&BTreeSet<H>) + Send + Sync + 'static) {
        self.board.listen(tell);
    }

    /// Has `observe` told of every group that became durable. Once per database.
    pub fn on_commit(&self, observe: impl Fn(u64, u64, Duration) + Send + Sync + 'static) {
        let _ = self.books.commits.set(Box::new(observe));
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // Under the ledger's lock, which the committer has until it waits.
        let _ledger = self.books.ledger.lock();
        self.books.is_closed.store(true, Ordering::Relaxed);
        self.books.work.notify_one();
    }
}

/// The committer: writes one group after the other, until the database stops or is gone.
fn write_groups(store: &dyn Store, books: &Books) {
    while let Some(group) = books.next_group() {
        let commits = group.commits();
        let began = Instant::now();
        *books.writing_since.lock() = Some(began);
        loop {
            let outcomes = store.commit(&commits);
            match books.settle(&group, outcomes, began.elapsed()) {
                Ok(true) => break,
                Ok(false) => std::thread::sleep(ASK_AGAIN_AFTER),
                Err(Ended) => {
                    *books.writing_since.lock() = None;
                    return;
                }
            }
        }
        *books.writing_since.lock() = None;
    }
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let own = panic.downcast_ref::<String>().map(String::as_str);
    own.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why")
}
