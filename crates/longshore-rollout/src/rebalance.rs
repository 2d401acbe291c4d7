//! Evening out the zones of a steady service (ecs-services E8).
//!
//! One task more is started in the poorest zone; when it is healthy, one goes in the richest. What
//! tells the two steps from a scale-in is [`crate::ServiceView::rebalancing`], the desired count for
//! which the extra task was started: any other desired count ends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::DeploymentId;

use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::hold::{Crew, Held};
use crate::memory::Topic;
use crate::outcome::{Start, StopReason};
use crate::standing::Member;

/// The difference between two zones that is not worth a task's move.
const DIFFERENCE_ALLOWED: u32 = 1;

/// How many tasks beyond the desired count are wanted now.
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

/// Starts a rebalancing step, or ends one. It waits while a deployment is not `completed`.
pub(crate) fn plan(draft: &mut Draft<'_>, crew: &Crew<'_, '_>, held: Held, completed: bool) {
    let view = draft.view;
    if !view.zone_rebalancing || held.changed || held.others > 0 || !completed {
        draft.plan.rebalancing = if crew.extra > 0 { Some(crew.desired) } else { None };
        return;
    }
    let zones = zones(draft, crew);
    let Some((poorest, richest)) = extremes(&zones) else { return };
    if crew.extra > 0 {
        draft.situation(Topic::ZoneBalance, ServiceEvent::ZonesUnbalanced(counts(&zones)));
        let all_healthy = crew.members.iter().all(|it| it.is_healthy() || it.is_leaving());
        if !all_healthy {
            draft.plan.rebalancing = Some(crew.desired);
            return;
        }
        let mut movable: Vec<_> = crew
            .members
            .iter()
            .filter(|it| it.is_healthy() && !it.protected && it.task.zone.as_ref() == Some(&richest))
            .collect();
        movable.sort_unstable_by_key(|it| (it.task.created_at, it.task.id));
        if let Some(member) = movable.last()
            && draft.stop(member, StopReason::Scaling(crew.id))
        {
            let tasks = vec![member.task.id];
            draft.plan.events.push(ServiceEvent::StoppedToRebalance { zone: richest, tasks });
        }
        return;
    }
    let difference = zones[&richest] - zones[&poorest];
    if difference <= DIFFERENCE_ALLOWED {
        if view.memory.said.contains_key(&Topic::ZoneBalance) {
            draft.plan.events.push(ServiceEvent::ZonesBalanced(counts(&zones)));
        }
        return;
    }
    let room = crew.bounds.max > crew.members.len() as u32;
    let open = draft.throttle.closed_until(draft.now).is_none();
    let refusal = draft.refusal(crew.id).map(|refusal| draft.refused_until(refusal));
    if let Some(until) = refusal.filter(|&until| until > draft.now) {
        draft.looks.at(until);
        return;
    }
    let movable = crew.members.iter().any(|it| !it.protected && it.task.zone.as_ref() == Some(&richest));
    if held.in_place && room && open && movable && draft.left() > 0 {
        draft.situation(Topic::ZoneBalance, ServiceEvent::ZonesUnbalanced(counts(&zones)));
        draft.start(Start { deployment: crew.id, count: 1, on: None, zone: Some(poorest) });
        draft.plan.rebalancing = Some(crew.desired);
    }
}

/// Tasks that stay, per zone; zones without any included.
fn zones(draft: &Draft<'_>, crew: &Crew<'_, '_>) -> BTreeMap<Arc<str>, u32> {
    let mut zones: BTreeMap<Arc<str>, u32> =
        draft.view.zones.iter().map(|zone| (Arc::clone(zone), 0)).collect();
    for member in crew.members.iter().filter(|member| !member.is_leaving()) {
        // A zone that takes no tasks any more is none to balance with.
        if let Some(count) = member.task.zone.as_ref().and_then(|zone| zones.get_mut(zone)) {
            *count += 1;
        }
    }
    zones
}

/// The zones with the fewest and with the most tasks; the first by name among equals.
fn extremes(zones: &BTreeMap<Arc<str>, u32>) -> Option<(Arc<str>, Arc<str>)> {
    let poorest = zones.iter().min_by_key(|&(zone, count)| (*count, zone))?.0;
    let richest = zones.iter().max_by_key(|&(zone, count)| (*count, std::cmp::Reverse(zone)))?.0;
    Some((Arc::clone(poorest), Arc::clone(richest)))
}

fn counts(zones: &BTreeMap<Arc<str>, u32>) -> Vec<(Arc<str>, u32)> {
    zones.iter().map(|(zone, count)| (Arc::clone(zone), *count)).collect()
}
