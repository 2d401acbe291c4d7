//! What a task needs, and which instances are asked at all.

use std::sync::Arc;

use longshore_base::{CpuUnits, MemoryMib, Port, Protocol};

/// What one task takes from its instance, from placement until it is STOPPED (ecs-engine D2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    /// Fixed host ports. Dynamic ones are not reserved and do not appear here.
    pub ports: Vec<(Port, Protocol)>,
    /// How many GPUs.
    pub gpus: u32,
    /// How many network interfaces of its own: one in awsvpc mode.
    pub interfaces: u32,
}

/// Whether an instance takes new tasks, as far as its `status` decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// ACTIVE.
    #[default]
    Active,
    /// DRAINING: keeps what it has, takes nothing new.
    Draining,
    /// REGISTERING, DEREGISTERING and whatever else takes no tasks.
    Closed,
}

/// What kind of capacity an instance is. A task's launch type chooses among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Launch {
    #[default]
    Ec2,
    /// Has `ecs.capability.external`.
    External,
    /// Belongs to the pool that serves Fargate tasks.
    Fargate,
}

/// The instances that a request considers at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// All instances of one launch type.
    Launch(Launch),
    /// The instances of one capacity provider, whatever their kind.
    Provider(Arc<str>),
}

impl Default for Pool {
    fn default() -> Self {
        Pool::Launch(Launch::Ec2)
    }
}

/// An attribute that the instance must have: `requiresAttributes` of a task definition, and what
/// its platform implies (ecs-engine D4, step 3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequiredAttribute {
    pub name: Arc<str>,
    /// `None` asks for the name alone.
    pub value: Option<Arc<str>>,
}
