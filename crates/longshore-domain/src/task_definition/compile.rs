//! The document of a definition, compiled to what scheduling needs.

use longshore_base::{ContainerName, CpuUnits, MemoryMib, Port, Protocol};
use longshore_placement::{Constraint, ConstraintError};
use longshore_shapes_ecs as shapes;
use longshore_wire::json;

use super::containers::of;
use super::{NotBuilt, text, word};
use crate::task_spec::{ContainerSpec, NetworkMode, PortMapping, RequiredAttribute, TaskSpec};
use crate::{LaunchType, task_definition::Invalid};

/// A document that [`super::normalise`] cannot have made.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("the document is not the JSON of a task definition")]
    Json(#[from] longshore_wire::DecodeError),
    #[error("the document is not normalised: {0}")]
    NotNormalised(&'static str),
    #[error("a placement constraint of the document cannot be read")]
    Constraint(#[from] ConstraintError),
}

impl From<CompileError> for Invalid {
    fn from(error: CompileError) -> Self {
        Invalid::new(error.to_string())
    }
}

pub fn compile(document: &str) -> Result<TaskSpec, CompileError> {
    compile_shape(&json::from_slice(document.as_bytes())?)
}

pub fn compile_shape(shape: &shapes::TaskDefinition) -> Result<TaskSpec, CompileError> {
    let attributes = shape.requires_attributes.as_deref().unwrap_or_default();
    let required = attributes.iter().filter_map(|attribute| {
        Some(RequiredAttribute { name: attribute.name.clone()?, value: attribute.value.clone() })
    });
    let required = required.chain(platform(shape));
    let constraints = shape.placement_constraints.as_deref().unwrap_or_default();
    // One that cannot be read would otherwise let the tasks run anywhere.
    let constraints = constraints.iter().map(|own| Constraint::parse("memberOf", own.expression.as_deref()));
    let compatibilities = shape.compatibilities.as_deref().unwrap_or_default();
    let mut containers = of(shape).iter().map(container).collect::<Result<Vec<_>, _>>()?;
    // Collecting results makes room for four, and most definitions have one.
    containers.shrink_to_fit();
    Ok(TaskSpec {
        cpu: size(shape.cpu.as_deref())?.map(CpuUnits),
        memory: size(shape.memory.as_deref())?.map(MemoryMib),
        network_mode: network_mode(shape),
        containers,
        required_attributes: required.collect(),
        constraints: constraints.collect::<Result<_, _>>()?,
        compatibilities: compatibilities.iter().filter_map(|c| LaunchType::parse(c.as_str())).collect(),
        task_role: shape.task_role_arn.as_deref().map(Into::into),
        execution_role: shape.execution_role_arn.as_deref().map(Into::into),
        not_built: NotBuilt::of_definition(shape).collect(),
    })
}

pub fn network_mode(shape: &shapes::TaskDefinition) -> NetworkMode {
    match shape.network_mode.as_ref().map(|mode| mode.as_str()) {
        Some("host") => NetworkMode::Host,
        Some("awsvpc") => NetworkMode::Awsvpc,
        Some("none") => NetworkMode::None,
        // Unknown words are refused before this is asked.
        _ => NetworkMode::Bridge,
    }
}

pub fn mode_name(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Bridge => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::Awsvpc => "awsvpc",
        NetworkMode::None => "none",
    }
}

/// What `runtimePlatform` implies, though `requiresAttributes` does not show it.
fn platform(shape: &shapes::TaskDefinition) -> impl Iterator<Item = RequiredAttribute> + use<> {
    let platform = shape.runtime_platform.as_ref();
    let architecture = match platform.map(|platform| word!(platform.cpu_architecture)) {
        Some("ARM64") => Some("arm64"),
        Some("X86_64") => Some("x86_64"),
        _ => None,
    };
    let family =
        platform.map(|platform| word!(platform.operating_system_family)).filter(|word| !word.is_empty());
    let os = family.map(|family| if family == "LINUX" { "linux" } else { "windows" });
    let required = |name: &str, value: Option<&str>| {
        value.map(|value| RequiredAttribute { name: name.into(), value: Some(value.into()) })
    };
    [required("ecs.cpu-architecture", architecture), required("ecs.os-type", os)].into_iter().flatten()
}

fn size(text: Option<&str>) -> Result<Option<u32>, CompileError> {
    text.map(|text| text.parse().map_err(|_| CompileError::NotNormalised("a size is not a number")))
        .transpose()
}

fn container(shape: &shapes::ContainerDefinition) -> Result<ContainerSpec, CompileError> {
    let name = shape.name.as_deref().and_then(|name| ContainerName::parse(name).ok());
    let positive = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    Ok(ContainerSpec {
        name: name.ok_or(CompileError::NotNormalised("a container has no valid name"))?,
        image: shape.image.clone().unwrap_or_default(),
        essential: shape.essential.unwrap_or(true),
        cpu: positive(shape.cpu).unwrap_or(0),
        memory: positive(shape.memory),
        memory_reservation: positive(shape.memory_reservation),
        ports: shape.port_mappings.iter().flatten().filter_map(port).collect(),
        has_health_check: shape.health_check.as_ref().is_some_and(has_command),
        gpus: gpus(shape),
        secrets: secrets(shape),
    })
}

fn secrets(shape: &shapes::ContainerDefinition) -> Box<[Box<str>]> {
    let of_log = shape.log_configuration.as_ref().and_then(|log| log.secret_options.as_ref());
    let all = shape.secrets.iter().flatten().chain(of_log.into_iter().flatten());
    all.filter_map(|secret| secret.value_from.as_deref()).map(Into::into).collect()
}

/// `["NONE"]` switches an image's own check off.
fn has_command(health: &shapes::HealthCheck) -> bool {
    health.command.as_ref().and_then(|command| command.first()).is_some_and(|first| first != "NONE")
}

/// A single port; ranges reserve nothing and are left to the agent.
fn port(mapping: &shapes::PortMapping) -> Option<PortMapping> {
    let port = |number: Option<i32>| number.and_then(|n| u16::try_from(n).ok()).filter(|&n| n > 0).map(Port);
    Some(PortMapping {
        container_port: port(mapping.container_port)?,
        host_port: port(mapping.host_port),
        protocol: match mapping.protocol.as_ref().map(|protocol| protocol.as_str()) {
            Some("udp") => Protocol::Udp,
            _ => Protocol::Tcp,
        },
        name: mapping.name.clone(),
    })
}

fn gpus(shape: &shapes::ContainerDefinition) -> u32 {
    let requirements = shape.resource_requirements.iter().flatten();
    requirements.filter(|r| word!(r.r#type) == "GPU").filter_map(|r| text(&r.value).parse::<u32>().ok()).sum()
}
