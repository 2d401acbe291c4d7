//! Order among the containers of a task (ecs-task-definitions C8, agent-protocol G10).
//!
//! `dependsOn`, `links`, `volumesFrom` and the pause container, which all others need, give one graph. A container waits for its edges before it is
//! pulled or created; the graph reversed is the order of stopping.

use crate::network;
use crate::spec::{Condition, ContainerRole, HealthTracking, TaskSpec};

/// What one container waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Index of the container waited for.
    pub on: usize,
    pub condition: Condition,
}

/// The graph, by container index. It has no cycle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    edges: Vec<Vec<Edge>>,
    dependents: Vec<Vec<usize>>,
}

/// A name that is not there, a circle, or a condition on the health of a container without a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unresolvable;

impl Graph {
    pub fn of(spec: &TaskSpec) -> Result<Self, Unresolvable> {
        let index =
            |name: &str| spec.containers.iter().position(|c| c.name.as_str() == name).ok_or(Unresolvable);
        let pause = network::pause_of(spec).map(|index| spec.containers[index].name.as_str());
        let mut graph = Self {
            edges: vec![Vec::new(); spec.containers.len()],
            dependents: vec![Vec::new(); spec.containers.len()],
        };
        for (target, container) in spec.containers.iter().enumerate() {
            if index(container.name.as_str())? != target {
                return Err(Unresolvable); // two containers of one name
            }
            let explicit = container.depends_on.iter().map(|d| (d.on.as_str(), d.condition));
            let links = container
                .links
                .iter()
                .map(|link| (link.split_once(':').map_or(link.as_str(), |(name, _)| name), Condition::Start));
            let volumes = container.volumes_from.iter().map(|v| (v.container.as_str(), Condition::Start));
            let pause = (container.role == ContainerRole::Ordinary).then_some(pause).flatten();
            let network = pause.map(|name| (name, Condition::Start));
            for (name, condition) in explicit.chain(links).chain(volumes).chain(network) {
                let edge = Edge { on: index(name)?, condition };
                if condition == Condition::Healthy && spec.containers[edge.on].health == HealthTracking::Off {
                    return Err(Unresolvable); // nobody would ever say that it is
                }
                if !graph.edges[target].contains(&edge) {
                    graph.edges[target].push(edge);
                }
                if !graph.dependents[edge.on].contains(&target) {
                    graph.dependents[edge.on].push(target);
                }
            }
        }
        if graph.has_cycle() { Err(Unresolvable) } else { Ok(graph) }
    }

    /// A graph without edges, for a task that is refused anyway.
    pub fn unconnected(containers: usize) -> Self {
        Self { edges: vec![Vec::new(); containers], dependents: vec![Vec::new(); containers] }
    }

    pub fn edges_of(&self, container: usize) -> &[Edge] {
        &self.edges[container]
    }

    pub fn dependents_of(&self, container: usize) -> &[usize] {
        &self.dependents[container]
    }

    /// Takes away containers that wait for nobody until none is left; what remains is a circle.
    fn has_cycle(&self) -> bool {
        let mut waiting: Vec<usize> = self
            .edges
            .iter()
            .enumerate()
            .map(|(target, edges)| {
                let mut on: Vec<usize> = edges.iter().map(|e| e.on).collect();
                on.sort_unstable();
                on.dedup();
                debug_assert!(on.iter().all(|o| self.dependents[*o].contains(&target)));
                on.len()
            })
            .collect();
        let mut free: Vec<usize> = (0..waiting.len()).filter(|c| waiting[*c] == 0).collect();
        let mut removed = 0;
        while let Some(container) = free.pop() {
            removed += 1;
            for dependent in &self.dependents[container] {
                waiting[*dependent] -= 1;
                if waiting[*dependent] == 0 {
                    free.push(*dependent);
                }
            }
        }
        removed < self.edges.len()
    }
}
