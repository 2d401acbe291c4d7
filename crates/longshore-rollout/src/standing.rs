//! How each task stands: whether it counts, and as what.

use std::time::Duration;

use longshore_base::Timestamp;
use longshore_domain::status::{DesiredStatus, HealthStatus, TaskStatus};

use crate::draft::Looks;
use crate::memory::FAILURES_NOTICED;
use crate::view::{Host, Scheduling, ServiceView, TaskView};

/// What a task that is not STOPPED counts as (ecs-services E2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Told to stop, or stopping by itself. It still takes up room, but serves no more.
    Leaving,
    /// Its machine is gone.
    Lost,
    /// Not yet RUNNING.
    Pending,
    /// RUNNING, but not yet healthy; it becomes so at `until` if only time decides.
    Settling {
        until: Option<Timestamp>,
    },
    /// Healthy as far as can be seen, but tasks of its deployment keep ending soon after RUNNING. Until it has lived
    /// for longer than they do it takes nobody's place; still it is a task that minimumHealthyPercent keeps.
    Proving {
        until: Timestamp,
    },
    Healthy,
    /// A health check fails and the grace period is over.
    Unhealthy(FailedCheck),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedCheck {
    Container,
    Target,
}

/// A task with its standing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'v> {
    pub task: &'v TaskView,
    pub standing: Standing,
    /// Protected from scale-in and from replacement by deployments now.
    pub protected: bool,
}

impl<'v> Member<'v> {
    pub fn on_draining(&self) -> bool {
        self.task.host == Host::Draining
    }

    pub fn is_healthy(&self) -> bool {
        self.standing == Standing::Healthy
    }

    pub fn is_proving(&self) -> bool {
        matches!(self.standing, Standing::Proving { .. })
    }

    /// When it comes to be healthy, if time alone decides.
    pub fn healthy_at(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Settling { until } => until,
            Standing::Proving { until } => Some(until),
            Standing::Leaving
            | Standing::Lost
            | Standing::Pending
            | Standing::Healthy
            | Standing::Unhealthy(_) => None,
        }
    }

    pub fn is_unhealthy(&self) -> bool {
        matches!(self.standing, Standing::Unhealthy(_))
    }

    pub fn is_leaving(&self) -> bool {
        self.standing == Standing::Leaving
    }
}

/// Sorts the tasks of a service; STOPPED ones are left out.
pub(crate) fn members<'v>(view: &'v ServiceView, now: Timestamp, looks: &mut Looks) -> Vec<Member<'v>> {
    let mut members = Vec::with_capacity(view.tasks.len());
    for task in &view.tasks {
        if task.last_status.is_stopped() {
            continue;
        }
        let standing = standing(task, view, now, looks);
        let protected = task.protected_until.is_some_and(|until| until > now);
        members.push(Member { task, standing, protected });
    }
    members
}

/// Tasks of a deployment that keeps ending soon after RUNNING serve nobody in between, so that no other is stopped
/// for them: they have to live for longer first (decision 24).
fn proving_time(task: &TaskView, view: &ServiceView) -> Duration {
    let of_sets = match &view.scheduling {
        Scheduling::TaskSets { sets } => sets.as_slice(),
        Scheduling::Replica | Scheduling::Daemon { .. } => &[],
    };
    let throttles = [&view.throttle, &view.fallback_throttle].into_iter();
    let fails = throttles
        .chain(of_sets.iter().map(|set| &set.throttle))
        .any(|it| it.failures >= FAILURES_NOTICED && it.deployment == Some(task.deployment));
    if fails { view.settings.short_life } else { Duration::ZERO }
}

fn standing(task: &TaskView, view: &ServiceView, now: Timestamp, looks: &mut Looks) -> Standing {
    if task.desired_status == DesiredStatus::Stopped || task.last_status > TaskStatus::Running {
        return Standing::Leaving;
    }
    if task.host == Host::Lost {
        return Standing::Lost;
    }
    if task.last_status < TaskStatus::Running {
        return Standing::Pending;
    }
    let started_at = task.started_at.unwrap_or(task.created_at);
    let checks = [task.container_health, task.target_health];
    let failed = if task.target_health == Some(HealthStatus::Unhealthy) {
        Some(FailedCheck::Target)
    } else if task.container_health == Some(HealthStatus::Unhealthy) {
        Some(FailedCheck::Container)
    } else {
        None
    };
    if let Some(failed) = failed {
        let grace_end = started_at + view.grace_period;
        if now >= grace_end {
            return Standing::Unhealthy(failed);
        }
        looks.at(grace_end);
        return Standing::Settling { until: None };
    }
    if checks.iter().flatten().next().is_some() {
        let all_healthy = checks.iter().flatten().all(|&health| health == HealthStatus::Healthy);
        return if all_healthy { Standing::Healthy } else { Standing::Settling { until: None } };
    }
    let settled_at = started_at + view.settings.settle_time;
    let proven_at = started_at + proving_time(task, view);
    let healthy_at = settled_at.max(proven_at);
    if now >= healthy_at {
        return Standing::Healthy;
    }
    looks.at(healthy_at);
    if now >= settled_at {
        return Standing::Proving { until: proven_at };
    }
    Standing::Settling { until: Some(healthy_at) }
}
