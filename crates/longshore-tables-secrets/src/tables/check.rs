//! Every record, and what is derived from them beside what it should be.

use std::fmt::Debug;

use longshore_base::Scope;
use longshore_state::Records;

use super::SecretsTables;
use crate::key::{NumberKey, ScopedKey, VersionKey};
use crate::record::{Alias, KeyMaterial, KmsKey, Parameter, ParameterVersion, Secret, SecretVersion};

pub(super) fn records(tables: &SecretsTables, records: &mut Records) {
    for (scope, realm) in &tables.realms {
        for (name, key) in realm.keys.iter() {
            records.insert::<KmsKey>(ScopedKey::new(scope, name), key.clone());
        }
        for (name, alias) in &realm.aliases {
            records.insert::<Alias>(ScopedKey::new(scope, name), alias.clone());
        }
        for (name, secret) in realm.secrets.iter() {
            records.insert::<Secret>(ScopedKey::new(scope, name), secret.clone());
        }
        for (name, parameter) in realm.parameters.iter() {
            records.insert::<Parameter>(ScopedKey::new(scope, name), parameter.clone());
        }
        for (of, number, material) in realm.keys.all_parts() {
            let key = NumberKey { scope: scope.clone(), of: of.clone(), number: *number };
            records.insert::<KeyMaterial>(key, material.clone());
        }
        for (of, number, version) in realm.parameters.all_parts() {
            let key = NumberKey { scope: scope.clone(), of: of.clone(), number: *number };
            records.insert::<ParameterVersion>(key, version.clone());
        }
        for (of, id, version) in realm.secrets.all_parts() {
            let key = VersionKey { scope: scope.clone(), of: of.clone(), id: id.clone() };
            records.insert::<SecretVersion>(key, version.clone());
        }
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
}

pub(super) fn compare(own: &SecretsTables, fresh: &SecretsTables) -> Vec<String> {
    let mut found = Differences::default();
    found.note("accounts of keys", &own.accounts, &fresh.accounts);
    let scopes = |tables: &SecretsTables| tables.realms.keys().cloned().collect::<Vec<Scope>>();
    found.note("accounts with secrets", &scopes(own), &scopes(fresh));
    for (scope, realm) in &own.realms {
        let should = fresh.realm(scope);
        let of = |what: &str| format!("{what} of {} in {}", scope.account, scope.region);
        found.note(&of("aliases by key"), &realm.aliases_of, &should.aliases_of);
        found.note(&of("what is due"), &realm.due, &should.due);
        found.note(&of("what keys have left"), realm.keys.orphans(), should.keys.orphans());
        found.note(&of("what secrets have left"), realm.secrets.orphans(), should.secrets.orphans());
        found.note(&of("what parameters have left"), realm.parameters.orphans(), should.parameters.orphans());
    }
    found.0
}
