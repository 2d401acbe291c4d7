//! Where the engine listens, and connections to it that are kept open.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;

const SOCKET_DEFAULT: &str = "/var/run/docker.sock";
/// Port of an engine without TLS, as the Docker client assumes it.
const TCP_PORT_DEFAULT: u16 = 2375;
/// Connections kept for the next call. Starting a few containers at once uses about that many;
/// each costs the engine two goroutines.
const IDLE_CONNECTIONS_MAX: usize = 16;
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The client library wants one limit for all calls. Limits are per operation and set by the
/// caller, so this one only has to be longer than any of them (a pull may take two hours).
const CALL_SECONDS_MAX: u64 = 4 * 60 * 60;

/// Address of a Docker engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerHost {
    Unix(PathBuf),
    /// `host:port`, plain HTTP.
    Tcp(String),
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("DOCKER_HOST {0:?} is not one of unix://PATH, tcp://HOST:PORT and http://HOST:PORT")]
    Unsupported(String),
    #[error("DOCKER_HOST asks for TLS (DOCKER_TLS_VERIFY is set), which is not supported")]
    Tls,
    #[error("failed to prepare the Docker client")]
    Client(#[source] bollard::errors::Error),
}

impl DockerHost {
    /// Reads a `DOCKER_HOST`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let unsupported = || HostError::Unsupported(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(unsupported)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "tcp" | "http" => {
                let authority = rest.trim_end_matches('/');
                if authority.is_empty() || authority.contains('/') {
                    return Err(unsupported());
                }
                let has_port =
                    authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Ok(Self::Tcp(match has_port {
                    true => authority.to_owned(),
                    false => format!("{authority}:{TCP_PORT_DEFAULT}"),
                }))
            }
            _ => Err(unsupported()),
        }
    }

    /// `DOCKER_HOST` if it is set, otherwise the usual socket.
    pub fn from_env() -> Result<Self, HostError> {
        match std::env::var("DOCKER_HOST") {
            Ok(text) if !text.is_empty() => Self::configured(&text),
            _ => Ok(Self::Unix(SOCKET_DEFAULT.into())),
        }
    }

    /// What a `DOCKER_HOST` names, wherever it was set. `DOCKER_TLS_VERIFY` in the environment is heeded.
    pub fn configured(text: &str) -> Result<Self, HostError> {
        let wants_tls = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        match Self::parse(text)? {
            Self::Tcp(_) if wants_tls => Err(HostError::Tls),
            host => Ok(host),
        }
    }
}

impl std::fmt::Display for DockerHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
        }
    }
}

/// A client for the engine; nothing is sent yet.
///
/// The library's own client for Unix sockets opens a connection per call and insists that the
/// socket exists beforehand, so the transport is ours. Requests carry no API version: the engine
/// then speaks its newest, and an old one needs no negotiation.
pub(crate) fn connect(host: &DockerHost) -> Result<Docker, HostError> {
    match host {
        DockerHost::Tcp(authority) => {
            Docker::connect_with_http(&format!("http://{authority}"), CALL_SECONDS_MAX, API_DEFAULT_VERSION)
                .map_err(HostError::Client)
        }
        DockerHost::Unix(path) => {
            let client = Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
                .pool_idle_timeout(IDLE_MAX)
                .build(UnixConnector { path: path.as_path().into() });
            let transport = move |request: BollardRequest| {
                let call = client.request(request);
                async move { call.await.map_err(bollard::errors::Error::from) }
            };
            // The host part is only there because HTTP wants one.
            Docker::connect_with_custom_transport(
                transport,
                Some("http://docker"),
                CALL_SECONDS_MAX,
                API_DEFAULT_VERSION,
            )
            .map_err(HostError::Client)
        }
    }
}

/// Connects every request to the same socket.
#[derive(Clone)]
struct UnixConnector {
    path: Arc<std::path::Path>,
}

impl tower_service::Service<http::Uri> for UnixConnector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let path = Arc::clone(&self.path);
        Box::pin(async move { UnixStream::connect(path).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hosts_parse() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = DockerHost::parse(text).ok().map(|host| host.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        };
        check("unix:///var/run/docker.sock", Some("unix:///var/run/docker.sock"));
        check("tcp://10.0.0.1:2375", Some("tcp://10.0.0.1:2375"));
        check("tcp://10.0.0.1", Some("tcp://10.0.0.1:2375"));
        check("http://localhost:8000/", Some("tcp://localhost:8000"));
        check("ssh://me@host", None);
        check("unix://relative.sock", None);
        check("tcp://", None);
        check("/var/run/docker.sock", None);
    }
}
