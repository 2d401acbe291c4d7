//! AWS IAM: its operations, one file for each kind of thing (identity J2, J4, J5).
//!
//! Start at [`Iam`] and [`OPERATIONS`]. Most operations check their input against the model and have nothing more to read
//! without the state; [`macros`] gives these the same `parse`, and leaves to each what it asks permission for and what it
//! does.
//!
//! Errors are the structures of the model, so that the compiler knows which operation may answer which. A request that
//! cannot be meant is a `ValidationError`, which no model lists ([`input`]).

#[macro_use]
mod macros;

mod access_keys;
mod account;
mod attachments;
mod boundaries;
mod context_keys;
mod details;
mod documents;
mod find;
mod groups;
mod inline;
pub(crate) mod input;
mod instance_profiles;
mod logins;
mod memberships;
mod oidc;
mod operations;
mod paging;
mod permission;
mod policies;
mod policy_versions;
mod roles;
mod service_linked;
mod shape;
mod simulate;
mod summary;
mod tagging;
mod tags;
mod texts;
mod users;

use std::sync::Arc;

use longshore_service::Server;
use longshore_state::Db;
use longshore_state::db::SeedSource;

pub use context_keys::collect as condition_keys;
pub use logins::is_password;
pub use operations::OPERATIONS;
pub(crate) use permission::on_arn;

/// AWS IAM: what its operations have in common.
pub struct Iam {
    /// For the salts of passwords, which are hashed before the state is locked.
    pub(crate) seeds: Arc<dyn SeedSource>,
}

impl Iam {
    pub fn new(seeds: Arc<dyn SeedSource>) -> Self {
        Self { seeds }
    }

    /// The API over a database with the tables of IAM, ECS and the keyring.
    pub fn server(db: Arc<Db>, seeds: Arc<dyn SeedSource>) -> Server<Self> {
        Server::new(&longshore_catalog::IAM, &OPERATIONS, db, Self::new(seeds))
    }
}
