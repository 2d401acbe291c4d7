//! Transactions: how the state changes.

use std::fmt;
use std::sync::Arc;

use longshore_base::{Ids, Timestamp};
use longshore_store::{COMMIT_BYTES_MAX, COMMIT_OPS_MAX, LimitExceeded};

use crate::domain::Tables;
use crate::hint::{Hint, Hints};
use crate::level::LevelTables;
use crate::record::Record;
use crate::records::Changes;
use crate::sharing::Sharing;
use crate::state::State;
use crate::time::{self, Moment, MomentKey};

/// What a transaction leaves: for the store, and for whoever has to look again. Encoding is left to the committer, off
/// the writer's path.
#[derive(Debug, Default)]
pub struct Batch {
    pub changes: Changes,
    pub hints: Hints,
}

/// One transaction: reads and changes the state, and collects what has to be stored.
///
/// Time and ids were drawn before it began, so that a replay decides the same.
pub struct Tx<'a> {
    state: &'a mut State,
    pub now: Timestamp,
    pub ids: Ids,
    changes: Changes,
    /// How to take back what was done, in the order in which it was.
    undo: Vec<Undo>,
    /// About how many bytes of the changed records come from requests and reports.
    weight: usize,
    hints: Hints,
}

/// Puts a record back that was there before.
type Undo = Box<dyn FnOnce(&mut State, &mut Hints)>;

/// From here on a transaction takes no more records that it may leave to another: two thirds of what a commit may
/// hold ([`longshore_store::COMMIT_BYTES_MAX`]). The rest is room for the last one and for what is not weighed.
const HEAVY_BYTES: usize = COMMIT_BYTES_MAX / 3 * 2;

impl State {
    /// Runs `f`. If it fails, no record has changed.
    ///
    /// A panic in `f`, or beneath it, leaves the state in doubt: an index may have been half changed. Whoever
    /// catches it must not use the state again.
    ///
    /// # Errors
    /// If `f` changes more than a commit takes. That is a mistake of the command, which promises to fit; no record
    /// has changed then either.
    pub fn transact<T, E>(
        &mut self,
        now: Timestamp,
        ids: Ids,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<(T, Batch), E>, LimitExceeded> {
        let (batch, result) = lent(f, |work| self.transact_work(now, ids, work));
        let batch = batch?;
        let result = result.expect("the transaction was run");
        // Of one that failed, nothing is left.
        Ok(result.map(|value| (value, batch.unwrap_or_default())))
    }

    /// The same; `None`: it is not to stay.
    pub(crate) fn transact_work(
        &mut self,
        now: Timestamp,
        ids: Ids,
        work: &mut Work<'_>,
    ) -> Result<Option<Batch>, LimitExceeded> {
        let mut tx = Tx::new(self, now, ids);
        if !work(&mut tx) {
            tx.roll_back();
            return Ok(None);
        }
        if let Err(exceeded) = tx.check_limits() {
            tx.roll_back();
            return Err(exceeded);
        }
        tx.note_moment();
        Ok(Some(tx.commit()))
    }
}

/// A transaction without types of its own. Whether what it did is to stay.
pub(crate) type Work<'a> = dyn FnMut(&mut Tx<'_>) -> bool + 'a;

/// Lends `run` the transaction `f` as [`Work`], to be done at most once, and gives what `f` gave. There are hundreds of
/// transactions; what runs them is compiled once so, and not once for each.
pub(crate) fn lent<T, E, R>(
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    run: impl FnOnce(&mut Work<'_>) -> R,
) -> (R, Option<Result<T, E>>) {
    let (mut f, mut result) = (Some(f), None);
    let ran = run(&mut |tx| {
        let f = f.take().expect("a transaction is done once");
        result.insert(f(tx)).is_ok()
    });
    (ran, result)
}

impl<'a> Tx<'a> {
    fn new(state: &'a mut State, now: Timestamp, ids: Ids) -> Self {
        Self {
            state,
            now,
            ids,
            changes: Changes::default(),
            undo: Vec::new(),
            weight: 0,
            hints: Hints::new(),
        }
    }

    pub fn state(&self) -> &State {
        self.state
    }

    /// How many records the transaction changes so far. A commit takes at most
    /// [`longshore_store::COMMIT_OPS_MAX`]; long work is cut into several transactions.
    pub fn changed(&self) -> usize {
        self.changes.len()
    }

    /// True if the records changed so far are large, as tasks with the longest tags are: long work is cut here, too.
    pub fn is_heavy(&self) -> bool {
        self.weight >= HEAVY_BYTES
    }

    /// Asks for another look, beyond those that follow from the changes themselves.
    pub fn hint<H: Hint>(&mut self, hint: H) {
        self.hints.insert(hint);
    }

    /// Stores the record under its key, in the place of the one that was there.
    pub fn put<R: Record>(&mut self, key: R::Key, record: impl Into<Arc<R>>) {
        let record = record.into();
        self.weight += record.weight();
        self.change::<R>(key, Some(record));
    }

    /// Removes the record, if there is one.
    pub fn delete<R: Record>(&mut self, key: R::Key) {
        self.change::<R>(key, None);
    }

    fn change<R: Record>(&mut self, key: R::Key, record: Option<Arc<R>>) {
        let previous = self.state.enter::<R>(&key, record.clone(), &mut self.hints);
        if self.changes.note::<R>(key.clone(), record) {
            // It would be written, and the next process could not read it.
            assert!(self.state.domains().knows::<R>(), "{} is not in the list of its domain", R::KIND.name);
        }
        self.undo.push(Box::new(move |state, hints| {
            state.enter::<R>(&key, previous, hints);
        }));
    }

    /// Changes what a domain's tables keep beside the records: what nobody needs after a restart. It is not undone if the
    /// transaction fails.
    pub fn volatile<T: Tables, X>(&mut self, f: impl FnOnce(&mut T, &mut Hints) -> X) -> X {
        f(self.state.of_mut(), &mut self.hints)
    }

    /// Values that the records to be stored may have in common with others.
    pub fn sharing(&mut self) -> &mut Sharing {
        self.state.sharing_mut()
    }

    /// Whether the store would take the changes. Asked before anybody can see them: a commit that the store refuses
    /// ends the process.
    fn check_limits(&mut self) -> Result<(), LimitExceeded> {
        let count = self.changes.len();
        if count > COMMIT_OPS_MAX {
            return Err(LimitExceeded::Operations { count });
        }
        let bytes = self.changes.weigh()?;
        if bytes > COMMIT_BYTES_MAX {
            return Err(LimitExceeded::Bytes { bytes });
        }
        Ok(())
    }

    /// Notes how late it is, if that is due and there is room for one record more.
    fn note_moment(&mut self) {
        let stored = self.state.of::<LevelTables>().moment();
        let due = self.state.leads && !self.changes.is_empty() && time::is_old(stored, self.now);
        let room = self.changes.len() < COMMIT_OPS_MAX
            && self.changes.weighed() + time::MOMENT_BYTES <= COMMIT_BYTES_MAX;
        if due && room {
            let at = self.now;
            self.put::<Moment>(MomentKey, Moment { at });
            self.check_limits().expect("there is room for it");
        }
    }

    fn commit(self) -> Batch {
        if !self.changes.is_empty() {
            self.state.sequence += 1;
        }
        Batch { changes: self.changes, hints: self.hints }
    }

    fn roll_back(self) {
        let mut ignored = Hints::deaf();
        for undo in self.undo.into_iter().rev() {
            undo(self.state, &mut ignored);
        }
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("now", &self.now).field("changes", &self.changes).finish_non_exhaustive()
    }
}
