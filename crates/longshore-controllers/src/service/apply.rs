//! Carries out a plan, all of it in one transaction.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{DeploymentId, Seed, TaskId};
use longshore_domain::{DesiredStatus, LaunchType, ServiceStatus, TaskStatus};
use longshore_placement::{DefaultStrategy, Launch, Request};
use longshore_rollout::{
    DeploymentChange, NewDeployment, PlacementRefusal, Plan, ServiceDeploymentChange,
    ServiceDeploymentStatus, ServiceEvent, Start, Stop, room_may_help,
};
use longshore_state::Tx;
use longshore_tables_ecs::record::{Deployment, RefusalMemory, Service};
use longshore_tables_ecs::{EcsState, EcsTx, ServiceEntry, ServiceKey};

use super::deployment::{DEFINITION_GONE, Recipe, Refused, placement_refusal, roll_back, template};
use super::task_set;
use crate::launch::{PoolRefusal, Rules, Template, capacity};
use crate::pools::{Pool, Pools};
use crate::{tasks, upkeep};

/// What a service on Fargate is told while the pool has no room (ecs-services E2).
pub const NO_FARGATE_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone.";

/// Applies `plan`. True if placement refused something that was asked for, or not all of it fits one commit: then the
/// service is to be planned for again at once. `counted`: the number of the last stop that the plan was shown.
pub fn apply(tx: &mut Tx<'_>, key: &ServiceKey, plan: Plan, counted: u32) -> bool {
    let Some(before) = tx.service(key).and_then(|entry| entry.record()).cloned() else { return false };
    let mut service = (*before).clone();
    // The plan has counted the refusals that it was shown.
    for refusal in &mut service.memory.refusals {
        refusal.uncounted = 0;
    }
    service.memory.stops_counted = counted;
    service.memory.throttle = plan.throttle;
    service.memory.fallback_throttle = plan.fallback_throttle;
    service.memory.said = plan.memory;
    service.memory.rebalancing = plan.rebalancing;
    if plan.last_completed.is_some() {
        service.memory.last_completed = plan.last_completed;
    }
    if let Some(count) = plan.daemon_desired_count {
        service.desired_count = count;
    }
    for change in &plan.deployments {
        change_deployment(tx, &mut service, change);
    }
    for change in &plan.service_deployments {
        let rollback = plan.new_deployment.as_ref().filter(|new| new.rolled_back_from == change.deployment);
        change_service_deployment(tx, key, &service, change, rollback);
    }
    if let Some(new) = &plan.new_deployment {
        let revision = tx.service(key).and_then(|entry| entry.revisions().get(&new.revision)).cloned();
        if let Some(revision) = revision {
            roll_back(&mut service, &revision, new, tx.now);
        }
    }
    service.deployments.retain(|deployment| !plan.removed_deployments.contains(&deployment.id));
    task_set::apply(tx, key, &plan.task_sets, &plan.removed_task_sets);

    let mut refused = false;
    let mut asked = Asked::default();
    let mut started = Vec::new();
    let mut rebalanced = Vec::new();
    for start in &plan.starts {
        let mut tasks = Vec::new();
        refused |= carry_out_start(tx, key, &mut service, start, &mut asked, &mut tasks);
        match &start.zone {
            Some(zone) if !tasks.is_empty() => {
                rebalanced.push(ServiceEvent::StartedToRebalance { zone: Arc::clone(zone), tasks });
            }
            Some(_) | None => started.append(&mut tasks),
        }
    }
    for stop in &plan.stops {
        if tx.is_heavy() {
            refused = true;
            break;
        }
        carry_out_stop(tx, key, stop);
    }
    for event in ServiceEvent::started(&started).chain(plan.events).chain(rebalanced) {
        let message = event.message(&service.name);
        tx.push_event(&key.cluster, &mut service, &message);
    }
    forget_settled_refusals(tx, key, &mut service);
    if plan.becomes_inactive {
        service.status = ServiceStatus::Inactive;
        service.deleted_at = Some(tx.now);
        service.deployments.clear();
        service.memory.refusals.clear();
    }
    if service != *before {
        tx.put_service(&key.cluster, service);
    }
    refused
}

fn change_deployment(tx: &Tx<'_>, service: &mut Service, change: &DeploymentChange) {
    let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == change.id) else { return };
    let before = deployment.clone();
    if let Some(count) = change.desired_count {
        deployment.desired_count = count;
    }
    if let Some(count) = change.failed_tasks {
        deployment.failed_tasks = count;
    }
    if let Some((state, reason)) = change.rollout {
        deployment.rollout_state = state;
        deployment.rollout_reason = reason.text(deployment.id).into();
    }
    deployment.had_running_task |= change.ever_running;
    if let Some(since) = change.baking_since {
        deployment.baking_since = since;
    }
    if *deployment != before {
        deployment.updated_at = tx.now;
    }
}

fn change_service_deployment(
    tx: &mut Tx<'_>,
    key: &ServiceKey,
    service: &Service,
    change: &ServiceDeploymentChange,
    rollback: Option<&NewDeployment>,
) {
    // A rollback carries on what it undoes, which may have left the list meanwhile.
    let is_its = |d: &&Deployment| d.id == change.deployment || d.rolls_back == Some(change.deployment);
    let Some(deployment) = service.deployments.iter().find(is_its) else { return };
    let entry = tx.service(key);
    let Some(record) = entry.and_then(|entry| entry.deployments().get(&deployment.service_deployment)) else {
        return;
    };
    let mut record = (**record).clone();
    record.status = change.status;
    record.status_reason = change.reason.as_deref().map(Into::into).or(record.status_reason);
    // Those of a rollback are not those of what it undoes.
    record.failure_count = record.failure_count.max(deployment.failed_tasks);
    record.updated_at = tx.now;
    if let Some(new) = rollback {
        record.rollback = Some((tx.now, new.reason.text(new.id).into(), new.revision));
    }
    if change.status.is_final() {
        record.finished_at = Some(tx.now);
    }
    if change.status == ServiceDeploymentStatus::Stopped {
        record.stopped_at = Some(tx.now);
    }
    tx.put_service_deployment(&key.cluster, record);
}

/// What tasks of a deployment or of a task set are made from. `None` if there is none of that id.
fn recipe(tx: &Tx<'_>, key: &ServiceKey, service: &Service, id: DeploymentId) -> Option<Recipe> {
    let deployment = service.deployments.iter().find(|deployment| deployment.id == id);
    let set = || tx.service(key)?.task_sets().get(&id);
    deployment.map(Recipe::from).or_else(|| set().map(|set| Recipe::from(&**set)))
}

/// Places the tasks of one start. True if some could not be placed, or have to wait for another commit.
fn carry_out_start(
    tx: &mut Tx<'_>,
    key: &ServiceKey,
    service: &mut Service,
    start: &Start,
    asked: &mut Asked,
    started: &mut Vec<TaskId>,
) -> bool {
    let pools = match asked.of(tx, key, service, start) {
        Some(Ok(pools)) => pools,
        Some(Err(refused)) => {
            if asked.unstartable.insert(start.deployment) {
                refuse(tx, key, service, start, refused);
            }
            return true;
        }
        None => return false,
    };
    for _ in 0..start.count {
        if tx.is_heavy() {
            return true;
        }
        let Pool { template, request } = pools.take_turn();
        match place(tx, key, start, request) {
            Ok(instance) => {
                let task = template.task(tx, &key.cluster, instance);
                started.push(task.id);
                tx.put_task(&key.cluster, task);
            }
            Err(refused) => {
                refuse(tx, key, service, start, refused);
                return true;
            }
        }
    }
    service.memory.refusals.retain(|refusal| refusal.deployment != start.deployment);
    false
}

fn place(
    tx: &mut Tx<'_>,
    key: &ServiceKey,
    start: &Start,
    request: &Request,
) -> Result<longshore_base::InstanceId, Refused> {
    let seed = tx.ids.seed();
    if request.spec().pool == longshore_placement::Pool::Launch(Launch::Fargate) {
        return place_in_pool(tx, key, request, seed);
    }
    let nowhere = || Refused { reason: PlacementRefusal::NoInstances, room_may_help: false };
    let capacity = capacity(tx.state(), &key.cluster, LaunchType::Ec2).ok_or_else(nowhere)?;
    match start.on {
        Some(instance) => match capacity.fleet().check_all(instance, request) {
            Ok(()) => Ok(instance),
            Err(reason) => Err(placement_refusal(instance, &reason)),
        },
        None => capacity.fleet().place_one(request, seed).map_err(|refusal| {
            let noted = longshore_rollout::Refusal::note(start.deployment, tx.now, &refusal, None);
            // Nobody makes room on instances that lack something else.
            let room_may_help = noted.room_may_help && capacity.fleet().is_any_eligible(request);
            Refused { reason: noted.reason, room_may_help }
        }),
    }
}

/// Fargate: ECS's words while there is no room, and what is missing where room would not help.
fn place_in_pool(
    tx: &Tx<'_>,
    key: &ServiceKey,
    request: &Request,
    seed: Seed,
) -> Result<longshore_base::InstanceId, Refused> {
    let pool = capacity(tx.state(), &key.cluster, LaunchType::Fargate);
    let placed = pool.map(|pool| pool.fleet().place_one(request, seed));
    let refusal = match placed {
        Some(Ok(instance)) => return Ok(instance),
        Some(Err(refusal)) => Some(refusal),
        None => None,
    };
    let why = PoolRefusal::of(pool, request);
    let text = if why.is_capacity() { NO_FARGATE_CAPACITY.to_owned() } else { why.to_string() };
    let room_may_help = matches!(why, PoolRefusal::NoRoom { .. })
        && refusal.is_some_and(|refusal| refusal.ruled_out.iter().any(|ruled| room_may_help(&ruled.reason)));
    Err(Refused { reason: PlacementRefusal::Other(text.into()), room_may_help })
}

fn refuse(tx: &mut Tx<'_>, key: &ServiceKey, service: &mut Service, start: &Start, refused: Refused) {
    let at = tx.now;
    let deployment = start.deployment;
    let Refused { reason, room_may_help } = refused;
    match service.memory.refusals.iter_mut().find(|refusal| refusal.deployment == deployment) {
        Some(refusal) => {
            if !start.early {
                refusal.at = at;
                refusal.attempts = refusal.attempts.saturating_add(1);
                refusal.uncounted = refusal.uncounted.saturating_add(1);
            }
            refusal.reason = reason;
            refusal.room_may_help = room_may_help;
        }
        None => {
            service.memory.refusals.push(RefusalMemory {
                deployment,
                at,
                attempts: 1,
                uncounted: 1,
                reason,
                room_may_help,
            });
        }
    }
    tx.note_refusal(key);
}

/// Refusals of deployments that are gone, or that have all they want, are history.
fn forget_settled_refusals(tx: &Tx<'_>, key: &ServiceKey, service: &mut Service) {
    let wanted = service.desired_count > 0;
    let deployments = &service.deployments;
    let sets = tx.service(key).map(ServiceEntry::task_sets);
    let starts = |id| {
        deployments.iter().any(|deployment| deployment.id == id)
            || sets.and_then(|sets| sets.get(&id)).is_some_and(|set| set.told_desired_count > 0)
    };
    service.memory.refusals.retain(|refusal| wanted && starts(refusal.deployment));
}

fn carry_out_stop(tx: &mut Tx<'_>, key: &ServiceKey, stop: &Stop) {
    let Some(task) = tx.ecs().task(&key.cluster, stop.task).cloned() else { return };
    let lost = matches!(stop.reason, longshore_rollout::StopReason::InstanceLost(_));
    let text = if lost && task.is_pooled() {
        upkeep::POOL_AGENT_LOST.to_owned()
    } else {
        stop.reason.text(key.service.as_str(), None)
    };
    let mut task = (*task).clone();
    task.unhealthy = stop.reason.is_unhealthy();
    if lost && task.last_status != TaskStatus::Stopped {
        tasks::abandon(tx, &key.cluster, &task, stop.reason.code(), &text);
    } else {
        tasks::stop(tx, &key.cluster, &task, stop.reason.code(), &text);
    }
}

/// What placement is asked for the tasks that a plan starts: made once for all starts that ask the same.
#[derive(Default)]
struct Asked {
    pools: BTreeMap<(DeploymentId, Option<Arc<str>>), Pools>,
    /// Deployments of which no task can be started, wherever: that is one refusal, however many starts there are.
    unstartable: BTreeSet<DeploymentId>,
}

impl Asked {
    /// What is asked for the tasks of `start`. `None` if there is no deployment or task set of that id.
    fn of(
        &mut self,
        tx: &Tx<'_>,
        key: &ServiceKey,
        service: &Service,
        start: &Start,
    ) -> Option<Result<&mut Pools, Refused>> {
        match self.pools.entry((start.deployment, start.zone.clone())) {
            Entry::Occupied(known) => Some(Ok(known.into_mut())),
            Entry::Vacant(new) => {
                let recipe = recipe(tx, key, service, start.deployment)?;
                Some(pools(tx, key, service, start, &recipe).map(|pools| new.insert(pools)))
            }
        }
    }
}

fn pools(
    tx: &Tx<'_>,
    key: &ServiceKey,
    service: &Service,
    start: &Start,
    recipe: &Recipe,
) -> Result<Pools, Refused> {
    let refused =
        |reason: &str| Refused { reason: PlacementRefusal::Other(reason.into()), room_may_help: false };
    let template =
        template(tx.state(), &key.cluster, service, recipe).ok_or_else(|| refused(DEFINITION_GONE))?;
    if let Some(not_built) = template.not_built() {
        return Err(refused(&not_built.to_string()));
    }
    if let Err(cannot) = template.check_roles(tx.state(), &key.cluster, tx.now) {
        let reason = PlacementRefusal::NotLaunched(cannot.to_string().into());
        return Err(Refused { reason, room_may_help: false });
    }
    let rules = Rules::of(service);
    let zones = start.zone.clone().map(|zone| vec![zone]);
    let request = |of: &Template| of.request(&key.cluster, &rules, DefaultStrategy::Service, zones.clone());
    let counts = |provider: &str| tasks_of_provider(tx, key, start.deployment, provider);
    Ok(Pools::new(&template, &recipe.capacity, counts, request))
}

/// How many tasks of the deployment a capacity provider has. One that is about to end is replaced where it was.
fn tasks_of_provider(tx: &Tx<'_>, key: &ServiceKey, deployment: DeploymentId, provider: &str) -> u32 {
    let cluster = tx.ecs().cluster(&key.cluster);
    let active = cluster
        .and_then(|cluster| cluster.service(&key.service))
        .into_iter()
        .flat_map(|entry| entry.active());
    let counts = active.filter_map(|&id| cluster?.task(id)).filter(|task| {
        task.desired_status == DesiredStatus::Running
            && task.origin.service.as_ref().is_some_and(|service| service.deployment == deployment)
            && task.origin.capacity_provider.as_deref() == Some(provider)
    });
    counts.count() as u32
}
