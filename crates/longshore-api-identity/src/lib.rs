//! Who somebody is and what he may do, as APIs: AWS IAM and AWS STS.
//!
//! Start at [`Iam`] and at [`Sts`], whose operations are those of two tables over the state.
//!
//! Invariants: IAM sees and changes the caller's account and no other, but for the principals that a trust policy names; a
//! secret leaves in the answer that makes it and nowhere else; who calls is what the signature proved, and nothing that the
//! request says.
//!
//! It does not know: signatures, and what policies say in the end (`longshore-policy` does, for whoever asks).

mod iam;
mod sts;
mod unique_id;

use longshore_service::{Access, Caller};
use longshore_state::State;

pub use iam::{Iam, OPERATIONS, condition_keys, is_password};
pub use sts::{Issuers, KeySource, OPERATIONS as STS_OPERATIONS, Sts, WebSts, facts, jwt};
pub use unique_id::unique_id;

/// The question whether the caller may do `action` to what an ARN names, as the operations of IAM and STS ask it: a role is
/// asked about with its trust policy, where it is assumed. `None` if the action is none of theirs.
pub fn question(state: &State, caller: &Caller, action: &str, arn: &str) -> Option<Access> {
    let (service, name) = action.split_once(':')?;
    match service {
        "sts" if name.to_ascii_lowercase().starts_with("assumerole") => {
            Some(sts::on_role(state, caller, action, arn))
        }
        // ECS asks this one, and knows nothing of the role.
        "iam" if name.eq_ignore_ascii_case("PassRole") => Some(Access::new(action, arn, caller)),
        "iam" => Some(iam::on_arn(state, caller, action, arn)),
        _other => None,
    }
}
