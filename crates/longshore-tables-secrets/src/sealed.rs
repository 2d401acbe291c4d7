//! Which of these records hold something sealed: the values of secrets and of secure strings, and the materials of keys.

use std::sync::Arc;

use longshore_keyring::{Holds, KeyringError, SealAgain, Sealed, SeeRecord};

use crate::key::{NumberKey, VersionKey};
use crate::material;
use crate::record::{KeyMaterial, ParameterValue, ParameterVersion, SecretVersion, Value};
use crate::tables::SecretsTables;
use crate::value::Cover;

impl Holds for KeyMaterial {
    fn sealed(&self) -> Option<&Sealed> {
        Some(&self.sealed)
    }

    fn sealed_again(&self, key: &NumberKey, again: SealAgain<'_>) -> Result<Self, KeyringError> {
        let number = key.number.to_string();
        let sealed = again(&material::place(&key.scope, &key.of.name, &number), &self.sealed)?;
        Ok(Self { sealed, ..self.clone() })
    }

    fn each(tables: &SecretsTables, see: SeeRecord<'_, Self>) {
        for (scope, realm) in tables.realms() {
            for (of, number, material) in realm.keys().all_parts() {
                see(material, &|| NumberKey { scope: scope.clone(), of: of.clone(), number: *number });
            }
        }
    }

    fn find<'t>(tables: &'t SecretsTables, key: &NumberKey) -> Option<&'t Arc<Self>> {
        tables.realm(&key.scope).keys().part(&key.of, &key.number)
    }
}

impl Holds for SecretVersion {
    fn sealed(&self) -> Option<&Sealed> {
        Some(&self.value.sealed)
    }

    fn sealed_again(&self, key: &VersionKey, again: SealAgain<'_>) -> Result<Self, KeyringError> {
        let cover = Cover::secret(&key.scope, &key.of.name, &key.of.birth, &key.id);
        Ok(Self { value: value_again(&self.value, &cover, again)?, ..self.clone() })
    }

    fn each(tables: &SecretsTables, see: SeeRecord<'_, Self>) {
        for (scope, realm) in tables.realms() {
            for (of, id, version) in realm.secrets().all_parts() {
                see(version, &|| VersionKey { scope: scope.clone(), of: of.clone(), id: id.clone() });
            }
        }
    }

    fn find<'t>(tables: &'t SecretsTables, key: &VersionKey) -> Option<&'t Arc<Self>> {
        tables.realm(&key.scope).secrets().part(&key.of, &key.id)
    }
}

impl Holds for ParameterVersion {
    fn sealed(&self) -> Option<&Sealed> {
        match &self.value {
            ParameterValue::Text(_) => None,
            ParameterValue::Secure(value) => Some(&value.sealed),
        }
    }

    fn sealed_again(&self, key: &NumberKey, again: SealAgain<'_>) -> Result<Self, KeyringError> {
        let cover = Cover::parameter(&key.scope, &key.of.name, &key.of.birth, key.number);
        let value = match &self.value {
            ParameterValue::Text(text) => ParameterValue::Text(text.clone()),
            ParameterValue::Secure(value) => ParameterValue::Secure(value_again(value, &cover, again)?),
        };
        Ok(Self { value, ..self.clone() })
    }

    fn each(tables: &SecretsTables, see: SeeRecord<'_, Self>) {
        for (scope, realm) in tables.realms() {
            for (of, number, version) in realm.parameters().all_parts() {
                see(version, &|| NumberKey { scope: scope.clone(), of: of.clone(), number: *number });
            }
        }
    }

    fn find<'t>(tables: &'t SecretsTables, key: &NumberKey) -> Option<&'t Arc<Self>> {
        tables.realm(&key.scope).parameters().part(&key.of, &key.number)
    }
}

/// What KMS made of the value stays as it is: its key may be disabled, or gone.
fn value_again(value: &Value, cover: &Cover, again: SealAgain<'_>) -> Result<Value, KeyringError> {
    Ok(Value { sealed: again(&cover.place(), &value.sealed)?, ..value.clone() })
}
