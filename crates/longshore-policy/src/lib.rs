//! Whether policies allow a request: IAM's language and its rules of combination (identity J6), pure.
//!
//! Start at [`decide`]; a [`Policy`] is read once, when it is written, and then only matched.
//!
//! - [`document`] reads the JSON and says what is wrong with it in IAM's words (identity J4).
//! - [`pattern`] and [`condition`] match; [`context`] holds what is known of a request.
//! - [`decide`] puts identity policies, boundary, session policies and the resource's policy together, and the
//!   [`Decision`] tells which of them decided, for the error's text, for simulations and for `explain`.
//!
//! Invariants: a Deny never gives a right; the order of policies and statements does not matter; a value that cannot be
//! read matches nothing (for a negated operator: is none of the values); a variable's value is a text, never a pattern.
//!
//! It does not know: who is stored where, how a caller was authenticated, which operation needs which action.

pub mod condition;
pub mod context;
mod decide;
pub mod document;
mod json;
mod pattern;
mod principal;
mod statement;

pub use context::{Context, whole_seconds};
pub use decide::{Asker, By, Decision, Layers, Question, ResourcePolicy, Who, decide};
pub use document::{Invalid, Kind, Policy};
pub use principal::{Grantee, Principals};
pub use statement::{Effect, Statement};
