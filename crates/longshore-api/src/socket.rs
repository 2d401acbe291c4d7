//! Sockets of agents, whatever library carries them.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use http::StatusCode;

use crate::{BoxFuture, Call};

/// What either side of a socket says. Whoever carries the socket answers pings, so that there are none here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Text(Text),
    Binary(Bytes),
    /// The last one. Who closes without a code says 1005 (RFC 6455, section 7.1.5).
    Close {
        code: u16,
        reason: Cow<'static, str>,
    },
}

/// Bytes that are known to be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("they were checked when this was made")
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// Bytes that should have been UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

impl TryFrom<Bytes> for Text {
    type Error = NotText;

    fn try_from(bytes: Bytes) -> Result<Self, NotText> {
        if std::str::from_utf8(&bytes).is_ok() { Ok(Self(bytes)) } else { Err(NotText) }
    }
}

impl fmt::Debug for Text {
    /// Its length: messages carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Why a socket is over that nobody closed.
pub type SocketError = Box<dyn std::error::Error + Send + Sync>;

/// Both directions of a socket.
pub trait Duplex:
    Stream<Item = Result<Message, SocketError>> + Sink<Message, Error = SocketError> + Send
{
}

impl<S> Duplex for S where
    S: Stream<Item = Result<Message, SocketError>> + Sink<Message, Error = SocketError> + Send
{
}

/// An accepted websocket.
pub type Socket = Pin<Box<dyn Duplex>>;

/// What runs on an accepted socket until it ends. Dropped without warning when the server's grace
/// period is over.
pub type SocketHandler = Box<dyn FnOnce(Socket) -> BoxFuture<'static, ()> + Send>;

/// The sockets of agents: `/acs/ws` and `/tcs/ws` (agent-protocol G5, G9).
pub trait Sockets: Send + Sync {
    /// Whether `path` is one of ours. Everything else is 404 before any signature is read.
    fn serves(&self, path: &str) -> bool;

    /// Decides about an upgrade request whose signature was accepted. `query` is decoded, in the
    /// order of the request, without the parameters of a presigned signature.
    ///
    /// # Errors
    /// The caller may not, or what it names is not there, or nobody serves sockets now.
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
    /// JSON, as [`Refusal::new`] makes it.
    pub body: Bytes,
}

impl Refusal {
    /// `{"InactiveInstanceException": "text"}` and the like (agent-protocol G5, "Refusals").
    pub fn new(status: StatusCode, exception: &str, message: &str) -> Self {
        Self { status, body: serde_json::json!({ exception: message }).to_string().into() }
    }
}
