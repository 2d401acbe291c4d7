//! What the front serves: APIs and agent sockets, as object-safe ports.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use longshore_base::Timestamp;
use longshore_identity::Principal;
use tokio_tungstenite::WebSocketStream;

use crate::meter::Metered;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The UUID that names a request in its answer and in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn new(uuid: String) -> Self {
        Self(HeaderValue::from_maybe_shared(Bytes::from(uuid)).expect("a UUID is a valid header value"))
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a UUID is ASCII")
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks, when, and until when an answer is of use.
#[derive(Clone, Debug)]
pub struct Call {
    pub principal: Principal,
    pub request_id: RequestId,
    /// When the request was complete.
    pub now: Timestamp,
    /// After this the caller has got an error and nobody waits for the answer.
    pub deadline: Timestamp,
    pub source_ip: IpAddr,
    pub(crate) user_agent: Option<HeaderValue>,
}

impl Call {
    /// The caller's `User-Agent`, if it is text.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_ref()?.to_str().ok()
    }
}

/// An answer, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: Bytes,
    /// The error's code if this is one; for `x-amzn-ErrorType`, metrics and the log. It has to
    /// come from the model, not from the request.
    pub error_code: Option<Cow<'static, str>>,
}

/// The content type of the ECS protocol, awsJson1_1 (ecs-behaviour A1).
pub(crate) const JSON: &str = "application/x-amz-json-1.1";

impl Reply {
    /// A success in awsJson1_1.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type: JSON, body: body.into(), error_code: None }
    }

    /// An error in awsJson1_1 whose body is already encoded.
    pub fn json_error(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self { status, content_type: JSON, body: body.into(), error_code: Some(code.into()) }
    }
}

/// One AWS API.
///
/// `call` gets only requests with an accepted signature. Its future may be dropped at any `await`
/// (the client left, the deadline passed), so whatever must not be torn apart happens elsewhere.
/// A panic is answered with `InternalFailure` and counted.
pub trait Api: Send + Sync {
    /// The service in the credential scope: `ecs`.
    fn signing_name(&self) -> &str;

    /// What comes before the operation in `X-Amz-Target`: `AmazonEC2ContainerServiceV20141113`.
    fn target_prefix(&self) -> &str;

    /// Answers one operation. The name is untrusted: an unknown one gets
    /// `UnknownOperationException`.
    fn call<'a>(&'a self, call: Call, operation: &'a str, body: Bytes) -> BoxFuture<'a, Reply>;
}

/// An accepted websocket.
pub type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// What runs on an accepted socket until it ends. Dropped without warning when the server's grace
/// period is over.
pub type SocketHandler = Box<dyn FnOnce(Socket) -> BoxFuture<'static, ()> + Send>;

/// The sockets of agents: `/acs/ws` and `/tcs/ws` (agent-protocol G5, G9).
pub trait Sockets: Send + Sync {
    /// Whether `path` is one of ours. Everything else is 404 before any signature is read.
    fn serves(&self, path: &str) -> bool;

    /// Decides about an upgrade request whose signature was accepted. `query` is decoded, in the
    /// order of the request, without the parameters of a presigned signature.
    fn open<'a>(
        &'a self,
        call: Call,
        path: &'a str,
        query: Vec<(String, String)>,
    ) -> BoxFuture<'a, Result<SocketHandler, Refusal>>;
}

/// An upgrade that is refused, as the agent understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Refusal {
    /// `{"InactiveInstanceException": "text"}` and the like (agent-protocol G5, "Refusals").
    pub fn new(status: StatusCode, exception: &str, message: &str) -> Self {
        Self { status, body: serde_json::json!({ exception: message }).to_string().into() }
    }
}
