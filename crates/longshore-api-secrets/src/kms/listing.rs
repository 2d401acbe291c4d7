//! Keys and aliases as they are listed.

use longshore_service::Access;
use longshore_shapes_kms::{
    AliasListEntry, InvalidMarkerException, KeyListEntry, ListAliasesResponse, ListKeysResponse, ops,
};
use longshore_tables_secrets::find::KeyAt;
use longshore_tables_secrets::{SecretsState, arn, kms};

use super::find;

const KEYS: usize = 100;
const ALIASES: usize = 50;

list!(
    Kms,
    ListKeys(limit, marker, KEYS, InvalidMarkerException),
    |_state, caller, _input, _page| Access::new("kms:ListKeys", "*", caller),
    |state, caller, _input, page| {
        let all = state.secrets().realm(&caller.scope).keys().iter().map(|(id, _)| id);
        let paged = page.fill(all, |id| id.to_string()).map(|id| {
            let at = KeyAt { scope: caller.scope.clone(), id: id.clone() };
            KeyListEntry { key_arn: Some(at.arn()), key_id: Some(id.to_string()) }
        });
        Ok(ListKeysResponse {
            keys: Some(paged.items),
            truncated: Some(paged.next.is_some()),
            next_marker: paged.next,
        })
    }
);

list!(
    Kms,
    ListAliases(limit, marker, ALIASES, InvalidMarkerException),
    |_state, caller, _input, _page| Access::new("kms:ListAliases", "*", caller),
    |state, caller, input, page| {
        let key = match input.key_id.as_deref() {
            Some(named) => Some(find::key(state, caller, named)?.0),
            None => None,
        };
        let realm = state.secrets().realm(&caller.scope);
        let mut all: Vec<AliasListEntry> = realm
            .aliases()
            .iter()
            .filter(|(_, alias)| {
                key.as_ref().is_none_or(|key| key.scope == caller.scope && key.id == alias.target)
            })
            .map(|(name, alias)| AliasListEntry {
                alias_arn: Some(arn::alias(&caller.scope, name)),
                alias_name: Some(name.to_string()),
                creation_date: Some(alias.created_at),
                last_updated_date: Some(alias.updated_at),
                target_key_id: Some(alias.target.to_string()),
            })
            .collect();
        if key.is_none() {
            // Those of services are there before their keys.
            let names = kms::SERVICES.into_iter().map(kms::service_alias);
            let names = names.filter(|name| !realm.aliases().contains_key(name.as_str()));
            all.extend(names.map(|name| AliasListEntry {
                alias_arn: Some(arn::alias(&caller.scope, &name)),
                alias_name: Some(name),
                ..AliasListEntry::default()
            }));
        }
        let place = |entry: &AliasListEntry| entry.alias_name.clone().unwrap_or_default();
        all.sort_by_cached_key(place);
        let paged = page.fill(all, place);
        Ok(ListAliasesResponse {
            aliases: Some(paged.items),
            truncated: Some(paged.next.is_some()),
            next_marker: paged.next,
        })
    }
);
