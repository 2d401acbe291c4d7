//! Keys of users that are kept elsewhere, in IAM's records: the port to them.

use std::sync::Arc;

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

    /// The user of this name.
    fn named(&self, account: AccountId, name: &str) -> Option<User>;

    /// The key was used, with a signature that is right, and that is news. It is noted later, or not at all.
    fn used(&self, access_key_id: &str, used: Use<'_>);
}
