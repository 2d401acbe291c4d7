//! Independent checks of what the control plane did to a service: percentages, one task per instance, providers,
//! protection, and the count of failures.
//!
//! Only what the planner itself did is judged, with what it could know: a machine that vanishes may leave too few healthy
//! tasks, the planner may not. Everything is counted from the records around one transaction.

use std::collections::BTreeSet;

use longshore_base::{InstanceId, Timestamp};
use longshore_domain::status::DeploymentController;
use longshore_domain::{
    DesiredStatus, HealthStatus, InstanceStatus, SchedulingStrategy, ServiceStatus, StopCode, TaskStatus,
};
use longshore_placement::Constraint;
use longshore_rollout::TaskSetStatus;
use longshore_state::{Changes, Records};
use longshore_tables_ecs::record::{Capacity, Instance, Service, Task, TaskSet};
use longshore_tables_ecs::{ClusterKey, ServiceKey, view};

use super::World;
use super::capacity::{host_of, unfair};
use crate::images::Image;

/// A task around one transaction; no `before` means that it was started there.
#[derive(Clone, Copy)]
struct Pair<'a> {
    before: Option<&'a Task>,
    after: &'a Task,
    /// Its instance, if it is not INACTIVE.
    lives: bool,
}

type Verdict = Result<(), (&'static str, String)>;

impl World {
    /// After a transaction of the service's controller; `before` has the old records of what it changed.
    pub(super) fn watch_rollout(&mut self, key: &ServiceKey, changes: &Changes, before: &Records) {
        if let Err((rule, text)) = self.judge(key, changes, before) {
            self.fail(rule, text);
        }
    }

    fn judge(&self, key: &ServiceKey, changes: &Changes, before: &Records) -> Verdict {
        let Some(running) = &self.server.up else { return Ok(()) };
        let at = &key.cluster;
        let Some(service) = running.records.get::<Service>(key) else { return Ok(()) };
        if service.status != ServiceStatus::Active {
            return Ok(());
        }
        let mut own = Vec::new();
        for (of, after) in running.records.of::<Task>() {
            if of.cluster != *at || after.origin.service.as_ref().is_none_or(|own| own.name != key.service) {
                continue;
            }
            let changed = changes.get::<Task>(of).is_some();
            let before = if changed { before.get::<Task>(of) } else { Some(after) }.map(|task| &**task);
            let lives = after.instance.is_some_and(|id| self.instance_lives(&host_of(at, after), id));
            own.push(Pair { before, after, lives });
        }
        let now = self.server_now();
        if service.controller == DeploymentController::External {
            for set in view::task_sets(&running.records, key) {
                self.judge_set(service, set, &own, now)?;
            }
            // Who deletes a set, and by force if it has tasks, means those that are protected as well.
            let goes = |pair: &&Pair<'_>| {
                let mut sets = view::task_sets(&running.records, key);
                let own = pair.after.origin.service.as_ref().map(|own| own.deployment);
                sets.any(|set| set.status == TaskSetStatus::Draining && Some(set.id) == own)
            };
            return judge_protection(service, own.iter().filter(|pair| !goes(pair)), now);
        }
        match service.scheduling {
            SchedulingStrategy::Replica => {
                self.judge_percent(service, &own, now)?;
                judge_base(service, &own)?;
                judge_capacity(service, &own)?;
                judge_distinct(service, &own)?;
                judge_protection(service, &own, now)
            }
            SchedulingStrategy::Daemon => self.judge_daemon(at, service, &own, now),
        }
    }

    fn instance_lives(&self, at: &ClusterKey, id: InstanceId) -> bool {
        let record = self.server.up.as_ref().and_then(|up| up.records.get::<Instance>(&at.instance(id)));
        record.is_some_and(|instance| instance.status != InstanceStatus::Inactive)
    }

    /// Tasks that were healthy and are not any more, and those that are.
    fn healthy(&self, own: &[Pair<'_>], now: Timestamp) -> (u64, u64) {
        let healthy = |pair: &Pair<'_>, task: &Task| pair.lives && self.is_healthy(task, now);
        let left = own.iter().filter(|pair| healthy(pair, pair.after)).count();
        let taken = own.iter().filter(|pair| {
            pair.before.is_some_and(|before| healthy(pair, before)) && !healthy(pair, pair.after)
        });
        (taken.count() as u64, left as u64)
    }

    fn is_healthy(&self, task: &Task, now: Timestamp) -> bool {
        if task.last_status != TaskStatus::Running || task.desired_status != DesiredStatus::Running {
            return false;
        }
        if Image::of_family(task.origin.family.as_str()).is_some_and(Image::has_health_check) {
            return task.health == HealthStatus::Healthy;
        }
        let settle = self.setup.controllers.rollout.settle_time;
        task.started_at.is_some_and(|started| now.since(started) >= settle)
    }

    fn judge_percent(&self, service: &Service, own: &[Pair<'_>], now: Timestamp) -> Verdict {
        let desired = u64::from(service.desired_count);
        let min = (desired * u64::from(service.minimum_healthy_percent)).div_ceil(100);
        let max = desired * u64::from(service.maximum_percent) / 100;
        let (taken, left) = self.healthy(own, now);
        judge_minimum(service, taken, left, min)?;
        let started = own.iter().filter(|pair| pair.before.is_none()).count();
        let exist = own.iter().filter(|pair| !pair.after.last_status.is_stopped()).count() as u64;
        if started > 0 && exist > max {
            let name = &service.name;
            let text = format!("{exist} of {max} allowed tasks of {name} exist after {started} were started");
            return Err(("maximumPercent", text));
        }
        Ok(())
    }

    /// Each task set keeps to 100 % and 200 % of its share, whatever the others do (ecs-services E7).
    fn judge_set(&self, service: &Service, set: &TaskSet, own: &[Pair<'_>], now: Timestamp) -> Verdict {
        if set.status == TaskSetStatus::Draining {
            return Ok(());
        }
        let of_set = |pair: &&Pair<'_>| {
            pair.after.origin.service.as_ref().is_some_and(|membership| membership.deployment == set.id)
        };
        let own: Vec<Pair<'_>> = own.iter().filter(of_set).copied().collect();
        let share = share_of(service, set);
        let (taken, left) = self.healthy(&own, now);
        judge_minimum(service, taken, left, share)?;
        let started = own.iter().filter(|pair| pair.before.is_none()).count();
        let exist = own.iter().filter(|pair| !pair.after.last_status.is_stopped()).count() as u64;
        if started > 0 && exist > 2 * share {
            let text = format!("{exist} tasks of {} exist, and its share is {share}", set.id);
            return Err(("maximumPercent", text));
        }
        Ok(())
    }

    /// One task on each instance, and no more of them missing at a time than the percentage allows.
    fn judge_daemon(&self, at: &ClusterKey, service: &Service, own: &[Pair<'_>], now: Timestamp) -> Verdict {
        for pair in own.iter().filter(|pair| pair.before.is_none()) {
            let instance = pair.after.instance;
            let beside = own
                .iter()
                .filter(|other| other.after.instance == instance && !other.after.last_status.is_stopped());
            let count = beside.count();
            if count > 1 {
                let text = format!("{} has {count} tasks on instance {instance:?}", service.name);
                return Err(("daemon", text));
            }
        }
        let instances = self.server.up.iter().flat_map(|running| running.records.of::<Instance>());
        let active =
            instances.filter(|(of, instance)| of.cluster == *at && instance.status == InstanceStatus::Active);
        let min = (active.count() as u64 * u64::from(service.minimum_healthy_percent)).div_ceil(100);
        let (taken, left) = self.healthy(own, now);
        judge_minimum(service, taken, left, min)
    }

    /// A task has ended: remembers whether that can count against its deployment. It may end twice, if the server was
    /// killed before it had stored the first end, and in another way.
    pub(super) fn note_failure(&mut self, task: &Task) {
        let Some(own) = &task.origin.service else { return };
        let counts = match task.stop_code {
            Some(StopCode::UserInitiated) => task.started_at.is_none(),
            Some(StopCode::ServiceSchedulerInitiated) => task.unhealthy,
            // Whose machine was taken away did not fail (ecs-services E4).
            Some(StopCode::SpotInterruption) => false,
            _ => true,
        };
        if counts {
            self.watch.failures.entry(own.deployment).or_default().insert(task.id);
        }
    }

    /// No deployment counts more failures than there were (ecs-services E4).
    pub(super) fn check_failures(&mut self, service: &Service) {
        for refusal in &service.memory.refusals {
            let (count, last) = self.watch.refusals.entry(refusal.deployment).or_default();
            let this = Some((refusal.attempts, refusal.at));
            *count += u32::from(*last != this);
            *last = this;
        }
        for deployment in &service.deployments {
            let ended = self.watch.failures.get(&deployment.id).map_or(0, BTreeSet::len) as u32;
            let refused = self.watch.refusals.get(&deployment.id).map_or(0, |(count, _)| *count);
            if deployment.failed_tasks > ended + refused {
                let text = format!(
                    "{} of {} counts {} failed tasks; {ended} failed and {refused} were refused",
                    deployment.id, service.name, deployment.failed_tasks
                );
                return self.fail("circuit breaker", text);
            }
        }
    }
}

/// How many tasks a set is to have: its percentage of the desired count, rounded up.
pub(super) fn share_of(service: &Service, set: &TaskSet) -> u64 {
    (u64::from(service.desired_count) * u64::from(set.scale_basis_points)).div_ceil(10_000)
}

fn judge_minimum(service: &Service, taken: u64, left: u64, min: u64) -> Verdict {
    if taken > 0 && left < min {
        let text = format!(
            "{left} of {min} necessary healthy tasks of {} are left after {taken} were stopped",
            service.name
        );
        return Err(("minimumHealthyPercent", text));
    }
    Ok(())
}

/// Nobody's weight matters before the base is full (ecs-services E12).
fn judge_base(service: &Service, own: &[Pair<'_>]) -> Verdict {
    for pair in own.iter().filter(|pair| pair.before.is_none()) {
        let Some(deployment) = pair.after.origin.service.as_ref().map(|own| own.deployment) else { continue };
        let listed = service.deployments.iter().find(|listed| listed.id == deployment);
        let Some(Capacity::Strategy(items)) = listed.map(|listed| &listed.capacity) else { continue };
        let Some(base) = items.iter().find(|item| item.base > 0) else { continue };
        let chosen = pair.after.origin.capacity_provider.as_deref();
        let has = own.iter().filter(|other| {
            other.after.origin.service.as_ref().is_some_and(|own| own.deployment == deployment)
                && !other.after.last_status.is_stopped()
                && other.after.origin.capacity_provider == Some(base.provider.clone())
        });
        let has = has.count() as u32;
        if chosen != Some(&*base.provider) && has < base.base {
            let text = format!(
                "{} starts a task on {chosen:?} while {} has {has} of its base {}",
                service.name, base.provider, base.base
            );
            return Err(("base", text));
        }
    }
    Ok(())
}

/// Each new task runs on what its deployment asks for, and weights are honoured (ecs-services E12).
fn judge_capacity(service: &Service, own: &[Pair<'_>]) -> Verdict {
    for deployment in &service.deployments {
        let of = |pair: &&Pair<'_>| {
            pair.after
                .origin
                .service
                .as_ref()
                .is_some_and(|membership| membership.deployment == deployment.id)
        };
        let own: Vec<&Pair<'_>> = own.iter().filter(of).collect();
        let new = || own.iter().filter(|pair| pair.before.is_none()).map(|pair| pair.after);
        let asked = |task: &Task| match (&deployment.capacity, task.origin.capacity_provider.as_ref()) {
            (Capacity::LaunchType(launch), provider) => {
                task.origin.launch_type == *launch && provider.is_none()
            }
            (Capacity::Strategy(items), provider) => {
                items.iter().any(|item| Some(&item.provider) == provider)
            }
        };
        if let Some(task) = new().find(|task| !asked(task)) {
            let (launch, provider) = (task.origin.launch_type, &task.origin.capacity_provider);
            let text = format!("{} starts {} as {launch} by {provider:?}", service.name, task.id);
            return Err(("capacity", text));
        }
        let Capacity::Strategy(items) = &deployment.capacity else { continue };
        // One that is about to end is replaced, and does not count.
        let counts =
            |task: &Task| task.desired_status == DesiredStatus::Running && !task.last_status.is_stopped();
        let taken = own.iter().filter(|pair| pair.before.is_none_or(counts));
        let taken: Vec<&str> =
            taken.filter_map(|pair| pair.after.origin.capacity_provider.as_deref()).collect();
        let started: Vec<&str> = new().filter_map(|task| task.origin.capacity_provider.as_deref()).collect();
        if let Some(text) = unfair(items, &taken, &started) {
            return Err(("weights", format!("{} of {}: {text}", deployment.id, service.name)));
        }
    }
    Ok(())
}

fn judge_distinct(service: &Service, own: &[Pair<'_>]) -> Verdict {
    if !service.placement_constraints.contains(&Constraint::DistinctInstance) {
        return Ok(());
    }
    for pair in own.iter().filter(|pair| pair.before.is_none() && pair.after.instance.is_some()) {
        // Tasks that are to stop do not count (ecs-engine D4).
        let beside = own.iter().filter(|other| {
            other.after.instance == pair.after.instance
                && other.after.desired_status == DesiredStatus::Running
                && !other.after.last_status.is_stopped()
        });
        let count = beside.count();
        if count > 1 {
            let text = format!("{} has {count} tasks on instance {:?}", service.name, pair.after.instance);
            return Err(("distinctInstance", text));
        }
    }
    Ok(())
}

/// The scheduler stops no protected task, unless that is broken or its machine is gone.
fn judge_protection<'p>(
    service: &Service,
    own: impl IntoIterator<Item = &'p Pair<'p>>,
    now: Timestamp,
) -> Verdict {
    for pair in own {
        let Some(before) = pair.before else { continue };
        let protected = before.protected_until.is_some_and(|until| until > now);
        let stopped = before.desired_status == DesiredStatus::Running
            && pair.after.desired_status == DesiredStatus::Stopped;
        let serves = before.last_status == TaskStatus::Running && pair.lives && !pair.after.unhealthy;
        let lost = pair.after.stop_code != Some(StopCode::ServiceSchedulerInitiated);
        if protected && stopped && serves && !lost {
            let text = format!("{} stops its protected task {}", service.name, before.id);
            return Err(("protection", text));
        }
    }
    Ok(())
}
