//! Deployments on their way: counting failures, failing, rolling back, completing, leaving the list
//! (ecs-services E3, E4, E6).

use longshore_base::{DeploymentId, Ids};
use longshore_domain::status::{DesiredStatus, RolloutState};

use crate::bounds::failure_threshold;
use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::memory::Topic;
use crate::outcome::{Failure, NewDeployment, RolloutReason};
use crate::view::{
    DeploymentRole, DeploymentView, LastCompleted, ServiceDeploymentStatus, StopType, StoppedBecause,
};
use crate::waiting::Waiting;

/// Takes note of failed tasks and of requests, and ends the PRIMARY deployment if it must end.
///
/// Tells whether a rollback begins: then nothing else is to be done in this round, because the
/// next one plans for another PRIMARY.
pub(crate) fn begin(draft: &mut Draft<'_>, primary: &DeploymentView, desired: u32) -> bool {
    for deployment in &draft.view.deployments {
        count_failures(draft, deployment);
        supersede(draft, deployment, primary);
    }
    if primary.progress == Some(ServiceDeploymentStatus::Pending) {
        draft.progress(primary, ServiceDeploymentStatus::InProgress, None);
    }
    if primary.rollout != RolloutState::InProgress {
        return false;
    }
    let Some((failure, rollback)) = failure(draft, primary, desired) else {
        return false;
    };
    fail(draft, primary, failure, rollback, desired)
}

/// Stage 1, until a task of the deployment was RUNNING: tasks that stop before, and refused
/// placements, count, unless the room is on its way. Stage 2: failed health checks count. A crash after RUNNING never does.
fn count_failures(draft: &mut Draft<'_>, deployment: &DeploymentView) {
    let view = draft.view;
    let id = deployment.id;
    let runs = |started: bool, of| started && of == id;
    let running = deployment.ever_running
        || view.tasks.iter().any(|task| runs(task.last_status.is_running(), task.deployment))
        || view.stopped.iter().any(|task| runs(task.ever_running, task.deployment));
    let counts = |because, ever_running: bool| match because {
        StoppedBecause::Unhealthy => running,
        StoppedBecause::FailedToStart
        | StoppedBecause::EssentialExited
        | StoppedBecause::Killed
        | StoppedBecause::User => !running && !ever_running,
        StoppedBecause::InstanceLost | StoppedBecause::Scheduler => false,
    };
    let stopped = view.stopped.iter().filter(|task| task.deployment == id);
    let mut failed = stopped.filter(|task| counts(task.because, task.ever_running)).count() as u32;
    // While tasks of the service's own make room, a refusal only says that they still do.
    let making_room = view.tasks.iter().any(|task| task.desired_status == DesiredStatus::Stopped);
    if !running && !making_room {
        let refused = view.refusals.iter().filter(|refusal| refusal.deployment == id);
        failed = failed.saturating_add(refused.map(|refusal| refusal.uncounted).sum());
    }
    // The count falls back when the first task runs.
    let before = if running && !deployment.ever_running { 0 } else { deployment.failed_tasks };
    let after = before.saturating_add(failed);
    if after != deployment.failed_tasks {
        draft.change(id).failed_tasks = Some(after);
    }
    if running && !deployment.ever_running {
        draft.change(id).ever_running = true;
    }
}

/// An unfinished older deployment whose service deployment nobody carries on is STOPPED.
fn supersede(draft: &mut Draft<'_>, deployment: &DeploymentView, primary: &DeploymentView) {
    let carried_on = primary.rolled_back_from == Some(deployment.id);
    if deployment.role == DeploymentRole::Active && deployment.id != primary.id && !carried_on {
        let reason = format!("A newer deployment ({}) replaced it.", primary.id);
        draft.progress(deployment, ServiceDeploymentStatus::Stopped, Some(reason));
    }
}

/// What ends the deployment, and whether it is to be rolled back. Requests come first, because a
/// person made them.
fn failure(draft: &mut Draft<'_>, primary: &DeploymentView, desired: u32) -> Option<(Failure, bool)> {
    let view = draft.view;
    match primary.stop_requested {
        Some(StopType::Abort) => return Some((Failure::Stopped, false)),
        Some(StopType::Rollback) => return Some((Failure::Stopped, true)),
        None => {}
    }
    if view.alarms.enable && !primary.alarms_ignored && !view.alarms.triggered.is_empty() {
        return Some((Failure::Alarm, view.alarms.rollback));
    }
    let failed_tasks = draft.failed_tasks_of(primary);
    if view.circuit_breaker.enable && failed_tasks >= failure_threshold(desired) {
        return Some((Failure::CircuitBreaker, view.circuit_breaker.rollback));
    }
    None
}

fn fail(
    draft: &mut Draft<'_>,
    primary: &DeploymentView,
    failure: Failure,
    rollback: bool,
    desired: u32,
) -> bool {
    use ServiceDeploymentStatus as Status;
    let view = draft.view;
    let reason = RolloutReason::from(failure);
    draft.set_rollout(primary.id, RolloutState::Failed, reason);
    draft.deployment_event(match failure {
        Failure::CircuitBreaker => ServiceEvent::DeploymentFailedToStart(primary.id),
        Failure::Alarm => ServiceEvent::DeploymentFailedAlarm(primary.id),
        Failure::Stopped => ServiceEvent::DeploymentStopped(primary.id),
    });
    // A rollback that fails is not rolled back again: there is nothing better to go to.
    let target = view
        .last_completed
        .filter(|last| rollback && primary.rolled_back_from.is_none() && last.deployment != primary.id);
    let Some(target) = target else {
        let status =
            if primary.rolled_back_from.is_some() { Status::RollbackFailed } else { Status::Stopped };
        draft.progress(primary, status, Some(reason.text(primary.id)));
        // The predecessor fills in without the failed one's pauses, from the next round on.
        draft.looks.at(draft.now);
        return false;
    };
    let reason = RolloutReason::RollingBack { because: failure, to: target.deployment };
    let id = Ids::new(draft.seed).deployment();
    draft.progress(primary, Status::RollbackInProgress, Some(reason.text(id)));
    draft.deployment_event(ServiceEvent::RollingBack(target.deployment));
    draft.plan.new_deployment = Some(NewDeployment {
        id,
        revision: target.revision,
        desired_count: desired,
        rolled_back_from: primary.id,
        reason,
        alarms_ignored: !view.alarms.triggered.is_empty(),
    });
    draft.looks.at(draft.now);
    true
}

/// Completes the PRIMARY deployment once everything is in place and the bake time is over, removes
/// older ones that are of no more use, and says when the service is steady.
///
/// `in_place`: all wanted tasks are there and healthy. `others(id)`: an older deployment's tasks
/// that are not STOPPED, and those of them that stay.
pub(crate) fn conclude(
    draft: &mut Draft<'_>,
    primary: &DeploymentView,
    in_place: bool,
    desired: u32,
    others: impl Fn(&DeploymentView) -> (u32, u32),
) {
    let view = draft.view;
    draft.set_desired_count(primary, desired);
    let older = || view.deployments.iter().filter(|deployment| deployment.id != primary.id);
    let alone = older().all(|deployment| others(deployment).0 == 0);
    if draft.rollout_of(primary) == RolloutState::InProgress {
        if in_place && alone {
            bake(draft, primary);
        } else if primary.baking_since.is_some() {
            draft.change(primary.id).baking_since = Some(None);
        }
    }
    let completed = draft.rollout_of(primary) == RolloutState::Completed;
    let failed = draft.rollout_of(primary) == RolloutState::Failed;
    let mut removed = 0;
    for deployment in older() {
        let (tasks, staying) = others(deployment);
        // A completed one may have to fill in, or be shown as what a rollback goes to.
        let needed = !completed && is_reserve(view.last_completed, deployment);
        if tasks == 0 && !needed {
            draft.plan.removed_deployments.push(deployment.id);
            removed += 1;
        } else if failed && is_reserve(view.last_completed, deployment) {
            // It fills in for what failed, so its number may rise again.
            let starts = draft.plan.starts.iter().filter(|start| start.deployment == deployment.id);
            let starting: u32 = starts.map(|start| start.count).sum();
            draft.set_desired_count(deployment, staying + starting);
        } else if staying < deployment.desired_count {
            draft.set_desired_count(deployment, staying);
        }
    }
    let only_one = removed + 1 == view.deployments.len();
    if completed && in_place && only_one {
        draft.situation(Topic::Steady, ServiceEvent::SteadyState);
    }
}

/// The last completed deployment, while it is listed: once the PRIMARY has FAILED, missing tasks are started of it.
pub fn reserve(
    deployments: &[DeploymentView],
    last_completed: Option<LastCompleted>,
    primary: DeploymentId,
) -> Option<&DeploymentView> {
    let mut older = deployments.iter().filter(|deployment| deployment.id != primary);
    older.find(|deployment| is_reserve(last_completed, deployment))
}

fn is_reserve(last_completed: Option<LastCompleted>, deployment: &DeploymentView) -> bool {
    deployment.rollout == RolloutState::Completed
        && last_completed.is_none_or(|last| last.deployment == deployment.id)
}

fn bake(draft: &mut Draft<'_>, primary: &DeploymentView) {
    let bake_time = draft.view.bake_time;
    if !bake_time.is_zero() {
        let since = primary.baking_since.unwrap_or(draft.now);
        let until = since + bake_time;
        if primary.baking_since.is_none() {
            draft.change(primary.id).baking_since = Some(Some(since));
        }
        if until > draft.now {
            draft.looks.at(until);
            draft.wait(Waiting::BakeTime { until });
            return;
        }
    }
    draft.set_rollout(primary.id, RolloutState::Completed, RolloutReason::Completed);
    draft.plan.last_completed = Some(LastCompleted { deployment: primary.id, revision: primary.revision });
    draft.deployment_event(ServiceEvent::DeploymentCompleted(primary.id));
    let status = match primary.rolled_back_from {
        Some(_) => ServiceDeploymentStatus::RollbackSuccessful,
        None => ServiceDeploymentStatus::Successful,
    };
    draft.progress(primary, status, None);
}
