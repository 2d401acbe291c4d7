//! Services whose deployments somebody else drives: each task set holds its share (ecs-services E7).

use std::collections::BTreeMap;

use longshore_base::DeploymentId;

use crate::bounds::{Bounds, scaled};
use crate::decide::notice_throttle;
use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::hold::{self, Wanted};
use crate::memory::{Throttle, Topic};
use crate::outcome::{StopReason, TaskSetChange};
use crate::standing::{Member, Standing};
use crate::view::{Stability, TaskSetStatus, TaskSetView};
use crate::waiting::Waiting;

pub(crate) fn plan(draft: &mut Draft<'_>, members: &[Member<'_>], sets: &[TaskSetView]) {
    let mut by_set: BTreeMap<DeploymentId, Vec<Member<'_>>> = BTreeMap::new();
    for member in members {
        by_set.entry(member.task.deployment).or_default().push(*member);
    }
    let mut steady = !sets.is_empty();
    for set in sets {
        let members = by_set.remove(&set.id).unwrap_or_default();
        steady &= match set.status {
            TaskSetStatus::Primary | TaskSetStatus::Active => hold_set(draft, set, &members),
            TaskSetStatus::Draining => drain(draft, set, &members),
        };
    }
    // Tasks of sets that are gone.
    for (id, members) in by_set {
        steady &= members.is_empty();
        stop_all(draft, id, &members);
    }
    if steady {
        draft.situation(Topic::Steady, ServiceEvent::SteadyState);
    }
    // Each set has kept its own.
    draft.throttle = Throttle::default();
}

/// Tells whether the set is where it should be.
fn hold_set(draft: &mut Draft<'_>, set: &TaskSetView, members: &[Member<'_>]) -> bool {
    let view = draft.view;
    let desired = scaled(view.desired_count, set.scale_basis_points);
    if desired != set.computed_desired_count {
        draft.deployment_event(ServiceEvent::ComputedCountUpdated { set: set.id, count: desired });
    }
    draft.throttle = draft.observe(&set.throttle, Some(set.id));
    let wanted = Wanted {
        id: set.id,
        fallback: None,
        desired,
        extra: 0,
        bounds: Bounds::new(desired, view.minimum_healthy_percent, view.maximum_percent),
        failed: false,
        members,
    };
    let outcome = hold::hold(draft, &wanted);
    notice_throttle(draft);
    let stable = !outcome.changed && members.len() as u32 == desired && members.iter().all(serves);
    let stability = if stable { Stability::SteadyState } else { Stability::Stabilizing };
    note(draft, set, desired, stability);
    stable
}

/// A set is stable when its tasks are RUNNING on instances that stay, and every health check that
/// there is passes. Time to settle is for rolling updates, which would go on too fast without it.
fn serves(member: &Member<'_>) -> bool {
    let up = match member.standing {
        Standing::Healthy | Standing::Proving { .. } | Standing::Settling { until: Some(_) } => true,
        Standing::Settling { until: None }
        | Standing::Leaving
        | Standing::Lost
        | Standing::Pending
        | Standing::Unhealthy(_) => false,
    };
    up && !member.on_draining()
}

/// A deleted set stays until its last task is STOPPED.
fn drain(draft: &mut Draft<'_>, set: &TaskSetView, members: &[Member<'_>]) -> bool {
    if members.is_empty() {
        draft.plan.removed_task_sets.push(set.id);
        return true;
    }
    draft.throttle = set.throttle.clone();
    note(draft, set, 0, Stability::Stabilizing);
    stop_all(draft, set.id, members);
    false
}

fn note(draft: &mut Draft<'_>, set: &TaskSetView, computed_desired_count: u32, stability: Stability) {
    let throttle = draft.throttle.clone();
    if computed_desired_count != set.computed_desired_count
        || stability != set.stability
        || throttle != set.throttle
    {
        let change = TaskSetChange { id: set.id, computed_desired_count, stability, throttle };
        draft.plan.task_sets.push(change);
    }
}

fn stop_all(draft: &mut Draft<'_>, id: DeploymentId, members: &[Member<'_>]) {
    for member in members.iter().filter(|member| !member.is_leaving()) {
        let reason = match (member.standing, member.task.instance) {
            (Standing::Lost, Some(instance)) => StopReason::InstanceLost(instance),
            (_, _) => StopReason::Scaling(id),
        };
        draft.stop(member, reason);
    }
    draft.wait(Waiting::TasksToStop { count: members.len() as u32 });
}
