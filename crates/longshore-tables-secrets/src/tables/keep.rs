//! How each kind of record changes.

use std::sync::Arc;

use longshore_base::Scope;
use longshore_state::{Hints, Keep};

use super::{Realm, SecretsTables, Waits};
use crate::key::{NumberKey, ScopedKey, VersionKey};
use crate::record::{Alias, KeyMaterial, KmsKey, Parameter, ParameterVersion, Secret, SecretVersion};

impl SecretsTables {
    /// Changes something in a realm, which is forgotten when it has nothing left.
    fn change<T>(&mut self, scope: &Scope, change: impl FnOnce(&mut Realm) -> T) -> T {
        let realm = self.realms.entry(scope.clone()).or_default();
        let changed = change(realm);
        if realm.is_empty() {
            self.realms.remove(scope);
        }
        changed
    }
}

impl Realm {
    /// Follows what waits from what it was to what it is.
    fn wait<R: Waits>(&mut self, name: &Arc<str>, old: Option<&R>, new: Option<&R>) {
        if let Some(due) = old.and_then(|old| old.due(name)) {
            self.due.remove(&due);
        }
        if let Some(due) = new.and_then(|new| new.due(name)) {
            self.due.insert(due);
        }
    }
}

impl Keep<KmsKey> for SecretsTables {
    fn replace(&mut self, key: &ScopedKey, new: Option<Arc<KmsKey>>, _: &mut Hints) -> Option<Arc<KmsKey>> {
        let of_region = self.accounts.entry(key.scope.region.clone()).or_default();
        match &new {
            Some(_) => of_region.insert(key.name.clone(), key.scope.account),
            None => of_region.remove(&key.name),
        };
        if of_region.is_empty() {
            self.accounts.remove(&key.scope.region);
        }
        self.change(&key.scope, |realm| {
            let old = realm.keys.replace_head(&key.name, new.clone());
            realm.wait(&key.name, old.as_deref(), new.as_deref());
            old
        })
    }
}

impl Keep<Secret> for SecretsTables {
    fn replace(&mut self, key: &ScopedKey, new: Option<Arc<Secret>>, _: &mut Hints) -> Option<Arc<Secret>> {
        self.change(&key.scope, |realm| {
            let old = realm.secrets.replace_head(&key.name, new.clone());
            realm.wait(&key.name, old.as_deref(), new.as_deref());
            old
        })
    }
}

impl Keep<Parameter> for SecretsTables {
    fn replace(
        &mut self,
        key: &ScopedKey,
        new: Option<Arc<Parameter>>,
        _: &mut Hints,
    ) -> Option<Arc<Parameter>> {
        self.change(&key.scope, |realm| realm.parameters.replace_head(&key.name, new))
    }
}

impl Keep<Alias> for SecretsTables {
    fn replace(&mut self, key: &ScopedKey, new: Option<Arc<Alias>>, _: &mut Hints) -> Option<Arc<Alias>> {
        self.change(&key.scope, |realm| {
            let old = match new.clone() {
                Some(new) => realm.aliases.insert(key.name.clone(), new),
                None => realm.aliases.remove(&key.name),
            };
            if let Some(old) = &old
                && let Some(own) = realm.aliases_of.get_mut(&old.target)
            {
                own.remove(&key.name);
                if own.is_empty() {
                    realm.aliases_of.remove(&old.target);
                }
            }
            if let Some(new) = new {
                realm.aliases_of.entry(new.target.clone()).or_default().insert(key.name.clone());
            }
            old
        })
    }
}

impl Keep<KeyMaterial> for SecretsTables {
    fn replace(
        &mut self,
        key: &NumberKey,
        new: Option<Arc<KeyMaterial>>,
        _: &mut Hints,
    ) -> Option<Arc<KeyMaterial>> {
        self.change(&key.scope, |realm| realm.keys.replace_part(&key.of, &key.number, new))
    }
}

impl Keep<ParameterVersion> for SecretsTables {
    fn replace(
        &mut self,
        key: &NumberKey,
        new: Option<Arc<ParameterVersion>>,
        _: &mut Hints,
    ) -> Option<Arc<ParameterVersion>> {
        self.change(&key.scope, |realm| realm.parameters.replace_part(&key.of, &key.number, new))
    }
}

impl Keep<SecretVersion> for SecretsTables {
    fn replace(
        &mut self,
        key: &VersionKey,
        new: Option<Arc<SecretVersion>>,
        _: &mut Hints,
    ) -> Option<Arc<SecretVersion>> {
        self.change(&key.scope, |realm| realm.secrets.replace_part(&key.of, &key.id, new))
    }
}
