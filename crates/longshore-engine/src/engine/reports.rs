//! When the control plane is told what (agent-protocol G8).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use longshore_base::{ContainerName, Timestamp};

use crate::action::Action;
use crate::report::{ContainerChange, NetworkBinding, ReportedStatus, TaskReport};
use crate::spec::{NetworkMode, ReportId};
use crate::task::{InFlight, Task};

use super::Cx;

/// Changes of containers alone wait this long, plus a random part, for company.
const FLUSH_AFTER: Duration = Duration::from_secs(10);
const FLUSH_JITTER: Duration = Duration::from_secs(20);
/// Limits of the agent for texts, in characters (G8).
const REASON_LEN_MAX: usize = 1024;
const ID_LEN_MAX: usize = 255;

/// Sends the next report of the task if there is something to tell and none is under way.
pub(super) fn step(task: &mut Task, cx: &mut Cx) {
    let is_over = cx.dismissed || task.reporting.accepted == Some(ReportedStatus::Stopped);
    if task.reporting.in_flight.is_some() || is_over {
        return;
    }
    let status = status(task);
    let news = match status {
        ReportedStatus::Pending => false,
        ReportedStatus::Running | ReportedStatus::Stopped => task.reporting.accepted < Some(status),
    };
    if task.reporting.changes.is_empty() {
        task.reporting.flush_at = None;
    } else if task.reporting.flush_at.is_none() {
        task.reporting.flush_at = Some(cx.now + FLUSH_AFTER + cx.jitter(FLUSH_JITTER));
    }
    let flush = task.reporting.flush_at.is_some_and(|at| at <= cx.now);
    let urgent = task.reporting.urgent && status == ReportedStatus::Pending;
    // The end of an essential container decides the task's fate, though others may take long to stop:
    // who hears of it at once can replace the task at once.
    // (Not once all that is left is the container that holds the network: STOPPED follows at once.)
    let doomed = status == ReportedStatus::Running
        && task.execution_stopped_at.is_some()
        && !task.reporting.changes.is_empty()
        && task.ordinary().any(|container| !container.is_stopped());
    if !(news || flush || urgent || doomed) {
        return;
    }
    let changes = std::mem::take(&mut task.reporting.changes);
    let id = cx.report_id();
    let bind_ip = cx.settings.bind_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let report = TaskReport {
        id,
        task: task.spec.key.clone(),
        status,
        reason: limited(match status {
            ReportedStatus::Pending if task.reason.is_empty() => {
                task.reporting.waiting.as_deref().unwrap_or_default()
            }
            ReportedStatus::Pending | ReportedStatus::Running | ReportedStatus::Stopped => &task.reason,
        }),
        containers: changes.iter().map(|(index, status)| change(task, *index, *status, bind_ip)).collect(),
        pull_started_at: task.pull_started_at,
        pull_stopped_at: task.pull_stopped_at,
        execution_stopped_at: task.execution_stopped_at,
    };
    task.reporting.urgent = false;
    task.reporting.flush_at = None;
    task.reporting.in_flight = Some(InFlight { id, status, changes });
    cx.emit(Action::Report(report));
}

/// RUNNING means that all containers run or ended, and that the essential ones among them did run: a task
/// whose essential container could not start goes from PENDING to STOPPED. Once true this stays true.
fn status(task: &Task) -> ReportedStatus {
    let status = task.status().reported();
    let failed_to_start =
        task.spec.containers.iter().zip(&task.containers).any(|(d, c)| d.essential && !c.has_run());
    if status == ReportedStatus::Running && failed_to_start { ReportedStatus::Pending } else { status }
}

/// The server has the report, or never wants it: the next may go.
pub(super) fn answered(task: &mut Task, id: ReportId) {
    let Some(sent) = task.reporting.in_flight.take_if(|sent| sent.id == id) else { return };
    task.reporting.accepted = task.reporting.accepted.max(Some(sent.status));
    for (index, status) in sent.changes {
        let reported = &mut task.containers[index].reported;
        *reported = (*reported).max(Some(status));
    }
}

/// When held changes are sent on their own.
pub(super) fn next_flush(task: &Task) -> Option<Timestamp> {
    if task.reporting.in_flight.is_some() { None } else { task.reporting.flush_at }
}

fn change(task: &Task, index: usize, status: ReportedStatus, bind_ip: IpAddr) -> ContainerChange {
    let container = &task.containers[index];
    let bindings = match task.spec.network_mode {
        NetworkMode::Bridge if container.has_run() => container
            .ports
            .iter()
            .map(|ports| NetworkBinding {
                bind_ip,
                container_first: ports.container_first,
                host_first: ports.host_first,
                count: ports.count,
                range: ports.range,
                protocol: ports.protocol,
            })
            .collect(),
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None | NetworkMode::Awsvpc => Vec::new(),
    };
    ContainerChange {
        name: task.spec.containers[index].name.clone(),
        status,
        runtime_id: container.runtime_id.clone(),
        exit_code: container.exit_code,
        reason: limited(&container.reason),
        image_digest: container.image_digest.as_ref().map(|text| text.chars().take(ID_LEN_MAX).collect()),
        bindings,
        secret_versions: container.secret_versions.clone(),
    }
}

/// A container of a task that this node does not have.
pub(super) fn never_here(name: ContainerName) -> ContainerChange {
    ContainerChange {
        name,
        status: ReportedStatus::Stopped,
        runtime_id: None,
        exit_code: None,
        reason: String::new(),
        image_digest: None,
        bindings: Vec::new(),
        secret_versions: Vec::new(),
    }
}

pub(super) fn limited(reason: &str) -> String {
    reason.chars().take(REASON_LEN_MAX).collect()
}
