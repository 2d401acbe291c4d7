//! The one HTTP client: calls of AWS APIs, signed, over connections that are kept.
//!
//! Start at [`Client`]: an endpoint, a principal, and [`Client::call`] for any operation with shapes, in any protocol
//! that `longshore-wire` writes. Below it are [`HttpClient`], which keeps connections and knows nothing of AWS,
//! [`Endpoint`] and [`Origin`] (where a server is, and connections to it), [`Trust`] (whose certificates are trusted),
//! and [`Signer`], for whoever has more to sign than a call: an upgrade, or a message on a socket. [`Retry`] is the
//! SDKs' standard mode, for who asks for it.
//!
//! Invariants:
//! - A request is sent a second time only if it never left, if it may arrive twice (its operation says so, or the caller
//!   does), or if the caller wants retries; those carry an idempotency token wherever the model has one.
//! - Every wait has an end: for a connection, for an answer, for its last byte. An answer has a largest size.
//! - Errors name the server and say what was wrong with it. What to do about it depends on who asks, so the callers say
//!   that: an agent by its variables, a verb by its options.
//! - No secret is in an error or in a `Debug` text.
//!
//! What it does not know: where credentials come from, proxies (`HTTP_PROXY` is not looked at), HTTP/2, requests in the
//! REST protocols, and bodies in pieces.

mod call;
mod clock;
mod endpoint;
mod http;
mod origin;
mod request;
mod retry;
mod signer;
mod trust;

pub use call::{CallError, Client};
pub use clock::SystemClock;
pub use endpoint::{Endpoint, EndpointError};
pub use http::{Answer, HttpClient, Repeat, SendError};
pub use origin::{ConnectError, Origin, Stream};
pub use request::Request;
pub use retry::{ATTEMPTS_MAX, Retry};
pub use signer::Signer;
pub use trust::{TlsError, Trust, fingerprint, is_self_issued, tls_config, tls_config_pinned};
