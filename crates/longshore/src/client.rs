//! A small client of the API, for the verbs that show things.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use longshore_client::{CallError, ConnectError, HttpClient, SendError};
use longshore_shapes_ecs::SIGNING_NAME;
use longshore_sigv4::{Credentials, Secret};
use longshore_wire::{OperationShape, ReceivedError};

use crate::advertise::Url;
use crate::args::{ClientOptions, default_data_dir};
use crate::clock::SystemClock;
use crate::exit::usage;
use crate::{keys, trust};

/// Where to ask, and as whom.
pub struct Client {
    endpoint: String,
    calls: longshore_client::Client,
}

impl Client {
    /// Takes endpoint and credentials from the environment, or else from the `env` file that `up` and
    /// `server` write.
    pub fn find(options: &ClientOptions) -> anyhow::Result<Self> {
        let data_dir = options.data_dir.as_deref();
        let dir = data_dir.map_or_else(default_data_dir, Path::to_path_buf);
        let file = std::fs::read_to_string(dir.join("env"));
        let file = match data_dir {
            Some(dir) => file.with_context(|| {
                format!(
                    "cannot read {}, which `longshore up` and `longshore server` write once they are ready; check --data-dir",
                    dir.join("env").display()
                )
            })?,
            None => file.unwrap_or_default(),
        };
        let from_file = |name: &str| keys::read_env(&file, name);
        // A data directory that was named wins over what the shell happens to have.
        let find = |name: &str| match data_dir {
            Some(_) => from_file(name),
            None => std::env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| from_file(name)),
        };
        let hint =
            "start `longshore up` first, or source its env file, or name its directory with --data-dir";
        let given = options.endpoint.clone().filter(|_| options.endpoint_is_flag || data_dir.is_none());
        let is_given = given.is_some();
        let endpoint = given.or_else(|| from_file("AWS_ENDPOINT_URL")).context(hint)?;
        // Not while the command line is read: a variable that is not used may be meant for others.
        let endpoint = Url::endpoint(&endpoint).map_err(|form| {
            let text = format!("{endpoint:?} is no endpoint: {form} in --endpoint or AWS_ENDPOINT_URL");
            if is_given { usage(text) } else { anyhow!(text) }
        })?;
        let no_key = || {
            format!(
                "there is no access key for {endpoint} in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: source the env file in \
                 the data directory of its control plane, or name that directory with --data-dir"
            )
        };
        let id = find("AWS_ACCESS_KEY_ID").with_context(no_key)?;
        let secret = find("AWS_SECRET_ACCESS_KEY").with_context(no_key)?;
        let mut credentials = Credentials::new(id, secret);
        credentials.session_token = find("AWS_SESSION_TOKEN").map(Secret::new);
        let http = if endpoint.starts_with("https:") {
            let in_env = from_file(trust::BUNDLE);
            let authorities = trust::of_verb(options.ca.as_deref(), &dir, in_env.as_deref());
            let trusted = longshore_client::tls_config(&authorities)
                .context("name a PEM file with the server's certificate with --ca")?;
            HttpClient::new(Some(trusted))
        } else {
            HttpClient::default()
        };
        let region = find("AWS_DEFAULT_REGION").unwrap_or_else(|| "us-east-1".into());
        let calls =
            longshore_client::Client::new(http, &endpoint, credentials, &region, Arc::new(SystemClock))?;
        Ok(Self { endpoint, calls })
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// For whoever makes more of it than single calls.
    pub fn calls(&self) -> &longshore_client::Client {
        &self.calls
    }

    /// What `path` answers to anybody, such as `/metrics`.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.calls.get(path).await.map_err(|error| explained(&self.endpoint, error))?;
        Ok(String::from_utf8(answer.body.into())?)
    }

    /// Makes one call.
    pub async fn call<O: OperationShape>(&self, input: O::Input) -> anyhow::Result<O::Output> {
        self.calls.call::<O>(&input).await.map_err(|error| self.refused(error))
    }

    /// The same where the caller knows what to make of a refusal.
    pub async fn ask<O: OperationShape>(
        &self,
        input: O::Input,
    ) -> anyhow::Result<Result<O::Output, ReceivedError>> {
        match self.calls.call::<O>(&input).await {
            Ok(output) => Ok(Ok(output)),
            Err(CallError::Refused { error, .. }) => Ok(Err(error)),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Sends a body to an operation by its full name, and gives the answer's.
    pub async fn post(&self, target: &str, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let answer = self.calls.call_json(SIGNING_NAME, target, body).await;
        answer.map(Vec::from).map_err(|error| self.refused(error))
    }

    fn refused(&self, error: CallError) -> anyhow::Error {
        match error {
            CallError::Send(error) => explained(&self.endpoint, error),
            CallError::Refused { operation, error, .. } => refused(&operation, &error),
            CallError::Foreign { operation, status } => anyhow!(
                "{operation} was refused with HTTP {status}; is {} a control plane of Longshore?",
                self.endpoint
            ),
            error @ (CallError::Unreadable { .. } | CallError::NotWritten(_)) => anyhow::Error::new(error),
        }
    }
}

/// An error about a call that was refused, with what to do about it.
pub fn refused(operation: &str, error: &ReceivedError) -> anyhow::Error {
    anyhow!("{operation} was refused: {}", with_advice(&error.code, &error.message))
}

/// Why there is no answer, and what a person at a shell can do about it.
fn explained(endpoint: &str, error: SendError) -> anyhow::Error {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    match error {
        SendError::Connect(ConnectError::PlainHttp(_)) => {
            anyhow!("{endpoint} speaks plain HTTP: write http://{host}")
        }
        SendError::NoHttp(_) => {
            anyhow!("{endpoint} does not speak plain HTTP; if it has TLS, write https://{host}")
        }
        SendError::Connect(ConnectError::Untrusted { source, .. }) => anyhow::Error::new(source).context(format!(
            "the certificate of {endpoint} is not trusted: name a file with it, such as tls-cert.pem of the server's data \
             directory, with --ca (or AWS_CA_BUNDLE), or on the server's machine that directory with --data-dir"
        )),
        SendError::Connect(ConnectError::WrongNameOrDates { source, .. }) => anyhow::Error::new(source).context(format!(
            "the certificate of {endpoint} is not for this name or this time: name the server as its certificate does \
             (--endpoint), or have it use another one (--tls-cert), with the name in its subjectAltName"
        )),
        // The cause names the server already.
        SendError::Connect(ConnectError::Io { source, .. }) => {
            anyhow::Error::new(source).context(format!("{endpoint} does not answer; is the control plane running?"))
        }
        error @ (SendError::Malformed(_)
        | SendError::Connect(ConnectError::NoAuthorities(_))
        | SendError::Lost { .. }
        | SendError::Body { .. }
        | SendError::TimedOut { .. }) => anyhow::Error::new(error)
            .context(format!("{endpoint} does not answer; is the control plane running?")),
    }
}

/// An error of the API, and what a person at a shell can do about it.
fn with_advice(code: &str, message: &str) -> String {
    let advice = match code {
        "ClusterNotFoundException" => "name a cluster with --cluster; `longshore status` lists them",
        "ServiceNotFoundException" | "ServiceNotActiveException" => "`longshore status` lists the services",
        "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => {
            "the access key is not one of this control plane's: source the env file in its data directory, or name \
             that directory with --data-dir"
        }
        _ => return format!("{code}: {message}"),
    };
    format!("{code}: {}; {advice}", message.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_next() {
        let check = |code, message, expected: &str| assert_eq!(with_advice(code, message), expected);
        check(
            "ClusterNotFoundException",
            "Cluster not found.",
            "ClusterNotFoundException: Cluster not found; name a cluster with --cluster; `longshore status` lists them",
        );
        check("ServerException", "Out of order.", "ServerException: Out of order.");
        let key = with_advice("InvalidSignatureException", "It does not match.");
        assert!(key.contains("--data-dir"), "{key}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |endpoint: Option<&str>, data_dir: Option<&str>| {
            let options = ClientOptions {
                endpoint: endpoint.map(str::to_owned),
                data_dir: data_dir.map(Into::into),
                ca: None,
                endpoint_is_flag: endpoint.is_some(),
            };
            Client::find(&options).err().expect("nothing is there").to_string()
        };
        let missing = said(None, Some("/nonexistent"));
        assert!(missing.starts_with("cannot read /nonexistent/env,"), "{missing}");
    }
}
