//! DAEMON services: one task on each eligible instance (ecs-services E11).
//!
//! On an instance the old task is STOPPED before the new one starts, so that there is never more
//! than one; how many instances may be without a healthy task at a time follows from
//! minimumHealthyPercent. maximumPercent has no say.

use std::collections::BTreeMap;

use longshore_base::{DeploymentId, InstanceId};
use longshore_domain::status::RolloutState;

use crate::bounds::Bounds;
use crate::budget::Budget;
use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::memory::Topic;
use crate::outcome::StopReason;
use crate::standing::{FailedCheck, Member, Standing};
use crate::view::{DaemonInstance, DeploymentView};
use crate::waiting::Waiting;
use crate::{progress, replica};

/// maximumPercent of a DAEMON service is always this.
const MAXIMUM_PERCENT: u32 = 100;

#[derive(Default)]
struct Count {
    healthy: u32,
    pending: u32,
    settling: u32,
    bad: u32,
    leaving: u32,
}

/// A task that must go, with what it costs.
struct Leaver<'a, 'v> {
    member: &'a Member<'v>,
    reason: StopReason,
}

pub(crate) fn plan(
    draft: &mut Draft<'_>,
    members: &[Member<'_>],
    instances: &[DaemonInstance],
    primary: &DeploymentView,
) {
    let view = draft.view;
    let listed: BTreeMap<InstanceId, &DaemonInstance> = instances.iter().map(|it| (it.id, it)).collect();
    let eligible: BTreeMap<InstanceId, &DaemonInstance> =
        listed.iter().filter(|(_, it)| it.eligible && !it.draining).map(|(&id, &it)| (id, it)).collect();
    let desired = eligible.len() as u32;
    draft.plan.daemon_desired_count = Some(desired);
    if progress::begin(draft, primary, desired) {
        return;
    }
    let failed = draft.rollout_of(primary) == RolloutState::Failed;
    let bounds = Bounds::new(desired, view.minimum_healthy_percent, MAXIMUM_PERCENT);
    let count = count(members);
    let mut occupied: BTreeMap<InstanceId, &Member<'_>> = BTreeMap::new();
    let mut leavers = Vec::new();
    let mut bad = Vec::new();
    let mut in_place = 0;
    // The best task of the PRIMARY on each instance stays; see `preference`.
    let mut order: Vec<&Member<'_>> = members.iter().collect();
    order.sort_by_key(|member| preference(member, primary.id));
    for member in order {
        let Some(id) = member.task.instance else {
            if !member.is_leaving() {
                leavers.push(Leaver { member, reason: StopReason::Scaling(primary.id) });
            }
            continue;
        };
        let alone = !occupied.contains_key(&id);
        occupied.entry(id).or_insert(member);
        let on_draining = member.on_draining() || listed.get(&id).is_some_and(|it| it.draining);
        let old = member.task.deployment != primary.id;
        if member.is_leaving() {
            continue;
        }
        if member.standing == Standing::Lost {
            leavers.push(Leaver { member, reason: StopReason::InstanceLost(id) });
        } else if on_draining {
            if !member.protected {
                leavers.push(Leaver { member, reason: StopReason::InstanceDraining });
            }
        } else if !eligible.contains_key(&id) {
            leavers.push(Leaver { member, reason: StopReason::ConstraintViolated(primary.id) });
        } else if !alone || (old && !failed) {
            if !member.protected {
                leavers.push(Leaver { member, reason: StopReason::Scaling(primary.id) });
            }
        } else if let Standing::Unhealthy(check) = member.standing {
            let reason = match check {
                FailedCheck::Container => StopReason::ContainerHealth,
                FailedCheck::Target => StopReason::TargetHealth,
            };
            bad.push(Leaver { member, reason });
        } else if !old && member.is_healthy() {
            in_place += 1;
        }
    }

    let mut budget = Budget::new(members, bounds.min);
    let mut held_back = 0;
    leavers.sort_by_key(|leaver| {
        let member = leaver.member;
        (member.is_healthy(), member.is_proving(), !member.on_draining())
    });
    for leaver in leavers {
        if budget.take(leaver.member.standing) {
            draft.stop(leaver.member, leaver.reason);
        } else {
            held_back += 1;
        }
    }
    // One unhealthy task at a time, since nothing can be started beside it.
    let quiet = count.leaving + count.pending == 0 && draft.plan.stops.is_empty();
    if let Some(leaver) = bad.into_iter().next().filter(|_| quiet) {
        draft.stop(leaver.member, leaver.reason);
    }
    start(draft, primary, failed, &eligible, &occupied);

    let changed = !draft.plan.stops.is_empty() || !draft.plan.starts.is_empty();
    if held_back > 0 && !changed && count.leaving + count.pending + count.settling == 0 {
        draft.wait(Waiting::MinimumHealthy { healthy: count.healthy, min: bounds.min });
        draft.situation(Topic::Bounds, ServiceEvent::BoundsTooTight);
    }
    explain(draft, members, &count);
    let others = replica::tally(draft, members);
    let staying = others.get(&primary.id).map_or(0, |(_, staying)| *staying);
    let in_place = in_place == desired && staying == desired && !changed;
    progress::conclude(draft, primary, in_place, desired, |deployment| {
        others.get(&deployment.id).copied().unwrap_or_default()
    });
}

/// Which task of an instance is looked at first, and therefore stays: those that stay anyway, of
/// the PRIMARY, healthy, oldest.
fn preference<'v>(member: &Member<'v>, primary: DeploymentId) -> impl Ord + use<'v> {
    let standing = match member.standing {
        Standing::Healthy => 0,
        Standing::Proving { .. } => 1,
        Standing::Settling { .. } => 2,
        Standing::Pending => 3,
        Standing::Unhealthy(_) => 4,
        Standing::Lost => 5,
        Standing::Leaving => 6,
    };
    (member.is_leaving(), member.task.deployment != primary, standing, member.task.created_at, member.task.id)
}

fn count(members: &[Member<'_>]) -> Count {
    let mut count = Count::default();
    for member in members {
        match member.standing {
            Standing::Leaving => count.leaving += 1,
            Standing::Lost => {}
            Standing::Pending => count.pending += 1,
            Standing::Settling { .. } | Standing::Proving { .. } => count.settling += 1,
            Standing::Healthy => count.healthy += 1,
            Standing::Unhealthy(_) => count.bad += 1,
        }
    }
    count
}

/// Starts a task on every eligible instance that has none, not even one on its way out.
fn start(
    draft: &mut Draft<'_>,
    primary: &DeploymentView,
    failed: bool,
    eligible: &BTreeMap<InstanceId, &DaemonInstance>,
    occupied: &BTreeMap<InstanceId, &Member<'_>>,
) {
    let free: Vec<_> = eligible.iter().filter(|(id, _)| !occupied.contains_key(id)).collect();
    let deployment = if failed {
        draft.wait(Waiting::DeploymentFailed { deployment: primary.id });
        draft.reserve(primary).map(|reserve| reserve.id)
    } else {
        Some(primary.id)
    };
    let Some(deployment) = deployment.filter(|_| !free.is_empty()) else { return };
    if draft.is_throttled(deployment) {
        return;
    }
    // Placement refused although the instance had room by all that was known: not again before the pause is over, or
    // plan and refusal would follow each other without end.
    if let Some(refusal) = draft.refusal(deployment)
        && draft.pauses(refusal)
    {
        return;
    }
    for (&id, instance) in free {
        if let Some(reason) = &instance.refusal {
            draft.situation(Topic::Placement, ServiceEvent::CannotPlace(reason.clone()));
            draft.wait(Waiting::InstanceFull { instance: id, reason: reason.clone() });
        } else if draft.left() == 0 {
            draft.cut();
            return;
        } else {
            draft.start(deployment, 1, Some(id), None);
        }
    }
}

fn explain(draft: &mut Draft<'_>, members: &[Member<'_>], count: &Count) {
    if count.pending > 0 {
        draft.wait(Waiting::TasksToStart { count: count.pending });
    }
    if count.settling > 0 {
        let until = members.iter().filter_map(Member::healthy_at);
        draft.wait(Waiting::TasksToBecomeHealthy { count: count.settling, until: until.max() });
    }
    if count.bad > 0 {
        draft.wait(Waiting::TasksUnhealthy { count: count.bad });
    }
    if count.leaving > 0 {
        draft.wait(Waiting::TasksToStop { count: count.leaving });
    }
    let protected = members.iter().filter(|member| member.protected && !member.is_leaving());
    let held: Vec<_> = protected.filter_map(|member| member.task.protected_until).collect();
    if let Some(&until) = held.iter().min() {
        draft.looks.at(until);
        draft.wait(Waiting::Protection { count: held.len() as u32, until });
    }
}
