//! The TLS handshake of a connection, and what the operator hears of those that fail.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use longshore_telemetry::Damper;
use rustls::{AlertDescription, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Tls;
use crate::hello::{self, Opened};

/// One failure is a browser that asks its user first, or a scan; the third is a client that cannot reach us.
const FAILURES_TOLD: u32 = 3;
/// How often a peer's failures are told, from how many peers they are counted at a time, and how many lines there are
/// at most in that time: peers cost nothing where addresses do not.
const TOLD_EVERY: Duration = Duration::from_secs(600);
const PEERS_MAX: usize = 1024;
const LINES_MAX: u32 = 20;

/// Why there is no connection.
pub(crate) enum Failed {
    /// The client did not even say hello: a probe of the port, or a connection kept for later.
    Unsaid(io::Error),
    Broken(io::Error),
}

/// Takes a connection's handshake, within `limit`.
pub(crate) async fn accept<S>(tls: &Tls, stream: S, limit: Duration) -> Result<TlsStream<Opened<S>>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = tokio::time::Instant::now() + limit;
    let late = |_elapsed| io::Error::from(io::ErrorKind::TimedOut);
    let opened = timeout_at(deadline, hello::open(stream)).await.map_err(late).flatten();
    let opened = opened.map_err(Failed::Unsaid)?;
    if opened.is_silent() {
        return Err(Failed::Unsaid(io::ErrorKind::UnexpectedEof.into()));
    }
    let config = if opened.is_name_hidden { &tls.nameless } else { &tls.ordinary };
    let accepting = TlsAcceptor::from(config.clone()).accept(opened);
    timeout_at(deadline, accepting).await.map_err(late).flatten().map_err(Failed::Broken)
}

/// Which peers fail again and again.
pub(crate) struct Failures {
    of_a_peer: Damper<IpAddr>,
    all: Damper<()>,
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self {
            of_a_peer: Damper::new(FAILURES_TOLD, FAILURES_TOLD, TOLD_EVERY, PEERS_MAX),
            all: Damper::new(1, LINES_MAX, TOLD_EVERY, 1),
        }
    }

    /// Tells the operator of a client that fails repeatedly. Otherwise he would see an agent that has registered and is
    /// not connected, and no reason for it.
    pub(crate) fn note(&self, peer: IpAddr, failed: &Failed) {
        let error = match failed {
            Failed::Unsaid(error) => return tracing::debug!(%error, %peer, "there was no TLS handshake"),
            Failed::Broken(error) => error,
        };
        let now = Instant::now();
        if self.of_a_peer.event(now, peer).is_some() && self.all.event(now, ()).is_some() {
            tracing::warn!(%peer, reason = %error, "TLS handshakes fail repeatedly: {}", advice(error));
        } else {
            tracing::debug!(%error, %peer, "TLS handshake failed");
        }
    }
}

/// What can be done about it.
fn advice(error: &io::Error) -> &'static str {
    use rustls::Error as E;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<E>()) {
        Some(E::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied,
        )) => {
            "the client does not accept the certificate; let it trust this one, and see that it names the \
             address that the client uses"
        }
        Some(E::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client does not speak TLS; its URL of this server has to begin with https"
        }
        Some(E::PeerIncompatible(_)) => "the client is too old: TLS 1.2 or 1.3 is needed",
        Some(_) | None => "see the client's log for its side",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_the_error() {
        for (error, word) in [
            (rustls::Error::AlertReceived(AlertDescription::BadCertificate), "trust"),
            (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), "https"),
            (rustls::Error::DecryptError, "log"),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert!(advice(&error).contains(word), "{error}");
        }
        assert!(advice(&io::ErrorKind::TimedOut.into()).contains("log"));
    }
}
