//! Joining: how a machine that has nothing but a token gets a credential of its own (decision 50).
//!
//! These operations are Longshore's own, beside those of ECS: a person makes a [`Token`] with
//! `longshore token create`, a machine exchanges it once for an access key that is bound to one container instance, and
//! renews that key by itself from then on. Both ends take the words from here.

use std::collections::BTreeMap;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::Redacted;

/// What `X-Amz-Target` of these operations begins with.
pub const TARGET_PREFIX: &str = "LongshoreJoinV1";

/// The operations.
pub const CREATE_TOKEN: &str = "CreateJoinToken";
pub const LIST_TOKENS: &str = "ListJoinTokens";
pub const REVOKE_TOKEN: &str = "RevokeJoinToken";
/// Needs no signature: the token is the proof.
pub const JOIN: &str = "JoinContainerInstance";
/// Signed with the key that is to be renewed.
pub const RENEW: &str = "RenewInstanceKey";

/// By which a token is known for one, also by those who look for secrets in places where none should be.
const PREFIX: &str = "lsjoin1_";

/// The longest text that is read as a token. One with a long URL has some 500 characters.
const TOKEN_CHARS_MAX: usize = 4096;

/// What a person hands to a machine: the right to become an instance of one cluster, and how to know the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// By which people and the server name it; no secret.
    pub id: String,
    pub secret: Redacted<String>,
    pub account: String,
    pub region: String,
    /// A cluster's name, or `.fargate`: the pool of its region.
    pub cluster: String,
    /// The URL of the control plane, unless the agent is told another one.
    pub url: String,
    /// The SHA-256 of a certificate, in hexadecimal digits: one of those that the server shows has to be it, and the server's
    /// own has to be it or signed by it. `None`: the system's authorities know the server, or it has no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// Why a text is no token. It does not repeat the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    #[error("this is no join token: one begins with {PREFIX}; `longshore token create` makes one")]
    Form,
    #[error("the join token is damaged: copy the whole of it, or make another with `longshore token create`")]
    Damaged,
}

impl Token {
    /// The text that is handed on. It holds the secret, so there is no `Display`.
    pub fn reveal(&self) -> String {
        let json = serde_json::to_vec(self).expect("texts are JSON");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let text = text.trim();
        let rest = text.strip_prefix(PREFIX).ok_or(NotAToken::Form)?;
        if rest.len() > TOKEN_CHARS_MAX {
            return Err(NotAToken::Damaged);
        }
        let json = URL_SAFE_NO_PAD.decode(rest).map_err(|_| NotAToken::Damaged)?;
        serde_json::from_slice(&json).map_err(|_| NotAToken::Damaged)
    }
}

/// Asks for a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateToken {
    /// Name or ARN; absent means `default`, `.fargate` the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How long it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// How many machines it lets in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// What their instances have as attributes of a user.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A token, shown once: the server keeps a hash of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedToken {
    pub token: Redacted<String>,
    pub about: TokenInfo,
}

/// What there is to know of a token, but its secret. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo {
    pub id: String,
    pub cluster: String,
    pub created_at: i64,
    pub created_by: String,
    pub expires_at: i64,
    pub uses: u32,
    pub used: u32,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// The tokens of the caller's account and region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub tokens: Vec<TokenInfo>,
}

/// Ends a token. Who has joined with it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    pub id: String,
}

/// A machine asks for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    pub id: String,
    pub secret: Redacted<String>,
    pub account: String,
    pub region: String,
    pub cluster: String,
    /// Drawn by the machine, which keeps it until it has the answer: with the same one it gets the same instance, so that a
    /// lost answer costs nothing. 16 bytes or more, as whoever has it and the token gets that instance's key.
    pub nonce: Redacted<String>,
}

impl Join {
    pub fn with(token: &Token, nonce: &str) -> Self {
        let Token { id, secret, account, region, cluster, .. } = token.clone();
        Self { id, secret, account, region, cluster, nonce: Redacted(nonce.to_owned()) }
    }
}

/// The key of an instance. Whoever joins and whoever renews gets one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceKey {
    pub access_key_id: String,
    pub secret_access_key: Redacted<String>,
    /// The instance that it is bound to, which exists once it has registered.
    pub container_instance_arn: String,
    pub cluster: String,
    pub region: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            id: "jt-0123456789abcdef".into(),
            secret: Redacted("s3cr3t".into()),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            cluster: "default".into(),
            url: "https://192.0.2.1:8722".into(),
            ca: Some("ab".repeat(32)),
        }
    }

    #[test]
    fn a_token_reads_back() {
        for token in [token(), Token { ca: None, ..token() }] {
            let text = token.reveal();
            assert_eq!(text.parse(), Ok(token.clone()));
            assert_eq!(format!(" {text}\n").parse(), Ok(token), "as a file has it");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        let whole = token().reveal();
        for (text, expected) in [
            ("", NotAToken::Form),
            ("AKIAIOSFODNN7EXAMPLE", NotAToken::Form),
            ("lsjoin1_", NotAToken::Damaged),
            ("lsjoin1_!!!", NotAToken::Damaged),
            ("lsjoin1_e30", NotAToken::Damaged),
            (&whole[..whole.len() - 3], NotAToken::Damaged),
            (&format!("lsjoin1_{}", "A".repeat(5000)), NotAToken::Damaged),
        ] {
            assert_eq!(text.parse::<Token>(), Err(expected), "{text}");
        }
        let said = NotAToken::Damaged.to_string() + &NotAToken::Form.to_string();
        assert!(!said.contains("s3cr3t"));
    }

    #[test]
    fn no_secret_is_in_a_debug_text() {
        let join = Join::with(&token(), "n0nce");
        let text = format!("{:?} {join:?}", token());
        assert!(!text.contains("s3cr3t") && !text.contains("n0nce"), "{text}");
    }
}
