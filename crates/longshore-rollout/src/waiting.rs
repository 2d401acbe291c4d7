//! What a service waits for, in words for people.

use std::fmt;

use longshore_base::{DeploymentId, InstanceId, Timestamp};

use crate::event::PlacementRefusal;

/// One reason why a service is not yet where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Tasks that were started are not RUNNING yet.
    TasksToStart { count: u32 },
    /// Tasks run but are not healthy yet; `until` is set where time alone decides.
    TasksToBecomeHealthy { count: u32, until: Option<Timestamp> },
    /// Tasks run, their health checks fail, and nothing is left to replace them with.
    TasksUnhealthy { count: u32 },
    /// Tasks were told to stop and have not.
    TasksToStop { count: u32 },
    /// This plan starts or stops tasks; more follows when that is done.
    NextRound { starts: u32, stops: u32 },
    /// No instance can take the task.
    Placement { deployment: DeploymentId, reason: PlacementRefusal, next_attempt: Timestamp },
    /// DAEMON: this instance is eligible but cannot take its task now.
    InstanceFull { instance: InstanceId, reason: PlacementRefusal },
    /// Tasks failed to start several times in a row.
    Throttle { until: Timestamp, failures: u32 },
    /// Neither a start nor a stop is allowed by the percentages.
    Bounds { min: u32, max: u32 },
    /// More healthy tasks are needed before another one may be stopped.
    MinimumHealthy { healthy: u32, min: u32 },
    /// Protected tasks would have to go.
    Protection { count: u32, until: Timestamp },
    /// Deployment alarms are watched until then.
    BakeTime { until: Timestamp },
    /// The deployment failed and starts nothing any more, whatever the desired count is; a new deployment goes on.
    DeploymentFailed { deployment: DeploymentId },
    /// There is no deployment to run: the service has no PRIMARY.
    NoDeployment,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TasksToStart { count } => write!(f, "{count} started tasks are not RUNNING yet"),
            Self::TasksToBecomeHealthy { count, until: Some(until) } => {
                write!(f, "{count} running tasks are not healthy yet (settled at {})", until.as_millis())
            }
            Self::TasksToBecomeHealthy { count, until: None } => {
                write!(f, "{count} running tasks have not passed their health checks yet")
            }
            Self::TasksUnhealthy { count } => write!(f, "{count} running tasks fail their health checks"),
            Self::TasksToStop { count } => write!(f, "{count} tasks were told to stop and have not stopped"),
            Self::NextRound { starts, stops } => {
                write!(f, "{starts} tasks are being started and {stops} stopped")
            }
            Self::Placement { deployment, reason, .. } => {
                write!(f, "deployment {deployment} cannot place a task: {}", reason.text())
            }
            Self::InstanceFull { instance, reason } => {
                write!(f, "instance {instance} cannot take its task: {}", reason.text())
            }
            Self::Throttle { until, failures } => write!(
                f,
                "tasks failed to start, or ended at once, {failures} times in a row; the next attempt is at {}",
                until.as_millis()
            ),
            Self::Bounds { min, max } => write!(
                f,
                "minimumHealthyPercent ({min} tasks) and maximumPercent ({max} tasks) allow neither a start nor a stop"
            ),
            Self::MinimumHealthy { healthy, min } => {
                write!(f, "{healthy} tasks are healthy and {min} must be, so none may be stopped")
            }
            Self::Protection { count, until } => {
                write!(f, "{count} tasks are protected from scale-in (the first until {})", until.as_millis())
            }
            Self::BakeTime { until } => {
                write!(f, "the finished deployment is watched until {}", until.as_millis())
            }
            Self::DeploymentFailed { deployment } => {
                write!(
                    f,
                    "deployment {deployment} failed, so no task of it is started any more; update the service to another \
                     task definition, or with --force-new-deployment"
                )
            }
            Self::NoDeployment => f.write_str("the service has no deployment to run"),
        }
    }
}
