//! What a task takes from an instance.

use longshore_base::{CpuUnits, MemoryMib, Port, Protocol};
use serde::{Deserialize, Serialize};

/// The resources that a task holds on its instance from placement until STOPPED (ecs-engine D2).
///
/// Only fixed host ports are here: dynamic ones are chosen by the agent and reserve nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Needs {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    pub ports: Vec<(Port, Protocol)>,
    pub gpus: u32,
}

/// Replacements for the sizes in a definition, from the overrides of RunTask or StartTask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeedsOverride {
    pub cpu: Option<CpuUnits>,
    pub memory: Option<MemoryMib>,
    pub containers: Vec<ContainerNeedsOverride>,
}

/// The same for one container, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerNeedsOverride {
    pub name: String,
    pub cpu: Option<u32>,
    pub memory: Option<u32>,
    pub memory_reservation: Option<u32>,
    pub gpus: Option<u32>,
}
