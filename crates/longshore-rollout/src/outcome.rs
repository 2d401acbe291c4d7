//! What a plan says.

use std::sync::Arc;

use longshore_base::{DeploymentId, InstanceId, TaskId, Timestamp};
use longshore_domain::status::{RolloutState, StopCode};

use crate::event::ServiceEvent;
use crate::memory::{EventMemory, Throttle};
use crate::view::{LastCompleted, ServiceDeploymentStatus, Stability};
use crate::waiting::Waiting;

/// The next step of one service. An applier carries out all of it in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tasks to place. What placement refuses belongs into the next view's `refusals`; what it
    /// accepts is announced with [`ServiceEvent::started`], before this plan's own events.
    pub starts: Vec<Start>,
    /// Tasks whose desired status becomes STOPPED.
    pub stops: Vec<Stop>,
    /// At most one entry per deployment; only what changes.
    pub deployments: Vec<DeploymentChange>,
    /// Deployments to add as the new PRIMARY: a rollback. The present PRIMARY becomes ACTIVE.
    pub new_deployment: Option<NewDeployment>,
    /// Older deployments that leave the list.
    pub removed_deployments: Vec<DeploymentId>,
    pub service_deployments: Vec<ServiceDeploymentChange>,
    /// At most one entry per set; only sets in which something changes.
    pub task_sets: Vec<TaskSetChange>,
    pub removed_task_sets: Vec<DeploymentId>,
    /// The service is INACTIVE from now on.
    pub becomes_inactive: bool,
    /// For DAEMON: the `desiredCount` to show.
    pub daemon_desired_count: Option<u32>,
    /// Replaces the service's last completed deployment.
    pub last_completed: Option<LastCompleted>,
    /// Goes into the next view as [`crate::ServiceView::rebalancing`].
    pub rebalancing: Option<u32>,
    /// Replaces the stored one.
    pub throttle: Throttle,
    /// Replaces the stored one.
    pub fallback_throttle: Throttle,
    /// In order, oldest first.
    pub events: Vec<ServiceEvent>,
    /// Replaces the stored one.
    pub memory: EventMemory,
    /// When to plan again although nothing has happened. Never earlier than now.
    pub next_look: Option<Timestamp>,
    /// Why the service is not where it should be; empty if it is, or if this plan leads there.
    pub waiting_for: Vec<Waiting>,
}

/// Tasks to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The deployment or task set whose revision they run.
    pub deployment: DeploymentId,
    pub count: u32,
    /// The only instance that may take them (DAEMON).
    pub on: Option<InstanceId>,
    /// The only zone that may take them (zone rebalancing).
    pub zone: Option<Arc<str>>,
    /// The pause after a refusal is not over: it is tried because the cluster has changed. Another refusal is no
    /// further failure then, or the coming and going of others would fail the deployment.
    pub early: bool,
}

/// A task to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub task: TaskId,
    pub reason: StopReason,
}

/// Why a task is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Scale-in, a rolling update or the end of the service, on behalf of this deployment.
    Scaling(DeploymentId),
    ContainerHealth,
    TargetHealth,
    InstanceDraining,
    InstanceLost(InstanceId),
    /// A DAEMON task on an instance that no longer meets the constraints.
    ConstraintViolated(DeploymentId),
}

impl StopReason {
    pub const fn code(&self) -> StopCode {
        match self {
            Self::Scaling(_)
            | Self::ContainerHealth
            | Self::TargetHealth
            | Self::InstanceDraining
            | Self::ConstraintViolated(_) => StopCode::ServiceSchedulerInitiated,
            Self::InstanceLost(_) => StopCode::TerminationNotice,
        }
    }

    /// The scheduler stops the task because a health check failed: [`crate::StoppedBecause::Unhealthy`].
    pub const fn is_unhealthy(&self) -> bool {
        match self {
            Self::ContainerHealth | Self::TargetHealth => true,
            Self::Scaling(_)
            | Self::InstanceDraining
            | Self::InstanceLost(_)
            | Self::ConstraintViolated(_) => false,
        }
    }

    /// `stoppedReason` as ECS words it (ecs-engine D3, "Ends").
    ///
    /// `target_group` is the ARN of the target group that reports the task, for
    /// [`StopReason::TargetHealth`].
    pub fn text(&self, service: &str, target_group: Option<&str>) -> String {
        match self {
            Self::Scaling(id) => format!("Scaling activity initiated by (deployment {id})"),
            Self::ContainerHealth => "Task failed container health checks".to_owned(),
            Self::TargetHealth => match target_group {
                Some(arn) => format!("Task failed ELB health checks in (target-group {arn})"),
                None => "Task failed ELB health checks".to_owned(),
            },
            Self::InstanceDraining => {
                format!("Service {service}: task stopped because of container instance draining")
            }
            Self::InstanceLost(id) => format!("Container instance {id} was lost."),
            Self::ConstraintViolated(id) => {
                format!(
                    "Scaling activity initiated by (deployment {id}): placement constraints no longer met"
                )
            }
        }
    }
}

/// What changes in a deployment. `None` and `false` leave a member as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentChange {
    pub id: DeploymentId,
    pub desired_count: Option<u32>,
    pub rollout: Option<(RolloutState, RolloutReason)>,
    pub failed_tasks: Option<u32>,
    pub ever_running: bool,
    /// `Some(None)` ends the bake time.
    pub baking_since: Option<Option<Timestamp>>,
}

/// Why a deployment is in its rollout state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutReason {
    InProgress,
    Completed,
    CircuitBreaker,
    Alarm,
    Stopped,
    /// A new PRIMARY that goes back to an earlier deployment.
    RollingBack {
        because: Failure,
        to: DeploymentId,
    },
}

/// What ended a deployment before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    CircuitBreaker,
    Alarm,
    /// StopServiceDeployment.
    Stopped,
}

impl RolloutReason {
    /// `rolloutStateReason` of deployment `id` (ecs-services E3 and E4).
    pub fn text(self, id: DeploymentId) -> String {
        match self {
            Self::InProgress => format!("ECS deployment {id} in progress."),
            Self::Completed => format!("ECS deployment {id} completed."),
            Self::CircuitBreaker => "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
            Self::Alarm => "ECS deployment failed: alarm detected.".to_owned(),
            Self::Stopped => format!("ECS deployment {id} was stopped on request."),
            Self::RollingBack { because: Failure::CircuitBreaker, to } => {
                format!("ECS deployment circuit breaker: rolling back to deploymentId {to}.")
            }
            Self::RollingBack { because: Failure::Alarm, to } => {
                format!("ECS deployment failed: alarm detected, rolling back to deploymentId {to}.")
            }
            Self::RollingBack { because: Failure::Stopped, to } => {
                format!("ECS deployment stopped on request: rolling back to deploymentId {to}.")
            }
        }
    }
}

impl From<Failure> for RolloutReason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::CircuitBreaker => Self::CircuitBreaker,
            Failure::Alarm => Self::Alarm,
            Failure::Stopped => Self::Stopped,
        }
    }
}

/// A deployment to create with role PRIMARY, IN_PROGRESS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeployment {
    /// Drawn from the plan's seed.
    pub id: DeploymentId,
    pub revision: DeploymentId,
    pub desired_count: u32,
    /// The failed deployment that it undoes, to whose service deployment it belongs.
    pub rolled_back_from: DeploymentId,
    pub reason: RolloutReason,
    pub alarms_ignored: bool,
}

/// A step of a service deployment (ecs-services E6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDeploymentChange {
    /// The deployment that the service deployment was created for.
    pub deployment: DeploymentId,
    pub status: ServiceDeploymentStatus,
    /// `statusReason`, where there is one.
    pub reason: Option<String>,
}

/// What changes in a task set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSetChange {
    pub id: DeploymentId,
    pub computed_desired_count: u32,
    pub stability: Stability,
    /// Replaces the stored one.
    pub throttle: Throttle,
}
