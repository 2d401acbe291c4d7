//! What an operation needs permission for, in the words of policies (identity J6 and J7).

use std::borrow::Cow;
use std::sync::Arc;

use longshore_base::AccountId;
use longshore_policy::Policy;

use crate::Caller;

/// What a condition key is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    One(String),
    /// Of a key with many values, which `ForAnyValue` and `ForAllValues` ask about. None is not the same as no key.
    Many(Vec<String>),
}

/// The policy that a resource has itself, beside those of whoever asks.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourcePolicy {
    pub policy: Arc<Policy>,
    /// Without it nobody has a right, and the account's root has none either (KMS keys, identity J6).
    pub is_indispensable: bool,
}

/// Policies are compared by what they say, which is equal to itself.
impl Eq for ResourcePolicy {}

impl ResourcePolicy {
    /// Of something that may have a policy and has none: nobody of another account has a right.
    pub fn none() -> Self {
        Self { policy: Arc::new(Policy { statements: Vec::new() }), is_indispensable: false }
    }
}

/// One question to the policies: may the caller do this to that?
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// `ecs:RunTask`.
    pub action: String,
    /// The ARN, whether there is such a thing or not; `*` for an action without a resource.
    pub resource: String,
    /// What a denial calls it, where the ARN says more than the caller did: the path of a user, whose a key is.
    pub shown: Option<String>,
    /// All that a denial says, where it is not to name action, resource or the policy that is missing: `Access to KMS is
    /// not allowed`. STS says by it the same of a role that is missing and of one that does not trust the caller.
    pub denial: Option<Cow<'static, str>>,
    /// The account that the resource belongs to.
    pub owner: AccountId,
    /// Of a resource that can have a policy; [`ResourcePolicy::none`] if it has none, or is not there.
    pub policy: Option<ResourcePolicy>,
    /// Condition keys of the action and of the resource. Those that every request has (`aws:SourceIp`) are not among
    /// them.
    pub keys: Vec<(Cow<'static, str>, Values)>,
}

impl Access {
    /// Whose account an ARN does not name belongs to the caller.
    pub fn new(action: impl Into<String>, resource: impl Into<String>, caller: &Caller) -> Self {
        let resource = resource.into();
        let account = resource.split(':').nth(4).and_then(AccountId::parse);
        Self {
            action: action.into(),
            owner: account.unwrap_or(caller.scope.account),
            resource,
            shown: None,
            denial: None,
            policy: None,
            keys: Vec::new(),
        }
    }

    /// The same, called otherwise in a denial.
    #[must_use]
    pub fn shown_as(self, shown: impl Into<String>) -> Self {
        Self { shown: Some(shown.into()), ..self }
    }

    /// The same with a denial that says this and nothing else.
    #[must_use]
    pub fn denied_as(self, denial: impl Into<Cow<'static, str>>) -> Self {
        Self { denial: Some(denial.into()), ..self }
    }

    /// The same about a resource that may have a policy of its own.
    #[must_use]
    pub fn under(self, policy: ResourcePolicy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.keys.push((key.into(), Values::One(value.into())));
        self
    }

    #[must_use]
    pub fn with_all(
        mut self,
        key: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        self.keys.push((key.into(), Values::Many(values.into_iter().collect())));
        self
    }
}

/// All that has to be allowed, or nothing is done. Empty: everybody may.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources(Vec<Access>);

impl Resources {
    /// Of an operation that nobody needs permission for.
    pub fn none() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = Access>) -> Self {
        self.0.extend(more);
        self
    }

    /// The same with every question changed.
    #[must_use]
    pub fn map(self, change: impl FnMut(Access) -> Access) -> Self {
        Self(self.0.into_iter().map(change).collect())
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Access> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Access> for Resources {
    fn from_iter<I: IntoIterator<Item = Access>>(list: I) -> Self {
        Self(list.into_iter().collect())
    }
}

impl From<Access> for Resources {
    fn from(access: Access) -> Self {
        Self(vec![access])
    }
}

impl IntoIterator for Resources {
    type Item = Access;
    type IntoIter = std::vec::IntoIter<Access>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
