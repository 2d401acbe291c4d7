//! Which container waits for which: `dependsOn`, `links`, `volumesFrom` (ecs-task-definitions C3, C8).

use std::collections::{BTreeMap, BTreeSet};

use longshore_shapes_ecs as shapes;

use super::Invalid;
use super::containers::{named, of};

pub fn check(shape: &shapes::TaskDefinition) -> Result<(), Invalid> {
    let mut waits_for: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in of(shape) {
        let name = container.name.as_deref().unwrap_or_default();
        let targets = waits_for.entry(name).or_default();
        for dependency in container.depends_on.as_deref().unwrap_or_default() {
            let target = dependency.container_name.as_deref().unwrap_or_default();
            check_dependency(shape, name, target, dependency)?;
            targets.insert(target);
        }
        for link in container.links.as_deref().unwrap_or_default() {
            let target = link.split(':').next().unwrap_or_default();
            if named(shape, target).is_none() || target == name {
                return Err(Invalid::new(format!(
                    "Unknown container '{target}' in links of container '{name}'."
                )));
            }
            targets.insert(target);
        }
        for from in container.volumes_from.as_deref().unwrap_or_default() {
            let target = from.source_container.as_deref().unwrap_or_default();
            if named(shape, target).is_none() || target == name {
                return Err(Invalid::new(format!(
                    "Unknown container '{target}' in volumesFrom of container '{name}'."
                )));
            }
            targets.insert(target);
        }
    }
    match cycle(&waits_for) {
        Some(name) => Err(Invalid::new(format!("The dependencies of container '{name}' form a cycle."))),
        None => Ok(()),
    }
}

fn check_dependency(
    shape: &shapes::TaskDefinition,
    name: &str,
    target: &str,
    dependency: &shapes::ContainerDependency,
) -> Result<(), Invalid> {
    let Some(on) = named(shape, target) else {
        return Err(Invalid::new(format!("Container '{name}' depends on unknown container '{target}'.")));
    };
    if target == name {
        return Err(Invalid::new(format!("Container '{name}' cannot depend on itself.")));
    }
    match dependency.condition.as_ref().map(|condition| condition.as_str()) {
        Some("START") => Ok(()),
        Some("COMPLETE" | "SUCCESS") if on.essential != Some(false) => Err(Invalid::new(format!(
            "Container '{name}' waits for the end of container '{target}', which is essential and must not end."
        ))),
        Some("COMPLETE" | "SUCCESS") => Ok(()),
        Some("HEALTHY") if on.health_check.is_none() => Err(Invalid::new(format!(
            "Container '{name}' waits for container '{target}' to be healthy, but that one has no health check."
        ))),
        Some("HEALTHY") => Ok(()),
        _ => Err(Invalid::new("condition should be one of [START,COMPLETE,SUCCESS,HEALTHY]")),
    }
}

/// A container that waits for itself over others, if there is one. At most ten containers, so
/// taking away those that wait for nothing, again and again, is quick.
fn cycle<'a>(waits_for: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<&'a str> {
    let mut left: BTreeMap<&str, BTreeSet<&str>> = waits_for.clone();
    loop {
        let free: Vec<&str> = left.iter().filter(|(_, on)| on.is_empty()).map(|(&name, _)| name).collect();
        if free.is_empty() {
            return left.keys().next().copied();
        }
        for name in free {
            left.remove(name);
            for on in left.values_mut() {
                on.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_found() {
        let graph = |edges: &[(&'static str, &[&'static str])]| {
            edges.iter().map(|(name, on)| (*name, on.iter().copied().collect())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(cycle(&graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])), None);
        assert_eq!(cycle(&graph(&[("a", &["b"]), ("b", &["a"]), ("c", &[])])), Some("a"));
    }
}
