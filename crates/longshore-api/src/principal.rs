//! Who makes a request.

use std::sync::Arc;

use longshore_base::Scope;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself.
    Root,
    /// A named user of the account.
    User,
    /// A role's session: a task or an instance with temporary credentials.
    Session,
    /// A key that open mode let in without knowing it.
    Guest,
    /// A request without a signature, of an operation that needs none. It stands for nobody: its ARN is none, and its
    /// account is the one that this server has for those who name none.
    Anonymous,
}

/// Who makes a request, as far as the signature proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account of the key and the region of the signature.
    pub scope: Scope,
    pub access_key_id: Arc<str>,
    /// `arn:aws:iam::ACCOUNT:root`, `...:user/PATH/NAME`, or an assumed role's; `anonymous` of who did not sign.
    pub arn: Arc<str>,
    pub kind: PrincipalKind,
    /// The user's name, without its path; a session's role and name, `ROLE/SESSION`. Empty for all others.
    pub name: Arc<str>,
    /// The unique id of the user (`AIDA…`), if it is one that IAM has a record of.
    pub id: Option<Arc<str>>,
    /// The service that the signature is scoped to (`ecs`).
    pub service: Arc<str>,
}
