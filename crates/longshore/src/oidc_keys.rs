//! The keys of OpenID Connect providers: of a file, or fetched where the issuer publishes them.
//!
//! The address is one that a user has made a provider of, and so anybody's. It is asked over HTTPS alone, at its public
//! names: never this machine, never the link, never for long, and little of the answer is read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use longshore_api::BoxFuture;
use longshore_api_identity::KeySource;
use longshore_client::{Endpoint, HttpClient, Origin, Repeat, Request};
use serde::Deserialize;
use serde_json::Value;

/// For each of the two questions.
const PATIENCE: Duration = Duration::from_secs(5);
const BYTES_MAX: usize = 256 << 10;

/// Where keys come from.
pub struct OidcKeys {
    /// By issuer: what the operator gave, for machines without the internet.
    given: BTreeMap<String, String>,
    /// `None` without authorities to trust.
    http: Option<HttpClient>,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl OidcKeys {
    /// `file` holds a JSON object: sets of keys by the issuers' URLs. `http` trusts the system's authorities.
    pub fn load(file: Option<&Path>, http: Option<HttpClient>) -> anyhow::Result<Self> {
        let given = match file {
            None => BTreeMap::new(),
            Some(file) => {
                let hint = || format!("cannot read {}; check --oidc-keys", file.display());
                let text = std::fs::read_to_string(file).with_context(hint)?;
                let sets: BTreeMap<String, Value> = serde_json::from_str(&text).with_context(|| {
                    format!("{}: expected {{\"https://issuer\": {{\"keys\": [...]}}}}", file.display())
                })?;
                sets.into_iter().map(|(issuer, set)| (issuer, set.to_string())).collect()
            }
        };
        Ok(Self { given, http })
    }

    async fn ask(&self, url: &str) -> Result<String, String> {
        let http = self
            .http
            .as_ref()
            .ok_or("this machine has no authorities to trust; give the keys with --oidc-keys")?;
        let uri: http::Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() != Some("https") || !is_public(host) {
            return Err(format!(
                "{url} is not asked: it has to be https, at a name or address of another machine"
            ));
        }
        let port = uri.port_u16().unwrap_or(443);
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|error| format!("there is no {host}: {error}"))?;
        // A name may lead anywhere.
        if let Some(inside) = found.map(|found| found.ip()).find(|ip| !is_public_ip(*ip)) {
            return Err(format!("{host} is not asked: it leads to {inside}"));
        }
        let endpoint =
            Endpoint::parse(&format!("https://{host}:{port}")).map_err(|error| error.to_string())?;
        let origin = Origin::of(&uri).ok_or("the URL has no host")?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(&endpoint, path);
        let answer = http.send(&origin, request, Repeat::Harmless, PATIENCE).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.is_success() || answer.body.len() > BYTES_MAX {
            return Err(format!("{url} answers {} with {} bytes", answer.status, answer.body.len()));
        }
        String::from_utf8(answer.body.to_vec()).map_err(|_| format!("{url} answers no text"))
    }

    async fn discover(&self, issuer: &str) -> Result<String, String> {
        let found =
            self.ask(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).await?;
        let found: Discovered = serde_json::from_str(&found)
            .map_err(|error| format!("its configuration cannot be read: {error}"))?;
        if found.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(format!("its configuration is of {}", found.issuer));
        }
        self.ask(&found.jwks_uri).await
    }
}

impl KeySource for OidcKeys {
    fn fetch<'a>(&'a self, issuer: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            match self.given.get(issuer) {
                Some(keys) => Ok(keys.clone()),
                None => self.discover(issuer).await,
            }
        })
    }
}

/// Whether a name, as far as it tells, is one of another machine.
fn is_public(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(ip) => is_public_ip(ip),
        Err(_) => host.contains('.') && !host.ends_with(".localhost") && !host.ends_with(".local"),
    }
}

/// Neither this machine, nor the link with its metadata services, nor nobody. Networks of one's own are asked: identity
/// providers live there.
fn is_public_ip(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            let is_link_local = ip.segments()[0] & 0xffc0 == 0xfe80;
            !(ip.is_loopback() || is_link_local || ip.is_unspecified() || ip.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_never_asked() {
        for host in [
            "localhost",
            "x.localhost",
            "127.0.0.1",
            "[::1]",
            "169.254.169.254",
            "0.0.0.0",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
            "printer.local",
            "db",
        ] {
            assert!(!is_public(host), "{host}");
        }
        for host in ["token.actions.githubusercontent.com", "10.0.0.7", "192.0.2.1", "[2001:db8::1]"] {
            assert!(is_public(host), "{host}");
        }
    }
}
