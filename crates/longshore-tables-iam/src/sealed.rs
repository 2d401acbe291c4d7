//! Which of IAM's records hold something sealed: access keys their secrets, login profiles the hashes of passwords.

use std::sync::Arc;

use longshore_keyring::{Holds, KeyringError, SealAgain, Sealed, SeeRecord};

use crate::key::OwnKey;
use crate::record::{AccessKey, LoginProfile};
use crate::tables::IamTables;

impl Holds for AccessKey {
    fn sealed(&self) -> Option<&Sealed> {
        Some(&self.secret)
    }

    fn sealed_again(&self, key: &OwnKey, again: SealAgain<'_>) -> Result<Self, KeyringError> {
        let secret = again(&Self::place(key.account, &key.id), &self.secret)?;
        Ok(Self { secret, ..self.clone() })
    }

    fn each(tables: &IamTables, see: SeeRecord<'_, Self>) {
        for (account, realm) in tables.realms() {
            realm.access_keys().iter().for_each(|(id, key)| see(key, &|| OwnKey::new(account, id)));
        }
    }

    fn find<'t>(tables: &'t IamTables, key: &OwnKey) -> Option<&'t Arc<Self>> {
        tables.realm(key.account).access_key(&key.id)
    }
}

impl Holds for LoginProfile {
    fn sealed(&self) -> Option<&Sealed> {
        Some(&self.hash)
    }

    fn sealed_again(&self, key: &OwnKey, again: SealAgain<'_>) -> Result<Self, KeyringError> {
        let hash = again(&Self::place(key.account, &key.id), &self.hash)?;
        Ok(Self { hash, ..self.clone() })
    }

    fn each(tables: &IamTables, see: SeeRecord<'_, Self>) {
        for (account, realm) in tables.realms() {
            realm.logins().iter().for_each(|(user, login)| see(login, &|| OwnKey::new(account, user)));
        }
    }

    fn find<'t>(tables: &'t IamTables, key: &OwnKey) -> Option<&'t Arc<Self>> {
        tables.realm(key.account).login(&key.id)
    }
}
