//! The tables: every record of every account and region, and what is derived from them.
//!
//! [`State::apply`] is the only place where a record changes; it keeps each index in step. The same
//! function serves transactions, their roll-back and the loading of a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{ClusterName, Family, Ids, Region, Scope, TaskId, Timestamp};
use longshore_domain::{ServiceStatus, TaskSpec};
use longshore_store::LimitExceeded;

use crate::codec::Value;
use crate::key::{ClusterKey, InstanceKey, Key, ServiceKey};
use crate::record::{AccountSetting, CapacityProvider, Document, Task, TaskDefinition};
use crate::sharing::Sharing;
use crate::tx::{Batch, Hint, Hints, Tx};

mod cluster;
mod load;

use cluster::CapacityEpoch;
pub use cluster::{ClusterTables, Connection, Guest, InstanceEntry, ServiceEntry};
pub use load::LoadError;

/// How many events of a service are kept (ecs-services E1).
pub const EVENTS_KEPT: usize = 100;

/// Everything.
#[derive(Debug)]
pub struct State {
    realms: BTreeMap<Scope, Realm>,
    /// The Fargate pools. They are beside the realms, not in them: whatever goes through an account's
    /// clusters never meets one.
    pools: BTreeMap<Region, ClusterTables>,
    sequence: u64,
    loaded_at: Timestamp,
    /// The compiled form of a definition that is about to enter its table, beside its document.
    compiled: Option<(Document, TaskSpec)>,
    pub(crate) sharing: Sharing,
}

/// One account in one region.
#[derive(Debug, Default)]
pub struct Realm {
    clusters: BTreeMap<ClusterName, ClusterTables>,
    families: BTreeMap<Family, FamilyTable>,
    providers: BTreeMap<String, Arc<CapacityProvider>>,
    /// By name and principal.
    settings: BTreeMap<(String, String), Arc<AccountSetting>>,
}

/// The revisions of a family.
#[derive(Debug, Default)]
pub struct FamilyTable {
    /// From the counter record; 0 while no revision was ever removed.
    removed_up_to: u32,
    revisions: BTreeMap<u32, Arc<Definition>>,
}

/// A task definition revision, with its compiled form.
#[derive(Debug)]
pub struct Definition {
    pub record: Arc<TaskDefinition>,
    pub spec: TaskSpec,
}

impl State {
    pub fn new(now: Timestamp) -> Self {
        Self {
            realms: BTreeMap::new(),
            pools: BTreeMap::new(),
            sequence: 0,
            loaded_at: now,
            compiled: None,
            sharing: Sharing::default(),
        }
    }

    /// Tasks that were STOPPED before this process began are no news.
    fn forget_news(&mut self) {
        for realm in self.realms.values_mut() {
            for cluster in realm.clusters.values_mut() {
                cluster.forget_news();
            }
        }
    }

    /// Counts the transactions that changed something.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn loaded_at(&self) -> Timestamp {
        self.loaded_at
    }

    /// Runs `f`. If it fails, no record has changed.
    ///
    /// A panic in `f`, or beneath it, leaves the state in doubt: an index may have been half changed. Whoever
    /// catches it must not use the state again.
    ///
    /// # Errors
    /// If `f` changes more than a commit takes. That is a mistake of the command, which promises to fit; no record
    /// has changed then either.
    pub fn transact<T, E>(
        &mut self,
        now: Timestamp,
        ids: Ids,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<(T, Batch), E>, LimitExceeded> {
        let mut tx = Tx::new(self, now, ids);
        let value = match f(&mut tx) {
            Ok(value) => value,
            Err(error) => {
                tx.roll_back();
                return Ok(Err(error));
            }
        };
        if let Err(exceeded) = tx.check_limits() {
            tx.roll_back();
            return Err(exceeded);
        }
        let batch = tx.commit();
        if !batch.changes.is_empty() {
            self.sequence += 1;
        }
        Ok(Ok((value, batch)))
    }

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

    pub fn definition(&self, scope: &Scope, family: &Family, revision: u32) -> Option<&Arc<Definition>> {
        self.realms.get(scope)?.families.get(family)?.revisions.get(&revision)
    }

    pub fn task(&self, at: &ClusterKey, id: TaskId) -> Option<&Arc<Task>> {
        self.cluster(at)?.task(id)
    }

    /// A hint for every service and instance: what a controller starts with.
    pub fn all_hints(&self) -> Hints {
        let mut hints = Hints::new();
        for (scope, realm) in &self.realms {
            hints.insert(Hint::Definitions(scope.clone()));
            for (name, cluster) in &realm.clusters {
                let at = ClusterKey::new(scope.clone(), name.clone());
                let live = cluster.services().filter(|(s, _)| s.status != ServiceStatus::Inactive);
                hints.extend(live.map(|(service, _)| Hint::Service(at.service(&service.name))));
            }
        }
        hints
    }

    /// Puts or removes one record, keeps all indexes in step, and gives back what was there.
    ///
    /// `hints` learns what should be looked at again because of it.
    pub(crate) fn apply(&mut self, key: &Key, value: Option<Value>, hints: &mut Hints) -> Option<Value> {
        let loaded_at = self.loaded_at;
        if let Key::Instance(at, _) = key
            && at.is_pool()
        {
            // Stays when it is empty: its epoch must not begin again.
            let pool = self.pools.entry(at.scope.region.clone()).or_default();
            return pool.apply(at, key, value, loaded_at, hints);
        }
        if let Key::Task(home, id) = key {
            self.follow_in_pool(home, *id, value.as_ref(), hints);
        }
        let previous = self.apply_in_realm(key, value, hints);
        if let Key::Service(home, name) | Key::TaskSet(home, name, _) = key {
            self.follow_waiting(&home.service(name));
        }
        previous
    }

    fn apply_in_realm(&mut self, key: &Key, value: Option<Value>, hints: &mut Hints) -> Option<Value> {
        let loaded_at = self.loaded_at;
        let compiled = self.compiled.take();
        let realm = self.realms.entry(key.scope().clone()).or_default();
        match (key, value) {
            (Key::FamilyCounter(_, family), value) => {
                let table = realm.families.entry(family.clone()).or_default();
                let previous = table.removed_up_to;
                table.removed_up_to = match value {
                    Some(Value::FamilyCounter(record)) => record.last_revision,
                    _ => 0,
                };
                (previous > 0).then(|| {
                    let record =
                        crate::record::FamilyCounter { family: family.clone(), last_revision: previous };
                    Value::FamilyCounter(Arc::new(record))
                })
            }
            (Key::TaskDefinition(_, family, revision), value) => {
                realm.apply_definition(family, *revision, value, compiled, hints, key.scope())
            }
            (Key::CapacityProvider(_, name), value) => match value {
                Some(Value::CapacityProvider(record)) => realm.providers.insert(name.clone(), record),
                _ => realm.providers.remove(name),
            }
            .map(Value::CapacityProvider),
            (Key::AccountSetting(_, name, principal), value) => {
                let index = (name.clone(), principal.clone());
                match value {
                    Some(Value::AccountSetting(record)) => realm.settings.insert(index, record),
                    _ => realm.settings.remove(&index),
                }
                .map(Value::AccountSetting)
            }
            (
                Key::Cluster(at)
                | Key::Instance(at, _)
                | Key::Task(at, _)
                | Key::Service(at, _)
                | Key::ServiceEvent(at, _, _)
                | Key::ServiceDeployment(at, _, _)
                | Key::ServiceRevision(at, _, _)
                | Key::TaskSet(at, _, _)
                | Key::Token(at, _),
                value,
            ) => {
                let cluster = realm.clusters.entry(at.cluster.clone()).or_default();
                let previous = cluster.apply(at, key, value, loaded_at, hints);
                if cluster.is_empty() {
                    realm.clusters.remove(&at.cluster);
                }
                previous
            }
        }
    }

    /// Keeps the pool's indexes in step with a task of a cluster that is about to change.
    fn follow_in_pool(&mut self, home: &ClusterKey, id: TaskId, value: Option<&Value>, hints: &mut Hints) {
        let old = self.task(home, id).cloned();
        let new = match value {
            Some(Value::Task(task)) => Some(&**task),
            _ => None,
        };
        if new.or(old.as_deref()).is_some_and(Task::is_pooled) {
            let at = ClusterKey::pool(home.scope.region.clone());
            let pool = self.pools.entry(home.scope.region.clone()).or_default();
            pool.apply_guest(&at, home, id, old.as_deref(), new, hints);
        }
    }

    /// The same for a service or a task set that has changed.
    fn follow_waiting(&mut self, at: &ServiceKey) {
        let waits = self.cluster(&at.cluster).is_some_and(|tables| tables.waits_for_pool(&at.service));
        let region = &at.cluster.scope.region;
        if waits || self.pools.contains_key(region) {
            self.pools.entry(region.clone()).or_default().apply_waiting_guest(at.clone(), waits);
        }
    }

    /// Hands over the compiled form of the definition that is applied next, so that nobody compiles it
    /// again under the writer's lock.
    pub(crate) fn expect_definition(&mut self, document: Document, spec: TaskSpec) {
        self.compiled = Some((document, spec));
    }

    pub(crate) fn set_connected(&mut self, at: &InstanceKey, open: bool, now: Timestamp, hints: &mut Hints) {
        if let Some(cluster) = self.cluster_mut(&at.cluster) {
            cluster.set_connected(&at.cluster, at.instance, Connection { open, since: now }, hints);
        }
    }

    pub(crate) fn note_refusal(&mut self, at: &ServiceKey) {
        let epoch = self.capacity_epoch(&at.cluster);
        if let Some(cluster) = self.cluster_mut(&at.cluster) {
            cluster.note_refusal(&at.service, epoch);
        }
    }

    pub(crate) fn take_newly_stopped(&mut self, at: &ServiceKey) -> Vec<TaskId> {
        self.cluster_mut(&at.cluster)
            .map(|cluster| cluster.take_newly_stopped(&at.service))
            .unwrap_or_default()
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

    pub fn families(&self) -> impl Iterator<Item = (&Family, &FamilyTable)> {
        self.families.iter().filter(|(_, table)| !table.revisions.is_empty())
    }

    /// The highest removed revision of each family that has lost some.
    pub fn counters(&self) -> impl Iterator<Item = (&Family, u32)> {
        let counted = self.families.iter().map(|(family, table)| (family, table.removed_up_to));
        counted.filter(|&(_, removed_up_to)| removed_up_to > 0)
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

    fn apply_definition(
        &mut self,
        family: &Family,
        revision: u32,
        value: Option<Value>,
        compiled: Option<(Document, TaskSpec)>,
        hints: &mut Hints,
        scope: &Scope,
    ) -> Option<Value> {
        let table = self.families.entry(family.clone()).or_default();
        let previous = match value {
            Some(Value::TaskDefinition(record)) => {
                if record.delete_requested_at.is_some() {
                    hints.insert(Hint::Definitions(scope.clone()));
                }
                // A status change keeps the document, and with it the compiled form.
                let same = table
                    .revisions
                    .get(&revision)
                    .filter(|d| Arc::ptr_eq(&d.record.document, &record.document));
                let compiled = compiled.filter(|(document, _)| Arc::ptr_eq(document, &record.document));
                let spec = match (same, compiled) {
                    (Some(definition), _) => definition.spec.clone(),
                    (None, Some((_, spec))) => spec,
                    // A removal that is taken back.
                    (None, None) => longshore_domain::task_definition::compile(&record.document).expect(
                        "a definition is compiled before it is stored, and checked when it is loaded",
                    ),
                };
                table.revisions.insert(revision, Arc::new(Definition { record, spec }))
            }
            _ => table.revisions.remove(&revision),
        };
        previous.map(|definition| Value::TaskDefinition(definition.record.clone()))
    }
}

impl FamilyTable {
    pub fn revisions(&self) -> &BTreeMap<u32, Arc<Definition>> {
        &self.revisions
    }

    /// The number that the next registration gets; numbers are never given out twice.
    pub fn next_revision(&self) -> u32 {
        let highest = self.revisions.last_key_value().map_or(0, |(&revision, _)| revision);
        highest.max(self.removed_up_to) + 1
    }

    /// The ACTIVE revision with the highest number.
    pub fn latest_active(&self) -> Option<&Arc<Definition>> {
        let active = |d: &&Arc<Definition>| d.record.status == longshore_domain::TaskDefinitionStatus::Active;
        self.revisions.values().rev().find(active)
    }
}
