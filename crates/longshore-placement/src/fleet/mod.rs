//! The container instances of one cluster and what occupies them.
//!
//! [`Fleet`] holds the truth: instances in numbered slots, their tasks, and how many tasks of each
//! group are where. Every change is noted in a log of slots; the views in `views` that make
//! placement quick catch up from it when they are next asked.

mod attributes;
mod gpus;
mod groups;
mod held;
mod log;
mod place;
mod pools;
mod shortage;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_base::{CpuUnits, InstanceId, MemoryMib, Port, Protocol, TaskId, Timestamp};

use crate::bits::Bits;
use crate::needs::{Launch, Needs, Status};
use crate::query::{Expression, Subject};
use attributes::{Attributes, ValueRef};
use groups::Groups;
use held::{Held, NeedsTable};
use log::Log;
use pools::Pools;
pub use shortage::Shortage;
use views::Views;

/// The most ports that an instance can have reserved at a time, its own included
/// (ecs-behaviour A10).
pub const RESERVED_PORTS_MAX: usize = 100;

/// The most GPUs of one instance that are told apart.
pub const GPUS_MAX: usize = 64;

/// A container instance as it registered: what it has, not what is left of it.
#[derive(Clone, Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub ec2_instance_id: Arc<str>,
    pub status: Status,
    pub connected: bool,
    pub launch: Launch,
    pub capacity_provider: Option<Arc<str>>,
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    pub reserved_tcp: Vec<Port>,
    pub reserved_udp: Vec<Port>,
    /// The ids of its GPUs; at most [`GPUS_MAX`] are used.
    pub gpus: Vec<Arc<str>>,
    /// How many network interfaces it can give to tasks; `None`: they are not counted.
    pub interfaces: Option<u32>,
    /// By name; a capability has no value.
    pub attributes: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// Empty if the agent sent none.
    pub agent_version: Arc<str>,
    pub registered_at: Timestamp,
}

/// What is left of an instance, as `remainingResources` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    /// In use, ascending: reserved ones and fixed host ports of tasks.
    pub ports_tcp: Vec<Port>,
    pub ports_udp: Vec<Port>,
    /// Still free.
    pub gpus: Vec<Arc<str>>,
}

/// Why a task cannot occupy an instance. Placement never leads here: it means that the caller
/// placed by other means, or on an older view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OccupyError {
    #[error("container instance {0} is not in the cluster")]
    NoInstance(InstanceId),
    #[error("task {0} occupies the instance already")]
    Twice(TaskId),
    #[error("not enough CPU units: {needed} needed, {left} left")]
    Cpu { needed: CpuUnits, left: CpuUnits },
    #[error("not enough memory: {needed} MiB needed, {left} MiB left")]
    Memory { needed: MemoryMib, left: MemoryMib },
    #[error("host port {0} is taken")]
    Port(Port),
    #[error("the instance has no room for more reserved ports")]
    PortCount,
    #[error("not enough GPUs: {needed} needed, {left} left")]
    Gpus { needed: u32, left: u32 },
    #[error("not enough network interfaces: {needed} needed, {left} left")]
    Interfaces { needed: u32, left: u32 },
}

/// The container instances of one cluster and what occupies them.
///
/// Reading and placing take `&self`; the indexes behind them are caches under a lock.
pub struct Fleet {
    slots: Vec<Slot>,
    by_id: HashMap<InstanceId, u32>,
    vacant: Vec<u32>,
    left: Columns,
    /// Slots with an instance; of these, whose status is ACTIVE, and whose agent is connected.
    live: Bits,
    active: Bits,
    connected: Bits,
    pools: Pools,
    attributes: Attributes,
    groups: Groups,
    needs: NeedsTable,
    /// Slots whose instance changed in anything but its tasks.
    changes: Log<u32>,
    /// Tasks that came, went, or ceased to count.
    traffic: Log<Traffic>,
    /// Counts changes of which instances there are and of their attributes.
    layout: u64,
    views: Mutex<Views>,
}

/// What is left of each slot's instance, as columns: the whole fleet is compared with a need in
/// a few microseconds. Zero for a vacant slot.
#[derive(Debug, Default)]
struct Columns {
    cpu: Vec<u32>,
    memory: Vec<u32>,
}

/// The tasks of a group on a slot changed, and by how many more or fewer count.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    slot: u32,
    group: u32,
    counting: i32,
}

/// One instance, or none, and its tasks.
#[derive(Debug, Default)]
struct Slot {
    /// Absent while the slot is vacant.
    instance: Option<Box<SlotInstance>>,
    cpu_used: u64,
    memory_used: u64,
    /// A bit per GPU in use.
    gpus_used: u64,
    gpus: u32,
    interfaces_used: u32,
    interfaces: Option<u32>,
    running: u32,
    tasks: Vec<Held>,
    /// Sorted; twice if two tasks were adopted with the same port.
    task_ports: Vec<(Protocol, Port)>,
}

#[derive(Debug)]
struct SlotInstance {
    id: InstanceId,
    ec2_instance_id: Arc<str>,
    status: Status,
    connected: bool,
    launch: Launch,
    capacity_provider: Option<Arc<str>>,
    cpu: CpuUnits,
    memory: MemoryMib,
    reserved: Vec<(Protocol, Port)>,
    gpus: Vec<Arc<str>>,
    attributes: Vec<ValueRef>,
    agent_version: Arc<str>,
    registered_at: Timestamp,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("instances", &self.len()).finish_non_exhaustive()
    }
}

impl Fleet {
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            by_id: HashMap::new(),
            vacant: Vec::new(),
            left: Columns::default(),
            live: Bits::default(),
            active: Bits::default(),
            connected: Bits::default(),
            pools: Pools::default(),
            attributes: Attributes::default(),
            groups: Groups::default(),
            needs: NeedsTable::default(),
            changes: Log::default(),
            traffic: Log::default(),
            layout: 0,
            views: Mutex::new(Views::default()),
        }
    }

    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many of them take tasks, or will again: those that are ACTIVE or DRAINING.
    pub fn open_len(&self) -> usize {
        self.len() - self.closed().len() as usize
    }

    pub fn contains(&self, id: InstanceId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Adds an instance, or replaces what is known of it. What occupies it stays, even if it
    /// registered anew with less than its tasks take.
    pub fn upsert(&mut self, instance: Instance) {
        let slot = match self.by_id.get(&instance.id) {
            Some(&slot) => slot,
            None => {
                let slot = self.vacant.pop().unwrap_or_else(|| {
                    self.slots.push(Slot::default());
                    self.left.cpu.push(0);
                    self.left.memory.push(0);
                    u32::try_from(self.slots.len() - 1).expect("fewer instances than u32 can number")
                });
                self.by_id.insert(instance.id, slot);
                self.layout += 1;
                slot
            }
        };
        let attributes = self.attributes.intern(&instance.attributes);
        let before = self.slots[slot as usize].instance.take();
        if let Some(before) = &before {
            self.pools.leave(slot, before.launch, before.capacity_provider.as_ref());
        }
        self.pools.join(slot, instance.launch, instance.capacity_provider.as_ref());
        let (old, old_gpus) = before.map(|before| (before.attributes, before.gpus)).unwrap_or_default();
        if old != attributes {
            self.layout += 1;
        }
        self.attributes.replace(slot, &old, &attributes);
        let mut reserved: Vec<(Protocol, Port)> =
            instance.reserved_tcp.iter().map(|&p| (Protocol::Tcp, p)).collect();
        reserved.extend(instance.reserved_udp.iter().map(|&p| (Protocol::Udp, p)));
        reserved.sort_unstable();
        reserved.dedup();
        let mut gpus = instance.gpus;
        gpus.truncate(GPUS_MAX);
        let place = &mut self.slots[slot as usize];
        place.gpus = gpus.len() as u32;
        place.interfaces = instance.interfaces;
        place.instance = Some(Box::new(SlotInstance {
            id: instance.id,
            ec2_instance_id: instance.ec2_instance_id,
            status: instance.status,
            connected: instance.connected,
            launch: instance.launch,
            capacity_provider: instance.capacity_provider,
            cpu: instance.cpu,
            memory: instance.memory,
            reserved,
            gpus,
            attributes,
            agent_version: instance.agent_version,
            registered_at: instance.registered_at,
        }));
        place.follow_gpus(&old_gpus);
        self.live.insert(slot);
        self.note_change(slot);
    }

    /// Takes an instance out, with all that occupied it. Nothing happens if there is none.
    pub fn remove(&mut self, id: InstanceId) {
        let Some(slot) = self.by_id.remove(&id) else { return };
        let place = std::mem::take(&mut self.slots[slot as usize]);
        for held in &place.tasks {
            self.groups.leave(held.group, slot, held.counts);
            self.needs.release(held.needs);
            self.note_traffic(slot, held.group, -i32::from(held.counts));
        }
        if let Some(instance) = place.instance {
            self.attributes.replace(slot, &instance.attributes, &[]);
            self.pools.leave(slot, instance.launch, instance.capacity_provider.as_ref());
        }
        self.vacant.push(slot);
        self.live.remove(slot);
        self.layout += 1;
        self.note_change(slot);
    }

    /// Whether its agent is connected.
    pub fn set_connected(&mut self, id: InstanceId, connected: bool) {
        self.set_open(id, |instance| instance.connected = connected);
    }

    pub fn set_status(&mut self, id: InstanceId, status: Status) {
        self.set_open(id, |instance| instance.status = status);
    }

    fn set_open(&mut self, id: InstanceId, change: impl FnOnce(&mut SlotInstance)) {
        let Some(slot) = self.by_id.get(&id).copied() else { return };
        let place = &mut self.slots[slot as usize];
        let Some(instance) = place.instance.as_deref_mut() else { return };
        change(instance);
        self.note_change(slot);
    }

    /// Lets a task occupy an instance, under its group: `service:web`, `family:job`, or the `group`
    /// of its RunTask.
    ///
    /// # Errors
    /// If that would promise more than the instance has left; then nothing changes.
    pub fn occupy(
        &mut self,
        id: InstanceId,
        task: TaskId,
        needs: &Needs,
        group: &str,
    ) -> Result<(), OccupyError> {
        let slot = self.by_id.get(&id).copied().ok_or(OccupyError::NoInstance(id))?;
        self.room_for(slot, needs)?;
        self.take(slot, task, needs, group, &[])
    }

    /// Lets a task that exists already occupy its instance, even beyond what is left: after a
    /// restart, the tasks of an instance that has registered with less since they were placed.
    /// `gpus` are those that it has; if nobody knows them, it gets such as no other task is known to have.
    ///
    /// # Errors
    /// If the instance is not there, or the task occupies it already.
    pub fn adopt(
        &mut self,
        id: InstanceId,
        task: TaskId,
        needs: &Needs,
        group: &str,
        gpus: &[Arc<str>],
    ) -> Result<(), OccupyError> {
        let slot = self.by_id.get(&id).copied().ok_or(OccupyError::NoInstance(id))?;
        self.take(slot, task, needs, group, gpus)
    }

    fn take(
        &mut self,
        slot: u32,
        task: TaskId,
        needs: &Needs,
        group: &str,
        gpus: &[Arc<str>],
    ) -> Result<(), OccupyError> {
        let place = &mut self.slots[slot as usize];
        let Err(at) = place.find(task) else { return Err(OccupyError::Twice(task)) };
        let group = self.groups.join(group, slot);
        let mut held = Held::new(task, group, self.needs.intern(needs));
        if gpus.is_empty() {
            held.any_gpus = needs.gpus.min(GPUS_MAX as u32) as u8;
        } else {
            held.set_gpu_mask(place.mask_of(gpus));
        }
        place.tasks.insert(at, held);
        if needs.gpus > 0 {
            place.count_gpus();
        }
        place.cpu_used += u64::from(needs.cpu.0);
        place.memory_used += u64::from(needs.memory.0);
        place.interfaces_used += needs.interfaces;
        for &(port, protocol) in &needs.ports {
            let key = (protocol, port);
            let at = place.task_ports.partition_point(|held| *held < key);
            place.task_ports.insert(at, key);
        }
        self.note_traffic(slot, group, 1);
        Ok(())
    }

    /// The task's desired status became STOPPED: it keeps its resources until it is, but no longer
    /// counts for `distinctInstance` and `spread`. Nothing happens if the task is not there.
    pub fn told_to_stop(&mut self, id: InstanceId, task: TaskId) {
        let Some((slot, at)) = self.locate(id, task) else { return };
        let held = &mut self.slots[slot as usize].tasks[at];
        if !held.counts {
            return;
        }
        held.counts = false;
        let group = held.group;
        self.groups.stop_counting(group, slot);
        self.note_traffic(slot, group, -1);
    }

    /// Whether the task's last status is RUNNING, for `runningTasksCount`.
    pub fn set_running(&mut self, id: InstanceId, task: TaskId, running: bool) {
        let Some((slot, at)) = self.locate(id, task) else { return };
        let place = &mut self.slots[slot as usize];
        let held = &mut place.tasks[at];
        if held.running != running {
            held.running = running;
            if running { place.running += 1 } else { place.running -= 1 }
        }
    }

    /// The task is STOPPED: its resources are free again. Nothing happens if it is not there.
    pub fn vacate(&mut self, id: InstanceId, task: TaskId) {
        let Some((slot, at)) = self.locate(id, task) else { return };
        let place = &mut self.slots[slot as usize];
        let held = place.tasks.remove(at);
        let needs = self.needs.get(held.needs);
        place.cpu_used -= u64::from(needs.cpu.0);
        place.memory_used -= u64::from(needs.memory.0);
        place.interfaces_used -= needs.interfaces;
        for &(port, protocol) in &needs.ports {
            if let Ok(at) = place.task_ports.binary_search(&(protocol, port)) {
                place.task_ports.remove(at);
            }
        }
        if needs.gpus > 0 {
            place.count_gpus();
        }
        place.running -= u32::from(held.running);
        self.needs.release(held.needs);
        self.groups.leave(held.group, slot, held.counts);
        self.note_traffic(slot, held.group, -i32::from(held.counts));
    }

    /// What is left of an instance; `None` if it is not there. Never below zero.
    pub fn remaining(&self, id: InstanceId) -> Option<Remaining> {
        let at = *self.by_id.get(&id)?;
        let slot = &self.slots[at as usize];
        let instance = slot.instance.as_deref()?;
        let ports = |wanted: Protocol| {
            let mut ports: Vec<Port> = instance
                .reserved
                .iter()
                .chain(&slot.task_ports)
                .filter(|(protocol, _)| *protocol == wanted)
                .map(|&(_, port)| port)
                .collect();
            ports.sort_unstable();
            ports.dedup();
            ports
        };
        let free = |at: usize| slot.gpus_used & (1 << at) == 0;
        Some(Remaining {
            cpu: CpuUnits(self.left.cpu[at as usize]),
            memory: MemoryMib(self.left.memory[at as usize]),
            ports_tcp: ports(Protocol::Tcp),
            ports_udp: ports(Protocol::Udp),
            gpus: instance
                .gpus
                .iter()
                .enumerate()
                .filter(|&(at, _)| free(at))
                .map(|(_, gpu)| gpu.clone())
                .collect(),
        })
    }

    /// Says which GPUs a task has, after the instance's list of them has changed. Those that the instance does not
    /// have any more are left out. Nothing happens if the task is not there, or if nobody knows which it has.
    pub fn set_gpus(&mut self, id: InstanceId, task: TaskId, gpus: &[Arc<str>]) {
        let Some((slot, at)) = self.locate(id, task) else { return };
        if gpus.is_empty() {
            return;
        }
        let place = &mut self.slots[slot as usize];
        let mask = place.mask_of(gpus);
        place.tasks[at].any_gpus = 0;
        place.tasks[at].set_gpu_mask(mask);
        place.count_gpus();
    }

    /// The GPUs that a task was given on its instance.
    pub fn gpus_of(&self, id: InstanceId, task: TaskId) -> Vec<Arc<str>> {
        let Some((slot, at)) = self.locate(id, task) else { return Vec::new() };
        let place = &self.slots[slot as usize];
        let mask = place.tasks[at].gpu_mask();
        let gpus = place.instance.as_deref().map(|instance| instance.gpus.as_slice()).unwrap_or_default();
        gpus.iter().enumerate().filter(|&(at, _)| mask & (1 << at) != 0).map(|(_, gpu)| gpu.clone()).collect()
    }

    /// How many tasks occupy an instance, and how many of them are RUNNING.
    pub fn task_counts(&self, id: InstanceId) -> (usize, usize) {
        self.slot(id).map_or((0, 0), |slot| (slot.tasks.len(), slot.running as usize))
    }

    /// How many tasks of a group that are meant to run are on an instance.
    pub fn group_count(&self, id: InstanceId, group: &str) -> u32 {
        match (self.by_id.get(&id), self.groups.find(group)) {
            (Some(&slot), Some(group)) => self.groups.counting(group, slot),
            (None, _) | (_, None) => 0,
        }
    }

    /// The value of an attribute: `None` if the instance lacks it, empty if it has no value.
    pub fn attribute(&self, id: InstanceId, name: &str) -> Option<&str> {
        let instance = self.slot(id)?.instance.as_deref()?;
        self.attributes.value(&instance.attributes, name)
    }

    /// Whether an instance satisfies an expression; `false` if it is not there.
    pub fn matches(&self, id: InstanceId, expression: &Expression) -> bool {
        self.subject(id).is_some_and(|subject| expression.matches(&subject))
    }

    fn subject(&self, id: InstanceId) -> Option<SlotSubject<'_>> {
        self.by_id.get(&id).and_then(|&slot| self.slot_subject(slot))
    }

    fn slot_subject(&self, at: u32) -> Option<SlotSubject<'_>> {
        let slot = &self.slots[at as usize];
        slot.instance.as_deref().map(|instance| SlotSubject { fleet: self, slot, instance })
    }

    fn slot(&self, id: InstanceId) -> Option<&Slot> {
        self.by_id.get(&id).map(|&slot| &self.slots[slot as usize])
    }

    fn locate(&self, id: InstanceId, task: TaskId) -> Option<(u32, usize)> {
        let slot = *self.by_id.get(&id)?;
        let at = self.slots[slot as usize].find(task).ok()?;
        Some((slot, at))
    }

    /// The instance of a slot changed: brings up to date what the fleet keeps of it in columns.
    fn note_change(&mut self, slot: u32) {
        let instance = self.slots[slot as usize].instance.as_deref();
        self.active.set(slot, instance.is_some_and(|i| i.status == Status::Active));
        self.connected.set(slot, instance.is_some_and(|i| i.connected));
        self.refresh(slot);
        self.changes.push(slot, self.slots.len());
    }

    /// The tasks of a slot changed, and by how many more or fewer of the group count.
    fn note_traffic(&mut self, slot: u32, group: u32, counting: i32) {
        self.refresh(slot);
        self.traffic.push(Traffic { slot, group, counting }, self.slots.len());
    }

    /// Recomputes what is left after a change of capacity or use.
    fn refresh(&mut self, slot: u32) {
        let place = &self.slots[slot as usize];
        let (cpu, memory) = place.instance.as_deref().map_or((0, 0), |i| (i.cpu.0, i.memory.0));
        self.left.cpu[slot as usize] = left(cpu, place.cpu_used);
        self.left.memory[slot as usize] = left(memory, place.memory_used);
    }

    /// The first resource that falls short, in the order CPU, MEMORY, PORTS, GPU, ENI.
    fn room_for(&self, slot: u32, needs: &Needs) -> Result<(), OccupyError> {
        let (cpu, memory) = (self.left.cpu[slot as usize], self.left.memory[slot as usize]);
        if needs.cpu.0 > cpu {
            return Err(OccupyError::Cpu { needed: needs.cpu, left: CpuUnits(cpu) });
        }
        if needs.memory.0 > memory {
            return Err(OccupyError::Memory { needed: needs.memory, left: MemoryMib(memory) });
        }
        let place = &self.slots[slot as usize];
        place.ports_free(&needs.ports)?;
        if needs.gpus > place.gpus_left() {
            return Err(OccupyError::Gpus { needed: needs.gpus, left: place.gpus_left() });
        }
        if needs.interfaces > place.interfaces_left() {
            let left = place.interfaces_left();
            return Err(OccupyError::Interfaces { needed: needs.interfaces, left });
        }
        Ok(())
    }

    /// The views. A panic while they were being changed leaves them in doubt; they are rebuilt.
    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            let mut views = poisoned.into_inner();
            *views = Views::default();
            self.views.clear_poison();
            views
        })
    }
}

impl Slot {
    fn find(&self, task: TaskId) -> Result<usize, usize> {
        self.tasks.binary_search_by_key(&task.bits(), Held::task_bits)
    }

    fn gpus_left(&self) -> u32 {
        self.gpus.saturating_sub(self.gpus_used.count_ones())
    }

    fn interfaces_left(&self) -> u32 {
        self.interfaces.map_or(u32::MAX, |has| has.saturating_sub(self.interfaces_used))
    }

    fn ports_free(&self, ports: &[(Port, Protocol)]) -> Result<(), OccupyError> {
        if ports.is_empty() {
            return Ok(());
        }
        let reserved = self.instance.as_deref().map(|i| i.reserved.as_slice()).unwrap_or_default();
        for (at, &(port, protocol)) in ports.iter().enumerate() {
            let key = (protocol, port);
            if reserved.binary_search(&key).is_ok()
                || self.task_ports.binary_search(&key).is_ok()
                || ports[..at].contains(&(port, protocol))
            {
                return Err(OccupyError::Port(port));
            }
        }
        if reserved.len() + self.task_ports.len() + ports.len() > RESERVED_PORTS_MAX {
            return Err(OccupyError::PortCount);
        }
        Ok(())
    }
}

fn left(capacity: u32, used: u64) -> u32 {
    u32::try_from(u64::from(capacity).saturating_sub(used)).expect("no more than the capacity")
}

/// An instance as the query language sees it.
struct SlotSubject<'a> {
    fleet: &'a Fleet,
    slot: &'a Slot,
    instance: &'a SlotInstance,
}

impl Subject for SlotSubject<'_> {
    fn agent_connected(&self) -> bool {
        self.instance.connected
    }

    fn agent_version(&self) -> &str {
        &self.instance.agent_version
    }

    fn ec2_instance_id(&self) -> &str {
        &self.instance.ec2_instance_id
    }

    fn registered_at(&self) -> Timestamp {
        self.instance.registered_at
    }

    fn running_tasks_count(&self) -> u32 {
        self.slot.running
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.fleet.attributes.value(&self.instance.attributes, name)
    }

    fn any_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.slot.tasks.iter().any(|held| test(self.fleet.groups.name(held.group)))
    }
}
