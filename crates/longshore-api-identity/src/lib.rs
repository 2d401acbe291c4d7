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

pub use iam::{Iam, OPERATIONS, is_password};
pub use sts::{Issuers, KeySource, OPERATIONS as STS_OPERATIONS, Sts, WebSts, facts, jwt};
pub use unique_id::unique_id;
