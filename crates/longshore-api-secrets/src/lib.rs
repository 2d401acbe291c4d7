//! What keeps secrets, as APIs: AWS Secrets Manager, the Parameter Store of AWS Systems Manager, and AWS KMS (identity
//! J9, J10, J11).
//!
//! Start at [`SecretsManager`], [`Ssm`] and [`Kms`]: each is a table of operations over the state. Most operations
//! check their input against the model and have nothing more to read without the state; the macros in [`macros`] give
//! these the same `parse`, and leave to each what it asks permission for and what it does. Below the three, [`keys`] is
//! what they share of keys, and [`policies`] of the policies that secrets and keys have.
//!
//! Secrets and keys can be named from other accounts, by their ARNs. Whether the caller may have them is asked by the
//! guard, who is given their policy with each question; without a guard everybody may.
//!
//! Invariants: a secret value leaves in the answer to who asks for that value, and nowhere else: in no error, log or
//! `Debug` text; a value is used only while its key may be used; what a denial says does not depend on whether
//! something is there.
//!
//! It does not know: signatures, what policies say in the end, tasks.

#[macro_use]
mod macros;

mod chance;
mod input;
mod keys;
mod kms;
mod paging;
mod policies;
mod secrets_manager;
mod ssm;
mod tags;

use longshore_service::{Access, Caller};
use longshore_state::State;

/// The question whether the caller may do `action` to what an ARN names, as the operations of these services ask it: with
/// the tags and the policy of the secret, the parameter or the key. `None` if the action is none of theirs, or is on
/// nothing in particular.
pub fn question(state: &State, caller: &Caller, action: &str, arn: &str) -> Option<Access> {
    let (service, name) = action.split_once(':')?;
    if !arn.starts_with("arn:") {
        return None;
    }
    let access = match service {
        "secretsmanager" => secrets_manager::on_secret(state, caller, name, arn),
        "ssm" => ssm::on_parameter(state, caller, name, arn),
        "kms" => keys::access(state, caller, action, arn),
        _other => return None,
    };
    // By the ARN that was asked about, which may have patterns in it.
    Some(Access { shown: None, ..access })
}

pub use kms::{KMS_OPERATIONS, Kms};
pub use secrets_manager::{SECRETS_MANAGER_OPERATIONS, SecretsManager};
pub use ssm::{SSM_OPERATIONS, Ssm};
