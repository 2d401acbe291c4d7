//! The network of a task in awsvpc mode: a container of the agent's own that holds it (agent-protocol G12).
//!
//! The container is one of the task's like any other, so that it is created, started, stopped, restored and removed by
//! the same code; it is last in the list, everything else waits for it, and nobody outside of the engine sees it.

use std::time::Duration;

use longshore_base::{ContainerName, CpuUnits};

use crate::spec::{
    ContainerDefinition, ContainerRole, Environment, HealthTracking, NetworkMode, RegistryAuth, TaskSpec,
};

/// The image of the pause container. The runtime makes it; it is in no registry.
pub const PAUSE_IMAGE: &str = "longshore/pause:1";

/// Adds the pause container to a task that needs one and has an interface for it.
pub(crate) fn add_pause(spec: &mut TaskSpec) {
    match spec.network_mode {
        NetworkMode::Awsvpc if spec.interface.is_some() && pause_of(spec).is_none() => {
            spec.containers.push(pause_definition());
        }
        NetworkMode::Awsvpc | NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => {}
    }
}

/// The reason of a task whose pause container has ended (agent-protocol G8, Reasons). `has_run` and `exit_code` are
/// those of the pause container; `reason` is why it ended, empty if nothing is known but that it did.
pub(crate) fn ended(has_run: bool, exit_code: Option<i32>, reason: &str) -> String {
    let text = match (has_run, reason, exit_code) {
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
