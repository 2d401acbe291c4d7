//! One container instance: whether it takes tasks, what is on it, and what is left on its machine when it is gone.

use std::sync::Arc;

use longshore_api_ecs::{Caller, identifiers};
use longshore_base::{InstanceId, Timestamp};
use longshore_controllers::Settings;
use longshore_controllers::upkeep::AGENT_AWAITED_FOR;
use longshore_domain::{InstanceHealth, InstanceStatus};
use longshore_state::State;
use longshore_tables_ecs::record::{Takeovers, Task};
use longshore_tables_ecs::{ClusterKey, ClusterTables, Connection, EcsState, InstanceEntry};

use crate::time::{ago, ahead, span};
use crate::{ExplainError, Explanation, Question, prefix};

/// How many tasks are named.
const TASKS_SHOWN: usize = 10;

/// Explains an instance that the cluster still knows, or an agent of the Fargate pool (`.fargate`).
pub fn instance(
    state: &State,
    caller: &Caller,
    question: &Question,
    settings: &Settings,
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    let (at, tables) = identifiers::host(state, caller, question.cluster.as_deref())?;
    let id = named(&at, tables, &question.subject)?;
    let entry = tables.instance(id).ok_or_else(|| ExplainError::NoInstance(id.to_string().into()))?;
    let status = entry.record.status;
    let agent = agent_word(&entry.connection);
    let mut out = Explanation::about(format!(
        "container instance {id} of cluster {}: {status}, agent {agent}",
        at.cluster
    ));
    match status {
        InstanceStatus::Inactive => say_gone(&mut out, tables, &at, entry, now),
        InstanceStatus::Active
        | InstanceStatus::Draining
        | InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering => say_present(&mut out, &at, entry, settings, now),
    }
    say_takeovers(&mut out, entry, now);
    say_tasks(&mut out, state, &at, id);
    Ok(out)
}

/// How its agent is, where one word has to do.
pub(crate) fn agent_word(connection: &Connection) -> &'static str {
    match (connection.open, connection.awaited_since) {
        (true, None) => "connected",
        (true, Some(_)) => "awaited (connected until the restart, not back yet)",
        (false, _) => "not connected",
    }
}

/// A second connection is a broken network, or a second machine with the instance's key.
fn say_takeovers(out: &mut Explanation, entry: &InstanceEntry, now: Timestamp) {
    let Takeovers { count, at, by, from } = &entry.record.takeovers;
    if *count == 0 {
        return;
    }
    let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
    out.say(format!(
        "A second connection has taken its command channel from the one before {times}, last {}: {by} from {from}. After a \
         broken network that is its own agent. If not, somebody else has its key or its data directory: deregister the \
         instance, which ends the key, and join the machine again.",
        ago(now, *at)
    ));
}

fn named(at: &ClusterKey, tables: &ClusterTables, subject: &str) -> Result<InstanceId, ExplainError> {
    match prefix::find(tables.instances().keys().copied(), subject) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Ok(identifiers::instance_id(at, subject)?),
        Err(ambiguous) => Err(ExplainError::Ambiguous(ambiguous.0)),
    }
}

fn say_present(
    out: &mut Explanation,
    at: &ClusterKey,
    entry: &InstanceEntry,
    settings: &Settings,
    now: Timestamp,
) {
    let since = span(now.since(entry.connection.since));
    let is_draining = entry.record.status == InstanceStatus::Draining;
    if let Some(restart) = entry.connection.awaited_since {
        let until = restart + AGENT_AWAITED_FOR;
        out.say(format!(
            "Its agent was connected until the server restarted, {}, and is not back yet: tasks are placed on it as if it \
             were. If it does not come, it counts as away {}, and what was placed on it meanwhile ends.",
            ago(now, restart),
            ahead(now, until)
        ));
    } else if entry.connection.open {
        out.say(format!("Its agent has been connected for {since}."));
        let worst = entry.record.health.iter().max_by_key(|check| check.status);
        if let Some(check) = worst.filter(|check| check.status == InstanceHealth::Impaired) {
            out.say(format!(
                "Its container engine does not answer, since {}: tasks go on, none can start. Look at Docker there.",
                ago(now, check.changed_at)
            ));
        }
    } else {
        let lost = settings.instance_lost_after.map(|after| entry.connection.since + after);
        let what_then = match lost {
            None => "Its tasks count as running until it comes back (--instance-lost-secs 0).".to_owned(),
            Some(at) if at > now => {
                format!(
                    "If it stays away, its tasks count as gone {} (--instance-lost-secs).",
                    ahead(now, at)
                )
            }
            Some(_) => "Its tasks count as gone (--instance-lost-secs).".to_owned(),
        };
        let details = out.say(format!(
            "No agent has been connected for {since}: look at the agent's log on that machine. {what_then} If it will not come back:"
        ));
        let of_cluster = if at.cluster.as_str() == "default" {
            String::new()
        } else {
            format!(" --cluster {}", at.cluster)
        };
        details.push(format!(
            "aws ecs deregister-container-instance --force{of_cluster} --container-instance {}",
            entry.record.id
        ));
    }
    if is_draining {
        out.say("It is DRAINING: no task is placed on it, and services move theirs elsewhere.");
    }
}

/// What stood on it when it was deregistered is STOPPED in the records. Whether it is on the machine nobody can know.
fn say_gone(
    out: &mut Explanation,
    tables: &ClusterTables,
    at: &ClusterKey,
    entry: &InstanceEntry,
    now: Timestamp,
) {
    let when = entry.record.deregistered_at.map_or_else(String::new, |then| format!(" {}", ago(now, then)));
    out.say(format!(
        "It was deregistered{when}. Its agent ends at its next start (that of `longshore up` joins anew); to join as a new instance, it \
         needs another ECS_DATADIR."
    ));
    let left: Vec<&Arc<Task>> = tables
        .tasks()
        .values()
        .filter(|task| task.instance == Some(entry.record.id) && may_run_on(task))
        .collect();
    if left.is_empty() {
        return;
    }
    let details = out.say(format!(
        "{} of its tasks count as STOPPED, and nobody has seen their containers end. Longshore's agent stops and removes them as soon \
         as it hears of it; where it does not come back, this does it on that machine:",
        left.len()
    ));
    for task in left.iter().take(TASKS_SHOWN) {
        let arn = at.scope.task_arn(&at.cluster, task.id, task.origin.arn_format);
        details.push(format!(
            "docker rm --force $(docker ps --all --quiet --filter label=com.amazonaws.ecs.task-arn={arn})"
        ));
    }
    if left.len() > TASKS_SHOWN {
        details.push(format!("and {} more", left.len() - TASKS_SHOWN));
    }
}

/// It was ended in the records alone: a container was made, and how it ended was never told.
fn may_run_on(task: &Task) -> bool {
    let untold = task.containers.iter().any(|own| own.runtime_id.is_some() && own.exit_code.is_none());
    task.last_status.is_stopped() && untold
}

fn say_tasks(out: &mut Explanation, state: &State, at: &ClusterKey, id: InstanceId) {
    let key = at.instance(id);
    let tasks: Vec<&Arc<Task>> = state.ecs().tasks_on(&key).map(|(_, task)| task).collect();
    if tasks.is_empty() {
        return;
    }
    let details = out.say(format!("{} tasks are on it:", tasks.len()));
    for task in tasks.iter().take(TASKS_SHOWN) {
        details.push(format!("task {}: {}, wanted {}", task.id, task.last_status, task.desired_status));
    }
    if tasks.len() > TASKS_SHOWN {
        details.push(format!("and {} more", tasks.len() - TASKS_SHOWN));
    }
}
