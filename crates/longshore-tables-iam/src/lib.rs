//! IAM's records and tables: users, groups, roles, policies, keys (identity J1, J2, J4, J5).
//!
//! Start reading at [`record`] (what is stored) and [`tables`] (where it is kept, and its indexes), then [`layers`] (what
//! decides about a principal). Everything above reaches them through [`IamState`].
//!
//! IAM is the same in all regions: a key begins with the account alone. What has a name that may change is kept under its
//! unique id (`AIDA…`), and refers to others by theirs, so that a rename touches one record and a new user of an old name
//! is a stranger. ARNs are made where they are shown ([`arn`]); they depend on the caller's partition.
//!
//! Invariants: a record changes only in a [`longshore_state::Keep`] of [`IamTables`], which keeps every index in step; a
//! policy that does not compile cannot be a record; no record holds a secret in the clear.
//!
//! It does not know: the API, its errors and quotas, who may do what.

pub mod arn;
pub mod aws;
pub mod ids;
pub mod key;
pub mod layers;
pub mod positions;
pub mod record;
mod sealed;
pub mod service_linked;
pub mod session;
mod spans;
pub mod tables;
pub mod trust;
pub mod uses;

use longshore_state::{State, Tx};

pub use key::{AccountKey, InlineKey, OwnKey, VersionKey};
pub use layers::{Held, Source};
pub use tables::{Attachments, IamTables, Named, Realm};

/// IAM's tables in a state.
pub trait IamState {
    fn iam(&self) -> &IamTables;
}

impl IamState for State {
    fn iam(&self) -> &IamTables {
        self.of()
    }
}

impl IamState for Tx<'_> {
    fn iam(&self) -> &IamTables {
        self.state().of()
    }
}
