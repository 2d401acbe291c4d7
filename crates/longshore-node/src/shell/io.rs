//! Connections to a control plane: TCP, with TLS if its address says https.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream, whatever is under it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// `None` if it is no http or https address.
    pub fn of(uri: &Uri) -> Option<Self> {
        let is_tls = match uri.scheme_str()? {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { is_tls, host, port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }) })
    }

    pub async fn connect(
        &self,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> Result<Box<dyn Stream>, ConnectError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Frames and requests are small and complete: waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        if !self.is_tls {
            return Ok(Box::new(stream));
        }
        let tls = tls.ok_or(ConnectError::NoAuthorities)?;
        // The host alone. The official agent takes `host:port` for the name, so that verification works for it on
        // port 443 only (agent-protocol G2).
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| self.of_handshake(error))?))
    }

    fn of_handshake(&self, error: io::Error) -> ConnectError {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            // A server without TLS answers with what is no TLS at all.
            Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                ConnectError::PlainHttp(self.to_string())
            }
            Some(cause @ rustls::Error::InvalidCertificate(_)) => {
                ConnectError::Untrusted { server: self.to_string(), source: cause.clone() }
            }
            _ => ConnectError::Io(error),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Why there is no connection. The texts are for agents; who else connects has advice of its own.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("there are no certificates to verify a server with: set SSL_CERT_FILE")]
    NoAuthorities,
    #[error("the server speaks plain HTTP; write http:// in front: ECS_BACKEND_HOST=http://{0}")]
    PlainHttp(String),
    #[error(
        "the certificate of {server} is not trusted; set SSL_CERT_FILE to a copy of the one that it uses, tls-cert.pem in \
         its data directory"
    )]
    Untrusted { server: String, source: rustls::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read certificates from {path}")]
    Read { path: String, source: rustls::pki_types::pem::Error },
    #[error("there are no usable certificates in {path}")]
    Empty { path: String },
    #[error("cannot set TLS up")]
    Setup(#[source] rustls::Error),
}

/// Verifies servers against the authorities in PEM files, e.g. `SSL_CERT_FILE` or
/// `/etc/ssl/certs/ca-certificates.crt`. Each file has to have some.
pub fn tls_config(authorities: &[PathBuf]) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    for file in authorities {
        let path = || file.display().to_string();
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| TlsError::Read { path: path(), source })?;
        let (added, _unusable) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(TlsError::Empty { path: path() });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_know_their_port() {
        let of = |text: &str| {
            let origin = Origin::of(&text.parse().expect("a URI"))?;
            Some((origin.is_tls, origin.host, origin.port))
        };
        assert_eq!(of("http://127.0.0.1:8722/acs"), Some((false, "127.0.0.1".into(), 8722)));
        assert_eq!(of("https://ecs.example"), Some((true, "ecs.example".into(), 443)));
        assert_eq!(of("http://[::1]:80"), Some((false, "::1".into(), 80)));
        assert_eq!(of("ftp://x"), None);
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_apart() {
        use tokio::io::AsyncWriteExt;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("it listens");
            // Closed by the client, who has seen enough.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the usual versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let origin = Origin { is_tls: true, host: "127.0.0.1".into(), port };
        let error = origin.connect(Some(&Arc::new(config))).await.err().expect("no TLS");
        assert!(error.to_string().ends_with(&format!("ECS_BACKEND_HOST=http://127.0.0.1:{port}")), "{error}");
        server.abort();
    }
}
