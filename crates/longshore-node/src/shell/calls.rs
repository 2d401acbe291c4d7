//! Calls to the control plane with the instance's credentials, or with those of a task's role; and what an agent's
//! operator can do about one that gets no answer.

use std::error::Error;
use std::time::Duration;

use longshore_client::{CallError, Client, ConnectError, EndpointError, HttpClient, SendError};
use longshore_shapes_ecs::{SIGNING_NAME, TARGET_PREFIX};
use longshore_sigv4::{Credentials, ToSign};
use tokio::sync::watch;

use crate::api::ApiError;
use crate::config::Config;
use crate::secrets::Question;
use crate::shell::Services;

/// How long a container waits for one answer about its secrets.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(20);

/// Cheap to clone; all agents of a process share the connections.
#[derive(Clone)]
pub(super) struct Calls {
    client: Client,
    /// With what it signs now, where that changes.
    keys: Option<watch::Receiver<Credentials>>,
}

impl Calls {
    pub fn new(config: &Config, services: &Services) -> Result<Self, EndpointError> {
        let Services { http, clock, keys, .. } = services.clone();
        let credentials = config.credentials.clone();
        let client = Client::new(http, &config.endpoint, credentials, config.region.as_str(), clock)?;
        // Whatever an agent says may be said twice: the control plane takes reports in their order, and the core
        // repeats them anyway.
        Ok(Self { client: client.repeating(), keys })
    }

    /// The same with the credentials of somebody else, such as a task's role.
    pub fn of(&self, credentials: Credentials) -> Self {
        Self { client: self.client.of(credentials), keys: None }
    }

    pub fn http(&self) -> &HttpClient {
        self.client.http()
    }

    /// It signs with the newest key.
    fn client(&self) -> Client {
        match &self.keys {
            Some(keys) => self.client.of(keys.borrow().clone()),
            None => self.client.clone(),
        }
    }

    /// Signs an upgrade, or a message on a socket. The service's name is that of the API (agent-protocol G1).
    pub fn sign(&self, request: &ToSign<'_>) -> Vec<(&'static str, String)> {
        self.client().signer().sign(SIGNING_NAME, request)
    }

    /// Asks another API than ECS, at the same endpoint. Twice, if there was no answer or the server had a fault.
    pub async fn ask(&self, question: &Question) -> Result<Vec<u8>, ApiError> {
        let Question { service, target, region, body } = question;
        let client = self.client().in_region(region);
        let once = || async {
            let asked = client.call_json(service, target, body.clone());
            let answer = tokio::time::timeout(QUESTION_TIMEOUT, asked).await;
            match answer {
                Ok(answer) => answer.map(Vec::from).map_err(api_error),
                Err(_) => Err(ApiError::Transport("timed out".to_owned())),
            }
        };
        match once().await {
            Err(ApiError::Service { status: 500.., .. } | ApiError::Transport(_)) => once().await,
            answer => answer,
        }
    }

    /// Makes one call; gives the body of an answer of success.
    pub async fn call(&self, operation: &str, body: String) -> Result<Vec<u8>, ApiError> {
        let target = format!("{TARGET_PREFIX}.{operation}");
        let answer = self.client().call_json(SIGNING_NAME, &target, body).await;
        answer.map(Vec::from).map_err(api_error)
    }
}

fn api_error(error: CallError) -> ApiError {
    match error {
        CallError::Refused { status, error, .. } => {
            ApiError::Service { status, code: error.code, message: error.message }
        }
        CallError::Foreign { status, .. } => {
            ApiError::Service { status, code: String::new(), message: String::new() }
        }
        CallError::Send(ref cause) => match advice(cause) {
            Some(advice) => ApiError::Transport(format!("{}; {advice}", with_causes(&error))),
            None => ApiError::Transport(with_causes(&error)),
        },
        CallError::Unreadable { .. } | CallError::NotWritten(_) => ApiError::Transport(with_causes(&error)),
    }
}

/// What whoever started the agent can do.
fn advice(error: &SendError) -> Option<String> {
    match error {
        SendError::Connect(ConnectError::PlainHttp(server)) => {
            Some(format!("write http:// in front: ECS_BACKEND_HOST=http://{server}"))
        }
        SendError::NoHttp(server) => {
            Some(format!("with TLS write https:// in front: ECS_BACKEND_HOST=https://{server}"))
        }
        SendError::Connect(ConnectError::NoAuthorities(_)) => Some("set SSL_CERT_FILE".to_owned()),
        SendError::Connect(ConnectError::Untrusted { .. }) => Some(
            "set SSL_CERT_FILE to a copy of the one that it uses, tls-cert.pem in its data directory".to_owned(),
        ),
        SendError::Connect(ConnectError::WrongNameOrDates { .. }) => Some(
            "name the server as its certificate does, or have it use another one (--tls-cert), with the name in its \
             subjectAltName"
                .to_owned(),
        ),
        SendError::Connect(ConnectError::Io { .. })
        | SendError::Malformed(_)
        | SendError::Lost { .. }
        | SendError::Body { .. }
        | SendError::TimedOut { .. } => None,
    }
}

/// The error and its causes on one line, for the log.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_which_variable_to_set() {
        let said = |error: SendError| api_error(error.into()).to_string();
        let server = || "h:1".to_owned();
        assert_eq!(
            said(ConnectError::PlainHttp(server()).into()),
            "no answer: h:1 speaks plain HTTP, not TLS; write http:// in front: ECS_BACKEND_HOST=http://h:1"
        );
        assert_eq!(
            said(SendError::NoHttp(server())),
            "no answer: h:1 does not speak plain HTTP; with TLS write https:// in front: ECS_BACKEND_HOST=https://h:1"
        );
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(
            said(ConnectError::Io { server: server(), source: refused }.into()),
            "no answer: cannot connect to h:1: connection refused"
        );
    }
}
