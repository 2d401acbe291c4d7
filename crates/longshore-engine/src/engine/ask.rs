//! What all steps share that ask the runtime something: how a container is named, how its state is asked for, and what
//! follows when the answer is a failure.

use std::time::Duration;

use crate::action::Action;
use crate::settings::go_duration;
use crate::spec::{ContainerKey, RuntimeId};
use crate::task::{OpKind, Task};

use super::Cx;

/// The limit of an inspection (G11).
pub(super) const INSPECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Names the container number `index` of a task.
pub(super) fn key_of(task: &Task, index: usize) -> ContainerKey {
    ContainerKey { task: task.spec.key.clone(), name: task.spec.containers[index].name.clone() }
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

/// The pause before the next try: `first`, doubled for each of the `tries` before, at most `most`.
pub(super) fn backoff((first, most): (Duration, Duration), tries: u32) -> Duration {
    first.saturating_mul(1 << tries.min(16)).min(most)
}

/// The agent's words for a time-out (ecs-engine D3).
pub(super) fn timed_out(state: &str, timeout: Duration) -> String {
    let waited = go_duration(timeout);
    format!("DockerTimeoutError: Could not transition to {state}; timed out after waiting {waited}")
}
