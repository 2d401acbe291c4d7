//! A service and what belongs to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use longshore_base::{DeploymentId, ServiceDeploymentId, TaskId};
use longshore_domain::status::DeploymentController;
use longshore_rollout::TaskSetStatus;

use super::EVENTS_KEPT;
use crate::record::{Capacity, Service, ServiceDeployment, ServiceEvent, ServiceRevision, TaskSet};

#[derive(Debug, Default)]
pub struct ServiceEntry {
    pub(super) record: Option<Arc<Service>>,
    /// Its tasks that are not STOPPED.
    pub(super) active: BTreeSet<TaskId>,
    /// Its STOPPED tasks that are still remembered.
    pub(super) stopped: BTreeSet<TaskId>,
    /// Oldest first.
    events: VecDeque<Arc<ServiceEvent>>,
    pub(super) deployments: BTreeMap<ServiceDeploymentId, Arc<ServiceDeployment>>,
    pub(super) revisions: BTreeMap<DeploymentId, Arc<ServiceRevision>>,
    pub(super) task_sets: BTreeMap<DeploymentId, Arc<TaskSet>>,
    /// Its STOPPED tasks that are still remembered, by their [`crate::record::Task::stop_number`].
    pub(super) stops: BTreeMap<u32, TaskId>,
    /// The highest number that was given to a stop of it. May be ahead of all records that are left.
    pub(super) last_stop: u32,
    /// The capacity's epoch when placement last refused a task of it. Not stored: after a take-over the service tries
    /// once more, which is not counted.
    pub(super) refused_at: CapacityEpoch,
}

/// How often the capacity that a service may use has changed: that of its cluster, and that of its region's pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CapacityEpoch {
    pub cluster: u64,
    pub pool: u64,
}

impl ServiceEntry {
    pub fn record(&self) -> Option<&Arc<Service>> {
        self.record.as_ref()
    }

    /// Tasks that are not STOPPED.
    pub fn active(&self) -> &BTreeSet<TaskId> {
        &self.active
    }

    /// STOPPED tasks that are still remembered.
    pub fn stopped(&self) -> &BTreeSet<TaskId> {
        &self.stopped
    }

    /// Tasks that stopped and that no plan has counted yet, in the order in which they did.
    pub fn newly_stopped(&self) -> impl Iterator<Item = TaskId> {
        let counted = self.record.as_ref().map_or(0, |service| service.memory.stops_counted);
        self.stops.range(counted.saturating_add(1)..).map(|(_, &id)| id)
    }

    /// The number of its last stop, zero if there was none.
    pub fn last_stop(&self) -> u32 {
        self.last_stop
    }

    /// Oldest first.
    pub fn events(&self) -> &VecDeque<Arc<ServiceEvent>> {
        &self.events
    }

    pub fn deployments(&self) -> &BTreeMap<ServiceDeploymentId, Arc<ServiceDeployment>> {
        &self.deployments
    }

    pub fn revisions(&self) -> &BTreeMap<DeploymentId, Arc<ServiceRevision>> {
        &self.revisions
    }

    /// Its task sets; only services of other controllers than ECS have some.
    pub fn task_sets(&self) -> &BTreeMap<DeploymentId, Arc<TaskSet>> {
        &self.task_sets
    }

    /// Every capacity that the service may start tasks on.
    pub fn capacities(&self) -> impl Iterator<Item = &Capacity> {
        let own = self.record.iter().flat_map(|service| {
            let of_deployments = service.deployments.iter().map(|deployment| &deployment.capacity);
            std::iter::once(&service.capacity).chain(of_deployments)
        });
        own.chain(self.task_sets.values().map(|set| &set.capacity))
    }

    /// The one that the service is described with: its own, or that of its PRIMARY task set.
    pub fn shown_capacity(&self) -> Option<&Capacity> {
        let service = self.record.as_ref()?;
        match service.controller {
            DeploymentController::Ecs => Some(&service.capacity),
            DeploymentController::External | DeploymentController::CodeDeploy => {
                let primary = self.task_sets.values().find(|set| set.status == TaskSetStatus::Primary);
                primary.map(|set| &set.capacity)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.active.is_empty()
            && self.stopped.is_empty()
            && self.events.is_empty()
            && self.deployments.is_empty()
            && self.revisions.is_empty()
            && self.task_sets.is_empty()
    }

    pub(super) fn replace_event(
        &mut self,
        slot: u8,
        event: Option<Arc<ServiceEvent>>,
    ) -> Option<Arc<ServiceEvent>> {
        let in_slot = |event: &Arc<ServiceEvent>| event.number % EVENTS_KEPT as u64 == u64::from(slot);
        let previous = self.events.iter().position(in_slot).and_then(|at| self.events.remove(at));
        if let Some(event) = event {
            // Nearly always the newest; only a load sees another order.
            let at = self.events.partition_point(|e| e.number < event.number);
            self.events.insert(at, event);
        }
        previous
    }
}
