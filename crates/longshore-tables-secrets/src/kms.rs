//! Keys of KMS at work: what may be used, encrypting and decrypting with it, new keys and new material.

use std::sync::Arc;

use longshore_base::{AccountId, Partition, Scope};
use longshore_domain::tags::Tags;
use longshore_keyring::{KeyringError, Plain, Sealing, SealingTx};
use longshore_state::{State, Tx};
use longshore_tables_iam::record::ResourcePolicy;
use zeroize::Zeroizing;

use crate::find::KeyAt;
use crate::key::{NumberKey, ScopedKey, Whole};
use crate::material::{self, Blob, EncryptionContext, LEN, NONCE_LEN};
use crate::record::{Alias, KeyMaterial, KeyState, KmsKey, Manager};
use crate::{SecretsState, arn};

/// The services that have a key of their own in each account, as `alias/aws/NAME` (identity J11).
pub const SERVICES: [&str; 3] = ["ecr", "secretsmanager", "ssm"];

/// The alias of an account's own key of a service.
pub fn service_alias(service: &str) -> String {
    format!("alias/aws/{service}")
}

/// The service whose key has this alias.
pub fn service_of_alias(alias: &str) -> Option<&'static str> {
    let name = alias.strip_prefix("alias/aws/")?;
    SERVICES.into_iter().find(|service| *service == name)
}

/// Why a key does nothing. The texts are KMS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("Key '{0}' does not exist")]
    Missing(String),
    #[error("{0} is disabled.")]
    Disabled(String),
    #[error("{0} is pending deletion.")]
    PendingDeletion(String),
}

/// Why something was not encrypted or decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KmsError {
    #[error(transparent)]
    Key(#[from] Unusable),
    /// It was not encrypted with this key in this context, or has changed since.
    #[error("the cipher text does not fit")]
    Cipher,
    #[error("the keyring does not open")]
    Keyring(#[source] Arc<KeyringError>),
}

impl From<KeyringError> for KmsError {
    fn from(error: KeyringError) -> Self {
        Self::Keyring(Arc::new(error))
    }
}

/// A key that may be used now.
pub fn usable<'s>(state: &'s State, at: &KeyAt) -> Result<&'s Arc<KmsKey>, Unusable> {
    let key = at.record(state).ok_or_else(|| Unusable::Missing(at.arn()))?;
    match key.state {
        KeyState::Enabled => Ok(key),
        KeyState::Disabled => Err(Unusable::Disabled(at.arn())),
        KeyState::PendingDeletion { .. } => Err(Unusable::PendingDeletion(at.arn())),
    }
}

fn material(state: &State, at: &KeyAt, number: u64) -> Result<Zeroizing<[u8; LEN]>, KmsError> {
    let of = Whole { name: at.id.clone(), birth: "".into() };
    let kept = state.secrets().realm(&at.scope).keys().part(&of, &number).ok_or(KmsError::Cipher)?;
    let opened = state.open(&material::place(&at.scope, &at.id, &number.to_string()), &kept.sealed)?;
    let bytes = opened.as_bytes().try_into().map_err(|_| KeyringError::Damaged)?;
    Ok(Zeroizing::new(bytes))
}

/// Encrypts with the newest material of a key. `nonce` is new each time.
pub fn encrypt(
    state: &State,
    at: &KeyAt,
    nonce: &[u8; NONCE_LEN],
    context: &EncryptionContext,
    plain: &[u8],
) -> Result<Vec<u8>, KmsError> {
    let key = usable(state, at)?;
    let own = material(state, at, key.material)?;
    let bytes = material::encrypt((&at.id, key.material), &own, nonce, context, plain);
    Ok(bytes.ok_or(KeyringError::Damaged)?)
}

/// Decrypts what [`encrypt`] made with this key.
pub fn decrypt(
    state: &State,
    at: &KeyAt,
    blob: &Blob<'_>,
    context: &EncryptionContext,
) -> Result<Plain, KmsError> {
    usable(state, at)?;
    if blob.key != at.id {
        return Err(KmsError::Cipher);
    }
    let own = material(state, at, blob.material)?;
    blob.decrypt(&own, context).ok_or(KmsError::Cipher)
}

/// The first bytes of what was drawn.
pub fn nonce(drawn: &[u8; 32]) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&drawn[..NONCE_LEN]);
    nonce
}

/// Makes a key with its first material.
///
/// # Errors
/// Without a root key; nothing is made then.
pub fn make(
    tx: &mut Tx<'_>,
    scope: &Scope,
    policy: ResourcePolicy,
    manager: Manager,
    description: &str,
    tags: Tags,
) -> Result<KeyAt, KeyringError> {
    let id: Arc<str> = tx.ids.uuid().into();
    let at = KeyAt { scope: scope.clone(), id };
    add_material(tx, &at, 1)?;
    let key = KmsKey {
        created_at: tx.now,
        description: description.into(),
        state: KeyState::Enabled,
        policy,
        tags,
        manager,
        material: 1,
        rotation: None,
        rotation_days: None,
    };
    tx.put::<KmsKey>(ScopedKey::new(scope, &at.id), key);
    Ok(at)
}

/// Gives a key material of this number. That it is used from now on is the key's record to say.
pub(crate) fn add_material(tx: &mut Tx<'_>, at: &KeyAt, number: u64) -> Result<(), KeyringError> {
    let drawn = tx.draw()?;
    let sealed = tx.seal(&material::place(&at.scope, &at.id, &number.to_string()), &drawn[..])?;
    let of = Whole { name: at.id.clone(), birth: "".into() };
    let made_at = tx.now;
    tx.put::<KeyMaterial>(NumberKey { scope: at.scope.clone(), of, number }, KeyMaterial { sealed, made_at });
    Ok(())
}

/// The account's own key of a service, made if there is none yet. It is one of [`SERVICES`].
///
/// # Errors
/// Without a root key, if it has to be made.
pub fn of_service(tx: &mut Tx<'_>, scope: &Scope, service: &str) -> Result<KeyAt, KeyringError> {
    let name: Arc<str> = service_alias(service).into();
    if let Some(alias) = tx.secrets().realm(scope).aliases().get(&name) {
        return Ok(KeyAt { scope: scope.clone(), id: alias.target.clone() });
    }
    let policy = service_policy(scope, service);
    let description = format!("Default key that protects what {service} keeps when no other key is named");
    let at = make(tx, scope, policy, Manager::Service, &description, Tags::new())?;
    let now = tx.now;
    let alias = Alias { target: at.id.clone(), created_at: now, updated_at: now };
    tx.put::<Alias>(ScopedKey::new(scope, &name), alias);
    Ok(at)
}

/// What a key says that was made without a policy: the account's own policies decide.
pub fn default_policy(partition: Partition, account: AccountId) -> ResourcePolicy {
    let root = format!("arn:{}:iam::{account}:root", partition.as_str());
    policy_of(format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{root}"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    ))
}

/// What the account's own key of a service says: used through the service by anybody in the account, and looked at.
fn service_policy(scope: &Scope, service: &str) -> ResourcePolicy {
    let (partition, account, region) = (scope.partition().as_str(), scope.account, &scope.region);
    policy_of(format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "auto-{service}-1",
  "Statement" : [ {{
    "Sid" : "Use through {service}",
    "Effect" : "Allow",
    "Principal" : {{ "AWS" : "*" }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account}",
        "kms:ViaService" : "{service}.{region}.amazonaws.com"
      }}
    }}
  }}, {{
    "Sid" : "Look at the key",
    "Effect" : "Allow",
    "Principal" : {{ "AWS" : "arn:{partition}:iam::{account}:root" }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*" ],
    "Resource" : "*"
  }} ]
}}"#
    ))
}

fn policy_of(text: String) -> ResourcePolicy {
    ResourcePolicy::new(&text).expect("accounts, regions and services have no characters that JSON escapes")
}

/// The ARN of a key beside others of the same region.
pub fn arn_of(scope: &Scope, key: &crate::record::KeyRef) -> String {
    arn::key(&Scope::new(key.account, scope.region.clone()), &key.id)
}
