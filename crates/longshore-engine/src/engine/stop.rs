//! Towards STOPPED: in reverse order of the dependencies, with retries, a limit, and an end in any
//! case.

use std::time::Duration;

use crate::action::Action;
use crate::create;
use crate::input::{Observation, ObservedStatus, OpError, OpErrorKind};
use crate::task::{Container, KnownStatus, OpKind, Task};

use super::ask::{backoff, inspect, key_of};
use super::{Cx, cleanup, observe};

/// Tries of the stop call, and the pause between them (G10, Stop).
const STOP_TRIES_MAX: u32 = 5;
const STOP_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// What the stop call may take beyond the container's own grace.
const STOP_CALL_MARGIN: Duration = Duration::from_secs(120);
/// However many tries are left, this long after the grace the container is removed by force.
const STOP_OVERALL_MARGIN: Duration = Duration::from_secs(600);
/// While the runtime cannot be reached: as long as the control plane expects a stop to take (G20).
const STOP_AWAY_MARGIN: Duration = Duration::from_secs(120);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(300);
/// A container that counts as stopped but may still run is tried again this often.
const KILL_PAUSE: Duration = Duration::from_secs(300);
/// The same while the runtime cannot be reached, which it refuses at once: what runs there has no room of its own.
const KILL_AWAY_PAUSE: Duration = Duration::from_secs(10);

pub(super) fn step(task: &mut Task, index: usize, cx: &mut Cx) {
    let waiting = task.containers[index].retry_at.is_some_and(|at| at > cx.now);
    let op = task.containers[index].op.map(|op| op.kind);
    let unsure = task.containers[index].start_error.is_some() && !task.containers[index].is_stopped();
    if unsure && op.is_none() {
        // Its last start failed, and it may run all the same.
        task.containers[index].retry_at = None;
        return inspect(task, index, OpKind::VerifyStart, cx);
    }
    match (task.containers[index].phase, op) {
        // The runtime may be making or starting it right now: the result decides.
        (
            KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created,
            Some(OpKind::Create | OpKind::Adopt | OpKind::Start | OpKind::VerifyStart),
        ) => {}
        (KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created, _) => {
            task.mark_stopped(index, cx.now, None, None, String::new())
        }
        (KnownStatus::Running, None | Some(OpKind::RegularInspect)) if task.containers[index].restarting => {
            let code = task.containers[index].exit_code;
            let finished_at = task.containers[index].finished_at;
            task.mark_stopped(index, cx.now, finished_at, code, String::new());
        }
        (KnownStatus::Running, None | Some(OpKind::RegularInspect)) => {
            let dependents = task.graph.dependents_of(index);
            if !waiting && dependents.iter().all(|d| task.containers[*d].is_stopped()) {
                ask_stop(task, index, cx);
            }
        }
        (KnownStatus::Running, Some(_)) | (KnownStatus::Stopped, _) => {}
    }
}

fn ask_stop(task: &mut Task, index: usize, cx: &mut Cx) {
    let container = &mut task.containers[index];
    let Some(runtime_id) = container.runtime_id.clone() else { return };
    if container.stop_since.is_none() {
        container.stop_since = Some(cx.now);
        container.tries = 0;
    }
    container.retry_at = None;
    container.tries += 1;
    let grace = create::stop_grace(task.spec.containers[index].stop_timeout, &cx.settings);
    let timeout = grace + STOP_CALL_MARGIN;
    let op = cx.op(OpKind::Stop, timeout);
    task.containers[index].op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::StopContainer { op: op.id, container, runtime_id, grace, timeout });
}

/// The stop call came back.
pub(super) fn stopped(
    task: &mut Task,
    index: usize,
    result: Result<Option<Observation>, OpError>,
    cx: &mut Cx,
) {
    match result {
        Ok(seen) => {
            task.containers[index].stop_error = None;
            if let Some(seen) = seen {
                observe::observed(task, index, &seen, cx);
            }
        }
        Err(error) if error.kind == OpErrorKind::NotFound => {
            observe::note_removed(task, index, cx);
            return;
        }
        Err(error) => task.containers[index].stop_error = Some(error),
    }
    if !task.containers[index].is_stopped() {
        inspect(task, index, OpKind::VerifyStop, cx);
    }
}

/// The inspection after the stop call: either it ended, or try again, or use force.
pub(super) fn verified(task: &mut Task, index: usize, result: Result<Observation, OpError>, cx: &mut Cx) {
    match result {
        Ok(seen) => {
            observe::observed(task, index, &seen, cx);
            if !task.containers[index].is_stopped() && seen.status == ObservedStatus::Created {
                task.mark_stopped(index, cx.now, None, None, String::new());
            }
        }
        Err(error) if error.kind == OpErrorKind::NotFound => observe::note_removed(task, index, cx),
        Err(error) => {
            task.containers[index].stop_error.get_or_insert(error);
        }
    }
    if task.containers[index].is_stopped() {
        return;
    }
    let grace = create::stop_grace(task.spec.containers[index].stop_timeout, &cx.settings);
    let container = &mut task.containers[index];
    // A runtime that cannot be reached refuses at once; five tries would be over before it has restarted.
    let is_away = container.stop_error.as_ref().is_some_and(|error| error.kind == OpErrorKind::Unavailable);
    let (tries_max, margin) =
        if is_away { (u32::MAX, STOP_AWAY_MARGIN) } else { (STOP_TRIES_MAX, STOP_OVERALL_MARGIN) };
    let overdue = container.stop_since.is_some_and(|since| since + grace + margin <= cx.now);
    if container.tries < tries_max && !overdue {
        container.retry_at = Some(cx.now + backoff(STOP_PAUSE, container.tries - 1));
        return;
    }
    let Some(runtime_id) = container.runtime_id.clone() else { return };
    let op = cx.op(OpKind::ForceRemove, REMOVE_TIMEOUT);
    container.op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::RemoveContainer { op: op.id, container, runtime_id });
}

/// The last means came to an end; so does the container, as far as the task is concerned.
pub(super) fn force_removed(task: &mut Task, index: usize, result: Result<(), OpError>, cx: &mut Cx) {
    let container = &mut task.containers[index];
    let text = match (&container.stop_error, &result) {
        (Some(error), _) => error.text.clone(),
        (None, Err(error)) => error.text.clone(),
        (None, Ok(())) => "the container did not stop and was removed".to_owned(),
    };
    let is_away = matches!(&result, Err(error) if error.kind == OpErrorKind::Unavailable);
    match result {
        Ok(()) => container.removed = true,
        Err(_) => {
            container.kill_wanted = true;
        }
    }
    task.mark_stopped(index, cx.now, None, None, format!("CannotStopContainerError: {text}"));
    if task.containers[index].kill_wanted {
        task.containers[index].retry_at = Some(cx.now + kill_pause(is_away));
    }
}

/// Its start was not answered, so that the runtime may get to it after the container was found not to run: only one that
/// is gone cannot be started. Until then nobody else gets its room.
fn may_start_yet(container: &Container) -> bool {
    let error = container.start_error.as_ref().map(|error| &error.kind);
    matches!(error, Some(OpErrorKind::Timeout | OpErrorKind::Unavailable))
}

/// How long to wait before what may still run, or start, is ended again.
pub(super) fn kill_pause(is_away: bool) -> Duration {
    if is_away { KILL_AWAY_PAUSE } else { KILL_PAUSE }
}

/// For containers that count as stopped: stops what may still run of them.
pub(super) fn kill_remains(task: &mut Task, index: usize, cx: &mut Cx) {
    let container = &mut task.containers[index];
    let waiting = container.retry_at.is_some_and(|at| at > cx.now);
    if !container.kill_wanted || container.op.is_some() || waiting {
        return;
    }
    let Some(runtime_id) = container.runtime_id.clone() else { return };
    container.retry_at = None;
    let op = cx.op(OpKind::Kill, STOP_CALL_MARGIN);
    container.op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::StopContainer {
        op: op.id,
        container,
        runtime_id,
        grace: Duration::ZERO,
        timeout: STOP_CALL_MARGIN,
    });
}

pub(super) fn killed(
    task: &mut Task,
    index: usize,
    result: Result<Option<Observation>, OpError>,
    cx: &mut Cx,
) {
    let is_away = matches!(&result, Err(error) if error.kind == OpErrorKind::Unavailable);
    let container = &mut task.containers[index];
    match result {
        Ok(Some(seen)) if seen.status == ObservedStatus::Created && may_start_yet(container) => {
            return cleanup::ask_removal(task, index, cx);
        }
        Ok(None) => container.kill_wanted = false,
        Ok(Some(seen)) => {
            container.kill_wanted = seen.status == ObservedStatus::Running;
            if !container.kill_wanted {
                container.ended_run = container.ended_run.max(seen.started_at);
            }
        }
        Err(error) if error.kind == OpErrorKind::NotFound => observe::note_removed(task, index, cx),
        Err(_) => {}
    }
    let container = &mut task.containers[index];
    if container.kill_wanted {
        container.retry_at = Some(cx.now + kill_pause(is_away));
    }
}
