//! What keeps the containers of a task from being started: the conditions of `dependsOn` in its definition.

use longshore_domain::{ContainerStatus, HealthStatus};
use longshore_state::State;
use longshore_tables_ecs::record::{Container, Task};
use longshore_tables_ecs::{ClusterKey, EcsState};
use serde::Deserialize;

/// The part of a registered task definition that is read here. It was validated when it was registered.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    #[serde(default)]
    container_definitions: Vec<ContainerDefinition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerDefinition {
    name: String,
    #[serde(default)]
    depends_on: Vec<Dependency>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    container_name: String,
    condition: String,
}

/// The unmet conditions of one container.
pub struct Wait {
    /// As a clause: `it is started when container db is HEALTHY`.
    pub text: String,
    /// A container that it waits for is no longer PENDING: so the wait is for a condition, not for the start of the
    /// task.
    pub has_started: bool,
}

impl Definition {
    /// The definition of a task; one without containers if it was deleted.
    pub fn of(state: &State, at: &ClusterKey, task: &Task) -> Self {
        let definition = state.ecs().definition(&at.scope, &task.origin.family, task.origin.revision);
        definition.and_then(|own| serde_json::from_str(own.document()).ok()).unwrap_or_default()
    }

    fn of_container(&self, container: &Container) -> Option<&ContainerDefinition> {
        self.container_definitions.iter().find(|own| own.name == container.name.as_str())
    }

    /// The conditions of `dependsOn` (ecs-task-definitions C3) that a container has not met yet, for all that its agent
    /// has reported; `None`: none, or it was started.
    pub fn wait(&self, task: &Task, container: &Container) -> Option<Wait> {
        if container.last_status != ContainerStatus::Pending {
            return None;
        }
        let mut has_started = false;
        let mut conditions = Vec::new();
        for dependency in &self.of_container(container)?.depends_on {
            let name = &dependency.container_name;
            let Some(other) = task.containers.iter().find(|other| other.name.as_str() == name) else {
                continue;
            };
            if is_met(&dependency.condition, other) {
                continue;
            }
            let started = other.last_status != ContainerStatus::Pending;
            has_started |= started;
            let wanted = match dependency.condition.as_str() {
                "COMPLETE" => "has ended (COMPLETE)",
                "SUCCESS" => "has ended with exit code 0 (SUCCESS)",
                "HEALTHY" => "is HEALTHY",
                _ => "has been started (START)",
            };
            let reported = match (started, other.last_status == ContainerStatus::Stopped) {
                (false, _) => String::new(),
                (true, true) => " (STOPPED as last reported)".to_owned(),
                (true, false) if dependency.condition == "HEALTHY" => {
                    format!(" ({} and {} as last reported)", other.last_status, other.health)
                }
                (true, false) => format!(" ({} as last reported)", other.last_status),
            };
            conditions.push(format!("container {name} {wanted}{reported}"));
        }
        let text = format!("it is started when {}", conditions.join(" and "));
        (!conditions.is_empty()).then_some(Wait { text, has_started })
    }
}

/// Whether a condition of `dependsOn` is met, as far as the agent's last report about the other container says.
fn is_met(condition: &str, other: &Container) -> bool {
    match condition {
        "HEALTHY" => other.health == HealthStatus::Healthy,
        "COMPLETE" => other.last_status == ContainerStatus::Stopped,
        "SUCCESS" => other.last_status == ContainerStatus::Stopped && other.exit_code == Some(0),
        _ => other.last_status != ContainerStatus::Pending,
    }
}
