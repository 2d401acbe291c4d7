//! The credentials of tasks' roles. In memory only: they are never written to disk (agent-protocol G15).

use std::collections::BTreeMap;

use longshore_engine::spec::TaskKey;
use longshore_link::message::{RoleCredentials, RoleType};
use longshore_sigv4::{Credentials, Secret};

#[derive(Debug)]
pub struct Stored {
    pub task: TaskKey,
    pub role: RoleType,
    pub credentials: RoleCredentials,
}

impl Stored {
    /// For whoever signs with them.
    pub fn signing(&self) -> Credentials {
        let own = &self.credentials;
        let mut credentials = Credentials::new(own.access_key_id.as_str(), own.secret_access_key.0.as_str());
        credentials.session_token =
            Some(own.session_token.0.as_str()).filter(|token| !token.is_empty()).map(Secret::new);
        credentials
    }
}

/// By id, which is the secret part of the URL at which a container fetches them.
#[derive(Debug, Default)]
pub struct CredentialStore {
    by_id: BTreeMap<String, Stored>,
}

impl CredentialStore {
    pub(super) fn put(&mut self, task: &TaskKey, role: RoleType, credentials: RoleCredentials) {
        let id = credentials.credentials_id.0.clone();
        self.by_id.insert(id, Stored { task: task.clone(), role, credentials });
    }

    pub fn get(&self, id: &str) -> Option<&Stored> {
        self.by_id.get(id)
    }

    pub(super) fn forget(&mut self, task: &TaskKey) {
        self.by_id.retain(|_, stored| stored.task != *task);
    }
}
