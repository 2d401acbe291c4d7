//! Versions: values put under keys, and read.

use std::sync::Arc;
use std::time::Duration;

use longshore_keyring::Plain;
use longshore_service::{Caller, Resources};
use longshore_shapes_secretsmanager::{
    DecryptionFailure, EncryptionFailure, GetSecretValueResponse, InvalidParameterException,
    InvalidRequestException, LimitExceededException, PutSecretValueResponse, ResourceExistsException,
    ResourceNotFoundException, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_secrets::SecretsState;
use longshore_tables_secrets::find::KeyAt;
use longshore_tables_secrets::key::{ScopedKey, VersionKey, Whole};
use longshore_tables_secrets::kms::{self, KmsError};
use longshore_tables_secrets::read::{self, ReadError, SecretValue};
use longshore_tables_secrets::record::{ChosenKey, KeyRef, Secret, SecretVersion};
use longshore_tables_secrets::value::{self, Cover};
use longshore_wire::{Blob, Denied, Fault};
use zeroize::Zeroizing;

use super::{find, permission, stages, texts};
use crate::input::given;
use crate::keys;

/// What AWS allows, in bytes.
const VALUE_BYTES_MAX: usize = 65_536;

/// Versions beyond these go, if they have no label and are a day old (identity J9).
const VERSIONS_KEPT: usize = 100;
const VERSION_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The most that one call takes away. Each adds one, so that it gets fewer.
const FORGOTTEN_MAX: usize = 20;

/// Where it ends for whoever puts values faster than they may go.
const VERSIONS_MAX: usize = 1000;

/// A value that a request brings.
pub(super) struct Given {
    bytes: Zeroizing<Vec<u8>>,
    is_binary: bool,
}

impl Given {
    /// One of the two, or neither.
    pub fn read(
        text: Option<String>,
        binary: Option<Blob>,
    ) -> Result<Option<Self>, InvalidParameterException> {
        let given = match (text, binary) {
            (Some(_), Some(_)) => return Err(InvalidParameterException::new(texts::BOTH_VALUES)),
            (Some(text), None) => Self { bytes: Zeroizing::new(text.into_bytes()), is_binary: false },
            (None, Some(Blob(bytes))) => Self { bytes: Zeroizing::new(bytes), is_binary: true },
            (None, None) => return Ok(None),
        };
        if given.bytes.len() > VALUE_BYTES_MAX {
            let text = format!("The secret value has more than {VALUE_BYTES_MAX} bytes.");
            return Err(InvalidParameterException::new(text));
        }
        Ok(Some(given))
    }
}

/// The key that is to protect a secret, and as what it was chosen: nothing chooses the account's own one.
pub(super) fn key_for<E: From<Denied> + From<Fault>>(
    tx: &mut Tx<'_>,
    caller: &Caller,
    scope: &longshore_base::Scope,
    named: Option<&str>,
) -> Result<(KeyAt, Option<ChosenKey>), E> {
    let named = named.filter(|named| !named.is_empty());
    match named {
        Some(named) if !keys::is_of_service(tx.state(), scope, named, "secretsmanager") => {
            // Whose key it is, and whether it is there, is told to nobody who may not use it.
            let found = keys::find(tx.state(), caller, named).ok_or_else(|| Denied::new(texts::NO_KMS))?;
            let key = KeyRef { account: found.0.scope.account, id: found.0.id.clone() };
            Ok((found.0, Some(ChosenKey { named: named.into(), key })))
        }
        Some(_) | None => {
            let own = kms::of_service(tx, scope, "secretsmanager").map_err(Fault::hidden)?;
            Ok((own, None))
        }
    }
}

/// The key of a secret that is there.
pub(super) fn key_of<E: From<Fault>>(
    tx: &mut Tx<'_>,
    scope: &longshore_base::Scope,
    secret: &Secret,
) -> Result<KeyAt, E> {
    match &secret.key {
        Some(chosen) => Ok(value::key_at(scope, &chosen.key)),
        None => Ok(kms::of_service(tx, scope, "secretsmanager").map_err(Fault::hidden)?),
    }
}

/// What is told of a key that does not encrypt.
pub(super) fn not_sealed<E: From<EncryptionFailure> + From<Fault>>(error: KmsError) -> E {
    match error {
        KmsError::Key(why) => EncryptionFailure::new(format!("The value cannot be encrypted: {why}")).into(),
        KmsError::Cipher | KmsError::Keyring(_) => Fault::hidden(error).into(),
    }
}

/// What is told of a key that does not decrypt.
pub(super) fn not_opened<E: From<DecryptionFailure> + From<Fault>>(error: KmsError) -> E {
    match error {
        KmsError::Key(why) => DecryptionFailure::new(format!("The value cannot be decrypted: {why}")).into(),
        KmsError::Cipher | KmsError::Keyring(_) => Fault::hidden(error).into(),
    }
}

/// What comes of a token.
pub(super) enum Made {
    /// The version is there now.
    New,
    /// It was there before, with this value.
    Before,
}

/// Puts a version with this id. One of the same id and value is left as it is.
///
/// The secret is not stored: its labels are whoever calls' business.
pub(super) fn put_version<E>(
    tx: &mut Tx<'_>,
    at: &ScopedKey,
    secret: &Secret,
    key: &KeyAt,
    id: &Arc<str>,
    given: &Given,
) -> Result<Made, E>
where
    E: From<ResourceExistsException>
        + From<LimitExceededException>
        + From<EncryptionFailure>
        + From<DecryptionFailure>
        + From<Fault>,
{
    let of = Whole::new(&at.name, &secret.birth);
    let cover = Cover::secret(&at.scope, &at.name, &secret.birth, id);
    if let Some(kept) = tx.secrets().realm(&at.scope).secrets().part(&of, id) {
        let plain = value::open(tx.state(), &cover, &kept.value).map_err(not_opened::<E>)?;
        return match is_it(&plain, kept, given) {
            true => Ok(Made::Before),
            false => Err(ResourceExistsException::new(texts::VERSION_EXISTS).into()),
        };
    }
    forget_versions(tx, at, secret);
    if tx.secrets().realm(&at.scope).secrets().count_parts(&of) >= VERSIONS_MAX {
        let text =
            format!("The secret has {VERSIONS_MAX} versions. Versions without a label go after a day.");
        return Err(LimitExceededException::new(text).into());
    }
    let value = value::seal(tx, key, &cover, &given.bytes, given.is_binary).map_err(not_sealed::<E>)?;
    let created_at = tx.now;
    let place = VersionKey { scope: at.scope.clone(), of, id: id.clone() };
    tx.put::<SecretVersion>(place, SecretVersion { value, created_at });
    Ok(Made::New)
}

/// Whether this value is already there under this id.
pub(super) fn is_it(plain: &Plain, kept: &SecretVersion, given: &Given) -> bool {
    kept.value.is_binary == given.is_binary && value::is_same(plain.as_bytes(), &given.bytes)
}

fn forget_versions(tx: &mut Tx<'_>, at: &ScopedKey, secret: &Secret) {
    let of = Whole::new(&at.name, &secret.birth);
    let before = tx.now - VERSION_KEPT_FOR;
    let secrets = tx.secrets().realm(&at.scope).secrets();
    let surplus = (secrets.count_parts(&of) + 1).saturating_sub(VERSIONS_KEPT);
    if surplus == 0 {
        return;
    }
    let mut old: Vec<_> = secrets
        .parts(&of)
        .filter(|(id, version)| version.created_at < before && !secret.stages.values().any(|own| own == *id))
        .map(|(id, version)| (version.created_at, id.clone()))
        .collect();
    old.sort();
    for (_, id) in old.into_iter().take(surplus.min(FORGOTTEN_MAX)) {
        tx.delete::<SecretVersion>(VersionKey { scope: at.scope.clone(), of: of.clone(), id });
    }
}

command!(
    SecretsManager,
    PutSecretValue,
    |state, caller, input| {
        let id = given(&input.secret_id);
        Resources::from(permission::on_secret(state, caller, "PutSecretValue", id))
            .and(permission::put_value(state, caller, id))
    },
    |tx, caller, input| {
        let value = Given::read(input.secret_string, input.secret_binary)?;
        let value = value.ok_or_else(|| InvalidRequestException::new(texts::NO_VALUE))?;
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let (at, arn) = (ScopedKey::new(&found.scope, found.name), found.arn());
        let mut secret = Secret::clone(found.secret);
        let id: Arc<str> = input.client_request_token.unwrap_or_else(|| tx.ids.uuid()).into();
        let key = key_of::<Self::Error>(tx, &at.scope, &secret)?;
        match put_version::<Self::Error>(tx, &at, &secret, &key, &id, &value)? {
            Made::New => {
                let labels = input.version_stages.unwrap_or_else(|| vec![read::CURRENT.to_owned()]);
                for label in labels {
                    stages::attach::<Self::Error>(&mut secret, &label, &id)?;
                }
                secret.changed_at = tx.now;
                tx.put::<Secret>(at.clone(), secret.clone());
            }
            Made::Before => {}
        }
        Ok(PutSecretValueResponse {
            arn: Some(arn),
            name: Some(at.name.to_string()),
            version_stages: Some(stages::of(&secret, &id)),
            version_id: Some(id.to_string()),
        })
    }
);

query!(
    SecretsManager,
    GetSecretValue,
    |state, caller, input| permission::get_value(
        state,
        caller,
        given(&input.secret_id),
        input.version_id.as_deref(),
        input.version_stage.as_deref()
    ),
    |state, caller, input| {
        let (version, stage) = (input.version_id.as_deref(), input.version_stage.as_deref());
        let read = value_of::<Self::Error>(state, caller, given(&input.secret_id), version, stage)?;
        let (secret_string, secret_binary) = parts(&read);
        Ok(GetSecretValueResponse {
            arn: Some(read.arn),
            created_date: Some(read.created_at),
            name: Some(read.name.to_string()),
            secret_binary,
            secret_string,
            version_id: Some(read.version.to_string()),
            version_stages: Some(read.stages.iter().map(|stage| stage.to_string()).collect()),
        })
    }
);

/// The value as an answer has it: as a text, or as bytes.
pub(super) fn parts(read: &SecretValue) -> (Option<String>, Option<Blob>) {
    match read.plain.as_str().filter(|_| !read.is_binary) {
        Some(text) => (Some(text.to_owned()), None),
        None => (None, Some(Blob(read.plain.as_bytes().to_vec()))),
    }
}

/// The value of a secret.
pub(super) fn value_of<E>(
    state: &State,
    caller: &Caller,
    id: &str,
    version: Option<&str>,
    stage: Option<&str>,
) -> Result<SecretValue, E>
where
    E: From<ResourceNotFoundException>
        + From<InvalidRequestException>
        + From<DecryptionFailure>
        + From<Fault>,
{
    read::secret_value(state, &caller.scope, id, version, stage).map_err(|error| match error {
        ReadError::NoSecret | ReadError::NoStage(_) | ReadError::NoVersion(_) => {
            ResourceNotFoundException::new(error.to_string()).into()
        }
        ReadError::MarkedForDeletion | ReadError::StageOfAnother => {
            InvalidRequestException::new(error.to_string()).into()
        }
        ReadError::Value(error) => not_opened(error),
        ReadError::NoParameter(_) | ReadError::NoParameterVersion { .. } => Fault::hidden(error).into(),
    })
}
