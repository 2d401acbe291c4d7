//! API calls over HTTP/1.1, with connections kept and shared by all agents of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::io::{ConnectError, Origin, Stream};
use super::signer::Signer;
use crate::api::{ApiError, TARGET_PREFIX};

/// How long a call may take (agent-protocol G3: about 42 s).
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// The largest answer that is read. A registration echoes some hundred attributes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How many unused connections to one server are kept.
const IDLE_MAX: usize = 32;

type Connection = SendRequest<Full<Bytes>>;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("{0:?} is no http or https address")]
    Endpoint(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its answer to a request without TLS is none.
    #[error(
        "the server does not speak plain HTTP; with TLS write https:// in front: ECS_BACKEND_HOST=https://{0}"
    )]
    NoHttp(String),
    #[error("the connection was lost")]
    Lost(#[source] hyper::Error),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The error and its causes on one line, for the log.
fn with_causes(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl SendError {
    fn of_exchange(origin: &Origin, error: hyper::Error) -> Self {
        if error.is_parse() && !origin.is_tls { Self::NoHttp(origin.to_string()) } else { Self::Lost(error) }
    }
}

/// A handle; clones share the connections.
#[derive(Clone, Default)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tls: Option<Arc<rustls::ClientConfig>>,
    idle: Mutex<BTreeMap<Origin, Vec<Connection>>>,
}

impl HttpClient {
    /// `tls` verifies servers whose address begins with https; without it they cannot be reached.
    pub fn new(tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self { shared: Arc::new(Shared { tls, idle: Mutex::default() }) }
    }

    /// A new connection of its own, for a socket.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Box<dyn Stream>, ConnectError> {
        origin.connect(self.shared.tls.as_ref()).await
    }

    /// Signs and makes one call; gives the body of a 200 answer.
    pub(super) async fn call(
        &self,
        endpoint: &str,
        signer: &Signer,
        operation: &str,
        body: String,
    ) -> Result<Vec<u8>, ApiError> {
        let transport = |error: &dyn std::fmt::Display| ApiError::Transport(error.to_string());
        let uri: Uri = endpoint.parse().map_err(|error| transport(&error))?;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let target = format!("{TARGET_PREFIX}.{operation}");
        let body = Bytes::from(body);
        let headers = [
            ("host", host),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let signed = signer.sign("POST", "/", "", &headers, &body);
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in &signed {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| transport(&error))?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.send(endpoint, request)).await;
        let answer = answer.map_err(|_| transport(&"timed out"))?;
        let (status, body) = answer.map_err(|error| ApiError::Transport(with_causes(&error)))?;
        if status == 200 { Ok(body) } else { Err(ApiError::of_answer(status, &body)) }
    }

    /// Sends a request to the server whose address begins with `endpoint`; gives the status and the body of the answer.
    /// The request may be sent twice.
    pub async fn send(
        &self,
        endpoint: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<(u16, Vec<u8>), SendError> {
        let origin = endpoint.parse().ok().and_then(|uri| Origin::of(&uri));
        let origin = origin.ok_or_else(|| SendError::Endpoint(endpoint.to_owned()))?;
        // A kept connection may have been closed by the other side in this very moment: then once more with
        // a new one.
        if let Some(connection) = self.take(&origin)
            && let Ok(answer) = self.exchange(&origin, connection, request.clone()).await
        {
            return Ok(answer);
        }
        let connection = self.open(&origin).await?;
        self.exchange(&origin, connection, request).await
    }

    async fn exchange(
        &self,
        origin: &Origin,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<(u16, Vec<u8>), SendError> {
        let failed = |error: hyper::Error| SendError::of_exchange(origin, error);
        connection.ready().await.map_err(failed)?;
        let answer = connection.send_request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(SendError::Body)?.to_bytes().to_vec();
        self.give_back(origin, connection);
        Ok((status, body))
    }

    async fn open(&self, origin: &Origin) -> Result<Connection, SendError> {
        let stream = self.connect(origin).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (connection, driver) = handshake.map_err(|error| SendError::of_exchange(origin, error))?;
        // Ends when the connection does, which is when the last handle to it is dropped.
        tokio::spawn(async move {
            let _ = driver.await;
        });
        Ok(connection)
    }

    fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(origin)?;
        while let Some(connection) = kept.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(&self, origin: &Origin, connection: Connection) {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(origin.clone()).or_default();
        if kept.len() < IDLE_MAX && !connection.is_closed() {
            kept.push(connection);
        }
    }
}
