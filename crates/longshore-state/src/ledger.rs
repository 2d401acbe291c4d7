//! The ledger: which transactions are to be written, in which order, how far the store is, and who waits for it.
//!
//! No I/O, no clock, no lock: [`crate::Db`] drives it around a thread and a lock, the simulation around its queue of
//! events. Both run transactions with [`submit`], write what [`Ledger::next_group`] gives, and tell the outcome to
//! [`Ledger::committed`].
//!
//! A ledger follows until it is told to lead. Who follows enters what another process wrote ([`Ledger::follow`]) and
//! submits nothing; who leads submits and writes, under the fence that it was given. What memory holds is ahead of the
//! store by what is queued; once the store says that another leads, that part is worth nothing, and the ledger stops.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use longshore_base::{Ids, Timestamp};
use longshore_store::{Commit, Conflict, FencingToken, LimitExceeded, Revision, StoreError, Update};

use crate::codec::CodecError;
use crate::hint::Hints;
use crate::level::{self, LevelTables};
use crate::records::Changes;
use crate::state::State;
use crate::time::SteadyTime;
use crate::tx::{Batch, Tx, Work, lent};

/// How many transactions share one write at most. Beyond this the waiting of the first outweighs
/// what the last saves; measured on the embedded backend.
pub const GROUP_MAX: usize = 512;

/// A group holds at most this much, and one commit more: the store keeps it in memory until it is written.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// From here on whoever may wait is to wait before it submits more ([`Ledger::has_room`]). A store that is slow or away
/// lets the queue grow; this is what one that gets well again writes within seconds (ha M9).
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// A place in the order of transactions: counts those of this process that changed something.
pub type Sequence = u64;

/// How far the store is: everything up to `sequence` is in it, by `revision`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub sequence: Sequence,
    pub revision: Revision,
}

/// Why nothing is written any more: what memory holds can no longer be trusted to be what the store holds. The
/// process has to end, or to begin anew from the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stopped {
    #[error("the store refused a write")]
    Store(#[source] Arc<StoreError>),
    #[error("another server leads: the store takes nothing any more under fencing token {0}")]
    Lost(FencingToken),
    /// None of our commits has a condition that may fail.
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
pub enum NotSubmitted {
    #[error("another server leads")]
    Following,
    #[error("nothing is written any more")]
    Stopped(#[source] Stopped),
    #[error("a transaction changes more than a commit takes")]
    TooLarge(#[source] LimitExceeded),
}

/// Why a follower cannot go on: it has to load the store again.
#[derive(Debug, thiserror::Error)]
pub enum Unfollowable {
    #[error("what another server wrote cannot be used")]
    Record(#[source] CodecError),
    /// Something is missing between the two, or came twice.
    #[error("revision {found} does not come after {known}")]
    OutOfOrder { known: Revision, found: Revision },
    #[error("this server leads, or has stopped")]
    NotFollowing,
}

/// See the module. `W` is whatever waits for the store.
#[derive(Debug)]
pub struct Ledger<W> {
    role: Role,
    /// The last transaction that was entered.
    entered: Sequence,
    /// Entered, and not given to the store.
    queue: VecDeque<Entry>,
    /// What the queue takes in the store.
    queued_bytes: usize,
    /// The last of those that the store has been given and has not answered for.
    writing: Option<Sequence>,
    durable: Progress,
    waiting: BTreeMap<Sequence, Vec<W>>,
}

#[derive(Debug)]
enum Role {
    Following,
    Leading { fence: Option<FencingToken> },
    Stopped(Stopped),
}

/// One transaction.
#[derive(Debug)]
struct Entry {
    sequence: Sequence,
    changes: Changes,
}

/// What the store is given at once: whole transactions, in order.
#[derive(Debug)]
pub struct Group {
    fence: Option<FencingToken>,
    entries: Vec<Entry>,
}

impl Group {
    /// As the store takes it. This is the long part of a write, and needs no lock.
    pub fn commits(&self) -> Vec<Commit> {
        let commit = |entry: &Entry| Commit { fence: self.fence, ..Commit::new(entry.changes.ops()) };
        self.entries.iter().map(commit).collect()
    }

    /// What each of its transactions changed.
    pub fn changes(&self) -> impl Iterator<Item = (Sequence, &Changes)> {
        self.entries.iter().map(|entry| (entry.sequence, &entry.changes))
    }

    /// How many transactions there are; never none.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What the store's answer means.
#[derive(Debug)]
pub enum Verdict<W> {
    /// The group is durable. These need wait no longer.
    Durable { progress: Progress, released: Vec<W> },
    /// Nobody knows. The same group has to be given to the store again, until it answers or another leads.
    InDoubt,
    /// Nothing is written any more. These have waited in vain: what they saw may be lost.
    Stopped { why: Stopped, released: Vec<W> },
}

/// What becomes of somebody who wants to wait.
#[derive(Debug)]
pub enum Wait<W> {
    /// There is nothing to wait for.
    Durable(W),
    /// It is kept, and given back by [`Ledger::committed`] or [`Ledger::stop`].
    Kept,
    Stopped(Stopped, W),
}

impl<W> Ledger<W> {
    /// The ledger of a state that was loaded as of `revision`. It follows.
    pub fn new(state: &State, revision: Revision) -> Self {
        Self {
            role: Role::Following,
            entered: state.sequence(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            writing: None,
            durable: Progress { sequence: state.sequence(), revision },
            waiting: BTreeMap::new(),
        }
    }

    pub fn progress(&self) -> Progress {
        self.durable
    }

    /// Enters what another process wrote.
    ///
    /// # Errors
    /// The state has to be dropped and loaded again. It may have a part of the update.
    pub fn follow(&mut self, state: &mut State, update: &Update) -> Result<Hints, Unfollowable> {
        let Role::Following = self.role else { return Err(Unfollowable::NotFollowing) };
        let known = self.durable.revision;
        if update.revision <= known {
            return Err(Unfollowable::OutOfOrder { known, found: update.revision });
        }
        let hints = state.follow(update).map_err(Unfollowable::Record)?;
        self.entered = state.sequence();
        self.durable = Progress { sequence: self.entered, revision: update.revision };
        Ok(hints)
    }

    /// From now on this process writes, and nobody else: `state` has all that there is. With a fence, the store takes
    /// nothing once another leads; without one, nobody else can have the store. Everybody has to look at everything
    /// then ([`State::all_hints`]). The first thing that is written says which program writes.
    ///
    /// `clock` is what the own clock shows. Gives the time by which it is to be read from now on: it does not begin
    /// before that of whoever led last.
    ///
    /// # Panics
    /// If it does not follow.
    pub fn lead(&mut self, state: &mut State, fence: Option<FencingToken>, clock: Timestamp) -> SteadyTime {
        assert!(matches!(self.role, Role::Following), "a ledger leads once, and not after its end");
        let moment = state.of::<LevelTables>().moment();
        let mut time = SteadyTime::new(clock, moment.map_or(clock, |moment| moment.at));
        let now = time.read(clock);
        state.lead(now);
        self.role = Role::Leading { fence };
        if let Some(batch) = level::raise(state, now) {
            self.enter(state.sequence(), batch.changes);
        }
        time
    }

    /// Whether a transaction may run now.
    pub fn admit(&self) -> Result<(), NotSubmitted> {
        match &self.role {
            Role::Following => Err(NotSubmitted::Following),
            Role::Leading { .. } => Ok(()),
            Role::Stopped(why) => Err(NotSubmitted::Stopped(why.clone())),
        }
    }

    /// Whether the queue is short enough for another transaction. It is not refused without that: who cannot wait, and
    /// who was let in together with others, makes it a little longer.
    pub fn has_room(&self) -> bool {
        self.queued_bytes < QUEUE_BYTES_MAX
    }

    /// Queues what a transaction changed, if that is anything.
    ///
    /// A stopped ledger forgets it: whoever ran the transaction finds out when he waits for it.
    fn enter(&mut self, sequence: Sequence, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        assert_eq!(sequence, self.entered + 1, "transactions are entered in the order in which they ran");
        self.entered = sequence;
        match self.role {
            Role::Leading { .. } => {
                self.queued_bytes += changes.weighed();
                self.queue.push_back(Entry { sequence, changes });
            }
            Role::Following | Role::Stopped(_) => {}
        }
    }

    /// The transaction that was entered last, unless the store has been given it already.
    pub fn newest(&self) -> Option<(Sequence, &Changes)> {
        self.queue.back().map(|entry| (entry.sequence, &entry.changes))
    }

    /// What the store is to be given now; `None` if there is nothing, or it has not answered for the last group.
    pub fn next_group(&mut self) -> Option<Group> {
        let Role::Leading { fence } = self.role else { return None };
        if self.writing.is_some() || self.queue.is_empty() {
            return None;
        }
        let mut entries = Vec::new();
        let mut bytes = 0;
        while entries.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
            let Some(entry) = self.queue.pop_front() else { break };
            bytes += entry.changes.weighed();
            self.queued_bytes -= entry.changes.weighed();
            self.writing = Some(entry.sequence);
            entries.push(entry);
        }
        Some(Group { fence, entries })
    }

    /// Takes in what the store said to the last group.
    ///
    /// # Panics
    /// If no group is with the store, or the store did not answer for each of its commits.
    pub fn committed(
        &mut self,
        group: &Group,
        outcomes: Result<Vec<Result<Revision, Conflict>>, StoreError>,
    ) -> Verdict<W> {
        let last = self.writing.expect("the store answers for what it was given");
        if let Role::Stopped(why) = &self.role {
            // Whatever is in the store now: nobody may rely on it before it is read again.
            return Verdict::Stopped { why: why.clone(), released: Vec::new() };
        }
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(StoreError::InDoubt(_)) => return Verdict::InDoubt,
            Err(error) => return self.end(Stopped::Store(Arc::new(error))),
        };
        assert_eq!(outcomes.len(), group.len(), "the store answers for each commit of a group");
        let mut revision = self.durable.revision;
        for outcome in outcomes {
            match outcome {
                // Commits of one group may have one revision in common.
                Ok(own) => revision = revision.max(own),
                Err(Conflict::Fenced(token)) => return self.end(Stopped::Lost(token)),
                Err(conflict @ Conflict::Condition { .. }) => return self.end(Stopped::NotApplied(conflict)),
            }
        }
        self.writing = None;
        self.durable = Progress { sequence: last, revision };
        let later = self.waiting.split_off(&(last + 1));
        let released = std::mem::replace(&mut self.waiting, later).into_values().flatten().collect();
        Verdict::Durable { progress: self.durable, released }
    }

    /// Waits until everything up to `sequence` is durable.
    pub fn wait(&mut self, sequence: Sequence, waiter: W) -> Wait<W> {
        if let Role::Stopped(why) = &self.role {
            return Wait::Stopped(why.clone(), waiter);
        }
        if sequence <= self.durable.sequence {
            return Wait::Durable(waiter);
        }
        self.waiting.entry(sequence).or_default().push(waiter);
        Wait::Kept
    }

    /// Ends all writing; the first reason stays. Gives those who have waited in vain.
    pub fn stop(&mut self, why: Stopped) -> Vec<W> {
        if !matches!(self.role, Role::Stopped(_)) {
            self.role = Role::Stopped(why);
        }
        self.queue.clear();
        self.queued_bytes = 0;
        std::mem::take(&mut self.waiting).into_values().flatten().collect()
    }

    fn end(&mut self, why: Stopped) -> Verdict<W> {
        let released = self.stop(why.clone());
        Verdict::Stopped { why, released }
    }
}

/// A way to a ledger: itself, or a lock around it.
pub trait Reach<W> {
    fn reach<T>(&mut self, f: impl FnOnce(&mut Ledger<W>) -> T) -> T;
}

impl<W> Reach<W> for Ledger<W> {
    fn reach<T>(&mut self, f: impl FnOnce(&mut Ledger<W>) -> T) -> T {
        f(self)
    }
}

/// What a transaction gave, and the sequence whose durability it has to wait for before that may be let out.
pub type Submitted<T, E> = (Result<(T, Hints), E>, Sequence);

/// Runs a transaction and queues what it changed. Also a transaction that fails has to wait for what it saw.
///
/// The ledger is reached before and after the transaction, not while it runs: whoever writes groups need not wait for it.
///
/// A panic of `f` leaves the state in doubt; the ledger has to be stopped.
pub fn submit<W, T, E>(
    state: &mut State,
    ledger: &mut impl Reach<W>,
    now: Timestamp,
    ids: Ids,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<Submitted<T, E>, NotSubmitted> {
    let (submitted, result) = lent(f, |work| submit_work(state, ledger, now, ids, work));
    let (hints, sequence) = submitted?;
    let result = result.expect("what was submitted was run");
    Ok((result.map(|value| (value, hints.unwrap_or_default())), sequence))
}

/// The same; its hints, unless it was undone.
pub(crate) fn submit_work<W>(
    state: &mut State,
    ledger: &mut impl Reach<W>,
    now: Timestamp,
    ids: Ids,
    work: &mut Work<'_>,
) -> Result<(Option<Hints>, Sequence), NotSubmitted> {
    ledger.reach(|ledger| ledger.admit())?;
    let batch = state.transact_work(now, ids, work).map_err(NotSubmitted::TooLarge)?;
    let sequence = state.sequence();
    let hints = batch.map(|Batch { changes, hints }| {
        ledger.reach(|ledger| ledger.enter(sequence, changes));
        hints
    });
    Ok((hints, sequence))
}
