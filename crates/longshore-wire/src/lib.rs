//! Bytes to shapes and back: the AWS protocols, told apart from the shapes they carry.
//!
//! Start reading at [`schema`] (what a shape looks like, as static data) and [`shape`] (the two
//! object-safe traits between a shape and a protocol). [`json`] is the first protocol, awsJson 1.0
//! and 1.1; Query, EC2 and RPC-CBOR will be further implementations of the same two traits.
//! [`operation`] puts one call together: choose the operation, decode, run, encode; [`fault`] holds
//! what a call may answer instead of its output. [`token`] is where a list goes on.
//!
//! Invariants: decoding never panics and uses memory in proportion to the body; a shape knows
//! nothing of the protocol that carries it; a member that the model marks sensitive never reaches
//! a `Debug` text, a violation or a decoding error.
//!
//! What it does not know: any particular service, HTTP, signatures, or what a value means.

pub mod cbor;
pub mod check;
mod debug;
pub mod document;
mod enums;
pub mod fault;
pub mod form;
pub mod json;
pub mod operation;
mod pattern;
pub mod query;
pub mod schema;
pub mod shape;
mod timestamp;
pub mod token;
pub mod xml;

pub use check::{Rule, Violation, Violations};
pub use debug::debug_structure;
pub use document::Document;
pub use fault::{ErrorShape, Fault, GenericError, ModeledError};
pub use operation::{OperationShape, Protocol, ReceivedError, Reply, ReplyError};
pub use schema::{Kind, MemberSchema, StructSchema, TypeSchema};
pub use shape::{Blob, DecodeError, Shape, ShapeReader, ShapeWriter, Structure};
