//! A task definition, compiled: what scheduling and state keeping need to know of it.
//!
//! The full, normalised document is kept beside it, to be echoed faithfully and to make the agent's
//! payload; everything else reads this.

use longshore_base::{ContainerName, CpuUnits, MemoryMib, Port, Protocol};
use longshore_placement::Constraint;

use crate::needs::{Needs, NeedsOverride};
use crate::task_definition::NotBuilt;

/// `networkMode`. A definition without one behaves like `bridge` on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    #[default]
    Bridge,
    Host,
    Awsvpc,
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSpec {
    /// Task-level sizes, if given; they win over the sums of the containers.
    pub cpu: Option<CpuUnits>,
    pub memory: Option<MemoryMib>,
    pub network_mode: NetworkMode,
    pub containers: Vec<ContainerSpec>,
    /// What an instance must have, from the definition's content (ecs-task-definitions C4).
    pub required_attributes: Vec<RequiredAttribute>,
    /// `memberOf` of the definition itself.
    pub constraints: Vec<Constraint>,
    /// Launch types that the definition's content allows.
    pub compatibilities: Vec<crate::LaunchType>,
    /// ARNs: whose credentials the containers get, and whose the agent uses for them.
    pub task_role: Option<Box<str>>,
    pub execution_role: Option<Box<str>>,
    /// What its tasks would have to be given and cannot be.
    pub not_built: Vec<&'static NotBuilt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    pub name: ContainerName,
    pub image: String,
    pub essential: bool,
    /// CPU units; 0 if none were given.
    pub cpu: u32,
    /// MiB, hard limit.
    pub memory: Option<u32>,
    /// MiB, soft limit.
    pub memory_reservation: Option<u32>,
    pub ports: Vec<PortMapping>,
    pub has_health_check: bool,
    pub gpus: u32,
    /// `valueFrom` of its secrets and of its log driver's.
    pub secrets: Box<[Box<str>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    pub container_port: Port,
    /// Absent: the agent chooses one.
    pub host_port: Option<Port>,
    pub protocol: Protocol,
    pub name: Option<String>,
}

/// An attribute that an instance must have; with a value, the value must match too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredAttribute {
    pub name: String,
    pub value: Option<String>,
}

impl TaskSpec {
    /// What one task of this definition takes from its instance (ecs-engine D2): task-level sizes,
    /// else the sums; per container the soft limit if there is one, else the hard one; fixed host
    /// ports in bridge and host mode. Overrides replace sizes before the sum is taken.
    pub fn needs(&self, overrides: &NeedsOverride) -> Needs {
        let mut cpu_sum = 0_u32;
        let mut memory_sum = 0_u32;
        let mut gpus = 0_u32;
        for container in &self.containers {
            let changed = overrides.containers.iter().find(|o| o.name == container.name.as_str());
            let cpu = changed.and_then(|o| o.cpu).unwrap_or(container.cpu);
            let hard = changed.and_then(|o| o.memory).or(container.memory);
            let soft = changed.and_then(|o| o.memory_reservation).or(container.memory_reservation);
            cpu_sum = cpu_sum.saturating_add(cpu);
            memory_sum = memory_sum.saturating_add(soft.or(hard).unwrap_or(0));
            gpus = gpus.saturating_add(changed.and_then(|o| o.gpus).unwrap_or(container.gpus));
        }
        Needs {
            cpu: overrides.cpu.or(self.cpu).unwrap_or(CpuUnits(cpu_sum)),
            memory: overrides.memory.or(self.memory).unwrap_or(MemoryMib(memory_sum)),
            ports: self.fixed_ports(),
            gpus,
        }
    }

    fn fixed_ports(&self) -> Vec<(Port, Protocol)> {
        let mappings = self.containers.iter().flat_map(|c| &c.ports);
        match self.network_mode {
            NetworkMode::Bridge => mappings.filter_map(|m| Some((m.host_port?, m.protocol))).collect(),
            // In host mode the container's port is the host's.
            NetworkMode::Host => {
                mappings.map(|m| (m.host_port.unwrap_or(m.container_port), m.protocol)).collect()
            }
            NetworkMode::Awsvpc | NetworkMode::None => Vec::new(),
        }
    }

    /// True if any essential container has a health check: then health decides what counts as healthy.
    pub fn has_health_checks(&self) -> bool {
        self.containers.iter().any(|c| c.essential && c.has_health_check)
    }

    pub fn container(&self, name: &str) -> Option<&ContainerSpec> {
        self.containers.iter().find(|c| c.name.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, cpu: u32, memory: Option<u32>, soft: Option<u32>) -> ContainerSpec {
        ContainerSpec {
            name: ContainerName::parse(name).expect("valid"),
            image: "i".into(),
            essential: true,
            cpu,
            memory,
            memory_reservation: soft,
            ports: vec![PortMapping {
                container_port: Port(80),
                host_port: Some(Port(8080)),
                protocol: Protocol::Tcp,
                name: None,
            }],
            has_health_check: false,
            gpus: 0,
            secrets: Box::default(),
        }
    }

    #[test]
    fn soft_limits_count_before_hard_ones() {
        let spec = TaskSpec {
            containers: vec![container("a", 10, Some(300), Some(128)), container("b", 0, Some(64), None)],
            ..TaskSpec::default()
        };
        let needs = spec.needs(&NeedsOverride::default());
        assert_eq!((needs.cpu, needs.memory), (CpuUnits(10), MemoryMib(192)));
        assert_eq!(needs.ports.len(), 2);
    }

    #[test]
    fn task_sizes_win_over_sums_and_overrides_over_both() {
        let spec = TaskSpec {
            cpu: Some(CpuUnits(512)),
            memory: Some(MemoryMib(1024)),
            network_mode: NetworkMode::Awsvpc,
            containers: vec![container("a", 10, Some(300), None)],
            ..TaskSpec::default()
        };
        let needs = spec.needs(&NeedsOverride::default());
        assert_eq!((needs.cpu, needs.memory, needs.ports.len()), (CpuUnits(512), MemoryMib(1024), 0));
        let bigger = NeedsOverride { cpu: Some(CpuUnits(1024)), ..NeedsOverride::default() };
        assert_eq!(spec.needs(&bigger).cpu, CpuUnits(1024));
    }
}
