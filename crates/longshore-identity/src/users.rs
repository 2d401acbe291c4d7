//! Keys of users that are kept elsewhere, in IAM's records, and sessions, which are kept in their tokens: the port to them.

use std::sync::Arc;

use longshore_api::{PrincipalKind, Session};
use longshore_base::{AccountId, Timestamp};
use longshore_sigv4::Secret;

/// A user of whom there is a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `AIDA…`
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// Begins and ends with a slash.
    pub path: Arc<str>,
}

/// An access key of such a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    pub account: AccountId,
    pub user: User,
    pub is_active: bool,
    /// A use as it was asked about says something that is not known yet.
    pub is_news: bool,
}

/// Temporary credentials, as their token says.
#[derive(Clone, Debug)]
pub struct SessionKey {
    pub account: AccountId,
    pub secret: Secret,
    pub kind: PrincipalKind,
    /// What its ARN ends in, behind the account: `assumed-role/ROLE/NAME`, `user/PATH/NAME`, `federated-user/NAME`, `root`.
    pub resource: String,
    /// The user's name, or the session's, `ROLE/NAME`; empty for all others.
    pub name: Arc<str>,
    /// The unique id of the user or the role.
    pub id: Option<Arc<str>>,
    pub expires: Timestamp,
    pub session: Arc<Session>,
}

/// What is known of a session token.
#[derive(Clone, Debug)]
pub enum SessionToken {
    /// Nothing that was made here.
    Foreign,
    /// Made here, and worth nothing: damaged, of another key, or what it was made for is gone.
    Invalid,
    Valid(Box<SessionKey>),
}

/// The access key of a container instance that has joined with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceKey {
    pub account: AccountId,
    /// The instance's ARN, in the long format.
    pub arn: Arc<str>,
    /// The instance's id.
    pub id: Arc<str>,
}

/// Whose an access key is, if it may be an instance's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceOfKey {
    /// No key of an instance looks so.
    Foreign,
    /// It looks like one, and is none or none any more.
    Ended,
    Known(InstanceKey),
}

/// How a key is being used.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    pub now: Timestamp,
    /// Of the signature.
    pub region: &'a str,
    pub service: &'a str,
}

/// Where users and their keys are. Asked for each request, and so at once: it does no I/O.
pub trait Users: Send + Sync {
    /// The key with this id, in whatever account it is.
    fn key(&self, access_key_id: &str, used: Use<'_>) -> Option<UserKey>;

    /// Its secret, which is the same as long as there is such a key: no id comes again.
    fn secret(&self, access_key_id: &str) -> Option<Secret>;

    /// What the token says that came with this key's id. Whether it has expired is not asked.
    fn session(&self, access_key_id: &str, token: &str) -> SessionToken;

    /// A session was used, with a signature that is right.
    fn session_used(&self, key: &SessionKey, used: Use<'_>);

    /// The instance that this key belongs to.
    fn instance(&self, access_key_id: &str) -> InstanceOfKey;

    /// The secret of an instance's key, which is the same as long as there is such a key.
    fn instance_secret(&self, access_key_id: &str) -> Option<Secret>;

    /// The user of this name.
    fn named(&self, account: AccountId, name: &str) -> Option<User>;

    /// The key was used, with a signature that is right, and that is news. It is noted later, or not at all.
    fn used(&self, access_key_id: &str, used: Use<'_>);
}
