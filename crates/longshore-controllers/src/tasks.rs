//! How a task moves: told to stop, reported by its agent, ended without one.

use std::sync::Arc;

use longshore_base::{InstanceId, Port, ReportedStatus, TaskId, Timestamp};
use longshore_domain::{
    Cause, ContainerEnd, ContainerStatus, DesiredStatus, HealthStatus, NetworkMode, StartFailure, StopCode,
    TaskSpec, TaskStatus,
};
use longshore_state::Tx;
use longshore_tables_ecs::record::{Container, GivenSecret, GivenSecrets, NetworkBinding, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};

/// `stoppedReason` when an essential container ended.
const ESSENTIAL_EXITED: &str = "Essential container in task exited";
/// `stoppedReason` when a task failed to start and nobody said why.
const FAILED_TO_START: &str = "Task failed to start";

/// What an agent says of a task (SubmitTaskStateChange).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub status: Option<ReportedStatus>,
    pub reason: Option<String>,
    pub containers: Vec<ContainerReport>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
}

/// What an agent says of a container. Absent members leave what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerReport {
    pub name: String,
    pub status: Option<ContainerStatus>,
    pub exit_code: Option<i32>,
    pub reason: Option<Reason>,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub bindings: Vec<NetworkBinding>,
    /// `valueFrom` and version of the secrets that it was given.
    pub secrets: Vec<(String, String)>,
}

/// Why a container is as it is: as the agent words it, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub text: String,
    pub cause: Cause,
}

impl Reason {
    /// `None` for the empty text, which agents send where there is nothing to say.
    pub fn parse(text: String) -> Option<Self> {
        let cause = Cause::parse(&text);
        (!text.is_empty()).then_some(Self { text, cause })
    }
}

/// The agent reports a task that it does not have. It drops such a report (agent-protocol G8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task is not on this container instance")]
pub struct UnknownTask;

/// Tells a task to stop. It ends when its agent has reported so; one without an agent ends at once.
/// A task that was told already keeps its first reason.
pub fn stop(tx: &mut Tx<'_>, at: &ClusterKey, task: &Task, code: StopCode, reason: &str) -> Task {
    let mut task = task.clone();
    if task.desired_status == DesiredStatus::Stopped || task.last_status.is_stopped() {
        return task;
    }
    task.desired_status = DesiredStatus::Stopped;
    task.stopping_at = Some(tx.now);
    task.stop_code = Some(code);
    task.stopped_reason = Some(reason.into());
    if task.instance.is_none() {
        end(&mut task, tx.now);
    }
    tx.put_task(at, task.clone());
    task
}

/// Ends a task whose agent will not report any more.
pub fn abandon(tx: &mut Tx<'_>, at: &ClusterKey, task: &Task, code: StopCode, reason: &str) {
    if task.last_status.is_stopped() {
        return;
    }
    let mut task = task.clone();
    if task.desired_status == DesiredStatus::Running {
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(code);
        task.stopped_reason = Some(reason.into());
        task.stopping_at = Some(tx.now);
    }
    end(&mut task, tx.now);
    tx.put_task(at, task);
}

fn end(task: &mut Task, now: Timestamp) {
    task.last_status = TaskStatus::Stopped;
    task.desired_status = DesiredStatus::Stopped;
    task.stopped_at = Some(now);
    task.stopping_at.get_or_insert(now);
    for container in &mut task.containers {
        container.last_status = ContainerStatus::Stopped;
    }
}

/// Takes in a report. States only move forward, and a repeated report changes nothing.
pub fn report(
    tx: &mut Tx<'_>,
    at: &ClusterKey,
    reporter: Option<InstanceId>,
    id: TaskId,
    report: &Report,
) -> Result<(), UnknownTask> {
    let known = tx.ecs().task(at, id).cloned().ok_or(UnknownTask)?;
    if reporter.is_some() && known.instance != reporter {
        return Err(UnknownTask);
    }
    if known.last_status.is_stopped() {
        return Ok(());
    }
    let definition = tx.ecs().definition(&at.scope, &known.origin.family, known.origin.revision).cloned();
    let spec = definition.as_ref().map(|definition| definition.spec());
    let mut task = (*known).clone();
    let now = tx.now;
    task.connectivity_at.get_or_insert(now);
    for container in &report.containers {
        if let Some(own) = task.containers.iter_mut().find(|own| own.name.as_str() == container.name) {
            report_container(own, container, spec, &mut |text| tx.share_text(text));
        }
    }
    if let Some(given) = given_secrets(known.secrets.as_deref(), report, spec) {
        task.secrets = Some(tx.share_secrets(given));
    }
    for (own, was) in task.containers.iter_mut().zip(&known.containers) {
        if own.last_status == ContainerStatus::Stopped || report.status == Some(ReportedStatus::Stopped) {
            own.end = Some(end_of(own, was, report));
        }
    }
    task.pull_started_at = task.pull_started_at.or(report.pull_started_at);
    task.pull_stopped_at = report.pull_stopped_at.or(task.pull_stopped_at);
    task.execution_stopped_at = task.execution_stopped_at.or(report.execution_stopped_at);
    match report.status {
        Some(ReportedStatus::Pending) | None => {}
        Some(ReportedStatus::Running) => {
            task.last_status = task.last_status.advance(TaskStatus::Running);
            task.started_at.get_or_insert(now);
            if task.execution_stopped_at.is_some() {
                essential_exited(&mut task, now);
            }
        }
        Some(ReportedStatus::Stopped) => stopped(&mut task, spec, report, now),
    }
    if let Some(spec) = spec {
        task.health = task_health(&task, spec);
    }
    if task != *known {
        tx.put_task(at, task);
    }
    Ok(())
}

/// An essential container has ended while others are still being stopped.
fn essential_exited(task: &mut Task, now: Timestamp) {
    if task.desired_status == DesiredStatus::Running {
        task.desired_status = DesiredStatus::Stopped;
        task.stopping_at = Some(now);
        task.stop_code = Some(StopCode::EssentialContainerExited);
        task.stopped_reason = Some(ESSENTIAL_EXITED.into());
    }
}

/// The agent has ended the task, and so all of its containers: whether it ever ran, and why it ended.
fn stopped(task: &mut Task, spec: Option<&TaskSpec>, report: &Report, now: Timestamp) {
    // A short task skips RUNNING, but RUNNING means that all its containers got there.
    let all_ran = task.containers.iter().all(|own| own.end.is_some_and(ContainerEnd::has_run));
    let ran = task.started_at.is_some() || all_ran;
    if ran {
        task.started_at.get_or_insert(now);
    }
    if task.stop_code.is_none() {
        let (code, text) = ending(task, ran, spec, report.reason.as_deref());
        task.stop_code = Some(code);
        task.stopped_reason = Some(text);
    }
    end(task, now);
}

/// Code and reason of a task that nobody stopped. One that never ran failed to start, but for one thing: an essential container
/// that ended by itself while others had yet to start is the reason, and they are not (ecs-engine D3, "Ends").
fn ending(task: &Task, ran: bool, spec: Option<&TaskSpec>, reason: Option<&str>) -> (StopCode, Arc<str>) {
    let reason = reason.filter(|text| !text.is_empty());
    let essential = |own: &&Container| is_essential(own, spec);
    // The text of the first that did not get there for one of these.
    let not_started = |own: &Container, failures: &[StartFailure]| match own.end? {
        ContainerEnd::NeverRan(Some(failure)) if failures.contains(&failure) => own.reason.clone(),
        ContainerEnd::NeverRan(_)
        | ContainerEnd::Exited
        | ContainerEnd::Killed
        | ContainerEnd::OutOfMemory
        | ContainerEnd::Unknown => None,
    };
    let telling = [StartFailure::Pull, StartFailure::Start];
    let failed = task.containers.iter().filter(essential).find_map(|own| not_started(own, &telling));
    let exited =
        task.containers.iter().filter(essential).any(|own| own.end.is_some_and(ContainerEnd::has_run));
    if ran || (exited && failed.is_none() && reason.is_none()) {
        return (StopCode::EssentialContainerExited, reason.unwrap_or(ESSENTIAL_EXITED).into());
    }
    let first = |failures: &[StartFailure]| task.containers.iter().find_map(|own| not_started(own, failures));
    let text = reason
        .map(Arc::from)
        .or(failed)
        .or_else(|| first(&telling))
        .or_else(|| first(&[StartFailure::Manifest]))
        .unwrap_or_else(|| FAILED_TO_START.into());
    (StopCode::TaskFailedToStart, text)
}

/// Without its definition, each container counts.
pub(crate) fn is_essential(container: &Container, spec: Option<&TaskSpec>) -> bool {
    spec.and_then(|spec| spec.container(container.name.as_str())).is_none_or(|own| own.essential)
}

/// How a container ended that was `was` before the report: what ran once has run.
fn end_of(own: &Container, was: &Container, report: &Report) -> ContainerEnd {
    let is_running =
        |of: &ContainerReport| of.name == own.name.as_str() && of.status == Some(ContainerStatus::Running);
    let ran = was.last_status == ContainerStatus::Running
        || was.end.is_some_and(ContainerEnd::has_run)
        || report.containers.iter().any(is_running);
    ContainerEnd::of(ran, own.runtime_id.is_some(), own.exit_code, own.cause)
}

/// `share` gives the texts that many containers have in common.
fn report_container(
    own: &mut Container,
    report: &ContainerReport,
    spec: Option<&TaskSpec>,
    share: &mut dyn FnMut(&str) -> Arc<str>,
) {
    if let Some(status) = report.status {
        if status > own.last_status && report.reason.is_none() {
            // It told why it had to wait, and does not any more.
            (own.reason, own.cause) = (None, None);
        }
        own.last_status = own.last_status.max(status);
    }
    let text = |new: &Option<String>, old: &mut Option<Arc<str>>| {
        if let Some(new) = new.as_deref().filter(|text| !text.is_empty()) {
            *old = Some(new.into());
        }
    };
    if let Some(reason) = &report.reason {
        (own.reason, own.cause) = (Some(reason.text.as_str().into()), Some(reason.cause));
    }
    text(&report.runtime_id, &mut own.runtime_id);
    if let Some(digest) = report.image_digest.as_deref().filter(|text| !text.is_empty()) {
        own.image_digest = Some(share(digest));
    }
    // With RUNNING comes, if at all, the code of a run that a restart policy has followed up: the container has none.
    if own.last_status != ContainerStatus::Running {
        own.exit_code = report.exit_code.or(own.exit_code);
    }
    if !report.bindings.is_empty() {
        let shared =
            |binding: &NetworkBinding| NetworkBinding { bind_ip: share(&binding.bind_ip), ..binding.clone() };
        own.bindings = report.bindings.iter().map(shared).collect();
    } else if own.last_status == ContainerStatus::Running
        && own.bindings.is_empty()
        && let Some(spec) = spec
        && spec.network_mode == NetworkMode::Host
    {
        own.bindings = host_bindings(own, spec, share);
    }
}

/// The secrets that a task was given, if a report tells of any. A container that is told of anew was made anew. What the
/// definition does not name nobody was given.
fn given_secrets(
    known: Option<&GivenSecrets>,
    report: &Report,
    spec: Option<&TaskSpec>,
) -> Option<GivenSecrets> {
    let named = |container: &ContainerReport| spec.and_then(|spec| spec.container(&container.name));
    let told: Vec<_> = report.containers.iter().filter(|own| !own.secrets.is_empty()).collect();
    let mut given: Vec<GivenSecret> = known.iter().flat_map(|known| &known.0).cloned().collect();
    given.retain(|own| !told.iter().any(|container| container.name == own.container.as_str()));
    let mut any = false;
    for container in told {
        let Some(spec) = named(container) else { continue };
        for (value_from, version) in &container.secrets {
            if spec.secrets.iter().any(|own| **own == **value_from) {
                given.push(GivenSecret {
                    container: spec.name.clone(),
                    value_from: value_from.as_str().into(),
                    version: version.as_str().into(),
                });
                any = true;
            }
        }
    }
    given.sort();
    given.dedup_by(|a, b| (&a.container, &a.value_from) == (&b.container, &b.value_from));
    any.then_some(GivenSecrets(given))
}

/// Agents report no bindings in host mode; what is shown follows from the definition (agent-protocol G8).
fn host_bindings(
    container: &Container,
    spec: &TaskSpec,
    share: &mut dyn FnMut(&str) -> Arc<str>,
) -> Vec<NetworkBinding> {
    let ports = spec.container(container.name.as_str()).map(|own| own.ports.as_slice()).unwrap_or_default();
    let mut binding = |port: Port, protocol| NetworkBinding {
        bind_ip: share("0.0.0.0"),
        container_port: Some(port),
        host_port: Some(port),
        container_port_range: None,
        host_port_range: None,
        protocol,
    };
    ports.iter().map(|mapping| binding(mapping.container_port, mapping.protocol)).collect()
}

/// What telemetry says of the health of a task's containers.
pub fn report_health(
    tx: &mut Tx<'_>,
    at: &ClusterKey,
    reporter: InstanceId,
    id: TaskId,
    health: &[(String, HealthStatus)],
) -> Result<(), UnknownTask> {
    let known = tx.ecs().task(at, id).cloned().ok_or(UnknownTask)?;
    if known.instance != Some(reporter) {
        return Err(UnknownTask);
    }
    let definition = tx.ecs().definition(&at.scope, &known.origin.family, known.origin.revision).cloned();
    let (Some(definition), false) = (definition, known.last_status.is_stopped()) else { return Ok(()) };
    let mut task = (*known).clone();
    for (name, health) in health {
        if let Some(own) = task.containers.iter_mut().find(|own| own.name.as_str() == name) {
            own.health = *health;
        }
    }
    task.health = task_health(&task, definition.spec());
    if task != *known {
        tx.put_task(at, task);
    }
    Ok(())
}

/// UNHEALTHY if one essential container with a check is; HEALTHY if all of them are; else UNKNOWN
/// (ecs-engine D3, "Health").
fn task_health(task: &Task, spec: &TaskSpec) -> HealthStatus {
    let checked = spec.containers.iter().filter(|own| own.essential && own.has_health_check);
    let states: Vec<HealthStatus> = checked
        .filter_map(|own| task.containers.iter().find(|container| container.name == own.name))
        .map(|container| container.health)
        .collect();
    if states.contains(&HealthStatus::Unhealthy) {
        HealthStatus::Unhealthy
    } else if !states.is_empty() && states.iter().all(|&state| state == HealthStatus::Healthy) {
        HealthStatus::Healthy
    } else {
        HealthStatus::Unknown
    }
}

#[cfg(test)]
mod tests {
    use longshore_base::{ContainerId, ContainerName};

    use super::*;

    /// A reason to wait is over with the wait; one that is repeated stays, as the official agent's do.
    #[test]
    fn a_container_forgets_why_it_had_to_wait() {
        let mut own = container();
        let mut report = |status, reason: &str| {
            let report = ContainerReport { reason: Reason::parse(reason.into()), ..report_of(status) };
            report_container(&mut own, &report, None, &mut |text| text.into());
            own.reason.as_deref().map(str::to_owned)
        };
        assert_eq!(report(ContainerStatus::Pending, "away").as_deref(), Some("away"));
        assert_eq!(report(ContainerStatus::Pending, "").as_deref(), Some("away"));
        assert_eq!(report(ContainerStatus::Running, "").as_deref(), None);
        assert_eq!(report(ContainerStatus::Stopped, "OutOfMemoryError").as_deref(), Some("OutOfMemoryError"));
        assert_eq!(report(ContainerStatus::Stopped, "").as_deref(), Some("OutOfMemoryError"));
    }

    fn container() -> Container {
        Container {
            id: ContainerId::from_bits(1),
            name: ContainerName::parse("main").expect("a name"),
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            runtime_id: None,
            image_digest: None,
            health: HealthStatus::Unknown,
            bindings: Vec::new(),
            cause: None,
            end: None,
        }
    }

    fn report_of(status: ContainerStatus) -> ContainerReport {
        ContainerReport {
            name: "main".into(),
            status: Some(status),
            exit_code: None,
            reason: None,
            runtime_id: None,
            image_digest: None,
            bindings: Vec::new(),
            secrets: Vec::new(),
        }
    }

    #[test]
    fn a_running_container_shows_no_exit_code_of_an_earlier_run() {
        let mut own = container();
        for (status, code, shown) in [
            (ContainerStatus::Running, Some(3), None),
            (ContainerStatus::Stopped, Some(143), Some(143)),
            (ContainerStatus::Stopped, None, Some(143)),
        ] {
            let report = ContainerReport { exit_code: code, ..report_of(status) };
            report_container(&mut own, &report, None, &mut |text| text.into());
            assert_eq!(own.exit_code, shown, "{status} with {code:?}");
        }
    }
}
