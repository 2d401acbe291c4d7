//! The Parameter Store of AWS Systems Manager (identity J10).
//!
//! Start at [`Ssm`] and [`SSM_OPERATIONS`]. A secure string is encrypted under a key of KMS as AWS does it, so that
//! what is shown to whoever does not ask for it in the clear can be decrypted with KMS.
//!
//! Parameter policies are kept and shown, and nothing is done because of them.

mod delete;
mod describe;
mod filter;
mod get;
mod labels;
mod name;
mod operations;
mod permission;
mod put;
mod shape;
mod tagging;
mod texts;

use std::sync::Arc;

use longshore_service::{Access, Caller, Server};
use longshore_state::{Db, State};

pub use operations::SSM_OPERATIONS;

/// The Parameter Store: what its operations have in common, which is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ssm;

impl Ssm {
    /// The API over a database with the tables of secrets, IAM and the keyring.
    pub fn server(db: Arc<Db>) -> Server<Self> {
        Server::new(&longshore_catalog::SSM, &SSM_OPERATIONS, db, Self)
    }
}

/// An action on a parameter, for whoever asks about it from elsewhere.
pub(crate) fn on_parameter(state: &State, caller: &Caller, action: &str, named: &str) -> Access {
    permission::on(state, caller, action, named)
}
