//! Bytes to shapes and back: the AWS protocols, told apart from the shapes they carry.
//!
//! Start reading at [`schema`] (what a shape looks like, as static data) and [`shape`] (the two
//! object-safe traits between a shape and a protocol). Each format implements them: [`json`], [`query`] (forms),
//! [`xml`], [`cbor`], and [`rest`], which spreads a structure over path, headers and body. [`Protocol`] joins them to the
//! seven protocols of AWS.
//! [`route`] says which operation of which service a request asks for, and in which protocol; [`operation`] puts one
//! call together: decode, run, encode; [`event_stream`] frames answers that go on; [`fault`] and [`generic`] hold what a
//! call may answer instead of its output. [`client`] is the other half: requests are written and answers read. [`token`]
//! is where a list goes on.
//!
//! Invariants: decoding never panics and uses memory in proportion to the body; a shape knows
//! nothing of the protocol that carries it; a member that the model marks sensitive never reaches
//! a `Debug` text, a violation or a decoding error.
//!
//! What it does not know: any particular service (their facts are arguments), HTTP, signatures, or what a value means.

pub mod cbor;
pub mod check;
pub mod client;
mod debug;
pub mod document;
mod enums;
pub mod event_stream;
pub mod fault;
mod filled;
pub mod form;
pub mod generic;
pub mod json;
pub mod operation;
mod pattern;
mod protocol;
pub mod query;
mod reply;
pub mod rest;
pub mod route;
pub mod schema;
pub mod shape;
mod text;
mod timestamp;
pub mod token;
pub mod xml;

pub use check::{Rule, Violation, Violations};
pub use client::{NotWritten, Received, Written};
pub use debug::debug_structure;
pub use document::Document;
pub use fault::{Denied, ErrorShape, Fault, ModeledError};
pub use generic::{GenericError, GenericErrorKind};
pub use operation::{Ask, OperationShape, ReceivedError};
pub use protocol::{Family, Protocol, ServiceSchema};
pub use reply::{Reply, ReplyError};
pub use schema::{Kind, MemberSchema, StructSchema, TypeSchema};
pub use shape::{Blob, DecodeError, Shape, ShapeReader, ShapeWriter, Structure};
pub use timestamp::{iso8601, parse_iso8601};
