//! Evening out the zones of a steady service (ecs-services E8).
//!
//! One task more is started in the poorest zone; when it is healthy, one goes in the richest. What
//! tells the two steps from a scale-in is [`crate::ServiceView::rebalancing`], the desired count for
//! which the extra task was started: any other desired count ends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::DeploymentId;
use longshore_placement::rebalance;

use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::hold::{Outcome, Wanted};
use crate::memory::Topic;
use crate::outcome::StopReason;
use crate::standing::Member;

/// How many tasks beyond the desired count are wanted now: one while a step is under way, else none.
pub(crate) fn extra(draft: &Draft<'_>, members: &[Member<'_>], primary: DeploymentId) -> u32 {
    let view = draft.view;
    let desired = view.desired_count;
    if !view.zone_rebalancing || view.rebalancing != Some(desired) {
        return 0;
    }
    let there = members
        .iter()
        .filter(|member| member.task.deployment == primary && !member.is_leaving() && !member.is_unhealthy());
    // With any other number something else happened: a crash, a stop, a drain.
    u32::from(there.count() as u32 == desired + 1)
}

/// Starts a rebalancing step, or ends one. Both wait while the deployment is not `completed`, and while the rolling
/// update (`outcome`) changes anything or still has tasks of other deployments.
pub(crate) fn plan(draft: &mut Draft<'_>, wanted: &Wanted<'_, '_>, outcome: Outcome, completed: bool) {
    let view = draft.view;
    if !view.zone_rebalancing || outcome.changed || outcome.others > 0 || !completed {
        if wanted.extra > 0 {
            draft.lasts(Topic::ZoneBalance);
            draft.plan.rebalancing = Some(wanted.desired);
        }
        return;
    }
    let zones = zones(draft, wanted);
    if wanted.extra > 0 {
        draft.lasts(Topic::ZoneBalance);
        let all_healthy = wanted.members.iter().all(|it| it.is_healthy() || it.is_leaving());
        if !all_healthy {
            draft.plan.rebalancing = Some(wanted.desired);
            return;
        }
        if let Some((zone, member)) = newest_of_richest(wanted, &zones) {
            draft.stop_to_rebalance(member, zone, StopReason::Scaling(wanted.id));
        }
        return;
    }
    let Some(step) = rebalance::step(&zones) else {
        if view.memory.said.contains_key(&Topic::ZoneBalance) {
            draft.plan.events.push(ServiceEvent::ZonesBalanced(zones));
        }
        return;
    };
    // The extra task counts against the maximum like any other; a service at 100 percent is never rebalanced.
    let room = wanted.bounds.max > wanted.members.len() as u32;
    let open = draft.throttle.closed_until(draft.now).is_none();
    let refusal = draft.refusal(wanted.id).map(|refusal| draft.refused_until(refusal));
    if let Some(until) = refusal.filter(|&until| until > draft.now) {
        draft.looks.at(until);
        return;
    }
    let movable = newest_of_richest(wanted, &zones).is_some();
    if outcome.in_place && room && open && movable && draft.left() > 0 {
        draft.situation(Topic::ZoneBalance, ServiceEvent::ZonesUnbalanced(zones));
        draft.start(wanted.id, 1, None, Some(step.to));
        draft.plan.rebalancing = Some(wanted.desired);
    }
}

/// The task that a move takes away: the newest healthy one in the zone with the most tasks, of equals in the first by
/// name. None that is protected from scale-in.
fn newest_of_richest<'a, 'v>(
    wanted: &Wanted<'a, 'v>,
    zones: &[(Arc<str>, u32)],
) -> Option<(Arc<str>, &'a Member<'v>)> {
    let richest = zones.iter().reduce(|best, zone| if zone.1 > best.1 { zone } else { best })?;
    let there = wanted.members.iter().filter(|it| it.task.zone.as_ref() == Some(&richest.0));
    let movable = there.filter(|it| it.is_healthy() && !it.protected);
    let newest = movable.max_by_key(|it| (it.task.created_at, it.task.id))?;
    Some((Arc::clone(&richest.0), newest))
}

/// Tasks that stay, per zone by name; zones without any included. A zone that takes no tasks any
/// more is none to balance with.
fn zones(draft: &Draft<'_>, wanted: &Wanted<'_, '_>) -> Vec<(Arc<str>, u32)> {
    let mut zones: BTreeMap<&Arc<str>, u32> = draft.view.zones.iter().map(|zone| (zone, 0)).collect();
    for member in wanted.members.iter().filter(|member| !member.is_leaving()) {
        if let Some(count) = member.task.zone.as_ref().and_then(|zone| zones.get_mut(zone)) {
            *count += 1;
        }
    }
    zones.into_iter().map(|(zone, count)| (Arc::clone(zone), count)).collect()
}
