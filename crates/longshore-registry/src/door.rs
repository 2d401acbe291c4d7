//! Who comes in.

use longshore_api::Visit;
use longshore_service::Caller;
use zeroize::Zeroizing;

/// Finds out whose credentials a request has: a password of GetAuthorizationToken, a token of ours, or none.
pub trait Door: Send + Sync + 'static {
    /// Looks at the head alone, and does no I/O.
    fn enter(&self, visit: &Visit) -> Result<Caller, Stranger>;

    /// A token for what the request has with it, in its head or in a form of `grant_type=password`.
    fn token(&self, visit: &Visit, form: Option<&str>) -> Result<Token, Stranger>;
}

/// Nobody we know. He is told how to come back: without a challenge, clients never send what they have (registry I7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    pub message: String,
    /// For `WWW-Authenticate`.
    pub challenge: String,
}

/// What a client sends as `Bearer`.
pub struct Token {
    pub text: Zeroizing<String>,
    /// Seconds.
    pub expires_in: u64,
}
