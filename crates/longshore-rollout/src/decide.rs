//! From a view to a plan: which rules apply.

use longshore_base::{Seed, Timestamp};
use longshore_domain::status::{DesiredStatus, RolloutState, ServiceStatus, TaskStatus};
use longshore_placement::Fleet;

use crate::draft::Draft;
use crate::memory::Topic;
use crate::outcome::{Plan, StopReason};
use crate::view::{DeploymentRole, DeploymentView, Scheduling, ServiceDeploymentStatus, ServiceView};
use crate::waiting::Waiting;
use crate::{ServiceEvent, daemon, replica, standing, task_set};

pub(crate) fn plan(view: &ServiceView, fleet: Option<&Fleet>, now: Timestamp, seed: Seed) -> Plan {
    let mut draft = Draft::new(view, fleet, now, seed);
    let members = standing::members(view, now, &mut draft.looks);
    match view.status {
        ServiceStatus::Inactive => {}
        ServiceStatus::Draining => delete(&mut draft),
        ServiceStatus::Active => {
            let primary = primary(view);
            let reserve = primary.and_then(|primary| draft.reserve(primary)).map(|reserve| reserve.id);
            let own = primary.map(|primary| primary.id);
            // Once the PRIMARY has FAILED it is its predecessor that starts tasks, if there is one.
            let (starting, filling_in) = match primary.map(|primary| primary.rollout) {
                Some(RolloutState::Failed) => (reserve.or(own), None),
                Some(RolloutState::InProgress | RolloutState::Completed) | None => (own, reserve),
            };
            draft.observe_deployments(starting, filling_in);
            match (&view.scheduling, primary) {
                (Scheduling::TaskSets { sets }, _) => task_set::plan(&mut draft, &members, sets),
                (Scheduling::Replica, Some(primary)) => replica::plan(&mut draft, &members, primary),
                (Scheduling::Daemon { instances }, Some(primary)) => {
                    daemon::plan(&mut draft, &members, instances, primary);
                }
                (Scheduling::Replica | Scheduling::Daemon { .. }, None) => draft.wait(Waiting::NoDeployment),
            }
            notice_throttle(&mut draft);
        }
    }
    draft.finish()
}

/// The PRIMARY deployment; the newest, should there be several.
fn primary(view: &ServiceView) -> Option<&DeploymentView> {
    let primaries = view.deployments.iter().filter(|it| it.role == DeploymentRole::Primary);
    primaries.max_by_key(|it| (it.created_at, it.id))
}

pub(crate) fn notice_throttle(draft: &mut Draft<'_>) {
    if draft.cannot_start() {
        draft.situation(Topic::Throttle, ServiceEvent::CannotStartConsistently);
    }
}

/// The end of a deleted service: everything stops, without regard to bounds or protection, and
/// when nothing is left but tasks that are on their way out it becomes INACTIVE (ecs-services E10).
fn delete(draft: &mut Draft<'_>) {
    let view = draft.view;
    let mut left = 0;
    let members = standing::members(view, draft.now, &mut crate::draft::Looks::default());
    for member in &members {
        if member.task.desired_status == DesiredStatus::Running {
            draft.stop(member, StopReason::Scaling(member.task.deployment));
        }
        if member.task.last_status < TaskStatus::Stopping {
            left += 1;
        }
    }
    for deployment in &view.deployments {
        let reason = Some("The service was deleted.".to_owned());
        draft.progress(deployment, ServiceDeploymentStatus::Stopped, reason);
    }
    if left > 0 {
        for deployment in &view.deployments {
            draft.set_desired_count(deployment, 0);
        }
        draft.wait(Waiting::TasksToStop { count: left });
        return;
    }
    draft.plan.becomes_inactive = true;
    draft.plan.removed_deployments = view.deployments.iter().map(|deployment| deployment.id).collect();
    if let Scheduling::TaskSets { sets } = &view.scheduling {
        draft.plan.removed_task_sets = sets.iter().map(|set| set.id).collect();
    }
}
