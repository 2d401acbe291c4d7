//! One service: how far its deployments are, and what they wait for.

use std::cmp::Reverse;

use longshore_api_ecs::{Caller, identifiers};
use longshore_base::Timestamp;
use longshore_controllers::launch::Rules;
use longshore_controllers::service::deployment::{Recipe, template};
use longshore_controllers::{Settings, secrets};
use longshore_domain::ServiceStatus;
use longshore_domain::status::DeploymentController;
use longshore_placement::DefaultStrategy;
use longshore_rollout::Waiting;
use longshore_state::State;
use longshore_tables_ecs::record::{Deployment, Service, Task, TaskSet};
use longshore_tables_ecs::{ClusterTables, ServiceEntry, ServiceKey};

use crate::time::{ago, ahead};
use crate::{ExplainError, Explanation, Question, network, placement};

/// The most DRAINING services that are named: a deployment tool may delete very many at once.
const DRAINING_MAX: usize = 100;

/// How many tasks are shown that are not RUNNING yet, that stopped lately, and how many events.
const STARTING_SHOWN: usize = 3;
const STOPPED_SHOWN: usize = 3;
const EVENTS_SHOWN: usize = 3;

/// Explains a service, ACTIVE or not.
pub fn service(
    state: &State,
    caller: &Caller,
    question: &Question,
    settings: &Settings,
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    let (at, tables) = identifiers::cluster(state, caller, question.cluster.as_deref())?;
    let name = identifiers::service_name(&at, &question.subject)?;
    let missing = || ExplainError::NoService(name.as_str().into());
    let key = at.service(&name);
    let entry = tables.service(&name).ok_or_else(missing)?;
    let service = entry.record().ok_or_else(missing)?;
    let active: Vec<_> = entry.active().iter().filter_map(|id| tables.task(*id)).collect();
    let running = active.iter().filter(|task| task.last_status.is_running()).count();
    let mut out = Explanation::about(format!(
        "service {name}: {}, wants {} tasks, {} run and {} are on their way",
        service.status,
        service.desired_count,
        running,
        active.len() - running
    ));
    if service.status != ServiceStatus::Active {
        out.say(format!("It is {}: it starts nothing any more.", service.status));
    }
    for deployment in &service.deployments {
        say_deployment(&mut out, deployment, now);
    }
    for set in entry.task_sets().values() {
        say_task_set(&mut out, set, now);
    }
    let waiting = longshore_controllers::service::explain(state, &key, settings, now);
    if waiting.is_empty() && service.status == ServiceStatus::Active {
        out.say("It waits for nothing.");
    }
    for cause in &waiting {
        let details = out.say(format!("It waits: {}.", in_words(cause, now)));
        if matches!(cause, Waiting::TasksToStart { .. }) {
            let starting = active.iter().filter(|task| !task.last_status.is_running());
            details.extend(
                starting.take(STARTING_SHOWN).map(|task| format!("longshore explain task {}", task.id)),
            );
        }
        if let Waiting::Placement { deployment, .. } = cause {
            let own = service.deployments.iter().find(|own| own.id == *deployment).map(Recipe::from);
            let recipe = own.or_else(|| entry.task_sets().get(deployment).map(|set| Recipe::from(&**set)));
            if let Some(recipe) = recipe {
                say_placement(&mut out, state, &key, service, &recipe, now);
            }
        }
    }
    say_secrets(&mut out, state, &key, service);
    network::say_of_service(&mut out, service);
    say_stopped(&mut out, tables, entry, now);
    let events: Vec<_> = entry.events().iter().rev().take(EVENTS_SHOWN).collect();
    if !events.is_empty() {
        let details = out.say("Its latest events:");
        details.extend(events.iter().map(|event| format!("{}: {}", ago(now, event.at), event.message)));
    }
    Ok(out)
}

/// The services of a cluster that were deleted and still have tasks, by name. ListServices hides them at once
/// (ecs-services E10), and so they could be asked for only by who remembers their names.
pub fn draining(state: &State, caller: &Caller, question: &Question) -> Result<Vec<String>, ExplainError> {
    let (_, tables) = identifiers::cluster(state, caller, question.cluster.as_deref())?;
    let draining = tables.services().filter(|(service, _)| service.status == ServiceStatus::Draining);
    Ok(draining.map(|(service, _)| service.name.to_string()).take(DRAINING_MAX).collect())
}

fn say_deployment(out: &mut Explanation, deployment: &Deployment, now: Timestamp) {
    let (family, revision) = &deployment.task_definition;
    let role = if deployment.primary { "PRIMARY" } else { "ACTIVE" };
    let failed = match deployment.failed_tasks {
        0 => String::new(),
        failed => format!(", {failed} tasks failed to start"),
    };
    out.say(format!(
        "Deployment {} ({role}, {family}:{revision}, begun {}) is {}{failed}: {}",
        deployment.id,
        ago(now, deployment.created_at),
        deployment.rollout_state,
        deployment.rollout_reason
    ));
}

fn say_task_set(out: &mut Explanation, set: &TaskSet, now: Timestamp) {
    let (family, revision) = &set.task_definition;
    out.say(format!(
        "Task set {} ({}, {family}:{revision}, made {}) is in {} since {}.",
        set.id,
        set.status.as_str(),
        ago(now, set.created_at),
        set.stability.as_str(),
        ago(now, set.stability_at)
    ));
}

/// What is waited for, with times from now.
fn in_words(cause: &Waiting, now: Timestamp) -> String {
    match cause {
        Waiting::TasksToBecomeHealthy { count, until: Some(until) } => {
            format!(
                "{count} running tasks have to settle before they count as healthy, the last {}",
                ahead(now, *until)
            )
        }
        Waiting::Throttle { until, failures } => {
            format!(
                "tasks failed to start, or ended at once, {failures} times in a row, so the next attempt is {}",
                ahead(now, *until)
            )
        }
        Waiting::Placement { next_attempt, .. } => {
            let cause = cause.to_string();
            let cause = cause.trim_end_matches('.');
            format!("{cause}; the next attempt is {}, or when capacity changes", ahead(now, *next_attempt))
        }
        Waiting::Protection { count, until } => {
            format!("{count} tasks are protected from scale-in, the first until {}", ahead(now, *until))
        }
        Waiting::BakeTime { until } => {
            format!("the finished deployment is watched, which ends {}", ahead(now, *until))
        }
        Waiting::TasksToStart { .. }
        | Waiting::TasksToBecomeHealthy { until: None, .. }
        | Waiting::TasksUnhealthy { .. }
        | Waiting::TasksToStop { .. }
        | Waiting::NextRound { .. }
        | Waiting::InstanceFull { .. }
        | Waiting::Bounds { .. }
        | Waiting::MinimumHealthy { .. }
        | Waiting::DeploymentFailed { .. }
        | Waiting::NoDeployment => cause.to_string(),
    }
}

/// Asks the same question that the scheduler asks for the deployment's next task.
fn say_placement(
    out: &mut Explanation,
    state: &State,
    key: &ServiceKey,
    service: &Service,
    recipe: &Recipe,
    now: Timestamp,
) {
    let Some(template) = template(state, &key.cluster, service, recipe) else { return };
    let rules = Rules::of(service);
    placement::say_where_for(out, state, &key.cluster, &template, &rules, DefaultStrategy::Service, now);
}

/// How many of its tasks have a secret that has changed, and what becomes of that.
fn say_secrets(out: &mut Explanation, state: &State, key: &ServiceKey, service: &Service) {
    let count = secrets::outdated_tasks(state, key);
    if count == 0 {
        return;
    }
    let follows = match (secrets::asks_for_redeployment(service), service.controller) {
        (true, DeploymentController::Ecs) => {
            format!("a deployment replaces them, as its tag {} asks", secrets::REDEPLOY_TAG)
        }
        (false, DeploymentController::Ecs) => format!(
            "they keep it until they are replaced: `aws ecs update-service --force-new-deployment` does it now, the tag {}=true \
             whenever one changes",
            secrets::REDEPLOY_TAG
        ),
        (true | false, DeploymentController::CodeDeploy | DeploymentController::External) => {
            "they keep it until whoever drives its deployments replaces them".to_owned()
        }
    };
    out.say(format!(
        "{count} of its tasks run with a secret that has changed since (longshore explain task ID names it): {follows}."
    ));
}

/// The tasks that stopped last, which is where the reason of a failing deployment stands.
fn say_stopped(out: &mut Explanation, tables: &ClusterTables, entry: &ServiceEntry, now: Timestamp) {
    let mut stopped: Vec<_> = entry.stopped().iter().filter_map(|id| tables.task(*id)).collect();
    stopped.sort_by_key(|task| Reverse(task.stopped_at));
    let shown: Vec<&Task> = stopped.into_iter().take(STOPPED_SHOWN).map(AsRef::as_ref).collect();
    if shown.is_empty() {
        return;
    }
    let details = out.say("Its tasks that stopped last (longshore explain task ID tells more):");
    details.extend(shown.into_iter().map(|task| {
        let when = task.stopped_at.map_or_else(String::new, |at| ago(now, at));
        format!("{} {when}: {}", task.id, task.stopped_reason.as_deref().unwrap_or("no reason was given"))
    }));
}
