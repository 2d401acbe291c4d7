//! AWS KMS, as far as it is about symmetric keys (identity J11).
//!
//! Start at [`Kms`] and [`KMS_OPERATIONS`]. What encrypts and decrypts only reads: chance is drawn before the state is
//! looked at ([`crate::chance`]), so that none of it takes the writer's lock or a commit.
//!
//! Grants, imported material, asymmetric and multi-region keys are not built; a request that asks for them is refused.

mod aliases;
mod create;
mod crypt;
mod find;
mod listing;
mod operations;
mod policy;
mod shape;
mod states;
mod tagging;
mod texts;

use std::sync::Arc;

use longshore_service::Server;
use longshore_state::Db;
use longshore_state::db::SeedSource;

pub use operations::KMS_OPERATIONS;

/// AWS KMS: what its operations have in common.
pub struct Kms {
    /// For nonces and data keys.
    pub(crate) seeds: Arc<dyn SeedSource>,
}

impl Kms {
    pub fn new(seeds: Arc<dyn SeedSource>) -> Self {
        Self { seeds }
    }

    /// The API over a database with the tables of secrets, IAM and the keyring.
    pub fn server(db: Arc<Db>, seeds: Arc<dyn SeedSource>) -> Server<Self> {
        Server::new(&longshore_catalog::KMS, &KMS_OPERATIONS, db, Self::new(seeds))
    }
}
