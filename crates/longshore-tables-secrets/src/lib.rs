//! The records of Secrets Manager, of Systems Manager's Parameter Store and of KMS, and their tables (identity J9, J10,
//! J11, J13).
//!
//! Start reading at [`record`] (what is stored) and [`tables`] (where it is kept), then [`value`]: how a secret is put
//! under a key of KMS and sealed by the keyring. [`read`] is for whoever hands secrets to tasks; [`sweep()`] deletes
//! what is over. Everything above reaches the tables through [`SecretsState`].
//!
//! All of it belongs to an account in a region. A secret, a parameter and a key are a *head* with *parts* of their own:
//! the versions, and the materials of a key. A part names its head and its head's birth, so that what is left of a
//! secret that is gone never becomes a part of a new one of its name.
//!
//! Invariants: a record changes only in a [`longshore_state::Keep`] of [`SecretsTables`], which keeps every index in
//! step; no record holds a secret in the clear; a value opens only while the key that it is under may be used, and only
//! where it was sealed for.
//!
//! It does not know: the APIs, their errors and quotas, who may do what.

pub mod arn;
pub mod find;
pub mod key;
pub mod kms;
pub mod material;
pub mod read;
pub mod record;
mod sealed;
mod sweep;
pub mod tables;
pub mod value;

use longshore_state::{State, Tx};

pub use key::{NumberKey, ScopedKey, VersionKey, Whole};
pub use sweep::sweep;
pub use tables::{Parted, Realm, SecretsTables};

/// The tables of secrets in a state.
pub trait SecretsState {
    fn secrets(&self) -> &SecretsTables;
}

impl SecretsState for State {
    fn secrets(&self) -> &SecretsTables {
        self.of()
    }
}

impl SecretsState for Tx<'_> {
    fn secrets(&self) -> &SecretsTables {
        self.state().of()
    }
}
