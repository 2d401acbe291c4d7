//! Amazon ECS as an API: what a request means, what it may not say, and what it is answered.
//!
//! Start reading at [`OPERATIONS`], the table of what is built, and at [`clusters`], which shows how an operation is
//! written: as a [`Command`](longshore_service::Command) or a [`Query`](longshore_service::Query). [`identifiers`],
//! [`paging`], [`input`], [`texts`] and `permission` hold what all operations share; the other modules hold one kind of
//! resource each.
//!
//! Invariants:
//! - An operation runs over a transaction ([`longshore_state::Tx`]) or over the state that it reads, so that the
//!   simulation runs it without HTTP and without waiting. Time and ids come from the transaction.
//! - What a request says by itself is read before the lock is taken.
//! - An operation is done or not done: what fails on the way is undone with its transaction.
//! - A caller sees only its own account and region ([`Caller::scope`]); an ARN of another one names
//!   something that is not there.
//! - What a caller needs permission for is named in one way, however the call spells it (`permission`).
//! - What is large or often asked for (tasks, services, instances, definitions) is only collected under
//!   the state's lock; the answer is made of it afterwards.
//!
//! It does not know sockets, signatures, scheduling rules or how a record is stored.

pub mod account_settings;
pub mod agent;
pub mod attributes;
pub mod capacity_providers;
pub mod clusters;
mod connections;
pub mod container_instances;
pub mod discovery;
mod documents;
mod ecs;
pub mod failures;
pub mod identifiers;
pub mod input;
mod launching;
mod news;
pub mod paging;
mod permission;
pub mod protection;
pub mod registration;
mod scaling_group;
pub mod service_deployments;
pub mod services;
mod settings;
pub mod settings_in_force;
pub mod strategies;
mod tagged;
mod tagging;
pub mod tags;
pub mod task_definitions;
pub mod task_sets;
pub mod tasks;
pub mod texts;

pub use ecs::{Ecs, OPERATIONS};
pub use longshore_service::Caller;
pub use permission::{question, to_see};
pub use settings::Settings;
