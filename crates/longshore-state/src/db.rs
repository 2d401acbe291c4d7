//! The state behind its lock, and the committer that makes it durable.
//!
//! If the store refuses a write, or a transaction or the committer panics, memory may differ from the disk. Then the
//! database stops for good ([`Stopped`]): it runs nothing more, lets nothing out, and the process has to end.
//!
//! A transaction runs on the caller's thread under the writer's lock. Its batch joins a queue, in
//! order, while the lock is still held; the committer's thread takes everything that has queued up
//! meanwhile, writes it with one fsync, and then lets all the waiting callers go. Reads wait in the
//! same way for the revision that they saw: nobody learns of a change that a crash could undo.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use longshore_base::{Clock, Ids, Seed};
use longshore_store::limits::op_bytes;
use longshore_store::{Commit, Conflict, LimitExceeded, Store, StoreError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::board::{Board, Inbox};
use crate::domain::Domains;
use crate::hint::Hint;
use crate::level;
use crate::load::LoadError;
use crate::state::State;
use crate::tx::{Batch, Tx};

/// How many transactions share one fsync at most. Beyond this the waiting of the first outweighs
/// what the last saves; measured on the embedded backend.
const GROUP_MAX: usize = 512;

/// A group holds at most this much, and one commit more: the store keeps it in memory until it is written.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Why the database does nothing any more: what memory holds can no longer be trusted to be what is on disk. The
/// process has to end and recover from there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stopped {
    #[error("the store refused a write")]
    Store(#[source] Arc<StoreError>),
    /// None of our commits has a condition that may fail, and a fence fails only when another server leads.
    #[error("the store did not apply a commit")]
    NotApplied(#[source] Conflict),
    /// A transaction was half done.
    #[error("a transaction panicked: {0}")]
    Panicked(Arc<str>),
    /// It panicked: it has no other reason to end before the database.
    #[error("the thread that writes to the store has ended")]
    NoCommitter,
}

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

/// A revision of the state in memory: counts the transactions that changed something.
type Sequence = u64;

/// The database: clone the `Arc` freely.
pub struct Db {
    state: RwLock<State>,
    queue: Mutex<Sender<(Sequence, Batch)>>,
    durable: Arc<Durable>,
    clock: Arc<dyn Clock>,
    seeds: Arc<dyn SeedSource>,
    board: Board,
    watched: Arc<Watched>,
}

/// How far the store is, or why it gets no further. The first reason stays.
struct Durable(watch::Sender<Result<Sequence, Stopped>>);

impl Durable {
    /// False if the database has stopped meanwhile.
    fn reached(&self, sequence: Sequence) -> bool {
        self.0.send_if_modified(|at| {
            let goes_on = at.is_ok();
            if goes_on {
                *at = Ok(sequence);
            }
            goes_on
        })
    }

    fn stop(&self, why: Stopped) {
        self.0.send_if_modified(|at| {
            let is_first = at.is_ok();
            if is_first {
                tracing::error!(why = &why as &dyn std::error::Error, "the database has stopped");
                *at = Err(why);
            }
            is_first
        });
    }

    fn goes_on(&self) -> Result<(), Stopped> {
        self.0.borrow().clone().map(|_| ())
    }
}

/// Stops the database when the committer's thread panics. Its other ends have given their reason, or the database is
/// gone.
struct Farewell(Arc<Durable>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(Stopped::NoCommitter);
        }
    }
}

/// Called after each group is durable: its number of transactions, the last one's sequence, and how
/// long the store took.
type CommitObserver = Box<dyn Fn(u64, u64, Duration) + Send + Sync>;

/// What is told of the committer's work.
#[derive(Default)]
struct Watched {
    commits: OnceLock<CommitObserver>,
    /// Since when the store has had the group that it is writing.
    writing_since: Mutex<Option<Instant>>,
}

impl Db {
    /// Loads everything from the store and starts the committer. `domains` are all that the store may hold.
    pub fn open(
        store: Arc<dyn Store>,
        domains: &Domains,
        clock: Arc<dyn Clock>,
        seeds: Arc<dyn SeedSource>,
    ) -> Result<Arc<Self>, LoadError> {
        let mut state = State::load(&*store, domains, clock.now())?;
        let (queue, batches) = channel();
        let durable = Arc::new(Durable(watch::Sender::new(Ok(state.sequence()))));
        let watched = Arc::new(Watched::default());
        let (observed, farewell) = (watched.clone(), Farewell(durable.clone()));
        std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || run_committer(&*store, &batches, &farewell.0, &observed))
            .map_err(LoadError::Thread)?;
        // Before anything else is written.
        if let Some(batch) = level::raise(&mut state, clock.now()) {
            queue.send((state.sequence(), batch)).expect("the committer has just begun to wait");
        }
        Ok(Arc::new(Self {
            state: RwLock::new(state),
            queue: Mutex::new(queue),
            durable,
            clock,
            seeds,
            board: Board::default(),
            watched,
        }))
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
        let (result, sequence) = self.submit(f)?;
        self.wait_durable(sequence).await?;
        Ok(result)
    }

    /// Runs a transaction without waiting; what it gives must not leave the process before
    /// [`Db::wait_durable`] of the sequence.
    ///
    /// A panic of `f` stops the database and goes on to the caller.
    pub fn submit<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(Result<T, E>, Sequence), Refused> {
        let now = self.clock.now();
        let ids = Ids::new(self.seeds.draw());
        let mut state = self.state.write();
        // Asked under the lock: whoever panicked has said so before it gave the lock up.
        self.durable.goes_on()?;
        let run = catch_unwind(AssertUnwindSafe(|| {
            let done = state.transact(now, ids, f)?;
            Ok(done.map(|(value, mut batch)| {
                let hints = std::mem::take(&mut batch.hints);
                if !batch.changes.is_empty() {
                    // A send fails only after the committer has stopped; `wait_durable` tells so.
                    let _ = self.queue.lock().send((state.sequence(), batch));
                }
                (value, hints)
            }))
        }));
        let done: Result<Result<_, E>, LimitExceeded> = match run {
            Ok(done) => done,
            Err(panic) => {
                self.durable.stop(Stopped::Panicked(text_of(&*panic).into()));
                drop(state);
                resume_unwind(panic)
            }
        };
        let sequence = state.sequence();
        drop(state);
        let result = done?.map(|(value, hints)| {
            self.board.post(&hints);
            value
        });
        Ok((result, sequence))
    }

    /// Waits until everything up to `sequence` is on disk.
    pub async fn wait_durable(&self, sequence: Sequence) -> Result<(), Stopped> {
        self.durable_when(|at| *at >= sequence).await
    }

    /// Resolves when the database has stopped. The program should then end.
    pub async fn stopped(&self) -> Stopped {
        match self.durable_when(|_| false).await {
            Err(stopped) => stopped,
            Ok(()) => unreachable!("no sequence is enough"),
        }
    }

    async fn durable_when(&self, is_enough: impl Fn(&Sequence) -> bool) -> Result<(), Stopped> {
        let mut durable = self.durable.0.subscribe();
        let reached = durable.wait_for(|at| at.as_ref().map_or(true, &is_enough)).await;
        reached.expect("the sender lives as long as the database").clone().map(|_| ())
    }

    /// Why the database has stopped, if it has.
    pub fn goes_on(&self) -> Result<(), Stopped> {
        self.durable.goes_on()
    }

    /// How long the store has been writing at what it was given last; `None` while it has nothing to write.
    pub fn writing_for(&self) -> Option<Duration> {
        self.watched.writing_since.lock().map(|since| since.elapsed())
    }

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
        let _ = self.watched.commits.set(Box::new(observe));
    }
}

fn run_committer(
    store: &dyn Store,
    batches: &Receiver<(Sequence, Batch)>,
    durable: &Durable,
    watched: &Watched,
) {
    // Ends when the database is dropped.
    while let Ok((mut last, first)) = batches.recv() {
        let mut group = vec![Commit::new(first.changes.ops())];
        let mut bytes = size(&group[0]);
        while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
            let Ok((sequence, batch)) = batches.try_recv() else { break };
            last = sequence;
            let commit = Commit::new(batch.changes.ops());
            bytes += size(&commit);
            group.push(commit);
        }
        let began = Instant::now();
        *watched.writing_since.lock() = Some(began);
        let written = commit(store, &group);
        *watched.writing_since.lock() = None;
        match written {
            Ok(()) => {
                if !durable.reached(last) {
                    return;
                }
                if let Some(observe) = watched.commits.get() {
                    observe(group.len() as u64, last, began.elapsed());
                }
            }
            Err(why) => return durable.stop(why),
        }
    }
}

/// Makes a whole group durable. The state in memory rests on every commit of it.
fn commit(store: &dyn Store, group: &[Commit]) -> Result<(), Stopped> {
    let outcomes = store.commit(group).map_err(|error| Stopped::Store(Arc::new(error)))?;
    assert_eq!(outcomes.len(), group.len(), "the store answers for each commit of a group");
    match outcomes.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(conflict) => Err(Stopped::NotApplied(conflict)),
    }
}

fn size(commit: &Commit) -> usize {
    commit.ops.iter().map(op_bytes).sum()
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let own = panic.downcast_ref::<String>().map(String::as_str);
    own.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why")
}
