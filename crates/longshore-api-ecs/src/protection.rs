//! Protection of service tasks from scale-in (ecs-operations B5, ecs-engine D3).

use std::time::Duration;

use longshore_base::{TaskId, Timestamp};
use longshore_domain::DesiredStatus;
use longshore_rollout::Topic;
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, record};

use crate::identifiers::{self, NoMember};
use crate::{Caller, Ecs, failures, input, permission, texts};

/// The most tasks that one call asks for, and that one call changes (ecs-behaviour A4).
const GET_MAX: usize = 100;
const UPDATE_MAX: usize = 10;
/// How long a task is protected unless the call says so, and at most.
const MINUTES_DEFAULT: i32 = 120;
const MINUTES_MAX: i32 = 2880;

/// The task does not belong to a service, or it is on its way out.
const TASK_NOT_VALID: &str = "TASK_NOT_VALID";
/// A deployment of its service waits for protected tasks already.
const DEPLOYMENT_BLOCKED: &str = "DEPLOYMENT_BLOCKED";

/// Whether a protection has expired depends on the time.
impl Query<Ecs> for ops::GetTaskProtection {
    type Parsed = (Self::Input, Timestamp);
    type Answer = GetTaskProtectionResponse;

    fn parse(cx: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok((input, cx.now))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_members(input.cluster.as_deref(), "task", input.tasks.iter().flatten().map(String::as_str))
    }

    fn run(state: &State, caller: &Caller, (input, now): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (host, _) = identifiers::host(state, caller, input.cluster.as_deref())?;
        let named = input.tasks.unwrap_or_default();
        check_count::<GetTaskProtectionError>(&named, GET_MAX)?;
        let (mut protected_tasks, mut failed) = (Vec::new(), Vec::new());
        for named in &named {
            match service_task(state, &host, named)? {
                Ok((at, task)) => protected_tasks.push(shape(&at, task, now)),
                Err(failure) => failed.push(failure),
            }
        }
        Ok(GetTaskProtectionResponse { protected_tasks: Some(protected_tasks), failures: Some(failed) })
    }
}

/// Every call starts the time anew.
impl Command<Ecs> for ops::UpdateTaskProtection {
    type Parsed = Self::Input;
    type Answer = UpdateTaskProtectionResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_members(input.cluster.as_deref(), "task", input.tasks.iter().flatten().map(String::as_str))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (host, _) = identifiers::host(tx.state(), caller, input.cluster.as_deref())?;
        let named = input.tasks.unwrap_or_default();
        check_count::<UpdateTaskProtectionError>(&named, UPDATE_MAX)?;
        let minutes = match input.expires_in_minutes.unwrap_or(MINUTES_DEFAULT) {
            minutes @ 1..=MINUTES_MAX => minutes.unsigned_abs(),
            _ => return Err(InvalidParameterException::new(texts::EXPIRES_IN_MINUTES).into()),
        };
        let until = input
            .protection_enabled
            .filter(|&enabled| enabled)
            .map(|_| tx.now + Duration::from_secs(60 * u64::from(minutes)));
        let (mut protected_tasks, mut failed) = (Vec::new(), Vec::new());
        for named in &named {
            let (at, task) = match service_task(tx.state(), &host, named)? {
                Ok(found) => found,
                Err(failure) => {
                    failed.push(failure);
                    continue;
                }
            };
            if until.is_some() && tx.ecs().cluster(&at).is_some_and(|cluster| blocked(cluster, task)) {
                failed.push(failures::failure(arn(&at, task), DEPLOYMENT_BLOCKED));
                continue;
            }
            let mut task = task.clone();
            if task.protected_until != until {
                task.protected_until = until;
                tx.put_task(&at, task.clone());
            }
            protected_tasks.push(shape(&at, &task, tx.now));
        }
        Ok(UpdateTaskProtectionResponse { protected_tasks: Some(protected_tasks), failures: Some(failed) })
    }
}

fn check_count<E>(named: &[String], max: usize) -> Result<(), E>
where
    E: From<ClientException> + From<InvalidParameterException>,
{
    if named.is_empty() {
        return Err(InvalidParameterException::new(texts::TASKS_EMPTY).into());
    }
    if named.len() > max {
        return Err(InvalidParameterException::new(texts::too_many("tasks", max)).into());
    }
    Ok(())
}

/// The task that is named, if it can be protected, with its own cluster.
fn service_task<'s>(
    state: &'s State,
    host: &ClusterKey,
    named: &str,
) -> Result<Result<(ClusterKey, &'s record::Task), Failure>, InvalidParameterException> {
    let missing = || Ok(Err(failures::missing(identifiers::would_be_arn(host, "task", named))));
    let Some(at) = home(state, host, named) else { return missing() };
    let found = match identifiers::task_id(&at, named) {
        Ok(id) => state.ecs().cluster(&at).and_then(|cluster| cluster.task(id)),
        Err(NoMember::NotFound) => None,
        Err(error @ (NoMember::OtherCluster { .. } | NoMember::Malformed)) => {
            return Err(InvalidParameterException::new(error.to_string()));
        }
    };
    let Some(task) = found else { return missing() };
    if task.origin.service.is_none() || task.desired_status == DesiredStatus::Stopped {
        return Ok(Err(failures::failure(arn(&at, task), TASK_NOT_VALID)));
    }
    Ok(Ok((at, task)))
}

/// The cluster in which the task would be. A pool's agents ask for the pool's guests, on behalf of their containers
/// (agent-protocol G18); `None` if it has no such guest.
fn home(state: &State, host: &ClusterKey, named: &str) -> Option<ClusterKey> {
    if !host.is_pool() {
        return Some(host.clone());
    }
    let id = named.rsplit('/').next().and_then(|id| TaskId::parse(id).ok())?;
    state.ecs().home(host, id).cloned()
}

/// True if the planner says of the task's service that protected tasks hold up its deployment.
fn blocked(cluster: &ClusterTables, task: &record::Task) -> bool {
    let service = task.origin.service.as_ref().and_then(|service| cluster.service(&service.name));
    service.and_then(|entry| entry.record()).is_some_and(|service| {
        service.deployments.len() > 1 && service.memory.said.said.contains_key(&Topic::Protection)
    })
}

fn arn(at: &ClusterKey, task: &record::Task) -> String {
    at.scope.task_arn(&at.cluster, task.id, task.origin.arn_format)
}

fn shape(at: &ClusterKey, task: &record::Task, now: Timestamp) -> ProtectedTask {
    let until = task.protected_until.filter(|&until| until > now);
    ProtectedTask {
        task_arn: Some(arn(at, task)),
        protection_enabled: Some(until.is_some()),
        expiration_date: until,
    }
}
