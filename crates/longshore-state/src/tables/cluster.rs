//! A cluster and all that lives in it, with every index kept in step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use longshore_base::{DeploymentId, InstanceId, ServiceDeploymentId, ServiceName, TaskId, Timestamp};
use longshore_domain::{DesiredStatus, InstanceStatus, SchedulingStrategy, ServiceStatus};
use longshore_placement::{Fleet, ZONE_ATTRIBUTE};

use super::EVENTS_KEPT;
use crate::codec::Value;
use crate::fleet;
use crate::key::{ClusterKey, Key, ServiceKey};
use crate::record::{
    Cluster, Instance, Service, ServiceDeployment, ServiceEvent, ServiceRevision, Task, TaskSet, Token,
};
use crate::tx::{Hint, Hints};

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
    /// Tasks that wait for a place, oldest first.
    provisioning: BTreeSet<(Timestamp, TaskId)>,
    running: usize,
    pending: usize,
    /// Services that look again whenever capacity comes or goes: those that wait for a place, and
    /// those that want a task on every instance.
    waiting: BTreeSet<ServiceName>,
    /// Rises whenever capacity comes, goes or is freed. Not stored.
    pub(super) capacity_epoch: u64,
    /// Of a pool: tasks of clusters that are on its instances and not STOPPED.
    guests: BTreeMap<TaskId, Guest>,
    /// Of a pool: services of clusters that wait for its capacity.
    waiting_guests: BTreeSet<ServiceKey>,
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
    zone: Option<Arc<str>>,
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
    task_sets: BTreeMap<DeploymentId, Arc<TaskSet>>,
    /// Tasks that stopped since the planner last looked. Lost in a crash: then a failure or two is
    /// not counted.
    newly_stopped: Vec<TaskId>,
    /// The capacity's epoch when placement last refused a task of it. Not stored.
    refused_at: CapacityEpoch,
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

    fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.active.is_empty()
            && self.stopped.is_empty()
            && self.events.is_empty()
            && self.deployments.is_empty()
            && self.revisions.is_empty()
            && self.task_sets.is_empty()
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
    }

    /// Tasks that were STOPPED before this process began are no news.
    pub(super) fn forget_news(&mut self) {
        for service in self.services.values_mut() {
            service.newly_stopped.clear();
        }
    }

    pub(super) fn set_connected(
        &mut self,
        at: &ClusterKey,
        id: InstanceId,
        connection: Connection,
        hints: &mut Hints,
    ) {
        let Some(entry) = self.instances.get_mut(&id) else { return };
        if entry.connection.open != connection.open {
            entry.connection = connection;
            self.fleet.set_connected(id, connection.open);
            self.hint_capacity(at, hints);
            self.hint_services_on(at, id, hints);
        }
    }

    pub(super) fn note_refusal(&mut self, service: &ServiceName, epoch: CapacityEpoch) {
        if let Some(entry) = self.services.get_mut(service) {
            entry.refused_at = epoch;
        }
    }

    pub(super) fn take_newly_stopped(&mut self, service: &ServiceName) -> Vec<TaskId> {
        self.services
            .get_mut(service)
            .map(|entry| std::mem::take(&mut entry.newly_stopped))
            .unwrap_or_default()
    }

    /// Puts or removes one record of the cluster; see [`super::State::apply`].
    pub(super) fn apply(
        &mut self,
        at: &ClusterKey,
        key: &Key,
        value: Option<Value>,
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
                self.apply_task(at, *id, new, hints).map(Value::Task)
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
            Key::TaskSet(_, name, id) => {
                // What a set asks for is part of what its service asks for.
                hints.insert(Hint::Service(at.service(name)));
                self.with_service(name, |entry| {
                    match value {
                        Some(Value::TaskSet(record)) => entry.task_sets.insert(*id, record),
                        _ => entry.task_sets.remove(id),
                    }
                    .map(Value::TaskSet)
                })
            }
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
        let zone_before = self.instances.get(&id).and_then(|entry| active_zone(&entry.record));
        let zone_after = match &value {
            Some(Value::Instance(record)) => active_zone(record),
            Some(_) | None => None,
        };
        if zone_before != zone_after {
            self.hint_balanced(at, hints);
        }
        let Some(Value::Instance(record)) = value else {
            self.fleet.remove(id);
            return self.instances.remove(&id).map(|entry| entry.record);
        };
        hints.insert(Hint::Instance(at.instance(id)));
        match self.instances.get_mut(&id) {
            Some(entry) => {
                self.fleet.upsert(fleet::instance(&record, entry.connection.open));
                if entry.record.gpus != record.gpus {
                    // Those that had left the list and are in it again, too. For a task that was stored before it was
                    // noted which it has, the fleet keeps as many.
                    for task in entry.tasks.iter().filter_map(|id| self.tasks.get(id)) {
                        self.fleet.set_gpus(id, task.id, task.gpus());
                    }
                }
                entry.zone = zone(&record).cloned();
                Some(std::mem::replace(&mut entry.record, record))
            }
            None => {
                self.fleet.upsert(fleet::instance(&record, false));
                let connection = Connection { open: false, since: loaded_at.max(record.registered_at) };
                let zone = zone(&record).cloned();
                let tasks = BTreeSet::new();
                let entry = InstanceEntry { record, zone, connection, tasks, running: 0, pending: 0 };
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
        hints: &mut Hints,
    ) -> Option<Arc<Task>> {
        let old = self.tasks.get(&id).cloned();
        if let Some(old) = &old {
            self.unindex(id, old);
        }
        if let Some(new) = &new {
            self.index(id, new);
        }
        // A task in the pool has its place in the pool's tables.
        if !new.as_ref().or(old.as_ref()).is_some_and(|task| task.is_pooled()) {
            self.move_in_fleet(id, old.as_deref(), new.as_deref(), None);
            self.hint_place(at, id, old.as_deref(), new.as_deref(), hints);
        }
        self.hint_task(at, id, old.as_deref(), new.as_deref(), hints);
        match new {
            Some(task) => self.tasks.insert(id, task),
            None => self.tasks.remove(&id),
        };
        old
    }

    /// Of a pool: follows a task of the cluster `home` that came to one of its instances, changed or went.
    pub(super) fn apply_guest(
        &mut self,
        at: &ClusterKey,
        home: &ClusterKey,
        id: TaskId,
        old: Option<&Task>,
        new: Option<&Task>,
        hints: &mut Hints,
    ) {
        if let Some(old) = old {
            self.leave_instance(id, old);
            self.guests.remove(&id);
        }
        if let Some(new) = new {
            self.join_instance(id, new);
            if new.instance.is_some() && !new.last_status.is_stopped() {
                let service = new.origin.service.as_ref().map(|service| service.name.clone());
                self.guests.insert(id, Guest { home: home.clone(), service });
            }
        }
        self.move_in_fleet(id, old, new, Some(home));
        self.hint_place(at, id, old, new, hints);
    }

    /// True if the service waits for capacity, and any of it would be the pool's.
    pub(super) fn waits_for_pool(&self, name: &ServiceName) -> bool {
        let Some(entry) = self.services.get(name) else { return false };
        entry.record.as_ref().is_some_and(|service| {
            let of_sets = || entry.task_sets.values().any(|set| set.capacity.is_fargate());
            waits_for_capacity(service) && (service.uses_pool() || of_sets())
        })
    }

    /// Of a pool: a service waits for its capacity, or does so no more.
    pub(super) fn apply_waiting_guest(&mut self, service: ServiceKey, waits: bool) {
        if waits {
            self.waiting_guests.insert(service);
        } else {
            self.waiting_guests.remove(&service);
        }
    }

    fn join_instance(&mut self, id: TaskId, task: &Task) {
        let status = task.last_status;
        if !status.is_stopped()
            && let Some(entry) = task.instance.and_then(|instance| self.instances.get_mut(&instance))
        {
            entry.tasks.insert(id);
            entry.running += usize::from(status.is_running());
            entry.pending += usize::from(status.is_pending());
        }
    }

    fn leave_instance(&mut self, id: TaskId, task: &Task) {
        let status = task.last_status;
        if !status.is_stopped()
            && let Some(entry) = task.instance.and_then(|instance| self.instances.get_mut(&instance))
        {
            entry.tasks.remove(&id);
            entry.running -= usize::from(status.is_running());
            entry.pending -= usize::from(status.is_pending());
        }
    }

    fn index(&mut self, id: TaskId, task: &Task) {
        let status = task.last_status;
        self.running += usize::from(status.is_running());
        self.pending += usize::from(status.is_pending());
        if let (true, Some(end)) = (status.is_stopped(), task.stopped_at) {
            self.stopped.insert((end, id));
        }
        if task.waiting.is_some() && !status.is_stopped() {
            self.provisioning.insert((task.created_at, id));
        }
        // An id of the pool is not among these instances.
        self.join_instance(id, task);
        if let Some(service) = &task.origin.service {
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
        self.provisioning.remove(&(task.created_at, id));
        self.leave_instance(id, task);
        if let Some(service) = &task.origin.service {
            self.with_service(&service.name, |entry| {
                entry.active.remove(&id);
                entry.stopped.remove(&id);
            });
        }
    }

    /// Reserves, releases or marks what the task holds on its instance. `home` is the cluster of a pool's guest.
    fn move_in_fleet(
        &mut self,
        id: TaskId,
        old: Option<&Task>,
        new: Option<&Task>,
        home: Option<&ClusterKey>,
    ) {
        let place = |task: Option<&Task>| {
            let task = task.filter(|t| !t.last_status.is_stopped())?;
            let interfaces = u32::from(task.interface.is_some());
            Some((task.instance?, fleet::needs(&task.origin.needs, interfaces)))
        };
        let (before, after) = (place(old), place(new));
        if before != after {
            if let Some((instance, _)) = &before {
                self.fleet.vacate(*instance, id);
            }
            if let (Some((instance, needs)), Some(task)) = (&after, new) {
                // What the tables say is what is: an instance that registered again with less may
                // hold more than it has. Placement is what never lets it come to that.
                let group = home.map(|home| fleet::pooled_group(home, &task.origin.group));
                let group = group.as_ref().unwrap_or(&task.origin.group);
                if let Err(error) = self.fleet.adopt(*instance, id, needs, group, task.gpus()) {
                    tracing::warn!(task = %id, %error, "a task is on an instance that is not in its cluster");
                }
            }
        }
        if let (Some((instance, _)), Some(task)) = (after, new) {
            if task.desired_status == DesiredStatus::Stopped {
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
        if let Some(service) = new.or(old).and_then(|task| task.origin.service.as_ref()) {
            hints.insert(Hint::Service(at.service(&service.name)));
            if !stopped(old)
                && stopped(new)
                && let Some(entry) = self.services.get_mut(&service.name)
            {
                entry.newly_stopped.push(id);
            }
        }
    }

    /// Tells who waits for the task's place, and the instance that has it.
    fn hint_place(
        &mut self,
        at: &ClusterKey,
        id: TaskId,
        old: Option<&Task>,
        new: Option<&Task>,
        hints: &mut Hints,
    ) {
        let stopped = |task: Option<&Task>| task.is_none_or(|t| t.last_status.is_stopped());
        if !stopped(old) && stopped(new) {
            self.hint_capacity(at, hints);
        }
        // The agent has to hear of an assignment and of a changed wish, not of its own reports; its
        // connection has to forget what is STOPPED.
        let wish = |task: Option<&Task>| {
            let going = task.filter(|t| !t.last_status.is_stopped());
            going.and_then(|t| Some((t.instance?, t.desired_status)))
        };
        if wish(old) != wish(new) {
            for (instance, _) in [wish(old), wish(new)].into_iter().flatten() {
                hints.insert(Hint::Work(at.instance(instance), id));
            }
        }
    }

    /// Capacity came, went or was freed.
    fn hint_capacity(&mut self, at: &ClusterKey, hints: &mut Hints) {
        self.capacity_epoch += 1;
        hints.extend(self.waiting.iter().map(|name| Hint::Service(at.service(name))));
        hints.extend(self.waiting_guests.iter().cloned().map(Hint::Service));
        if !self.provisioning.is_empty() {
            hints.insert(Hint::Provisioning(at.clone()));
        }
    }

    /// A zone may have come or gone: services that balance over zones may have to move tasks, although they wait
    /// for nothing.
    fn hint_balanced(&self, at: &ClusterKey, hints: &mut Hints) {
        let own = self.services.values().filter_map(|entry| entry.record.as_ref());
        let own = own.filter(|service| service.zone_rebalancing && service.status == ServiceStatus::Active);
        hints.extend(own.map(|service| Hint::Service(at.service(&service.name))));
        let guests = self.guests.values().filter_map(|guest| Some((&guest.home, guest.service.as_ref()?)));
        hints.extend(guests.map(|(home, service)| Hint::Service(home.service(service))));
    }

    fn hint_services_on(&self, at: &ClusterKey, instance: InstanceId, hints: &mut Hints) {
        let Some(entry) = self.instances.get(&instance) else { return };
        for id in &entry.tasks {
            let own = self.tasks.get(id).and_then(|task| Some((at, &task.origin.service.as_ref()?.name)));
            let guest = || self.guests.get(id).and_then(|guest| Some((&guest.home, guest.service.as_ref()?)));
            if let Some((home, service)) = own.or_else(guest) {
                hints.insert(Hint::Service(home.service(service)));
            }
        }
    }
}

/// The zone that an instance adds to those where tasks can run.
fn active_zone(instance: &Instance) -> Option<Arc<str>> {
    zone(instance).filter(|_| instance.status == InstanceStatus::Active).cloned()
}

/// A user's attribute wins over the agent's, as in the fleet.
fn zone(instance: &Instance) -> Option<&Arc<str>> {
    let mut attributes = instance.user_attributes.iter().chain(&instance.agent_attributes);
    attributes.find(|attribute| *attribute.name == *ZONE_ATTRIBUTE)?.value.as_ref()
}

fn waits_for_capacity(service: &Service) -> bool {
    service.status == ServiceStatus::Active
        && (!service.memory.refusals.is_empty() || service.scheduling == SchedulingStrategy::Daemon)
}
