//! The container runtime as a port: what a node asks of whatever runs its containers.
//!
//! Start reading at [`port::Runtime`]; [`executor::Executor`] turns the engine's actions into calls
//! of it and the answers into the engine's inputs; `questions` asks once what many containers ask
//! at the same time; [`limits`] says how long a call may take.
//!
//! [`scripted`] is a runtime without containers: images carry a script of how their containers
//! behave, time is an argument, and faults come from a seed. Simulations use its core directly,
//! load tests through the async wrapper. The suite in `conformance` (a feature, for tests) keeps it and the
//! real runtimes alike.
//!
//! Invariants: an operation never runs twice because it failed once (whether to repeat is the
//! engine's decision), and nothing here starts, stops or removes a container by itself.
//!
//! Not known here: tasks, images' policies, cgroups, credentials of roles, the control plane.

pub mod error;
pub mod executor;
pub mod limits;
pub mod port;
mod questions;
pub mod scripted;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::{ErrorKind, RuntimeError};
pub use executor::{Executor, NoLogins, RegistryLogins};
pub use port::{LabelFilter, Reading, RegistryCredentials, Runtime, RuntimeEvent, RuntimeInfo, StatsSample};
pub use questions::FRESH;
