//! ECR's records: repositories, their images and tags (registry I3, I4, I5).
//!
//! Start reading at [`record`] (what is stored) and [`tables`] (where it is kept), then [`push`]: what a manifest needs
//! and what a tag may do. [`delete`] takes images away, [`expiry`] says which by a lifecycle policy. OCI's distribution
//! and ECR's API are two ways to the same functions.
//!
//! A repository is a *holder* of blobs (`longshore-tables-blobs`): the bytes of its manifests and layers. Its images
//! and tags hang on the holder's id, not on its name, so that what is left of a repository that is gone never turns up
//! in a new one of its name; [`sweep()`] clears it away.
//!
//! Invariants: a record changes only in a [`longshore_state::Keep`] of [`EcrTables`], which keeps every index in step; a
//! tag's image is there; what an image needs is linked, its manifest's bytes included; a tag that may not move does not.
//!
//! It does not know: HTTP, the API's errors, who may do what, where bytes are.

pub mod delete;
pub mod expiry;
pub mod key;
pub mod push;
pub mod record;
mod sweep;
pub mod tables;

use longshore_images::Digest;
use longshore_state::{State, Tx};
use longshore_tables_blobs::Holder;
use longshore_tables_blobs::collect::Holders;

pub use key::{ImageKey, RepositoryKey, TagKey};
pub use sweep::sweep;
pub use tables::{Contents, EcrTables};

/// The tables of ECR in a state.
pub trait EcrState {
    fn ecr(&self) -> &EcrTables;
}

impl EcrState for State {
    fn ecr(&self) -> &EcrTables {
        self.of()
    }
}

impl EcrState for Tx<'_> {
    fn ecr(&self) -> &EcrTables {
        self.state().of()
    }
}

/// What the collector asks of repositories.
pub const HOLDERS: Holders = Holders { has, needs };

fn has(state: &State, holder: &Holder) -> bool {
    state.ecr().repository_of(holder).is_some()
}

fn needs(state: &State, holder: &Holder, digest: &Digest) -> bool {
    state.ecr().contents(holder).needs(digest)
}
