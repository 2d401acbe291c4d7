//! Capacity providers (ecs-operations B2).
//!
//! They are names that strategies choose by. Nothing here starts or ends machines: an instance
//! belongs to a provider because its agent says so ([`crate::registration`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::Arn;
use longshore_domain::ServiceStatus;
use longshore_domain::status::{ClusterStatus, ProviderStatus, ProviderUpdateStatus, Switch};
use longshore_domain::tags::Tags;
use longshore_placement::provider::FARGATE;
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::key::ProviderKey;
use longshore_tables_ecs::record::{self, AutoScalingGroup, Capacity};
use longshore_tables_ecs::{EcsState, Realm};

use crate::paging::{self, Page};
use crate::{Caller, Ecs, failures, identifiers, input, permission, scaling_group, strategies, tags, texts};

const NAME_CHARS_MAX: usize = 255;
const DESCRIBE_MAX: usize = 100;
/// Names that begin like this are AWS's own.
const RESERVED_PREFIXES: [&str; 3] = ["aws", "ecs", "fargate"];

/// A provider to be made.
pub struct NewProvider {
    name: String,
    group: AutoScalingGroup,
    tags: Tags,
}

impl Command<Ecs> for ops::CreateCapacityProvider {
    type Parsed = NewProvider;
    type Answer = CreateCapacityProviderResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let name = input.name.unwrap_or_default();
        if !is_name(&name) {
            return Err(ClientException::new(texts::PROVIDER_NAME).into());
        }
        let group = match (input.auto_scaling_group_provider, input.managed_instances_provider) {
            (Some(group), None) => group,
            (None, Some(_)) => return Err(UnsupportedFeatureException::new(texts::MANAGED_INSTANCES).into()),
            (Some(_), Some(_)) | (None, None) => {
                return Err(InvalidParameterException::new(texts::PROVIDER_ONE_KIND).into());
            }
        };
        let tags = tags::parse(input.tags.unwrap_or_default())?;
        Ok(NewProvider { name, group: scaling_group::parse(group)?, tags })
    }

    fn resources(state: &State, caller: &Caller, new: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let made = permission::provider_arn(caller, &new.name);
        ask.tagging(ask.on_providers([&*new.name]), &new.tags, &made)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, new: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let NewProvider { name, group, tags } = new;
        if stored(tx.state(), caller, &name).is_some_and(|known| known.status == ProviderStatus::Active) {
            return Err(ClientException::new(texts::PROVIDER_EXISTS).into());
        }
        let provider = record::CapacityProvider {
            name: name.into(),
            status: ProviderStatus::Active,
            update_status: None,
            created_at: tx.now,
            deleted_at: None,
            auto_scaling_group: group,
            tags,
        };
        put(tx, caller, provider.clone());
        Ok(CreateCapacityProviderResponse { capacity_provider: Some(shape(caller, &provider, true)) })
    }
}

impl Command<Ecs> for ops::UpdateCapacityProvider {
    type Parsed = Self::Input;
    type Answer = UpdateCapacityProviderResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_providers([input.name.as_deref().unwrap_or_default()])
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        if input.managed_instances_provider.is_some() {
            return Err(UnsupportedFeatureException::new(texts::MANAGED_INSTANCES).into());
        }
        let mut provider = changeable(tx.state(), caller, input.name.as_deref().unwrap_or_default())?;
        let Some(update) = input.auto_scaling_group_provider else {
            return Err(InvalidParameterException::new(texts::PROVIDER_ONE_KIND).into());
        };
        provider.auto_scaling_group = scaling_group::update(&provider.auto_scaling_group, update)?;
        provider.update_status = Some(ProviderUpdateStatus::UpdateComplete);
        put(tx, caller, provider.clone());
        Ok(UpdateCapacityProviderResponse { capacity_provider: Some(shape(caller, &provider, true)) })
    }
}

impl Command<Ecs> for ops::DeleteCapacityProvider {
    type Parsed = Self::Input;
    type Answer = DeleteCapacityProviderResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller)
            .on_providers([input.capacity_provider.as_deref().unwrap_or_default()])
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let mut provider =
            changeable(tx.state(), caller, input.capacity_provider.as_deref().unwrap_or_default())?;
        if let Some(realm) = tx.ecs().realm(&caller.scope) {
            if let Some(cluster) = attached_to(realm, &provider.name) {
                return Err(ClientException::new(texts::provider_attached(&cluster)).into());
            }
            if in_a_service(realm, &provider.name) {
                return Err(ClientException::new(texts::PROVIDER_IN_USE).into());
            }
        }
        provider.status = ProviderStatus::Inactive;
        provider.update_status = Some(ProviderUpdateStatus::DeleteComplete);
        provider.deleted_at = Some(tx.now);
        put(tx, caller, provider.clone());
        // ECS takes a while, and tells of the beginning; the next look finds the end.
        let answer = shapes::CapacityProvider {
            status: Some(CapacityProviderStatus::Deprovisioning),
            update_status: Some(CapacityProviderUpdateStatus::DeleteInProgress),
            ..shape(caller, &provider, true)
        };
        Ok(DeleteCapacityProviderResponse { capacity_provider: Some(answer) })
    }
}

impl Query<Ecs> for ops::DescribeCapacityProviders {
    type Parsed = (Self::Input, Page);
    type Answer = DescribeCapacityProvidersResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        input::check(&input)?;
        let page = Page::open("DescribeCapacityProviders", cx.caller, &input, asked, paging::LIST_TENS)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller)
            .on_providers(input.capacity_providers.iter().flatten().map(String::as_str))
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let in_cluster = match input.cluster.as_deref() {
            Some(cluster) => Some(identifiers::cluster(state, caller, Some(cluster))?.1),
            None => None,
        };
        let attached = |name: &str| {
            let record = in_cluster.and_then(|tables| tables.record());
            record.is_none_or(|record| record.capacity_providers.iter().any(|own| **own == *name))
        };
        let with_tags =
            input.include.as_deref().is_some_and(|fields| fields.contains(&CapacityProviderField::Tags));
        let named = input.capacity_providers.filter(|named| !named.is_empty());
        let names: BTreeSet<String> = match named {
            Some(named) if named.len() > DESCRIBE_MAX => {
                return Err(InvalidParameterException::new(texts::too_many(
                    "capacityProviders",
                    DESCRIBE_MAX,
                ))
                .into());
            }
            Some(named) => named.into_iter().collect(),
            None => all_names(state, caller).filter(|name| attached(name)).collect(),
        };
        let (names, next_token) = page.fill_rising(names, String::clone);
        let (mut providers, mut failures) = (Vec::new(), Vec::new());
        for named in names {
            let name = name_of(caller, &named).filter(|name| attached(name));
            let known = name.and_then(|name| stored(state, caller, name));
            match (name, known) {
                (Some(name), _) if strategies::is_fargate(name) => providers.push(fargate(caller, name)),
                (Some(_), Some(provider)) => providers.push(shape(caller, provider, with_tags)),
                (Some(_), None) | (None, _) => failures.push(failures::missing(would_be_arn(caller, &named))),
            }
        }
        Ok(DescribeCapacityProvidersResponse {
            capacity_providers: Some(providers),
            failures: Some(failures),
            next_token,
        })
    }
}

/// Every provider that can be used, the implicit ones too.
fn all_names<'s>(state: &'s State, caller: &Caller) -> impl Iterator<Item = String> + 's {
    let realm = state.ecs().realm(&caller.scope);
    let own = realm.into_iter().flat_map(|realm| realm.providers().values());
    let own = own
        .filter(|provider| provider.status != ProviderStatus::Inactive)
        .map(|provider| provider.name.to_string());
    own.chain(strategies::FARGATE_PROVIDERS.map(str::to_owned))
}

fn is_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// The provider that a call wants to change: there, in use, and not one of AWS's own.
fn changeable(
    state: &State,
    caller: &Caller,
    named: &str,
) -> Result<record::CapacityProvider, ClientException> {
    let name = name_of(caller, named).ok_or_else(|| ClientException::new(texts::PROVIDER_UNKNOWN))?;
    if strategies::is_fargate(name) {
        return Err(ClientException::new(texts::PROVIDER_RESERVED));
    }
    match stored(state, caller, name) {
        Some(provider) if provider.status == ProviderStatus::Active => {
            Ok(record::CapacityProvider::clone(provider))
        }
        Some(_) | None => Err(ClientException::new(texts::PROVIDER_UNKNOWN)),
    }
}

/// The name of a cluster that the provider is attached to.
fn attached_to(realm: &Realm, provider: &str) -> Option<String> {
    let clusters = realm.clusters().filter_map(|(_, tables)| tables.record());
    let mut holding = clusters
        .filter(|cluster| cluster.status != ClusterStatus::Inactive)
        .filter(|cluster| cluster.capacity_providers.iter().any(|own| **own == *provider));
    holding.next().map(|cluster| cluster.name.to_string())
}

fn in_a_service(realm: &Realm, provider: &str) -> bool {
    let services = realm.clusters().flat_map(|(_, tables)| tables.services());
    let live = services.filter(|(service, _)| service.status != ServiceStatus::Inactive);
    live.flat_map(|(_, entry)| entry.capacities()).any(|capacity| match capacity {
        Capacity::Strategy(items) => items.iter().any(|item| *item.provider == *provider),
        Capacity::LaunchType(_) => false,
    })
}

fn put(tx: &mut Tx<'_>, caller: &Caller, provider: record::CapacityProvider) {
    tx.put::<record::CapacityProvider>(ProviderKey::new(caller.scope.clone(), &*provider.name), provider);
}

pub(crate) fn stored<'s>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Option<&'s Arc<record::CapacityProvider>> {
    state.ecs().realm(&caller.scope)?.providers().get(name)
}

/// True if the provider has managed scaling: whoever finds no room waits for it.
pub(crate) fn scales(state: &State, caller: &Caller, name: &str) -> bool {
    stored(state, caller, name)
        .is_some_and(|provider| provider.auto_scaling_group.managed_scaling.status == Switch::Enabled)
}

/// The name in a name or ARN of a provider; `None` if it cannot name one of the caller's.
fn name_of<'n>(caller: &Caller, named: &'n str) -> Option<&'n str> {
    if !Arn::looks_like_one(named) {
        return Some(named);
    }
    let arn = Arn::parse(named).ok()?;
    (arn.kind == "capacity-provider" && arn.scope == caller.scope).then_some(arn.rest)
}

/// The name of a provider that a cluster can be given, or why it cannot.
pub(crate) fn usable<'n>(state: &State, caller: &Caller, named: &'n str) -> Result<&'n str, &'static str> {
    let name = name_of(caller, named).ok_or(texts::PROVIDER_UNKNOWN)?;
    if strategies::is_fargate(name) {
        return Ok(name);
    }
    match stored(state, caller, name) {
        Some(provider) if provider.status == ProviderStatus::Active => Ok(name),
        Some(_) => Err(texts::PROVIDER_INACTIVE),
        None => Err(texts::PROVIDER_UNKNOWN),
    }
}

fn would_be_arn(caller: &Caller, named: &str) -> String {
    if Arn::looks_like_one(named) { named.to_owned() } else { caller.scope.capacity_provider_arn(named) }
}

fn shape(caller: &Caller, provider: &record::CapacityProvider, with_tags: bool) -> shapes::CapacityProvider {
    shapes::CapacityProvider {
        capacity_provider_arn: Some(caller.scope.capacity_provider_arn(&provider.name)),
        name: Some(provider.name.to_string()),
        status: Some(provider.status.as_str().into()),
        auto_scaling_group_provider: Some(scaling_group::shape(&provider.auto_scaling_group)),
        update_status: provider.update_status.map(|status| status.as_str().into()),
        tags: Some(if with_tags { tags::shapes(&provider.tags) } else { Vec::new() }),
        r#type: Some(CapacityProviderType::Ec2Autoscaling),
        ..Default::default()
    }
}

fn fargate(caller: &Caller, name: &str) -> shapes::CapacityProvider {
    let kind =
        if name == FARGATE { CapacityProviderType::Fargate } else { CapacityProviderType::FargateSpot };
    shapes::CapacityProvider {
        capacity_provider_arn: Some(caller.scope.capacity_provider_arn(name)),
        name: Some(name.to_owned()),
        status: Some(CapacityProviderStatus::Active),
        tags: Some(Vec::new()),
        r#type: Some(kind),
        ..Default::default()
    }
}
