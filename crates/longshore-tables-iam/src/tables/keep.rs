//! How each kind of record changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::AccountId;
use longshore_state::{Hints, Keep};

use super::{IamTables, Realm};
use crate::key::{AccountKey, Id, InlineKey, OwnKey, VersionKey};
use crate::record::{
    AccessKey, AccountSettings, DeletionTask, Group, InlinePolicy, InstanceProfile, LoginProfile,
    ManagedPolicy, OidcProvider, PolicyVersion, Role, User,
};

impl IamTables {
    /// Changes something in an account, which is forgotten when it has nothing left.
    fn change<T>(&mut self, account: AccountId, change: impl FnOnce(&mut Realm) -> T) -> T {
        let realm = self.realms.entry(account).or_default();
        let changed = change(realm);
        if realm.is_empty() {
            self.realms.remove(&account);
        }
        changed
    }
}

/// Kinds with names that refer to others.
macro_rules! keep_linked {
    ($($record:ident in $table:ident,)*) => {$(
        impl Keep<$record> for IamTables {
            fn replace(&mut self, key: &OwnKey, new: Option<Arc<$record>>, _: &mut Hints) -> Option<Arc<$record>> {
                self.change(key.account, |realm| {
                    let old = realm.$table.replace(&key.id, new.clone());
                    realm.index.follow(&key.id, old.as_deref(), new.as_deref());
                    old
                })
            }
        }
    )*};
}

keep_linked! { User in users, Group in groups, Role in roles, InstanceProfile in profiles, }

/// Kinds that are found by their id and by nothing else.
macro_rules! keep_plain {
    ($($record:ident in $table:ident,)*) => {$(
        impl Keep<$record> for IamTables {
            fn replace(&mut self, key: &OwnKey, new: Option<Arc<$record>>, _: &mut Hints) -> Option<Arc<$record>> {
                self.change(key.account, |realm| match new {
                    Some(new) => realm.$table.insert(key.id.clone(), new),
                    None => realm.$table.remove(&key.id),
                })
            }
        }
    )*};
}

keep_plain! { OidcProvider in providers, LoginProfile in logins, DeletionTask in deletions, }

impl Keep<ManagedPolicy> for IamTables {
    fn replace(
        &mut self,
        key: &OwnKey,
        new: Option<Arc<ManagedPolicy>>,
        _: &mut Hints,
    ) -> Option<Arc<ManagedPolicy>> {
        self.change(key.account, |realm| realm.policies.replace(&key.id, new))
    }
}

impl Keep<AccessKey> for IamTables {
    fn replace(
        &mut self,
        key: &OwnKey,
        new: Option<Arc<AccessKey>>,
        _: &mut Hints,
    ) -> Option<Arc<AccessKey>> {
        match &new {
            Some(_) => self.keys.insert(key.id.clone(), key.account),
            None => self.keys.remove(&key.id),
        };
        self.change(key.account, |realm| {
            let old = match new.clone() {
                Some(new) => realm.access_keys.insert(key.id.clone(), new),
                None => realm.access_keys.remove(&key.id),
            };
            realm.index.follow(&key.id, old.as_deref(), new.as_deref());
            old
        })
    }
}

/// Puts or removes what is kept in two steps. What holds nothing is forgotten.
fn nested<K: Ord + Clone, R>(
    all: &mut BTreeMap<Id, BTreeMap<K, Arc<R>>>,
    of: &Id,
    key: &K,
    new: Option<Arc<R>>,
) -> Option<Arc<R>> {
    let own = all.entry(of.clone()).or_default();
    let old = match new {
        Some(new) => own.insert(key.clone(), new),
        None => own.remove(key),
    };
    if own.is_empty() {
        all.remove(of);
    }
    old
}

impl Keep<InlinePolicy> for IamTables {
    fn replace(
        &mut self,
        key: &InlineKey,
        new: Option<Arc<InlinePolicy>>,
        _: &mut Hints,
    ) -> Option<Arc<InlinePolicy>> {
        self.change(key.account, |realm| nested(&mut realm.inline, &key.holder, &key.name, new))
    }
}

impl Keep<PolicyVersion> for IamTables {
    fn replace(
        &mut self,
        key: &VersionKey,
        new: Option<Arc<PolicyVersion>>,
        _: &mut Hints,
    ) -> Option<Arc<PolicyVersion>> {
        self.change(key.account, |realm| nested(&mut realm.versions, &key.policy, &key.number, new))
    }
}

impl Keep<AccountSettings> for IamTables {
    fn replace(
        &mut self,
        key: &AccountKey,
        new: Option<Arc<AccountSettings>>,
        _: &mut Hints,
    ) -> Option<Arc<AccountSettings>> {
        let alias = new.as_ref().and_then(|new| new.alias.clone());
        let old = self.change(key.0, |realm| std::mem::replace(&mut realm.settings, new));
        if let Some(gone) = old.as_ref().and_then(|old| old.alias.as_ref())
            && self.aliases.get(gone) == Some(&key.0)
        {
            self.aliases.remove(gone);
        }
        if let Some(alias) = alias {
            self.aliases.insert(alias, key.0);
        }
        old
    }
}
