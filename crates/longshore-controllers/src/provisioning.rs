//! Tasks that wait in PROVISIONING until an instance of their capacity provider has room for them
//! (ecs-services E12, ecs-engine D5).
//!
//! Only RunTask leaves tasks here, and only where the provider has managed scaling, which promises that capacity
//! will come. A service needs nothing of the kind: it tries again anyway.

use std::sync::Arc;

use longshore_domain::StopCode;
use longshore_placement::{DefaultStrategy, Refusal, Request};
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::Task;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};

use crate::launch::{Rules, Template, capacity, detail};
use crate::{Settings, tasks};

/// The most tasks of a cluster that wait (ecs-behaviour, Part X).
pub const WAITING_MAX: usize = 500;

/// The most records that one commit changes here, which is less than the 127 that it may; the next goes on.
const PLACED_AT_ONCE: usize = 100;

/// Places the tasks of a cluster that wait and now fit, the oldest first. A task that does not fit holds no other up.
/// True if there may be more to do at once.
pub fn place(tx: &mut Tx<'_>, at: &ClusterKey) -> bool {
    for task in waiting(tx.state(), at) {
        if tx.changed() >= PLACED_AT_ONCE || tx.is_heavy() {
            return true;
        }
        let Some((template, request)) = asked(tx.state(), at, &task) else { continue };
        // One that an earlier version accepted: it ends with this as its reason.
        if template.not_built().is_some() || template.check_roles(tx.state(), at, tx.now).is_err() {
            continue;
        }
        let seed = tx.ids.seed();
        let Some(tables) = capacity(tx.state(), at, template.origin.launch_type) else { continue };
        if let Ok(instance) = tables.fleet().place_one(&request, seed) {
            let mut task = Task::clone(&task);
            template.place(tx, at, &mut task, instance);
            tx.put_task(at, task);
        }
    }
    false
}

/// Stops the tasks that have waited for longer than `provisioning_expiry`, the oldest first: at most `limit`, and fewer
/// once the commit is heavy. Whoever calls it comes again for the rest.
pub fn expire(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings, limit: usize) {
    let before = tx.now - settings.provisioning_expiry;
    let expired = waiting(tx.state(), at).into_iter().take_while(|task| task.created_at <= before);
    for task in expired.take(limit) {
        if tx.is_heavy() {
            return;
        }
        let why = reason(tx, at, &task);
        let text = format!("TaskFailedToStart: {why}");
        tasks::stop(tx, at, &task, StopCode::TaskFailedToStart, &text);
    }
}

/// The tasks of a cluster that wait, the oldest first.
fn waiting(state: &State, at: &ClusterKey) -> Vec<Arc<Task>> {
    let Some(tables) = state.ecs().cluster(at) else { return Vec::new() };
    tables.provisioning().iter().filter_map(|(_, id)| tables.task(*id).cloned()).collect()
}

/// Why a task has no place, in the words of RunTask's failures (ecs-behaviour A6).
fn reason(tx: &mut Tx<'_>, at: &ClusterKey, task: &Task) -> String {
    // What RunTask says where no instance is of the kind that is asked for: so it is without definition or capacity.
    const GONE: &str = "ATTRIBUTE";
    let Some((template, request)) = asked(tx.state(), at, task) else { return GONE.to_owned() };
    if let Some(not_built) = template.not_built() {
        return not_built.to_string();
    }
    if let Err(refused) = template.check_roles(tx.state(), at, tx.now) {
        return refused.to_string();
    }
    let seed = tx.ids.seed();
    let Some(tables) = capacity(tx.state(), at, template.origin.launch_type) else { return GONE.to_owned() };
    match tables.fleet().place_one(&request, seed) {
        Err(refusal) => failure(&refusal),
        // It would fit this very moment, and the time is over nevertheless.
        Ok(_) => "RESOURCE:CPU".to_owned(),
    }
}

fn failure(refusal: &Refusal) -> String {
    if refusal.no_instances() {
        return "EMPTY CAPACITY PROVIDER".to_owned();
    }
    match refusal.closest() {
        Some((_, reason)) if !refusal.none_active() => match detail(reason) {
            Some(detail) => format!("{} {detail}", reason.as_failure()),
            None => reason.as_failure().to_owned(),
        },
        Some(_) | None => "NO ACTIVE INSTANCES".to_owned(),
    }
}

/// What the task would be made from today, and what placement is asked for it. `None` if its definition is gone.
fn asked(state: &State, at: &ClusterKey, task: &Task) -> Option<(Template, Request)> {
    let origin = &task.origin;
    let definition = state.ecs().definition(&at.scope, &origin.family, origin.revision)?.clone();
    let template = Template::new(state, at, definition, origin.clone());
    let rules = task.waiting.as_deref().map(Rules::of_waiting).unwrap_or_default();
    let request = template.request(at, &rules, DefaultStrategy::Task, None);
    Some((template, request))
}
