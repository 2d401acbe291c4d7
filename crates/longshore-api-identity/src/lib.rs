//! Who somebody is, as an API: AWS STS. IAM follows.
//!
//! Start at [`Sts`]. Of STS, one operation is built, GetCallerIdentity, which SDKs, Terraform and people ask first of all;
//! a request for another one is told so by the router (`longshore_wire::route`).
//!
//! Invariant: an answer is made of the [`Principal`](longshore_api::Principal) that the signature proved, and of nothing
//! that the request says.
//!
//! It does not know: signatures, keys, policies.

mod sts;
mod unique_id;

pub use sts::Sts;
pub use unique_id::unique_id;
