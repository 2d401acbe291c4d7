//! Plain views: what the checks look at.

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
    /// `None`: there are things in a cluster that has no record.
    pub status: Option<ClusterStatus>,
    pub instances: Vec<Instance>,
    pub tasks: Vec<Task>,
    pub services: Vec<Service>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    pub status: InstanceStatus,
    /// What it registered, before any task.
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
    /// The revision that it runs is still known.
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
    /// It has task sets in place of deployments: any number of them, and not always a PRIMARY one.
    pub external: bool,
    pub deployments: Vec<Deployment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub primary: bool,
}
