//! Task definitions: validated, normalised, and compiled.
//!
//! [`normalise`] takes a RegisterTaskDefinition request apart (ecs-task-definitions C2 to C7) and gives
//! the document that DescribeTaskDefinition echoes; [`compile`] turns such a document into the
//! [`TaskSpec`] that everything else reads. Rules about one subject share a file.

mod attributes;
mod compatibility;
mod compile;
mod containers;
mod dependencies;
mod fargate;
mod not_built;
mod ports;
mod sizes;
mod volumes;

use longshore_base::{Family, NameError};
use longshore_shapes_ecs as shapes;

pub use compile::{CompileError, compile, compile_shape};
pub use containers::{check_container_memory, check_environment};
pub use fargate::{FargateSizeError, check_sizes as check_fargate_sizes};
pub use not_built::NotBuilt;
pub use sizes::{parse_cpu, parse_memory};

/// The text of a member, empty if it is absent.
fn text(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

/// The word of an enumeration's member, empty if it is absent.
macro_rules! word {
    ($member:expr) => {
        $member.as_ref().map_or("", |word| word.as_str())
    };
}
use word;

/// The most containers in one definition (ecs-behaviour A10).
pub const CONTAINERS_MAX: usize = 10;
/// The largest definition, as JSON.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// The most constraints in one definition.
const CONSTRAINTS_MAX: usize = 10;

/// A definition that ECS would not register. The text is what the caller reads; all of them are
/// ClientExceptions (ecs-operations B3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A definition that can be registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    pub family: Family,
    /// Defaults filled in; without ARN, revision, status and times.
    pub shape: shapes::TaskDefinition,
}

/// Validates a request and fills in what ECS fills in.
///
/// `account` turns short role names into ARNs (ecs-task-definitions C2).
pub fn normalise(
    request: shapes::RegisterTaskDefinitionRequest,
    account: &Owner<'_>,
) -> Result<Normalised, Invalid> {
    let family = parse_family(request.family.as_deref())?;
    let mut shape = shapes::TaskDefinition {
        family: Some(family.to_string()),
        task_role_arn: request.task_role_arn.map(|role| account.role_arn(role)).transpose()?,
        execution_role_arn: request.execution_role_arn.map(|role| account.role_arn(role)).transpose()?,
        network_mode: request.network_mode,
        container_definitions: request.container_definitions,
        volumes: Some(request.volumes.unwrap_or_default()),
        placement_constraints: Some(request.placement_constraints.unwrap_or_default()),
        requires_compatibilities: request.requires_compatibilities.filter(|list| !list.is_empty()),
        cpu: request.cpu.map(|text| parse_cpu(&text).map(|cpu| cpu.to_string())).transpose()?,
        memory: request
            .memory
            .map(|text| parse_memory(&text).map(|memory| memory.to_string()))
            .transpose()?,
        pid_mode: request.pid_mode,
        ipc_mode: request.ipc_mode,
        proxy_configuration: request.proxy_configuration,
        inference_accelerators: request.inference_accelerators,
        ephemeral_storage: request.ephemeral_storage,
        // ecs-deploy sends an empty one for what is absent.
        runtime_platform: request
            .runtime_platform
            .filter(|platform| *platform != shapes::RuntimePlatform::default()),
        enable_fault_injection: Some(request.enable_fault_injection.unwrap_or(false)),
        ..shapes::TaskDefinition::default()
    };
    let mode = compile::network_mode(&shape);
    containers::normalise(&mut shape, mode)?;
    dependencies::check(&shape)?;
    volumes::normalise(&mut shape)?;
    ports::normalise(&mut shape, mode)?;
    check_constraints(&shape)?;
    check_modes(&shape)?;
    compatibility::check_and_fill(&mut shape, mode)?;
    let required = attributes::required(&shape, mode, account);
    shape.requires_attributes = (!required.is_empty()).then(|| {
        let attribute = |name| shapes::Attribute { name: Some(name), ..shapes::Attribute::default() };
        required.into_iter().map(attribute).collect()
    });
    Ok(Normalised { family, shape })
}

/// Whose definition it is: enough to write ARNs of other services.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub scope: &'a longshore_base::Scope,
}

impl Owner<'_> {
    /// Takes a role's ARN, or its name, which belongs to the caller's account.
    fn role_arn(&self, role: String) -> Result<String, Invalid> {
        if longshore_base::Arn::looks_like_one(&role) {
            let name = role.splitn(6, ':').nth(5).and_then(|resource| resource.strip_prefix("role/"));
            return match (name, role.split(':').nth(2)) {
                (Some(name), Some("iam")) if is_role_name(name) => Ok(role),
                _ => Err(Invalid::new("Role is not valid.")),
            };
        }
        let name = role.strip_prefix('/').unwrap_or(&role);
        if !is_role_name(name) {
            return Err(Invalid::new("Role is not valid."));
        }
        let scope = self.scope;
        Ok(format!("arn:{}:iam::{}:role/{name}", scope.partition().as_str(), scope.account))
    }
}

fn is_role_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 577
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&b))
}

fn parse_family(family: Option<&str>) -> Result<Family, Invalid> {
    let text = family.unwrap_or_default();
    Family::parse(text).map_err(|error| {
        Invalid::new(match error {
            NameError::Empty => "Family should not be null or empty.",
            NameError::TooLong => "Family should not be longer than 255 characters.",
            NameError::InvalidCharacters => "Family contains invalid characters.",
        })
    })
}

fn check_constraints(shape: &shapes::TaskDefinition) -> Result<(), Invalid> {
    let constraints = shape.placement_constraints.as_deref().unwrap_or_default();
    if constraints.len() > CONSTRAINTS_MAX {
        return Err(Invalid::new(format!(
            "Placement constraints cannot have more than {CONSTRAINTS_MAX} elements."
        )));
    }
    for constraint in constraints {
        let kind = constraint.r#type.as_ref().map(|kind| kind.as_str());
        if kind != Some("memberOf") {
            return Err(Invalid::new("placement constraint type should be one of [memberOf]"));
        }
        let expression = constraint.expression.as_deref().unwrap_or_default();
        longshore_placement::Expression::parse(expression)
            .map(drop)
            .map_err(|error| Invalid::new(format!("Invalid expression in placement constraint: {error}")))?;
    }
    Ok(())
}

/// Fargate's storage of a task (ecs-task-definitions C2). The platform's own 20 GiB may be spelt out.
pub fn check_ephemeral_storage(storage: &shapes::EphemeralStorage) -> Result<(), Invalid> {
    if (20..=200).contains(&storage.size_in_gib.unwrap_or(0)) {
        Ok(())
    } else {
        Err(Invalid::new("Ephemeral storage must be between 21 and 200 GiB."))
    }
}

fn check_modes(shape: &shapes::TaskDefinition) -> Result<(), Invalid> {
    let one_of = |what: &str, value: Option<&str>, allowed: &[&str]| match value {
        Some(value) if !allowed.contains(&value) => {
            Err(Invalid::new(format!("{what} should be one of [{}]", allowed.join(","))))
        }
        _ => Ok(()),
    };
    one_of("pid mode", shape.pid_mode.as_ref().map(|m| m.as_str()), &["host", "task"])?;
    one_of("ipc mode", shape.ipc_mode.as_ref().map(|m| m.as_str()), &["host", "task", "none"])?;
    one_of(
        "network mode",
        shape.network_mode.as_ref().map(|m| m.as_str()),
        &["bridge", "host", "awsvpc", "none"],
    )?;
    if let Some(proxy) = &shape.proxy_configuration {
        if compile::network_mode(shape) != crate::NetworkMode::Awsvpc {
            return Err(Invalid::new("proxyConfiguration is only supported when networkMode=awsvpc."));
        }
        let named = proxy.container_name.as_deref().unwrap_or_default();
        if containers::named(shape, named).is_none() {
            return Err(Invalid::new(format!(
                "The proxy container {named} does not exist in the task definition."
            )));
        }
    }
    shape.ephemeral_storage.as_ref().map_or(Ok(()), check_ephemeral_storage)
}
