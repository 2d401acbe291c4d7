//! The snapshot that the checks look at: plain values, with nothing derived.

use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{ClusterName, DeploymentId, InstanceId, Port, Protocol, ServiceName, TaskId, Timestamp};
use longshore_domain::status::ClusterStatus;
use longshore_domain::{
    ContainerStatus, DesiredStatus, InstanceStatus, Needs, SchedulingStrategy, ServiceStatus, StopCode,
    TaskStatus,
};

/// Everything, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub clusters: Vec<Cluster>,
    /// The instances of the Fargate pool, which belong to no cluster.
    pub pool: Vec<Instance>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: ClusterName,
    /// `None`: records name this cluster, and it has none of its own.
    pub status: Option<ClusterStatus>,
    pub instances: Vec<Instance>,
    pub tasks: Vec<Task>,
    pub services: Vec<Service>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    pub status: InstanceStatus,
    /// What it registered, before any task: CPU units, MiB, and a number of GPUs.
    pub cpu: u32,
    pub memory: u32,
    pub gpus: u32,
    /// Ports that no task may have.
    pub reserved: Vec<(Port, Protocol)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub instance: Option<InstanceId>,
    /// The instance is one of the pool's, not of the cluster's.
    pub in_pool: bool,
    pub service: Option<(ServiceName, DeploymentId)>,
    pub last_status: TaskStatus,
    pub desired_status: DesiredStatus,
    /// Rises with every change of the task's state, as `version` of DescribeTasks.
    pub version: u32,
    pub needs: Needs,
    /// The ids of the GPUs that it was given, if that was noted.
    pub gpus: Vec<Arc<str>>,
    /// In awsvpc mode: its own, on its instance's network.
    pub address: Option<Ipv4Addr>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub stopping_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
    /// There is a record of the task definition that it runs.
    pub definition_known: bool,
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub last_status: ContainerStatus,
    pub exit_code: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: ServiceName,
    pub status: ServiceStatus,
    pub scheduling: SchedulingStrategy,
    pub desired_count: u32,
    /// It has the EXTERNAL deployment controller, so task sets in place of deployments: any number, perhaps none
    /// PRIMARY.
    pub external: bool,
    pub deployments: Vec<Deployment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub primary: bool,
}
