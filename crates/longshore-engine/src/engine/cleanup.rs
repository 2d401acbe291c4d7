//! The end of a stopped task: containers, volumes, cgroup, records (agent-protocol G10, Clean-up).

use std::time::Duration;

use longshore_base::Timestamp;

use crate::action::Action;
use crate::create;
use crate::input::{OpError, OpErrorKind};
use crate::report::ReportedStatus;
use crate::task::{Cleanup, OpKind, ResourceState, Task};

use super::ask::{id_or_name, key_of};
use super::{Cx, stop};

/// How long clean-up waits for the STOPPED report to be accepted.
const UNREPORTED_MAX: Duration = Duration::from_secs(72 * 3600);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(300);
const REMOVE_TRIES_MAX: u32 = 5;
const REMOVE_PAUSE: Duration = Duration::from_secs(60);

pub(super) fn step(task: &mut Task, cx: &mut Cx) {
    let Some(stopped_at) = task.stopped_at else { return };
    if task.cleanup_at.is_none() {
        let jitter = cx.jitter(cx.settings.cleanup_jitter);
        task.cleanup_at = Some(stopped_at + cx.settings.cleanup_wait + jitter);
    }
    match task.cleanup {
        Cleanup::NotDue if cx.dismissed || is_due(task, cx.now) => task.cleanup = Cleanup::Removing,
        Cleanup::Removing => {}
        Cleanup::NotDue | Cleanup::Finished => return,
    }
    if remove_containers(task, cx) && remove_resources(task, cx) {
        task.cleanup = Cleanup::Finished;
    }
}

fn is_due(task: &Task, now: Timestamp) -> bool {
    let told = task.reporting.accepted == Some(ReportedStatus::Stopped);
    let wait = if told { Duration::ZERO } else { UNREPORTED_MAX };
    task.cleanup_at.is_some_and(|at| at + wait <= now)
}

/// When clean-up may begin, if that depends on time alone; `None` while it runs or when it is done.
pub(super) fn due_at(task: &Task) -> Option<Timestamp> {
    match task.cleanup {
        Cleanup::NotDue => {
            let told = task.reporting.accepted == Some(ReportedStatus::Stopped);
            task.cleanup_at.map(|at| if told { at } else { at + UNREPORTED_MAX })
        }
        Cleanup::Removing | Cleanup::Finished => None,
    }
}

pub(super) fn is_finished(task: &Task) -> bool {
    task.cleanup == Cleanup::Finished
}

/// Asks for the removal of what is left; true if nothing is.
fn remove_containers(task: &mut Task, cx: &mut Cx) -> bool {
    let mut left = false;
    for index in 0..task.containers.len() {
        let container = &task.containers[index];
        if container.removed || (container.runtime_id.is_none() && !container.create_asked) {
            continue;
        }
        left = true;
        if container.op.is_some() || container.retry_at.is_some_and(|at| at > cx.now) {
            continue;
        }
        ask_removal(task, index, cx);
    }
    !left
}

/// Asks for the removal of a container. One that has not run, and never is to, goes before the task's clean-up: there is
/// nothing of it that anybody could want to see.
pub(super) fn ask_removal(task: &mut Task, index: usize, cx: &mut Cx) {
    let runtime_id = id_or_name(task, index);
    let op = cx.op(OpKind::Remove, REMOVE_TIMEOUT);
    let container = &mut task.containers[index];
    container.retry_at = None;
    container.op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::RemoveContainer { op: op.id, container, runtime_id });
}

/// A removal came back. After enough failures the container is left behind: a node must not keep
/// tasks for ever because one container cannot be removed.
pub(super) fn removed(task: &mut Task, index: usize, result: Result<(), OpError>, cx: &mut Cx) {
    let is_due = task.cleanup != Cleanup::NotDue;
    let container = &mut task.containers[index];
    if !is_due && let Err(error) = &result {
        // It may start yet: as long as it is there, it is neither forgotten nor does anybody get its room.
        container.retry_at = Some(cx.now + stop::kill_pause(error.kind == OpErrorKind::Unavailable));
        return;
    }
    container.tries += 1;
    if result.is_ok() || container.tries >= REMOVE_TRIES_MAX {
        container.removed = true;
        container.kill_wanted = false;
    } else {
        container.retry_at = Some(cx.now + REMOVE_PAUSE);
    }
}

fn remove_resources(task: &mut Task, cx: &mut Cx) -> bool {
    for (index, definition) in task.spec.volumes.iter().enumerate() {
        if task.volumes[index] != ResourceState::Ready {
            continue;
        }
        if !create::is_task_volume(&definition.source) {
            task.volumes[index] = ResourceState::Gone;
            continue;
        }
        let op = cx.side_op(REMOVE_TIMEOUT);
        task.volumes[index] = ResourceState::Removing(op);
        cx.emit(Action::RemoveVolume {
            op: op.id,
            task: task.spec.key.clone(),
            volume: definition.name.clone(),
            name: task.volume_names[index].clone(),
        });
    }
    if task.cgroup == ResourceState::Ready
        && let Some(parent) = create::cgroup_parent(&task.spec, cx.settings.task_cgroups)
    {
        let op = cx.side_op(REMOVE_TIMEOUT);
        task.cgroup = ResourceState::Removing(op);
        cx.emit(Action::RemoveCgroup { op: op.id, task: task.spec.key.clone(), parent });
    }
    let done = |state: &ResourceState| match state {
        ResourceState::NotNeeded | ResourceState::Wanted | ResourceState::Gone => true,
        ResourceState::Creating(_) | ResourceState::Ready | ResourceState::Removing(_) => false,
    };
    task.volumes.iter().all(done) && done(&task.cgroup)
}
