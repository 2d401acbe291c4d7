//! What a program decides about its port.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Seed;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::transcript;

use crate::site::Site;

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// TLS instead of plain HTTP.
    pub tls: Option<Tls>,
    pub limits: Limits,
    /// Its names, and whose web pages may call it.
    pub site: Site,
    /// Feeds the request ids. Ids are public: give it a seed of its own.
    pub request_ids: Seed,
}

impl Config {
    pub fn new(listen: SocketAddr, request_ids: Seed) -> Self {
        Self { listen, tls: None, limits: Limits::default(), site: Site::default(), request_ids }
    }
}

/// The bounds on what clients can make us hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest request body, in bytes.
    ///
    /// The biggest useful ECS request is a task definition, at most 64 KiB; 512 KiB leaves room for the other APIs. What
    /// a request brings is stored twice at most (a service and its revision), and must fit one commit of the store.
    pub body_bytes_max: usize,
    /// The longest request head, in bytes. A session token may take several KiB, a header value
    /// of the SDKs seldom more. Also the size to which a connection's buffer may grow.
    pub head_bytes_max: usize,
    /// The longest message from an agent: a metrics frame has about 1 MiB (agent-protocol G9).
    pub socket_message_bytes_max: usize,
    /// How many connections are open at once; more wait in the listener's backlog. Each agent
    /// holds two.
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may wait for the next complete request head. Covers idle
    /// connections and heads that trickle in: both cost the same, a slot.
    pub head_timeout: Duration,
    /// How long a body may take from the end of its head.
    pub body_timeout: Duration,
    /// How long a body that is a stream may pause.
    pub stream_pause: Duration,
    /// What all bodies that are being read or answered may take together, in bytes, apart from the first
    /// 16 KiB of each. Without it, every connection could hold a body of the longest kind. A longer body
    /// waits for its share within its own time, and is refused with 503 after that; ordinary requests fit
    /// the free part.
    pub bodies_bytes_max: usize,
    /// What the messages of all agents' sockets may take together, in bytes, apart from the first 16 KiB of each
    /// socket's longest. A socket keeps its share until it ends; one that finds no room is ended when the time
    /// of a body is over. Enough for 30,000 sockets whose frames have 32 KiB: those of an agent with ten tasks.
    pub messages_bytes_max: usize,
    /// How long a client may go without taking a byte of what it was sent.
    pub write_timeout: Duration,
    /// How long an operation may take. Below the 42 s that agents wait (agent-protocol G3).
    pub request_timeout: Duration,
    /// How long open requests and sockets may go on after the shutdown signal.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 19,
            head_bytes_max: 64 << 10,
            socket_message_bytes_max: 4 << 20,
            connections_max: 25_000,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(20),
            stream_pause: Duration::from_secs(60),
            bodies_bytes_max: 256 << 20,
            messages_bytes_max: 512 << 20,
            write_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// A certificate chain with its key, ready to serve.
#[derive(Clone)]
pub struct Tls {
    pub(crate) ordinary: Arc<ServerConfig>,
    /// For clients whose name for the server was hidden (see `hello`).
    pub(crate) nameless: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate file holds no PEM certificate")]
    NoCertificate,
    #[error("failed to read the certificate as PEM")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    #[error("failed to read the private key as PEM")]
    Key(#[source] rustls::pki_types::pem::Error),
    #[error("the certificate and the private key do not work together")]
    Pair(#[source] rustls::Error),
}

impl Tls {
    /// Takes a PEM certificate chain, the server's own first, and its PEM key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        // The provider is named, so that another crate's feature cannot change it.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ordinary = server_config(provider, chain.clone(), key.clone_key()).map_err(TlsError::Pair)?;
        let mut nameless = server_config(transcript::provider(), chain, key).map_err(TlsError::Pair)?;
        // A session that is resumed would have been begun under another name, or none.
        nameless.session_storage = Arc::new(NoServerSessionStorage {});
        nameless.send_tls13_tickets = 0;
        Ok(Self { ordinary: Arc::new(ordinary), nameless: Arc::new(nameless) })
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
