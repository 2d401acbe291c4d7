//! A container instance: the agent that registers a machine, takes tasks over and reports what becomes of them.
//!
//! Start at [`core::AgentCore`], the agent without I/O: it joins the link's client sessions
//! (`longshore-link`), the task engine (`longshore-engine`) and the API calls. [`run`] is the agent as it really runs, over
//! any [`longshore_runtime::Runtime`]; several in one process share the runtime and the HTTP connections. [`config`]
//! reads the official agent's variables and file, [`capability`] says what is announced, [`awslogs`] what stands in for CloudWatch Logs, [`convert`] turns a payload into the
//! engine's task, [`network`] is what tasks in awsvpc mode are in, [`journal`] is the disk, [`surface`] what containers and people can ask the agent.
//!
//! Invariants:
//! - A payload is acknowledged, a container started and a report sent only after the journal has what led to it.
//! - The end of the process, however it comes, stops no container.
//! - Credentials of tasks are in memory only, and never in a log.
//! - One loop owns all state; tasks around it only carry bytes.
//!
//! It does not know which container runtime it uses, nor anything about the control plane but its protocol
//! (agent-protocol G1 to G9, G15 to G17, G19).

pub mod api;
pub mod awslogs;
pub mod capability;
pub mod config;
pub mod convert;
pub mod core;
pub mod journal;
pub mod network;
pub mod secrets;
mod shell;
pub mod surface;

pub use config::{Config, ConfigError, SharedNetwork};
pub use core::ExitReason;
pub use shell::{AgentError, CredentialsEndpoint, EndpointUnavailable, Services, Status, run};
