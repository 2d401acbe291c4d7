//! A tiny cluster around one service: applies plans, lets tasks start, settle, fail and stop.
#![allow(dead_code, reason = "each test file uses its own part of the world")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{CpuUnits, DeploymentId, InstanceId, MemoryMib, Seed, ServiceName, TaskId, Timestamp};
use longshore_domain::status::{DesiredStatus, HealthStatus, RolloutState, ServiceStatus, TaskStatus};
use longshore_rollout::*;

pub struct World {
    pub view: ServiceView,
    pub now: Timestamp,
    pub instances: Vec<Instance>,
    /// The most tasks that the cluster holds.
    pub capacity: usize,
    /// New tasks have a container health check.
    pub checked: bool,
    /// All messages, oldest first.
    pub messages: Vec<String>,
    /// Status of the service deployments, by the deployment they were created for.
    pub service_deployments: BTreeMap<DeploymentId, (ServiceDeploymentStatus, Option<String>)>,
    pub stopped_for: BTreeMap<TaskId, StopReason>,
    drawn: u64,
}

pub struct Instance {
    pub id: InstanceId,
    pub zone: Arc<str>,
    pub draining: bool,
}

pub fn deployment_id(n: u64) -> DeploymentId {
    DeploymentId::from_bits(n)
}

pub fn revision_id(n: u64) -> DeploymentId {
    DeploymentId::from_bits(1_000_000 + n)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn instance_id(n: u128) -> InstanceId {
    InstanceId::from_bits(n)
}

impl World {
    /// A service that was just created, on three instances in three zones.
    pub fn new(desired: u32, min: u32, max: u32) -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let instances = (1..=3)
            .map(|n: u128| Instance { id: instance_id(n), zone: format!("z{n}").into(), draining: false })
            .collect();
        let mut world = Self {
            view: ServiceView {
                name: ServiceName::parse("web").expect("a valid name"),
                status: ServiceStatus::Active,
                scheduling: Scheduling::Replica,
                desired_count: desired,
                minimum_healthy_percent: min,
                maximum_percent: max,
                circuit_breaker: CircuitBreaker::default(),
                alarms: Alarms::default(),
                bake_time: Duration::ZERO,
                grace_period: Duration::ZERO,
                zone_rebalancing: false,
                zones: Vec::new(),
                rebalancing: None,
                strategies: Vec::new(),
                settings: Settings::default(),
                deployments: Vec::new(),
                last_completed: None,
                tasks: Vec::new(),
                stopped: Vec::new(),
                refusals: Vec::new(),
                throttle: Throttle::default(),
                fallback_throttle: Throttle::default(),
                memory: EventMemory::default(),
            },
            now,
            instances,
            capacity: usize::MAX,
            checked: false,
            messages: Vec::new(),
            service_deployments: BTreeMap::new(),
            stopped_for: BTreeMap::new(),
            drawn: 0,
        };
        world.update();
        world
    }

    /// A service whose first deployment is complete.
    pub fn running(desired: u32, min: u32, max: u32) -> Self {
        let mut world = Self::new(desired, min, max);
        world.calm();
        assert_eq!(world.primary().rollout, RolloutState::Completed);
        world.messages.clear();
        world
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    pub fn primary(&self) -> &DeploymentView {
        let mut primaries = self.view.deployments.iter().filter(|it| it.role == DeploymentRole::Primary);
        primaries.next().expect("a service has a PRIMARY deployment")
    }

    pub fn primary_mut(&mut self) -> &mut DeploymentView {
        let mut primaries = self.view.deployments.iter_mut().filter(|it| it.role == DeploymentRole::Primary);
        primaries.next().expect("a service has a PRIMARY deployment")
    }

    /// UpdateService with another task definition, or by force.
    pub fn update(&mut self) -> DeploymentId {
        let n = self.draw();
        self.add_deployment(deployment_id(n), revision_id(n), None, false);
        self.service_deployments.insert(deployment_id(n), (ServiceDeploymentStatus::Pending, None));
        self.forget_failures();
        deployment_id(n)
    }

    fn add_deployment(
        &mut self,
        id: DeploymentId,
        revision: DeploymentId,
        from: Option<DeploymentId>,
        alarms_ignored: bool,
    ) {
        for deployment in &mut self.view.deployments {
            deployment.role = DeploymentRole::Active;
        }
        let progress = match from {
            Some(_) => ServiceDeploymentStatus::RollbackInProgress,
            None => ServiceDeploymentStatus::Pending,
        };
        self.view.deployments.push(DeploymentView {
            id,
            role: DeploymentRole::Primary,
            revision,
            desired_count: 0,
            rollout: RolloutState::InProgress,
            failed_tasks: 0,
            ever_running: false,
            created_at: self.now,
            updated_at: self.now,
            rolled_back_from: from,
            stop_requested: None,
            baking_since: None,
            alarms_ignored,
            progress: Some(progress),
        });
    }

    pub fn desire(&mut self, desired: u32) {
        self.view.desired_count = desired;
        self.forget_failures();
    }

    /// As every UpdateService does.
    fn forget_failures(&mut self) {
        self.view.throttle = Throttle::default();
        self.view.fallback_throttle = Throttle::default();
    }

    pub fn plan(&self) -> Plan {
        plan(&self.view, self.now, Seed::new(u128::from(self.drawn)))
    }

    /// Plans and applies, once.
    pub fn round(&mut self) -> Plan {
        let plan = self.plan();
        self.apply(&plan);
        plan
    }

    pub fn apply(&mut self, plan: &Plan) {
        self.view.stopped.clear();
        for refusal in &mut self.view.refusals {
            refusal.uncounted = 0;
        }
        let mut started = Vec::new();
        let mut rebalanced = Vec::new();
        for start in &plan.starts {
            for _ in 0..start.count {
                match (self.place(start), &start.zone) {
                    (Some(id), None) => started.push(id),
                    (Some(id), Some(zone)) => {
                        let zone = Arc::clone(zone);
                        rebalanced.push(ServiceEvent::StartedToRebalance { zone, tasks: vec![id] });
                    }
                    (None, _) => {
                        self.refuse(start);
                        break;
                    }
                }
            }
        }
        let name = self.view.name.clone();
        self.messages.extend(ServiceEvent::started(&started).map(|event| event.message(&name)));
        self.messages.extend(plan.events.iter().chain(&rebalanced).map(|event| event.message(&name)));
        for stop in &plan.stops {
            self.stopped_for.insert(stop.task, stop.reason.clone());
            self.task_mut(stop.task).desired_status = DesiredStatus::Stopped;
        }
        for change in &plan.deployments {
            let found = self.view.deployments.iter_mut().find(|it| it.id == change.id);
            let deployment = found.expect("a change names a listed deployment");
            deployment.desired_count = change.desired_count.unwrap_or(deployment.desired_count);
            deployment.rollout = change.rollout.map_or(deployment.rollout, |(state, _)| state);
            deployment.failed_tasks = change.failed_tasks.unwrap_or(deployment.failed_tasks);
            deployment.ever_running |= change.ever_running;
            deployment.baking_since = change.baking_since.unwrap_or(deployment.baking_since);
        }
        for change in &plan.service_deployments {
            self.service_deployments.insert(change.deployment, (change.status, change.reason.clone()));
            for deployment in &mut self.view.deployments {
                if deployment.rolled_back_from.unwrap_or(deployment.id) == change.deployment {
                    deployment.progress = Some(change.status);
                }
            }
        }
        if let Some(new) = &plan.new_deployment {
            self.drawn += 1;
            self.add_deployment(new.id, new.revision, Some(new.rolled_back_from), new.alarms_ignored);
            self.primary_mut().desired_count = new.desired_count;
        }
        self.view.deployments.retain(|it| !plan.removed_deployments.contains(&it.id));
        if let Scheduling::TaskSets { sets } = &mut self.view.scheduling {
            sets.retain(|set| !plan.removed_task_sets.contains(&set.id));
            for change in &plan.task_sets {
                let set = sets.iter_mut().find(|set| set.id == change.id).expect("a listed set");
                set.computed_desired_count = change.computed_desired_count;
                set.stability = change.stability;
                set.throttle = change.throttle.clone();
            }
        }
        self.view.last_completed = plan.last_completed.or(self.view.last_completed);
        self.view.rebalancing = plan.rebalancing;
        self.view.throttle = plan.throttle.clone();
        self.view.fallback_throttle = plan.fallback_throttle.clone();
        self.view.memory = plan.memory.clone();
        if plan.becomes_inactive {
            self.view.status = ServiceStatus::Inactive;
        }
    }

    fn place(&mut self, start: &Start) -> Option<TaskId> {
        if self.view.tasks.len() >= self.capacity {
            return None;
        }
        let load = |id| self.view.tasks.iter().filter(|task| task.instance == Some(id)).count();
        let instance = self
            .instances
            .iter()
            .filter(|it| !it.draining)
            .filter(|it| start.on.is_none_or(|on| on == it.id))
            .filter(|it| start.zone.as_ref().is_none_or(|zone| *zone == it.zone))
            .min_by_key(|it| (load(it.id), it.id))?;
        let (instance, zone) = (instance.id, Arc::clone(&instance.zone));
        self.view.refusals.retain(|refusal| refusal.deployment != start.deployment);
        let id = TaskId::from_bits(u128::from(self.draw()));
        self.view.tasks.push(TaskView {
            id,
            deployment: start.deployment,
            instance: Some(instance),
            zone: Some(zone),
            host: Host::Up,
            last_status: TaskStatus::Pending,
            desired_status: DesiredStatus::Running,
            created_at: self.now,
            started_at: None,
            container_health: self.checked.then_some(HealthStatus::Unknown),
            target_health: None,
            protected_until: None,
            cpu: CpuUnits(128),
            memory: MemoryMib(128),
        });
        Some(id)
    }

    fn refuse(&mut self, start: &Start) {
        let deployment = start.deployment;
        let before = self.view.refusals.iter_mut().find(|it| it.deployment == deployment);
        if let Some(before) = before
            && start.early
        {
            before.capacity_changed = false;
            return;
        }
        let before = self.view.refusals.iter().find(|it| it.deployment == deployment);
        let (attempts, uncounted) = before.map_or((1, 1), |it| (it.attempts + 1, it.uncounted + 1));
        self.view.refusals.retain(|it| it.deployment != deployment);
        let miss = ClosestMiss::Memory;
        // Nothing that leaves a DRAINING instance makes room there.
        let takes_tasks = self.instances.iter().any(|it| !it.draining);
        self.view.refusals.push(Refusal {
            deployment,
            at: self.now,
            attempts,
            uncounted,
            reason: match takes_tasks {
                true => PlacementRefusal::Closest { instance: self.instances[0].id, miss },
                false => PlacementRefusal::NoInstances,
            },
            room_may_help: takes_tasks,
            capacity_changed: false,
        });
    }

    pub fn task_mut(&mut self, id: TaskId) -> &mut TaskView {
        self.view.tasks.iter_mut().find(|task| task.id == id).expect("a task of the service")
    }

    /// The task comes up, and is healthy if it has a check.
    pub fn run(&mut self, id: TaskId) {
        let now = self.now;
        let task = self.task_mut(id);
        task.last_status = TaskStatus::Running;
        task.started_at = Some(now);
        task.container_health = task.container_health.map(|_| HealthStatus::Healthy);
    }

    /// The task is STOPPED; what freed its place may let others in.
    pub fn end(&mut self, id: TaskId, because: StoppedBecause) {
        let at = self.view.tasks.iter().position(|task| task.id == id).expect("a task of the service");
        let task = self.view.tasks.swap_remove(at);
        self.view.stopped.push(StoppedTask {
            id,
            deployment: task.deployment,
            created_at: task.created_at,
            ever_running: task.started_at.is_some(),
            ran_for: task.started_at.map_or(Duration::ZERO, |start| self.now.since(start)),
            because,
        });
        for refusal in &mut self.view.refusals {
            refusal.capacity_changed = true;
        }
    }

    /// A task that was told to stop is STOPPED, for the reason it was told.
    pub fn finish(&mut self, id: TaskId) {
        let unhealthy = self.stopped_for.get(&id).is_some_and(StopReason::is_unhealthy);
        self.end(id, if unhealthy { StoppedBecause::Unhealthy } else { StoppedBecause::Scheduler });
    }

    pub fn ids(&self, keep: impl Fn(&TaskView) -> bool) -> Vec<TaskId> {
        self.view.tasks.iter().filter(|task| keep(task)).map(|task| task.id).collect()
    }

    /// The tasks that are there and meant to stay.
    pub fn staying(&self) -> Vec<TaskId> {
        self.ids(|task| task.desired_status == DesiredStatus::Running)
    }

    pub fn messages_are(&self, expected: &expect_test::Expect) {
        expected.assert_eq(&self.messages.join("\n"));
    }

    /// Starts fail, time passes to the next attempt, until nothing is started any more.
    pub fn fail_starts(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let plan = self.round();
            for id in self.ids(|task| task.last_status == TaskStatus::Pending) {
                self.end(id, StoppedBecause::FailedToStart);
            }
            if let Some(look) = plan.next_look {
                self.now = self.now.max(look);
            }
        }
    }

    /// All tasks of a deployment end as soon as they run, often enough to be noticed. The next ones have just come up.
    pub fn crash_loop(&mut self, of: DeploymentId) {
        for _ in 0..3 {
            for id in self.ids(|task| task.deployment == of) {
                self.task_mut(id).started_at = Some(self.now);
                self.end(id, StoppedBecause::EssentialExited);
            }
            self.round();
            self.now = self.now + self.view.settings.crash_max;
            self.round();
            self.run_all();
        }
        self.round();
    }

    /// So many looks, each at its time; what can stop or start does.
    pub fn pass(&mut self, looks: usize) {
        for _ in 0..looks {
            let plan = self.round();
            self.check_bounds(&self.plan());
            self.run_all();
            self.finish_all();
            self.now = plan.next_look.unwrap_or(self.now).max(self.now + secs(1));
        }
    }

    pub fn run_all(&mut self) {
        let ids = self.ids(|task| {
            task.last_status == TaskStatus::Pending && task.desired_status == DesiredStatus::Running
        });
        for id in ids {
            self.run(id);
        }
    }

    pub fn finish_all(&mut self) {
        for id in self.ids(|task| task.desired_status == DesiredStatus::Stopped) {
            self.finish(id);
        }
    }

    pub fn drain(&mut self, n: usize, draining: bool) {
        self.instances[n].draining = draining;
        let id = self.instances[n].id;
        if self.view.zone_rebalancing {
            self.list_zones();
        }
        for task in self.view.tasks.iter_mut().filter(|task| task.instance == Some(id)) {
            task.host = if draining { Host::Draining } else { Host::Up };
        }
        for refusal in &mut self.view.refusals {
            refusal.capacity_changed = true;
        }
    }

    /// Shows the zones that take tasks, as they are now.
    pub fn list_zones(&mut self) {
        let active = self.instances.iter().filter(|it| !it.draining);
        self.view.zones = active.map(|it| Arc::clone(&it.zone)).collect();
    }

    /// Everything that can start or stop does, and time passes, until nothing changes any more.
    /// Returns the last plan.
    pub fn calm(&mut self) -> Plan {
        for _ in 0..400 {
            let plan = self.round();
            let quiet = plan.starts.is_empty()
                && plan.stops.is_empty()
                && plan.new_deployment.is_none()
                && plan.deployments.is_empty();
            let moving = self.view.tasks.iter().any(|task| {
                task.last_status == TaskStatus::Pending || task.desired_status == DesiredStatus::Stopped
            });
            self.run_all();
            self.finish_all();
            let far = self.now + secs(1000);
            match plan.next_look {
                Some(look) if look <= far => self.now = self.now.max(look),
                Some(_) | None if quiet && !moving => return plan,
                Some(_) | None => self.now = self.now + Duration::from_millis(10),
            }
        }
        panic!("no end in sight: {:?}", self.plan());
    }

    /// As [`World::calm`], for a service without deployments.
    pub fn calm_sets(&mut self) {
        for _ in 0..20 {
            self.round();
            self.run_all();
            self.finish_all();
            self.now = self.now + secs(60);
        }
    }

    /// Shows a DAEMON service the instances as they are.
    pub fn list_instances(&mut self) {
        let listed = self.instances.iter().map(|it| DaemonInstance {
            id: it.id,
            draining: it.draining,
            eligible: true,
            refusal: None,
        });
        self.view.scheduling = Scheduling::Daemon { instances: listed.collect() };
    }

    /// Counts by the rules of ecs-services E2, written down a second time.
    pub fn is_healthy(&self, task: &TaskView) -> bool {
        let up = task.last_status == TaskStatus::Running
            && task.desired_status == DesiredStatus::Running
            && task.host != Host::Lost;
        let checks: Vec<_> = [task.container_health, task.target_health].into_iter().flatten().collect();
        let good = if checks.is_empty() {
            task.started_at.is_some_and(|at| at + self.view.settings.settle_time <= self.now)
        } else {
            checks.iter().all(|&health| health == HealthStatus::Healthy)
        };
        up && good
    }

    pub fn healthy(&self) -> u32 {
        self.view.tasks.iter().filter(|task| self.is_healthy(task)).count() as u32
    }

    /// The promise: a plan itself never breaks a bound.
    pub fn check_bounds(&self, plan: &Plan) {
        if self.view.status != ServiceStatus::Active {
            return;
        }
        let bounds = Bounds::new(
            self.view.desired_count,
            self.view.minimum_healthy_percent,
            self.view.maximum_percent,
        );
        let starts: u32 = plan.starts.iter().map(|start| start.count).sum();
        let total = self.view.tasks.len() as u32 + starts;
        assert!(starts == 0 || total <= bounds.max, "{total} tasks, at most {} allowed", bounds.max);
        let mut healthy = self.healthy();
        for stop in &plan.stops {
            let task = self.view.tasks.iter().find(|task| task.id == stop.task).expect("a task");
            assert_eq!(task.desired_status, DesiredStatus::Running, "a task is stopped once");
            if self.is_healthy(task) {
                healthy -= 1;
                assert!(healthy >= bounds.min, "{healthy} healthy, at least {} needed", bounds.min);
            }
            let protected = task.protected_until.is_some_and(|until| until > self.now);
            let excused = task.container_health == Some(HealthStatus::Unhealthy) || task.host == Host::Lost;
            assert!(!protected || excused, "a protected task is stopped");
        }
    }

    /// `o2n1`: tasks that stay, of older deployments and of the PRIMARY; `-1` counts those on
    /// their way out.
    pub fn picture(&self) -> String {
        let primary = self.primary().id;
        let stays = |task: &&TaskView| task.desired_status == DesiredStatus::Running;
        let (new, old): (Vec<_>, Vec<_>) =
            self.view.tasks.iter().filter(stays).partition(|task| task.deployment == primary);
        let leaving = self.view.tasks.len() - new.len() - old.len();
        let mut text = String::new();
        for (letter, count) in [("o", old.len()), ("n", new.len()), ("-", leaving)] {
            if count > 0 {
                text.push_str(&format!("{letter}{count}"));
            }
        }
        if text.is_empty() { "none".to_owned() } else { text }
    }
}
