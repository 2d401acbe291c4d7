//! A server that reads requests and answers them as its script says, connection by connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use longshore_client::HttpClient;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to one request.
pub enum Step {
    Answer {
        status: u16,
        headers: &'static str,
        body: String,
        closes: bool,
    },
    /// The connection ends without an answer.
    Break,
    /// There is never an answer.
    Silence,
}

impl Step {
    pub fn answer(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: "", body: body.to_owned(), closes: false }
    }

    pub fn with(mut self, line: &'static str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            *headers = line;
        }
        self
    }

    pub fn then_close(mut self) -> Self {
        if let Self::Answer { closes, .. } = &mut self {
            *closes = true;
        }
        self
    }
}

#[derive(Clone)]
pub struct Seen {
    pub connection: usize,
    pub head: String,
    pub body: String,
}

impl Seen {
    /// The request line and the headers.
    pub fn parts(&self) -> (&str, Vec<(&str, &str)>) {
        let mut lines = self.head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        (line, lines.filter_map(|line| line.split_once(": ")).collect())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
}

pub struct Server {
    pub address: SocketAddr,
    is_tls: bool,
    shared: Arc<Shared>,
    closed: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        Self::listen(None, script).await
    }

    pub async fn start_tls(
        made: &rcgen::CertifiedKey<rcgen::KeyPair>,
        script: impl IntoIterator<Item = Step>,
    ) -> Self {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("they belong together");
        Self::listen(Some(tokio_rustls::TlsAcceptor::from(Arc::new(config))), script).await
    }

    async fn listen(tls: Option<tokio_rustls::TlsAcceptor>, script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let shared =
            Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let (told, closed) = watch::channel(0);
        let (own, is_tls) = (shared.clone(), tls.is_some());
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (shared, told, tls) = (own.clone(), told.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(&shared, connection, stream).await;
                            }
                        }
                        None => serve(&shared, connection, stream).await,
                    }
                    told.send_modify(|count| *count += 1);
                });
            }
        });
        Self { address, is_tls, shared, closed, accepting }
    }

    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// Waits until the server has closed a connection, and the client's runtime has looked at its sockets since.
    pub async fn has_closed(&self) {
        self.closed.clone().wait_for(|count| *count > 0).await.expect("the server lives");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(shared: &Shared, connection: usize, mut stream: S) {
    let mut bytes = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut bytes).await {
        // What is no HTTP is answered as such.
        if !head.contains("HTTP/1.1") {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            return;
        }
        shared.seen.lock().expect("not poisoned").push(Seen { connection, head, body });
        let step = shared.script.lock().expect("not poisoned").pop_front();
        match step.expect("nobody asks more often than the script says") {
            Step::Break => return,
            Step::Silence => return std::future::pending().await,
            Step::Answer { status, headers, body, closes } => {
                let line = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
                let head = format!("HTTP/1.1 {status} X\r\n{line}content-length: {}\r\n\r\n", body.len());
                // A client that has seen enough goes away.
                let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
                if closes {
                    return;
                }
            }
        }
    }
}

/// The next request; `None` if the client has closed. A handshake counts as a head that is no HTTP.
async fn request<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> Option<(String, String)> {
    let end = loop {
        if bytes.first() == Some(&0x16) {
            return Some((String::new(), String::new()));
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("heads are text");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    while bytes.len() < end + 4 + length {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).expect("bodies here are text");
    bytes.drain(..end + 4 + length);
    Some((head, body))
}

pub fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate")
}

/// A client that trusts this certificate.
pub fn trusting(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> HttpClient {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("it is its own root");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    HttpClient::new(Some(Arc::new(config)))
}
