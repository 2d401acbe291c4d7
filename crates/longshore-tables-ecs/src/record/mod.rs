//! The stored forms: what survives a restart.
//!
//! The layout is a promise (see [`longshore_state::Record`]): members are only ever appended, with `#[serde(default)]`
//! and a higher level of the kind, and the golden files under `tests/golden` hold one record of every kind and level.
//! Which key a record has is in [`kinds`](self).
//!
//! Whatever can be computed from other records is not here: counters, remaining resources and views
//! are derived in [`crate::tables`]. Texts of the API that are only echoed (network configuration,
//! volumes, ...) are kept as the JSON of their shape, so that this file need not follow the model.

use std::sync::Arc;

use longshore_base::{
    ArnFormat, ClusterName, ContainerName, DeploymentId, Family, InstanceId, Port, ServiceDeploymentId,
    ServiceName, TaskId, Timestamp,
};
use longshore_domain::status::{
    ClusterStatus, DeploymentController, PropagateTags, ProviderStatus, ProviderUpdateStatus,
};
use longshore_domain::tags::Tags;
use longshore_domain::{
    InstanceCheckKind, InstanceHealth, InstanceStatus, LaunchType, RolloutState, SchedulingStrategy,
    ServiceStatus,
};
use longshore_placement::provider::is_fargate;
use longshore_placement::{Constraint, Strategy};
use longshore_rollout::{
    EventMemory, LastCompleted, PlacementRefusal, ServiceDeploymentStatus, Stability, StopType,
    TaskSetStatus, Throttle,
};
use serde::{Deserialize, Serialize};

mod connections;
mod definition;
mod join;
mod kinds;
mod task;

pub use connections::{
    AccessLog, AccessLogFormat, AdvancedConfiguration, AutoScalingGroup, ClientAlias, ConnectLog,
    ConnectTimeout, ConnectTls, LoadBalancer, LoadBalancerTarget, ManagedScaling, ServiceConnect,
    ServiceConnectService, ServiceRegistry,
};
pub use definition::{Compiled, TaskDefinition};
pub use join::{InstanceKey, JoinToken, Takeovers};
pub use task::{
    Container, GivenSecret, GivenSecrets, Gpus, Interface, NetworkBinding, Origin, ServiceMembership, Task,
    WaitingForPlace,
};

/// The JSON text of a shape, or of a list of shapes, that is echoed as it came in.
pub type Document = Arc<str>;

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: ClusterName,
    pub status: ClusterStatus,
    pub created_at: Timestamp,
    /// When it became INACTIVE; it stays describable for a while after.
    pub deleted_at: Option<Timestamp>,
    /// The value of the setting `containerInsights`.
    pub container_insights: Arc<str>,
    /// `ClusterConfiguration`.
    pub configuration: Option<Document>,
    /// The namespace of `serviceConnectDefaults`.
    pub service_connect_namespace: Option<Arc<str>>,
    /// Names of the attached capacity providers.
    pub capacity_providers: Vec<Arc<str>>,
    pub default_strategy: Vec<StrategyItem>,
    pub tags: Tags,
}

/// One item of a capacity provider strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyItem {
    pub provider: Arc<str>,
    pub base: u32,
    pub weight: u32,
}

/// A container instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub arn_format: ArnFormat,
    pub status: InstanceStatus,
    pub registered_at: Timestamp,
    /// When it became INACTIVE.
    pub deregistered_at: Option<Timestamp>,
    pub ec2_instance_id: Arc<str>,
    pub capacity_provider: Option<Arc<str>>,
    pub launch_type: LaunchType,
    pub cpu: u32,
    pub memory: u32,
    /// Ports that the agent reserved, not those of tasks.
    pub reserved_tcp: Vec<Port>,
    pub reserved_udp: Vec<Port>,
    pub gpus: Vec<Arc<str>>,
    /// Attributes that the agent sent or the server added (`ecs.availability-zone`).
    pub agent_attributes: Vec<Attribute>,
    /// Attributes put by a user; they survive a re-registration.
    pub user_attributes: Vec<Attribute>,
    pub agent_version: Option<Arc<str>>,
    pub agent_hash: Option<Arc<str>>,
    pub docker_version: Option<Arc<str>>,
    /// Rises with every change of the record.
    pub version: u32,
    /// Rises with every connection. The numbers of a connection's messages start at
    /// `link_epoch << 32`, so that they rise over restarts of both sides (agent-protocol G20, 5).
    pub link_epoch: u32,
    /// An agent's process is new and has not yet been sent all its tasks' credentials. It says so
    /// only once, so it is remembered here until it is settled (agent-protocol G5).
    pub owes_credentials: bool,
    pub tags: Tags,
    /// What its agent last said of its health, one entry a kind; empty until it has.
    #[serde(default)]
    pub health: Vec<InstanceCheck>,
    /// Its agent's command channel is open, or was when the server that had it went away: agents come back to whoever
    /// serves next, so that a take-over need not tell them apart from those that are gone (ha M3.3).
    #[serde(default)]
    pub connected: bool,
    /// Since when `connected` is as it is. Nobody ever connected: `Timestamp::default()`.
    #[serde(default)]
    pub connected_since: Timestamp,
    #[serde(default)]
    pub takeovers: Takeovers,
}

impl Instance {
    /// Its agent has opened a command channel. `is_news`: it had none, as far as anybody knew.
    pub fn connect(&mut self, now: Timestamp, is_news: bool) {
        self.link_epoch += 1;
        self.connected = true;
        if is_news {
            self.connected_since = now;
        }
    }

    /// Its agent has no command channel since then.
    pub fn disconnect(&mut self, since: Timestamp) {
        self.connected = false;
        self.connected_since = since;
    }
}

/// About how many bytes tags take when they are stored.
fn tags_weight(tags: &Tags) -> usize {
    tags.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// The outcome of one check of a container instance, as its agent reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCheck {
    pub kind: InstanceCheckKind,
    pub status: InstanceHealth,
    pub updated_at: Timestamp,
    pub changed_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: Arc<str>,
    pub value: Option<Arc<str>>,
}

/// The highest revision of a family, kept only once revisions have been removed: numbers are never
/// given out twice (ecs-task-definitions C1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCounter {
    pub family: Family,
    pub last_revision: u32,
}

/// A service: what its user asked for, and where its deployments stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: ServiceName,
    pub arn_format: ArnFormat,
    pub status: ServiceStatus,
    pub created_at: Timestamp,
    pub created_by: Arc<str>,
    /// When it became INACTIVE.
    pub deleted_at: Option<Timestamp>,
    pub client_token: Option<Arc<str>>,
    /// A digest of the parameters of the create call, to tell a repetition from a conflict.
    pub fingerprint: u64,
    pub scheduling: SchedulingStrategy,
    pub controller: DeploymentController,
    pub desired_count: u32,
    /// The revision that an update asked for last; absent with the EXTERNAL controller.
    pub task_definition: Option<(Family, u32)>,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: bool,
    pub circuit_breaker_rollback: bool,
    /// `DeploymentConfiguration` as given, for what the members above do not cover.
    pub deployment_configuration: Option<Document>,
    pub capacity: Capacity,
    pub platform_version: Option<Arc<str>>,
    pub placement_constraints: Vec<Constraint>,
    pub placement_strategy: Vec<Strategy>,
    /// `NetworkConfiguration`.
    pub network: Option<Document>,
    pub load_balancers: Vec<LoadBalancer>,
    pub service_registries: Vec<ServiceRegistry>,
    /// A list of `ServiceVolumeConfiguration`.
    pub volume_configurations: Option<Document>,
    /// Absent if it is switched off.
    pub service_connect: Option<ServiceConnect>,
    pub health_check_grace_secs: Option<u32>,
    pub role: Option<Arc<str>>,
    pub propagate_tags: PropagateTags,
    pub managed_tags: bool,
    pub enable_execute_command: bool,
    pub zone_rebalancing: bool,
    pub tags: Tags,
    /// Newest first; the first is the PRIMARY one.
    pub deployments: Vec<Deployment>,
    pub memory: PlannerMemory,
    /// The number of events so far: the next one's place in the ring.
    pub events_total: u64,
    /// The launch type that it was created with, which a strategy may have replaced since.
    #[serde(default)]
    pub launch_type: Option<LaunchType>,
    /// `bakeTimeInMinutes`.
    #[serde(default)]
    pub bake_minutes: u32,
}

/// Where tasks run: by launch type, or by capacity providers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Capacity {
    LaunchType(LaunchType),
    Strategy(Vec<StrategyItem>),
}

impl Capacity {
    /// The launch type that tasks of this capacity have.
    pub fn launch_type(&self) -> LaunchType {
        match self {
            Capacity::LaunchType(launch_type) => *launch_type,
            // A strategy never mixes Fargate with other providers (ecs-services E12).
            Capacity::Strategy(items) if items.iter().any(|item| is_fargate(&item.provider)) => {
                LaunchType::Fargate
            }
            Capacity::Strategy(_) => LaunchType::Ec2,
        }
    }

    /// True if tasks run on the Fargate pool.
    pub fn is_fargate(&self) -> bool {
        self.launch_type() == LaunchType::Fargate
    }
}

impl Service {
    /// True if any of its deployments, or the next one, takes its capacity from the Fargate pool.
    pub fn uses_pool(&self) -> bool {
        self.capacity.is_fargate() || self.deployments.iter().any(|own| own.capacity.is_fargate())
    }
}

/// A deployment of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub primary: bool,
    pub task_definition: (Family, u32),
    pub desired_count: u32,
    pub failed_tasks: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub rollout_state: RolloutState,
    pub rollout_reason: Arc<str>,
    /// True once one of its tasks was RUNNING (stage 2 of the circuit breaker).
    pub had_running_task: bool,
    /// The deployment that failed and that this one undoes.
    pub rolls_back: Option<DeploymentId>,
    /// The service deployment (`ListServiceDeployments`) that this one carries out.
    pub service_deployment: ServiceDeploymentId,
    pub capacity: Capacity,
    pub platform_version: Option<Arc<str>>,
    pub network: Option<Document>,
    /// Set by StopServiceDeployment.
    pub stop_request: Option<StopType>,
    /// The service revision that its tasks are made from.
    pub revision: DeploymentId,
    /// Since when all its tasks are in place and the bake time runs.
    pub baking_since: Option<Timestamp>,
    pub alarms_ignored: bool,
}

/// What the planner remembers of a service from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannerMemory {
    pub throttle: Throttle,
    pub said: EventMemory,
    /// The last refusal of each deployment that still waits for a place.
    pub refusals: Vec<RefusalMemory>,
    pub last_completed: Option<LastCompleted>,
    /// See [`longshore_rollout::Plan::rebalancing`].
    pub rebalancing: Option<u32>,
    /// Of the deployment that fills in for the one that starts tasks.
    #[serde(default)]
    pub fallback_throttle: Throttle,
    /// The [`Task::stop_number`] up to which ends of tasks have been counted, each exactly once, whoever leads.
    #[serde(default)]
    pub stops_counted: u32,
}

/// When and why placement last refused a task of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusalMemory {
    pub deployment: DeploymentId,
    pub at: Timestamp,
    /// Attempts in a row that were refused.
    pub attempts: u32,
    /// Those of them that no plan has counted yet.
    pub uncounted: u32,
    pub reason: PlacementRefusal,
    /// The task might fit once another task of the service is gone.
    pub room_may_help: bool,
}

/// An event of a service. A ring of [`crate::tables::EVENTS_KEPT`] records holds the newest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub id: Arc<str>,
    pub at: Timestamp,
    pub message: Arc<str>,
    /// Counts the service's events from zero.
    pub number: u64,
}

/// A service deployment, as ListServiceDeployments keeps it (ecs-services E6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDeployment {
    pub id: ServiceDeploymentId,
    pub service: ServiceName,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// Revisions that were running when it began, with their requested counts.
    pub sources: Vec<(DeploymentId, u32)>,
    pub target: DeploymentId,
    pub status: ServiceDeploymentStatus,
    pub status_reason: Option<Arc<str>>,
    pub failure_count: u32,
    /// When a rollback began, why, and to which revision.
    pub rollback: Option<(Timestamp, Arc<str>, DeploymentId)>,
    /// `DeploymentConfiguration` in force when it began.
    pub configuration: Document,
}

/// An immutable snapshot of what a deployment runs (`DescribeServiceRevisions`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    pub id: DeploymentId,
    pub service: ServiceName,
    pub created_at: Timestamp,
    pub task_definition: (Family, u32),
    pub capacity: Capacity,
    pub platform_version: Option<Arc<str>>,
    pub network: Option<Document>,
    pub load_balancers: Vec<LoadBalancer>,
    pub service_registries: Vec<ServiceRegistry>,
    pub service_connect: Option<ServiceConnect>,
    /// Container name, image and digest, as the first task resolved them.
    pub images: Vec<(ContainerName, Arc<str>, Option<Arc<str>>)>,
}

/// A task set of a service whose deployments somebody else drives (ecs-services E7).
///
/// How many tasks it should have is not here: that is its share of the service's desired count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSet {
    pub id: DeploymentId,
    pub service: ServiceName,
    pub status: TaskSetStatus,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub external_id: Option<Arc<str>>,
    pub client_token: Option<Arc<str>>,
    /// A digest of the parameters of the create call, to tell a repetition from a conflict.
    pub fingerprint: u64,
    pub task_definition: (Family, u32),
    pub capacity: Capacity,
    pub platform_version: Option<Arc<str>>,
    /// `NetworkConfiguration`.
    pub network: Option<Document>,
    pub load_balancers: Vec<LoadBalancer>,
    pub service_registries: Vec<ServiceRegistry>,
    /// `scale` in hundredths of a percent.
    pub scale_basis_points: u32,
    /// The computed desired count that the service's events told last.
    pub told_desired_count: u32,
    pub stability: Stability,
    /// Since when it is so.
    pub stability_at: Timestamp,
    /// Each set pauses after its own failures only.
    pub throttle: Throttle,
    pub tags: Tags,
}

/// A capacity provider made by a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityProvider {
    pub name: Arc<str>,
    pub status: ProviderStatus,
    pub update_status: Option<ProviderUpdateStatus>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// The only kind that there is.
    pub auto_scaling_group: AutoScalingGroup,
    pub tags: Tags,
}

/// An account setting that somebody stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSetting {
    pub principal: Arc<str>,
    pub name: Arc<str>,
    pub value: Arc<str>,
}

/// A RunTask call's `clientToken`, and what the call did (ecs-behaviour A7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub token: Arc<str>,
    pub fingerprint: u64,
    pub created_at: Timestamp,
    pub tasks: Vec<TaskId>,
    /// The list of `Failure`s that the call answered beside its tasks.
    #[serde(default)]
    pub failures: Option<Document>,
}
