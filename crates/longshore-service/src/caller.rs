//! Who calls, as far as an operation needs to know.

use std::net::IpAddr;
use std::sync::Arc;

use longshore_api::{Call, PrincipalKind};
use longshore_base::Scope;

/// Who makes a call, and in which account and region.
///
/// Made from the [`Call`] that the HTTP edge hands over; a simulation makes its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose records the call may see and change.
    pub scope: Scope,
    /// The ARN of the principal, as `registeredBy` and the account settings show it.
    pub principal: Arc<str>,
    pub kind: PrincipalKind,
    /// Where the call comes from; `None` for calls that the program makes itself.
    pub source_ip: Option<IpAddr>,
}

impl Caller {
    /// A user's call without a source address: one that the program makes itself.
    pub fn new(scope: Scope, principal: impl Into<Arc<str>>) -> Self {
        Self { scope, principal: principal.into(), kind: PrincipalKind::User, source_ip: None }
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
            source_ip: Some(call.source_ip),
        }
    }
}
