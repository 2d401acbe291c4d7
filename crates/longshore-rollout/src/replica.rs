//! REPLICA services under the ECS controller (ecs-services E2).

use std::collections::BTreeMap;

use longshore_base::DeploymentId;
use longshore_domain::status::RolloutState;

use crate::bounds::Bounds;
use crate::draft::Draft;
use crate::hold::{self, Fallback, Wanted};
use crate::memory::FAILURES_NOTICED;
use crate::standing::Member;
use crate::view::DeploymentView;
use crate::{progress, rebalance};

/// Plans one round of a service with a desired count: the rolling update, then the zones, then the states of its
/// deployments. `primary` is the deployment that is wanted.
pub(crate) fn plan(draft: &mut Draft<'_>, members: &[Member<'_>], primary: &DeploymentView) {
    let view = draft.view;
    let desired = view.desired_count;
    if progress::begin(draft, primary, desired) {
        return;
    }
    let bounds = Bounds::new(desired, view.minimum_healthy_percent, view.maximum_percent);
    let failed = draft.rollout_of(primary) == RolloutState::Failed;
    // While the wanted deployment cannot serve, its predecessor keeps the service alive: entirely
    // once it has FAILED, at the lower bound while it merely has trouble to start. Otherwise every
    // crash of an old task would shrink a service whose update does not get on.
    let up_to = if failed {
        Some(desired)
    } else if draft.throttle.failures >= FAILURES_NOTICED {
        Some(bounds.min)
    } else {
        None
    };
    let fallback =
        up_to.and_then(|up_to| draft.reserve(primary).map(|reserve| Fallback { id: reserve.id, up_to }));
    let extra = rebalance::extra(draft, members, primary.id);
    let wanted = Wanted { id: primary.id, fallback, desired, extra, bounds, failed, members };
    let outcome = hold::hold(draft, &wanted);
    rebalance::plan(draft, &wanted, outcome, primary.rollout == RolloutState::Completed);
    let others = tally(draft, members);
    let in_place = outcome.in_place && draft.plan.rebalancing.is_none();
    progress::conclude(draft, primary, in_place, desired, |deployment| {
        others.get(&deployment.id).copied().unwrap_or_default()
    });
}

/// Per deployment: tasks that are not STOPPED, and those that stay after this plan.
pub(crate) fn tally(draft: &Draft<'_>, members: &[Member<'_>]) -> BTreeMap<DeploymentId, (u32, u32)> {
    let mut tally: BTreeMap<DeploymentId, (u32, u32)> = BTreeMap::new();
    let mut stopping: Vec<_> = draft.plan.stops.iter().map(|stop| stop.task).collect();
    stopping.sort_unstable();
    for member in members {
        let (tasks, staying) = tally.entry(member.task.deployment).or_default();
        *tasks += 1;
        let stays = !member.is_leaving() && stopping.binary_search(&member.task.id).is_err();
        *staying += u32::from(stays);
    }
    tally
}
