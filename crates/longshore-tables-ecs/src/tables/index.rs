//! How a cluster's indexes follow its records.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::{InstanceId, ServiceName, TaskId};
use longshore_domain::{DesiredStatus, InstanceStatus, SchedulingStrategy, ServiceStatus};
use longshore_placement::ZONE_ATTRIBUTE;
use longshore_state::Hints;

use super::cluster::{ClusterTables, Connection, Guest, InstanceEntry};
use super::service::ServiceEntry;
use super::{AgentHint, Hint};
use crate::fleet;
use crate::key::{ClusterKey, ServiceKey};
use crate::record::{Instance, Service, Task};

impl ClusterTables {
    pub(super) fn replace_service(
        &mut self,
        at: &ClusterKey,
        name: &ServiceName,
        service: Option<Arc<Service>>,
        hints: &mut Hints,
    ) -> Option<Arc<Service>> {
        hints.insert(Hint::Service(at.service(name)));
        if service.as_deref().is_some_and(waits_for_capacity) {
            self.waiting.insert(name.clone());
        } else {
            self.waiting.remove(name);
        }
        self.with_service(name, |entry| {
            let counted = service.as_ref().map_or(0, |service| service.memory.stops_counted);
            entry.last_stop = entry.last_stop.max(counted);
            std::mem::replace(&mut entry.record, service)
        })
    }

    pub(super) fn with_service<T>(
        &mut self,
        name: &ServiceName,
        f: impl FnOnce(&mut ServiceEntry) -> T,
    ) -> T {
        let entry = self.services.entry(name.clone()).or_default();
        let result = f(entry);
        if entry.is_empty() {
            self.services.remove(name);
        }
        result
    }

    pub(super) fn replace_instance(
        &mut self,
        at: &ClusterKey,
        id: InstanceId,
        instance: Option<Arc<Instance>>,
        hints: &mut Hints,
    ) -> Option<Arc<Instance>> {
        self.hint_capacity(at, hints);
        self.hint_services_on(at, id, hints);
        let zone_before = self.instances.get(&id).and_then(|entry| active_zone(&entry.record));
        let zone_after = instance.as_deref().and_then(active_zone);
        if zone_before != zone_after {
            self.hint_balanced(at, hints);
        }
        let Some(record) = instance else {
            self.fleet.remove(id);
            return self.instances.remove(&id).map(|entry| entry.record);
        };
        hints.insert(AgentHint::Instance(at.instance(id)));
        let connection = Connection::of(&record, self.lead.as_ref());
        self.fleet.upsert(fleet::instance(&record, connection.open));
        match self.instances.get_mut(&id) {
            Some(entry) => {
                entry.connection = connection;
                if connection.awaited_since.is_none() {
                    entry.untold.clear();
                }
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
                let zone = zone(&record).cloned();
                let (tasks, untold) = (BTreeSet::new(), BTreeSet::new());
                let entry = InstanceEntry { record, zone, connection, untold, tasks, running: 0, pending: 0 };
                self.instances.insert(id, entry);
                None
            }
        }
    }

    pub(super) fn replace_task(
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
            self.note_untold(id, old.as_deref(), new.as_deref());
            self.move_in_fleet(id, old.as_deref(), new.as_deref(), None);
            self.hint_place(at, id, old.as_deref(), new.as_deref(), hints);
        }
        Self::hint_task(at, old.as_deref(), new.as_deref(), hints);
        match new {
            Some(task) => self.tasks.insert(id, task),
            None => self.tasks.remove(&id),
        };
        old
    }

    /// Of a pool: follows a task of the cluster `home` that came to one of its instances, changed or went.
    pub(super) fn follow_guest(
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
        self.note_untold(id, old, new);
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
    pub(super) fn follow_waiting_guest(&mut self, service: ServiceKey, waits: bool) {
        if waits {
            self.waiting_guests.insert(service);
        } else {
            self.waiting_guests.remove(&service);
        }
    }

    /// A task that comes to an instance whose agent is awaited has not been told to anybody.
    fn note_untold(&mut self, id: TaskId, old: Option<&Task>, new: Option<&Task>) {
        let place = |task: Option<&Task>| task.and_then(|task| task.instance);
        if let (None, Some(instance)) = (place(old), place(new))
            && let Some(entry) = self.instances.get_mut(&instance)
            && entry.connection.awaited_since.is_some()
        {
            entry.untold.insert(id);
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
                entry.stopped.insert(id);
                if task.stop_number > 0 {
                    entry.stops.insert(task.stop_number, id);
                    entry.last_stop = entry.last_stop.max(task.stop_number);
                }
            } else {
                entry.active.insert(id);
            }
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
                entry.stops.remove(&task.stop_number);
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

    fn hint_task(at: &ClusterKey, old: Option<&Task>, new: Option<&Task>, hints: &mut Hints) {
        if let Some(service) = new.or(old).and_then(|task| task.origin.service.as_ref()) {
            hints.insert(Hint::Service(at.service(&service.name)));
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
                hints.insert(AgentHint::Work(at.instance(instance), id));
            }
        }
    }

    /// Capacity came, went or was freed.
    pub(super) fn hint_capacity(&mut self, at: &ClusterKey, hints: &mut Hints) {
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

    pub(super) fn hint_services_on(&self, at: &ClusterKey, instance: InstanceId, hints: &mut Hints) {
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
