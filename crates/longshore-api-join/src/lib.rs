//! How machines come to keys of their own: tokens are made, and exchanged for the key of one container instance (decision
//! 50).
//!
//! Start at [`tokens`] (made, listed and revoked by people) and [`keys`] (given to machines that show a token, and renewed):
//! plain functions over a transaction, which `longshore token` runs on a data directory too. [`Joining`] serves them under a
//! target prefix of Longshore's own, beside the ECS API.
//!
//! Invariants: of a token's secret only a hash is kept, and of a key's secret nothing: it follows from the key's id and the
//! store's first data key. A machine that asks again with the same token and nonce gets the same instance, and counts once.
//! Who lacks the secret of a token learns nothing of it, not even whether it is there.
//!
//! It does not know what a key may be used for (`longshore-guard`), how an instance registers (`longshore-api-ecs`), or HTTP.

mod api;
pub mod keys;
pub mod tokens;

use longshore_api_ecs::identifiers::NoCluster;
use longshore_keyring::KeyringError;
use longshore_shapes_ecs::InvalidParameterException;

pub use api::Joining;

/// Where machines find this control plane, as its tokens say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its URL.
    pub url: String,
    /// The SHA-256 of the certificate by which it is known, in hexadecimal digits.
    pub ca: Option<String>,
}

/// Why nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Cluster(#[from] NoCluster),
    #[error("a join token lasts from one second to {} days", tokens::TTL_MAX.as_secs() / 86_400)]
    Ttl,
    #[error("a join token lets in 1 to {} machines", tokens::USES_MAX)]
    Uses,
    #[error(
        "a cluster has at most {} join tokens: revoke those that are not needed (longshore token revoke)",
        tokens::TOKENS_MAX
    )]
    TooMany,
    #[error("{0}")]
    Attribute(String),
    #[error(
        "there is no join token {0} in this account and region; `longshore token list` shows those there are"
    )]
    NoToken(String),
    /// Whatever is wrong with it.
    #[error(
        "the join token is not valid: it was never made here, was revoked, or is damaged. `longshore token create` makes another"
    )]
    Invalid,
    #[error("the join token has expired: `longshore token create` makes another")]
    Expired,
    #[error(
        "the join token was used as often as it may be: `longshore token create` makes another, `--uses N` for several machines"
    )]
    UsedUp,
    #[error("the nonce has 16 to 128 bytes")]
    Nonce,
    #[error("the container instance was deregistered; the machine joins as another one with a new nonce")]
    Deregistered,
    #[error("only a container instance that has joined with a token renews its key")]
    NoInstance,
    #[error("the keyring gives no key")]
    Keyring(#[from] KeyringError),
}

/// What ECS says of an attribute.
impl From<InvalidParameterException> for JoinError {
    fn from(error: InvalidParameterException) -> Self {
        use longshore_wire::ModeledError;
        Self::Attribute(error.message().to_owned())
    }
}
