//! Who calls, as far as an operation needs to know.

use std::net::IpAddr;
use std::sync::Arc;

use longshore_api::{Call, PrincipalKind, Session};
use longshore_base::Scope;

/// Who makes a call, and in which account and region.
///
/// Made from the [`Call`] that the HTTP edge hands over; a simulation makes its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Whose records the call may see and change.
    pub scope: Scope,
    /// The ARN of the principal, as `registeredBy` and the account settings show it.
    pub principal: Arc<str>,
    pub kind: PrincipalKind,
    /// The user's name, without its path; a session's `ROLE/SESSION`. Empty for all others.
    pub name: Arc<str>,
    /// The unique id of the user or of the session's role, if IAM had a record of it when the signature was verified;
    /// the id of an instance.
    pub id: Option<Arc<str>>,
    /// Of temporary credentials.
    pub session: Option<Arc<Session>>,
    /// Where the call comes from; `None` for calls that the program makes itself.
    pub source_ip: Option<IpAddr>,
    /// The call came over TLS.
    pub is_secure: bool,
    pub user_agent: Option<Arc<str>>,
}

impl Caller {
    /// A user's call without a source address: one that the program makes itself.
    pub fn new(scope: Scope, principal: impl Into<Arc<str>>) -> Self {
        Self {
            scope,
            principal: principal.into(),
            kind: PrincipalKind::User,
            name: "".into(),
            id: None,
            session: None,
            source_ip: None,
            is_secure: false,
            user_agent: None,
        }
    }

    /// The id of the container instance that calls with its own key, if one does (decision 50).
    pub fn instance(&self) -> Option<&str> {
        match self.kind {
            PrincipalKind::Instance => self.id.as_deref(),
            PrincipalKind::Root
            | PrincipalKind::User
            | PrincipalKind::Session
            | PrincipalKind::Guest
            | PrincipalKind::Anonymous => None,
        }
    }

    /// The ARN that stands for the whole account: the owner of its default settings.
    pub fn root_arn(&self) -> String {
        format!("arn:{}:iam::{}:root", self.scope.partition().as_str(), self.scope.account)
    }
}

impl From<&Call> for Caller {
    fn from(call: &Call) -> Self {
        Self {
            scope: call.principal.scope.clone(),
            principal: call.principal.arn.clone(),
            kind: call.principal.kind,
            name: call.principal.name.clone(),
            id: call.principal.id.clone(),
            session: call.principal.session.clone(),
            source_ip: Some(call.source_ip),
            is_secure: call.is_secure,
            user_agent: call.user_agent().map(Into::into),
        }
    }
}
