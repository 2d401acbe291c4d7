//! API calls over HTTP/1.1, with connections kept and shared by all agents of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::io::{Origin, Stream};
use super::signer::Signer;
use crate::api::{ApiError, TARGET_PREFIX};

/// How long a call may take (agent-protocol G3: about 42 s).
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// The largest answer that is read. A registration echoes some hundred attributes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How many unused connections to one server are kept.
const IDLE_MAX: usize = 32;

type Connection = SendRequest<Full<Bytes>>;

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
    pub(super) async fn connect(&self, origin: &Origin) -> std::io::Result<Box<dyn Stream>> {
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
        let origin = Origin::of(&uri).ok_or_else(|| transport(&"the endpoint is no http address"))?;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let target = format!("{TARGET_PREFIX}.{operation}");
        let body = Bytes::from(body);
        let headers = [
            ("host", host),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let signed = signer.sign("POST", "/", "", &headers, &body);
        let request = || {
            let mut request = Request::post("/");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            for (name, value) in &signed {
                request = request.header(*name, value);
            }
            request.body(Full::new(body.clone())).map_err(|error| transport(&error))
        };
        let exchange = async {
            // A kept connection may have been closed by the other side in this very moment: then once more with
            // a new one. All our calls may be repeated.
            if let Some(connection) = self.take(&origin)
                && let Ok(answer) = self.exchange(&origin, connection, request()?).await
            {
                return Ok(answer);
            }
            let connection = self.open(&origin).await.map_err(|error| transport(&error))?;
            self.exchange(&origin, connection, request()?).await
        };
        let answer = tokio::time::timeout(CALL_TIMEOUT, exchange).await;
        let (status, body) = answer.map_err(|_| transport(&"timed out"))??;
        if status == 200 { Ok(body) } else { Err(ApiError::of_answer(status, &body)) }
    }

    async fn exchange(
        &self,
        origin: &Origin,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<(u16, Vec<u8>), ApiError> {
        let failed = |error: &dyn std::fmt::Display| ApiError::Transport(error.to_string());
        connection.ready().await.map_err(|error| failed(&error))?;
        let answer = connection.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| failed(&error))?.to_bytes().to_vec();
        self.give_back(origin, connection);
        Ok((status, body))
    }

    async fn open(&self, origin: &Origin) -> std::io::Result<Connection> {
        let stream = self.connect(origin).await?;
        let (connection, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
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
