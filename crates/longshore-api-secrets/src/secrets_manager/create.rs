//! Secrets: made and changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::Ids;
use longshore_service::Resources;
use longshore_shapes_secretsmanager::{
    CreateSecretRequest, CreateSecretResponse, DecryptionFailure, EncryptionFailure,
    InvalidParameterException, InvalidRequestException, ResourceExistsException, UpdateSecretResponse, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_secrets::find::{BIRTH_CHARS, FoundSecret, KeyAt};
use longshore_tables_secrets::key::{ScopedKey, VersionKey, Whole};
use longshore_tables_secrets::read::CURRENT;
use longshore_tables_secrets::record::{Secret, SecretVersion};
use longshore_tables_secrets::value::{self, Cover};
use longshore_tables_secrets::{SecretsState, arn, find as lookup};
use longshore_wire::Fault;

use super::values::{self, Given, Made};
use super::{find, permission, stages, texts};
use crate::input::given;
use crate::tags;

const BIRTH: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Six letters and digits.
pub(crate) fn birth(ids: &mut Ids) -> Arc<str> {
    let seed = ids.seed();
    (0..BIRTH_CHARS as u64)
        .map(|n| char::from(BIRTH[seed.of(n).below(BIRTH.len())]))
        .collect::<String>()
        .into()
}

fn name_is_right(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/_+=.@!".contains(&byte))
}

command!(
    SecretsManager,
    CreateSecret,
    |state, caller, input| permission::create(state, caller, input),
    |tx, caller, input| {
        let refused = |text: &str| Self::Error::from(InvalidParameterException::new(text));
        let name: Arc<str> = given(&input.name).into();
        if !name_is_right(&name) {
            return Err(Fault::validation(texts::BAD_NAME).into());
        }
        if input.add_replica_regions.as_ref().is_some_and(|regions| !regions.is_empty()) {
            return Err(refused(texts::NO_REPLICAS));
        }
        if input.r#type.as_ref().is_some_and(|named| !named.is_empty()) {
            return Err(refused(texts::NO_TYPES));
        }
        let tags =
            tags::parse(permission::pairs(&input.tags)).map_err(|error| refused(&error.to_string()))?;
        let value = Given::read(input.secret_string.clone(), input.secret_binary.clone())?;
        if let Some(there) = lookup::secret(tx.state(), &caller.scope, &name) {
            return again::<Self::Error>(tx.state(), &there, &input, value.as_ref());
        }
        let at = ScopedKey::new(&caller.scope, &name);
        let (key, chosen) =
            values::key_for::<Self::Error>(tx, caller, &at.scope, input.kms_key_id.as_deref())?;
        let mut secret = Secret {
            birth: free_birth(tx, &at),
            description: description(input.description.as_deref()),
            key: chosen,
            tags,
            policy: None,
            created_at: tx.now,
            changed_at: tx.now,
            deletion: None,
            stages: BTreeMap::new(),
        };
        let mut version_id = None;
        if let Some(value) = value {
            let id: Arc<str> = input.client_request_token.unwrap_or_else(|| tx.ids.uuid()).into();
            values::put_version::<Self::Error>(tx, &at, &secret, &key, &id, &value)?;
            stages::attach::<Self::Error>(&mut secret, CURRENT, &id)?;
            version_id = Some(id.to_string());
        }
        let arn = arn::secret(&at.scope, &name, &secret.birth);
        tx.put::<Secret>(at, secret);
        Ok(CreateSecretResponse {
            arn: Some(arn),
            name: Some(name.to_string()),
            version_id,
            ..CreateSecretResponse::default()
        })
    }
);

/// A birth that nothing which is left of an older secret of this name has.
fn free_birth(tx: &mut Tx<'_>, at: &ScopedKey) -> Arc<str> {
    loop {
        let drawn = birth(&mut tx.ids);
        let of = Whole::new(&at.name, &drawn);
        if tx.secrets().realm(&at.scope).secrets().count_parts(&of) == 0 {
            return drawn;
        }
    }
}

/// An empty one is none.
fn description(given: Option<&str>) -> Option<Arc<str>> {
    given.filter(|text| !text.is_empty()).map(Into::into)
}

/// A secret of this name is there. That is the answer if this call, or one with its token and value, has made it.
fn again<E>(
    state: &State,
    there: &FoundSecret<'_>,
    input: &CreateSecretRequest,
    given: Option<&Given>,
) -> Result<CreateSecretResponse, E>
where
    E: From<InvalidRequestException> + From<ResourceExistsException> + From<DecryptionFailure> + From<Fault>,
{
    if there.secret.deletion.is_some() {
        return Err(InvalidRequestException::new(texts::NAME_MARKED).into());
    }
    let exists = || E::from(ResourceExistsException::new(texts::secret_exists(there.name)));
    let (Some(token), Some(given)) = (&input.client_request_token, given) else { return Err(exists()) };
    let id: Arc<str> = token.as_str().into();
    let secrets = state.secrets().realm(&there.scope).secrets();
    let Some(kept) = secrets.part(&there.whole(), &id) else { return Err(exists()) };
    let cover = Cover::secret(&there.scope, there.name, &there.secret.birth, &id);
    let plain = value::open(state, &cover, &kept.value).map_err(values::not_opened::<E>)?;
    if !values::is_it(&plain, kept, given) {
        return Err(exists());
    }
    Ok(CreateSecretResponse {
        arn: Some(there.arn()),
        name: Some(there.name.to_string()),
        version_id: Some(id.to_string()),
        ..CreateSecretResponse::default()
    })
}

command!(
    SecretsManager,
    UpdateSecret,
    |state, caller, input| {
        let id = given(&input.secret_id);
        let asked = Resources::from(permission::on_secret(state, caller, "UpdateSecret", id));
        let writes = input.secret_string.is_some() || input.secret_binary.is_some();
        match input.kms_key_id.as_deref() {
            Some(named) => asked.and(permission::change_key(state, caller, id, named)),
            None if writes => asked.and(permission::put_value(state, caller, id)),
            None => asked,
        }
    },
    |tx, caller, input| {
        if input.r#type.as_ref().is_some_and(|named| !named.is_empty()) {
            return Err(InvalidParameterException::new(texts::NO_TYPES).into());
        }
        let value = Given::read(input.secret_string, input.secret_binary)?;
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let (at, arn) = (ScopedKey::new(&found.scope, found.name), found.arn());
        let mut secret = Secret::clone(found.secret);
        if let Some(text) = &input.description {
            secret.description = description(Some(text));
        }
        let key = match input.kms_key_id.as_deref() {
            Some(named) => {
                let (key, chosen) = values::key_for::<Self::Error>(tx, caller, &at.scope, Some(named))?;
                if chosen.as_ref().map(|chosen| &chosen.key) != secret.key.as_ref().map(|own| &own.key) {
                    encrypt_again::<Self::Error>(tx, &at, &secret, &key)?;
                }
                secret.key = chosen;
                key
            }
            None => values::key_of::<Self::Error>(tx, &at.scope, &secret)?,
        };
        let mut version_id = None;
        if let Some(value) = value {
            let id: Arc<str> = input.client_request_token.unwrap_or_else(|| tx.ids.uuid()).into();
            match values::put_version::<Self::Error>(tx, &at, &secret, &key, &id, &value)? {
                Made::New => stages::attach::<Self::Error>(&mut secret, CURRENT, &id)?,
                // A version is never changed, and this is not the call that made it (identity J9).
                Made::Before => return Err(ResourceExistsException::new(texts::VERSION_EXISTS).into()),
            }
            version_id = Some(id.to_string());
        }
        secret.changed_at = tx.now;
        let name = at.name.to_string();
        tx.put::<Secret>(at, secret);
        Ok(UpdateSecretResponse { arn: Some(arn), name: Some(name), version_id })
    }
);

/// Puts the versions that have labels under another key. The others stay under theirs.
fn encrypt_again<E: From<EncryptionFailure> + From<DecryptionFailure> + From<Fault>>(
    tx: &mut Tx<'_>,
    at: &ScopedKey,
    secret: &Secret,
    key: &KeyAt,
) -> Result<(), E> {
    let of = Whole::new(&at.name, &secret.birth);
    let labelled: BTreeSet<&Arc<str>> = [CURRENT, "AWSPENDING", stages::PREVIOUS]
        .into_iter()
        .filter_map(|label| secret.stages.get(label))
        .collect();
    for id in labelled {
        let Some(kept) = tx.secrets().realm(&at.scope).secrets().part(&of, id).cloned() else { continue };
        let cover = Cover::secret(&at.scope, &at.name, &secret.birth, id);
        let plain = value::open(tx.state(), &cover, &kept.value).map_err(values::not_opened::<E>)?;
        let sealed = value::seal(tx, key, &cover, plain.as_bytes(), kept.value.is_binary);
        let version =
            SecretVersion { value: sealed.map_err(values::not_sealed::<E>)?, created_at: kept.created_at };
        tx.put::<SecretVersion>(
            VersionKey { scope: at.scope.clone(), of: of.clone(), id: id.clone() },
            version,
        );
    }
    Ok(())
}
