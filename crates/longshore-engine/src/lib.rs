//! One node's tasks as a state machine: inputs in, actions out.
//!
//! Start reading at [`TaskEngine`], [`Input`] and [`Action`]; [`spec`] is what a task is made of,
//! [`report`] what the control plane hears, [`journal`] what survives the process, [`view`] what
//! introspection may see. Inside, `engine/advance.rs` is the heart: it derives a task's next operations
//! from what is known about it.
//!
//! The shell (the node) feeds [`Input`]s with the time, does what [`TaskEngine::poll_action`] gives, and
//! calls `handle(now, Tick)` no later than [`TaskEngine::deadline`].
//!
//! Invariants:
//! - A task is acknowledged only once it is in the journal, and a container is started at most once per
//!   assignment (its restart policy apart), crashes at any point included.
//! - States move forward only; at most one report of a task is under way; nothing follows STOPPED.
//! - CPU, memory and ports of the host are never promised twice.
//! - A task that was told to stop reaches STOPPED, with a reason if it was not its own doing.
//! - [`TaskEngine::deadline`] is in the future after every `handle`: nothing spins.
//!
//! It does not know Docker, the link's messages, credentials, or how anything is stored.

mod create;
mod dependencies;
mod engine;
mod host;
mod images;
pub mod network;
mod task;
mod validate;

pub mod action;
pub mod input;
pub mod journal;
pub mod note;
pub mod pressure;
pub mod report;
pub mod settings;
pub mod spec;
pub mod view;

pub use action::Action;
pub use create::{LABEL_CLUSTER, LABEL_CONTAINER, LABEL_FAMILY, LABEL_REVISION, LABEL_TASK};
pub use engine::TaskEngine;
pub use input::Input;
pub use settings::{HostCapacity, Settings};
pub use spec::OpId;
