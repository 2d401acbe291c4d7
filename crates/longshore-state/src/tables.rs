//! The tables: every record of every account and region, and what is derived from them.
//!
//! [`State::apply`] is the only place where a record changes; it keeps each index in step. The same
//! function serves transactions, their roll-back and the loading of a store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use longshore_base::{
    ClusterName, DeploymentId, Family, Ids, InstanceId, Scope, ServiceDeploymentId, ServiceName, TaskId,
    Timestamp,
};
use longshore_domain::{SchedulingStrategy, ServiceStatus, TaskSpec};
use longshore_placement::Fleet;
use longshore_store::{KeyRange, Store, StoreError};

use crate::codec::{CodecError, Value};
use crate::fleet;
use crate::key::{ClusterKey, InstanceKey, Key, ServiceKey};
use crate::record::{
    AccountSetting, CapacityProvider, Cluster, Instance, Service, ServiceDeployment, ServiceEvent,
    ServiceRevision, Task, TaskDefinition, Token,
};
use crate::tx::{Batch, Hint, Hints, Tx};

/// How many events of a service are kept (ecs-services E1).
pub const EVENTS_KEPT: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("a stored record cannot be used")]
    Record(#[from] CodecError),
    #[error("the stored task definition {family}:{revision} cannot be compiled")]
    Definition {
        family: Family,
        revision: u32,
        #[source]
        source: longshore_domain::task_definition::CompileError,
    },
    #[error("the committer's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Everything.
#[derive(Debug)]
pub struct State {
    realms: BTreeMap<Scope, Realm>,
    sequence: u64,
    loaded_at: Timestamp,
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

/// A cluster and all that lives in it.
#[derive(Debug, Default)]
pub struct ClusterTables {
    record: Option<Arc<Cluster>>,
    instances: BTreeMap<InstanceId, InstanceEntry>,
    tasks: BTreeMap<TaskId, Arc<Task>>,
    services: BTreeMap<ServiceName, ServiceEntry>,
    tokens: BTreeMap<String, Arc<Token>>,
    /// Instances with what is left of them; what placement chooses from.
    fleet: Fleet,
    /// Stopped tasks by their end, for the reaper.
    stopped: BTreeSet<(Timestamp, TaskId)>,
    running: usize,
    pending: usize,
    /// Services that look again whenever capacity comes or goes: those that wait for a place, and
    /// those that want a task on every instance.
    waiting: BTreeSet<ServiceName>,
    /// Rises whenever capacity comes, goes or is freed. Not stored.
    capacity_epoch: u64,
}

#[derive(Debug)]
pub struct InstanceEntry {
    pub record: Arc<Instance>,
    pub connection: Connection,
    /// Its tasks that are not STOPPED.
    tasks: BTreeSet<TaskId>,
    running: usize,
    pending: usize,
}

/// Whether an agent's command channel is open, and since when it is so. Never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub open: bool,
    pub since: Timestamp,
}

#[derive(Debug, Default)]
pub struct ServiceEntry {
    record: Option<Arc<Service>>,
    /// Its tasks that are not STOPPED.
    active: BTreeSet<TaskId>,
    /// Its STOPPED tasks that are still remembered.
    stopped: BTreeSet<TaskId>,
    /// Oldest first.
    events: VecDeque<Arc<ServiceEvent>>,
    deployments: BTreeMap<ServiceDeploymentId, Arc<ServiceDeployment>>,
    revisions: BTreeMap<DeploymentId, Arc<ServiceRevision>>,
    /// Tasks that stopped since the planner last looked. Lost in a crash: then a failure or two is
    /// not counted.
    newly_stopped: Vec<TaskId>,
    /// The cluster's capacity epoch when placement last refused a task of it. Not stored.
    refused_at: u64,
}

impl State {
    pub fn new(now: Timestamp) -> Self {
        Self { realms: BTreeMap::new(), sequence: 0, loaded_at: now }
    }

    /// Reads every record of the store.
    pub fn load(store: &dyn Store, now: Timestamp) -> Result<Self, LoadError> {
        let mut state = Self::new(now);
        let mut hints = Hints::new();
        let mut failure = None;
        store.scan(
            &KeyRange::ALL,
            &mut |entry| match state.load_entry(entry.key, entry.value, &mut hints) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        match failure {
            Some(error) => Err(error),
            None => {
                state.forget_news();
                Ok(state)
            }
        }
    }

    fn load_entry(&mut self, key: &[u8], value: &[u8], hints: &mut Hints) -> Result<(), LoadError> {
        let text = String::from_utf8_lossy(key);
        let key = Key::decode(&text).ok_or_else(|| CodecError::UnknownKey(text.into_owned()))?;
        let value = Value::decode(&key, value)?;
        if let Value::TaskDefinition(record) = &value {
            longshore_domain::task_definition::compile(&record.document).map_err(|source| {
                LoadError::Definition { family: record.family.clone(), revision: record.revision, source }
            })?;
        }
        self.apply(&key, Some(value), hints);
        hints.clear();
        Ok(())
    }

    /// Tasks that were STOPPED before this process began are no news.
    fn forget_news(&mut self) {
        for realm in self.realms.values_mut() {
            for cluster in realm.clusters.values_mut() {
                for service in cluster.services.values_mut() {
                    service.newly_stopped.clear();
                }
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

    /// Runs `f`. If it fails, nothing has changed.
    ///
    /// # Panics
    /// If `f` changes more records than a commit takes. That is a mistake of the command, which promises
    /// to fit; nothing has changed then either.
    pub fn transact<T, E>(
        &mut self,
        now: Timestamp,
        ids: Ids,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(T, Batch), E> {
        let mut tx = Tx::new(self, now, ids);
        match f(&mut tx) {
            Ok(_) if tx.changed() > longshore_store::COMMIT_OPS_MAX => {
                let changed = tx.changed();
                tx.roll_back();
                panic!("a transaction changes {changed} records, more than one commit takes; it was undone");
            }
            Ok(value) => {
                let batch = tx.commit();
                if !batch.changes.is_empty() {
                    self.sequence += 1;
                }
                Ok((value, batch))
            }
            Err(error) => {
                tx.roll_back();
                Err(error)
            }
        }
    }

    pub fn realms(&self) -> impl Iterator<Item = (&Scope, &Realm)> {
        self.realms.iter()
    }

    pub fn realm(&self, scope: &Scope) -> Option<&Realm> {
        self.realms.get(scope)
    }

    pub fn cluster(&self, at: &ClusterKey) -> Option<&ClusterTables> {
        self.realms.get(&at.scope)?.clusters.get(&at.cluster)
    }

    pub fn definition(&self, scope: &Scope, family: &Family, revision: u32) -> Option<&Arc<Definition>> {
        self.realms.get(scope)?.families.get(family)?.revisions.get(&revision)
    }

    pub fn task(&self, at: &ClusterKey, id: TaskId) -> Option<&Arc<Task>> {
        self.cluster(at)?.tasks.get(&id)
    }

    /// A hint for every service and instance: what a controller starts with.
    pub fn all_hints(&self) -> Hints {
        let mut hints = Hints::new();
        for (scope, realm) in &self.realms {
            hints.insert(Hint::Definitions(scope.clone()));
            for (name, cluster) in &realm.clusters {
                let at = ClusterKey::new(scope.clone(), name.clone());
                let live = |entry: &&ServiceEntry| {
                    entry.record.as_ref().is_some_and(|s| s.status != ServiceStatus::Inactive)
                };
                for entry in cluster.services.values().filter(live) {
                    if let Some(service) = &entry.record {
                        hints.insert(Hint::Service(at.service(&service.name)));
                    }
                }
            }
        }
        hints
    }

    /// Puts or removes one record, keeps all indexes in step, and gives back what was there.
    ///
    /// `hints` learns what should be looked at again because of it.
    pub(crate) fn apply(&mut self, key: &Key, value: Option<Value>, hints: &mut Hints) -> Option<Value> {
        let loaded_at = self.loaded_at;
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
                realm.apply_definition(family, *revision, value, hints, key.scope())
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
                | Key::Token(at, _),
                value,
            ) => {
                let families = &realm.families;
                let cluster = realm.clusters.entry(at.cluster.clone()).or_default();
                let previous = cluster.apply(at, key, value, families, loaded_at, hints);
                if cluster.is_empty() {
                    realm.clusters.remove(&at.cluster);
                }
                previous
            }
        }
    }

    pub(crate) fn set_connected(&mut self, at: &InstanceKey, open: bool, now: Timestamp, hints: &mut Hints) {
        let cluster = self
            .realms
            .get_mut(&at.cluster.scope)
            .and_then(|realm| realm.clusters.get_mut(&at.cluster.cluster));
        let Some(cluster) = cluster else { return };
        let Some(entry) = cluster.instances.get_mut(&at.instance) else { return };
        if entry.connection.open != open {
            entry.connection = Connection { open, since: now };
            cluster.fleet.set_connected(at.instance, open);
            cluster.hint_capacity(&at.cluster, hints);
            cluster.hint_services_on(&at.cluster, at.instance, hints);
        }
    }

    pub(crate) fn note_refusal(&mut self, at: &ServiceKey) {
        let realm = self.realms.get_mut(&at.cluster.scope);
        let Some(cluster) = realm.and_then(|realm| realm.clusters.get_mut(&at.cluster.cluster)) else {
            return;
        };
        let epoch = cluster.capacity_epoch;
        if let Some(entry) = cluster.services.get_mut(&at.service) {
            entry.refused_at = epoch;
        }
    }

    pub(crate) fn take_newly_stopped(&mut self, at: &ServiceKey) -> Vec<TaskId> {
        self.realms
            .get_mut(&at.cluster.scope)
            .and_then(|realm| realm.clusters.get_mut(&at.cluster.cluster))
            .and_then(|cluster| cluster.services.get_mut(&at.service))
            .map(|entry| std::mem::take(&mut entry.newly_stopped))
            .unwrap_or_default()
    }
}

impl Realm {
    pub fn clusters(&self) -> impl Iterator<Item = (&ClusterName, &ClusterTables)> {
        self.clusters.iter()
    }

    /// The cluster, whatever its status; `None` if there is no record of it.
    pub fn cluster(&self, name: &str) -> Option<&ClusterTables> {
        self.clusters.get(name).filter(|cluster| cluster.record.is_some())
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
                let spec = match same {
                    Some(definition) => definition.spec.clone(),
                    None => longshore_domain::task_definition::compile(&record.document).expect(
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

    fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.active.is_empty()
            && self.stopped.is_empty()
            && self.events.is_empty()
            && self.deployments.is_empty()
            && self.revisions.is_empty()
    }

    fn apply_event(&mut self, slot: u8, value: Option<Value>) -> Option<Value> {
        let in_slot = |event: &Arc<ServiceEvent>| event.number % EVENTS_KEPT as u64 == u64::from(slot);
        let previous = self.events.iter().position(in_slot).and_then(|at| self.events.remove(at));
        if let Some(Value::ServiceEvent(event)) = value {
            // Nearly always the newest; only a load sees another order.
            let at = self.events.partition_point(|e| e.number < event.number);
            self.events.insert(at, event);
        }
        previous.map(Value::ServiceEvent)
    }
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

    /// True if capacity has changed since placement last refused a task of the service.
    pub fn capacity_changed_since_refusal(&self, service: &ServiceName) -> bool {
        self.services.get(service).is_some_and(|entry| entry.refused_at != self.capacity_epoch)
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

    /// STOPPED tasks by their end.
    pub fn stopped(&self) -> &BTreeSet<(Timestamp, TaskId)> {
        &self.stopped
    }

    fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.instances.is_empty()
            && self.tasks.is_empty()
            && self.services.is_empty()
            && self.tokens.is_empty()
    }

    fn apply(
        &mut self,
        at: &ClusterKey,
        key: &Key,
        value: Option<Value>,
        families: &BTreeMap<Family, FamilyTable>,
        loaded_at: Timestamp,
        hints: &mut Hints,
    ) -> Option<Value> {
        match key {
            Key::Cluster(_) => {
                let previous = self.record.take();
                if let Some(Value::Cluster(record)) = value {
                    self.record = Some(record);
                }
                previous.map(Value::Cluster)
            }
            Key::Instance(_, id) => {
                self.apply_instance(at, *id, value, loaded_at, hints).map(Value::Instance)
            }
            Key::Task(_, id) => {
                let new = match value {
                    Some(Value::Task(task)) => Some(task),
                    _ => None,
                };
                self.apply_task(at, *id, new, families, hints).map(Value::Task)
            }
            Key::Service(_, name) => {
                hints.insert(Hint::Service(at.service(name)));
                match &value {
                    Some(Value::Service(service)) if waits_for_capacity(service) => {
                        self.waiting.insert(name.clone())
                    }
                    _ => self.waiting.remove(name),
                };
                self.with_service(name, |entry| {
                    let previous = entry.record.take();
                    if let Some(Value::Service(record)) = value {
                        entry.record = Some(record);
                    }
                    previous.map(Value::Service)
                })
            }
            Key::ServiceEvent(_, name, slot) => {
                self.with_service(name, |entry| entry.apply_event(*slot, value))
            }
            Key::ServiceDeployment(_, name, id) => self.with_service(name, |entry| {
                match value {
                    Some(Value::ServiceDeployment(record)) => entry.deployments.insert(*id, record),
                    _ => entry.deployments.remove(id),
                }
                .map(Value::ServiceDeployment)
            }),
            Key::ServiceRevision(_, name, id) => self.with_service(name, |entry| {
                match value {
                    Some(Value::ServiceRevision(record)) => entry.revisions.insert(*id, record),
                    _ => entry.revisions.remove(id),
                }
                .map(Value::ServiceRevision)
            }),
            Key::Token(_, token) => match value {
                Some(Value::Token(record)) => self.tokens.insert(token.clone(), record),
                _ => self.tokens.remove(token),
            }
            .map(Value::Token),
            Key::FamilyCounter(..)
            | Key::TaskDefinition(..)
            | Key::CapacityProvider(..)
            | Key::AccountSetting(..) => unreachable!("records of the realm do not come here"),
        }
    }

    fn with_service<T>(&mut self, name: &ServiceName, f: impl FnOnce(&mut ServiceEntry) -> T) -> T {
        let entry = self.services.entry(name.clone()).or_default();
        let result = f(entry);
        if entry.is_empty() {
            self.services.remove(name);
        }
        result
    }

    fn apply_instance(
        &mut self,
        at: &ClusterKey,
        id: InstanceId,
        value: Option<Value>,
        loaded_at: Timestamp,
        hints: &mut Hints,
    ) -> Option<Arc<Instance>> {
        self.hint_capacity(at, hints);
        self.hint_services_on(at, id, hints);
        let Some(Value::Instance(record)) = value else {
            self.fleet.remove(id);
            return self.instances.remove(&id).map(|entry| entry.record);
        };
        hints.insert(Hint::Instance(at.instance(id)));
        match self.instances.get_mut(&id) {
            Some(entry) => {
                self.fleet.upsert(fleet::instance(&record, entry.connection.open));
                Some(std::mem::replace(&mut entry.record, record))
            }
            None => {
                self.fleet.upsert(fleet::instance(&record, false));
                let connection = Connection { open: false, since: loaded_at.max(record.registered_at) };
                let entry =
                    InstanceEntry { record, connection, tasks: BTreeSet::new(), running: 0, pending: 0 };
                self.instances.insert(id, entry);
                None
            }
        }
    }

    fn apply_task(
        &mut self,
        at: &ClusterKey,
        id: TaskId,
        new: Option<Arc<Task>>,
        _families: &BTreeMap<Family, FamilyTable>,
        hints: &mut Hints,
    ) -> Option<Arc<Task>> {
        let old = self.tasks.get(&id).cloned();
        if let Some(old) = &old {
            self.unindex(id, old);
        }
        if let Some(new) = &new {
            self.index(id, new);
        }
        self.move_in_fleet(id, old.as_deref(), new.as_deref());
        self.hint_task(at, id, old.as_deref(), new.as_deref(), hints);
        match new {
            Some(task) => self.tasks.insert(id, task),
            None => self.tasks.remove(&id),
        };
        old
    }

    fn index(&mut self, id: TaskId, task: &Task) {
        let status = task.last_status;
        self.running += usize::from(status.is_running());
        self.pending += usize::from(status.is_pending());
        if let (true, Some(end)) = (status.is_stopped(), task.stopped_at) {
            self.stopped.insert((end, id));
        }
        if !status.is_stopped()
            && let Some(entry) = task.instance.and_then(|instance| self.instances.get_mut(&instance))
        {
            entry.tasks.insert(id);
            entry.running += usize::from(status.is_running());
            entry.pending += usize::from(status.is_pending());
        }
        if let Some(service) = &task.service {
            let entry = self.services.entry(service.name.clone()).or_default();
            if status.is_stopped() {
                entry.stopped.insert(id)
            } else {
                entry.active.insert(id)
            };
        }
    }

    fn unindex(&mut self, id: TaskId, task: &Task) {
        let status = task.last_status;
        self.running -= usize::from(status.is_running());
        self.pending -= usize::from(status.is_pending());
        if let (true, Some(end)) = (status.is_stopped(), task.stopped_at) {
            self.stopped.remove(&(end, id));
        }
        if !status.is_stopped()
            && let Some(entry) = task.instance.and_then(|instance| self.instances.get_mut(&instance))
        {
            entry.tasks.remove(&id);
            entry.running -= usize::from(status.is_running());
            entry.pending -= usize::from(status.is_pending());
        }
        if let Some(service) = &task.service {
            self.with_service(&service.name, |entry| {
                entry.active.remove(&id);
                entry.stopped.remove(&id);
            });
        }
    }

    /// Reserves, releases or marks what the task holds on its instance.
    fn move_in_fleet(&mut self, id: TaskId, old: Option<&Task>, new: Option<&Task>) {
        let place = |task: Option<&Task>| {
            task.filter(|t| !t.last_status.is_stopped()).and_then(|t| Some((t.instance?, t.needs.clone())))
        };
        let (before, after) = (place(old), place(new));
        if before != after {
            if let Some((instance, _)) = &before {
                self.fleet.vacate(*instance, id);
            }
            if let (Some((instance, needs)), Some(task)) = (&after, new) {
                // What the tables say is what is: an instance that registered again with less may
                // hold more than it has. Placement is what never lets it come to that.
                if let Err(error) = self.fleet.adopt(*instance, id, &fleet::needs(needs), &task.group) {
                    tracing::warn!(task = %id, %error, "a task is on an instance that is not in its cluster");
                }
            }
        }
        if let (Some((instance, _)), Some(task)) = (after, new) {
            if task.desired_status == longshore_domain::DesiredStatus::Stopped {
                self.fleet.told_to_stop(instance, id);
            }
            self.fleet.set_running(instance, id, task.last_status.is_running());
        }
    }

    fn hint_task(
        &mut self,
        at: &ClusterKey,
        id: TaskId,
        old: Option<&Task>,
        new: Option<&Task>,
        hints: &mut Hints,
    ) {
        let stopped = |task: Option<&Task>| task.is_none_or(|t| t.last_status.is_stopped());
        if let Some(service) = new.or(old).and_then(|task| task.service.as_ref()) {
            hints.insert(Hint::Service(at.service(&service.name)));
            if !stopped(old)
                && stopped(new)
                && let Some(entry) = self.services.get_mut(&service.name)
            {
                entry.newly_stopped.push(id);
            }
        }
        if !stopped(old) && stopped(new) {
            self.hint_capacity(at, hints);
        }
        // The agent has to hear of an assignment and of a changed wish, not of its own reports.
        let wish = |task: Option<&Task>| task.and_then(|t| Some((t.instance?, t.desired_status)));
        if wish(old) != wish(new) {
            for (instance, _) in [wish(old), wish(new)].into_iter().flatten() {
                hints.insert(Hint::Instance(at.instance(instance)));
            }
        }
    }

    /// Capacity came, went or was freed.
    fn hint_capacity(&mut self, at: &ClusterKey, hints: &mut Hints) {
        self.capacity_epoch += 1;
        hints.extend(self.waiting.iter().map(|name| Hint::Service(at.service(name))));
    }

    fn hint_services_on(&self, at: &ClusterKey, instance: InstanceId, hints: &mut Hints) {
        let Some(entry) = self.instances.get(&instance) else { return };
        for task in entry.tasks.iter().filter_map(|id| self.tasks.get(id)) {
            if let Some(service) = &task.service {
                hints.insert(Hint::Service(at.service(&service.name)));
            }
        }
    }
}

fn waits_for_capacity(service: &Service) -> bool {
    service.status == ServiceStatus::Active
        && (!service.memory.refusals.is_empty() || service.scheduling == SchedulingStrategy::Daemon)
}
