//! Where a server is, and connections to it: TCP, with TLS if its address says https.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long a connection may take to open, the TLS handshake included. Long enough for the third repetition of a lost
/// SYN, and what the official agent allows for a handshake (agent-protocol G5).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A byte stream, whatever is under it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// Of an `http`, `https`, `ws` or `wss` address; 80 and 443 are the default ports. `None` for any other.
    pub fn of(uri: &Uri) -> Option<Self> {
        let is_tls = match uri.scheme_str()? {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return None,
        };
        let written = uri.host()?;
        let port = match uri.port_u16() {
            Some(port) => port,
            // The crate `http` says that there is no port where the port is not valid, such as 99999.
            None if uri.authority()?.as_str().ends_with(written) => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        let host = written.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { is_tls, host, port })
    }

    /// Opens a connection. `tls` verifies the server's certificate if its address says https.
    ///
    /// # Errors
    /// Nobody listens, the handshake did not end within [`CONNECT_TIMEOUT`], or the server's certificate is refused.
    pub async fn connect(
        &self,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> Result<Box<dyn Stream>, ConnectError> {
        let in_time = tokio::time::timeout(CONNECT_TIMEOUT, self.connect_without_limit(tls)).await;
        in_time.unwrap_or_else(|_| Err(self.failed(io::ErrorKind::TimedOut.into())))
    }

    async fn connect_without_limit(
        &self,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> Result<Box<dyn Stream>, ConnectError> {
        let failed = |error| self.failed(error);
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        // Frames and requests are small and complete: waiting to fill a packet only delays them.
        stream.set_nodelay(true).map_err(failed)?;
        if !self.is_tls {
            return Ok(Box::new(stream));
        }
        let tls = tls.ok_or_else(|| ConnectError::NoAuthorities(self.to_string()))?;
        // The host alone. The official agent takes `host:port` for the name, so that verification works for it on
        // port 443 only (agent-protocol G2).
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other).map_err(failed)?;
        let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| self.handshake_failed(error))?))
    }

    fn failed(&self, source: io::Error) -> ConnectError {
        ConnectError::Io { server: self.to_string(), source }
    }

    fn handshake_failed(&self, error: io::Error) -> ConnectError {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            // A server without TLS answers with what is no TLS at all.
            Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                ConnectError::PlainHttp(self.to_string())
            }
            Some(cause @ rustls::Error::InvalidCertificate(why)) => {
                let (server, source) = (self.to_string(), cause.clone());
                if is_about_name_or_dates(why) {
                    ConnectError::WrongNameOrDates { server, source }
                } else {
                    ConnectError::Untrusted { server, source }
                }
            }
            _ => self.failed(error),
        }
    }
}

/// Whether a certificate is refused for the names or the dates in it. Trusting its issuer would not help.
fn is_about_name_or_dates(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Why there is no connection. Every text names the server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot connect to {server}")]
    Io { server: String, source: io::Error },
    #[error("there are no certificates to verify {0} with")]
    NoAuthorities(String),
    /// The server answers a TLS handshake with something else than TLS.
    #[error("{0} speaks plain HTTP, not TLS")]
    PlainHttp(String),
    #[error("the certificate of {server} is not trusted")]
    Untrusted { server: String, source: rustls::Error },
    #[error("the certificate of {server} is not for this name or this time")]
    WrongNameOrDates { server: String, source: rustls::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_for_another_name_is_told_from_one_that_is_not_trusted() {
        let origin = Origin { is_tls: true, host: "ecs.example".into(), port: 8722 };
        for (why, is_wrong) in [
            (CertificateError::NotValidForName, true),
            (CertificateError::Expired, true),
            (CertificateError::NotValidYet, true),
            (CertificateError::UnknownIssuer, false),
            (CertificateError::BadSignature, false),
        ] {
            let error = io::Error::other(rustls::Error::InvalidCertificate(why.clone()));
            let said = origin.handshake_failed(error);
            assert_eq!(matches!(said, ConnectError::WrongNameOrDates { .. }), is_wrong, "{why:?}: {said}");
            assert_eq!(matches!(said, ConnectError::Untrusted { .. }), !is_wrong, "{why:?}: {said}");
        }
    }

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
        assert!(
            matches!(&error, ConnectError::PlainHttp(server) if *server == origin.to_string()),
            "{error}"
        );
        server.abort();
    }
}
