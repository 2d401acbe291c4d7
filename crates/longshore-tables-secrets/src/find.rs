//! What requests name: secrets by name and ARN, parameters by name, ARN, version and label, keys by id, ARN and alias.
//!
//! An ARN may name something of another account; whether the caller may have it is not asked here. It has to be of the
//! caller's region.

use std::sync::Arc;

use longshore_base::Scope;
use longshore_state::State;

use crate::key::Whole;
use crate::record::{KmsKey, Parameter, ParameterVersion, Secret};
use crate::{SecretsState, arn};

/// Characters behind the hyphen in the ARN of a secret.
pub const BIRTH_CHARS: usize = 6;

/// A secret that is there.
#[derive(Clone, Debug)]
pub struct FoundSecret<'s> {
    pub scope: Scope,
    pub name: &'s Arc<str>,
    pub secret: &'s Arc<Secret>,
}

impl FoundSecret<'_> {
    pub fn whole(&self) -> Whole {
        Whole::new(self.name, &self.secret.birth)
    }

    pub fn arn(&self) -> String {
        arn::secret(&self.scope, self.name, &self.secret.birth)
    }
}

/// The secret that is named by its name, its ARN, or its ARN without what comes behind the name (identity J9).
pub fn secret<'s>(state: &'s State, from: &Scope, id: &str) -> Option<FoundSecret<'s>> {
    let found = |scope: &Scope, name: &str| {
        let (name, secret) = state.secrets().realm(scope).secrets().entry(name)?;
        Some(FoundSecret { scope: scope.clone(), name, secret })
    };
    if !id.starts_with("arn:") {
        return found(from, id);
    }
    let (scope, resource) =
        arn::read(id, "secretsmanager").filter(|(scope, _)| scope.region == from.region)?;
    let rest = resource.strip_prefix("secret:")?;
    let whole = rest.len().checked_sub(BIRTH_CHARS + 1).and_then(|at| rest.split_at_checked(at));
    let exact = whole.and_then(|(name, birth)| {
        let birth = birth.strip_prefix('-')?;
        found(&scope, name).filter(|found| *found.secret.birth == *birth)
    });
    exact.or_else(|| found(&scope, rest))
}

/// Which version of a parameter is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    Newest,
    Number(u64),
    Label(&'a str),
}

/// Splits what names a parameter into its name and `:3` or `:label`, which is given back as it stands.
pub fn split_selector(text: &str) -> (&str, Option<&str>) {
    // Of an ARN only what comes behind the account can have one.
    let begin =
        if text.starts_with("arn:") { text.find(":parameter").map_or(text.len(), |at| at + 1) } else { 0 };
    match text[begin..].find(':') {
        Some(at) => (&text[..begin + at], Some(&text[begin + at..])),
        None => (text, None),
    }
}

/// What `:3` or `:label` asks for.
pub fn selector(text: Option<&str>) -> Selector<'_> {
    match text.map(|text| text.strip_prefix(':').unwrap_or(text)) {
        None => Selector::Newest,
        Some(text) => match text.parse() {
            Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Selector::Number(number),
            Ok(_) | Err(_) => Selector::Label(text),
        },
    }
}

/// A parameter that is there.
#[derive(Clone, Debug)]
pub struct FoundParameter<'s> {
    pub scope: Scope,
    pub name: &'s Arc<str>,
    pub parameter: &'s Arc<Parameter>,
}

impl<'s> FoundParameter<'s> {
    pub fn whole(&self) -> Whole {
        Whole::new(self.name, &self.parameter.birth)
    }

    pub fn arn(&self) -> String {
        arn::parameter(&self.scope, self.name)
    }

    /// The number and the version that is asked for; `None` if there is no such one.
    pub fn version(
        &self,
        state: &'s State,
        selector: Selector<'_>,
    ) -> Option<(u64, &'s Arc<ParameterVersion>)> {
        let number = match selector {
            Selector::Newest => self.parameter.version,
            Selector::Number(number) => number,
            Selector::Label(label) => *self.parameter.labels.get(label)?,
        };
        let realm = state.secrets().realm(&self.scope);
        Some((number, realm.parameters().part(&self.whole(), &number)?))
    }
}

/// The parameter of a name or an ARN, without a selector.
pub fn parameter<'s>(state: &'s State, from: &Scope, named: &str) -> Option<FoundParameter<'s>> {
    let found = |scope: &Scope, name: &str| {
        let (name, parameter) = state.secrets().realm(scope).parameters().entry(name)?;
        Some(FoundParameter { scope: scope.clone(), name, parameter })
    };
    if !named.starts_with("arn:") {
        return found(from, named);
    }
    let (scope, resource) = arn::read(named, "ssm").filter(|(scope, _)| scope.region == from.region)?;
    let path = resource.strip_prefix("parameter").filter(|path| path.starts_with('/'))?;
    found(&scope, path).or_else(|| found(&scope, &path[1..]))
}

/// A key of KMS: whose it is, and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyAt {
    pub scope: Scope,
    pub id: Arc<str>,
}

impl KeyAt {
    pub fn arn(&self) -> String {
        arn::key(&self.scope, &self.id)
    }

    /// `None` if it is gone.
    pub fn record<'s>(&self, state: &'s State) -> Option<&'s Arc<KmsKey>> {
        state.secrets().realm(&self.scope).keys().get(&self.id)
    }
}

/// How a key is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyName {
    /// By an id, in this account.
    Id(Scope, Arc<str>),
    /// By an alias, `alias/` included.
    Alias(Scope, Arc<str>),
}

impl KeyName {
    /// Reads an id, an ARN or an alias. `None` if the ARN is none of this service and region.
    pub fn read(from: &Scope, text: &str) -> Option<Self> {
        if text.starts_with("alias/") {
            return Some(Self::Alias(from.clone(), text.into()));
        }
        if !text.starts_with("arn:") {
            return Some(Self::Id(from.clone(), text.into()));
        }
        let (scope, resource) = arn::read(text, "kms").filter(|(scope, _)| scope.region == from.region)?;
        match resource.strip_prefix("key/") {
            Some(id) => Some(Self::Id(scope, id.into())),
            None if resource.starts_with("alias/") => Some(Self::Alias(scope, resource.into())),
            None => None,
        }
    }

    pub fn scope(&self) -> &Scope {
        match self {
            Self::Id(scope, _) | Self::Alias(scope, _) => scope,
        }
    }

    /// The name's own ARN: of the alias, where it is one.
    pub fn arn(&self) -> String {
        match self {
            Self::Id(scope, id) => arn::key(scope, id),
            Self::Alias(scope, name) => arn::alias(scope, name),
        }
    }

    /// The key, if there is one.
    pub fn key<'s>(&self, state: &'s State) -> Option<(KeyAt, &'s Arc<KmsKey>)> {
        let realm = state.secrets().realm(self.scope());
        let id = match self {
            Self::Id(_, id) => id,
            Self::Alias(_, name) => &realm.aliases().get(name)?.target,
        };
        let (id, key) = realm.keys().entry(id)?;
        Some((KeyAt { scope: self.scope().clone(), id: id.clone() }, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_stand_behind_the_name() {
        for (text, name, rest) in [
            ("/a/b", "/a/b", None),
            ("/a/b:3", "/a/b", Some(":3")),
            ("a:prod", "a", Some(":prod")),
            (
                "arn:aws:ssm:eu-west-1:111122223333:parameter/a",
                "arn:aws:ssm:eu-west-1:111122223333:parameter/a",
                None,
            ),
            (
                "arn:aws:ssm:eu-west-1:111122223333:parameter/a:7",
                "arn:aws:ssm:eu-west-1:111122223333:parameter/a",
                Some(":7"),
            ),
        ] {
            assert_eq!(split_selector(text), (name, rest), "{text}");
        }
        assert_eq!(selector(None), Selector::Newest);
        assert_eq!(selector(Some(":12")), Selector::Number(12));
        for label in ["prod", "+1", "1a", ""] {
            assert_eq!(selector(Some(&format!(":{label}"))), Selector::Label(label));
        }
    }
}
