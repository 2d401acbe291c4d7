//! How a holder gets a blob, and what a client is promised about it.

use std::time::Duration;

use longshore_blobs::UploadId;
use longshore_images::Digest;
use longshore_state::{State, Tx};

use crate::BlobsState;
use crate::key::{BlobKey, Holder, LinkKey, UploadKey};
use crate::record::{Blob, BlobState, Link, Upload};

/// For how long a client may rely on having been told that a blob is there, and leave out its push. Docker asks just
/// before it would push; an hour is long for whatever it pushes meanwhile (registry I10).
pub const LEASE: Duration = Duration::from_secs(3600);

/// Records an upload. Its file is made afterwards: a file without a record would be taken away.
pub fn begin(tx: &mut Tx<'_>, holder: &Holder, id: UploadId) {
    let began_at = tx.now;
    tx.put::<Upload>(UploadKey { holder: holder.clone(), id }, Upload { began_at });
}

/// Whether this is an upload of the holder.
pub fn has_upload(state: &State, holder: &Holder, id: UploadId) -> bool {
    state.blobs().upload(&UploadKey { holder: holder.clone(), id }).is_some()
}

/// Forgets an upload that has ended in whatever way.
pub fn end(tx: &mut Tx<'_>, holder: &Holder, id: UploadId) {
    let key = UploadKey { holder: holder.clone(), id };
    if tx.blobs().upload(&key).is_some() {
        tx.delete::<Upload>(key);
    }
}

/// Records a blob whose file is there and durable, for a holder.
///
/// The caller has held the digest ([`crate::Locks::hold`]) since before the file was made, and does until this is
/// durable.
pub fn stored(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest, bytes: u64) {
    let kept = Blob { bytes, state: BlobState::Kept };
    if tx.blobs().blob(digest).is_none_or(|blob| **blob != kept) {
        tx.put::<Blob>(BlobKey(digest.clone()), kept);
    }
    link(tx, holder, digest);
}

/// Gives a holder a blob that another one has. False if that one has it not; then nothing changes.
pub fn mount(tx: &mut Tx<'_>, from: &Holder, to: &Holder, digest: &Digest) -> bool {
    let is_there = find(tx.state(), from, digest).is_some();
    if is_there {
        link(tx, to, digest);
    }
    is_there
}

fn link(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest) {
    let linked_at = tx.now;
    tx.put::<Link>(LinkKey { holder: holder.clone(), digest: digest.clone() }, Link { linked_at });
}

/// Takes a blob from a holder; whether it had it. What else needs it there is the caller's affair.
pub fn unlink(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest) -> bool {
    let key = LinkKey { holder: holder.clone(), digest: digest.clone() };
    let is_there = tx.blobs().link(&key).is_some();
    if is_there {
        tx.delete::<Link>(key);
    }
    is_there
}

/// How many bytes a holder's blob has; `None` if the holder has no such blob.
pub fn find(state: &State, holder: &Holder, digest: &Digest) -> Option<u64> {
    state.blobs().link(&LinkKey { holder: holder.clone(), digest: digest.clone() })?;
    let blob = state.blobs().blob(digest).expect("a link's blob is recorded");
    Some(blob.bytes)
}

/// The same for a client that will leave out its push if it is there: it may rely on the answer for [`LEASE`].
pub fn tell(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest) -> Option<u64> {
    let bytes = find(tx.state(), holder, digest)?;
    let until = tx.now + LEASE;
    let key = LinkKey { holder: holder.clone(), digest: digest.clone() };
    tx.volatile(|tables: &mut crate::BlobTables, _| tables.renew(key, until));
    Some(bytes)
}
