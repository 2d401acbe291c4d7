//! What a task definition says of its containers, where it explains how they stand: what each waits for.

use longshore_domain::{ContainerStatus, HealthStatus};
use longshore_state::State;
use longshore_tables_ecs::record::{Container, Task};
use longshore_tables_ecs::{ClusterKey, EcsState};
use serde::Deserialize;

/// The part of the stored document that is looked at. It was checked when it was registered.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    #[serde(default)]
    container_definitions: Vec<Own>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Own {
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

/// What keeps a container from being started.
pub struct Wait {
    pub text: String,
    /// The other one has been seen to run or to have ended, so that all there is to wait for is what is made of it.
    pub is_begun: bool,
}

impl Definition {
    /// That of a task. Nothing, if it was deleted.
    pub fn of(state: &State, at: &ClusterKey, task: &Task) -> Self {
        let definition = state.ecs().definition(&at.scope, &task.origin.family, task.origin.revision);
        definition.and_then(|own| serde_json::from_str(own.document()).ok()).unwrap_or_default()
    }

    fn own(&self, container: &Container) -> Option<&Own> {
        self.container_definitions.iter().find(|own| own.name == container.name.as_str())
    }

    /// The conditions of `dependsOn` (ecs-task-definitions C3) that a container has not met yet, for all that its agent
    /// has reported; `None`: none, or it was started.
    pub fn wait(&self, task: &Task, container: &Container) -> Option<Wait> {
        if container.last_status != ContainerStatus::Pending {
            return None;
        }
        let mut is_begun = false;
        let mut conditions = Vec::new();
        for dependency in &self.own(container)?.depends_on {
            let name = &dependency.container_name;
            let Some(other) = task.containers.iter().find(|other| other.name.as_str() == name) else {
                continue;
            };
            if is_met(&dependency.condition, other) {
                continue;
            }
            let begun = other.last_status != ContainerStatus::Pending;
            is_begun |= begun;
            let wanted = match dependency.condition.as_str() {
                "COMPLETE" => "has ended (COMPLETE)",
                "SUCCESS" => "has ended with exit code 0 (SUCCESS)",
                "HEALTHY" => "is HEALTHY",
                _ => "has been started (START)",
            };
            let stands = match (begun, other.last_status == ContainerStatus::Stopped) {
                (false, _) => String::new(),
                (true, true) => " (STOPPED as last reported)".to_owned(),
                (true, false) if dependency.condition == "HEALTHY" => {
                    format!(" ({} and {} as last reported)", other.last_status, other.health)
                }
                (true, false) => format!(" ({} as last reported)", other.last_status),
            };
            conditions.push(format!("container {name} {wanted}{stands}"));
        }
        let text = format!("it is started when {}", conditions.join(" and "));
        (!conditions.is_empty()).then_some(Wait { text, is_begun })
    }
}

/// What an agent's last report says of a condition.
fn is_met(condition: &str, other: &Container) -> bool {
    match condition {
        "HEALTHY" => other.health == HealthStatus::Healthy,
        "COMPLETE" => other.last_status == ContainerStatus::Stopped,
        "SUCCESS" => other.last_status == ContainerStatus::Stopped && other.exit_code == Some(0),
        _ => other.last_status != ContainerStatus::Pending,
    }
}
