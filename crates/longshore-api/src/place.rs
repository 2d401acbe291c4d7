//! What is served below paths of its own, in a protocol that is none of AWS's: a registry of images.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Response;
use longshore_base::Timestamp;

use crate::{Body, BoxFuture, Head, RequestId};

/// A request, as it came. Nobody has looked at a signature or a password.
pub struct Visit {
    pub request_id: RequestId,
    /// When its head was there.
    pub now: Timestamp,
    /// The other end of the connection, be it a proxy.
    pub source_ip: IpAddr,
    /// It came over TLS.
    pub is_secure: bool,
    pub head: Arc<Head>,
    /// As it comes. The client is read only as fast as the pieces are taken; how long it may pause is the edge's affair.
    pub body: Body,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("request_id", &self.request_id)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// Whatever answers below some paths, authenticating by itself.
///
/// The future may be dropped at any `await`, when the client has left. A panic is answered with 500 and counted.
pub trait Place: Send + Sync {
    /// Whether the path is one of ours.
    fn serves(&self, path: &str) -> bool;

    fn answer(&self, visit: Visit) -> BoxFuture<'_, Response<Body>>;
}
