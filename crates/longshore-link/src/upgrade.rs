//! The requests that open the two sockets, and how they are refused (agent-protocol G5, G9).

use std::fmt::Write;

/// What an agent says about itself when it opens ACS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcsQuery {
    /// The cluster as the agent's configuration calls it, a short name usually.
    pub cluster: String,
    pub container_instance_arn: String,
    pub agent_version: String,
    pub agent_hash: String,
    /// Without the prefix `DockerVersion: ` that it has on the wire.
    pub docker_version: String,
    /// The agent's process is new and holds no credentials.
    pub send_credentials: bool,
}

/// What an agent says about itself when it opens TCS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcsQuery {
    pub cluster: String,
    pub container_instance_arn: String,
    pub agent_version: String,
    pub agent_hash: String,
    pub docker_version: String,
}

const DOCKER_VERSION_PREFIX: &str = "DockerVersion: ";

impl AcsQuery {
    /// Reads the part of the request's target after `?`. What is absent stays empty; the caller decides what
    /// it needs.
    pub fn parse(query: &str) -> Self {
        Self::from_pairs(pairs(query))
    }

    /// The same from parameters that are decoded already.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut parsed = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "clusterArn" => parsed.cluster = value,
                "containerInstanceArn" => parsed.container_instance_arn = value,
                "agentVersion" => parsed.agent_version = value,
                "agentHash" => parsed.agent_hash = value,
                "dockerVersion" => {
                    parsed.docker_version =
                        value.strip_prefix(DOCKER_VERSION_PREFIX).unwrap_or(&value).to_owned();
                }
                "sendCredentials" => parsed.send_credentials = value == "true",
                _ => {}
            }
        }
        parsed
    }

    /// The query, sorted by name as a signature wants it.
    pub fn encode(&self) -> String {
        let docker_version = format!("{DOCKER_VERSION_PREFIX}{}", self.docker_version);
        encode(&[
            ("agentHash", &self.agent_hash),
            ("agentVersion", &self.agent_version),
            ("clusterArn", &self.cluster),
            ("containerInstanceArn", &self.container_instance_arn),
            ("dockerVersion", &docker_version),
            ("protocolVersion", "2"),
            ("sendCredentials", if self.send_credentials { "true" } else { "false" }),
            ("seqNum", "1"),
        ])
    }
}

impl TcsQuery {
    /// Reads the part of the request's target after `?`.
    pub fn parse(query: &str) -> Self {
        Self::from_pairs(pairs(query))
    }

    /// The same from parameters that are decoded already.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut parsed = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "cluster" => parsed.cluster = value,
                "containerInstance" => parsed.container_instance_arn = value,
                "agentVersion" => parsed.agent_version = value,
                "agentHash" => parsed.agent_hash = value,
                "dockerVersion" => parsed.docker_version = value,
                _ => {}
            }
        }
        parsed
    }

    /// The query, sorted by name as a signature wants it.
    pub fn encode(&self) -> String {
        encode(&[
            ("agentHash", &self.agent_hash),
            ("agentVersion", &self.agent_version),
            ("cluster", &self.cluster),
            ("containerInstance", &self.container_instance_arn),
            ("dockerVersion", &self.docker_version),
        ])
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(name), percent_decode(value))
    })
}

/// Decodes `%XX` and `+`. A `%` without two hex digits stays as it is; what is not UTF-8 is replaced.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1).zip(bytes.get(at + 2)).and_then(|(&high, &low)| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(high)? * 16 + digit(low)?) as u8)
        });
        match (bytes[at], escape) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (b'+', _) => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn encode(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        for byte in value.bytes() {
            // The unreserved characters of RFC 3986. A space becomes `%20`, which SigV4 demands.
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                query.push(char::from(byte));
            } else {
                write!(query, "%{byte:02X}").expect("writing to a String cannot fail");
            }
        }
    }
    query
}

/// Why an upgrade is refused. Agents treat all but the first alike: backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The instance was deregistered. The agent waits an hour.
    #[error("the container instance is inactive")]
    InactiveInstance,
    #[error("no such container instance")]
    InvalidInstance,
    #[error("no such cluster")]
    InvalidCluster,
    #[error("access denied")]
    AccessDenied,
    #[error("bad request")]
    BadRequest,
    #[error("the server failed")]
    Server,
    /// This server starts, drains or does not lead. Better than accepting and closing, because an agent
    /// reconnects to a closed socket without any delay.
    #[error("the server does not take connections now")]
    NotServing,
}

impl Refusal {
    const ALL: [Refusal; 7] = [
        Refusal::InactiveInstance,
        Refusal::InvalidInstance,
        Refusal::InvalidCluster,
        Refusal::AccessDenied,
        Refusal::BadRequest,
        Refusal::Server,
        Refusal::NotServing,
    ];

    pub fn http_status(self) -> u16 {
        match self {
            Refusal::InactiveInstance
            | Refusal::InvalidInstance
            | Refusal::InvalidCluster
            | Refusal::BadRequest => 400,
            Refusal::AccessDenied => 403,
            Refusal::Server => 500,
            Refusal::NotServing => 503,
        }
    }

    /// The name in the body.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::InactiveInstance => "InactiveInstanceException",
            Refusal::InvalidInstance => "InvalidInstanceException",
            Refusal::InvalidCluster => "InvalidClusterException",
            Refusal::AccessDenied => "AccessDeniedException",
            Refusal::BadRequest => "BadRequestException",
            Refusal::Server => "ServerException",
            Refusal::NotServing => "ServiceUnavailableException",
        }
    }

    /// The body of the HTTP answer, `application/json`.
    pub fn body(self) -> String {
        serde_json::json!({ self.code(): self.to_string() }).to_string()
    }

    /// Finds a refusal in the body of an answer: `{"<code>": "text"}` or `{"type": "<code>", ...}`.
    /// `None` for anything else, which means backoff like most of them.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let object = value.as_object()?;
        let typed = object.get("type").or_else(|| object.get("__type")).and_then(|code| code.as_str());
        Self::ALL
            .into_iter()
            .find(|refusal| object.contains_key(refusal.code()) || typed == Some(refusal.code()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_query_of_the_official_agent_parses() {
        let query = "agentHash=a8b3e7d3&agentVersion=1.105.1&clusterArn=probe\
            &containerInstanceArn=arn%3Aaws%3Aecs%3Aus-east-1%3A111122223333%3Acontainer-instance%2Fprobe%2F5b\
            &dockerVersion=DockerVersion%3A+20.10.24%2Bdfsg1&protocolVersion=2&sendCredentials=true&seqNum=1";
        let expected = AcsQuery {
            cluster: "probe".into(),
            container_instance_arn: "arn:aws:ecs:us-east-1:111122223333:container-instance/probe/5b".into(),
            agent_version: "1.105.1".into(),
            agent_hash: "a8b3e7d3".into(),
            docker_version: "20.10.24+dfsg1".into(),
            send_credentials: true,
        };
        assert_eq!(AcsQuery::parse(query), expected);
        assert_eq!(AcsQuery::parse(&expected.encode()), expected);
    }

    #[test]
    fn the_telemetry_query_round_trips() {
        let query = TcsQuery {
            cluster: "a b".into(),
            container_instance_arn: "arn:x/y".into(),
            agent_version: "1".into(),
            agent_hash: "%".into(),
            docker_version: "20.10.24+dfsg1".into(),
        };
        assert_eq!(TcsQuery::parse(&query.encode()), query);
    }

    #[test]
    fn refusals_are_found_in_both_forms() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::parse(refusal.body().as_bytes()), Some(refusal));
            let typed = format!(r#"{{"type":"{}","message":{{}}}}"#, refusal.code());
            assert_eq!(Refusal::parse(typed.as_bytes()), Some(refusal));
        }
        assert_eq!(Refusal::parse(b"<html>"), None);
        assert_eq!(Refusal::parse(b"{}"), None);
    }

    proptest! {
        #[test]
        fn queries_never_panic(text in ".{0,60}") {
            AcsQuery::parse(&text);
            TcsQuery::parse(&text);
            let query = TcsQuery { cluster: text.clone(), ..TcsQuery::default() };
            prop_assert_eq!(TcsQuery::parse(&query.encode()).cluster, text);
        }
    }
}
