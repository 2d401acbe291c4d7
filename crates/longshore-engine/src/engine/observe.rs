//! What an observation of a container changes. Start at [`observed`].
//!
//! Observations come from events and from inspections, and may come late, twice, or out of order. A *run* is the time
//! from one start of a container to its end; the runtime's start time tells the runs of a container apart. An
//! observation of a run that is known to have ended, or of one before the latest, is outdated and changes nothing.

use std::time::Duration;

use longshore_base::Timestamp;

use crate::input::{Observation, ObservedHealth, ObservedStatus};
use crate::report::ReportedStatus;
use crate::spec::{HealthTracking, RuntimeId};
use crate::task::{Container, Health, KnownStatus, Op, OpKind, Task};

use super::Cx;

/// The time between regular inspections of a running container, and the most that is added to it at random (G10).
const INSPECT_EVERY: Duration = Duration::from_secs(300);
const INSPECT_JITTER: Duration = Duration::from_secs(30);

const VANISHED: &str = "ContainerVanishedError: the container was removed by something other than the agent";

/// Applies an observation of the container number `index`. One of another container, by its runtime id, is ignored.
pub(super) fn observed(task: &mut Task, index: usize, seen: &Observation, cx: &mut Cx) {
    if task.containers[index].runtime_id.as_ref() != Some(&seen.runtime_id) {
        return;
    }
    match &seen.status {
        ObservedStatus::Created => note_details(&mut task.containers[index], seen),
        ObservedStatus::Running => running(task, index, seen, cx),
        ObservedStatus::Exited { exit_code, oom_killed, error } => {
            let reason = match (*oom_killed && !has_ended_by_itself(*exit_code), error) {
                (true, _) => "OutOfMemoryError: Container killed due to memory usage".to_owned(),
                (false, Some(text)) if !text.is_empty() => format!("DockerStateError: {text}"),
                (false, _) => String::new(),
            };
            exited(task, index, seen, *exit_code, reason, cx);
        }
    }
}

/// True of the exit codes of success and of SIGTERM. Such a container was not killed for memory, although container
/// engines say so of every container in the task's cgroup when one of them was.
fn has_ended_by_itself(exit_code: i32) -> bool {
    matches!(exit_code, 0 | 143)
}

/// Takes over what an observation says besides the status.
fn note_details(container: &mut Container, seen: &Observation) {
    if seen.created_at.is_some() {
        container.created_at = seen.created_at;
    }
    container.pid = seen.pid;
    if !seen.networks.is_empty() {
        container.networks.clone_from(&seen.networks);
    }
    if !seen.mounts.is_empty() {
        container.mounts.clone_from(&seen.mounts);
    }
}

/// True for an observation of a run that is known to have ended, or of one before the latest.
pub(super) fn is_outdated(container: &Container, seen: &Observation) -> bool {
    match seen.started_at {
        Some(start) => {
            container.ended_run.is_some_and(|ended| start <= ended)
                || container.run.is_some_and(|latest| start < latest)
                // Between two runs this holds even if it was never told when the ended one started.
                || (container.restarting && container.finished_at.is_some_and(|end| start < end))
        }
        // An observation without a start time is taken to be of the run that is known, unless it ended before that run
        // began. Between two runs it is taken to be of the ended one.
        None => {
            container.restarting
                || container.run.zip(seen.finished_at).is_some_and(|(start, end)| end <= start)
        }
    }
}

fn running(task: &mut Task, index: usize, seen: &Observation, cx: &mut Cx) {
    let tracked = task.spec.containers[index].health == HealthTracking::On;
    let container = &mut task.containers[index];
    if is_outdated(container, seen) {
        return;
    }
    if container.is_stopped() {
        // A start took effect after the engine had given it up, or somebody else started it: it must not go on.
        container.want_kill();
        return;
    }
    note_details(container, seen);
    if note_run(container, seen, cx.now) {
        container.exit_code = None;
        container.finished_at = None;
        container.start_error = None;
        container.retry_at = None;
        container.tries = 0;
        container.health = Health::default();
        clear_op(container, &[OpKind::Start, OpKind::VerifyStart]);
    }
    // Also for a run known from the journal, after a restart of the agent: an end whose event was lost is found by an
    // inspection, or never.
    if container.inspect_at.is_none() {
        container.inspect_at = Some(cx.now + INSPECT_EVERY + cx.jitter(INSPECT_JITTER));
    }
    if container.phase != KnownStatus::Running {
        container.phase = KnownStatus::Running;
        task.note_change(index, ReportedStatus::Running);
    }
    let container = &mut task.containers[index];
    if let Some(health) = seen.health.as_ref().filter(|_| tracked) {
        note_health(&mut container.health, health, cx.now);
    }
}

/// Notes when the observed run began. True if it is not the run that was known; any run after the first counts as a
/// restart, even if this process did not see it begin.
fn note_run(container: &mut Container, seen: &Observation, now: Timestamp) -> bool {
    let first = container.phase != KnownStatus::Running;
    let newer = match (seen.started_at, container.run) {
        (Some(start), Some(known)) => start > known,
        (Some(_) | None, None) | (None, Some(_)) => false,
    };
    let undated = container.run.is_none();
    container.run = seen.started_at.or(container.run);
    if !(first || newer || container.restarting) {
        if let Some(start) = seen.started_at.filter(|_| undated) {
            // The run was known from a start's answer without a time: this is its time, not another run.
            container.started_at = Some(start);
        }
        return false;
    }
    container.start_asked = true;
    if !first {
        container.first_started_at = container.first_started_at.or(container.started_at);
    }
    container.started_at = Some(seen.started_at.unwrap_or(now));
    container.restart_count += u32::from(!first);
    container.restarting = false;
    container.restart_asked = false;
    true
}

/// `since` stays the time of the last change of the status.
fn note_health(known: &mut Health, seen: &ObservedHealth, now: Timestamp) {
    if known.status != seen.status || known.since.is_none() {
        known.status = seen.status;
        known.since = Some(now);
    }
    known.exit_code = seen.exit_code;
    known.output.clone_from(&seen.output);
}

/// Forgets the operation under way if it is of one of these kinds.
fn clear_op(container: &mut Container, kinds: &[OpKind]) -> Option<Op> {
    container.op.take_if(|op| kinds.contains(&op.kind))
}

/// A run has ended: the container is restarted if its policy says so, and stopped otherwise.
fn exited(task: &mut Task, index: usize, seen: &Observation, code: i32, reason: String, cx: &mut Cx) {
    let wanted = !task.is_stopping();
    let container = &mut task.containers[index];
    if is_outdated(container, seen) {
        return;
    }
    if container.is_stopped() {
        if seen.started_at.is_none() {
            return; // It may be the end of an earlier run; the stop under way will tell.
        }
        container.kill_wanted = false;
        container.ended_run = container.ended_run.max(seen.started_at);
        clear_op(container, &[OpKind::Kill]);
        return;
    }
    if container.phase != KnownStatus::Running && seen.started_at.is_none() {
        return; // It never ran; the answer to its start says why.
    }
    note_details(container, seen);
    // It may be a run that ended before anybody saw it.
    note_run(container, seen, cx.now);
    container.start_error = None;
    container.ended_run = container.run;
    clear_op(
        container,
        &[
            OpKind::Start,
            OpKind::VerifyStart,
            OpKind::Stop,
            OpKind::VerifyStop,
            OpKind::ForceRemove,
            OpKind::RegularInspect,
        ],
    );
    let finished_at = seen.finished_at.unwrap_or(cx.now);
    let ran = container.started_at.map_or(Duration::ZERO, |start| finished_at.since(start));
    let again = task.spec.containers[index].restart_policy.as_ref().is_some_and(|policy| {
        policy.enabled && !policy.ignored_exit_codes.contains(&code) && ran >= policy.attempt_period
    });
    if wanted && again {
        container.restarting = true;
        container.exit_code = Some(code);
        container.finished_at = Some(finished_at);
        container.retry_at = None;
        container.inspect_at = None;
        if container.phase != KnownStatus::Running {
            container.phase = KnownStatus::Running;
            task.note_change(index, ReportedStatus::Running);
        }
    } else {
        task.mark_stopped(index, cx.now, Some(finished_at), Some(code), reason);
    }
}

/// The runtime no longer has the container with this id.
pub(super) fn vanished(task: &mut Task, index: usize, runtime_id: &RuntimeId, cx: &mut Cx) {
    if task.containers[index].runtime_id.as_ref() == Some(runtime_id) {
        note_removed(task, index, cx);
    }
}

/// The container no longer exists. If it had not stopped before, it has now: removed by our own force, or by somebody
/// else.
pub(super) fn note_removed(task: &mut Task, index: usize, cx: &mut Cx) {
    let container = &mut task.containers[index];
    container.removed = true;
    container.kill_wanted = false;
    clear_op(container, &[OpKind::Kill, OpKind::Remove]);
    if container.is_stopped() {
        return;
    }
    let reason = match (&container.stop_error, container.op.map(|op| op.kind)) {
        (Some(error), Some(OpKind::ForceRemove)) => format!("CannotStopContainerError: {}", error.text),
        (None | Some(_), _) => VANISHED.to_owned(),
    };
    let exit_code = if container.restarting { container.exit_code } else { None };
    task.mark_stopped(index, cx.now, None, exit_code, reason);
}

/// Sets the time of the next regular inspection, after one that failed.
pub(super) fn inspect_later(container: &mut Container, cx: &mut Cx) {
    if container.phase == KnownStatus::Running {
        container.inspect_at = Some(cx.now + INSPECT_EVERY + cx.jitter(INSPECT_JITTER));
    }
}
