//! HTTP/1.1 over connections that are kept and shared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use longshore_wire::Received;
use tokio::time::Instant;

use crate::origin::{ConnectError, Origin, Stream};
use crate::request::Request;

/// The largest answer that is read. A description of 100 tasks has some 300 KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How many unused connections to one server are kept. More come and go with the calls that need them.
const IDLE_MAX: usize = 64;

/// How long a connection is kept for another request. Servers end those that do nothing: ours after 30 s, an AWS load
/// balancer after 60 s. Whoever sends in that moment cannot know whether the request was read.
const IDLE_FOR: Duration = Duration::from_secs(20);

type Connection = SendRequest<Full<Bytes>>;

/// Whether a request may arrive twice, where a kept connection broke before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is sent again only if it surely never left.
    Never,
    /// Twice is as good as once.
    Harmless,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the request cannot be written")]
    Malformed(#[source] http::Error),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// What came back over a connection without TLS is no HTTP: often a server that wants TLS.
    #[error("{0} does not speak plain HTTP")]
    NoHttp(String),
    #[error("the connection to {server} was lost")]
    Lost { server: String, source: hyper::Error },
    #[error("the answer of {server} cannot be read")]
    Body { server: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{server} did not answer within {after:?}")]
    TimedOut { server: String, after: Duration },
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Shows the answer as `longshore-wire` reads it, with the headers that are text.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Received<'_>) -> T) -> T {
        let headers =
            self.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers: Vec<(&str, &str)> = headers.collect();
        read(&Received { status: self.status, headers: &headers, body: &self.body })
    }
}

/// A request that got no answer over one connection.
struct Failed {
    error: SendError,
    /// The server cannot have seen any of it.
    never_left: bool,
}

/// A handle; clones share the connections.
#[derive(Clone, Default)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tls: Option<Arc<rustls::ClientConfig>>,
    idle: Mutex<BTreeMap<Origin, Vec<(Connection, Instant)>>>,
}

impl HttpClient {
    /// `tls` verifies servers whose address begins with https; without it they cannot be reached.
    pub fn new(tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self { shared: Arc::new(Shared { tls, idle: Mutex::default() }) }
    }

    /// A new connection of its own, for a socket.
    pub async fn connect(&self, origin: &Origin) -> Result<Box<dyn Stream>, ConnectError> {
        origin.connect(self.shared.tls.as_ref()).await
    }

    /// Sends a request and reads the whole answer, all within `timeout`.
    ///
    /// # Errors
    /// There is no answer, or none that is HTTP, or it is larger than 16 MiB.
    pub async fn send(
        &self,
        origin: &Origin,
        request: Request,
        repeat: Repeat,
        timeout: Duration,
    ) -> Result<Answer, SendError> {
        let in_time = tokio::time::timeout(timeout, self.send_without_limit(origin, request, repeat)).await;
        in_time.unwrap_or_else(|_| Err(SendError::TimedOut { server: origin.to_string(), after: timeout }))
    }

    async fn send_without_limit(
        &self,
        origin: &Origin,
        request: Request,
        repeat: Repeat,
    ) -> Result<Answer, SendError> {
        let request = request.into_http().map_err(SendError::Malformed)?;
        // A kept connection may have been closed by the other side meanwhile: then once more with a new one.
        if let Some(connection) = self.take(origin) {
            match self.exchange(origin, connection, request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Failed { error, never_left }) if !never_left && repeat == Repeat::Never => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let connection = self.open(origin).await?;
        self.exchange(origin, connection, request).await.map_err(|failed| failed.error)
    }

    /// One request over one connection, which is kept for another one if the answer came whole.
    async fn exchange(
        &self,
        origin: &Origin,
        mut connection: Connection,
        request: http::Request<Full<Bytes>>,
    ) -> Result<Answer, Failed> {
        let lost = |error, never_left| Failed { error: of_exchange(origin, error), never_left };
        connection.ready().await.map_err(|error| lost(error, true))?;
        let answer = connection.try_send_request(request).await.map_err(|mut error| {
            let never_left = error.take_message().is_some();
            lost(error.into_error(), never_left)
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|source| Failed {
            error: SendError::Body { server: origin.to_string(), source },
            never_left: false,
        })?;
        self.give_back(origin, connection);
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    }

    async fn open(&self, origin: &Origin) -> Result<Connection, SendError> {
        let stream = self.connect(origin).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (connection, driver) = handshake.map_err(|error| of_exchange(origin, error))?;
        // Ends when the connection does, which is when the last handle to it is dropped.
        tokio::spawn(async move {
            let _ = driver.await;
        });
        Ok(connection)
    }

    /// A kept connection to this server that is still open, the one that was used last.
    fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(origin)?;
        while let Some((connection, since)) = kept.pop() {
            if since.elapsed() > IDLE_FOR {
                // It was used last: all others have waited longer still.
                kept.clear();
            } else if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(&self, origin: &Origin, connection: Connection) {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(origin.clone()).or_default();
        if kept.len() < IDLE_MAX && !connection.is_closed() {
            kept.push((connection, Instant::now()));
        }
    }
}

/// Why an exchange failed, with the server's name.
fn of_exchange(origin: &Origin, error: hyper::Error) -> SendError {
    let server = origin.to_string();
    if error.is_parse() && !origin.is_tls {
        SendError::NoHttp(server)
    } else {
        SendError::Lost { server, source: error }
    }
}
