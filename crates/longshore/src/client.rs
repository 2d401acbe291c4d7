//! A small client of the API, for the verbs that show things.

use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use longshore_base::Clock;
use longshore_shapes_ecs::{SIGNING_NAME, TARGET_PREFIX};
use longshore_sigv4::{Credentials, Secret, ToSign, sign};
use longshore_wire::{OperationShape, Protocol};

use crate::args::{ClientOptions, default_data_dir};
use crate::clock::SystemClock;

const PROTOCOL: Protocol = Protocol::AwsJson11;

/// Where to ask, and as whom.
pub struct Client {
    endpoint: String,
    region: String,
    credentials: Credentials,
    http: Http<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// Takes endpoint and credentials from the environment, or else from the `env` file that `up` and
    /// `server` write.
    pub fn find(options: &ClientOptions) -> anyhow::Result<Self> {
        let (endpoint, data_dir) = (options.endpoint.as_deref(), options.data_dir.as_deref());
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
        let from_file = |name: &str| {
            let prefix = format!("export {name}='");
            file.lines().find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('\'').map(str::to_owned))
        };
        // A data directory that was named wins over what the shell happens to have.
        let find = |name: &str| match data_dir {
            Some(_) => from_file(name),
            None => std::env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| from_file(name)),
        };
        let hint = "start `longshore up` first, or source its env file, or name it with --data-dir";
        let endpoint = match data_dir {
            Some(_) => from_file("AWS_ENDPOINT_URL"),
            None => endpoint
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .or_else(|| from_file("AWS_ENDPOINT_URL")),
        };
        let endpoint = endpoint.context(hint)?;
        if !endpoint.starts_with("http://") {
            bail!("this verb speaks plain HTTP only; {endpoint} needs TLS. Use `aws ecs` for it");
        }
        let no_key = || {
            format!(
                "there is no access key for {endpoint} in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: source the env file in \
                 the data directory of its control plane, or name that directory with --data-dir"
            )
        };
        let id = find("AWS_ACCESS_KEY_ID").with_context(no_key)?;
        let secret = find("AWS_SECRET_ACCESS_KEY").with_context(no_key)?;
        let mut credentials = Credentials::new(id, secret);
        credentials.session_token =
            std::env::var("AWS_SESSION_TOKEN").ok().filter(|t| !t.is_empty()).map(Secret::new);
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: find("AWS_DEFAULT_REGION").unwrap_or_else(|| "us-east-1".into()),
            credentials,
            http: Http::builder(TokioExecutor::new()).build_http(),
        })
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
        let request = http::Request::get(format!("{}{path}", self.endpoint)).body(Full::default())?;
        let body = self.http.request(request).await?.into_body().collect().await?;
        Ok(String::from_utf8(body.to_bytes().to_vec())?)
    }

    /// Makes one call.
    pub async fn call<O: OperationShape>(&self, input: O::Input) -> anyhow::Result<O::Output> {
        let target = format!("{TARGET_PREFIX}.{}", O::NAME);
        let body = self.post(&target, PROTOCOL.encode(&input)).await?;
        PROTOCOL.decode(&body).with_context(|| format!("the answer to {} cannot be read", O::NAME))
    }

    /// Sends a body to an operation by its full name, and gives the answer's.
    pub async fn post(&self, target: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let host = self.endpoint.trim_start_matches("http://");
        let headers = [("host", host), ("content-type", PROTOCOL.content_type()), ("x-amz-target", target)];
        let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: &body };
        let signed = sign(&to_sign, &self.credentials, &self.region, SIGNING_NAME, SystemClock.now());
        let mut request = http::Request::post(format!("{}/", self.endpoint));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in &signed {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).context("the request cannot be made")?;
        let unreachable = || format!("{} does not answer; is the control plane running?", self.endpoint);
        let response = self.http.request(request).await.with_context(unreachable)?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(unreachable)?.to_bytes();
        if !status.is_success() {
            let operation = target.rsplit('.').next().unwrap_or_default();
            let error = PROTOCOL
                .decode_error(&body)
                .with_context(|| format!("{operation} was refused with HTTP {status}"))?;
            bail!("{operation} was refused: {}", with_advice(&error.code, &error.message));
        }
        Ok(body)
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
        | "MissingAuthenticationToken"
        | "IncompleteSignature" => {
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
                data_dir: data_dir.map(std::path::PathBuf::from),
            };
            Client::find(&options).err().expect("nothing is there").to_string()
        };
        let missing = said(None, Some("/nonexistent"));
        assert!(missing.starts_with("cannot read /nonexistent/env,"), "{missing}");
    }
}
