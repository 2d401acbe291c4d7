//! The network of a task in awsvpc mode: a container of the agent's own that holds it (agent-protocol G12).
//!
//! The container is one of the task's like any other, so that it is created, started, stopped, restored and removed by
//! the same code; it is last in the list, everything else waits for it, and nobody outside of the engine sees it.

use std::net::Ipv4Addr;
use std::time::Duration;

use longshore_base::{Cidr, ContainerName, CpuUnits};
use serde::{Deserialize, Serialize};

use crate::spec::{
    ContainerDefinition, ContainerRole, Environment, HealthTracking, NetworkMode, RegistryAuth, TaskSpec,
};
use crate::task::Container;

/// The image of the pause container. The runtime makes it; it is in no registry.
pub const PAUSE_IMAGE: &str = "longshore/pause:1";

/// The network on this node that tasks with an address of their own are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNetwork {
    /// The runtime's name for it.
    pub name: String,
    pub subnet: Cidr,
    pub gateway: Ipv4Addr,
    /// The part of `subnet` whose addresses this node has for its tasks; other nodes on the machine have others.
    pub range: Cidr,
    /// For people who find it: the directory or the name of the agent that made it.
    pub owner: String,
}

/// The interface of one task, as assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInterface {
    pub attachment_arn: String,
    /// `eni-...`
    pub id: String,
    pub mac: String,
    pub address: Ipv4Addr,
    /// That of the subnet, and the length of its prefix.
    pub gateway: Ipv4Addr,
    pub prefix: u8,
    #[serde(default)]
    pub private_dns_name: String,
    #[serde(default)]
    pub name_servers: Vec<String>,
    #[serde(default)]
    pub search_domains: Vec<String>,
}

/// Adds the pause container to a task that needs one and has an interface for it.
pub(crate) fn add_pause(spec: &mut TaskSpec) {
    match spec.network_mode {
        NetworkMode::Awsvpc if spec.interface.is_some() && pause_of(spec).is_none() => {
            spec.containers.push(pause_definition());
        }
        NetworkMode::Awsvpc | NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => {}
    }
}

/// Why a task without its network cannot go on (agent-protocol G8, Reasons).
pub(crate) fn ended(pause: &Container, exit_code: Option<i32>, reason: &str) -> String {
    let text = match (pause.has_run(), reason, exit_code) {
        (false, reason, _) => format!("the task's network could not be set up: {reason}"),
        (true, "", Some(code)) => {
            format!("the container that holds the task's network ended, with exit code {code}")
        }
        (true, "", None) => "the container that holds the task's network ended".to_owned(),
        (true, reason, _) => format!("the container that holds the task's network ended: {reason}"),
    };
    format!("ContainerNetworkingError: {text}")
}

/// The index of the pause container, if the task has one.
pub(crate) fn pause_of(spec: &TaskSpec) -> Option<usize> {
    spec.containers.iter().position(|container| container.role == ContainerRole::Pause)
}

fn pause_definition() -> ContainerDefinition {
    ContainerDefinition {
        name: ContainerName::pause(),
        role: ContainerRole::Pause,
        image: PAUSE_IMAGE.to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        entry_point: None,
        command: None,
        environment: Environment::default(),
        environment_files: Vec::new(),
        secrets: Vec::new(),
        ports: Vec::new(),
        links: Vec::new(),
        mounts: Vec::new(),
        volumes_from: Vec::new(),
        depends_on: Vec::new(),
        start_timeout: None,
        // It has nothing to finish, and as the first process of its name space it does not hear SIGTERM.
        stop_timeout: Some(Duration::ZERO),
        restart_policy: None,
        health: HealthTracking::Off,
        registry_auth: RegistryAuth::Node,
        arn: None,
        docker_config: None,
        docker_host_config: None,
    }
}
