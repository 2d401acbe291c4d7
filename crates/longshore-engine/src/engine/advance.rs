//! All steps that one task can take now, derived from what is known of it, and the time when it may take the next.

use std::time::Duration;

use longshore_base::Timestamp;

use crate::action::Action;
use crate::create;
use crate::spec::ContainerKey;
use crate::task::{Admission, KnownStatus, ResourceState, SecretsState, Task};

use super::{Cx, cleanup, gate, outcome, pause, reports, start, stop};

/// The limit of a volume operation (G11).
const VOLUME_TIMEOUT: Duration = Duration::from_secs(300);
/// Secrets may need several calls to other services.
const SECRETS_TIMEOUT: Duration = Duration::from_secs(120);
/// A task that waits this long for resources tells why (G20).
pub(crate) const WAIT_TOLD_AFTER: Duration = Duration::from_secs(10);

/// Takes every step that is possible now.
pub(super) fn settle(task: &mut Task, cx: &mut Cx) {
    outcome::expire(task, cx);
    pause::let_go(task);
    // A pass ends a phase of at least one container or changes nothing; a container has a bounded
    // number of phases, so this bound is never reached.
    let passes_max = 8 * task.containers.len() + 8;
    for _ in 0..passes_max {
        if !pass(task, cx) {
            break;
        }
        pause::let_go(task);
    }
    if task.is_stopped() && task.stopped_at.is_none() {
        task.stopped_at = Some(cx.now);
        if task.ordinary().any(|c| c.has_run()) {
            let last = task.ordinary().filter_map(|c| c.finished_at).max();
            task.execution_stopped_at.get_or_insert(last.unwrap_or(cx.now));
        }
    }
    tell_waiting(task, cx.now);
    reports::step(task, cx);
    cleanup::step(task, cx);
    task.wake = next_wake(task, cx.now);
}

/// One round over all containers; true if any changed its phase.
fn pass(task: &mut Task, cx: &mut Cx) -> bool {
    let before: Vec<KnownStatus> = task.containers.iter().map(|c| c.phase).collect();
    if !task.is_stopping() && task.admission == Admission::Held {
        resources(task, cx);
    }
    for index in 0..task.containers.len() {
        if task.containers[index].is_stopped() {
            stop::kill_remains(task, index, cx);
        } else if task.is_stopping() {
            stop::step(task, index, cx);
        } else if task.admission == Admission::Held {
            start::step(task, index, cx);
        }
    }
    task.containers.iter().map(|c| c.phase).ne(before)
}

/// Asks for the cgroup, the volumes and the secrets, all at once.
fn resources(task: &mut Task, cx: &mut Cx) {
    if task.cgroup == ResourceState::Wanted
        && let Some(spec) = create::cgroup(&task.spec, &cx.settings)
    {
        let op = cx.side_op(VOLUME_TIMEOUT);
        task.cgroup = ResourceState::Creating(op);
        cx.emit(Action::CreateCgroup { op: op.id, task: task.spec.key.clone(), spec });
    }
    for (index, definition) in task.spec.volumes.iter().enumerate() {
        if task.volumes[index] != ResourceState::Wanted {
            continue;
        }
        let Some(spec) = create::volume(&definition.source, &task.volume_names[index], &cx.settings) else {
            task.volumes[index] = ResourceState::NotNeeded;
            continue;
        };
        let op = cx.side_op(VOLUME_TIMEOUT);
        task.volumes[index] = ResourceState::Creating(op);
        cx.emit(Action::CreateVolume {
            op: op.id,
            task: task.spec.key.clone(),
            volume: definition.name.clone(),
            spec,
            timeout: VOLUME_TIMEOUT,
        });
    }
    for (definition, container) in task.spec.containers.iter().zip(&mut task.containers) {
        let due = match &container.secrets {
            SecretsState::Wanted(at) => at.is_none_or(|at| at <= cx.now),
            SecretsState::NotNeeded | SecretsState::Asked(_) | SecretsState::Resolved(_) => false,
        };
        if due && container.phase < KnownStatus::Created {
            let op = cx.side_op(SECRETS_TIMEOUT);
            container.secrets = SecretsState::Asked(op);
            cx.emit(Action::ResolveSecrets {
                op: op.id,
                container: ContainerKey { task: task.spec.key.clone(), name: definition.name.clone() },
                secrets: definition.secrets.clone(),
                environment_files: definition.environment_files.clone(),
            });
        }
    }
}

fn tell_waiting(task: &mut Task, now: Timestamp) {
    if let Admission::Waiting { since, told: false } = task.admission
        && since + WAIT_TOLD_AFTER <= now
        && task.reporting.waiting.is_some()
    {
        task.admission = Admission::Waiting { since, told: true };
        task.reporting.urgent = true;
    }
}

/// The earliest time at which something may have to be done without any input. Times that have passed
/// belong to steps that wait for something else.
fn next_wake(task: &Task, now: Timestamp) -> Option<Timestamp> {
    let resource = |state: &ResourceState| match state {
        ResourceState::Creating(op) | ResourceState::Removing(op) => Some(op.backstop),
        ResourceState::NotNeeded | ResourceState::Wanted | ResourceState::Ready | ResourceState::Gone => None,
    };
    let waiting = match task.admission {
        Admission::Waiting { since, told: false } => Some(since + WAIT_TOLD_AFTER),
        Admission::Waiting { .. } | Admission::Held | Admission::Released => None,
    };
    let containers = task.containers.iter().enumerate().flat_map(|(index, c)| {
        let secrets = match &c.secrets {
            SecretsState::Wanted(at) => *at,
            SecretsState::Asked(op) => Some(op.backstop),
            SecretsState::NotNeeded | SecretsState::Resolved(_) => None,
        };
        let gate = gate::wait_ends_by(task, index);
        [c.op.map(|op| op.backstop), c.retry_at, c.inspect_at, secrets, gate]
    });
    containers
        .chain(task.volumes.iter().map(resource))
        .chain([resource(&task.cgroup), waiting, reports::next_flush(task), cleanup::due_at(task)])
        .flatten()
        .filter(|at| *at > now)
        .min()
}
