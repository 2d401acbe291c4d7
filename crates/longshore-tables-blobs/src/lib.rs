//! Which blobs there are, who holds them, and when one may go (decision 53). The bytes are in `longshore-blobs`.
//!
//! Start reading at [`record`], then [`hold`]: how a holder gets a blob, and what a client is promised. [`collect`] takes
//! away what nobody needs; [`Locks`] is where files and records meet.
//!
//! A *holder* is a repository, later a bucket. Its own domain says which of its links it needs.
//!
//! Invariants: a link's blob is [`BlobState::Kept`], and the file of a kept blob is there; a blob is seen through a link
//! or not at all; what is made of a file is recorded while its digest is held; a file is deleted while its digest is
//! taken, and after one more look.
//!
//! It does not know: images, objects, files, HTTP, who may do what.

pub mod collect;
pub mod hold;
pub mod key;
mod locks;
pub mod record;
pub mod tables;

use longshore_state::{State, Tx};

pub use key::{Holder, HolderId, LinkKey, UploadKey};
pub use locks::{Hold, Locks, Taken};
pub use record::{Blob, BlobState, Link, Upload};
pub use tables::BlobTables;

/// The tables of blobs in a state.
pub trait BlobsState {
    fn blobs(&self) -> &BlobTables;
}

impl BlobsState for State {
    fn blobs(&self) -> &BlobTables {
        self.of()
    }
}

impl BlobsState for Tx<'_> {
    fn blobs(&self) -> &BlobTables {
        self.state().of()
    }
}
