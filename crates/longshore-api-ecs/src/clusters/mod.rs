//! Clusters (ecs-operations B1, ecs-engine D1).

mod shape;

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::ClusterName;
use longshore_base::NameError;
use longshore_domain::ServiceStatus;
use longshore_domain::status::ClusterStatus;
use longshore_domain::tags::Tags;
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{self, Capacity};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx};
use longshore_tables_iam::service_linked;

use self::shape::{Include, View, registered, shape};
use crate::paging::{self, Page};
use crate::permission::Keys;
use crate::{
    Caller, Ecs, capacity_providers, documents, failures, identifiers, input, permission, settings_in_force,
    strategies, tags, texts,
};

/// The most clusters that one call describes (ecs-behaviour A4).
const DESCRIBE_MAX: usize = 100;

/// A call of CreateCluster, as far as it can be read by itself.
pub struct NewCluster {
    name: ClusterName,
    tags: Tags,
    insights: Option<Arc<str>>,
    input: CreateClusterRequest,
}

impl Command<Ecs> for ops::CreateCluster {
    type Parsed = NewCluster;
    type Answer = CreateClusterResponse;

    fn parse(_: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let name = match input.cluster_name.as_deref() {
            None => ClusterName::default_cluster(),
            Some(name) => new_name(name)?,
        };
        let tags = tags::parse(input.tags.take().unwrap_or_default())?;
        let insights = container_insights(input.settings.take().unwrap_or_default())?;
        check_configuration(input.configuration.as_ref())?;
        Ok(NewCluster { name, tags, insights, input })
    }

    fn resources(state: &State, caller: &Caller, new: &Self::Parsed) -> Resources {
        let NewCluster { name, tags, input, .. } = new;
        let ask = permission::of::<Self>(state, caller);
        let named = Some(name.as_str());
        let made = permission::cluster_arn(caller, named);
        let namespace = input.service_connect_defaults.as_ref().and_then(|own| own.namespace.clone());
        let own = ask
            .on_cluster(named)
            .list(
                "ecs:capacity-provider",
                permission::providers_named(caller, input.capacity_providers.as_deref()),
            )
            .maybe("ecs:namespace", namespace);
        ask.tagging(own, tags, &made)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, new: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let NewCluster { name, tags, insights, input } = new;
        let at = ClusterKey::new(caller.scope.clone(), name.clone());
        let providers = providers_to_attach(tx.state(), caller, input.capacity_providers.unwrap_or_default())
            .map_err(|ProviderRefused(text)| InvalidParameterException::new(text))?;
        let strategy = strategies::parse(
            input.default_capacity_provider_strategy.unwrap_or_default(),
            providers.iter().map(|name| &**name),
        )?;
        // A repetition answers what is there and changes nothing (ecs-behaviour A7).
        let existing = tx.ecs().cluster(&at).and_then(|tables| Some((tables, tables.record()?)));
        if let Some((tables, record)) = existing
            && record.status != ClusterStatus::Inactive
        {
            let cluster = View::of(tables, record, Include::ALL).shape(&at);
            return Ok(CreateClusterResponse { cluster: Some(cluster) });
        }
        let default_insights =
            || settings_in_force::effective(tx.state(), caller, &SettingName::ContainerInsights);
        let namespace = input.service_connect_defaults.and_then(|defaults| defaults.namespace);
        let cluster = record::Cluster {
            name,
            status: ClusterStatus::Active,
            created_at: tx.now,
            deleted_at: None,
            container_insights: insights.unwrap_or_else(default_insights),
            configuration: input.configuration.map(|configuration| documents::keep(&configuration)),
            service_connect_namespace: namespace.filter(|namespace| !namespace.is_empty()).map(Into::into),
            capacity_providers: providers,
            default_strategy: strategy,
            tags,
        };
        tx.put_cluster(&at.scope, cluster);
        service_linked::make_if_missing(tx, at.scope.account, service_linked::ECS);
        Ok(CreateClusterResponse { cluster: shape(tx.state(), &at) })
    }
}

impl Command<Ecs> for ops::DeleteCluster {
    type Parsed = Self::Input;
    type Answer = DeleteClusterResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(input.cluster.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        if registered(tables) > 0 {
            return Err(ClusterContainsContainerInstancesException::new(texts::CLUSTER_HAS_INSTANCES).into());
        }
        if tables.services().any(|(service, _)| service.status != ServiceStatus::Inactive) {
            return Err(ClusterContainsServicesException::new(texts::CLUSTER_HAS_SERVICES).into());
        }
        if tables.running() + tables.pending() > 0 {
            return Err(ClusterContainsTasksException::new(texts::CLUSTER_HAS_TASKS).into());
        }
        let mut cluster = existing(tables);
        cluster.status = ClusterStatus::Inactive;
        cluster.deleted_at = Some(tx.now);
        cluster.capacity_providers.clear();
        cluster.default_strategy.clear();
        cluster.tags.clear();
        tx.put_cluster(&at.scope, cluster);
        Ok(DeleteClusterResponse { cluster: shape(tx.state(), &at) })
    }
}

impl Query<Ecs> for ops::DescribeClusters {
    type Parsed = Self::Input;
    type Answer = DescribeClustersResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let named = input.clusters.as_deref().filter(|named| !named.is_empty());
        match named {
            Some(named) => named.iter().flat_map(|named| ask.on_cluster(Some(named))).collect(),
            None => ask.on_cluster(None),
        }
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let named =
            input.clusters.filter(|named| !named.is_empty()).unwrap_or_else(|| vec!["default".into()]);
        if named.len() > DESCRIBE_MAX {
            return Err(InvalidParameterException::new(texts::too_many("clusters", DESCRIBE_MAX)).into());
        }
        let include = Include::of(input.include.as_deref().unwrap_or_default());
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for named in named {
            match identifiers::cluster_name(&caller.scope, Some(&named)) {
                Ok(name) => {
                    let at = ClusterKey::new(caller.scope.clone(), name);
                    match state.ecs().cluster(&at).and_then(|tables| Some((tables, tables.record()?))) {
                        Some((tables, record)) if seen.insert(at.clone()) => {
                            clusters.push(View::of(tables, record, include).shape(&at));
                        }
                        Some(_) => {}
                        None => failures.push(failures::missing(at.scope.cluster_arn(&at.cluster))),
                    }
                }
                Err(_) => failures.push(failures::missing(would_be_arn(caller, &named))),
            }
        }
        Ok(DescribeClustersResponse { clusters: Some(clusters), failures: Some(failures) })
    }
}

impl Query<Ecs> for ops::ListClusters {
    type Parsed = Page;
    type Answer = ListClustersResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        Ok(Page::open("ListClusters", cx.caller, &input, asked, paging::LIST)?)
    }

    fn resources(state: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all()
    }

    fn run(state: &State, caller: &Caller, page: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let in_use = |&(_, tables): &(&ClusterName, &ClusterTables)| {
            tables.record().is_some_and(|record| record.status != ClusterStatus::Inactive)
        };
        let clusters =
            state.ecs().realm(&caller.scope).into_iter().flat_map(|realm| realm.clusters()).filter(in_use);
        let (names, next_token) = page.fill_rising(clusters.map(|(name, _)| name), |name| name.to_string());
        let arns = names.into_iter().map(|name| caller.scope.cluster_arn(name)).collect();
        Ok(ListClustersResponse { cluster_arns: Some(arns), next_token })
    }
}

impl Command<Ecs> for ops::UpdateCluster {
    type Parsed = Self::Input;
    type Answer = UpdateClusterResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(input.cluster.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let mut cluster = existing(tables);
        if let Some(value) = container_insights(input.settings.unwrap_or_default())? {
            cluster.container_insights = value;
        }
        check_configuration(input.configuration.as_ref())?;
        if let Some(configuration) = input.configuration {
            cluster.configuration = Some(documents::keep(&configuration));
        }
        if let Some(defaults) = input.service_connect_defaults {
            let namespace = defaults.namespace.filter(|namespace| !namespace.is_empty());
            cluster.service_connect_namespace = namespace.map(Into::into);
        }
        tx.put_cluster(&at.scope, cluster);
        Ok(UpdateClusterResponse { cluster: shape(tx.state(), &at) })
    }
}

impl Command<Ecs> for ops::UpdateClusterSettings {
    type Parsed = Self::Input;
    type Answer = UpdateClusterSettingsResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(input.cluster.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let mut cluster = existing(tables);
        if let Some(value) = container_insights(input.settings.unwrap_or_default())? {
            cluster.container_insights = value;
        }
        tx.put_cluster(&at.scope, cluster);
        Ok(UpdateClusterSettingsResponse { cluster: shape(tx.state(), &at) })
    }
}

impl Command<Ecs> for ops::PutClusterCapacityProviders {
    type Parsed = Self::Input;
    type Answer = PutClusterCapacityProvidersResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(input.cluster.as_deref()).list(
            "ecs:capacity-provider",
            permission::providers_named(caller, input.capacity_providers.as_deref()),
        )
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let mut cluster = existing(tables);
        let providers = providers_to_attach(tx.state(), caller, input.capacity_providers.unwrap_or_default())
            .map_err(|ProviderRefused(text)| InvalidParameterException::new(text))?;
        let strategy = strategies::parse(
            input.default_capacity_provider_strategy.unwrap_or_default(),
            providers.iter().map(|name| &**name),
        )?;
        let used = providers_in_use(tables);
        let removed = |name: &&Arc<str>| !providers.contains(name);
        if cluster.capacity_providers.iter().filter(removed).any(|name| used.contains(&**name)) {
            return Err(ResourceInUseException::new(texts::PROVIDER_IN_USE).into());
        }
        cluster.capacity_providers = providers;
        cluster.default_strategy = strategy;
        tx.put_cluster(&at.scope, cluster);
        Ok(PutClusterCapacityProvidersResponse { cluster: shape(tx.state(), &at) })
    }
}

fn new_name(text: &str) -> Result<ClusterName, InvalidParameterException> {
    ClusterName::parse(text).map_err(|error| {
        InvalidParameterException::new(match error {
            NameError::TooLong => texts::CLUSTER_NAME_LONG,
            NameError::Empty | NameError::InvalidCharacters => texts::CLUSTER_NAME_INVALID,
        })
    })
}

fn would_be_arn(caller: &Caller, named: &str) -> String {
    if longshore_base::Arn::looks_like_one(named) {
        return named.to_owned();
    }
    let scope = &caller.scope;
    let partition = scope.partition().as_str();
    format!("arn:{partition}:ecs:{}:{}:cluster/{named}", scope.region, scope.account)
}

/// The value of the only setting that there is, if the list names it.
fn container_insights(settings: Vec<ClusterSetting>) -> Result<Option<Arc<str>>, InvalidParameterException> {
    let mut value = None;
    for setting in settings {
        let text = setting.value.unwrap_or_default();
        if !settings_in_force::INSIGHTS.contains(&text.as_str()) {
            return Err(InvalidParameterException::new(texts::INSIGHTS_VALUE));
        }
        value = Some(text.into());
    }
    Ok(value)
}

fn check_configuration(
    configuration: Option<&ClusterConfiguration>,
) -> Result<(), InvalidParameterException> {
    let Some(exec) =
        configuration.and_then(|configuration| configuration.execute_command_configuration.as_ref())
    else {
        return Ok(());
    };
    let overrides = exec.logging == Some(ExecuteCommandLogging::Override);
    if overrides != exec.log_configuration.is_some() {
        return Err(InvalidParameterException::new(texts::LOGGING_NEEDS_CONFIGURATION));
    }
    Ok(())
}

/// A list of providers that a cluster cannot be given, in words.
struct ProviderRefused(String);

/// The names of providers that are there and can be attached, each once.
fn providers_to_attach(
    state: &State,
    caller: &Caller,
    named: Vec<String>,
) -> Result<Vec<Arc<str>>, ProviderRefused> {
    if named.len() > strategies::PROVIDERS_MAX {
        return Err(ProviderRefused(texts::too_many("capacityProviders", strategies::PROVIDERS_MAX)));
    }
    let mut names: Vec<Arc<str>> = Vec::with_capacity(named.len());
    for named in named {
        let name =
            capacity_providers::usable(state, caller, &named).map_err(|text| ProviderRefused(text.into()))?;
        if !names.iter().any(|other| **other == *name) {
            names.push(name.into());
        }
    }
    Ok(names)
}

/// Providers that services or tasks of the cluster still use.
fn providers_in_use(tables: &ClusterTables) -> BTreeSet<Arc<str>> {
    let services = tables.services().filter(|(service, _)| service.status != ServiceStatus::Inactive);
    let of_services =
        services.flat_map(|(_, entry)| entry.capacities()).flat_map(|capacity| match capacity {
            Capacity::Strategy(items) => items.iter().map(|item| item.provider.clone()).collect(),
            Capacity::LaunchType(_) => Vec::new(),
        });
    let running = tables.tasks().values().filter(|task| !task.last_status.is_stopped());
    of_services.chain(running.filter_map(|task| task.origin.capacity_provider.clone())).collect()
}

/// The record of a cluster that was looked up.
fn existing(tables: &ClusterTables) -> record::Cluster {
    record::Cluster::clone(tables.record().expect("a cluster that was looked up has a record"))
}
