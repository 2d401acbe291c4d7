//! What serving an AWS API means: the port between the edge of HTTP and what answers.
//!
//! Start at [`Api`]: one implementation per service, in the `longshore-api-*` crates. It gets a [`Request`] whose
//! signature was accepted (or that needs none) and whose operation is one that it builds, and gives a [`Reply`].
//! [`Sockets`] is the same for the two sockets of agents, [`Place`] for what is no API of AWS's. `longshore-front` is what calls them.
//!
//! Invariants: nothing here does I/O; a body is read within the limits of whoever made it; no `Debug` text shows the
//! value of a header or of a parameter.
//!
//! It does not know: hyper, TLS, how a signature is verified, or any particular service.

mod body;
mod call;
mod place;
mod principal;
mod socket;

use std::future::Future;
use std::pin::Pin;

pub use body::{Body, BodyError};
pub use call::{Call, Head, Request, RequestId};
pub use place::{Place, Visit};
pub use principal::{Limits, Principal, PrincipalKind, Session, SessionSource};
pub use socket::{Duplex, Message, NotText, Refusal, Socket, SocketError, SocketHandler, Sockets, Text};

use longshore_wire::route::{Known, ServiceFacts};

/// How an operation takes the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// All of it has come, and its signature was verified, before the operation is called.
    Whole,
    /// As it comes, at most this many bytes, decoded. The client is read only as fast as the operation takes the
    /// pieces.
    ///
    /// The caller is proven by then, the body is not: a hash or a checksum shows at its end whether it is the one that
    /// was signed. So nothing may take effect before the stream has ended without an error; a trailers frame, if there
    /// is one, has the checksums. What the operation leaves is read after it, and an answer of success becomes an
    /// error if the body was not what it claimed.
    Stream { bytes_max: u64 },
}

/// What a method returns that would be `async fn`, were its trait not used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer: status, headers, and a body that may come in pieces.
pub type Reply = longshore_wire::Reply<Body>;

/// One AWS API.
///
/// `call` gets only requests with an accepted signature, or of operations that [need none](Api::takes_unsigned). Its
/// future may be dropped at any `await` (the client left, the deadline passed), so whatever must not be torn apart
/// happens elsewhere. A panic is answered with `InternalFailure` and counted.
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

    /// How this operation takes the body of a request.
    fn intake(&self, operation: &str) -> Intake {
        let _ = operation;
        Intake::Whole
    }

    /// Whether this operation is for everybody, so that it needs no signature. One that is there has to be right all
    /// the same. Who gives none is [`PrincipalKind::Anonymous`].
    fn takes_unsigned(&self, operation: &str) -> bool {
        let _ = operation;
        false
    }

    /// Whether a request without a signature is for this API, as far as its head tells. It is for APIs that are called
    /// by paths (S3): only they know whether `/photos` is one of their buckets. Asked only of what nobody else serves.
    fn claims(&self, head: &Head) -> bool {
        let _ = head;
        false
    }

    /// Answers one operation, in the protocol of the request.
    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply>;
}

/// How the router knows an API that is served.
pub fn known(api: &dyn Api) -> Known {
    Known { facts: api.facts(), built: Some(api.operations()) }
}
