//! The keyring: access keys whose secrets the server knows, by their ids.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_base::{AccountId, Timestamp};
use longshore_sigv4::{Credentials, Presented, Secret, SigningKey};
use parking_lot::RwLock;
use serde::Deserialize;

use crate::PrincipalKind;
use crate::derived::Derived;

/// How many keys a ring holds. Task roles need one per running task and a second while it is
/// rotated, so this allows for the 100,000 tasks of design 6.
pub const KEYS_MAX: usize = 250_000;

/// One access key and whose it is.
#[derive(Clone, Debug)]
pub struct AccessKey {
    pub credentials: Credentials,
    pub account: AccountId,
    pub kind: PrincipalKind,
    /// The user's or session's name: the last part of its ARN. Unused for [`PrincipalKind::Root`].
    pub name: String,
    /// When the key stops working; `None` for a permanent one.
    pub expires: Option<Timestamp>,
}

/// The known keys, shared by all who ask. Keys come and go at runtime.
#[derive(Default)]
pub struct Keyring {
    keys: RwLock<HashMap<Box<str>, Arc<AccessKey>>>,
    derived: Derived,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("the keyring is full ({KEYS_MAX} keys)")]
    Full,
    #[error("an access key id has 1 to 128 characters, none of them a slash, comma or blank")]
    InvalidId,
    #[error("failed to read the keys in {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The parser's own message is kept out, because it may quote the text it stopped at.
    #[error(
        "{path}, line {line}: expected a list like \
         [{{\"accessKeyId\": \"...\", \"secretAccessKey\": \"...\", \"account\": \"123456789012\", \"user\": \"...\"}}]"
    )]
    Parse { path: PathBuf, line: usize },
    #[error("{path}: the account of key {access_key_id} is not twelve digits")]
    Account { path: PathBuf, access_key_id: String },
}

/// One entry of a key file. Unknown members are refused, so that a misspelt `sessionToken` does
/// not silently weaken a key.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileEntry {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account: String,
    /// Absent for the account's root.
    user: Option<String>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.len())
    }
}

impl Keyring {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a JSON list of keys.
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        let text =
            std::fs::read(path).map_err(|source| KeyringError::Read { path: path.to_owned(), source })?;
        let entries: Vec<FileEntry> = serde_json::from_slice(&text)
            .map_err(|error| KeyringError::Parse { path: path.to_owned(), line: error.line() })?;
        let ring = Self::new();
        for entry in entries {
            let account = AccountId::parse(&entry.account).ok_or_else(|| KeyringError::Account {
                path: path.to_owned(),
                access_key_id: entry.access_key_id.clone(),
            })?;
            let mut credentials = Credentials::new(entry.access_key_id, entry.secret_access_key);
            credentials.session_token = entry.session_token.map(Secret::new);
            let kind = if entry.user.is_some() { PrincipalKind::User } else { PrincipalKind::Root };
            let name = entry.user.unwrap_or_default();
            ring.add(AccessKey { credentials, account, kind, name, expires: None })?;
        }
        Ok(ring)
    }

    /// Adds a key, or replaces the one with its id.
    pub fn add(&self, key: AccessKey) -> Result<(), KeyringError> {
        let id = &key.credentials.access_key_id;
        let is_separator = |b: u8| matches!(b, b'/' | b',') || b.is_ascii_whitespace() || !b.is_ascii();
        if id.is_empty() || id.len() > 128 || id.bytes().any(is_separator) {
            return Err(KeyringError::InvalidId);
        }
        let mut keys = self.keys.write();
        if keys.len() >= KEYS_MAX && !keys.contains_key(id.as_str()) {
            return Err(KeyringError::Full);
        }
        let id: Box<str> = id.as_str().into();
        keys.insert(id.clone(), Arc::new(key));
        drop(keys);
        self.derived.forget(&id);
        Ok(())
    }

    /// Removes a key; false if there was none. Requests under verification may still finish.
    pub fn remove(&self, access_key_id: &str) -> bool {
        let removed = self.keys.write().remove(access_key_id).is_some();
        self.derived.forget(access_key_id);
        removed
    }

    /// Removes the keys that expired before `now` and tells how many.
    pub fn remove_expired(&self, now: Timestamp) -> usize {
        let mut keys = self.keys.write();
        let before = keys.len();
        keys.retain(|_, key| key.expires.is_none_or(|end| end > now));
        let removed = before - keys.len();
        drop(keys);
        if removed > 0 {
            self.derived.clear();
        }
        removed
    }

    pub fn get(&self, access_key_id: &str) -> Option<Arc<AccessKey>> {
        self.keys.read().get(access_key_id).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<AccessKey>> {
        self.keys.read().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.keys.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The signing key for a presented credential, derived at most once while it is in use.
    ///
    /// Every change of the ring clears the shard of the key afterwards. A derivation that races
    /// with it could put a stale key back, so the ring is asked again, with the shard locked,
    /// before the result is kept. Nobody takes a shard while holding the ring, so the two locks
    /// cannot deadlock.
    pub(crate) fn signing_key(&self, presented: &Presented<'_>, key: &Arc<AccessKey>) -> SigningKey {
        if let Some(found) = self.derived.get(presented) {
            return found;
        }
        let is_current =
            || self.get(presented.access_key_id()).is_some_and(|current| Arc::ptr_eq(&current, key));
        self.derived.derive(presented, &key.credentials.secret, is_current)
    }
}
