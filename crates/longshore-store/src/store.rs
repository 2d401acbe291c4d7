//! The port itself.

use std::ops::ControlFlow;
use std::time::Duration;

use longshore_base::Timestamp;

use crate::commit::{Commit, Revision};
use crate::error::{Conflict, StoreError, WatchError};
use crate::history::Watch;
use crate::lease::{Lease, LeaseGrant, LeaseId};
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
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError>;

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// At most `limit` entries of `range` behind the key `after`, all as of one revision.
    /// Two pages may be of different revisions; [`Store::scan`] is for what has to be whole.
    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError>;

    /// Shows `visit` every entry of `range` in order, all as of the revision that is returned, until it
    /// breaks off. Writers are not held up. This is how a server loads its state; a follower then
    /// watches from the next revision.
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

    /// Takes the lease `name` for `ttl` from `now` on, if nobody holds it. See [`crate::lease`].
    fn lease_grant(&self, name: &str, ttl: Duration, now: Timestamp) -> Result<LeaseGrant, StoreError>;

    /// Gives the lease its full time again; `None` when it is lost, and its holder must stop writing.
    fn lease_keep_alive(&self, id: LeaseId, now: Timestamp) -> Result<Option<Lease>, StoreError>;

    /// Ends the lease, so that another need not wait for it to run out. No error if it is lost already.
    fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError>;
}
