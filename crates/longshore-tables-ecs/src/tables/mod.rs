//! The tables: every record of every account and region, and what is derived from them.
//!
//! [`keep`](self) is the only place where a record changes; it keeps each index in step.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{ClusterName, Family, Region, Scope, TaskId};
use longshore_domain::TaskDefinitionStatus;

use crate::key::{ClusterKey, InstanceKey, ServiceKey};
use crate::record::{AccountSetting, CapacityProvider, FamilyCounter, Task, TaskDefinition};

mod check;
mod cluster;
mod index;
mod interfaces;
mod keep;
mod service;

pub(crate) use check::slot;
pub use cluster::{ClusterTables, Connection, Guest, InstanceEntry};
pub use interfaces::{Interfaces, TaskAt, Wish};
use service::CapacityEpoch;
pub use service::ServiceEntry;

/// How many events of a service are kept (ecs-services E1).
pub const EVENTS_KEPT: usize = 100;

/// What the controllers should look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hint {
    /// The service's wishes or its tasks changed, or capacity appeared that it waits for.
    Service(ServiceKey),
    /// Capacity appeared in a cluster with tasks that wait for a place.
    Provisioning(ClusterKey),
    /// Something may have become free of references: a definition that waits for its deletion.
    Definitions(Scope),
}

/// What an agent's connection should look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentHint {
    /// The instance itself changed.
    Instance(InstanceKey),
    /// What the instance should do with this task changed. Names the task because an instance may have
    /// hundreds, and to look at them all for each would cost their square.
    Work(InstanceKey, TaskId),
}

/// Everything of ECS.
#[derive(Debug)]
pub struct EcsTables {
    realms: BTreeMap<Scope, Realm>,
    /// The Fargate pools. They are beside the realms, not in them: whatever goes through an account's
    /// clusters never meets one.
    pools: BTreeMap<Region, ClusterTables>,
    /// Whose key an access key's id is. Derived.
    instance_key_ids: BTreeMap<Arc<str>, InstanceKey>,
}

/// One account in one region.
#[derive(Debug, Default)]
pub struct Realm {
    clusters: BTreeMap<ClusterName, ClusterTables>,
    families: BTreeMap<Family, FamilyTable>,
    providers: BTreeMap<String, Arc<CapacityProvider>>,
    /// By name and principal.
    settings: BTreeMap<(String, String), Arc<AccountSetting>>,
    /// Derived.
    interfaces: Interfaces,
}

/// The revisions of a family.
#[derive(Debug, Default)]
pub struct FamilyTable {
    /// Absent while no revision was ever removed.
    counter: Option<Arc<FamilyCounter>>,
    revisions: BTreeMap<u32, Arc<TaskDefinition>>,
}

impl EcsTables {
    pub fn realms(&self) -> impl Iterator<Item = (&Scope, &Realm)> {
        self.realms.iter()
    }

    pub fn realm(&self, scope: &Scope) -> Option<&Realm> {
        self.realms.get(scope)
    }

    /// The tables of a cluster, or of the pool that the key names.
    pub fn cluster(&self, at: &ClusterKey) -> Option<&ClusterTables> {
        if at.is_pool() {
            return self.pools.get(&at.scope.region);
        }
        self.realms.get(&at.scope)?.clusters.get(&at.cluster)
    }

    /// The Fargate pool of a region. It has instances and no record.
    pub fn pool(&self, region: &Region) -> Option<&ClusterTables> {
        self.pools.get(region)
    }

    pub fn pools(&self) -> impl Iterator<Item = (ClusterKey, &ClusterTables)> {
        self.pools.iter().map(|(region, tables)| (ClusterKey::pool(region.clone()), tables))
    }

    /// The tables that a task of the cluster `at` has its place in: those of its cluster, or of the pool.
    pub fn host(&self, at: &ClusterKey, task: &Task) -> Option<&ClusterTables> {
        if task.is_pooled() { self.pool(&at.scope.region) } else { self.cluster(at) }
    }

    /// The cluster of a task that has its place in the cluster or pool `host`.
    pub fn home<'a>(&'a self, host: &'a ClusterKey, task: TaskId) -> Option<&'a ClusterKey> {
        if !host.is_pool() {
            return Some(host);
        }
        self.cluster(host)?.guests().get(&task).map(|guest| &guest.home)
    }

    /// The tasks of an instance that are not STOPPED, with the cluster of each.
    pub fn tasks_on<'a>(
        &'a self,
        at: &'a InstanceKey,
    ) -> impl Iterator<Item = (&'a ClusterKey, &'a Arc<Task>)> {
        let entry = self.cluster(&at.cluster).and_then(|tables| tables.instance(at.instance));
        let ids = entry.into_iter().flat_map(|entry| entry.tasks());
        ids.filter_map(|&id| {
            let home = self.home(&at.cluster, id)?;
            Some((home, self.task(home, id)?))
        })
    }

    /// The instance that an access key belongs to, by the key's id.
    pub fn instance_of_key(&self, access_key_id: &str) -> Option<&InstanceKey> {
        self.instance_key_ids.get(access_key_id)
    }

    /// The entry of a service, if it has a record.
    pub fn service(&self, at: &ServiceKey) -> Option<&ServiceEntry> {
        self.cluster(&at.cluster)?.service(&at.service)
    }

    /// True if capacity has changed since placement last refused a task of the service.
    pub fn capacity_changed_since_refusal(&self, at: &ServiceKey) -> bool {
        let Some(tables) = self.cluster(&at.cluster) else { return false };
        let Some(refused_at) = tables.refused_at(&at.service) else { return false };
        let now = self.capacity_epoch(&at.cluster);
        // Exactly those that are woken when it changes.
        refused_at.cluster != now.cluster
            || (refused_at.pool != now.pool && tables.waits_for_pool(&at.service))
    }

    fn capacity_epoch(&self, at: &ClusterKey) -> CapacityEpoch {
        let of = |tables: Option<&ClusterTables>| tables.map_or(0, |tables| tables.capacity_epoch);
        CapacityEpoch { cluster: of(self.cluster(at)), pool: of(self.pool(&at.scope.region)) }
    }

    pub fn definition(&self, scope: &Scope, family: &Family, revision: u32) -> Option<&Arc<TaskDefinition>> {
        self.realms.get(scope)?.families.get(family)?.revisions.get(&revision)
    }

    pub fn task(&self, at: &ClusterKey, id: TaskId) -> Option<&Arc<Task>> {
        self.cluster(at)?.task(id)
    }
}

/// What is not stored.
impl EcsTables {
    pub(crate) fn note_refusal(&mut self, at: &ServiceKey) {
        let epoch = self.capacity_epoch(&at.cluster);
        if let Some(cluster) = self.cluster_mut(&at.cluster) {
            cluster.note_refusal(&at.service, epoch);
        }
    }

    fn cluster_mut(&mut self, at: &ClusterKey) -> Option<&mut ClusterTables> {
        if at.is_pool() {
            return self.pools.get_mut(&at.scope.region);
        }
        self.realms.get_mut(&at.scope)?.clusters.get_mut(&at.cluster)
    }
}

impl Realm {
    pub fn clusters(&self) -> impl Iterator<Item = (&ClusterName, &ClusterTables)> {
        self.clusters.iter()
    }

    /// The cluster, whatever its status; `None` if there is no record of it.
    pub fn cluster(&self, name: &str) -> Option<&ClusterTables> {
        self.clusters.get(name).filter(|cluster| cluster.record().is_some())
    }

    /// The network interfaces of its tasks.
    pub fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }

    pub fn families(&self) -> impl Iterator<Item = (&Family, &FamilyTable)> {
        self.families.iter().filter(|(_, table)| !table.revisions.is_empty())
    }

    pub fn family(&self, name: &str) -> Option<&FamilyTable> {
        self.families.get(name)
    }

    pub fn providers(&self) -> &BTreeMap<String, Arc<CapacityProvider>> {
        &self.providers
    }

    /// Stored settings, by name and principal.
    pub fn settings(&self) -> &BTreeMap<(String, String), Arc<AccountSetting>> {
        &self.settings
    }
}

impl FamilyTable {
    pub fn revisions(&self) -> &BTreeMap<u32, Arc<TaskDefinition>> {
        &self.revisions
    }

    /// The number that the next registration gets; numbers are never given out twice.
    pub fn next_revision(&self) -> u32 {
        let highest = self.revisions.last_key_value().map_or(0, |(&revision, _)| revision);
        let removed_up_to = self.counter.as_ref().map_or(0, |counter| counter.last_revision);
        highest.max(removed_up_to) + 1
    }

    /// The ACTIVE revision with the highest number.
    pub fn latest_active(&self) -> Option<&Arc<TaskDefinition>> {
        self.revisions.values().rev().find(|own| own.status == TaskDefinitionStatus::Active)
    }
}
