//! State reports (agent-protocol G8): what the control plane is told about a task.

use std::net::IpAddr;

pub use longshore_base::ReportedStatus;
use longshore_base::{ContainerName, Port, Protocol, Timestamp};

use crate::spec::{ReportId, RuntimeId, SecretVersion, TaskKey};

/// One `SubmitTaskStateChange`.
///
/// The engine has at most one report of a task under way and waits for its answer
/// ([`crate::Input::ReportAccepted`] or [`crate::Input::ReportRefused`]) before the next;
/// the shell retries until it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReport {
    pub id: ReportId,
    pub task: TaskKey,
    pub status: ReportedStatus,
    /// At most 1024 characters; empty for none.
    pub reason: String,
    /// In order; a container may occur twice (RUNNING, then STOPPED).
    pub containers: Vec<ContainerChange>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
}

impl TaskReport {
    /// True if an agent that crashes now and has forgotten all of this would find out the same.
    ///
    /// That a container runs is seen by looking at it, or that it has run by then: that its start was asked for is in
    /// the journal since before it was. What has ended without running, or is not begun, it might begin anew.
    pub fn holds_after_a_crash(&self) -> bool {
        self.status == ReportedStatus::Running
            && self.containers.iter().all(|container| container.status == ReportedStatus::Running)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerChange {
    pub name: ContainerName,
    pub status: ReportedStatus,
    /// Absent if the container was never created.
    pub runtime_id: Option<RuntimeId>,
    pub exit_code: Option<i32>,
    /// At most 1024 characters; empty for none.
    pub reason: String,
    pub image_digest: Option<String>,
    /// Empty in host, awsvpc and none mode.
    pub bindings: Vec<NetworkBinding>,
    /// Empty until its secrets have come.
    pub secret_versions: Vec<SecretVersion>,
}

/// A host port of a container. One binding covers `count` consecutive ports; `range` tells whether
/// to write it as `containerPortRange`/`hostPortRange`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkBinding {
    /// `0.0.0.0`, unless the agent binds to one address.
    pub bind_ip: IpAddr,
    pub container_first: Port,
    pub host_first: Port,
    pub count: u16,
    pub range: bool,
    pub protocol: Protocol,
}
