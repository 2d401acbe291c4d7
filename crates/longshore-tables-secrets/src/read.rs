//! Secrets and parameters for whoever hands them on, to tasks above all: found and opened, and nothing else asked.
//!
//! Whether somebody may have them is asked by who calls this. What comes back is in the clear: it is not to be kept.

use std::sync::Arc;

use longshore_base::{Region, Scope, SecretSelector, Timestamp, value_from};
use longshore_keyring::Plain;
use longshore_state::State;

use crate::SecretsState;
use crate::find::{self, FoundSecret, Selector};
use crate::kms::KmsError;
use crate::record::{ParameterKind, ParameterValue, SecretVersion};
use crate::value::{self, Cover};

/// The staging label of the version that counts.
pub const CURRENT: &str = "AWSCURRENT";

/// Why there is no value. The texts are those of the services, where they have one (identity J9).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("Secrets Manager can't find the specified secret.")]
    NoSecret,
    #[error("You can't perform this operation on the secret because it was marked for deletion.")]
    MarkedForDeletion,
    #[error("Secrets Manager can't find the specified secret value for staging label: {0}")]
    NoStage(String),
    #[error("Secrets Manager can't find the specified secret value for VersionId: {0}")]
    NoVersion(String),
    #[error("You provided a VersionStage that is not associated to the provided VersionId.")]
    StageOfAnother,
    #[error("Parameter {0} not found.")]
    NoParameter(String),
    #[error("Systems Manager could not find version {version} of {name}. Verify the version and try again.")]
    NoParameterVersion { name: String, version: String },
    #[error("the value does not open")]
    Value(#[source] KmsError),
}

/// A secret in the clear.
#[derive(Debug)]
pub struct SecretValue {
    pub arn: String,
    pub name: Arc<str>,
    pub plain: Plain,
    /// It is no text.
    pub is_binary: bool,
    pub version: Arc<str>,
    /// The staging labels of the version.
    pub stages: Vec<Arc<str>>,
    pub created_at: Timestamp,
}

/// A parameter in the clear.
#[derive(Debug)]
pub struct ParameterPlain {
    pub arn: String,
    pub name: Arc<str>,
    pub kind: ParameterKind,
    pub plain: Plain,
    pub version: u64,
}

/// The version of a secret that is asked for: by id, by staging label, by both, which have to agree, or the current
/// one.
pub fn version_of<'s>(
    state: &'s State,
    found: &FoundSecret<'s>,
    version: Option<&str>,
    stage: Option<&str>,
) -> Result<(Arc<str>, &'s Arc<SecretVersion>), ReadError> {
    let stages = &found.secret.stages;
    let id: Arc<str> = match (version, stage) {
        (Some(id), None) => id.into(),
        (Some(id), Some(stage)) => match stages.get(stage) {
            Some(own) if **own == *id => own.clone(),
            Some(_) | None => return Err(ReadError::StageOfAnother),
        },
        (None, stage) => {
            let stage = stage.unwrap_or(CURRENT);
            stages.get(stage).cloned().ok_or_else(|| ReadError::NoStage(stage.to_owned()))?
        }
    };
    let realm = state.secrets().realm(&found.scope);
    match realm.secrets().part(&found.whole(), &id) {
        Some(version) => Ok((id, version)),
        None => Err(ReadError::NoVersion(id.to_string())),
    }
}

/// The staging labels of a version.
pub fn stages_of(found: &FoundSecret<'_>, version: &str) -> Vec<Arc<str>> {
    let own = found.secret.stages.iter().filter(|(_, id)| ***id == *version);
    own.map(|(stage, _)| stage.clone()).collect()
}

/// A secret by its name or ARN, as one in `from` names it.
pub fn secret_value(
    state: &State,
    from: &Scope,
    id: &str,
    version: Option<&str>,
    stage: Option<&str>,
) -> Result<SecretValue, ReadError> {
    let found = find::secret(state, from, id).ok_or(ReadError::NoSecret)?;
    if found.secret.deletion.is_some() {
        return Err(ReadError::MarkedForDeletion);
    }
    let (version, kept) = version_of(state, &found, version, stage)?;
    let cover = Cover::secret(&found.scope, found.name, &found.secret.birth, &version);
    let plain = value::open(state, &cover, &kept.value).map_err(ReadError::Value)?;
    Ok(SecretValue {
        arn: found.arn(),
        name: found.name.clone(),
        plain,
        is_binary: kept.value.is_binary,
        stages: stages_of(&found, &version),
        version,
        created_at: kept.created_at,
    })
}

/// A parameter by its name or ARN, with `:3` or `:label` behind it or not, as one in `from` names it.
pub fn parameter_value(state: &State, from: &Scope, named: &str) -> Result<ParameterPlain, ReadError> {
    let (name, rest) = find::split_selector(named);
    let found = find::parameter(state, from, name).ok_or_else(|| ReadError::NoParameter(name.to_owned()))?;
    let selector = find::selector(rest);
    let (number, kept) = found.version(state, selector).ok_or_else(|| no_version(name, selector))?;
    let plain = match &kept.value {
        ParameterValue::Text(text) => Plain::new(text.0.as_bytes().to_vec().into()),
        ParameterValue::Secure(secure) => {
            let cover = Cover::parameter(&found.scope, found.name, &found.parameter.birth, number);
            value::open(state, &cover, secure).map_err(ReadError::Value)?
        }
    };
    let kind = found.parameter.kind;
    Ok(ParameterPlain { arn: found.arn(), name: found.name.clone(), kind, plain, version: number })
}

/// The version that a `valueFrom` means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// A version's id in Secrets Manager, its number in the Parameter Store.
    pub version: Arc<str>,
    /// No earlier than the change by which it has become so.
    pub since: Timestamp,
}

/// Which version a container would be given for a `valueFrom` now, as its task in `from` names it. `None` if there is
/// nothing to give. Nothing is opened.
pub fn in_force(state: &State, from: &Scope, value_from: &str) -> Option<InForce> {
    let mut from = from.clone();
    if let Some(region) = value_from::region(value_from) {
        from.region = Region::parse(region)?;
    }
    if value_from::is_secrets_manager(value_from) {
        let asked = SecretSelector::read(value_from);
        let found = find::secret(state, &from, asked.arn)?;
        if found.secret.deletion.is_some() {
            return None;
        }
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let (version, _) = version_of(state, &found, some(asked.version), some(asked.stage)).ok()?;
        // Every change of a staging label is one of the secret.
        return Some(InForce { version, since: found.secret.changed_at });
    }
    let (name, rest) = find::split_selector(value_from);
    let found = find::parameter(state, &from, name)?;
    let selector = find::selector(rest);
    let (number, kept) = found.version(state, selector)?;
    let since = match selector {
        Selector::Newest | Selector::Number(_) => kept.modified_at,
        Selector::Label(_) => {
            found.parameter.labelled_at.map_or(kept.modified_at, |at| at.max(kept.modified_at))
        }
    };
    Some(InForce { version: number.to_string().into(), since })
}

/// That a parameter has no such version.
pub fn no_version(name: &str, selector: Selector<'_>) -> ReadError {
    let version = match selector {
        Selector::Newest => "of now".to_owned(),
        Selector::Number(number) => number.to_string(),
        Selector::Label(label) => label.to_owned(),
    };
    ReadError::NoParameterVersion { name: name.to_owned(), version }
}
