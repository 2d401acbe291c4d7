//! What nobody needs goes. Each function is one step; who runs them does the files in between:
//!
//! ```text
//! lapse    links that nothing needs                                     a transaction, again until it has seen all
//! expire   uploads that nobody goes on with                             a transaction; then their files
//! mark     blobs without links are dying                                a transaction; durable before what follows
//!   for each of them: Locks::try_take ─▶ may_unlink ─▶ delete the file ─▶ forget, a transaction ─▶ let go
//!   for each file that is_unknown:  the same
//! ```
//!
//! It may be stopped between any two of them, and run by nobody for as long as anybody likes.

use std::time::Duration;

use longshore_blobs::UploadId;
use longshore_images::Digest;
use longshore_state::{State, Tx};

use crate::hold::LEASE;
use crate::key::{BlobKey, Holder, LinkKey, UploadKey};
use crate::record::{Blob, BlobState, Link, Upload};
use crate::{BlobTables, BlobsState};

/// The most records that one step changes, so that it fits one commit and holds nobody up.
const CHANGES_MAX: usize = 100;
/// The most links that one step looks at, under the writer's lock: some milliseconds.
const LOOKS_MAX: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how long a link stays that nothing needs, counted from when it was made: a client pushes layers first, and
    /// the manifest that needs them last.
    pub grace: Duration,
    /// For how long an upload stays that has not ended, counted from its beginning.
    pub upload_kept: Duration,
}

impl Default for Settings {
    /// A day each (registry I10): longer than any push, shorter than a disk takes to fill up.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self { grace: day, upload_kept: day }
    }
}

/// A domain that has holders. A holder that none of them has is gone, and so is what it held.
#[derive(Clone, Copy)]
pub struct Holders {
    /// Whether this is one of its holders.
    pub has: fn(&State, &Holder) -> bool,
    /// Whether something in its holder needs the blob.
    pub needs: fn(&State, &Holder, &Digest) -> bool,
}

fn whose<'d>(state: &State, domains: &'d [Holders], holder: &Holder) -> Option<&'d Holders> {
    domains.iter().find(|domain| (domain.has)(state, holder))
}

/// Removes links that nothing needs and that no client relies on. Looks at some behind `after`, and says behind which
/// to go on; `None` at the end.
pub fn lapse(
    tx: &mut Tx<'_>,
    domains: &[Holders],
    settings: &Settings,
    after: Option<&LinkKey>,
) -> Option<LinkKey> {
    let now = tx.now;
    if after.is_none() {
        tx.volatile(|tables: &mut BlobTables, _| tables.forget_leases(now));
    }
    let (state, tables) = (tx.state(), tx.state().blobs());
    let all_are_told = now < tables.leads_since() + LEASE;
    let is_told = |key: &LinkKey| all_are_told || tables.lease(key).is_some_and(|until| until > now);
    let mut seen: Vec<(&LinkKey, bool)> = Vec::new();
    let mut going = 0;
    for (key, link) in tables.links_after(after).take(LOOKS_MAX) {
        let goes = match whose(state, domains, &key.holder) {
            Some(domain) if (domain.needs)(state, &key.holder, &key.digest) => false,
            Some(_) => link.linked_at + settings.grace <= now && !is_told(key),
            // Nobody can ask for anything in it any more.
            None => true,
        };
        going += usize::from(goes);
        seen.push((key, goes));
        if going == CHANGES_MAX {
            break;
        }
    }
    let next = seen.last().map(|(key, _)| (*key).clone());
    let going: Vec<LinkKey> =
        seen.into_iter().filter(|(_, goes)| *goes).map(|(key, _)| key.clone()).collect();
    for key in going {
        tx.delete::<Link>(key);
    }
    next
}

/// Forgets uploads that began too long ago, or whose holder is gone; their files are left to the caller. There may be
/// more.
pub fn expire(tx: &mut Tx<'_>, domains: &[Holders], settings: &Settings) -> Vec<UploadId> {
    let now = tx.now;
    let state = tx.state();
    let is_over = |key: &UploadKey, upload: &Upload| {
        whose(state, domains, &key.holder).is_none() || upload.began_at + settings.upload_kept <= now
    };
    let over = state.blobs().uploads().filter(|(key, upload)| is_over(key, upload));
    let over: Vec<UploadKey> = over.map(|(key, _)| key.clone()).take(CHANGES_MAX).collect();
    let mut ids = Vec::with_capacity(over.len());
    for key in over {
        ids.push(key.id);
        tx.delete::<Upload>(key);
    }
    ids
}

/// Marks blobs that nobody has, and gives those that are marked, the earlier ones too. There may be more.
pub fn mark(tx: &mut Tx<'_>) -> Vec<Digest> {
    let unheld: Vec<Digest> = tx.blobs().unheld().take(CHANGES_MAX).cloned().collect();
    for digest in &unheld {
        let blob = **tx.blobs().blob(digest).expect("what is without a holder is a blob");
        if blob.state == BlobState::Kept {
            tx.put::<Blob>(BlobKey(digest.clone()), Blob { state: BlobState::Dying, ..blob });
        }
    }
    unheld
}

/// The second look, when the digest is taken: whether the file may go now. A push may have come in between.
pub fn may_unlink(state: &State, digest: &Digest) -> bool {
    match state.blobs().blob(digest).map(|blob| blob.state) {
        Some(BlobState::Kept) => false,
        Some(BlobState::Dying) | None => true,
    }
}

/// Whether a file with this digest has no record, as after a crash between the two.
pub fn is_unknown(state: &State, digest: &Digest) -> bool {
    state.blobs().blob(digest).is_none()
}

/// Removes the record of a blob whose file is gone. The digest is still taken.
pub fn forget(tx: &mut Tx<'_>, digest: &Digest) {
    if tx.blobs().blob(digest).is_some_and(|blob| blob.state == BlobState::Dying) {
        tx.delete::<Blob>(BlobKey(digest.clone()));
    }
}
