//! The port: what every backend implements.

use std::ops::ControlFlow;

use crate::commit::{Commit, Revision};
use crate::error::{Conflict, StoreError, WatchError};
use crate::history::Watch;
use crate::lead::{FencingToken, Lost, Sight};
use crate::range::{Entry, EntryRef, KeyRange, Page};

/// Ordered keys with revisions. All calls block; none is made from an async task.
pub trait Store: Send + Sync {
    /// Applies each commit atomically and in order, and returns once they are durable together.
    ///
    /// The result has one outcome per commit, in order. A commit whose conditions or fence fail is
    /// reported and changes nothing; the others stand. Conditions see the earlier commits of
    /// the group.
    ///
    /// # Errors
    /// `Limit`: nothing of the group was applied. `Unavailable`: how much of the group survives is
    /// unknown, but it is a run of its first commits, each whole; the store refuses writes from then on.
    /// `InDoubt`: the same, but the store goes on; give it the same group again, and nothing else before it. It
    /// applies no part twice.
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError>;

    /// The entry of a key, as of the last durable commit.
    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// At most `limit` entries of `range` whose keys are greater than `after`, all as of one revision.
    /// Two pages may be of different revisions; [`Store::scan`] is for what has to be whole.
    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError>;

    /// Calls `visit` with every entry of `range` in order, all as of the revision that is returned, until `visit`
    /// breaks off. Writers do not wait for it. This is how a server loads its state; a follower then watches from the
    /// next revision.
    fn scan(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Revision, StoreError>;

    /// The revision of the last durable commit.
    fn revision(&self) -> Revision;

    /// The changes to keys that begin with `prefix`, from the revision `from` (inclusive) on, which
    /// may lie in the past. How far back is bounded: see [`WatchError::Compacted`].
    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError>;

    /// Who leads, and a pulse that changes with every sign of life. See [`crate::lead`].
    fn sight(&self) -> Result<Sight, StoreError>;

    /// Takes the lead from whoever has it, unless there was a sign of life since `seen`.
    ///
    /// # Errors
    /// `InDoubt`: ask [`Store::sight`] again; whoever sees their own `claim` there has won. A claim must therefore be a
    /// text that was never used before.
    fn take(&self, seen: &Sight, claim: &[u8]) -> Result<Result<FencingToken, Lost>, StoreError>;

    /// A sign of life of the leader, for when it writes nothing. `Lost`: it must stop writing.
    fn beat(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError>;

    /// Gives the lead up, so that another need not wait. `Lost`: it was lost already.
    fn resign(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError>;
}
