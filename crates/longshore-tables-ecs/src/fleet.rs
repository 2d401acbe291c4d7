//! Records as placement sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{CpuUnits, MemoryMib};
use longshore_domain::{InstanceStatus, LaunchType, TaskNetwork, interface};
use longshore_placement::{Instance, Launch, Needs, Status};

use crate::key::ClusterKey;
use crate::record;

pub fn instance(record: &record::Instance, connected: bool) -> Instance {
    let attributes: BTreeMap<Arc<str>, Option<Arc<str>>> = record
        .agent_attributes
        .iter()
        .chain(&record.user_attributes)
        .map(|attribute| (attribute.name.clone(), attribute.value.clone()))
        .collect();
    let text = |name: &str| attributes.get(name).and_then(|value| value.as_deref());
    // Of an agent that tells no network nothing is known; what tasks ask for beyond that are its attributes.
    let interfaces =
        text(interface::NETWORK_ATTRIBUTE).map(|_| TaskNetwork::of(text).map_or(0, TaskNetwork::capacity));
    Instance {
        id: record.id,
        ec2_instance_id: record.ec2_instance_id.clone(),
        status: match record.status {
            InstanceStatus::Active => Status::Active,
            InstanceStatus::Draining => Status::Draining,
            InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Deregistering
            | InstanceStatus::Inactive => Status::Closed,
        },
        connected,
        launch: launch(record.launch_type),
        capacity_provider: record.capacity_provider.clone(),
        cpu: CpuUnits(record.cpu),
        memory: MemoryMib(record.memory),
        reserved_tcp: record.reserved_tcp.clone(),
        reserved_udp: record.reserved_udp.clone(),
        gpus: record.gpus.clone(),
        interfaces,
        attributes,
        agent_version: record.agent_version.clone().unwrap_or_default(),
        registered_at: record.registered_at,
    }
}

/// The kind of instance that takes tasks of a launch type.
pub fn launch(launch_type: LaunchType) -> Launch {
    match launch_type {
        // Managed instances are chosen by their capacity provider, never by launch type.
        LaunchType::Ec2 | LaunchType::ManagedInstances => Launch::Ec2,
        LaunchType::External => Launch::External,
        LaunchType::Fargate => Launch::Fargate,
    }
}

/// How the pool counts the tasks of a group. It serves every account, and two of them may well have a
/// service of the same name.
pub fn pooled_group(at: &ClusterKey, group: &str) -> Arc<str> {
    format!("{}/{}/{group}", at.scope.account, at.cluster).into()
}

/// What a task needs of an instance. `interfaces`: 1 for a task with a network interface of its own, else 0.
pub fn needs(needs: &longshore_domain::Needs, interfaces: u32) -> Needs {
    Needs { cpu: needs.cpu, memory: needs.memory, ports: needs.ports.clone(), gpus: needs.gpus, interfaces }
}
