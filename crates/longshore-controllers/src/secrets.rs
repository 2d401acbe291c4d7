//! Secrets that have changed since tasks were given them, and the deployments that follow where a service asks for one
//! (identity J12, decision 51).
//!
//! A container keeps what it was created with. Which versions those are its agent has told
//! ([`longshore_tables_ecs::record::GivenSecrets`]); which one is meant now is read from the secrets themselves. So nothing
//! that has happened needs to be remembered here, and a restart decides as its predecessor would have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Timestamp;
use longshore_domain::status::DeploymentController;
use longshore_domain::{DesiredStatus, ServiceStatus};
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{GivenSecret, GivenSecrets, Service, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx, ServiceEntry, ServiceKey};
use longshore_tables_secrets::read::{InForce, in_force};

use crate::service::deployment;

/// The tag by which a service asks for a new deployment when a secret changes, with the value `true`. A tag, because
/// every AWS tool can set one (decision 51).
pub const REDEPLOY_TAG: &str = "longshore:redeploy-on-secret-change";

/// For how long no secret of a service has changed before its deployment begins, so that several that change together make
/// one.
pub const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// How many secrets an event names.
const NAMED_MAX: usize = 5;

/// A secret of a running task that its container would be given in another version now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated<'s> {
    pub given: &'s GivenSecret,
    pub now: InForce,
}

/// The secrets of a task that have changed since it was given them. Those of a version that the definition names do not, and
/// those that are gone have no other version to give.
pub fn outdated<'s>(state: &State, home: &ClusterKey, task: &'s Task) -> Vec<Outdated<'s>> {
    match &task.secrets {
        Some(given) if counts(task) => of_given(state, home, given),
        Some(_) | None => Vec::new(),
    }
}

fn of_given<'s>(state: &State, home: &ClusterKey, given: &'s GivenSecrets) -> Vec<Outdated<'s>> {
    let own = given.0.iter().filter_map(|given| {
        let now = in_force(state, &home.scope, &given.value_from)?;
        (now.version != given.version).then_some(Outdated { given, now })
    });
    own.collect()
}

/// A task that is on its way out does not matter any more.
fn counts(task: &Task) -> bool {
    task.desired_status == DesiredStatus::Running && !task.last_status.is_stopped()
}

/// What has changed for tasks. Thousands of them were given the same secrets, which are looked up once.
struct Changes<'s> {
    state: &'s State,
    home: &'s ClusterKey,
    known: BTreeMap<*const GivenSecrets, Vec<Outdated<'s>>>,
}

impl<'s> Changes<'s> {
    fn new(state: &'s State, home: &'s ClusterKey) -> Self {
        Self { state, home, known: BTreeMap::new() }
    }

    fn of(&mut self, task: &'s Task) -> &[Outdated<'s>] {
        let Some(given) = task.secrets.as_ref().filter(|_| counts(task)) else { return &[] };
        let (state, home) = (self.state, self.home);
        self.known.entry(Arc::as_ptr(given)).or_insert_with(|| of_given(state, home, given))
    }
}

/// How many of a service's running tasks have a secret that has changed.
pub fn outdated_tasks(state: &State, key: &ServiceKey) -> usize {
    let Some(tables) = state.ecs().cluster(&key.cluster) else { return 0 };
    let Some(entry) = tables.service(&key.service) else { return 0 };
    let mut changes = Changes::new(state, &key.cluster);
    let tasks = entry.active().iter().filter_map(|id| tables.task(*id));
    tasks.filter(|&task| !changes.of(task).is_empty()).count()
}

/// Whether a service asks for a deployment when a secret changes.
pub fn asks_for_redeployment(service: &Service) -> bool {
    service.tags.get(REDEPLOY_TAG).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Whether a deployment is due for secrets that changed at these times.
///
/// Only a change that is newer than the PRIMARY deployment counts: that one's tasks were given what there was when it began,
/// or something newer. So each change makes one deployment at most, whatever agents report and however the deployment
/// ends.
fn is_due(primary_since: Timestamp, changes: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> bool {
    let last = changes.into_iter().filter(|at| *at > primary_since).max();
    last.is_some_and(|at| now.since(at) >= SETTLED_AFTER)
}

/// The `valueFrom`s for which a service gets a new deployment now; none, if it gets none.
fn wanted(state: &State, at: &ClusterKey, entry: &ServiceEntry, now: Timestamp) -> Vec<Arc<str>> {
    let Some(service) = entry.record() else { return Vec::new() };
    let is_rolling = match service.controller {
        DeploymentController::Ecs => true,
        DeploymentController::CodeDeploy | DeploymentController::External => false,
    };
    let primary = service.deployments.iter().find(|own| own.primary);
    let (Some(primary), Some(tables)) = (primary, state.ecs().cluster(at)) else { return Vec::new() };
    if !is_rolling || service.status != ServiceStatus::Active || !asks_for_redeployment(service) {
        return Vec::new();
    }
    let is_its =
        |task: &&Arc<Task>| task.origin.service.as_ref().is_some_and(|own| own.deployment == primary.id);
    let mut changes = Changes::new(state, at);
    let mut changed: BTreeMap<Arc<str>, Timestamp> = BTreeMap::new();
    for task in entry.active().iter().filter_map(|id| tables.task(*id)).filter(is_its) {
        for own in changes.of(task) {
            changed.insert(own.given.value_from.clone(), own.now.since);
        }
    }
    match is_due(primary.created_at, changed.values().copied(), now) {
        true => changed.into_keys().collect(),
        false => Vec::new(),
    }
}

/// Begins the deployments that are due in a cluster, at most `limit`.
pub fn redeploy(tx: &mut Tx<'_>, at: &ClusterKey, limit: usize) {
    let now = tx.now;
    let state = tx.state();
    let Some(tables) = state.ecs().cluster(at) else { return };
    let due = tables.services().filter_map(|(service, entry)| {
        let changed = wanted(state, at, entry, now);
        (!changed.is_empty()).then(|| (Service::clone(service), changed))
    });
    let due: Vec<_> = due.take(limit).collect();
    for (mut service, changed) in due {
        let Some(definition) = service.task_definition.clone() else { continue };
        let configuration = service.deployment_configuration.clone();
        deployment::forget_failures(&mut service);
        deployment::begin(tx, at, &mut service, definition, 0, configuration.as_deref().unwrap_or("{}"));
        let message = event(&service, &changed);
        tx.push_event(at, &mut service, &message);
        tx.put_service(at, service);
    }
}

fn event(service: &Service, changed: &[Arc<str>]) -> String {
    let named = changed.iter().take(NAMED_MAX).map(|own| &**own).collect::<Vec<_>>().join(", ");
    let more = match changed.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "(service {}) has begun a new deployment because secrets of its running tasks have changed: {named}{more}.",
        service.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_one_deployment_once_it_has_settled() {
        let at = Timestamp::from_millis;
        let second = |seconds: i64| at(seconds * 1000);
        for (primary, changes, now, due) in [
            (10, vec![], 100, false),
            (10, vec![20], 24, false),
            (10, vec![20], 25, true),
            // Another one while it waits.
            (10, vec![20, 24], 28, false),
            (10, vec![20, 24], 29, true),
            // The deployment for it has begun; what its tasks are said to have does not matter.
            (25, vec![20], 1000, false),
            (20, vec![20], 1000, false),
            (25, vec![20, 26], 31, true),
        ] {
            let changes: Vec<Timestamp> = changes.into_iter().map(second).collect();
            assert_eq!(
                is_due(second(primary), changes.clone(), second(now)),
                due,
                "{primary} {changes:?} {now}"
            );
        }
    }
}
