//! What is published on TCS, and when.

use std::collections::BTreeMap;

use longshore_base::{Ids, Timestamp};
use longshore_engine::TaskEngine;
use longshore_engine::input::HealthStatus as Health;
use longshore_engine::spec::{ContainerKey, TaskKey};
use longshore_engine::view::{ContainerView, KnownStatus, TaskView};
use longshore_link::limits::TELEMETRY_TASKS_MAX;
use longshore_link::message::{
    ContainerHealth, HealthStatus, InstanceStatus, InstanceStatusValue, Named, PublishHealth,
    PublishInstanceStatus, PublishMetadata, PublishMetrics, TaskHealth, TaskMetric,
};

use super::metrics::{Metrics, seconds};

/// Who publishes.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub cluster: String,
    pub instance_arn: String,
}

/// The state of the container runtime as last seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuntimeStatus {
    value: InstanceStatusValue,
    updated_at: Timestamp,
    changed_at: Timestamp,
}

impl RuntimeStatus {
    pub fn new(now: Timestamp) -> Self {
        Self { value: InstanceStatusValue::Initializing, updated_at: now, changed_at: now }
    }

    /// True if it has changed.
    pub fn checked(&mut self, now: Timestamp, is_well: bool) -> bool {
        let value = if is_well { InstanceStatusValue::Ok } else { InstanceStatusValue::Impaired };
        let has_changed = value != self.value;
        if has_changed {
            self.changed_at = now;
        }
        self.value = value;
        self.updated_at = now;
        has_changed
    }
}

impl Publisher {
    fn metadata(&self) -> PublishMetadata {
        PublishMetadata {
            cluster: self.cluster.clone(),
            container_instance: self.instance_arn.clone(),
            ..PublishMetadata::default()
        }
    }

    pub fn instance_status(&self, now: Timestamp, ids: &mut Ids, status: &RuntimeStatus) -> String {
        PublishInstanceStatus {
            metadata: PublishMetadata { request_id: ids.uuid(), ..self.metadata() },
            statuses: vec![InstanceStatus {
                kind: "ContainerRuntime".to_owned(),
                status: status.value,
                last_updated: Some(seconds(status.updated_at)),
                last_status_change: Some(seconds(status.changed_at)),
            }],
            timestamp: seconds(now),
        }
        .frame()
    }

    /// The messages of one round, at most ten tasks in each; one idle message if there is nothing to tell.
    pub fn metrics(
        &self,
        now: Timestamp,
        ids: &mut Ids,
        engine: &TaskEngine,
        metrics: &mut Metrics,
    ) -> Vec<String> {
        let mut tasks: Vec<TaskMetric> =
            engine.tasks().filter_map(|task| task_metric(task, metrics)).collect();
        let is_idle = tasks.is_empty();
        let mut frames = Vec::new();
        loop {
            let rest = tasks.split_off(tasks.len().min(TELEMETRY_TASKS_MAX));
            let is_last = rest.is_empty();
            frames.push(
                PublishMetrics {
                    metadata: PublishMetadata {
                        message_id: ids.uuid(),
                        idle: Some(is_idle),
                        fin: Some(is_last),
                        ..self.metadata()
                    },
                    task_metrics: tasks,
                    timestamp: seconds(now),
                }
                .frame(),
            );
            if is_last {
                return frames;
            }
            tasks = rest;
        }
    }

    /// The health of these tasks, as far as they have health checks.
    pub fn health<'a>(
        &self,
        now: Timestamp,
        ids: &mut Ids,
        tasks: impl Iterator<Item = TaskView<'a>>,
    ) -> Vec<String> {
        let mut tasks: Vec<TaskHealth> = tasks.filter_map(task_health).collect();
        let mut frames = Vec::new();
        while !tasks.is_empty() {
            let rest = tasks.split_off(tasks.len().min(TELEMETRY_TASKS_MAX));
            frames.push(
                PublishHealth {
                    metadata: PublishMetadata {
                        message_id: ids.uuid(),
                        fin: Some(rest.is_empty()),
                        ..self.metadata()
                    },
                    tasks,
                    timestamp: seconds(now),
                }
                .frame(),
            );
            tasks = rest;
        }
        frames
    }
}

pub(super) fn key_of(container: ContainerView<'_>) -> ContainerKey {
    ContainerKey { task: container.task().key().clone(), name: container.definition().name.clone() }
}

fn task_metric(task: TaskView<'_>, metrics: &mut Metrics) -> Option<TaskMetric> {
    let container_metrics: Vec<_> = task
        .containers()
        .filter(|container| container.status() == KnownStatus::Running)
        .filter_map(|container| {
            let has_policy = container.definition().restart_policy.as_ref().is_some_and(|p| p.enabled);
            metrics.take(&key_of(container), has_policy.then(|| container.restart_count()))
        })
        .collect();
    (!container_metrics.is_empty()).then(|| TaskMetric {
        task_arn: task.key().arn().to_owned(),
        task_definition_family: task.spec().family.clone(),
        task_definition_version: task.spec().revision.clone(),
        container_metrics,
    })
}

fn task_health(task: TaskView<'_>) -> Option<TaskHealth> {
    let containers: Vec<_> = checked(task)
        .map(|container| ContainerHealth {
            container_name: container.definition().name.to_string(),
            health_status: match container.health() {
                Health::Healthy => HealthStatus::Healthy,
                Health::Unhealthy => HealthStatus::Unhealthy,
                Health::Unknown => HealthStatus::Unknown,
            },
            status_since: container.health_since().map(seconds),
        })
        .collect();
    (!containers.is_empty()).then(|| TaskHealth {
        task_arn: task.key().arn().to_owned(),
        task_definition_family: task.spec().family.clone(),
        task_definition_version: task.spec().revision.clone(),
        containers,
    })
}

/// Running containers with a health check.
fn checked(task: TaskView<'_>) -> impl Iterator<Item = ContainerView<'_>> {
    task.containers()
        .filter(|container| container.has_health_check() && container.status() == KnownStatus::Running)
}

/// What was published about health, to notice a change at once.
#[derive(Debug, Default)]
pub(super) struct HealthTold {
    told: BTreeMap<ContainerKey, Health>,
}

impl HealthTold {
    /// True if the health of a task's container has changed since this was last asked.
    pub fn has_changed(&mut self, task: TaskView<'_>) -> bool {
        let mut changed = false;
        for container in checked(task) {
            let health = container.health();
            let before = self.told.insert(key_of(container), health);
            // A container that has just started is as unknown as one that nobody has heard of.
            changed |= before.unwrap_or_default() != health;
        }
        changed
    }

    pub fn forget(&mut self, task: &TaskKey) {
        self.told.retain(|container, _| container.task != *task);
    }
}
