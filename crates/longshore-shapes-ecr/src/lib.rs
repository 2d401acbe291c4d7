//! The shapes of Amazon ECR, API version 2015-09-21, as Rust types: those that the operations of `models/manifest.toml` need.
//!
//! Everything below `generated/` is written by `cargo xtask codegen` from `models/ecr.json`. Start reading at
//! [`ops`], which ties an operation to its types; [`schema`] holds the same shapes as static data.
//!
//! Invariants: those of `longshore-shapes-ecs`. Every member is optional, and nothing here knows which protocol carries it.

mod generated;

pub use generated::*;
