//! A cluster as the API shows it.

use std::sync::Arc;

use longshore_domain::{InstanceStatus, LaunchType, ServiceStatus};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{
    ClusterField, ClusterServiceConnectDefaults, ClusterSetting, ClusterSettingName, KeyValuePair,
};
use longshore_state::State;
use longshore_tables_ecs::record::{self, Capacity};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, ServiceEntry};

use crate::input::count;
use crate::{documents, strategies, tags};

/// Instances that belong to the cluster, connected or not.
pub(super) fn registered(tables: &ClusterTables) -> usize {
    let belongs = |status: InstanceStatus| match status {
        InstanceStatus::Active | InstanceStatus::Draining => true,
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive => false,
    };
    tables.instances().values().filter(|entry| belongs(entry.record.status)).count()
}

/// The cluster with all that belongs to it, as writers answer it.
pub(super) fn shape(state: &State, at: &ClusterKey) -> Option<shapes::Cluster> {
    let tables = state.ecs().cluster(at)?;
    Some(View::of(tables, tables.record()?, Include::ALL).shape(at))
}

/// What a description holds beyond the cluster itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Include {
    configurations: bool,
    settings: bool,
    statistics: bool,
    tags: bool,
}

impl Include {
    /// What the answer of a change holds. Counting by launch type is left to those who ask.
    pub const ALL: Self = Self { configurations: true, settings: true, statistics: false, tags: true };

    pub fn of(fields: &[ClusterField]) -> Self {
        Self {
            configurations: fields.contains(&ClusterField::Configurations),
            settings: fields.contains(&ClusterField::Settings),
            statistics: fields.contains(&ClusterField::Statistics),
            tags: fields.contains(&ClusterField::Tags),
        }
    }
}

/// A cluster at one moment.
pub(super) struct View {
    record: Arc<record::Cluster>,
    registered: usize,
    running: usize,
    pending: usize,
    services: usize,
    statistics: Vec<KeyValuePair>,
    include: Include,
}

impl View {
    pub fn of(tables: &ClusterTables, record: &Arc<record::Cluster>, include: Include) -> Self {
        let active = tables.services().filter(|(service, _)| service.status == ServiceStatus::Active);
        Self {
            record: record.clone(),
            registered: registered(tables),
            running: tables.running(),
            pending: tables.pending(),
            services: active.count(),
            statistics: if include.statistics { statistics(tables) } else { Vec::new() },
            include,
        }
    }

    pub fn shape(self, at: &ClusterKey) -> shapes::Cluster {
        let Self { record, include, .. } = self;
        let insights = || ClusterSetting {
            name: Some(ClusterSettingName::ContainerInsights),
            value: Some(record.container_insights.to_string()),
        };
        let namespace = record.service_connect_namespace.as_ref();
        let configuration = record.configuration.as_ref().filter(|_| include.configurations);
        shapes::Cluster {
            cluster_arn: Some(at.scope.cluster_arn(&record.name)),
            cluster_name: Some(record.name.to_string()),
            status: Some(record.status.to_string()),
            registered_container_instances_count: count(self.registered),
            running_tasks_count: count(self.running),
            pending_tasks_count: count(self.pending),
            active_services_count: count(self.services),
            statistics: Some(self.statistics),
            tags: Some(if include.tags { tags::shapes(&record.tags) } else { Vec::new() }),
            settings: Some(if include.settings { vec![insights()] } else { Vec::new() }),
            configuration: configuration.and_then(documents::recall),
            capacity_providers: Some(record.capacity_providers.iter().map(ToString::to_string).collect()),
            default_capacity_provider_strategy: Some(strategies::shapes(&record.default_strategy)),
            service_connect_defaults: namespace
                .map(|namespace| ClusterServiceConnectDefaults { namespace: Some(namespace.to_string()) }),
            attachments: None,
            attachments_status: None,
        }
    }
}

/// Tasks and services by launch type: text values in name and value pairs (ecs-operations B1).
fn statistics(tables: &ClusterTables) -> Vec<KeyValuePair> {
    const KINDS: [(LaunchType, &str); 3] =
        [(LaunchType::Ec2, "EC2"), (LaunchType::Fargate, "Fargate"), (LaunchType::External, "External")];
    let tasks = |kind: LaunchType, running: bool| {
        let counts = |task: &&Arc<record::Task>| {
            let status = task.last_status;
            task.origin.launch_type == kind && if running { status.is_running() } else { status.is_pending() }
        };
        tables.tasks().values().filter(counts).count()
    };
    let services = |kind: LaunchType, status: ServiceStatus| {
        // A service without a PRIMARY task set runs on nothing yet, and counts as EC2 as one without wishes does.
        let runs_on =
            |entry: &ServiceEntry| entry.shown_capacity().map_or(LaunchType::Ec2, Capacity::launch_type);
        let counts = |service: &record::Service, entry| service.status == status && runs_on(entry) == kind;
        tables.services().filter(|(service, entry)| counts(service, *entry)).count()
    };
    let mut pairs = Vec::with_capacity(KINDS.len() * 4);
    let mut pair = |name: String, number: usize| {
        pairs.push(KeyValuePair { name: Some(name), value: Some(number.to_string()) });
    };
    for (kind, name) in KINDS {
        pair(format!("running{name}TasksCount"), tasks(kind, true));
        pair(format!("pending{name}TasksCount"), tasks(kind, false));
        pair(format!("active{name}ServiceCount"), services(kind, ServiceStatus::Active));
        pair(format!("draining{name}ServiceCount"), services(kind, ServiceStatus::Draining));
    }
    pairs
}
