//! Where a task runs, and why it cannot: the decisions of placement.
//!
//! Start reading at [`Fleet`], the index of one cluster's container instances and of what occupies
//! them. [`Fleet::place_one`] answers a [`Request`] with an instance or with a [`Refusal`] that
//! says, reason by reason, how many instances were ruled out. A caller places one task, lets it
//! [occupy](Fleet::occupy) its instance, and asks for the next.
//!
//! Beside it: [`query`] (the cluster query language), [`strategy`] and [`constraint`] (what a user
//! may ask for), [`removal`] (which tasks leave when a service shrinks), [`rebalance`] (whether
//! zones are out of balance), [`provider`] (whose turn it is in a capacity provider strategy).
//!
//! Invariants:
//! - A placement never exceeds what an instance has left, counting tasks until they are STOPPED.
//! - Equal arguments give equal answers. Chance comes from the seed alone: it decides the `random`
//!   strategy and ties.
//! - The indexes are derived: each could be dropped and rebuilt at any time without changing an answer.
//!
//! This crate does not know of services, task definitions, ARNs or time passing; a caller says
//! what a task needs, which group it belongs to, and who may be stopped.

mod bits;
pub mod constraint;
mod fleet;
mod needs;
pub mod provider;
pub mod query;
pub mod rebalance;
mod refusal;
pub mod removal;
mod request;
mod stored;
pub mod strategy;

pub use constraint::{Constraint, ConstraintError};
pub use fleet::{Fleet, GPUS_MAX, Instance, OccupyError, RESERVED_PORTS_MAX, Remaining, Shortage};
pub use needs::{Launch, Needs, Pool, RequiredAttribute, Status};
pub use query::{Expression, QueryError};
pub use refusal::{Reason, Refusal, Ruled, SAMPLE_MAX};
pub use request::{DefaultStrategy, Request, RequestSpec};
pub use strategy::{Field, Resource, Strategy, StrategyError};

/// The attribute that names an instance's availability zone.
pub const ZONE_ATTRIBUTE: &str = "ecs.availability-zone";
