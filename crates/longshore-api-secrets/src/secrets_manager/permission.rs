//! What a caller needs permission for.
//!
//! A secret that is there is asked about by its ARN, one that is not as it was named (identity J7); a denial calls
//! either as it was named.

use std::collections::BTreeSet;

use longshore_service::{Access, Caller, ResourcePolicy, Resources};
use longshore_shapes_secretsmanager::{CreateSecretRequest, Tag};
use longshore_state::State;
use longshore_tables_secrets::find::{self, FoundSecret, KeyAt};
use longshore_tables_secrets::material::EncryptionContext;
use longshore_tables_secrets::record::SecretVersion;
use longshore_tables_secrets::{SecretsState, arn, read, value};

use super::texts;
use crate::{keys, policies, tags};

const SERVICE: &str = "secretsmanager";

/// An action that has no resource.
pub(super) fn on_all(caller: &Caller, action: &str) -> Access {
    Access::new(format!("{SERVICE}:{action}"), "*", caller)
}

/// An action on a secret.
pub(super) fn on_secret(state: &State, caller: &Caller, action: &str, id: &str) -> Access {
    let action = format!("{SERVICE}:{action}");
    let access = match find::secret(state, &caller.scope, id) {
        Some(found) => {
            let access = Access::new(action, found.arn(), caller);
            let access = access.with("secretsmanager:SecretId", found.arn());
            tags::of_resource(access, &found.secret.tags, Some(SERVICE))
                .under(policies::asked(found.secret.policy.as_ref()))
        }
        None => {
            Access::new(action, id, caller).with("secretsmanager:SecretId", id).under(ResourcePolicy::none())
        }
    };
    access.shown_as(id)
}

/// A new secret: its ARN ends in letters that nobody knows yet.
pub(super) fn create(state: &State, caller: &Caller, input: &CreateSecretRequest) -> Resources {
    let name = input.name.as_deref().unwrap_or_default();
    let on_new = |action: &str| {
        let access =
            Access::new(format!("{SERVICE}:{action}"), arn::secret(&caller.scope, name, "??????"), caller);
        let access = access.with("secretsmanager:Name", name).shown_as(name);
        tags::of_request(access, pairs(&input.tags)).under(ResourcePolicy::none())
    };
    let tagging = input.tags.as_ref().is_some_and(|tags| !tags.is_empty()).then(|| on_new("TagResource"));
    let has_value = input.secret_string.is_some() || input.secret_binary.is_some();
    let named = input.kms_key_id.as_deref().filter(|_| has_value);
    let key = named.and_then(|named| keys::find(state, caller, named)).map(|(at, _)| at);
    Resources::from(on_new("CreateSecret"))
        .and(tagging)
        .and(key.map(|at| to_write(state, caller, &at)).into_iter().flatten())
}

/// The tags of a request.
pub(super) fn pairs(given: &Option<Vec<Tag>>) -> Vec<tags::Pair> {
    given.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

fn through(
    state: &State,
    caller: &Caller,
    action: &str,
    at: &KeyAt,
    context: &EncryptionContext,
) -> Option<Access> {
    let access = keys::through(state, caller, SERVICE, action, at, context)?;
    Some(access.denied_as(texts::NO_KMS))
}

/// What is needed of a key to write under it: a customer's key, for nobody needs any right to the account's own one.
pub(super) fn to_write(state: &State, caller: &Caller, at: &KeyAt) -> Vec<Access> {
    let context = EncryptionContext::new();
    let ask = |action: &str| through(state, caller, action, at, &context);
    ask("kms:GenerateDataKey").into_iter().chain(ask("kms:Decrypt")).collect()
}

/// What is needed of its key to read a version.
pub(super) fn to_read(
    state: &State,
    caller: &Caller,
    found: &FoundSecret<'_>,
    id: &str,
    version: &SecretVersion,
) -> Option<Access> {
    let at = value::key_at(&found.scope, &version.value.key);
    through(state, caller, "kms:Decrypt", &at, &value::secret_context(&found.arn(), id))
}

/// To read the value of a secret: of the version that is asked for, if there is one.
pub(super) fn get_value(
    state: &State,
    caller: &Caller,
    id: &str,
    version: Option<&str>,
    stage: Option<&str>,
) -> Resources {
    let mut access = on_secret(state, caller, "GetSecretValue", id);
    if let Some(version) = version {
        access = access.with("secretsmanager:VersionId", version);
    }
    access = match (version, stage) {
        (_, Some(stage)) => access.with("secretsmanager:VersionStage", stage),
        (None, None) => access.with("secretsmanager:VersionStage", read::CURRENT),
        (Some(_), None) => access,
    };
    let found = find::secret(state, &caller.scope, id);
    let key = found.and_then(|found| {
        let (id, kept) = read::version_of(state, &found, version, stage).ok()?;
        to_read(state, caller, &found, &id, kept)
    });
    Resources::from(access).and(key)
}

/// To write a value into a secret that is there, and to have read what is there under other keys.
pub(super) fn put_value(state: &State, caller: &Caller, id: &str) -> Vec<Access> {
    let found = find::secret(state, &caller.scope, id);
    let chosen = found.and_then(|found| Some(value::key_at(&found.scope, &found.secret.key.as_ref()?.key)));
    chosen.map(|at| to_write(state, caller, &at)).unwrap_or_default()
}

/// To put what a secret holds under another key: that one, and those that it is under.
pub(super) fn change_key(state: &State, caller: &Caller, id: &str, named: &str) -> Vec<Access> {
    let new = keys::find(state, caller, named).map(|(at, _)| to_write(state, caller, &at));
    let old = find::secret(state, &caller.scope, id).map(|found| {
        let secrets = state.secrets().realm(&found.scope).secrets();
        let ids: BTreeSet<_> = found.secret.stages.values().collect();
        let reads = ids.into_iter().filter_map(|id| {
            let version = secrets.part(&found.whole(), id)?;
            to_read(state, caller, &found, id, version)
        });
        reads.collect::<Vec<_>>()
    });
    new.into_iter().chain(old).flatten().collect()
}
