//! What a look at a container changes.
//!
//! Looks may come late, twice, or out of order. The runtime's start time tells the runs of a container
//! apart: what concerns a run that is known to have ended, or one before the latest, is old news.

use std::time::Duration;

use longshore_base::Timestamp;

use crate::input::{Observation, ObservedHealth, ObservedStatus};
use crate::report::ReportedStatus;
use crate::spec::{HealthTracking, RuntimeId};
use crate::task::{Container, Health, KnownStatus, Op, OpKind, Task};

use super::Cx;

/// The pause between regular looks at a running container, and what is added at random (G10).
const LOOK_EVERY: Duration = Duration::from_secs(300);
const LOOK_JITTER: Duration = Duration::from_secs(30);

const VANISHED: &str = "ContainerVanishedError: the container was removed by something other than the agent";

pub(super) fn observed(task: &mut Task, index: usize, seen: &Observation, cx: &mut Cx) {
    if task.containers[index].runtime_id.as_ref() != Some(&seen.runtime_id) {
        return;
    }
    match &seen.status {
        ObservedStatus::Created => note_facts(&mut task.containers[index], seen),
        ObservedStatus::Running => running(task, index, seen, cx),
        ObservedStatus::Exited { exit_code, oom_killed, error } => {
            let reason = match (*oom_killed && !is_own_end(*exit_code), error) {
                (true, _) => "OutOfMemoryError: Container killed due to memory usage".to_owned(),
                (false, Some(text)) if !text.is_empty() => format!("DockerStateError: {text}"),
                (false, _) => String::new(),
            };
            exited(task, index, seen, *exit_code, reason, cx);
        }
    }
}

/// Success, or SIGTERM: it was not killed. Engines say so of every container in the task's cgroup when one of them is.
fn is_own_end(exit_code: i32) -> bool {
    matches!(exit_code, 0 | 143)
}

fn note_facts(container: &mut Container, seen: &Observation) {
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

/// True for what concerns a run that has ended, or one before the latest.
pub(super) fn is_old_news(container: &Container, seen: &Observation) -> bool {
    match seen.started_at {
        Some(start) => {
            container.ended_run.is_some_and(|ended| start <= ended)
                || container.run.is_some_and(|latest| start < latest)
                // Between two runs, also if the time of the ended one's start was never told.
                || (container.restarting && container.finished_at.is_some_and(|end| start < end))
        }
        // Without a time it is taken to be about the run that is known, unless it ended before that
        // began; between two runs, about the old.
        None => {
            container.restarting
                || container.run.zip(seen.finished_at).is_some_and(|(start, end)| end <= start)
        }
    }
}

fn running(task: &mut Task, index: usize, seen: &Observation, cx: &mut Cx) {
    let tracked = task.spec.containers[index].health == HealthTracking::On;
    let container = &mut task.containers[index];
    if is_old_news(container, seen) {
        return;
    }
    if container.is_stopped() {
        // A start that was given up came late, or somebody started it: it must not run on.
        container.want_kill();
        return;
    }
    note_facts(container, seen);
    if note_run(container, seen, cx.now) {
        container.exit_code = None;
        container.finished_at = None;
        container.start_error = None;
        container.retry_at = None;
        container.tries = 0;
        container.health = Health::default();
        clear_op(container, &[OpKind::Start, OpKind::VerifyStart]);
    }
    // Also for a run that the journal knows, after a restart of the agent: an end whose event got lost is found by
    // looking, or never.
    if container.look_at.is_none() {
        container.look_at = Some(cx.now + LOOK_EVERY + cx.jitter(LOOK_JITTER));
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

/// Notes when the run that is seen began; true if it is another than the one known. A second run is
/// a restart, also if this process did not see it begin.
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

fn note_health(known: &mut Health, seen: &ObservedHealth, now: Timestamp) {
    if known.status != seen.status || known.since.is_none() {
        known.status = seen.status;
        known.since = Some(now);
    }
    known.exit_code = seen.exit_code;
    known.output.clone_from(&seen.output);
}

fn clear_op(container: &mut Container, kinds: &[OpKind]) -> Option<Op> {
    container.op.take_if(|op| kinds.contains(&op.kind))
}

fn exited(task: &mut Task, index: usize, seen: &Observation, code: i32, reason: String, cx: &mut Cx) {
    let wanted = !task.is_stopping();
    let container = &mut task.containers[index];
    if is_old_news(container, seen) {
        return;
    }
    if container.is_stopped() {
        if seen.started_at.is_none() {
            return; // It may be an earlier run's end; the stop that is under way tells.
        }
        container.kill_wanted = false;
        container.ended_run = container.ended_run.max(seen.started_at);
        clear_op(container, &[OpKind::Kill]);
        return;
    }
    if container.phase != KnownStatus::Running && seen.started_at.is_none() {
        return; // Never ran: that its start failed is told by the start itself.
    }
    note_facts(container, seen);
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
            OpKind::Look,
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
        container.look_at = None;
        if container.phase != KnownStatus::Running {
            container.phase = KnownStatus::Running;
            task.note_change(index, ReportedStatus::Running);
        }
    } else {
        task.mark_stopped(index, cx.now, Some(finished_at), Some(code), reason);
    }
}

/// The runtime no longer has the container.
pub(super) fn vanished(task: &mut Task, index: usize, runtime_id: &RuntimeId, cx: &mut Cx) {
    if task.containers[index].runtime_id.as_ref() == Some(runtime_id) {
        gone(task, index, cx);
    }
}

pub(super) fn gone(task: &mut Task, index: usize, cx: &mut Cx) {
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

/// The next regular look, after one that told nothing.
pub(super) fn look_later(container: &mut Container, cx: &mut Cx) {
    if container.phase == KnownStatus::Running {
        container.look_at = Some(cx.now + LOOK_EVERY + cx.jitter(LOOK_JITTER));
    }
}
