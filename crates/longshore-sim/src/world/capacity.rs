//! Independent checks of where tasks are: those of a cluster on its instances, those of Fargate in their region's pool,
//! each at an address of its own; of what strategies promise; and of how Spot tasks end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{InstanceId, TaskId};
use longshore_domain::status::ClusterStatus;
use longshore_domain::status::ProviderStatus;
use longshore_domain::{DesiredStatus, InstanceStatus, LaunchType, RolloutState, ServiceStatus, StopCode};
use longshore_state::Changes;
use longshore_tables_ecs::ClusterKey;
use longshore_tables_ecs::key::ProviderKey;
use longshore_tables_ecs::record::{
    Capacity, CapacityProvider, Cluster, Instance, Service, StrategyItem, Task,
};
use serde_json::Value as Json;

use super::World;
use super::machine::subnet;
use crate::images::{Image, Kind};

const SPOT: &str = "FARGATE_SPOT";
/// What users read of an interrupted task (ecs-engine D3, "Ends").
const INTERRUPTED: &str = "Your Spot Task was interrupted.";

fn is_fargate(provider: &str) -> bool {
    provider == "FARGATE" || provider == SPOT
}

/// The cluster or the pool that has the instance of a task of the cluster `at`.
pub(super) fn host_of(at: &ClusterKey, task: &Task) -> ClusterKey {
    match task.origin.launch_type {
        LaunchType::Fargate => ClusterKey::pool(at.scope.region.clone()),
        LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances => at.clone(),
    }
}

/// Why `started` cannot be the turn of each provider, where `taken` are all tasks, the started ones included. What was
/// started by weight has the smallest share beyond its base in relation to its weight, whatever came after it.
pub(super) fn unfair(items: &[StrategyItem], taken: &[&str], started: &[&str]) -> Option<String> {
    let count =
        |of: &[&str], item: &StrategyItem| of.iter().filter(|name| ***name == *item.provider).count() as u64;
    for item in items {
        let (base, weight) = (u64::from(item.base), u64::from(item.weight));
        let has = count(taken, item);
        if count(started, item) == 0 || has <= base {
            continue;
        }
        for other in items.iter().filter(|other| other.provider != item.provider) {
            let (others, others_base) = (count(taken, other), u64::from(other.base));
            if others < others_base {
                let text = format!(
                    "{} gets tasks while {} has {others} of its base {others_base}",
                    item.provider, other.provider
                );
                return Some(text);
            }
            let turn = (has - base) * u64::from(other.weight) <= (others - others_base + 1) * weight;
            if weight == 0 || (other.weight > 0 && !turn) {
                let text = format!(
                    "{} has {has} tasks (base {base}, weight {weight}) and {} has {others} (base {others_base}, weight {})",
                    item.provider, other.provider, other.weight
                );
                return Some(text);
            }
        }
    }
    None
}

impl World {
    /// A task of a transaction, and what it was before.
    pub(super) fn watch_place(&mut self, at: &ClusterKey, before: Option<&Task>, task: &Task) {
        let provider = task.origin.capacity_provider.as_deref();
        let pooled = task.origin.launch_type == LaunchType::Fargate;
        if provider.is_some_and(|provider| is_fargate(provider) != pooled) {
            let text = format!("task {} is {} by {provider:?}", task.id, task.origin.launch_type);
            return self.fail("capacity", text);
        }
        if before.is_none_or(|before| before.instance.is_none())
            && let Some(instance) = task.instance
            && let Err((rule, text)) = self.judge_place(at, task, instance)
        {
            return self.fail(rule, text);
        }
        let interrupted = |task: &Task| task.stop_code == Some(StopCode::SpotInterruption);
        if interrupted(task) && !before.is_some_and(interrupted) {
            let drains = task.instance.and_then(|id| self.status_of(&host_of(at, task), id))
                == Some(InstanceStatus::Draining);
            if provider != Some(SPOT) || !drains || task.stopped_reason.as_deref() != Some(INTERRUPTED) {
                let reason = &task.stopped_reason;
                let text = format!(
                    "task {} by {provider:?} is interrupted, its instance drains: {drains}, {reason:?}",
                    task.id
                );
                self.fail("spot", text);
            }
        }
    }

    fn status_of(&self, host: &ClusterKey, id: InstanceId) -> Option<InstanceStatus> {
        let records = &self.server.up.as_ref()?.records;
        records.get::<Instance>(&host.instance(id)).map(|instance| instance.status)
    }

    /// A task has come to an instance.
    fn judge_place(
        &self,
        at: &ClusterKey,
        task: &Task,
        id: InstanceId,
    ) -> Result<(), (&'static str, String)> {
        let host = host_of(at, task);
        let name = format!("task {} ({}, {})", task.id, task.origin.family, task.origin.launch_type);
        let Some(status) = self.status_of(&host, id) else {
            return Err((
                "isolation",
                format!("{name} of {} is on {id}, which is none of {}", at.cluster, host.cluster),
            ));
        };
        if host.is_pool() && status != InstanceStatus::Active {
            return Err(("capacity", format!("{name} comes to {id}, which is {status}")));
        }
        let Some((image, kind)) = Image::and_kind(task.origin.family.as_str()) else { return Ok(()) };
        if kind == Kind::Fargate && (task.origin.needs.cpu.0, task.origin.needs.memory.0) != image.size() {
            let text = format!(
                "{name} holds CPU {} and memory {}",
                task.origin.needs.cpu.0, task.origin.needs.memory.0
            );
            return Err(("capacity", text));
        }
        let machine = (0..self.machines.len()).find(|&index| self.instance_id(index) == Some(id));
        match (&task.interface, machine) {
            (None, _) if image.is_awsvpc(kind) => Err(("addresses", format!("{name} has no address"))),
            (Some(interface), Some(index)) => {
                let net = subnet(self.machines[index].setup);
                let reserved: [Option<Ipv4Addr>; 3] = [Some(net.first()), net.nth(1), Some(net.last())];
                let address = interface.address;
                if net.contains(address) && !reserved.contains(&Some(address)) {
                    return Ok(());
                }
                Err(("addresses", format!("{name} has {address}, which m{index} cannot give")))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// After a transaction: who drains a machine of the pool leaves no Spot task on it, and no provider goes that is
    /// needed.
    pub(super) fn watch_capacity(&mut self, changes: &Changes) {
        for (key, after) in changes.of::<Instance>().filter(|(key, _)| key.cluster.is_pool()) {
            if after.is_some_and(|instance| instance.status == InstanceStatus::Draining)
                && let Some(task) = self.spared(key.instance)
            {
                let text = format!("instance {} drains, and Spot task {task} stays on it", key.instance);
                self.fail("spot", text);
            }
        }
        if changes.touches::<Cluster>()
            || changes.touches::<CapacityProvider>()
            || changes.touches::<Service>()
        {
            self.check_providers();
        }
    }

    /// A Spot task that is to go on running on an instance.
    fn spared(&self, id: InstanceId) -> Option<TaskId> {
        let mut tasks = self.server.up.as_ref()?.records.of::<Task>().map(|(_, task)| task);
        let stays = |task: &&Arc<Task>| {
            task.instance == Some(id)
                && task.origin.capacity_provider.as_deref() == Some(SPOT)
                && task.desired_status == DesiredStatus::Running
        };
        tasks.find(stays).map(|task| task.id)
    }

    /// Each cluster's providers are there, and each ACTIVE service's are its cluster's (ecs-operations B1).
    fn check_providers(&mut self) {
        let Some(running) = &self.server.up else { return };
        let mut wrong = None;
        for at in &self.clusters {
            let Some(cluster) = running.records.get::<Cluster>(at) else { continue };
            if cluster.status != ClusterStatus::Active {
                continue;
            }
            for name in &cluster.capacity_providers {
                let key = ProviderKey::new(at.scope.clone(), &**name);
                let record = running.records.get::<CapacityProvider>(&key);
                let active = record.is_some_and(|own| own.status == ProviderStatus::Active);
                if !active && !is_fargate(name) {
                    wrong = Some(format!("cluster {} has the provider {name}, which is gone", at.cluster));
                }
            }
            for (_, service) in running.records.of::<Service>().filter(|(key, _)| key.cluster == *at) {
                if service.status != ServiceStatus::Active {
                    continue;
                }
                let Capacity::Strategy(items) = &service.capacity else { continue };
                if let Some(item) =
                    items.iter().find(|item| !cluster.capacity_providers.contains(&item.provider))
                {
                    let (name, provider) = (&service.name, &item.provider);
                    wrong = Some(format!("service {name} uses {provider}, which its cluster does not have"));
                }
            }
        }
        if let Some(text) = wrong {
            self.fail("providers", text);
        }
    }

    /// The tasks of a RunTask are shared out as its strategy says.
    pub(super) fn check_shares(&mut self, items: &[StrategyItem], answer: &Json) {
        let tasks: Vec<&Json> = answer["tasks"].as_array().into_iter().flatten().collect();
        // A repeated call names tasks of which no more is known.
        let named: Option<Vec<&str>> =
            tasks.iter().map(|task| task["capacityProviderName"].as_str()).collect();
        if let Some(taken) = named.filter(|_| !items.is_empty())
            && let Some(text) = unfair(items, &taken, &taken)
        {
            self.fail("weights", format!("RunTask: {text}"));
        }
    }

    /// A task of a cluster whose instances a machine is one of, or of Fargate in the machine's region.
    pub(super) fn is_at_home(&self, index: usize, id: TaskId) -> bool {
        let host = self.host_of(index);
        let stored = |at: &ClusterKey| self.server.stored.get::<Task>(&at.task(id));
        self.clusters.iter().any(|at| stored(at).is_some_and(|task| host_of(at, task) == *host))
    }

    /// At rest: where a service of Fargate that lacks tasks could have one, in words.
    pub(super) fn room_in_pool(&self, at: &ClusterKey, service: &Service) -> Option<String> {
        let primary = service.deployments.iter().find(|own| own.primary)?;
        let (image, kind) = Image::and_kind(primary.task_definition.0.as_str())?;
        // A constraint may rule out every machine that has room; and of a FAILED one it is the predecessor that starts
        // tasks, which may be larger.
        let constrained = !service.placement_constraints.is_empty();
        let failed = primary.rollout_state == RolloutState::Failed;
        if !primary.capacity.is_fargate() || kind != Kind::Fargate || constrained || failed {
            return None;
        }
        let records = &self.server.up.as_ref()?.records;
        let live = || {
            let tasks = records.of::<Task>().filter(|(_, task)| !task.last_status.is_stopped());
            tasks.map(|(key, task)| (&key.cluster, task))
        };
        let own = live().filter(|(of, task)| {
            *of == at && task.origin.service.as_ref().is_some_and(|own| own.deployment == primary.id)
        });
        if own.count() as u64 >= u64::from(service.desired_count) {
            return None;
        }
        let (cpu, memory) = image.size();
        for (index, machine) in self.machines.iter().enumerate() {
            let serves =
                machine.alive && machine.setup.pool && self.host_of(index).scope.region == at.scope.region;
            let Some(instance) = self.instance_of(index).filter(|_| serves) else { continue };
            if instance.status != InstanceStatus::Active {
                continue;
            }
            let mut held: BTreeMap<&str, u32> = BTreeMap::new();
            for (_, task) in live().filter(|(_, task)| task.instance == Some(instance.id)) {
                *held.entry("cpu").or_default() += task.origin.needs.cpu.0;
                *held.entry("memory").or_default() += task.origin.needs.memory.0;
                *held.entry("addresses").or_default() += 1;
            }
            let left = |what: &str, all: u32| all.saturating_sub(held.get(what).copied().unwrap_or_default());
            // Three addresses are nobody's: the network's first and last one and the gateway's.
            let addresses = left("addresses", (1 << (32 - machine.setup.prefix)) - 3);
            if left("cpu", instance.cpu) >= cpu && left("memory", instance.memory) >= memory && addresses > 0
            {
                return Some(format!("m{index} has room for it"));
            }
        }
        None
    }
}
