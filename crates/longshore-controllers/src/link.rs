//! What the control plane knows and does on behalf of one agent's connection; plain functions, which
//! the hub's sockets and the simulation share. [`crate::connection`] says when each is called.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{Arn, InstanceId, Scope, Seed, TaskId, Timestamp};
use longshore_domain::{DesiredStatus, HealthStatus, InstanceCheckKind, InstanceHealth, InstanceStatus};
use longshore_link::limits::TELEMETRY_TASKS_MAX;
use longshore_link::message::{
    DesiredStatus as Want, InstanceStatusValue, PublishInstanceStatus, TaskHealth, TaskPayload,
};
use longshore_link::server::{
    Connection, DesiredTask, FreshCredentials, Input, Observation, Session, first_number,
};
use longshore_link::upgrade::{AcsQuery, Refusal};
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{InstanceCheck, Takeovers, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx, InstanceEntry, InstanceKey};

use crate::roles::{self, Roles};
use crate::{payload, tasks};

/// An agent repeats its health three times a minute. What only confirms it is written down this often.
const HEALTH_CONFIRMED_EVERY: Duration = Duration::from_secs(300);

/// What is kept of an agent's version, and of its engine's. Official ones have less than thirty characters; what a
/// request's head can hold is too much for a record that is written at every connect.
const VERSION_CHARACTERS_MAX: usize = 128;

/// The instance that an upgrade request names, if the caller may speak for it.
pub fn identify(state: &State, caller: &Scope, instance_arn: &str) -> Result<InstanceKey, Refusal> {
    let arn = Arn::parse(instance_arn).map_err(|_| Refusal::BadRequest)?;
    if arn.kind != "container-instance" {
        return Err(Refusal::BadRequest);
    }
    if arn.scope != *caller {
        return Err(Refusal::AccessDenied);
    }
    // Long ARNs name the cluster; short ones are looked for in all of the account's.
    let (cluster, id) = match arn.rest.rsplit_once('/') {
        Some((cluster, id)) => (Some(cluster), id),
        None => (None, arn.rest),
    };
    let id = InstanceId::parse(id).map_err(|_| Refusal::BadRequest)?;
    let pool = ClusterKey::pool(caller.region.clone());
    if cluster == Some(pool.cluster.as_str()) && *caller == pool.scope {
        let entry = state.ecs().cluster(&pool).and_then(|tables| tables.instance(id));
        return served(pool.instance(id), entry.ok_or(Refusal::InvalidInstance)?);
    }
    let realm = state.ecs().realm(caller).ok_or(Refusal::InvalidInstance)?;
    let mut clusters = realm.clusters().filter(|(name, _)| cluster.is_none_or(|own| own == name.as_str()));
    let found = clusters.find_map(|(name, tables)| Some((name, tables.instance(id)?)));
    let (name, entry) = found.ok_or(Refusal::InvalidInstance)?;
    served(ClusterKey::new(caller.clone(), name.clone()).instance(id), entry)
}

fn served(at: InstanceKey, entry: &InstanceEntry) -> Result<InstanceKey, Refusal> {
    match entry.record.status {
        InstanceStatus::Inactive => Err(Refusal::InactiveInstance),
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Active
        | InstanceStatus::Draining
        | InstanceStatus::Deregistering => Ok(at),
    }
}

/// Notes that the agent's command channel is open, and gives what its session starts with.
/// `None` if the instance has gone meanwhile.
pub fn connected(tx: &mut Tx<'_>, at: &InstanceKey, query: &AcsQuery, seed: Seed) -> Option<Connection> {
    let entry = tx.ecs().cluster(&at.cluster)?.instance(at.instance)?;
    let mut record = (*entry.record).clone();
    let given = |text: &str| {
        let kept: String = text.chars().take(VERSION_CHARACTERS_MAX).collect();
        (!kept.is_empty()).then(|| Arc::<str>::from(kept))
    };
    record.agent_version = given(&query.agent_version).or(record.agent_version);
    record.agent_hash = given(&query.agent_hash).or(record.agent_hash);
    record.docker_version = given(&query.docker_version).or(record.docker_version);
    record.connect(tx.now, !entry.connection.is_here());
    record.owes_credentials |= query.send_credentials;
    let connection = Connection {
        instance_arn: at
            .cluster
            .scope
            .instance_arn(&at.cluster.cluster, at.instance, record.arn_format)
            .into(),
        cluster_arn: at.cluster.scope.cluster_arn(&at.cluster.cluster).into(),
        send_credentials: record.owes_credentials,
        first_number: first_number(record.link_epoch),
        seed,
    };
    tx.put_instance(&at.cluster, record);
    Some(connection)
}

/// Notes that a connection has taken the command channel from the one before, which is still open: one agent has only one,
/// so that this is a broken network, or somebody else who has the instance's key. Addresses are those of the connections.
pub fn taken_over(tx: &mut Tx<'_>, at: &InstanceKey, by: IpAddr, from: IpAddr) {
    let Some(entry) = tx.ecs().cluster(&at.cluster).and_then(|cluster| cluster.instance(at.instance)) else {
        return;
    };
    let mut record = (*entry.record).clone();
    record.takeovers = Takeovers {
        count: record.takeovers.count.saturating_add(1),
        at: tx.now,
        by: by.to_string().into(),
        from: from.to_string().into(),
    };
    tx.put_instance(&at.cluster, record);
}

/// Notes that the agent's command channel is over by the agent's doing or for its sake. When the server itself goes away
/// nothing is noted: the agent comes back to whoever serves next, and counts as connected until then.
pub fn disconnected(tx: &mut Tx<'_>, at: &InstanceKey) {
    tx.set_connected(at, false);
}

/// The new agent process has everything it had lost.
pub fn credentials_settled(tx: &mut Tx<'_>, at: &InstanceKey) {
    let Some(entry) = tx.ecs().cluster(&at.cluster).and_then(|cluster| cluster.instance(at.instance)) else {
        return;
    };
    if entry.record.owes_credentials {
        let mut record = (*entry.record).clone();
        record.owes_credentials = false;
        tx.put_instance(&at.cluster, record);
    }
}

/// Which tasks of its instance a connection looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// At all of them: it has just begun, or has not for a long time.
    All,
    /// At these, which may have changed. With none it still finds out whether the instance is served.
    Tasks(BTreeSet<TaskId>),
}

impl Default for Look {
    fn default() -> Self {
        Look::Tasks(BTreeSet::new())
    }
}

impl Look {
    /// Looks at one task more.
    pub fn also(&mut self, task: TaskId) {
        match self {
            Look::All => {}
            Look::Tasks(tasks) => {
                tasks.insert(task);
            }
        }
    }

    /// Looks at what both look at.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Look::All, _) | (_, Look::All) => Look::All,
            (Look::Tasks(mut tasks), Look::Tasks(others)) => {
                tasks.extend(others);
                Look::Tasks(tasks)
            }
        }
    }
}

/// What a look has found. `None` in place of a wish: the task is not for this instance any more.
pub type Found = Vec<(TaskId, Option<DesiredTask>)>;

/// What the instance should do with those of its tasks that `look` names. `None` if it is not served any more.
pub fn look(state: &State, at: &InstanceKey, look: &Look) -> Option<Found> {
    let cluster = state.ecs().cluster(&at.cluster)?;
    let entry = cluster.instance(at.instance)?;
    if entry.record.status == InstanceStatus::Inactive {
        return None;
    }
    let of = |&id: &TaskId| {
        let home = state.ecs().home(&at.cluster, id).filter(|_| entry.tasks().contains(&id));
        (id, home.and_then(|home| Some(desired(home, state.ecs().task(home, id)?))))
    };
    Some(match look {
        Look::All => entry.tasks().iter().map(of).collect(),
        Look::Tasks(tasks) => tasks.iter().map(of).collect(),
    })
}

fn desired(home: &ClusterKey, task: &Task) -> DesiredTask {
    let (want, confirmed) = match task.desired_status {
        // A report of any kind shows that the agent has the task.
        DesiredStatus::Running => (Want::Running, task.connectivity_at.is_some()),
        DesiredStatus::Stopped => (Want::Stopped, false),
    };
    DesiredTask {
        task: home.scope.task_arn(&home.cluster, task.id, task.origin.arn_format).into(),
        want,
        confirmed,
    }
}

/// Hands to the session what a look has found; after a look at everything, what was not found is over.
pub fn tell(session: &mut Session, now: Timestamp, look: &Look, found: Found) {
    let mut wanted = Vec::new();
    let mut gone = Vec::new();
    for (id, desired) in found {
        match desired {
            Some(desired) => wanted.push(desired),
            None => gone.extend(session.arn(id)),
        }
    }
    match look {
        Look::All => session.handle(now, Input::Desired(wanted)),
        Look::Tasks(_) => {
            for task in gone {
                session.handle(now, Input::Removed(task));
            }
            if !wanted.is_empty() {
                session.handle(now, Input::Changed(wanted));
            }
        }
    }
}

/// The message's content for a task that the session names. `None` if there is no such task any more. A seed is used once.
pub fn task_payload(
    state: &State,
    at: &InstanceKey,
    arn: &str,
    now: Timestamp,
    seed: Seed,
) -> Option<TaskPayload> {
    let id = TaskId::parse(arn.rsplit('/').next()?).ok()?;
    let home = state.ecs().home(&at.cluster, id)?;
    let task = state.ecs().task(home, id).filter(|task| task.instance == Some(at.instance))?;
    payload::payload(state, home, task, now, seed)
}

/// Which tasks of an instance get new credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    All,
    /// Those that lacked some, and those with a role that was made after this time: the sessions of an earlier role of its
    /// name ended with it.
    Late {
        lacking: BTreeSet<TaskId>,
        made_after: Timestamp,
    },
}

/// What a renewal has made.
#[derive(Debug)]
pub struct Renewed {
    /// Roles that were made until then have been seen.
    pub at: Timestamp,
    pub fresh: Vec<FreshCredentials>,
    /// Tasks with a role that could not be assumed, or whose agent is not known to have them yet.
    pub lacking: BTreeSet<TaskId>,
}

/// New credentials for tasks of an instance that run with roles, as far as their agent has them. A seed is used once.
pub fn fresh_credentials(
    state: &State,
    at: &InstanceKey,
    renewal: &Renewal,
    now: Timestamp,
    seed: Seed,
) -> Renewed {
    let entry = state.ecs().cluster(&at.cluster).and_then(|cluster| cluster.instance(at.instance));
    let mut all = Renewed { at: now, fresh: Vec::new(), lacking: BTreeSet::new() };
    for (number, id) in (0..).zip(entry.into_iter().flat_map(|entry| entry.tasks())) {
        let Some(home) = state.ecs().home(&at.cluster, *id) else { continue };
        let Some(task) = state.ecs().task(home, *id) else { continue };
        if task.desired_status == DesiredStatus::Stopped {
            continue;
        }
        let origin = &task.origin;
        let Some(definition) = state.ecs().definition(&home.scope, &origin.family, origin.revision) else {
            continue;
        };
        let roles = Roles::of(definition, origin);
        let is_due = match renewal {
            Renewal::All => true,
            Renewal::Late { lacking, made_after } => {
                lacking.contains(id) || roles.any_made_after(state, home, *made_after)
            }
        };
        if !is_due {
            continue;
        }
        // Until its agent has spoken of it, its payload, which has credentials, may be on the way.
        let is_there = task.connectivity_at.is_some();
        let made = match is_there {
            true => roles::credentials(state, home, task, &roles, now, seed.of(number)),
            false => Vec::new(),
        };
        if made.len() < roles.count() {
            all.lacking.insert(*id);
        }
        for (role, credentials) in made {
            let task = home.scope.task_arn(&home.cluster, task.id, origin.arn_format).into();
            all.fresh.push(FreshCredentials { task, role, credentials });
        }
    }
    all
}

/// A part of what an agent observed, which is taken in by a transaction of its own.
#[derive(Debug, PartialEq)]
pub enum Part<'a> {
    Health(&'a [TaskHealth]),
    Instance(&'a PublishInstanceStatus),
}

/// The parts of what an agent observed, to be taken in one after the other, each with [`take_in`]. Our agents tell of no
/// more tasks at a time than one part holds; a message of others may be longer than a commit. Metrics have none: nothing
/// shows them yet (support/ecs.toml).
pub fn parts(observation: &Observation) -> Vec<Part<'_>> {
    match observation {
        Observation::Health(published) => {
            published.tasks.chunks(TELEMETRY_TASKS_MAX).map(Part::Health).collect()
        }
        Observation::InstanceStatus(published) => vec![Part::Instance(published)],
        Observation::Metrics(_) => Vec::new(),
    }
}

/// Takes in a part of what an agent observed.
pub fn take_in(tx: &mut Tx<'_>, at: &InstanceKey, part: &Part<'_>) {
    match part {
        Part::Health(tasks) => health(tx, at, tasks),
        Part::Instance(published) => {
            let now = tx.now;
            instance_health(tx, at, published, now);
        }
    }
}

/// Takes in a part of what telemetry says of the health of tasks. Those that are not on the instance are skipped.
pub fn health(tx: &mut Tx<'_>, at: &InstanceKey, tasks: &[TaskHealth]) {
    for task in tasks {
        let id = task.task_arn.rsplit('/').next().and_then(|id| TaskId::parse(id).ok());
        let Some(id) = id else { continue };
        let containers: Vec<(String, HealthStatus)> = task
            .containers
            .iter()
            .map(|container| (container.container_name.clone(), health_status(container.health_status)))
            .collect();
        // An unknown task is one that ended a moment ago.
        let Some(home) = tx.ecs().home(&at.cluster, id).cloned() else { continue };
        let _ = tasks::report_health(tx, &home, at.instance, id, &containers);
    }
}

/// Takes in what telemetry says of the machine. Kinds of checks that the API has no word for are skipped.
pub fn instance_health(tx: &mut Tx<'_>, at: &InstanceKey, published: &PublishInstanceStatus, now: Timestamp) {
    let Some(entry) = tx.ecs().cluster(&at.cluster).and_then(|cluster| cluster.instance(at.instance)) else {
        return;
    };
    let time = |seconds: Option<f64>| seconds.and_then(Timestamp::from_seconds_f64).unwrap_or(now);
    let mut health: Vec<InstanceCheck> = Vec::new();
    for said in &published.statuses {
        let Some(kind) = check_kind(&said.kind) else { continue };
        health.retain(|own| own.kind != kind);
        health.push(InstanceCheck {
            kind,
            status: check_status(said.status),
            updated_at: time(said.last_updated),
            changed_at: time(said.last_status_change),
        });
    }
    let confirms = |old: &InstanceCheck, new: &InstanceCheck| {
        (old.kind, old.status, old.changed_at) == (new.kind, new.status, new.changed_at)
            && new.updated_at.since(old.updated_at) < HEALTH_CONFIRMED_EVERY
    };
    let known = &entry.record.health;
    if known.len() == health.len() && known.iter().zip(&health).all(|(old, new)| confirms(old, new)) {
        return;
    }
    let mut record = (*entry.record).clone();
    record.health = health;
    tx.put_instance(&at.cluster, record);
}

/// Agents write the kinds in words of their own (agent-protocol, PublishInstanceStatusRequest).
fn check_kind(text: &str) -> Option<InstanceCheckKind> {
    match text {
        "ContainerRuntime" => Some(InstanceCheckKind::ContainerRuntime),
        "AcceleratedCompute" => Some(InstanceCheckKind::AcceleratedCompute),
        "Daemon" => Some(InstanceCheckKind::Daemon),
        _ => None,
    }
}

fn check_status(status: InstanceStatusValue) -> InstanceHealth {
    match status {
        InstanceStatusValue::Ok => InstanceHealth::Ok,
        InstanceStatusValue::Impaired => InstanceHealth::Impaired,
        InstanceStatusValue::InsufficientData => InstanceHealth::InsufficientData,
        InstanceStatusValue::Initializing => InstanceHealth::Initializing,
    }
}

fn health_status(status: longshore_link::message::HealthStatus) -> HealthStatus {
    use longshore_link::message::HealthStatus as Link;
    match status {
        Link::Healthy => HealthStatus::Healthy,
        Link::Unhealthy => HealthStatus::Unhealthy,
        Link::Unknown => HealthStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use longshore_link::message::PublishHealth;

    use super::*;

    /// A message of others may tell of hundreds of tasks, and a transaction takes what an agent of ours sends at a time.
    #[test]
    fn health_is_taken_in_by_parts_that_leave_nothing_out() {
        for count in [0, 1, TELEMETRY_TASKS_MAX, TELEMETRY_TASKS_MAX + 1, 7 * TELEMETRY_TASKS_MAX] {
            let task = |n: usize| TaskHealth { task_arn: n.to_string(), ..TaskHealth::default() };
            let told: Vec<TaskHealth> = (0..count).map(task).collect();
            let observed =
                Observation::Health(PublishHealth { tasks: told.clone(), ..PublishHealth::default() });
            let parts: Vec<&[TaskHealth]> = parts(&observed)
                .into_iter()
                .map(|part| match part {
                    Part::Health(tasks) => tasks,
                    Part::Instance(_) => panic!("it tells of tasks"),
                })
                .collect();
            assert!(
                parts.iter().all(|part| !part.is_empty() && part.len() <= TELEMETRY_TASKS_MAX),
                "{count}"
            );
            assert_eq!(parts.concat(), told, "{count}");
        }
    }
}
