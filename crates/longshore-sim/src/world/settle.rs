//! Whether everything has come to rest, once faults have ceased (design, promise 5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longshore_base::{ContainerName, DeploymentId, InstanceId, TaskId};
use longshore_controllers::service;
use longshore_domain::status::DeploymentController;
use longshore_domain::{DesiredStatus, SchedulingStrategy, ServiceStatus, TaskStatus};
use longshore_engine::input::ObservedStatus;
use longshore_rollout::{TaskSetStatus, Waiting};
use longshore_runtime::port::LabelFilter;
use longshore_state::State;
use longshore_tables_ecs::record::{Instance, Service, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, view};

use super::World;
use super::rollouts::share_of;
use crate::images::Image;

/// How long a task may be on its way when nothing is wrong: two pulls, and a queue for resources.
const MOVING_MAX: Duration = Duration::from_secs(120);

impl World {
    /// What is not yet at rest, in words.
    pub(super) fn unsettled(&self) -> Vec<String> {
        let Some(running) = &self.server.up else { return vec!["the server is down".into()] };
        let now = self.server_now();
        let mut open = Vec::new();
        self.unsettled_machines(&running.state, &mut open);
        self.unsettled_roles(&mut open);
        for (_, task) in running.records.of::<Task>().filter(|(_, task)| !task.last_status.is_stopped()) {
            let moves = task.desired_status == DesiredStatus::Stopped || task.last_status.is_pending();
            let since = task.stopping_at.unwrap_or(task.created_at);
            let may_move = self.watch.restless.contains(&task.id) || task.last_status.is_pending();
            if moves && !(may_move && now.since(since) < MOVING_MAX) {
                let (id, wish, status) = (task.id, task.desired_status, task.last_status);
                open.push(format!("task {id} shall be {wish} and is {status}"));
            }
        }
        for (key, service) in running.records.of::<Service>() {
            self.unsettled_service(&running.state, &key.cluster, service, &mut open);
        }
        open
    }

    fn unsettled_machines(&self, state: &State, open: &mut Vec<String>) {
        for (index, machine) in self.machines.iter().enumerate().filter(|(_, machine)| machine.alive) {
            if self.instance_id(index).is_some_and(|id| self.watch.retired.contains(&id)) {
                // It was deregistered: its agent stays away, once it has ended what nobody wants any more. One that comes
                // back when its instance is forgotten cannot know that it was, and leaves things as they are.
                let left = self.found_on(index);
                if machine.was_dismissed && !left.is_empty() {
                    let names: Vec<String> = left.iter().map(|(id, name)| format!("{id}/{name}")).collect();
                    open.push(format!(
                        "m{index} was deregistered and runs the containers [{}]",
                        names.join(" ")
                    ));
                }
                continue;
            }
            let instance = self.instance_of(index);
            if let Some(reason) = &machine.given_up {
                open.push(format!("m{index}'s agent has given up: {reason:?}"));
                continue;
            }
            let connected = machine.agent.as_ref().is_some_and(|agent| agent.core.is_connected());
            let Some(instance) = instance.filter(|_| connected) else {
                open.push(format!("m{index}'s agent is not connected"));
                continue;
            };
            let entry =
                state.ecs().cluster(self.host_of(index)).and_then(|cluster| cluster.instance(instance.id));
            if !entry.is_some_and(|entry| entry.connection.open) {
                open.push(format!("the server does not know that m{index} is connected"));
            }
            let (mut wanted, mut found) = (self.wanted_on(instance.id), self.found_on(index));
            // Containers that come and go all the time are always seen by one before the other.
            wanted.retain(|(id, _)| !self.watch.restless.contains(id));
            found.retain(|(id, _)| !self.watch.restless.contains(id));
            if wanted != found {
                let only = |a: &BTreeSet<(TaskId, String)>, b: &BTreeSet<(TaskId, String)>| {
                    a.difference(b).map(|(id, name)| format!("{id}/{name}")).collect::<Vec<_>>().join(" ")
                };
                let (missing, extra) = (only(&wanted, &found), only(&found, &wanted));
                open.push(format!("m{index} lacks the containers [{missing}] and runs [{extra}] too many"));
            }
        }
    }

    /// The instance that a machine is, as far as its agent knows.
    pub(super) fn instance_of(&self, index: usize) -> Option<&Instance> {
        let id = self.instance_id(index)?;
        let instance = self.server.up.as_ref()?.records.get::<Instance>(&self.host_of(index).instance(id))?;
        Some(instance)
    }

    /// The cluster or the pool that a machine is of.
    pub(super) fn host_of(&self, machine: usize) -> &ClusterKey {
        &self.places[self.machines[machine].place]
    }

    pub(super) fn instance_id(&self, index: usize) -> Option<InstanceId> {
        InstanceId::parse(self.machines[index].instance.as_deref()?.rsplit('/').next()?).ok()
    }

    /// Containers that run on an instance, by the records.
    fn wanted_on(&self, instance: InstanceId) -> BTreeSet<(TaskId, String)> {
        let tasks = self.server.up.iter().flat_map(|running| running.records.of::<Task>());
        let tasks = tasks.map(|(_, task)| task);
        let tasks = tasks.filter(|task| task.instance == Some(instance) && !task.last_status.is_stopped());
        let running = |status| status == longshore_domain::ContainerStatus::Running;
        tasks
            .flat_map(|task| {
                let own = task.containers.iter().filter(move |own| running(own.last_status));
                let names: Vec<String> = own.map(|own| own.name.to_string()).collect();
                // The network is there as long as any container runs in it.
                let has_network = task.interface.is_some() && !names.is_empty();
                let pause = has_network.then(|| ContainerName::pause().to_string());
                names.into_iter().chain(pause).map(|name| (task.id, name))
            })
            .collect()
    }

    fn found_on(&self, index: usize) -> BTreeSet<(TaskId, String)> {
        let found = self.machines[index].docker.world.list(&LabelFilter::default());
        let running = found.into_iter().filter(|found| found.observation.status == ObservedStatus::Running);
        let orphans = &self.machines[index].orphans;
        running
            .filter_map(|found| {
                let id = TaskId::parse(found.container.task.arn().rsplit('/').next()?).ok()?;
                let id = (!orphans.contains(&id)).then_some(id)?;
                Some((id, found.container.name.to_string()))
            })
            .collect()
    }

    /// A service is steady, or it says what it waits for and that is something which time does not bring.
    fn unsettled_service(&self, state: &State, at: &ClusterKey, service: &Service, open: &mut Vec<String>) {
        match service.status {
            ServiceStatus::Inactive => return,
            ServiceStatus::Draining => return open.push(format!("service {} is DRAINING", service.name)),
            ServiceStatus::Active => {}
        }
        let name = &service.name;
        let key = at.service(name);
        let waiting = service::explain(state, &key, &self.setup.controllers, self.server_now());
        let steady = self.is_steady(at, service);
        if steady && waiting.is_empty() {
            return;
        }
        if waiting.is_empty() {
            return open.push(format!("service {name} is not steady and does not say why"));
        }
        let sets = self.server.up.iter().flat_map(|running| view::task_sets(&running.records, &key));
        let deployments = service.deployments.iter().map(|own| own.task_definition.0.as_str());
        let families: Vec<&str> = sets.map(|set| set.task_definition.0.as_str()).chain(deployments).collect();
        // Images that do not work never come to rest; that the service says so is enough.
        if !families.iter().all(|family| Image::of_family(family).is_some_and(Image::is_good)) {
            return;
        }
        let family = families.join(", ");
        let stuck = |waiting: &Waiting| match waiting {
            Waiting::Placement { .. }
            | Waiting::InstanceFull { .. }
            | Waiting::Bounds { .. }
            | Waiting::MinimumHealthy { .. }
            | Waiting::DeploymentFailed { .. }
            | Waiting::Protection { .. } => true,
            Waiting::TasksToStart { .. }
            | Waiting::TasksToBecomeHealthy { .. }
            | Waiting::TasksUnhealthy { .. }
            | Waiting::TasksToStop { .. }
            | Waiting::NextRound { .. }
            | Waiting::Throttle { .. }
            | Waiting::BakeTime { .. }
            | Waiting::NoDeployment => false,
        };
        if waiting.iter().any(stuck) {
            let placement = waiting.iter().any(|own| matches!(own, Waiting::Placement { .. }));
            if let Some(room) = self.room_in_pool(at, service).filter(|_| placement) {
                open.push(format!("service {name} ({family}) waits for the pool, and {room}"));
            }
            // Whoever asks for the service's events has to find the reason there as well.
            let said = state.ecs().cluster(at).and_then(|cluster| cluster.service(name)).is_some();
            if said && service.events_total == 0 {
                open.push(format!("service {name} waits, and no event says why"));
            }
        } else {
            let waiting: Vec<String> = waiting.iter().map(ToString::to_string).collect();
            open.push(format!("service {name} ({family}): {}", waiting.join(", ")));
        }
    }

    /// Every task set has its share, and no set is on its way out.
    fn sets_are_steady(&self, at: &ClusterKey, service: &Service) -> bool {
        let Some(running) = &self.server.up else { return false };
        let mut shares: BTreeMap<DeploymentId, u64> = BTreeMap::new();
        for set in view::task_sets(&running.records, &at.service(&service.name)) {
            if set.status == TaskSetStatus::Draining {
                return false;
            }
            shares.insert(set.id, share_of(service, set));
        }
        let mut found: BTreeMap<DeploymentId, u64> = shares.keys().map(|&id| (id, 0)).collect();
        for (_, task) in running.records.of::<Task>().filter(|(of, _)| of.cluster == *at) {
            let Some(own) = task.origin.service.as_ref().filter(|own| own.name == service.name) else {
                continue;
            };
            match found.get_mut(&own.deployment) {
                _ if task.last_status.is_stopped() => {}
                Some(count) if task.last_status == TaskStatus::Running => *count += 1,
                Some(_) | None => return false,
            }
        }
        found == shares
    }

    fn is_steady(&self, at: &ClusterKey, service: &Service) -> bool {
        if service.controller == DeploymentController::External {
            return self.sets_are_steady(at, service);
        }
        let Some(primary) = service.deployments.iter().find(|own| own.primary) else { return false };
        let tasks = self.server.up.iter().flat_map(|running| running.records.of::<Task>());
        let mut count = 0;
        for (_, task) in tasks.filter(|(of, _)| of.cluster == *at) {
            let Some(own) = task.origin.service.as_ref().filter(|own| own.name == service.name) else {
                continue;
            };
            if task.last_status.is_stopped() {
                continue;
            }
            if own.deployment != primary.id || task.last_status != TaskStatus::Running {
                return false;
            }
            count += 1;
        }
        match service.scheduling {
            SchedulingStrategy::Replica => count == service.desired_count,
            SchedulingStrategy::Daemon => true,
        }
    }
}
