//! The credentials of tasks' roles. In memory only: they are never written to disk (agent-protocol G15).

use std::collections::BTreeMap;

use longshore_base::Timestamp;
use longshore_engine::spec::TaskKey;
use longshore_link::message::{RoleCredentials, RoleType};
use longshore_sigv4::{Credentials, Secret};
use longshore_wire::parse_iso8601;

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
    /// Keeps them, unless they end before those that are there: an SDK that has seen an end takes an earlier one for a
    /// refresh that failed (identity J8). A control plane whose clock is behind that of the last one may send such.
    pub(super) fn put(&mut self, task: &TaskKey, role: RoleType, credentials: RoleCredentials) {
        let id = credentials.credentials_id.0.clone();
        let known = self.by_id.get(&id).and_then(|stored| end(&stored.credentials));
        if known.is_some_and(|known| end(&credentials).is_some_and(|new| new < known)) {
            return;
        }
        self.by_id.insert(id, Stored { task: task.clone(), role, credentials });
    }

    pub fn get(&self, id: &str) -> Option<&Stored> {
        self.by_id.get(id)
    }

    pub(super) fn forget(&mut self, task: &TaskKey) {
        self.by_id.retain(|_, stored| stored.task != *task);
    }
}

/// When they end. `None` of what is no time, which nobody can compare.
fn end(credentials: &RoleCredentials) -> Option<Timestamp> {
    parse_iso8601(&credentials.expiration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_never_earlier_than_the_one_before() {
        let task = TaskKey::new("arn:aws:ecs:us-east-1:111122223333:task/c/a");
        let mut store = CredentialStore::default();
        let mut served = |access: &str, expiration: &str| {
            let credentials = RoleCredentials {
                credentials_id: "id".to_owned().into(),
                access_key_id: access.into(),
                expiration: expiration.into(),
                ..RoleCredentials::default()
            };
            store.put(&task, RoleType::TaskApplication, credentials);
            store.get("id").expect("there are some").credentials.access_key_id.clone()
        };
        assert_eq!(served("first", "2026-12-01T06:00:00Z"), "first");
        assert_eq!(served("earlier", "2026-12-01T05:59:59Z"), "first");
        assert_eq!(served("same", "2026-12-01T06:00:00Z"), "same");
        assert_eq!(served("later", "2026-12-01T09:00:00.5Z"), "later");
        // A control plane that says it otherwise is believed.
        assert_eq!(served("unread", "next week"), "unread");
        assert_eq!(served("again", "2026-12-01T06:00:00Z"), "again");
    }
}
