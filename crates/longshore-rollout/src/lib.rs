//! The deployment planner: what one service should do next.
//!
//! Start reading at [`plan`], the one entry point; [`ServiceView`] is all that it looks at and
//! [`Plan`] all that it says. [`bounds`] holds the arithmetic of minimumHealthyPercent and
//! maximumPercent, `standing` sorts tasks into pending, settling, healthy and unhealthy, `budget` says
//! which of them the minimum lets go; `hold` is the rolling update itself, which `replica` and
//! `task_set` use; `daemon` is the other way to run a service; `rebalance` evens out zones; `progress` moves
//! deployments through their states (circuit breaker, alarms, rollback).
//!
//! Invariants:
//! - Equal arguments give equal plans. There is no clock, no chance but the seed, no I/O.
//! - A plan never takes the healthy tasks of a service below `ceil(D * minimumHealthyPercent)`
//!   nor all its tasks above `floor(D * maximumPercent)`, whatever state the view shows.
//! - Planning again after a plan was applied starts nothing twice, because everything that was
//!   started or stopped is visible in the next view.
//! - A service that is not where it should be either changes or says in
//!   [`Plan::waiting_for`] what it waits for.
//!
//! It does not know where a task goes (placement decides and may refuse), how a view is gathered
//! or how a plan is stored, and nothing of load balancers beyond the health they report.

use longshore_base::{Seed, Timestamp};
use longshore_placement::Fleet;

pub mod bounds;
mod budget;
mod daemon;
mod decide;
mod draft;
pub mod event;
mod hold;
pub mod memory;
mod outcome;
mod progress;
mod rebalance;
mod replica;
mod standing;
mod task_set;
mod view;
pub mod waiting;

pub use bounds::{Bounds, failure_threshold};
pub use event::{ClosestMiss, PlacementRefusal, ServiceEvent};
pub use memory::{EventMemory, Throttle, Topic};
pub use outcome::{
    DeploymentChange, Failure, NewDeployment, Plan, RolloutReason, ServiceDeploymentChange, Start, Stop,
    StopReason, TaskSetChange,
};
pub use progress::reserve;
pub use view::{
    Alarms, CircuitBreaker, DaemonInstance, DeploymentRole, DeploymentView, Host, LastCompleted, Refusal,
    Scheduling, ServiceDeploymentStatus, ServiceView, Settings, Stability, StopType, StoppedBecause,
    StoppedTask, TaskSetStatus, TaskSetView, TaskView, room_may_help,
};
pub use waiting::Waiting;

/// The most tasks that one plan starts and stops together. It keeps a round, with the records
/// around it, within the 127 operations that a commit may have; the next round follows at once.
pub const ROUND_MAX: usize = 100;

/// Decides what a service does next.
///
/// `view` is one consistent revision; `now` is not earlier than any time in it that has passed.
/// `seed` feeds the ids of new deployments, nothing else.
pub fn plan(view: &ServiceView, now: Timestamp, seed: Seed) -> Plan {
    decide::plan(view, None, now, seed)
}

/// As [`plan`], with the instances at hand: scale-in by `binpack`, or by a spread over an attribute
/// other than the zone, needs to know what they have.
pub fn plan_on(fleet: &Fleet, view: &ServiceView, now: Timestamp, seed: Seed) -> Plan {
    decide::plan(view, Some(fleet), now, seed)
}
