//! AWS Secrets Manager (identity J9).
//!
//! Start at [`SecretsManager`] and [`SECRETS_MANAGER_OPERATIONS`]. A version's id is the token of the request that made
//! it; the staging labels say which version is which, and each is on one version.
//!
//! Rotation and replication are not built. What a secret was read for last is not noted, so that reading needs no
//! commit.

mod batch;
mod create;
mod delete;
mod find;
mod listing;
mod operations;
mod password;
mod permission;
mod policy;
mod stages;
mod tagging;
mod texts;
mod values;

use std::sync::Arc;

use longshore_service::{Access, Caller, Resources, Server};
use longshore_state::db::SeedSource;
use longshore_state::{Db, State};

pub(crate) use create::birth;
pub use operations::SECRETS_MANAGER_OPERATIONS;

/// AWS Secrets Manager: what its operations have in common.
pub struct SecretsManager {
    /// For passwords, which are drawn without a transaction.
    pub(crate) seeds: Arc<dyn SeedSource>,
}

impl SecretsManager {
    pub fn new(seeds: Arc<dyn SeedSource>) -> Self {
        Self { seeds }
    }

    /// The API over a database with the tables of secrets, IAM and the keyring.
    pub fn server(db: Arc<Db>, seeds: Arc<dyn SeedSource>) -> Server<Self> {
        Server::new(&longshore_catalog::SECRETSMANAGER, &SECRETS_MANAGER_OPERATIONS, db, Self::new(seeds))
    }
}

/// What is needed to read the value of a secret, also from elsewhere.
pub(crate) fn to_get_value(state: &State, caller: &Caller, id: &str) -> Resources {
    permission::get_value(state, caller, id, None, None)
}

/// An action on a secret, for whoever asks about it from elsewhere.
pub(crate) fn on_secret(state: &State, caller: &Caller, action: &str, id: &str) -> Access {
    permission::on_secret(state, caller, action, id)
}
