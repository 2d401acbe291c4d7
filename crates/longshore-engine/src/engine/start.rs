//! Towards RUNNING: dependencies, create, start, restart.

use std::time::Duration;

use crate::action::Action;
use crate::create::{self, Ready};
use crate::spec::HealthTracking;
use crate::task::{Container, ImageStep, KnownStatus, OpKind, ResourceState, SecretsState, Task};

use super::ask::{inspect, key_of};
use super::gate::{Gate, gate, gate_to_pull, is_awaited};
use super::{Cx, pause, pull};

/// The limit of a removal (G11).
const DISCARD_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a container that others wait for is inspected: the official agent looks at a blocked task every 5 s (G10).
const AWAITED_INSPECT_EVERY: Duration = Duration::from_secs(5);
/// Exit code of a container that never started because of a dependency (G8).
const EXIT_DEPENDENCY: i32 = 143;

/// The next operation on the way up, if the container may have one now.
pub(super) fn step(task: &mut Task, index: usize, cx: &mut Cx) {
    let phase = task.containers[index].phase;
    if awaits_its_dependencies(&task.containers[index])
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
    let asked = container.start_asked;
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
        // Also a container that is there waits: what held when it was created may hold no more.
        KnownStatus::Created if asked || gate(task, index, cx.now) == Gate::Open => {
            ask_start(task, index, cx)
        }
        KnownStatus::Created => {}
        KnownStatus::Running if restarting => ask_start(task, index, cx),
        KnownStatus::Running => inspect_regularly(task, index, cx),
        KnownStatus::Stopped => {}
    }
}

/// True as long as dependencies decide what becomes of it: until it is asked to start, unless something of it is being
/// put away.
fn awaits_its_dependencies(container: &Container) -> bool {
    match container.phase {
        KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled => true,
        KnownStatus::Created => {
            !container.start_asked && container.op.is_none() && container.discard.is_none()
        }
        KnownStatus::Running | KnownStatus::Stopped => false,
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

/// Inspects a running container when it is time to, in case an event was lost (G10, Watching): more often if others
/// wait for it.
fn inspect_regularly(task: &mut Task, index: usize, cx: &mut Cx) {
    if is_awaited(task, index) {
        let soon = cx.now + AWAITED_INSPECT_EVERY;
        let inspect_at = &mut task.containers[index].inspect_at;
        *inspect_at = Some(inspect_at.map_or(soon, |at| at.min(soon)));
    }
    if task.containers[index].inspect_at.is_some_and(|at| at <= cx.now) {
        task.containers[index].inspect_at = None;
        inspect(task, index, OpKind::RegularInspect, cx);
    }
}
