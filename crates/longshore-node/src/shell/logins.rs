//! Logins at registries: from `ECS_ENGINE_AUTH_TYPE` and `ECS_ENGINE_AUTH_DATA`, and from the secret that a container
//! names (agent-protocol G13).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, ready};
use longshore_engine::spec::{ContainerKey, RegistryAuth, SecretText};
use longshore_runtime::{ErrorKind, RegistryCredentials, RegistryLogins, RuntimeError};
use serde::Deserialize;

use super::calls::Calls;
use crate::config::EngineAuth;
use crate::secrets::LoginPlan;

/// The registry that an image without a host comes from, and the names it has in login files.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_NAMES: [&str; 4] =
    ["docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com"];

/// Why the configured logins are not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginsError {
    #[error("unknown type; docker and dockercfg are known")]
    Type,
    // Without the cause: it could quote a password.
    #[error("the data is not the JSON that the type asks for")]
    Data,
}

#[derive(Default)]
pub(super) struct NodeLogins {
    by_registry: BTreeMap<String, RegistryCredentials>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// `base64(username:password)`, in place of both.
    #[serde(default)]
    auth: String,
}

impl NodeLogins {
    /// Nothing configured gives no logins; something unusable the same, with the problem.
    pub fn read(auth: Option<&EngineAuth>) -> (Self, Option<LoginsError>) {
        match auth.map(parse).transpose() {
            Ok(logins) => (logins.unwrap_or_default(), None),
            Err(problem) => (Self::default(), Some(problem)),
        }
    }

    fn find(&self, image: &str) -> Option<RegistryCredentials> {
        self.by_registry.get(registry_of(image)).cloned()
    }
}

fn parse(auth: &EngineAuth) -> Result<NodeLogins, LoginsError> {
    if !matches!(auth.kind.as_str(), "docker" | "dockercfg") {
        return Err(LoginsError::Type);
    }
    let logins: BTreeMap<String, Login> =
        serde_json::from_str(auth.data.reveal()).map_err(|_| LoginsError::Data)?;
    let mut by_registry = BTreeMap::new();
    for (registry, login) in logins {
        let (username, password) = if login.auth.is_empty() {
            (login.username, login.password)
        } else {
            let decoded = STANDARD.decode(&login.auth).map_err(|_| LoginsError::Data)?;
            let decoded = String::from_utf8(decoded).map_err(|_| LoginsError::Data)?;
            let (username, password) = decoded.split_once(':').ok_or(LoginsError::Data)?;
            (username.to_owned(), password.to_owned())
        };
        let server = Some(registry.clone());
        let credentials = RegistryCredentials { username, password: SecretText::new(password), server };
        by_registry.insert(host_of(&registry).to_owned(), credentials);
    }
    Ok(NodeLogins { by_registry })
}

/// `https://index.docker.io/v1/` is `docker.io`, `registry.example:5000` itself.
fn host_of(registry: &str) -> &str {
    let host = registry.split_once("://").map_or(registry, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    if DOCKER_HUB_NAMES.contains(&host) { DOCKER_HUB } else { host }
}

/// The first part of an image's name, if it looks like a host.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host_of(host),
        Some(_) | None => DOCKER_HUB,
    }
}

impl RegistryLogins for NodeLogins {
    fn login<'a>(
        &'a self,
        _container: &'a ContainerKey,
        image: &'a str,
        auth: &'a RegistryAuth,
    ) -> BoxFuture<'a, Result<Option<RegistryCredentials>, RuntimeError>> {
        let answer = match auth {
            RegistryAuth::Node => Ok(self.find(image)),
            RegistryAuth::Ecr { .. } | RegistryAuth::Asm { .. } => Err(RuntimeError::new(
                ErrorKind::NoLogin,
                format!("this agent cannot fetch registry credentials for image {image}"),
            )),
        };
        Box::pin(ready(answer))
    }
}

/// The login in the secret of one container, asked for with the rights of its task's execution role. It is kept nowhere: each
/// question to a registry asks for it again.
pub(super) struct SecretLogin {
    calls: Calls,
    plan: LoginPlan,
}

impl SecretLogin {
    pub fn new(calls: Calls, plan: LoginPlan) -> Self {
        Self { calls, plan }
    }
}

impl RegistryLogins for SecretLogin {
    fn login<'a>(
        &'a self,
        _container: &'a ContainerKey,
        image: &'a str,
        _auth: &'a RegistryAuth,
    ) -> BoxFuture<'a, Result<Option<RegistryCredentials>, RuntimeError>> {
        Box::pin(async move {
            let answer = self.calls.ask(&self.plan.question).await;
            let login = self.plan.answer(answer);
            let (username, password) = login.map_err(|why| RuntimeError::new(ErrorKind::NoLogin, why))?;
            Ok(Some(RegistryCredentials { username, password, server: Some(server_of(image)) }))
        })
    }
}

/// What an image's registry is called in a login. Engines with the containerd store send the login to it and nobody else.
fn server_of(image: &str) -> String {
    match registry_of(image) {
        DOCKER_HUB => "https://index.docker.io/v1/".to_owned(),
        registry => registry.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use longshore_sigv4::Secret;

    use super::*;

    fn find(kind: &str, data: &str, image: &str) -> Option<(String, String)> {
        let auth = EngineAuth { kind: kind.to_owned(), data: Secret::new(data) };
        let (logins, problem) = NodeLogins::read(Some(&auth));
        assert!(problem.is_none(), "{problem:?}");
        logins.find(image).map(|found| (found.username, found.password.expose().to_owned()))
    }

    #[test]
    fn logins_are_found_by_the_images_registry() {
        let docker = r#"{"https://index.docker.io/v1/": {"username": "u", "password": "p", "email": "e"},
            "registry.example:5000": {"username": "x", "password": "y"}}"#;
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(find("docker", docker, "busybox"), pair("u", "p"));
        assert_eq!(find("docker", docker, "library/busybox:1"), pair("u", "p"));
        assert_eq!(find("docker", docker, "registry.example:5000/a/b"), pair("x", "y"));
        assert_eq!(find("docker", docker, "other.example/a"), None);
        let dockercfg = r#"{"docker.io": {"auth": "dTpwOnE="}}"#;
        assert_eq!(find("dockercfg", dockercfg, "busybox"), pair("u", "p:q"));
    }

    #[test]
    fn a_login_names_the_images_registry() {
        assert_eq!(server_of("127.0.0.1:5000/private/web:1"), "127.0.0.1:5000");
        assert_eq!(server_of("team/web"), "https://index.docker.io/v1/");
    }

    #[test]
    fn problems_do_not_quote_the_data() {
        let auth = EngineAuth { kind: "docker".into(), data: Secret::new("{\"r\": {\"password\": 77777}}") };
        let problem = NodeLogins::read(Some(&auth)).1.expect("a number is no password");
        assert!(!format!("{problem} {problem:?}").contains("77777"));
    }
}
