//! The shapes of the Amazon ECS API, version 2014-11-13, as Rust types.
//!
//! Everything below `generated/` is written by `cargo xtask codegen` from `models/ecs.json`. Start
//! reading at [`ops`], which ties an operation to its types; [`schema`] holds the same shapes as
//! static data.
//!
//! Invariants: every member is optional, whatever the model demands, because a request may lack
//! it; `Violations::of` says what is missing. Types here are what the wire says, never
//! what the domain means, and nothing here knows which protocol carries them.

mod generated;

pub use generated::*;
