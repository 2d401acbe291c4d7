//! A small client of the API, for the verbs that show things.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::Full;
use longshore_base::Clock;
use longshore_node::{ConnectError, HttpClient, SendError};
use longshore_shapes_ecs::{SIGNING_NAME, TARGET_PREFIX};
use longshore_sigv4::{Credentials, Secret, ToSign, sign};
use longshore_wire::{OperationShape, Protocol, ReceivedError, json};

use crate::advertise::Url;
use crate::args::{ClientOptions, default_data_dir};
use crate::clock::SystemClock;
use crate::{keys, trust};

const PROTOCOL: Protocol = Protocol::AwsJson11;

/// Where to ask, and as whom.
pub struct Client {
    endpoint: String,
    region: String,
    credentials: Credentials,
    http: HttpClient,
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
        let endpoint = given.or_else(|| from_file("AWS_ENDPOINT_URL")).context(hint)?;
        let endpoint = Url::endpoint(&endpoint).map_err(|form| {
            anyhow!("{endpoint:?} is no endpoint: {form} in --endpoint or AWS_ENDPOINT_URL")
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
            let trusted = longshore_node::tls_config(&authorities)
                .context("name a PEM file with the server's certificate with --ca")?;
            HttpClient::new(Some(trusted))
        } else {
            HttpClient::default()
        };
        let region = find("AWS_DEFAULT_REGION").unwrap_or_else(|| "us-east-1".into());
        Ok(Self { endpoint, region, credentials, http })
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// What `path` answers to anybody, such as `/metrics`.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let request = http::Request::get(path).header("host", self.host()).body(Full::default())?;
        let (_, body) = self.send(request).await?;
        Ok(String::from_utf8(body)?)
    }

    /// Host and port, as the endpoint says them.
    fn host(&self) -> &str {
        self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, host)| host)
    }

    async fn send(&self, request: http::Request<Full<Bytes>>) -> anyhow::Result<(u16, Vec<u8>)> {
        let sent = self.http.send(&self.endpoint, request).await;
        sent.map_err(|error| explained(&self.endpoint, error))
    }

    /// Makes one call.
    pub async fn call<O: OperationShape>(&self, input: O::Input) -> anyhow::Result<O::Output> {
        let target = format!("{TARGET_PREFIX}.{}", O::NAME);
        let body = self.post(&target, json::to_vec(&input)).await?;
        json::from_slice(&body).with_context(|| format!("the answer to {} cannot be read", O::NAME))
    }

    /// Sends a body to an operation by its full name, and gives the answer's.
    pub async fn post(&self, target: &str, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let headers =
            [("host", self.host()), ("content-type", PROTOCOL.content_type()), ("x-amz-target", target)];
        let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: &body };
        let signed = sign(&to_sign, &self.credentials, &self.region, SIGNING_NAME, SystemClock.now());
        let mut request = http::Request::post("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in &signed {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).context("the request cannot be made")?;
        let (status, body) = self.send(request).await?;
        if !(200..300).contains(&status) {
            let operation = target.rsplit('.').next().unwrap_or_default();
            let error = ReceivedError::from_json(&body).with_context(|| {
                format!(
                    "{operation} was refused with HTTP {status}; is {} a control plane of Longshore?",
                    self.endpoint
                )
            })?;
            bail!("{operation} was refused: {}", with_advice(&error.code, &error.message));
        }
        Ok(body)
    }
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
        SendError::Connect(ConnectError::Unfit { source, .. }) => anyhow::Error::new(source).context(format!(
            "the certificate of {endpoint} is not for this name or this time: name the server as its certificate does \
             (--endpoint), or have it use another one (--tls-cert), with the name in its subjectAltName"
        )),
        error @ (SendError::Endpoint(_)
        | SendError::Connect(ConnectError::Io(_) | ConnectError::NoAuthorities)
        | SendError::Lost(_)
        | SendError::Body(_)) => anyhow::Error::new(error)
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
