//! Every record, and what is derived from them beside what it should be.

use std::fmt::Debug;
use std::sync::Arc;

use longshore_base::AccountId;
use longshore_state::{Record, Records};

use super::named::HasName;
use super::{IamTables, Named, Realm};
use crate::key::{AccountKey, Id, InlineKey, OwnKey, VersionKey};
use crate::record::{AccountSettings, InlinePolicy, PolicyVersion};

pub(super) fn records(tables: &IamTables, records: &mut Records) {
    for (&account, realm) in &tables.realms {
        all(account, realm.users.records(), records);
        all(account, realm.groups.records(), records);
        all(account, realm.roles.records(), records);
        all(account, realm.policies.records(), records);
        all(account, realm.profiles.records(), records);
        all(account, &realm.access_keys, records);
        all(account, &realm.providers, records);
        all(account, &realm.logins, records);
        all(account, &realm.deletions, records);
        for ((holder, name), policy) in &realm.inline {
            let key = InlineKey { account, holder: holder.clone(), name: name.clone() };
            records.insert::<InlinePolicy>(key, policy.clone());
        }
        for ((policy, number), version) in &realm.versions {
            let key = VersionKey { account, policy: policy.clone(), number: *number };
            records.insert::<PolicyVersion>(key, version.clone());
        }
        if let Some(settings) = &realm.settings {
            records.insert::<AccountSettings>(AccountKey(account), settings.clone());
        }
    }
}

fn all<'a, R: Record<Key = OwnKey>>(
    account: AccountId,
    own: impl IntoIterator<Item = (&'a Id, &'a Arc<R>)>,
    records: &mut Records,
) {
    for (id, record) in own {
        records.insert::<R>(OwnKey::new(account, id), record.clone());
    }
}

pub(super) fn compare(own: &IamTables, fresh: &IamTables) -> Vec<String> {
    let mut notes = Vec::new();
    let mut same = |what: &str, own: &dyn Debug, fresh: &dyn Debug, is_same: bool| {
        if !is_same {
            notes.push(format!("{what}: is {own:?}, should be {fresh:?}"));
        }
    };
    same("keys", &own.keys, &fresh.keys, own.keys == fresh.keys);
    same("aliases", &own.aliases, &fresh.aliases, own.aliases == fresh.aliases);
    let accounts = (own.realms.keys().collect::<Vec<_>>(), fresh.realms.keys().collect::<Vec<_>>());
    same("accounts", &accounts.0, &accounts.1, accounts.0 == accounts.1);
    for (account, realm) in &own.realms {
        let should = fresh.realm(*account);
        let (index, fresh_index) = (&realm.index, &should.index);
        same(&format!("index of {account}"), index, fresh_index, index == fresh_index);
        notes_of_names(*account, realm, should, &mut same);
    }
    notes
}

fn notes_of_names(
    account: AccountId,
    own: &Realm,
    fresh: &Realm,
    same: &mut dyn FnMut(&str, &dyn Debug, &dyn Debug, bool),
) {
    fn one<R: HasName>(
        what: String,
        own: &Named<R>,
        fresh: &Named<R>,
        same: &mut dyn FnMut(&str, &dyn Debug, &dyn Debug, bool),
    ) {
        same(&what, own.names(), fresh.names(), own.names() == fresh.names());
        let (names, records) = (own.names().len(), own.records().len());
        same(&format!("{what} are unique"), &names, &records, names == records);
    }
    one(format!("names of users of {account}"), &own.users, &fresh.users, same);
    one(format!("names of groups of {account}"), &own.groups, &fresh.groups, same);
    one(format!("names of roles of {account}"), &own.roles, &fresh.roles, same);
    one(format!("names of policies of {account}"), &own.policies, &fresh.policies, same);
    one(format!("names of instance profiles of {account}"), &own.profiles, &fresh.profiles, same);
}
