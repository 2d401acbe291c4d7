//! The HTTP edge: one port, every API.
//!
//! Start at [`serve`]; `Api`, `Sockets` and `Place` of [`longshore_api`] are what it serves. A request goes through
//! `handle`: a request id, whether a web page may have sent it ([`Site`]), where it goes
//! ([`longshore_wire::route`]). What goes to an API continues in `call`: its body within limits, the signature
//! ([`longshore_identity`]), the operation with a deadline and with panics caught, the answer in the request's protocol.
//!
//! Invariants:
//! - No handler sees a request whose signature was not accepted, unless its operation needs none, nor a body above the
//!   limit. Where an operation takes its body as it comes, no success is told before all of it was verified.
//! - No web page of another origin commands the server, in any mode ([decision 25](../../../docs/decisions/0025-foreign-pages.md)).
//! - Whatever a client does, it holds one connection slot, bounded buffers and bounded time.
//! - Every answer carries `x-amzn-RequestId` (S3's: `x-amz-request-id`), but for those that the HTTP parser itself
//!   gives (400, 408, 431), where there is no request yet.
//! - What is not served is told so, in the protocol of the request and with a 4xx, so that no client tries again.
//! - No `Authorization` header, query or body is logged.
//!
//! It does not know: shapes (bodies are bytes), what an operation does, how agents talk
//! once their socket is open. That plain HTTP is for loopback only (design 2) is the program's
//! rule, which knows the flags; this crate serves TLS when it is given a certificate.

mod answer;
mod body;
mod call;
mod config;
mod cors;
mod handle;
mod handshake;
mod hello;
mod meter;
mod patience;
mod place;
mod ready;
mod server;
mod site;
mod socket;
mod stream;
mod transcript;

pub use config::{Config, Limits, Tls, TlsError};
pub use ready::Ready;
pub use server::{Bound, Ended, Running, ServeError, Services, serve};
pub use site::{Origin, Site};
