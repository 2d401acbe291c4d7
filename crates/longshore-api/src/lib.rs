//! What serving an AWS API means: the port between the edge of HTTP and what answers.
//!
//! Start at [`Api`]: one implementation per service, in the `longshore-api-*` crates. It gets a [`Request`] whose
//! signature was accepted and whose operation is one that it builds, and gives a [`Reply`]. [`Sockets`] is the same for
//! the two sockets of agents. `longshore-front` is what calls them.
//!
//! Invariants: nothing here does I/O; a body is read within the limits of whoever made it; no `Debug` text shows the value
//! of a header or of a parameter.
//!
//! It does not know: hyper, TLS, how a signature is verified, or any particular service.

mod body;
mod call;
mod principal;
mod socket;

use std::future::Future;
use std::pin::Pin;

pub use body::{Body, BodyError};
pub use call::{Call, Head, Request, RequestId};
pub use principal::{Principal, PrincipalKind};
pub use socket::{Duplex, Message, NotText, Refusal, Socket, SocketError, SocketHandler, Sockets, Text};

use longshore_wire::route::{Known, ServiceFacts};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer. Its body may come in pieces.
pub type Reply = longshore_wire::Reply<Body>;

/// One AWS API.
///
/// `call` gets only requests with an accepted signature. Its future may be dropped at any `await`
/// (the client left, the deadline passed), so whatever must not be torn apart happens elsewhere.
/// A panic is answered with `InternalFailure` and counted.
pub trait Api: Send + Sync {
    /// What is known of the service: its names, its protocols, all of its operations.
    fn facts(&self) -> &'static ServiceFacts;

    /// The operations that are built. A request for another one is told so before it gets here.
    fn operations(&self) -> &'static [&'static str] {
        self.facts().operations
    }

    /// The longest body of a request for this operation, in bytes; `None` for what the server takes from everybody.
    fn body_bytes_max(&self, operation: &str) -> Option<usize> {
        let _ = operation;
        None
    }

    /// Answers one operation, in the protocol of the request.
    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply>;
}

/// How the router knows an API that is served.
pub fn known(api: &dyn Api) -> Known {
    Known { facts: api.facts(), built: Some(api.operations()) }
}
