//! Secret values: encrypted under a key of KMS in the context that AWS's services use, and the outcome sealed by the
//! keyring at its place (identity J11, J13).
//!
//! The two layers are for two things. The keyring keeps whoever can read or write the store from every secret, and from
//! giving one out as another. The key of KMS keeps the value from everybody, the server included, once it is disabled
//! or deleted; and it is what a secure string is shown as to whoever does not ask for it in the clear, which KMS then
//! decrypts.

use std::collections::BTreeMap;

use longshore_base::Scope;
use longshore_keyring::{KeyringError, Place, Plain, Sealing, SealingTx};
use longshore_state::{State, Tx};

use crate::arn;
use crate::find::KeyAt;
use crate::kms::{self, KmsError};
use crate::material::{Blob, EncryptionContext};
use crate::record::{KeyRef, Value};

/// What a value is, and of what.
#[derive(Clone, Debug)]
pub struct Cover {
    scope: Scope,
    kind: &'static str,
    /// With the birth, so that it never comes again.
    id: String,
    version: String,
    context: EncryptionContext,
}

impl Cover {
    /// Of a version of a secret.
    pub fn secret(scope: &Scope, name: &str, birth: &str, version: &str) -> Self {
        let context = secret_context(&arn::secret(scope, name, birth), version);
        let id = format!("{name}-{birth}");
        Self { scope: scope.clone(), kind: "secret", id, version: version.to_owned(), context }
    }

    /// Of a version of a secure string. Its context names no version, as AWS's does.
    pub fn parameter(scope: &Scope, name: &str, birth: &str, version: u64) -> Self {
        let context = parameter_context(&arn::parameter(scope, name));
        let id = format!("{name}:{birth}");
        Self { scope: scope.clone(), kind: "parameter", id, version: version.to_string(), context }
    }

    /// Where the value is sealed.
    pub fn place(&self) -> Place<'_> {
        Place {
            partition: self.scope.partition(),
            account: self.scope.account,
            region: Some(&self.scope.region),
            kind: self.kind,
            id: &self.id,
            version: &self.version,
        }
    }
}

/// The encryption context of a version of a secret.
pub fn secret_context(arn: &str, version: &str) -> EncryptionContext {
    BTreeMap::from([
        ("SecretARN".to_owned(), arn.to_owned()),
        ("SecretVersionId".to_owned(), version.to_owned()),
    ])
}

/// The encryption context of a parameter.
pub fn parameter_context(arn: &str) -> EncryptionContext {
    BTreeMap::from([("PARAMETER_ARN".to_owned(), arn.to_owned())])
}

/// Where the key of a value is: in its region.
pub fn key_at(scope: &Scope, key: &KeyRef) -> KeyAt {
    KeyAt { scope: Scope::new(key.account, scope.region.clone()), id: key.id.clone() }
}

/// Puts a value under a key.
///
/// # Errors
/// If the key may not be used, or without a root key.
pub fn seal(
    tx: &mut Tx<'_>,
    key: &KeyAt,
    cover: &Cover,
    plain: &[u8],
    is_binary: bool,
) -> Result<Value, KmsError> {
    let nonce = kms::nonce(&*tx.draw()?);
    let encrypted = kms::encrypt(tx.state(), key, &nonce, &cover.context, plain)?;
    let sealed = tx.seal(&cover.place(), &encrypted)?;
    Ok(Value { key: KeyRef { account: key.scope.account, id: key.id.clone() }, sealed, is_binary })
}

/// What KMS made of a value: it decrypts it in the value's context.
///
/// # Errors
/// Without a root key, or if it is not the value of this place.
pub fn encrypted(state: &State, cover: &Cover, value: &Value) -> Result<Plain, KeyringError> {
    state.open(&cover.place(), &value.sealed)
}

/// The value itself.
///
/// # Errors
/// If its key may not be used; without a root key, or if it is not the value of this place.
pub fn open(state: &State, cover: &Cover, value: &Value) -> Result<Plain, KmsError> {
    let encrypted = encrypted(state, cover, value)?;
    let blob = Blob::read(encrypted.as_bytes()).ok_or(KmsError::Cipher)?;
    kms::decrypt(state, &key_at(&cover.scope, &value.key), &blob, &cover.context)
}

/// Whether two values are the same, in a time that does not tell where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}
