//! Secrets as they are described and listed: without their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::Scope;
use longshore_shapes_secretsmanager::{
    DescribeSecretResponse, Filter, FilterNameStringType, InvalidNextTokenException, ListSecretsResponse,
    SecretListEntry, SortByType, SortOrderType, Tag, ops,
};
use longshore_state::State;
use longshore_tables_secrets::record::Secret;
use longshore_tables_secrets::{SecretsState, arn};

use super::{find, permission};
use crate::input::given;
use crate::paging::{Order, digits};

/// How many secrets are told at once, unless asked otherwise.
const SIZE: usize = 100;

/// The versions that have labels, with these.
fn versions(secret: &Secret) -> Option<BTreeMap<String, Vec<String>>> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (label, id) in &secret.stages {
        versions.entry(id.to_string()).or_default().push(label.to_string());
    }
    (!versions.is_empty()).then_some(versions)
}

fn tags(secret: &Secret) -> Option<Vec<Tag>> {
    let tag = |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    (!secret.tags.is_empty()).then(|| secret.tags.iter().map(tag).collect())
}

query!(
    SecretsManager,
    DescribeSecret,
    |state, caller, input| permission::on_secret(state, caller, "DescribeSecret", given(&input.secret_id)),
    |state, caller, input| {
        let found = find::any(state, caller, given(&input.secret_id))?;
        let secret = found.secret;
        Ok(DescribeSecretResponse {
            arn: Some(found.arn()),
            created_date: Some(secret.created_at),
            deleted_date: secret.deletion.map(|deletion| deletion.asked_at),
            description: secret.description.as_ref().map(|text| text.to_string()),
            kms_key_id: secret.key.as_ref().map(|key| key.named.to_string()),
            last_changed_date: Some(secret.changed_at),
            name: Some(found.name.to_string()),
            tags: tags(secret),
            version_ids_to_stages: versions(secret),
            ..DescribeSecretResponse::default()
        })
    }
);

fn entry(scope: &Scope, name: &str, secret: &Secret) -> SecretListEntry {
    SecretListEntry {
        arn: Some(arn::secret(scope, name, &secret.birth)),
        created_date: Some(secret.created_at),
        deleted_date: secret.deletion.map(|deletion| deletion.asked_at),
        description: secret.description.as_ref().map(|text| text.to_string()),
        kms_key_id: secret.key.as_ref().map(|key| key.named.to_string()),
        last_changed_date: Some(secret.changed_at),
        name: Some(name.to_owned()),
        tags: tags(secret),
        secret_versions_to_stages: versions(secret),
        ..SecretListEntry::default()
    }
}

list!(
    SecretsManager,
    ListSecrets(max_results, next_token, SIZE, InvalidNextTokenException),
    |_state, caller, _input, _page| permission::on_all(caller, "ListSecrets"),
    |state, caller, input, page| {
        let order = match input.sort_order {
            Some(SortOrderType::Desc) => Order::Falling,
            Some(SortOrderType::Asc | SortOrderType::Unrecognized(_)) | None => Order::Rising,
        };
        let with_marked = input.include_planned_deletion.unwrap_or(false);
        let place = |(name, secret): &(&Arc<str>, &Arc<Secret>)| match &input.sort_by {
            Some(SortByType::Name) => name.to_string(),
            Some(SortByType::LastChangedDate) => format!("{} {name}", digits(secret.changed_at.as_millis())),
            // When one was read last is not noted.
            Some(SortByType::CreatedDate | SortByType::LastAccessedDate | SortByType::Unrecognized(_))
            | None => {
                format!("{} {name}", digits(secret.created_at.as_millis()))
            }
        };
        let mut all: Vec<_> = matching(state, &caller.scope, &input.filters)
            .filter(|(_, secret)| with_marked || secret.deletion.is_none())
            .collect();
        all.sort_by_cached_key(place);
        if order == Order::Falling {
            all.reverse();
        }
        let paged = page.fill_in(order, all, place).map(|(name, secret)| entry(&caller.scope, name, secret));
        Ok(ListSecretsResponse { next_token: paged.next, secret_list: Some(paged.items) })
    }
);

/// The secrets that all filters let through, by name.
pub(super) fn matching<'s>(
    state: &'s State,
    scope: &Scope,
    filters: &'s Option<Vec<Filter>>,
) -> impl Iterator<Item = (&'s Arc<str>, &'s Arc<Secret>)> + use<'s> {
    let region = scope.region.clone();
    let all = state.secrets().realm(scope).secrets().iter();
    all.filter(move |(name, secret)| {
        filters.iter().flatten().all(|filter| lets_through(filter, name, secret, region.as_str()))
    })
}

/// Whether one of the values is what something of the secret begins with; a value behind `!` is what nothing begins
/// with.
fn lets_through(filter: &Filter, name: &str, secret: &Secret, region: &str) -> bool {
    use FilterNameStringType as Key;
    let Some(key) = &filter.key else { return true };
    let begins = |text: &str, value: &str| text.starts_with(value);
    let begins_in_any_case = |text: &str, value: &str| text.to_lowercase().starts_with(&value.to_lowercase());
    let matches = |value: &str| match key {
        Key::Name => begins(name, value),
        Key::Description => secret.description.as_ref().is_some_and(|text| begins_in_any_case(text, value)),
        Key::TagKey => secret.tags.keys().any(|key| begins(key, value)),
        Key::TagValue => secret.tags.values().any(|own| begins(own, value)),
        // Nothing is replicated, and no service makes secrets of its own.
        Key::PrimaryRegion => begins(region, value),
        Key::OwningService => false,
        Key::All => {
            let words = |text: &str| {
                text.split(|c: char| !c.is_alphanumeric()).any(|word| begins_in_any_case(word, value))
            };
            let tags = secret.tags.iter().flat_map(|(key, value)| [key, value]);
            words(name)
                || begins_in_any_case(name, value)
                || secret.description.as_ref().is_some_and(|text| words(text))
                || tags.into_iter().any(|text| words(text))
        }
        Key::Unrecognized(_) => false,
    };
    let mut values = filter.values.iter().flatten();
    values.any(|value| match value.strip_prefix('!') {
        Some(not) => !matches(not),
        None => matches(value),
    })
}
