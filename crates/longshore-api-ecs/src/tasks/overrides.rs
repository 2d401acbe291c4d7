//! `overrides` of RunTask and StartTask (ecs-engine D3, "Overrides").

use std::collections::BTreeSet;

use longshore_base::{CpuUnits, MemoryMib};
use longshore_domain::TaskSpec;
use longshore_domain::needs::{ContainerNeedsOverride, NeedsOverride};
use longshore_domain::task_definition::{
    check_container_memory, check_environment, check_ephemeral_storage, parse_cpu, parse_memory,
};
use longshore_shapes_ecs::{ContainerOverride, InvalidParameterException, ResourceType, TaskOverride};
use longshore_tables_ecs::record::Document;

use crate::{documents, texts};

/// The most characters of the overrides of a call, as JSON (ecs-behaviour A10).
const CHARACTERS_MAX: usize = 8192;

/// Overrides as they were given and as they are stored, as far as they can be read without a definition.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    /// `None` if there are none.
    pub given: Option<TaskOverride>,
    document: Option<Document>,
    cpu: Option<CpuUnits>,
    memory: Option<MemoryMib>,
}

/// Overrides for a definition.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub document: Option<Document>,
    pub needs: NeedsOverride,
    pub has_task_role: bool,
}

impl Overrides {
    pub fn parse(given: Option<TaskOverride>) -> Result<Self, InvalidParameterException> {
        let Some(overrides) = given.filter(|given| *given != TaskOverride::default()) else {
            return Ok(Self::default());
        };
        let refuse = |text: String| InvalidParameterException::new(text);
        let document = documents::keep(&overrides);
        if document.chars().count() > CHARACTERS_MAX {
            return Err(refuse(texts::OVERRIDES_LONG.to_owned()));
        }
        let (mut cpu, mut memory) = (None, None);
        if let Some(text) = overrides.cpu.as_deref().filter(|text| !text.is_empty()) {
            cpu = Some(CpuUnits(parse_cpu(text).map_err(|error| refuse(error.to_string()))?));
        }
        if let Some(text) = overrides.memory.as_deref().filter(|text| !text.is_empty()) {
            memory = Some(MemoryMib(parse_memory(text).map_err(|error| refuse(error.to_string()))?));
        }
        if let Some(storage) = &overrides.ephemeral_storage {
            check_ephemeral_storage(storage).map_err(|error| refuse(error.to_string()))?;
        }
        Ok(Self { given: Some(overrides), document: Some(document), cpu, memory })
    }

    /// What they change of the definition's tasks.
    pub fn of(self, spec: &TaskSpec) -> Result<Applied, InvalidParameterException> {
        let Self { given, document, cpu, memory } = self;
        let Some(given) = given else { return Ok(Applied::default()) };
        let mut needs = NeedsOverride { cpu, memory, ..NeedsOverride::default() };
        let mut named = BTreeSet::new();
        for container in given.container_overrides.iter().flatten() {
            let own = container_needs(container, spec)?;
            if !named.insert(own.name.clone()) {
                return Err(InvalidParameterException::new(texts::override_twice(&own.name)));
            }
            needs.containers.push(own);
        }
        let has_task_role = given.task_role_arn.is_some_and(|role| !role.is_empty());
        Ok(Applied { document, needs, has_task_role })
    }
}

fn container_needs(
    container: &ContainerOverride,
    spec: &TaskSpec,
) -> Result<ContainerNeedsOverride, InvalidParameterException> {
    let refuse = |text: String| InvalidParameterException::new(text);
    let name = container.name.clone().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| refuse(texts::OVERRIDE_UNNAMED.to_owned()))?;
    let own = spec.container(&name).ok_or_else(|| refuse(texts::override_unknown(&name)))?;
    check_environment(container.environment.as_deref().unwrap_or_default())
        .map_err(|error| refuse(error.to_string()))?;
    let number = |member: &str, value: Option<i32>| {
        let number = value.map(u32::try_from).transpose();
        number.map_err(|_| refuse(texts::override_negative(&name, member)))
    };
    let mib = |member: &str, value: Option<i32>| {
        if let Some(mib) = value {
            check_container_memory(&name, member, mib).map_err(|error| refuse(error.to_string()))?;
        }
        number(member, value)
    };
    let cpu = number("cpu", container.cpu)?;
    let memory = mib("memory", container.memory)?;
    let memory_reservation = mib("memoryReservation", container.memory_reservation)?;
    let (hard, soft) = (memory.or(own.memory), memory_reservation.or(own.memory_reservation));
    if let (Some(hard), Some(soft)) = (hard, soft)
        && hard < soft
    {
        return Err(refuse(texts::override_memory(&name)));
    }
    let mut gpus = None;
    for requirement in container.resource_requirements.iter().flatten() {
        if requirement.r#type == Some(ResourceType::Gpu) {
            let count = requirement.value.as_deref().and_then(|text| text.parse().ok());
            gpus =
                Some(count.ok_or_else(|| refuse(texts::override_negative(&name, "resourceRequirements")))?);
        }
    }
    Ok(ContainerNeedsOverride { name, cpu, memory, memory_reservation, gpus })
}
