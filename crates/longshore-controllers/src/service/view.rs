//! A service as the planner sees it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::TaskId;
use longshore_domain::status::DeploymentController;
use longshore_domain::{
    ContainerEnd, DesiredStatus, InstanceStatus, RolloutState, SchedulingStrategy, ServiceStatus, TaskSpec,
};
use longshore_placement::{DefaultStrategy, Request, ZONE_ATTRIBUTE};
use longshore_rollout::{
    Alarms, CircuitBreaker, DaemonInstance, DeploymentRole, DeploymentView, Host, PlacementRefusal, Refusal,
    Scheduling, ServiceView, StoppedBecause, StoppedTask, TaskView,
};
use longshore_state::State;
use longshore_tables_ecs::record::{Deployment, Service, Task};
use longshore_tables_ecs::{ClusterTables, EcsState, ServiceEntry, ServiceKey};

use super::deployment::{DEFINITION_GONE, Recipe, placement_refusal, template};
use super::task_set;
use crate::Settings;
use crate::launch::{Rules, Template, capacity};
use crate::subnets::Subnets;
use crate::tasks::is_essential;

/// Gathers all that a plan for the service depends on. `None` if there is nothing to plan: the
/// service is gone or INACTIVE.
pub fn gather(
    state: &State,
    key: &ServiceKey,
    stopped: &[TaskId],
    settings: &Settings,
) -> Option<ServiceView> {
    let cluster = state.ecs().cluster(&key.cluster)?;
    let entry = cluster.service(&key.service)?;
    let service = entry.record()?;
    if service.status == ServiceStatus::Inactive {
        return None;
    }
    let rules = Rules::of(service);
    let active = entry.active().iter().filter_map(|&id| cluster.task(id));
    Some(ServiceView {
        name: service.name.clone(),
        status: service.status,
        scheduling: scheduling(state, key, cluster, entry, service, &rules),
        desired_count: service.desired_count,
        minimum_healthy_percent: service.minimum_healthy_percent,
        maximum_percent: service.maximum_percent,
        circuit_breaker: CircuitBreaker {
            enable: service.circuit_breaker,
            rollback: service.circuit_breaker_rollback,
        },
        alarms: Alarms::default(),
        bake_time: Duration::from_secs(60 * u64::from(service.bake_minutes)),
        grace_period: Duration::from_secs(service.health_check_grace_secs.unwrap_or(0).into()),
        zone_rebalancing: service.zone_rebalancing,
        zones: if service.zone_rebalancing { zones(state, key, service) } else { Vec::new() },
        rebalancing: service.memory.rebalancing,
        strategies: rules.strategies,
        settings: settings.rollout,
        deployments: service.deployments.iter().map(|d| deployment(entry, d)).collect(),
        last_completed: service.memory.last_completed,
        tasks: active.map(|task| task_view(state, key, task)).collect(),
        stopped: stopped.iter().filter_map(|&id| stopped_task(state, key, cluster.task(id)?)).collect(),
        refusals: refusals(state, key, service),
        throttle: service.memory.throttle.clone(),
        fallback_throttle: service.memory.fallback_throttle.clone(),
        memory: service.memory.said.clone(),
    })
}

fn scheduling(
    state: &State,
    key: &ServiceKey,
    cluster: &ClusterTables,
    entry: &ServiceEntry,
    service: &Service,
    rules: &Rules,
) -> Scheduling {
    match service.controller {
        DeploymentController::Ecs => {}
        DeploymentController::CodeDeploy | DeploymentController::External => {
            return Scheduling::TaskSets { sets: task_set::views(entry) };
        }
    }
    match service.scheduling {
        SchedulingStrategy::Replica => Scheduling::Replica,
        SchedulingStrategy::Daemon => {
            Scheduling::Daemon { instances: daemon_instances(state, key, cluster, entry, rules) }
        }
    }
}

/// Each ACTIVE or DRAINING instance, and whether the PRIMARY deployment's task belongs there.
///
/// Where that cannot be told, because the definition is gone, each keeps the task that it has and none gets one.
fn daemon_instances(
    state: &State,
    key: &ServiceKey,
    cluster: &ClusterTables,
    entry: &ServiceEntry,
    rules: &Rules,
) -> Vec<DaemonInstance> {
    let asked = daemon_requests(state, key, entry, rules);
    let eligible = asked.as_ref().ok().map(|(belongs, _)| cluster.fleet().eligible(belongs));
    let eligible: Option<BTreeSet<_>> = eligible.map(|ids| ids.into_iter().collect());
    let listed = cluster.instances().iter().filter_map(|(&id, own)| {
        let draining = match own.record.status {
            InstanceStatus::Active => false,
            InstanceStatus::Draining => true,
            InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Deregistering
            | InstanceStatus::Inactive => return None,
        };
        let refusal = match &asked {
            Ok((_, started)) => {
                let reason = cluster.fleet().check_all(id, started).err();
                reason.map(|reason| placement_refusal(id, &reason).reason)
            }
            Err(reason) => Some(PlacementRefusal::Other(reason.as_str().into())),
        };
        let eligible = eligible.as_ref().is_none_or(|eligible| eligible.contains(&id));
        Some(DaemonInstance { id, draining, eligible, refusal })
    });
    listed.collect()
}

/// What placement is asked to learn where a task of the PRIMARY deployment belongs, and whether there is room for the task
/// that would be started, which may need more than the PRIMARY's; or why it cannot be asked.
fn daemon_requests(
    state: &State,
    key: &ServiceKey,
    entry: &ServiceEntry,
    rules: &Rules,
) -> Result<(Request, Request), String> {
    let service = entry.record();
    let primary = service.and_then(|service| service.deployments.iter().find(|own| own.primary));
    let (Some(service), Some(primary)) = (service, primary) else {
        return Err("The service has no PRIMARY deployment.".to_owned());
    };
    let request = |deployment: &Deployment| {
        let template = template(state, &key.cluster, service, &Recipe::from(deployment));
        let request = |of: Template| of.request(&key.cluster, rules, DefaultStrategy::Service, None);
        template.map(request).ok_or_else(|| DEFINITION_GONE.to_owned())
    };
    Ok((request(primary)?, request(healing(entry, service, primary))?))
}

/// The deployment that missing tasks are started of.
fn healing<'s>(entry: &ServiceEntry, service: &'s Service, primary: &'s Deployment) -> &'s Deployment {
    if primary.rollout_state != RolloutState::Failed {
        return primary;
    }
    let listed: Vec<_> = service.deployments.iter().map(|own| deployment(entry, own)).collect();
    let reserve = longshore_rollout::reserve(&listed, service.memory.last_completed, primary.id);
    let same = |own: &&Deployment| reserve.is_some_and(|reserve| reserve.id == own.id);
    service.deployments.iter().find(same).unwrap_or(primary)
}

/// The zones that have an ACTIVE instance which new tasks of the service could run on.
fn zones(state: &State, key: &ServiceKey, service: &Service) -> Vec<Arc<str>> {
    let Some(cluster) = capacity(state, &key.cluster, service.capacity.launch_type()) else {
        return Vec::new();
    };
    let active =
        cluster.instances().iter().filter(|(_, entry)| entry.record.status == InstanceStatus::Active);
    let subnets = Subnets::of(state, &key.cluster.scope, service.network.as_ref());
    let allowed = subnets.zones(Some(cluster));
    let is_allowed = |zone: &&str| allowed.as_ref().is_none_or(|own| own.iter().any(|own| **own == **zone));
    let zones: BTreeSet<&str> = active
        .filter_map(|(&id, _)| cluster.fleet().attribute(id, ZONE_ATTRIBUTE))
        .filter(is_allowed)
        .collect();
    zones.into_iter().map(Into::into).collect()
}

fn deployment(entry: &ServiceEntry, deployment: &Deployment) -> DeploymentView {
    let progress = entry.deployments().get(&deployment.service_deployment);
    DeploymentView {
        id: deployment.id,
        role: if deployment.primary { DeploymentRole::Primary } else { DeploymentRole::Active },
        revision: deployment.revision,
        desired_count: deployment.desired_count,
        rollout: deployment.rollout_state,
        failed_tasks: deployment.failed_tasks,
        ever_running: deployment.had_running_task,
        created_at: deployment.created_at,
        updated_at: deployment.updated_at,
        rolled_back_from: deployment.rolls_back,
        stop_requested: deployment.stop_request,
        baking_since: deployment.baking_since,
        alarms_ignored: deployment.alarms_ignored,
        progress: progress.map(|record| record.status),
    }
}

fn task_view(state: &State, key: &ServiceKey, task: &Task) -> TaskView {
    let definition = state.ecs().definition(&key.cluster.scope, &task.origin.family, task.origin.revision);
    let has_checks = definition.is_some_and(|definition| definition.spec().has_health_checks());
    TaskView {
        id: task.id,
        // Tasks of services always carry their membership.
        deployment: task
            .origin
            .service
            .as_ref()
            .map_or(longshore_base::DeploymentId::from_bits(0), |s| s.deployment),
        instance: task.instance,
        zone: task.zone.clone(),
        host: host(state, key, task),
        last_status: task.last_status,
        desired_status: task.desired_status,
        created_at: task.created_at,
        started_at: task.started_at,
        container_health: has_checks.then_some(task.health),
        target_health: None,
        protected_until: task.protected_until,
        cpu: task.origin.needs.cpu,
        memory: task.origin.needs.memory,
    }
}

fn host(state: &State, key: &ServiceKey, task: &Task) -> Host {
    let Some(id) = task.instance else { return Host::Up };
    let tables = state.ecs().host(&key.cluster, task);
    match tables.and_then(|tables| tables.instance(id)).map(|entry| entry.record.status) {
        Some(InstanceStatus::Draining) => Host::Draining,
        Some(InstanceStatus::Active | InstanceStatus::Registering | InstanceStatus::RegistrationFailed) => {
            Host::Up
        }
        Some(InstanceStatus::Deregistering | InstanceStatus::Inactive) | None => Host::Lost,
    }
}

fn stopped_task(state: &State, key: &ServiceKey, task: &Arc<Task>) -> Option<StoppedTask> {
    let service = task.origin.service.as_ref()?;
    debug_assert_eq!(task.desired_status, DesiredStatus::Stopped);
    let definition = state.ecs().definition(&key.cluster.scope, &task.origin.family, task.origin.revision);
    let ever_running = task.started_at.is_some();
    let because = match StoppedBecause::of(task.stop_code?, task.unhealthy) {
        StoppedBecause::EssentialExited if was_killed(task, definition.map(|own| own.spec())) => {
            StoppedBecause::Killed
        }
        // It ended while other containers had yet to start.
        StoppedBecause::EssentialExited if !ever_running => StoppedBecause::FailedToStart,
        because => because,
    };
    Some(StoppedTask {
        id: task.id,
        deployment: service.deployment,
        created_at: task.created_at,
        ever_running,
        ran_for: ran_for(task),
        because,
    })
}

/// True if signals ended every essential container that ran. Where one ended otherwise, the agent stopped the others for it.
fn was_killed(task: &Task, spec: Option<&TaskSpec>) -> bool {
    let mut killed = false;
    for own in task.containers.iter().filter(|own| is_essential(own, spec)) {
        match own.end {
            Some(ContainerEnd::Killed) => killed = true,
            Some(ContainerEnd::Exited | ContainerEnd::OutOfMemory) => return false,
            Some(ContainerEnd::NeverRan(_) | ContainerEnd::Unknown) | None => {}
        }
    }
    killed
}

fn ran_for(task: &Task) -> Duration {
    let ended = task.execution_stopped_at.or(task.stopped_at);
    task.started_at.zip(ended).map_or(Duration::ZERO, |(start, end)| end.since(start))
}

fn refusals(state: &State, key: &ServiceKey, service: &Service) -> Vec<Refusal> {
    let capacity_changed = state.ecs().capacity_changed_since_refusal(key);
    let refusal = |memory: &longshore_tables_ecs::record::RefusalMemory| Refusal {
        deployment: memory.deployment,
        at: memory.at,
        attempts: memory.attempts,
        uncounted: memory.uncounted,
        reason: memory.reason.clone(),
        room_may_help: memory.room_may_help,
        capacity_changed,
    };
    service.memory.refusals.iter().map(refusal).collect()
}
