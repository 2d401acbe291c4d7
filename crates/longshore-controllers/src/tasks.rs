//! How a task moves: told to stop, reported by its agent, ended without one.

use std::sync::Arc;

use longshore_base::{InstanceId, Port, TaskId, Timestamp};
use longshore_domain::{
    ContainerStatus, DesiredStatus, HealthStatus, NetworkMode, StopCode, TaskSpec, TaskStatus,
};
use longshore_state::Tx;
use longshore_tables_ecs::record::{Container, NetworkBinding, Task};
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

/// The only states that agents report; the others are the server's own (agent-protocol G8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedStatus {
    Pending,
    Running,
    Stopped,
}

/// What an agent says of a container. Absent members leave what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerReport {
    pub name: String,
    pub status: Option<ContainerStatus>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub bindings: Vec<NetworkBinding>,
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
        Some(ReportedStatus::Stopped) => stopped(&mut task, &known, spec, report, now),
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

/// The agent has ended the task: whether it ever ran, and why it ended.
fn stopped(task: &mut Task, known: &Task, spec: Option<&TaskSpec>, report: &Report, now: Timestamp) {
    let started: Vec<bool> = task
        .containers
        .iter()
        .zip(&known.containers)
        .map(|(own, was)| has_started(own, was, report))
        .collect();
    // A short task skips RUNNING, but RUNNING means that all its containers got there.
    let ran = task.started_at.is_some() || started.iter().all(|&started| started);
    if ran {
        task.started_at.get_or_insert(now);
    }
    if task.stop_code.is_none() {
        let (code, text) = ending(task, &started, ran, spec, report.reason.as_deref());
        task.stop_code = Some(code);
        task.stopped_reason = Some(text);
    }
    end(task, now);
}

/// Code and reason of a task that nobody stopped. One that never ran failed to start, but for one thing: an essential container
/// that ended by itself while others had yet to start is the reason, and they are not (ecs-engine D3, "Ends").
fn ending(
    task: &Task,
    started: &[bool],
    ran: bool,
    spec: Option<&TaskSpec>,
    reason: Option<&str>,
) -> (StopCode, Arc<str>) {
    let reason = reason.filter(|text| !text.is_empty());
    let containers = || task.containers.iter().zip(started);
    let not_started = |fits: &dyn Fn(&Container, &str) -> bool| {
        let mut reasons = containers().filter(|(_, started)| !**started).filter_map(|(own, _)| {
            let reason = own.reason.as_ref()?;
            fits(own, reason).then(|| reason.clone())
        });
        reasons.next()
    };
    let failed = not_started(&|own, reason| is_essential(own, spec) && is_start_failure(reason));
    let exited = containers().any(|(own, started)| *started && is_essential(own, spec));
    if ran || (exited && failed.is_none() && reason.is_none()) {
        return (StopCode::EssentialContainerExited, reason.unwrap_or(ESSENTIAL_EXITED).into());
    }
    let text = reason
        .map(Arc::from)
        .or(failed)
        .or_else(|| not_started(&|_, reason| is_start_failure(reason)))
        .or_else(|| not_started(&|_, reason| is_one_of(reason, &[MANIFEST_FAILURE])))
        .unwrap_or_else(|| FAILED_TO_START.into());
    (StopCode::TaskFailedToStart, text)
}

/// Without its definition, each container counts.
pub(crate) fn is_essential(container: &Container, spec: Option<&TaskSpec>) -> bool {
    spec.and_then(|spec| spec.container(container.name.as_str())).is_none_or(|own| own.essential)
}

/// True if a process of the container ran. Agents may leave its RUNNING out; then its exit code tells, but not that of a
/// container which was given up before it started (agent-protocol G8: 143 and a reason).
fn has_started(own: &Container, known: &Container, report: &Report) -> bool {
    let is_running =
        |of: &ContainerReport| of.name == own.name.as_str() && of.status == Some(ContainerStatus::Running);
    let said = known.last_status == ContainerStatus::Running || report.containers.iter().any(is_running);
    let ended = own.runtime_id.is_some() && own.exit_code.is_some();
    said || (ended && !own.reason.as_deref().is_some_and(|reason| is_one_of(reason, START_FAILURES)))
}

/// Reasons that stick to a container which then runs on an image that is there already (agent-protocol G8).
const PULL_FAILURES: &[&str] =
    &["CannotPullContainerError", "CannotPullECRContainerError", "CannotPullContainerAuthError"];

/// Where no registry has an image, each container that runs on a local one shows this (agent-protocol G8): it explains an end that nothing
/// else does.
const MANIFEST_FAILURE: &str = "CannotPullImageManifestError";

/// Reasons of a container that never ran, created or not.
const START_FAILURES: &[&str] = &[
    "CannotCreateContainerError",
    "CannotStartContainerError",
    "CannotCreateVolumeError",
    "ContainerNetworkingError",
    "DockerTimeoutError",
    "HostConfigError",
    "DockerClientConfigError",
    "TaskDependencyError",
    "InvalidVolumeError",
    "ResourceInitializationError",
    "TaskStoppedBeforePullBeginError",
];

/// True if a container that did not start did not because of this.
fn is_start_failure(reason: &str) -> bool {
    is_one_of(reason, PULL_FAILURES) || is_one_of(reason, START_FAILURES)
}

fn is_one_of(reason: &str, names: &[&str]) -> bool {
    names.iter().any(|name| reason.starts_with(name))
}

/// `share` gives the texts that many containers have in common.
fn report_container(
    own: &mut Container,
    report: &ContainerReport,
    spec: Option<&TaskSpec>,
    share: &mut dyn FnMut(&str) -> Arc<str>,
) {
    if let Some(status) = report.status {
        if status > own.last_status && report.reason.as_deref().unwrap_or_default().is_empty() {
            // It told why it had to wait, and does not any more.
            own.reason = None;
        }
        own.last_status = own.last_status.max(status);
    }
    let text = |new: &Option<String>, old: &mut Option<Arc<str>>| {
        if let Some(new) = new.as_deref().filter(|text| !text.is_empty()) {
            *old = Some(new.into());
        }
    };
    text(&report.reason, &mut own.reason);
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
            let report = ContainerReport { reason: Some(reason.into()), ..report_of(status) };
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
