//! Who makes a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::{Scope, Timestamp};
use longshore_policy::Policy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself.
    Root,
    /// A named user of the account.
    User,
    /// A role's session: a task or an instance with temporary credentials.
    Session,
    /// A container instance that has joined with a token: its agent, and nobody else (decision 50).
    Instance,
    /// A key that open mode let in without knowing it.
    Guest,
    /// A request without a signature, of an operation that needs none. It stands for nobody: its ARN is none, and its
    /// account is the one that this server has for those who name none.
    Anonymous,
}

/// Who makes a request, as far as the signature proves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// The account of the key and the region of the signature.
    pub scope: Scope,
    pub access_key_id: Arc<str>,
    /// `arn:aws:iam::ACCOUNT:root`, `...:user/PATH/NAME`, or an assumed role's; an instance's own; `anonymous` of who did
    /// not sign.
    pub arn: Arc<str>,
    pub kind: PrincipalKind,
    /// The user's name, without its path; a session's role and name, `ROLE/SESSION`. Empty for all others.
    pub name: Arc<str>,
    /// The unique id of the user (`AIDA…`) or of the session's role (`AROA…`), if it is one that IAM has a record of; the
    /// id of an instance.
    pub id: Option<Arc<str>>,
    /// Of temporary credentials.
    pub session: Option<Arc<Session>>,
    /// The service that the signature is scoped to (`ecs`).
    pub service: Arc<str>,
}

/// What temporary credentials say beside whose they are (identity J3).
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub source: SessionSource,
    pub issued_at: Timestamp,
    /// The policies that it was made with; `None` if it was made with none, and its owner's rights are all its rights.
    pub limits: Option<Limits>,
    /// They stand before those of the role.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// The keys of those tags that go along when another role is assumed.
    pub transitive_tags: BTreeSet<Arc<str>>,
    pub source_identity: Option<Arc<str>>,
    /// The ARN of the OpenID Connect provider who proved a web identity.
    pub provider: Option<Arc<str>>,
}

/// How the credentials came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionSource {
    /// A role was assumed.
    Role,
    /// GetSessionToken.
    Token,
    /// GetFederationToken.
    Federation,
}

/// Session policies: a session may do what one of them allows, as far as its owner may.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub inline: Option<Arc<Policy>>,
    /// ARNs of managed policies. One that is gone allows nothing.
    pub managed: Vec<Arc<str>>,
}
