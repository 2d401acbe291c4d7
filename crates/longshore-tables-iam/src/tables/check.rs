//! Every record, and what is derived from them beside what it should be.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use longshore_base::AccountId;
use longshore_state::{Record, Records};

use super::named::HasName;
use super::{IamTables, Named};
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
        for (holder, name, policy) in pairs(&realm.inline) {
            let key = InlineKey { account, holder: holder.clone(), name: name.clone() };
            records.insert::<InlinePolicy>(key, policy.clone());
        }
        for (policy, number, version) in pairs(&realm.versions) {
            let key = VersionKey { account, policy: policy.clone(), number: *number };
            records.insert::<PolicyVersion>(key, version.clone());
        }
        if let Some(settings) = &realm.settings {
            records.insert::<AccountSettings>(AccountKey(account), settings.clone());
        }
    }
}

fn pairs<K, R>(nested: &BTreeMap<Id, BTreeMap<K, R>>) -> impl Iterator<Item = (&Id, &K, &R)> {
    nested.iter().flat_map(|(of, own)| own.iter().map(move |(key, record)| (of, key, record)))
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

/// What differs, in words.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn note<T: PartialEq + Debug>(&mut self, what: &str, own: &T, fresh: &T) {
        if own != fresh {
            self.0.push(format!("{what}: is {own:?}, should be {fresh:?}"));
        }
    }

    fn note_names<R: HasName>(&mut self, what: &str, own: &Named<R>, fresh: &Named<R>) {
        self.note(what, own.names(), fresh.names());
        self.note(&format!("{what} that are unique"), &own.names().len(), &own.records().len());
    }
}

pub(super) fn compare(own: &IamTables, fresh: &IamTables) -> Vec<String> {
    let mut found = Differences::default();
    found.note("keys", &own.keys, &fresh.keys);
    found.note("aliases", &own.aliases, &fresh.aliases);
    let accounts = |tables: &IamTables| tables.realms.keys().copied().collect::<Vec<_>>();
    found.note("accounts", &accounts(own), &accounts(fresh));
    for (account, realm) in &own.realms {
        let should = fresh.realm(*account);
        let of = |what: &str| format!("{what} of {account}");
        found.note(&of("index"), &realm.index, &should.index);
        found.note_names(&of("names of users"), &realm.users, &should.users);
        found.note_names(&of("names of groups"), &realm.groups, &should.groups);
        found.note_names(&of("names of roles"), &realm.roles, &should.roles);
        found.note_names(&of("names of policies"), &realm.policies, &should.policies);
        found.note_names(&of("names of instance profiles"), &realm.profiles, &should.profiles);
    }
    found.0
}
