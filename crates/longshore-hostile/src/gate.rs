//! How the server is reached: TCP, or TLS over it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longshore_client::HttpClient;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The server's address, and whether it is spoken to in TLS.
#[derive(Clone, Debug)]
pub struct Gate {
    pub address: SocketAddr,
    /// TLS instead of plain HTTP.
    tls: Option<Arc<ClientConfig>>,
}

/// A certificate with its key, as PEM, for a server that listens on loopback.
pub struct Certificate {
    pub chain: String,
    pub key: String,
    client: Arc<ClientConfig>,
}

impl Certificate {
    pub fn make() -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).context("the certificate is its own root")?;
        let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), client: Arc::new(client) })
    }
}

impl Gate {
    pub fn new(address: SocketAddr, certificate: Option<&Certificate>) -> Self {
        Self { address, tls: certificate.map(|certificate| certificate.client.clone()) }
    }

    /// For clients that behave.
    pub fn http(&self) -> HttpClient {
        HttpClient::new(self.tls.clone())
    }

    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls() { "https" } else { "http" }, self.address)
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// A connection on which HTTP can be spoken. Blocks, at most for `patience` at a time.
    pub fn open(&self, patience: Duration) -> io::Result<Wire> {
        let stream = self.open_bare(patience)?;
        let Some(config) = &self.tls else { return Ok(Wire::Plain(stream)) };
        let mut tls = StreamOwned::new(self.client(config)?, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Wire::Tls(Box::new(tls)))
    }

    /// A connection on which nothing was said yet, not even a handshake.
    pub fn open_bare(&self, patience: Duration) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(stream)
    }

    /// The first message of a handshake; nothing without TLS.
    pub fn hello(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(config) = &self.tls {
            self.client(config)?.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn client(&self, config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
        let name = ServerName::from(self.address.ip());
        ClientConnection::new(config.clone(), name).map_err(io::Error::other)
    }
}

/// An open connection.
#[derive(Debug)]
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Says that nothing more will come.
    pub fn half_close(&mut self) {
        // An error means that the server has closed already, which reading will tell.
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.conn.write_tls(&mut stream.sock);
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
