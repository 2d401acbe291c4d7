//! Whether a container's dependencies let it take its next step (agent-protocol G10, "Order of start and stop").
//!
//! What the official agent would still let run must not end here: a dependency that is UNHEALTHY may yet become HEALTHY, so only its
//! `startTimeout` ends the wait. What the official agent would wait for in vain ends with a reason: a condition on a container that has ended
//! cannot come true any more. Decision 29 tells where the two differ.

use longshore_base::Timestamp;

use crate::dependencies::Edge;
use crate::input::HealthStatus;
use crate::spec::Condition;
use crate::task::{Container, KnownStatus, Task};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Wait,
    /// They never will; the reason names the one at fault.
    Never(String),
}

/// What one dependency says of one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    NotYet,
    /// With the end of the agent's sentence.
    Impossible(&'static str),
}

/// Whether the container may be created and started.
pub(super) fn gate(task: &Task, index: usize, now: Timestamp) -> Gate {
    gate_of(task, index, task.graph.edges_of(index).iter(), now)
}

/// The same for the pull: an image can be fetched while the network is still being made.
pub(super) fn gate_to_pull(task: &Task, index: usize, now: Timestamp) -> Gate {
    let edges = task.graph.edges_of(index).iter().filter(|edge| task.is_ordinary(edge.on));
    gate_of(task, index, edges, now)
}

fn gate_of<'a>(task: &Task, index: usize, edges: impl Iterator<Item = &'a Edge>, now: Timestamp) -> Gate {
    // Once the container is there, its dependencies were met in time.
    let may_time_out = task.containers[index].phase < KnownStatus::Created;
    let mut open = true;
    for edge in edges {
        let cause = match verdict(edge.condition, &task.containers[edge.on]) {
            Verdict::Met => continue,
            Verdict::NotYet => None,
            Verdict::Impossible(cause) => Some(cause),
        };
        open = false;
        let (who, whom) = (describe(task, edge.on), describe(task, index));
        if let Some(cause) = cause {
            return Gate::Never(format!(
                "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [{who}] for target [{whom}] {cause}"
            ));
        }
        if may_time_out && wait_ends_at(task, edge).is_some_and(|at| at <= now) {
            return Gate::Never(format!(
                "CannotStartContainerError: dependency graph: container ordering dependency [{who}] for target [{whom}] has timed out."
            ));
        }
    }
    if open { Gate::Open } else { Gate::Wait }
}

fn verdict(condition: Condition, dependency: &Container) -> Verdict {
    match (condition, dependency.phase) {
        (
            Condition::Start | Condition::Complete | Condition::Success | Condition::Healthy,
            KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created,
        ) => Verdict::NotYet,
        (
            Condition::Start | Condition::Complete | Condition::Success | Condition::Healthy,
            KnownStatus::Stopped,
        ) if !dependency.has_run() => Verdict::Impossible("because dependency will never start"),
        // Between two runs it neither runs nor is healthy, whatever the last run was.
        (Condition::Start | Condition::Healthy, KnownStatus::Running) if dependency.restarting => {
            Verdict::NotYet
        }
        (Condition::Start, KnownStatus::Running | KnownStatus::Stopped) => Verdict::Met,
        (Condition::Complete | Condition::Success, KnownStatus::Running) => Verdict::NotYet,
        (Condition::Complete, KnownStatus::Stopped) => Verdict::Met,
        (Condition::Success, KnownStatus::Stopped) if dependency.exit_code == Some(0) => Verdict::Met,
        (Condition::Success, KnownStatus::Stopped) => {
            Verdict::Impossible("as dependency did not exit successfully.")
        }
        (Condition::Healthy, KnownStatus::Running) => match dependency.health.status {
            HealthStatus::Healthy => Verdict::Met,
            HealthStatus::Unhealthy | HealthStatus::Unknown => Verdict::NotYet,
        },
        (Condition::Healthy, KnownStatus::Stopped) => {
            Verdict::Impossible("as dependency stopped before it was healthy.")
        }
    }
}

/// True for a container that runs and that another one still waits for.
pub(super) fn is_awaited(task: &Task, index: usize) -> bool {
    task.graph.dependents_of(index).iter().any(|&dependent| {
        let own = &task.containers[dependent];
        let waits = own.phase <= KnownStatus::Created && !own.start_asked;
        let mut edges = task.graph.edges_of(dependent).iter().filter(|edge| edge.on == index);
        waits && edges.any(|edge| verdict(edge.condition, &task.containers[index]) == Verdict::NotYet)
    })
}

/// `startTimeout` counts from the dependency's own start: its first, however often its restart policy starts it again. Whether it has
/// started at all is not a matter of time.
fn wait_ends_at(task: &Task, edge: &Edge) -> Option<Timestamp> {
    let timeout = task.spec.containers[edge.on].start_timeout?;
    let container = &task.containers[edge.on];
    match edge.condition {
        Condition::Start => None,
        Condition::Complete | Condition::Success | Condition::Healthy => {
            (container.phase == KnownStatus::Running).then_some(())?;
            Some(container.first_started_at.or(container.started_at)? + timeout)
        }
    }
}

/// When waiting for a dependency ends by time, if it may. Of those that are met, the time no longer counts.
pub(super) fn wait_ends_by(task: &Task, index: usize) -> Option<Timestamp> {
    if task.is_stopping() || task.containers[index].phase >= KnownStatus::Created {
        return None;
    }
    let edges = task.graph.edges_of(index).iter();
    let unmet = edges.filter(|edge| verdict(edge.condition, &task.containers[edge.on]) == Verdict::NotYet);
    unmet.filter_map(|edge| wait_ends_at(task, edge)).min()
}

/// `name(image) (KNOWN->DESIRED)`, with the exit code if it ended: as the agent's reasons have it.
fn describe(task: &Task, index: usize) -> String {
    let (definition, container) = (&task.spec.containers[index], &task.containers[index]);
    let exit = container.exit_code.map_or_else(String::new, |code| format!(" - Exit: {code}"));
    let desired = if container.is_stopped() && !container.has_run() { "STOPPED" } else { "RUNNING" };
    let known = container.phase.as_str();
    format!("{}({}) ({known}->{desired}){exit}", definition.name, definition.image)
}
