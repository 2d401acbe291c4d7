//! Who somebody is and what he may do, as APIs: AWS IAM and AWS STS.
//!
//! Start at [`Iam`], whose operations are those of a table over the state, and at [`Sts`]. Of STS, one operation is built,
//! GetCallerIdentity, which SDKs, Terraform and people ask first of all; a request for another one is told so by the router
//! (`longshore_wire::route`).
//!
//! Invariants: IAM sees and changes the caller's account and no other, but for the principals that a trust policy names; a
//! secret leaves in the answer of CreateAccessKey and nowhere else; an answer of STS is made of the
//! [`Principal`](longshore_api::Principal) that the signature proved, and of nothing that the request says.
//!
//! It does not know: signatures, and what policies say in the end (`longshore-policy` does, for whoever asks).

mod iam;
mod sts;
mod unique_id;

pub use iam::{Iam, OPERATIONS, is_password};
pub use sts::Sts;
pub use unique_id::unique_id;
