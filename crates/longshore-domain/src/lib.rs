//! The entities of ECS as rules see them: states that only move forward, what a task needs, what a
//! task definition means.
//!
//! Start reading at [`status`] (every lifecycle in one place) and [`task_spec`] (a task definition,
//! compiled). Values are valid by construction. This crate knows neither the wire nor the store; the
//! normalised text of a task definition is the only place where it meets the generated shapes.

pub mod capability;
pub mod container_end;
pub mod interface;
pub mod needs;
pub mod status;
pub mod tags;
pub mod task_definition;
pub mod task_spec;

pub use container_end::{Cause, ContainerEnd, StartFailure};
pub use interface::TaskNetwork;
pub use needs::Needs;
pub use status::{
    ContainerStatus, DesiredStatus, HealthStatus, InstanceCheckKind, InstanceHealth, InstanceStatus,
    LaunchType, RolloutState, SchedulingStrategy, ServiceStatus, StopCode, TaskDefinitionStatus, TaskStatus,
};
pub use task_spec::{ContainerSpec, NetworkMode, PortMapping, RequiredAttribute, TaskSpec};
