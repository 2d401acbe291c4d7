//! A cluster and all that lives in it. [`super::index`] keeps its indexes in step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::service::{CapacityEpoch, ServiceEntry};
use crate::key::{ClusterKey, ServiceKey};
use crate::record::{Cluster, Instance, InstanceKey, JoinToken, Service, Task, Token};
use longshore_base::{InstanceId, ServiceName, TaskId, Timestamp};
use longshore_placement::Fleet;

/// A cluster and all that lives in it.
#[derive(Debug, Default)]
pub struct ClusterTables {
    pub(super) record: Option<Arc<Cluster>>,
    pub(super) instances: BTreeMap<InstanceId, InstanceEntry>,
    pub(super) tasks: BTreeMap<TaskId, Arc<Task>>,
    pub(super) services: BTreeMap<ServiceName, ServiceEntry>,
    pub(super) tokens: BTreeMap<String, Arc<Token>>,
    pub(super) join_tokens: BTreeMap<String, Arc<JoinToken>>,
    pub(super) instance_keys: BTreeMap<InstanceId, Arc<InstanceKey>>,
    /// Instances with what is left of them; what placement chooses from.
    pub(super) fleet: Fleet,
    /// Stopped tasks by their end, for the reaper.
    pub(super) stopped: BTreeSet<(Timestamp, TaskId)>,
    /// Tasks that wait for a place, oldest first.
    pub(super) provisioning: BTreeSet<(Timestamp, TaskId)>,
    pub(super) running: usize,
    pub(super) pending: usize,
    /// Services that look again whenever capacity comes or goes: those that wait for a place, and
    /// those that want a task on every instance.
    pub(super) waiting: BTreeSet<ServiceName>,
    /// Rises whenever capacity comes, goes or is freed. Not stored.
    pub(super) capacity_epoch: u64,
    /// Of a pool: tasks of clusters that are on its instances and not STOPPED.
    pub(super) guests: BTreeMap<TaskId, Guest>,
    /// Of a pool: services of clusters that wait for its capacity.
    pub(super) waiting_guests: BTreeSet<ServiceKey>,
    /// `None`: this process follows, or the cluster is newer than its lead.
    pub(super) lead: Option<Lead>,
}

/// A task on an instance of a pool. Its record is in the tables of its own cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    pub home: ClusterKey,
    pub service: Option<ServiceName>,
}

#[derive(Debug)]
pub struct InstanceEntry {
    pub record: Arc<Instance>,
    /// Found among its attributes once, not for every task that is placed on it.
    pub(super) zone: Option<Arc<str>>,
    pub connection: Connection,
    /// Tasks that were placed on it while its agent was awaited: no agent was ever told of them. Some may be gone.
    pub(super) untold: BTreeSet<TaskId>,
    /// Its tasks that are not STOPPED.
    pub(super) tasks: BTreeSet<TaskId>,
    pub(super) running: usize,
    pub(super) pending: usize,
}

/// Whether an agent counts as connected, and since when it is so: what the instance's record says, seen by a process
/// that may have taken over since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The agent's command channel is open, or the agent is awaited.
    pub open: bool,
    /// For who is away never before this process took over: it cannot know how long that lasts.
    pub since: Timestamp,
    /// The channel was open until this process took over, then, and the agent has not come back yet. It counts as
    /// connected until the sweep gives it up.
    pub awaited_since: Option<Timestamp>,
}

impl Connection {
    /// The agent's command channel is open now, as far as this process knows.
    pub fn is_here(&self) -> bool {
        self.open && self.awaited_since.is_none()
    }

    pub(super) fn of(record: &Instance, lead: Option<&Lead>) -> Self {
        let since = record.connected_since.max(record.registered_at);
        let Some(lead) = lead else { return Self { open: record.connected, since, awaited_since: None } };
        if !record.connected {
            return Self { open: false, since: since.max(lead.since), awaited_since: None };
        }
        // Whoever connects gets an epoch of his own.
        let is_awaited = lead.awaited.get(&record.id) == Some(&record.link_epoch);
        Self { open: true, since, awaited_since: is_awaited.then_some(lead.since) }
    }
}

/// What a cluster's tables remember of the moment when this process took over.
#[derive(Debug)]
pub(super) struct Lead {
    pub since: Timestamp,
    /// The instances whose agents were connected then, each with the `link_epoch` that it had.
    pub awaited: BTreeMap<InstanceId, u32>,
}

impl InstanceEntry {
    /// Tasks that are not STOPPED.
    pub fn tasks(&self) -> &BTreeSet<TaskId> {
        &self.tasks
    }

    pub fn running(&self) -> usize {
        self.running
    }

    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Tasks that no agent was ever told of, because they were placed while the agent was awaited.
    pub fn untold(&self) -> impl Iterator<Item = TaskId> {
        self.untold.intersection(&self.tasks).copied()
    }

    /// Its availability zone, if its agent or a user told it.
    pub fn zone(&self) -> Option<&Arc<str>> {
        self.zone.as_ref()
    }
}

impl ClusterTables {
    pub fn record(&self) -> Option<&Arc<Cluster>> {
        self.record.as_ref()
    }

    pub fn instances(&self) -> &BTreeMap<InstanceId, InstanceEntry> {
        &self.instances
    }

    pub fn instance(&self, id: InstanceId) -> Option<&InstanceEntry> {
        self.instances.get(&id)
    }

    pub fn tasks(&self) -> &BTreeMap<TaskId, Arc<Task>> {
        &self.tasks
    }

    pub fn task(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(&id)
    }

    /// Services that have a record, whatever their status.
    pub fn services(&self) -> impl Iterator<Item = (&Arc<Service>, &ServiceEntry)> {
        self.services.values().filter_map(|entry| Some((entry.record.as_ref()?, entry)))
    }

    pub fn service(&self, name: &ServiceName) -> Option<&ServiceEntry> {
        self.services.get(name).filter(|entry| entry.record.is_some())
    }

    pub(crate) fn service_entry(&self, name: &ServiceName) -> Option<&ServiceEntry> {
        self.services.get(name)
    }

    pub fn token(&self, token: &str) -> Option<&Arc<Token>> {
        self.tokens.get(token)
    }

    pub fn tokens(&self) -> &BTreeMap<String, Arc<Token>> {
        &self.tokens
    }

    /// Tokens with which machines join, by their ids.
    pub fn join_tokens(&self) -> &BTreeMap<String, Arc<JoinToken>> {
        &self.join_tokens
    }

    /// The keys of instances that have joined with a token; some may not have registered yet.
    pub fn instance_keys(&self) -> &BTreeMap<InstanceId, Arc<InstanceKey>> {
        &self.instance_keys
    }

    /// The capacity epoch when placement last refused a task of the service.
    pub(super) fn refused_at(&self, service: &ServiceName) -> Option<CapacityEpoch> {
        self.services.get(service).map(|entry| entry.refused_at)
    }

    /// Of a pool: the tasks of clusters on its instances.
    pub fn guests(&self) -> &BTreeMap<TaskId, Guest> {
        &self.guests
    }

    /// Of a pool: the services that look again whenever its capacity comes or goes.
    pub fn waiting_guests(&self) -> &BTreeSet<ServiceKey> {
        &self.waiting_guests
    }

    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Tasks that count as running: RUNNING and not yet STOPPED.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Tasks that are not yet RUNNING.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Tasks that wait in PROVISIONING for an instance of their capacity provider, oldest first.
    pub fn provisioning(&self) -> &BTreeSet<(Timestamp, TaskId)> {
        &self.provisioning
    }

    /// STOPPED tasks by their end.
    pub fn stopped(&self) -> &BTreeSet<(Timestamp, TaskId)> {
        &self.stopped
    }

    /// Nothing is left of the cluster, not even a record.
    pub(super) fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.instances.is_empty()
            && self.tasks.is_empty()
            && self.services.is_empty()
            && self.tokens.is_empty()
            && self.join_tokens.is_empty()
            && self.instance_keys.is_empty()
    }

    /// This process begins to write.
    pub(super) fn lead(&mut self, now: Timestamp) {
        let connected = self.instances.values().map(|entry| &entry.record).filter(|record| record.connected);
        let awaited = connected.map(|record| (record.id, record.link_epoch)).collect();
        let lead = self.lead.insert(Lead { since: now, awaited });
        for entry in self.instances.values_mut() {
            entry.connection = Connection::of(&entry.record, Some(lead));
        }
    }

    pub(super) fn note_refusal(&mut self, service: &ServiceName, epoch: CapacityEpoch) {
        if let Some(entry) = self.services.get_mut(service) {
            entry.refused_at = epoch;
        }
    }
}
