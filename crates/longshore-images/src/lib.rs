//! What container images are made of, and what is decided about them: digests, names, tags, manifests, which tags may
//! move, which images a lifecycle policy expires.
//!
//! Start reading at [`manifest`] (what a registry has to know of one) and [`lifecycle`] (what goes, and by which rule).
//!
//! Invariants: a value of these types is valid; a [`Digest`] is the only thing that a path of a file is ever made from;
//! a manifest's bytes are never written again from what was read of them.
//!
//! It does not know: where bytes are, who may do what, HTTP.

pub mod digest;
pub mod lifecycle;
pub mod manifest;
pub mod mutability;
pub mod names;
mod pattern;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use names::{RepositoryName, Tag};
pub use pattern::Pattern;
