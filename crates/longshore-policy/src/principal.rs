//! The `Principal` and `NotPrincipal` elements of trust policies and resource policies (identity J6).

use crate::decide::{Asker, Who};

/// One entry of `Principal`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// `*`, or `{"AWS": "*"}`.
    Everyone,
    /// Twelve digits, or the ARN of an account's root: who has the right from the policies of that account.
    Account(String),
    /// The ARN of a user, a role or a session.
    Arn(String),
    /// The unique id of a user or a role (`AIDA…`, `AROA…`): what an ARN becomes when the policy is stored, so that a
    /// new role of an old name is not trusted (identity J4).
    Id(String),
    /// `ecs-tasks.amazonaws.com` and its like.
    Service(String),
    /// The ARN of an OpenID Connect provider.
    Federated(String),
}

/// The entries of `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principals(pub Vec<Grantee>);

/// How exactly a policy names who asks: it decides whether more than the policy is needed ([`crate::decide()`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// By the account: which delegates to the policies there.
    ByAccount,
    /// As everyone, or by the role of the session.
    ByRole,
    /// The user, the session, the service or the provider itself.
    Itself,
}

impl Principals {
    /// How `who` is named, if at all.
    pub(crate) fn name(&self, who: &Who) -> Option<Named> {
        self.0.iter().filter_map(|grantee| grantee.names(who)).max()
    }
}

impl Grantee {
    /// One entry below `AWS`.
    pub fn aws(text: &str) -> Self {
        let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if text == "*" {
            return Self::Everyone;
        }
        if is_account {
            return Self::Account(text.to_owned());
        }
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        match fields.as_slice() {
            ["arn", _, "iam", _, account, "root"] => Self::Account((*account).to_owned()),
            ["arn", ..] => Self::Arn(text.to_owned()),
            _id => Self::Id(text.to_owned()),
        }
    }

    fn names(&self, who: &Who) -> Option<Named> {
        match (self, &who.asker) {
            // An anonymous caller is everyone as well.
            (Self::Everyone, _) => Some(Named::ByRole),
            (Self::Account(account), Asker::Root | Asker::User { .. } | Asker::Session { .. }) => {
                (*account == who.account).then_some(Named::ByAccount)
            }
            (Self::Arn(named), Asker::User { arn, .. }) => (named == arn).then_some(Named::Itself),
            (Self::Id(named), Asker::User { id, .. }) => (named == id).then_some(Named::Itself),
            (Self::Arn(named), Asker::Session { arn, role_arn, .. }) => match named {
                named if named == arn => Some(Named::Itself),
                named if named == role_arn => Some(Named::ByRole),
                _other => None,
            },
            (Self::Id(named), Asker::Session { role_id, .. }) => (named == role_id).then_some(Named::ByRole),
            (Self::Service(named), Asker::Service(name)) => (named == name).then_some(Named::Itself),
            (Self::Federated(named), Asker::Federated(provider)) => {
                (named == provider).then_some(Named::Itself)
            }
            (
                Self::Account(_) | Self::Arn(_) | Self::Id(_) | Self::Service(_) | Self::Federated(_),
                Asker::Root
                | Asker::User { .. }
                | Asker::Session { .. }
                | Asker::Service(_)
                | Asker::Federated(_)
                | Asker::Anonymous,
            ) => None,
        }
    }
}
