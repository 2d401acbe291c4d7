//! A registry of images: OCI's distribution protocol 1.1 over the repositories of ECR (registry I7, I8; decision 54).
//!
//! Start at [`Registry`], the [`longshore_api::Place`] below `/v2/`. [`route`] says what a path asks for and [`range`]
//! what a range does, both without I/O; `uploads`, `blobs`, `manifests` and `lists` answer; [`Collector`] takes away
//! what nobody needs.
//!
//! Invariants: what is answered with 201 is durable; a caller is asked for permission before he learns whether something
//! is there; a blob is seen in repositories that have it, and nowhere else; a manifest is given back byte for byte; a
//! `Location` is spelled as the client spelled its request.
//!
//! Who comes in is asked of a [`Door`]; [`Doorman`] is that of a control plane, with sealed [`ticket`]s for passwords.
//!
//! It does not know: sockets, ECR's own API, how credentials are verified.

mod address;
mod answer;
mod blobs;
mod collector;
mod door;
mod doorman;
mod lists;
mod manifests;
pub mod permission;
pub mod range;
mod refusal;
mod registry;
pub mod route;
pub mod ticket;
mod uploads;

pub use address::Address;
pub use collector::{CollectError, Collected, Collector};
pub use door::{Door, Stranger, Token};
pub use doorman::{Doorman, USER};
pub use refusal::{Code, Refusal};
pub use registry::Registry;
