//! Towards RUNNING: dependencies, create, start, restart.

use std::time::Duration;

use longshore_base::Timestamp;

use crate::action::Action;
use crate::create::{self, Ready};
use crate::dependencies::Edge;
use crate::input::HealthStatus;
use crate::spec::{Condition, ContainerKey, HealthTracking, RuntimeId};
use crate::task::{ImageStep, KnownStatus, OpKind, ResourceState, SecretsState, Task};

use super::{Cx, pause, pull};

/// The limit of an inspection (G11).
pub(super) const INSPECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The limit of a removal (G11).
const DISCARD_TIMEOUT: Duration = Duration::from_secs(300);
/// Exit code of a container that never started because of a dependency (G8).
const EXIT_DEPENDENCY: i32 = 143;

pub(super) fn key_of(task: &Task, index: usize) -> ContainerKey {
    ContainerKey { task: task.spec.key.clone(), name: task.spec.containers[index].name.clone() }
}

/// The next operation on the way up, if the container may have one now.
pub(super) fn step(task: &mut Task, index: usize, cx: &mut Cx) {
    let phase = task.containers[index].phase;
    if phase < KnownStatus::Created
        && let Gate::Never(reason) = gate(task, index, cx.now)
    {
        // An operation under way is forgotten; a container that it may still create is removed then.
        task.mark_stopped(index, cx.now, None, Some(EXIT_DEPENDENCY), reason);
        return;
    }
    let container = &mut task.containers[index];
    if container.op.is_some() || container.retry_at.is_some_and(|at| at > cx.now) {
        return;
    }
    container.retry_at = None;
    let (refused, is_missing) = (container.discard.is_some(), container.runtime_id.is_none());
    let restarting = container.restarting;
    let unsure = container.start_error.is_some();
    match phase {
        KnownStatus::None | KnownStatus::ManifestPulled => {
            if task.is_ordinary(index) {
                let open = cx.settings.pull_upfront || gate_to_pull(task, index, cx.now) == Gate::Open;
                pull::step(task, index, open, cx);
            } else {
                pause::prepare(task, index, cx);
            }
            if task.containers[index].image == ImageStep::Done
                && task.containers[index].phase < KnownStatus::Pulled
            {
                task.containers[index].phase = KnownStatus::Pulled;
            }
        }
        KnownStatus::Pulled => create(task, index, cx),
        KnownStatus::Created if refused => discard(task, index, cx),
        // Only after another one was discarded.
        KnownStatus::Created if is_missing => create(task, index, cx),
        // A start that failed, and nobody could say yet what became of it: never asked for again before that.
        KnownStatus::Created if unsure => inspect(task, index, OpKind::VerifyStart, cx),
        KnownStatus::Running if restarting && unsure => inspect(task, index, OpKind::VerifyStart, cx),
        KnownStatus::Created => ask_start(task, index, cx),
        KnownStatus::Running if restarting => ask_start(task, index, cx),
        KnownStatus::Running => look(task, index, cx),
        KnownStatus::Stopped => {}
    }
}

fn create(task: &mut Task, index: usize, cx: &mut Cx) {
    let resource_ready = |state: &ResourceState| match state {
        ResourceState::NotNeeded | ResourceState::Ready => true,
        ResourceState::Wanted
        | ResourceState::Creating(_)
        | ResourceState::Removing(_)
        | ResourceState::Gone => false,
    };
    if gate(task, index, cx.now) != Gate::Open
        || !task.volumes.iter().all(resource_ready)
        || !resource_ready(&task.cgroup)
    {
        return;
    }
    let secrets = match &task.containers[index].secrets {
        SecretsState::NotNeeded => None,
        SecretsState::Resolved(secrets) => Some(secrets),
        SecretsState::Wanted(_) | SecretsState::Asked(_) => return,
    };
    match task.spec.containers[index].health {
        HealthTracking::Off | HealthTracking::On => {}
        HealthTracking::Missing => {
            let reason = "DockerClientConfigError: docker health check is nil while container health check type is DOCKER";
            task.mark_stopped(index, cx.now, None, None, reason.to_owned());
            return;
        }
    }
    let Some(network) = pause::place(task, index, cx) else { return };
    let spec = create::container(&Ready {
        network,
        settings: &cx.settings,
        spec: &task.spec,
        drawn: &task.drawn,
        volume_names: &task.volume_names,
        index,
        ports: &task.containers[index].ports,
        secrets,
    });
    let timeout = cx.settings.create_timeout;
    let op = cx.op(OpKind::Create, timeout);
    task.containers[index].op = Some(op);
    task.containers[index].create_asked = true;
    let container = key_of(task, index);
    cx.emit(Action::CreateContainer { op: op.id, container, spec: Box::new(spec), timeout });
}

/// Removes the container that could not have its host ports, so that its name is free for the next.
fn discard(task: &mut Task, index: usize, cx: &mut Cx) {
    let Some(runtime_id) = task.containers[index].discard.clone() else { return };
    let op = cx.op(OpKind::Discard, DISCARD_TIMEOUT);
    task.containers[index].op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::RemoveContainer { op: op.id, container, runtime_id });
}

fn ask_start(task: &mut Task, index: usize, cx: &mut Cx) {
    let Some(runtime_id) = task.containers[index].runtime_id.clone() else { return };
    let timeout = cx.settings.start_timeout;
    let op = cx.op(OpKind::Start, timeout);
    let container = &mut task.containers[index];
    container.op = Some(op);
    container.start_asked = true;
    container.restart_asked = container.restarting;
    let container = key_of(task, index);
    cx.emit(Action::StartContainer { op: op.id, container, runtime_id, timeout });
}

/// A regular look, in case an event was lost (G10, Watching).
fn look(task: &mut Task, index: usize, cx: &mut Cx) {
    if task.containers[index].look_at.is_some_and(|at| at <= cx.now) {
        task.containers[index].look_at = None;
        inspect(task, index, OpKind::Look, cx);
    }
}

/// What the runtime knows the container by: its id, or its name as long as that is unknown.
pub(super) fn id_or_name(task: &Task, index: usize) -> RuntimeId {
    let name = &task.drawn[index].runtime_name;
    task.containers[index].runtime_id.clone().unwrap_or_else(|| RuntimeId::new(name))
}

/// Asks how the container is; by name if its id is not known.
pub(super) fn inspect(task: &mut Task, index: usize, kind: OpKind, cx: &mut Cx) {
    let runtime_id = id_or_name(task, index);
    let op = cx.op(kind, INSPECT_TIMEOUT);
    task.containers[index].op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::InspectContainer { op: op.id, container, runtime_id });
}

/// Whether a container's dependencies let it start.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Wait,
    /// They never will; the reason names the one at fault.
    Never(String),
}

fn gate(task: &Task, index: usize, now: Timestamp) -> Gate {
    gate_of(task, index, task.graph.edges_of(index).iter(), now)
}

/// The same for the pull: an image can be fetched while the network is still being made.
fn gate_to_pull(task: &Task, index: usize, now: Timestamp) -> Gate {
    let edges = task.graph.edges_of(index).iter().filter(|edge| task.is_ordinary(edge.on));
    gate_of(task, index, edges, now)
}

fn gate_of<'a>(task: &Task, index: usize, edges: impl Iterator<Item = &'a Edge>, now: Timestamp) -> Gate {
    let mut open = true;
    for edge in edges {
        let dependency = &task.containers[edge.on];
        let cause = match (edge.condition, dependency.phase) {
            (Condition::Start, KnownStatus::Running) => continue,
            (Condition::Start | Condition::Complete, KnownStatus::Stopped) if dependency.has_run() => {
                continue;
            }
            (Condition::Success, KnownStatus::Stopped) if dependency.exit_code == Some(0) => continue,
            (Condition::Healthy, KnownStatus::Running) => match dependency.health.status {
                HealthStatus::Healthy => continue,
                HealthStatus::Unhealthy => Some("dependency became unhealthy"),
                HealthStatus::Unknown => None,
            },
            (Condition::Success, KnownStatus::Stopped) => Some("dependency did not exit successfully"),
            (Condition::Healthy, KnownStatus::Stopped) => Some("dependency stopped before it was healthy"),
            (Condition::Start | Condition::Complete, KnownStatus::Stopped) => {
                Some("dependency did not start")
            }
            (Condition::Complete | Condition::Success, KnownStatus::Running) => None,
            (
                Condition::Start | Condition::Complete | Condition::Success | Condition::Healthy,
                KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created,
            ) => None,
        };
        open = false;
        let (who, whom) = (describe(task, edge.on), describe(task, index));
        if let Some(cause) = cause {
            return Gate::Never(format!(
                "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [{who}] for target [{whom}] as {cause}."
            ));
        }
        if wait_ends_at(task, edge.on).is_some_and(|at| at <= now) {
            return Gate::Never(format!(
                "CannotStartContainerError: dependency graph: container ordering dependency [{who}] for target [{whom}] has timed out."
            ));
        }
    }
    if open { Gate::Open } else { Gate::Wait }
}

/// `startTimeout` counts from the dependency's own start.
fn wait_ends_at(task: &Task, dependency: usize) -> Option<Timestamp> {
    let timeout = task.spec.containers[dependency].start_timeout?;
    let container = &task.containers[dependency];
    (container.phase == KnownStatus::Running).then_some(())?;
    Some(container.started_at? + timeout)
}

/// When waiting for a dependency ends by time, if it may.
pub(super) fn gate_opens_by(task: &Task, index: usize) -> Option<Timestamp> {
    if task.is_stopping() || task.containers[index].phase >= KnownStatus::Created {
        return None;
    }
    task.graph.edges_of(index).iter().filter_map(|edge| wait_ends_at(task, edge.on)).min()
}

/// `name(image) (KNOWN->DESIRED)`, with the exit code if it ended: as the agent's reasons have it.
fn describe(task: &Task, index: usize) -> String {
    let (definition, container) = (&task.spec.containers[index], &task.containers[index]);
    let exit = container.exit_code.map_or_else(String::new, |code| format!(" - Exit: {code}"));
    format!("{}({}) ({}->RUNNING){exit}", definition.name, definition.image, container.phase.as_str())
}
