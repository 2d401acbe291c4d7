//! One node's tasks as a state machine: inputs in, actions out.
//!
//! Start reading at [`spec`], [`input`] and [`action`]; the state machine is
//! `TaskEngine { new(settings, host, seed), restore(settings, host, seed, records, now),
//! handle(now, input), poll_action() -> Option<Action>, deadline() -> Option<Timestamp> }`.

pub mod action;
pub mod input;
pub mod journal;
pub mod report;
pub mod spec;

pub use action::{Action, OpId};
pub use input::Input;
