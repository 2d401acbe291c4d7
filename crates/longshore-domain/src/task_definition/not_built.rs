//! What tasks can ask for and this control plane cannot give them.
//!
//! Some parts of a task definition need a neighbour of ECS, as S3 is. Agents announce that *they* can use what such a
//! neighbour hands out (agent-protocol G4), so that no attribute of an instance keeps a task away which would then run
//! without. The control plane has to.

use std::fmt;

use longshore_shapes_ecs as shapes;

use super::containers::of;

/// One member that cannot be honoured yet. A definition with it is registered, since tools register first, and no task
/// of it starts.
#[derive(Clone, Copy)]
pub struct NotBuilt {
    /// The member, as users spell it.
    pub member: &'static str,
    /// What a task would not get, and what can be done instead.
    text: &'static str,
    definition: fn(&shapes::TaskDefinition) -> bool,
    overrides: fn(&shapes::TaskOverride) -> bool,
}

/// All of them. Whoever builds one deletes its entry here, and nothing else.
static NOT_BUILT: &[NotBuilt] = &[NotBuilt {
    member: "environmentFiles",
    text: "no file is fetched from S3. Leave environmentFiles out, and use environment",
    definition: |task| any(task, |container| filled(&container.environment_files)),
    overrides: |own| {
        own.container_overrides.iter().flatten().any(|container| filled(&container.environment_files))
    },
}];

impl NotBuilt {
    /// What tasks of a definition ask for in vain.
    pub fn of_definition(shape: &shapes::TaskDefinition) -> impl Iterator<Item = &'static NotBuilt> {
        NOT_BUILT.iter().filter(|own| (own.definition)(shape))
    }

    /// What the overrides of a call ask for in vain.
    pub fn of_overrides(shape: &shapes::TaskOverride) -> impl Iterator<Item = &'static NotBuilt> {
        NOT_BUILT.iter().filter(|own| (own.overrides)(shape))
    }
}

impl fmt::Display for NotBuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Longshore does not support {} yet: {}.", self.member, self.text)
    }
}

impl fmt::Debug for NotBuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.member)
    }
}

impl PartialEq for NotBuilt {
    fn eq(&self, other: &Self) -> bool {
        self.member == other.member
    }
}

impl Eq for NotBuilt {}

fn any(task: &shapes::TaskDefinition, asks: fn(&shapes::ContainerDefinition) -> bool) -> bool {
    of(task).iter().any(asks)
}

fn filled<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}
