//! Read-only views for introspection, metadata and telemetry (agent-protocol G9, G16, G17).

use longshore_base::{CpuUnits, MemoryMib, Port, Protocol, Timestamp};

use crate::create;
use crate::engine::TaskEngine;
use crate::input::{HealthStatus, ObservedMount, ObservedNetwork};
use crate::network;
use crate::spec::{ContainerDefinition, Desired, PortBinding, RuntimeId, TaskKey, TaskSpec};
use crate::task::{Admission, Container, Task};

pub use crate::task::KnownStatus;

/// A task as it is known now.
#[derive(Clone, Copy, Debug)]
pub struct TaskView<'a>(&'a Task);

/// A container of a task as it is known now.
#[derive(Clone, Copy, Debug)]
pub struct ContainerView<'a> {
    task: &'a Task,
    index: usize,
}

/// What tasks hold of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostUse {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    pub ports: Vec<(Protocol, Port)>,
}

impl TaskEngine {
    /// All tasks, by ARN; stopped ones too, until they are cleaned up.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.all_tasks().map(TaskView)
    }

    pub fn task_view(&self, key: &TaskKey) -> Option<TaskView<'_>> {
        self.task(key).map(TaskView)
    }

    /// The container whose metadata URLs carry this UUID.
    pub fn container_by_metadata_id(&self, id: &str) -> Option<ContainerView<'_>> {
        self.containers().find(|c| c.metadata_id() == id)
    }

    /// The container with this runtime id, whole or its first twelve digits.
    pub fn container_by_runtime_id(&self, id: &str) -> Option<ContainerView<'_>> {
        self.containers().find(|c| {
            c.runtime_id()
                .is_some_and(|own| own.as_str() == id || (id.len() >= 12 && own.as_str().starts_with(id)))
        })
    }

    fn containers(&self) -> impl Iterator<Item = ContainerView<'_>> {
        self.tasks().flat_map(|task| task.containers())
    }

    pub fn host_use(&self) -> HostUse {
        let ledger = self.ledger();
        HostUse {
            cpu: CpuUnits(u32::try_from(ledger.cpu_held()).unwrap_or(u32::MAX)),
            memory: MemoryMib(u32::try_from(ledger.memory_held()).unwrap_or(u32::MAX)),
            ports: ledger.ports_held().collect(),
        }
    }
}

impl<'a> TaskView<'a> {
    pub fn key(self) -> &'a TaskKey {
        &self.0.spec.key
    }

    pub fn spec(self) -> &'a TaskSpec {
        &self.0.spec
    }

    pub fn desired(self) -> Desired {
        self.0.desired
    }

    pub fn status(self) -> KnownStatus {
        self.0.status()
    }

    /// Why the task as a whole failed; empty if it did not.
    pub fn reason(self) -> &'a str {
        &self.0.reason
    }

    /// Why the task has not begun, while it waits for the host's resources.
    pub fn waits_for(self) -> Option<&'a str> {
        match self.0.admission {
            Admission::Waiting { .. } => self.0.reporting.waiting.as_deref(),
            Admission::Held | Admission::Released => None,
        }
    }

    pub fn pull_started_at(self) -> Option<Timestamp> {
        self.0.pull_started_at
    }

    pub fn pull_stopped_at(self) -> Option<Timestamp> {
        self.0.pull_stopped_at
    }

    pub fn execution_stopped_at(self) -> Option<Timestamp> {
        self.0.execution_stopped_at
    }

    /// In the order of the definition; the engine's own are not among them.
    pub fn containers(self) -> impl Iterator<Item = ContainerView<'a>> {
        let task = self.0;
        let ordinary = (0..task.containers.len()).filter(move |index| task.is_ordinary(*index));
        ordinary.map(move |index| ContainerView { task, index })
    }

    /// The container that holds the task's network, in awsvpc mode.
    pub fn pause(self) -> Option<ContainerView<'a>> {
        let task = self.0;
        network::pause_of(&task.spec).map(|index| ContainerView { task, index })
    }

    /// UNHEALTHY if an essential container is; HEALTHY if all essential containers with a check are and
    /// there is one; else UNKNOWN (ecs-engine D3).
    pub fn health(self) -> HealthStatus {
        let checked = || {
            self.containers()
                .filter(|c| c.definition().essential && c.has_health_check())
                .map(ContainerView::health)
        };
        if checked().any(|h| h == HealthStatus::Unhealthy) {
            HealthStatus::Unhealthy
        } else if checked().next().is_some() && checked().all(|h| h == HealthStatus::Healthy) {
            HealthStatus::Healthy
        } else {
            HealthStatus::Unknown
        }
    }
}

impl<'a> ContainerView<'a> {
    fn state(self) -> &'a Container {
        &self.task.containers[self.index]
    }

    pub fn task(self) -> TaskView<'a> {
        TaskView(self.task)
    }

    pub fn definition(self) -> &'a ContainerDefinition {
        &self.task.spec.containers[self.index]
    }

    pub fn status(self) -> KnownStatus {
        self.state().phase
    }

    pub fn runtime_id(self) -> Option<&'a RuntimeId> {
        self.state().runtime_id.as_ref()
    }

    pub fn runtime_name(self) -> &'a str {
        &self.task.drawn[self.index].runtime_name
    }

    pub fn metadata_id(self) -> &'a str {
        &self.task.drawn[self.index].metadata_id
    }

    pub fn image_id(self) -> Option<&'a str> {
        self.state().local_image.as_ref().map(|image| image.id.as_str())
    }

    pub fn image_digest(self) -> Option<&'a str> {
        self.state().image_digest.as_deref()
    }

    pub fn exit_code(self) -> Option<i32> {
        self.state().exit_code
    }

    pub fn reason(self) -> &'a str {
        &self.state().reason
    }

    pub fn created_at(self) -> Option<Timestamp> {
        self.state().created_at
    }

    pub fn started_at(self) -> Option<Timestamp> {
        self.state().started_at
    }

    pub fn finished_at(self) -> Option<Timestamp> {
        self.state().finished_at
    }

    /// Bound ports, one by one.
    pub fn ports(self) -> impl Iterator<Item = PortBinding> + 'a {
        self.state().ports.iter().flat_map(create::bindings)
    }

    pub fn networks(self) -> &'a [ObservedNetwork] {
        &self.state().networks
    }

    pub fn mounts(self) -> &'a [ObservedMount] {
        &self.state().mounts
    }

    pub fn pid(self) -> Option<u32> {
        self.state().pid
    }

    pub fn has_health_check(self) -> bool {
        self.definition().health == crate::spec::HealthTracking::On
    }

    pub fn health(self) -> HealthStatus {
        self.state().health.status
    }

    pub fn health_since(self) -> Option<Timestamp> {
        self.state().health.since
    }

    pub fn health_exit_code(self) -> Option<i32> {
        self.state().health.exit_code
    }

    pub fn health_output(self) -> &'a str {
        &self.state().health.output
    }

    /// Restarts under the container's policy; they give no state change.
    pub fn restart_count(self) -> u32 {
        self.state().restart_count
    }

    /// True if a process of the container may exist.
    pub fn may_live(self) -> bool {
        self.state().may_live()
    }
}
