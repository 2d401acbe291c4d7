//! A task: the record of which there are most.
//!
//! What hundreds of tasks have in common is kept once, in their [`Origin`]; what few tasks have is boxed. Neither
//! shows in the stored form, in which a task is one flat list of members and stands for itself.

use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{
    ArnFormat, ContainerId, ContainerName, DeploymentId, Family, InstanceId, Port, Protocol, ServiceName,
    TaskId, Timestamp,
};
use longshore_domain::tags::Tags;
use longshore_domain::{
    Cause, ContainerEnd, ContainerStatus, DesiredStatus, HealthStatus, LaunchType, Needs, StopCode,
    TaskStatus,
};
use longshore_placement::{Constraint, Strategy};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::Document;

/// About what a port binding takes when it is stored.
const BINDING_BYTES: usize = 64;

/// A task.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Stored")]
pub struct Task {
    pub id: TaskId,
    /// What it was made from.
    pub origin: Arc<Origin>,
    /// The scheduler stopped it because a health check failed; the stop code alone does not tell.
    pub unhealthy: bool,
    pub instance: Option<InstanceId>,
    pub zone: Option<Arc<str>>,
    pub last_status: TaskStatus,
    pub desired_status: DesiredStatus,
    pub version: u32,
    pub created_at: Timestamp,
    pub connectivity_at: Option<Timestamp>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub stopping_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<Arc<str>>,
    pub health: HealthStatus,
    pub containers: Vec<Container>,
    pub protected_until: Option<Timestamp>,
    /// Given with the place, to a task in awsvpc mode; kept for display when the task is STOPPED.
    pub interface: Option<Box<Interface>>,
    /// Set while the task waits in PROVISIONING for an instance of its capacity provider.
    pub waiting: Option<Box<WaitingForPlace>>,
    /// Given with the place, to a task that needs some; kept for display when the task is STOPPED. Stored, because
    /// which ones they are depends on what was free at that moment.
    pub gpus: Option<Box<Gpus>>,
    /// Of a STOPPED task of a service: the how-manieth stop of the service its own was, from 1. The service remembers up
    /// to which its planner has counted ([`super::PlannerMemory::stops_counted`]). Given by [`crate::EcsTx::put_task`].
    pub stop_number: u32,
    /// Which versions of its secrets its containers were given, as far as its agent has told.
    pub secrets: Option<Arc<GivenSecrets>>,
}

/// What a task was made from, which its life does not change. All tasks of one call, or of one deployment, have it
/// in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    pub arn_format: ArnFormat,
    pub family: Family,
    pub revision: u32,
    /// `family:F`, `service:S` or the caller's own.
    pub group: Arc<str>,
    pub started_by: Option<Arc<str>>,
    pub service: Option<ServiceMembership>,
    pub launch_type: LaunchType,
    pub capacity_provider: Option<Arc<str>>,
    /// With overrides applied.
    pub needs: Needs,
    /// `TaskOverride`, if the call had any.
    pub overrides: Option<Document>,
    /// `NetworkConfiguration`, for awsvpc.
    pub network: Option<Document>,
    pub enable_execute_command: bool,
    pub platform_version: Option<Arc<str>>,
    /// TagResource gives a task an origin of its own.
    pub tags: Tags,
}

/// What placement still has to be asked for, beyond what the task itself says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingForPlace {
    pub constraints: Vec<Constraint>,
    pub strategies: Vec<Strategy>,
}

/// The network interface of a task in awsvpc mode. Its MAC address follows from the address
/// ([`longshore_domain::interface::mac`]), its state from the task's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The attachment's id: a UUID.
    pub attachment: Arc<str>,
    /// `eni-` and 17 hex digits.
    pub id: Arc<str>,
    /// No other task of the instance has it until this one is STOPPED.
    pub address: Ipv4Addr,
    /// Where the instance's network leads out, and the length of that network's prefix.
    pub gateway: Ipv4Addr,
    pub prefix: u8,
    /// That of the subnets which were asked for in which it is shown, whether there is one of this id or not.
    #[serde(default)]
    pub subnet: Option<Arc<str>>,
    /// The zone of that subnet, if there was one.
    #[serde(default)]
    pub zone: Option<Arc<str>>,
}

/// The versions of the secrets that the containers of a task were given, by container and `valueFrom`. The tasks of a
/// deployment have them in common, until a secret changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GivenSecrets(pub Vec<GivenSecret>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GivenSecret {
    pub container: ContainerName,
    /// As the task definition names it.
    pub value_from: Arc<str>,
    /// A version's id in Secrets Manager, its number in the Parameter Store.
    pub version: Arc<str>,
}

/// The ids of the GPUs that a task has, in the order in which its containers get them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gpus(pub Vec<Arc<str>>);

impl Task {
    /// The ids of its GPUs.
    pub fn gpus(&self) -> &[Arc<str>] {
        self.gpus.as_deref().map_or(&[], |gpus| &gpus.0)
    }

    /// About how many bytes of it, stored, came from requests and reports.
    pub(super) fn stored_weight(&self) -> usize {
        let document = |document: &Option<Document>| document.as_ref().map_or(0, |own| own.len());
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |own| own.len());
        let container = |own: &Container| {
            let words = text(&own.reason) + text(&own.runtime_id) + text(&own.image_digest);
            words + own.bindings.len() * BINDING_BYTES
        };
        let origin = document(&self.origin.overrides)
            + document(&self.origin.network)
            + super::tags_weight(&self.origin.tags);
        let given = self.secrets.iter().flat_map(|own| &own.0);
        let given = given.map(|own| own.value_from.len() + own.version.len() + own.container.as_str().len());
        origin
            + given.sum::<usize>()
            + text(&self.stopped_reason)
            + self.containers.iter().map(container).sum::<usize>()
    }

    /// The zone that its user is shown. On Fargate that is where the task's subnet is, whose machines are nobody's; else
    /// where its machine is.
    pub fn shown_zone(&self) -> Option<&Arc<str>> {
        let of_subnet = self.interface.as_ref().and_then(|own| own.zone.as_ref());
        of_subnet.filter(|_| self.is_pooled()).or(self.zone.as_ref())
    }

    /// True if its instance is one of the region's Fargate pool, not of the task's own cluster.
    pub fn is_pooled(&self) -> bool {
        self.origin.launch_type == LaunchType::Fargate
    }
}

/// Which service a task belongs to, and by which of its deployments it was started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceMembership {
    pub name: ServiceName,
    pub deployment: DeploymentId,
}

/// A container of a task, as its agent reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: ContainerId,
    pub name: ContainerName,
    pub last_status: ContainerStatus,
    pub exit_code: Option<i32>,
    pub reason: Option<Arc<str>>,
    pub runtime_id: Option<Arc<str>>,
    pub image_digest: Option<Arc<str>>,
    pub health: HealthStatus,
    pub bindings: Vec<NetworkBinding>,
    /// What `reason` says, if there is one.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// How it ended, once its agent has told. A container whose agent is gone has none.
    #[serde(default)]
    pub end: Option<ContainerEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBinding {
    pub bind_ip: Arc<str>,
    pub container_port: Option<Port>,
    pub host_port: Option<Port>,
    pub container_port_range: Option<Arc<str>>,
    pub host_port_range: Option<Arc<str>>,
    pub protocol: Protocol,
}

/// The stored layout, as it is read. [`Task::serialize`] writes the same.
#[derive(Deserialize)]
#[serde(rename = "Task")]
struct Stored {
    id: TaskId,
    arn_format: ArnFormat,
    family: Family,
    revision: u32,
    group: Arc<str>,
    started_by: Option<Arc<str>>,
    service: Option<ServiceMembership>,
    unhealthy: bool,
    launch_type: LaunchType,
    capacity_provider: Option<Arc<str>>,
    instance: Option<InstanceId>,
    zone: Option<Arc<str>>,
    last_status: TaskStatus,
    desired_status: DesiredStatus,
    version: u32,
    created_at: Timestamp,
    connectivity_at: Option<Timestamp>,
    pull_started_at: Option<Timestamp>,
    pull_stopped_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    stopping_at: Option<Timestamp>,
    execution_stopped_at: Option<Timestamp>,
    stopped_at: Option<Timestamp>,
    stop_code: Option<StopCode>,
    stopped_reason: Option<Arc<str>>,
    health: HealthStatus,
    containers: Vec<Container>,
    needs: Needs,
    overrides: Option<Document>,
    network: Option<Document>,
    enable_execute_command: bool,
    protected_until: Option<Timestamp>,
    platform_version: Option<Arc<str>>,
    tags: Tags,
    #[serde(default)]
    interface: Option<Box<Interface>>,
    #[serde(default)]
    waiting: Option<Box<WaitingForPlace>>,
    #[serde(default)]
    gpus: Option<Box<Gpus>>,
    #[serde(default)]
    stop_number: u32,
    #[serde(default)]
    secrets: Option<Arc<GivenSecrets>>,
}

/// How many members [`Stored`] has.
const STORED_MEMBERS: usize = 39;

impl From<Stored> for Task {
    fn from(stored: Stored) -> Self {
        let origin = Origin {
            arn_format: stored.arn_format,
            family: stored.family,
            revision: stored.revision,
            group: stored.group,
            started_by: stored.started_by,
            service: stored.service,
            launch_type: stored.launch_type,
            capacity_provider: stored.capacity_provider,
            needs: stored.needs,
            overrides: stored.overrides,
            network: stored.network,
            enable_execute_command: stored.enable_execute_command,
            platform_version: stored.platform_version,
            tags: stored.tags,
        };
        Self {
            id: stored.id,
            origin: Arc::new(origin),
            unhealthy: stored.unhealthy,
            instance: stored.instance,
            zone: stored.zone,
            last_status: stored.last_status,
            desired_status: stored.desired_status,
            version: stored.version,
            created_at: stored.created_at,
            connectivity_at: stored.connectivity_at,
            pull_started_at: stored.pull_started_at,
            pull_stopped_at: stored.pull_stopped_at,
            started_at: stored.started_at,
            stopping_at: stored.stopping_at,
            execution_stopped_at: stored.execution_stopped_at,
            stopped_at: stored.stopped_at,
            stop_code: stored.stop_code,
            stopped_reason: stored.stopped_reason,
            health: stored.health,
            containers: stored.containers,
            protected_until: stored.protected_until,
            interface: stored.interface,
            waiting: stored.waiting,
            gpus: stored.gpus,
            stop_number: stored.stop_number,
            secrets: stored.secrets,
        }
    }
}

/// By hand, because a derived one would first have to copy the task into its stored layout.
impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let origin = &*self.origin;
        let mut out = serializer.serialize_struct("Task", STORED_MEMBERS)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("arn_format", &origin.arn_format)?;
        out.serialize_field("family", &origin.family)?;
        out.serialize_field("revision", &origin.revision)?;
        out.serialize_field("group", &origin.group)?;
        out.serialize_field("started_by", &origin.started_by)?;
        out.serialize_field("service", &origin.service)?;
        out.serialize_field("unhealthy", &self.unhealthy)?;
        out.serialize_field("launch_type", &origin.launch_type)?;
        out.serialize_field("capacity_provider", &origin.capacity_provider)?;
        out.serialize_field("instance", &self.instance)?;
        out.serialize_field("zone", &self.zone)?;
        out.serialize_field("last_status", &self.last_status)?;
        out.serialize_field("desired_status", &self.desired_status)?;
        out.serialize_field("version", &self.version)?;
        out.serialize_field("created_at", &self.created_at)?;
        out.serialize_field("connectivity_at", &self.connectivity_at)?;
        out.serialize_field("pull_started_at", &self.pull_started_at)?;
        out.serialize_field("pull_stopped_at", &self.pull_stopped_at)?;
        out.serialize_field("started_at", &self.started_at)?;
        out.serialize_field("stopping_at", &self.stopping_at)?;
        out.serialize_field("execution_stopped_at", &self.execution_stopped_at)?;
        out.serialize_field("stopped_at", &self.stopped_at)?;
        out.serialize_field("stop_code", &self.stop_code)?;
        out.serialize_field("stopped_reason", &self.stopped_reason)?;
        out.serialize_field("health", &self.health)?;
        out.serialize_field("containers", &self.containers)?;
        out.serialize_field("needs", &origin.needs)?;
        out.serialize_field("overrides", &origin.overrides)?;
        out.serialize_field("network", &origin.network)?;
        out.serialize_field("enable_execute_command", &origin.enable_execute_command)?;
        out.serialize_field("protected_until", &self.protected_until)?;
        out.serialize_field("platform_version", &origin.platform_version)?;
        out.serialize_field("tags", &origin.tags)?;
        out.serialize_field("interface", &self.interface)?;
        out.serialize_field("waiting", &self.waiting)?;
        out.serialize_field("gpus", &self.gpus)?;
        out.serialize_field("stop_number", &self.stop_number)?;
        out.serialize_field("secrets", &self.secrets)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million tasks are a quarter of a gigabyte of these; whoever adds a member should know.
    #[test]
    fn a_task_takes_no_more_than_it_has_to() {
        assert!(size_of::<Task>() <= 240, "{}", size_of::<Task>());
        assert!(size_of::<Container>() <= 128, "{}", size_of::<Container>());
    }
}
