//! What a plan is made from: one service, seen at one revision.
//!
//! Every type here is plain data, so that a controller fills it from records and a test by hand.

use std::sync::Arc;
use std::time::Duration;

use longshore_base::{CpuUnits, DeploymentId, InstanceId, MemoryMib, ServiceName, TaskId, Timestamp, words};
use longshore_domain::status::{
    DesiredStatus, HealthStatus, RolloutState, ServiceStatus, StopCode, TaskStatus,
};
use longshore_placement::{Reason, Strategy};
use serde::{Deserialize, Serialize};

use crate::event::PlacementRefusal;
use crate::memory::{EventMemory, Throttle};

/// One service and everything that a decision about it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    pub name: ServiceName,
    pub status: ServiceStatus,
    pub scheduling: Scheduling,
    /// How many tasks the user asks for. Ignored for DAEMON, where the instances decide.
    pub desired_count: u32,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
    pub alarms: Alarms,
    /// How long a finished deployment is watched before it is COMPLETED. Zero: not at all.
    pub bake_time: Duration,
    /// `healthCheckGracePeriodSeconds`, counted from a task's start.
    pub grace_period: Duration,
    /// `availabilityZoneRebalancing` is ENABLED and the service is eligible (ecs-services E8).
    pub zone_rebalancing: bool,
    /// The zones that have an instance which could take a task of this service; empty if unknown.
    /// Read only for zone rebalancing.
    pub zones: Vec<Arc<str>>,
    /// The desired count for which an extra task was started to even out the zones, as the last
    /// plan left it in [`crate::Plan::rebalancing`].
    pub rebalancing: Option<u32>,
    /// The service's own; scale-in reads them backwards.
    pub strategies: Vec<Strategy>,
    pub settings: Settings,
    /// Exactly one PRIMARY, and older ones in any order. Empty for task sets.
    pub deployments: Vec<DeploymentView>,
    /// What to roll back to: the last deployment that was COMPLETED, even if it is not listed any more.
    pub last_completed: Option<LastCompleted>,
    /// All tasks that are not STOPPED, in any order. STOPPED ones are ignored.
    pub tasks: Vec<TaskView>,
    /// Tasks that became STOPPED since the last plan was applied; each is shown to one plan only.
    pub stopped: Vec<StoppedTask>,
    /// The outcome of the last placement attempts that failed, at most one per deployment.
    pub refusals: Vec<Refusal>,
    /// After failures of the deployment that starts tasks.
    pub throttle: Throttle,
    /// After failures of the deployment that fills in for it ([`reserve`](crate::reserve)), whose failures are its own.
    pub fallback_throttle: Throttle,
    pub memory: EventMemory,
}

/// Who decides how many tasks there are and of which kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// `desiredCount` tasks of the PRIMARY deployment (ecs-services E2).
    Replica,
    /// One task on each of the eligible instances (ecs-services E11). An instance not listed is
    /// not eligible.
    Daemon { instances: Vec<DaemonInstance> },
    /// Controllers EXTERNAL and CODE_DEPLOY: each set holds its own share (ecs-services E7).
    TaskSets { sets: Vec<TaskSetView> },
}

/// An instance as a DAEMON service sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonInstance {
    pub id: InstanceId,
    pub draining: bool,
    /// Meets the attributes and constraints of the PRIMARY deployment.
    pub eligible: bool,
    /// Why it could not take the task now although it is eligible. `None`: it fits.
    pub refusal: Option<PlacementRefusal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitBreaker {
    pub enable: bool,
    pub rollback: bool,
}

/// Deployment alarms and what they say now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    pub enable: bool,
    pub rollback: bool,
    /// Names of the service's alarms that are in ALARM.
    pub triggered: Vec<Arc<str>>,
}

/// Numbers that ECS fixes and Longshore lets an operator choose (ecs-behaviour, Part X).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a task without any health check must run before it counts as healthy.
    pub settle_time: Duration,
    /// The first pause of the throttle; later ones double.
    pub throttle_first: Duration,
    /// The longest pause of the throttle.
    pub throttle_max: Duration,
    /// A task that exits sooner than this after it became RUNNING is throttled, too.
    pub short_life: Duration,
    /// The first pause after such a crash, and the longest. Shorter than after tasks that do not start, because
    /// such a task may have been of some use.
    pub crash_first: Duration,
    pub crash_max: Duration,
    /// The first pause after placement refused a task; later ones double up to `refusal_max`.
    /// A change of capacity ends the pause at once.
    pub refusal_first: Duration,
    pub refusal_max: Duration,
    /// After how long an unchanged message is repeated.
    pub repeat_after: Duration,
}

impl Default for Settings {
    /// ECS's numbers (ecs-services E2); the pauses after a refusal and what a short life is are Longshore's own.
    fn default() -> Self {
        Self {
            settle_time: Duration::from_secs(40),
            throttle_first: Duration::from_secs(10),
            throttle_max: Duration::from_secs(900),
            short_life: Duration::from_secs(10),
            crash_first: Duration::from_secs(1),
            crash_max: Duration::from_secs(60),
            refusal_first: Duration::from_secs(5),
            refusal_max: Duration::from_secs(60),
            repeat_after: Duration::from_secs(6 * 60 * 60),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeploymentRole {
    /// The newest, wanted one.
    Primary,
    /// An older one that still has tasks or that may be needed for a rollback.
    Active,
}

/// Kind of a StopServiceDeployment call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StopType {
    Abort,
    Rollback,
}

/// One deployment of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentView {
    pub id: DeploymentId,
    pub role: DeploymentRole,
    /// The service revision that its tasks are made from.
    pub revision: DeploymentId,
    /// The number shown; plans keep it up to date.
    pub desired_count: u32,
    pub rollout: RolloutState,
    pub failed_tasks: u32,
    /// Has had a RUNNING task at some time: stage 2 of the circuit breaker.
    pub ever_running: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The failed deployment that this one undoes.
    pub rolled_back_from: Option<DeploymentId>,
    pub stop_requested: Option<StopType>,
    /// Since when all its tasks are in place and the bake time runs.
    pub baking_since: Option<Timestamp>,
    /// An alarm was in ALARM when it began, so that alarms do not stop it (ecs-services E4).
    pub alarms_ignored: bool,
    /// Status of the service deployment that it belongs to; a rollback belongs to the one of
    /// the deployment it undoes. `None` where no such record exists.
    pub progress: Option<ServiceDeploymentStatus>,
}

/// A deployment that was COMPLETED, and what it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCompleted {
    pub deployment: DeploymentId,
    pub revision: DeploymentId,
}

words! {
    /// `status` of a service deployment (ecs-services E6).
    ServiceDeploymentStatus {
        Pending = "PENDING",
        InProgress = "IN_PROGRESS",
        Successful = "SUCCESSFUL",
        StopRequested = "STOP_REQUESTED",
        Stopped = "STOPPED",
        RollbackRequested = "ROLLBACK_REQUESTED",
        RollbackInProgress = "ROLLBACK_IN_PROGRESS",
        RollbackSuccessful = "ROLLBACK_SUCCESSFUL",
        RollbackFailed = "ROLLBACK_FAILED",
    }
}

impl ServiceDeploymentStatus {
    /// Nothing follows.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed => true,
            Self::Pending
            | Self::InProgress
            | Self::StopRequested
            | Self::RollbackRequested
            | Self::RollbackInProgress => false,
        }
    }
}

words! {
    /// `status` of a task set.
    TaskSetStatus {
        /// The one that serves; the service is described as it is.
        Primary = "PRIMARY",
        Active = "ACTIVE",
        /// Deleted: it goes with its last task.
        Draining = "DRAINING",
    }
}

words! {
    /// `stabilityStatus` of a task set.
    Stability {
        Stabilizing = "STABILIZING",
        SteadyState = "STEADY_STATE",
    }
}

/// A task set. Its tasks carry its id as their deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSetView {
    pub id: DeploymentId,
    pub status: TaskSetStatus,
    /// `scale` in hundredths of a percent (100 % is 10,000), so that it needs no float.
    pub scale_basis_points: u32,
    /// The number that events told last.
    pub computed_desired_count: u32,
    pub stability: Stability,
    /// After failures of its own tasks; the service's throttle is not used for task sets, so that a
    /// set that fails does not keep another one from being healed.
    pub throttle: Throttle,
}

/// What is known of the machine that a task is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Takes tasks, or is merely disconnected: services do not replace tasks for that.
    Up,
    /// Set to DRAINING by an operator.
    Draining,
    /// Known to be gone, or deregistered by force: its tasks will never report again.
    Lost,
}

/// A task of the service that is not STOPPED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    pub id: TaskId,
    /// The deployment or task set that started it.
    pub deployment: DeploymentId,
    /// `None` while it waits for capacity.
    pub instance: Option<InstanceId>,
    pub zone: Option<Arc<str>>,
    pub host: Host,
    pub last_status: TaskStatus,
    pub desired_status: DesiredStatus,
    pub created_at: Timestamp,
    /// When it became RUNNING.
    pub started_at: Option<Timestamp>,
    /// Health of its essential containers; `None` if none of them has a health check.
    pub container_health: Option<HealthStatus>,
    /// What its target groups say together; `None` without target groups.
    pub target_health: Option<HealthStatus>,
    /// Scale-in protection, if set; past times count as unprotected.
    pub protected_until: Option<Timestamp>,
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
}

/// A task that became STOPPED since the last plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoppedTask {
    pub id: TaskId,
    pub deployment: DeploymentId,
    pub created_at: Timestamp,
    /// Was RUNNING at some time.
    pub ever_running: bool,
    /// From RUNNING to the end of its containers; zero without RUNNING.
    pub ran_for: Duration,
    pub because: StoppedBecause,
}

/// Why a task is STOPPED, as far as counting failures distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoppedBecause {
    /// Image, network, volume or start failed.
    FailedToStart,
    /// The scheduler stopped it for a failed health check.
    Unhealthy,
    EssentialExited,
    /// A container was killed by a signal from outside, and not for its memory: by a person, or with the machine.
    Killed,
    /// StopTask.
    User,
    /// Its machine is gone.
    InstanceLost,
    /// Scale-in, rolling update, draining, deletion.
    Scheduler,
}

impl StoppedBecause {
    /// The kind that follows from what a stopped task shows.
    ///
    /// `unhealthy` tells whether the scheduler stopped it for a failed health check, which the
    /// stop code alone does not.
    pub const fn of(code: StopCode, unhealthy: bool) -> Self {
        match code {
            StopCode::TaskFailedToStart => Self::FailedToStart,
            StopCode::EssentialContainerExited => Self::EssentialExited,
            StopCode::UserInitiated => Self::User,
            StopCode::ServiceSchedulerInitiated if unhealthy => Self::Unhealthy,
            StopCode::ServiceSchedulerInitiated => Self::Scheduler,
            StopCode::SpotInterruption | StopCode::TerminationNotice => Self::InstanceLost,
        }
    }
}

/// The last time that placement could not place all the tasks that a plan asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub deployment: DeploymentId,
    pub at: Timestamp,
    /// Attempts in a row that ended so, this one included.
    pub attempts: u32,
    /// Attempts that no plan has counted as failures of the deployment yet.
    pub uncounted: u32,
    pub reason: PlacementRefusal,
    /// The task might fit once another task of the service is gone.
    pub room_may_help: bool,
    /// Something in the cluster changed since, so that a new attempt is worth it at once.
    pub capacity_changed: bool,
}

impl Refusal {
    /// Notes that placement refused a task of `deployment` at `at`, after `before` if the attempt
    /// before that was refused as well.
    pub fn note(
        deployment: DeploymentId,
        at: Timestamp,
        refused: &longshore_placement::Refusal,
        before: Option<&Refusal>,
    ) -> Self {
        let (attempts, uncounted) = before.map_or((0, 0), |it| (it.attempts, it.uncounted));
        Self {
            deployment,
            at,
            attempts: attempts.saturating_add(1),
            uncounted: uncounted.saturating_add(1),
            reason: PlacementRefusal::from(refused),
            room_may_help: refused.ruled_out.iter().any(|ruled| room_may_help(&ruled.reason)),
            capacity_changed: false,
        }
    }
}

/// True if the task might fit once another task of the service is gone.
pub const fn room_may_help(reason: &Reason) -> bool {
    match reason {
        Reason::Cpu
        | Reason::Memory
        | Reason::Ports
        | Reason::Gpu
        | Reason::Interface
        | Reason::DistinctInstance => true,
        Reason::Missing
        | Reason::NotActive
        | Reason::Agent
        | Reason::Attribute(_)
        | Reason::Location
        | Reason::MemberOf(_) => false,
    }
}
