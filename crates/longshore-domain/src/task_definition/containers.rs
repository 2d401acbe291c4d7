//! Container definitions (ecs-task-definitions C3).

use std::collections::BTreeSet;

use longshore_base::{ContainerName, NameError};
use longshore_shapes_ecs as shapes;

use super::{CONTAINERS_MAX, Invalid, text, word};
use crate::NetworkMode;

/// Below this Docker refuses a memory limit (ecs-task-definitions C3).
const MEMORY_MIB_MIN: i32 = 6;
const FIRELENS_DRIVER: &str = "awsfirelens";
const IMAGE_CHARS_MAX: usize = 255;
/// Defaults of a health check that names only its command; seconds, and a count.
const HEALTH_INTERVAL: i32 = 30;
const HEALTH_TIMEOUT: i32 = 5;
const HEALTH_RETRIES: i32 = 3;
/// Seconds that a container must have run before its restart policy starts it again.
const RESTART_PERIOD: i32 = 300;
const IGNORED_EXIT_CODES_MAX: usize = 50;

/// The containers of a definition; none if it has no list.
pub fn of(shape: &shapes::TaskDefinition) -> &[shapes::ContainerDefinition] {
    shape.container_definitions.as_deref().unwrap_or_default()
}

pub fn of_mut(shape: &mut shapes::TaskDefinition) -> &mut [shapes::ContainerDefinition] {
    shape.container_definitions.as_deref_mut().unwrap_or_default()
}

pub fn named<'a>(shape: &'a shapes::TaskDefinition, name: &str) -> Option<&'a shapes::ContainerDefinition> {
    of(shape).iter().find(|container| container.name.as_deref() == Some(name))
}

/// Checks all containers and fills in the defaults that answers show. `mode` is the task's network mode.
///
/// # Errors
/// The first rule that one of them breaks, in ECS's words where they are known.
pub fn normalise(shape: &mut shapes::TaskDefinition, mode: NetworkMode) -> Result<(), Invalid> {
    let count = of(shape).len();
    if count == 0 {
        return Err(Invalid::new("Container list cannot be empty."));
    }
    if count > CONTAINERS_MAX {
        return Err(Invalid::new(format!("Container list cannot have more than {CONTAINERS_MAX} elements.")));
    }
    let task_memory = number(shape.memory.as_deref());
    let task_cpu = number(shape.cpu.as_deref());
    let has_execution_role = shape.execution_role_arn.is_some();
    let mut names = BTreeSet::new();
    for container in of_mut(shape) {
        let name = check_name(container)?;
        if !names.insert(name.clone()) {
            return Err(Invalid::new("Container names must be unique within the task definition."));
        }
        fill_defaults(container);
        check_sizes(container, &name, task_memory)?;
        check_health(container, &name)?;
        check_restart(container)?;
        check_environment(container.environment.as_deref().unwrap_or_default())?;
        check_secrets(container, has_execution_role)?;
        check_logging(container)?;
        check_limits(container, &name)?;
        check_network(container, mode)?;
        check_gpus(container, &name)?;
    }
    if !of(shape).iter().any(|container| container.essential == Some(true)) {
        return Err(Invalid::new("At least one container in the task definition must be essential."));
    }
    let cpu_sum: i64 = of(shape).iter().map(|container| i64::from(container.cpu.unwrap_or(0))).sum();
    if let Some(task_cpu) = task_cpu
        && cpu_sum > task_cpu
    {
        return Err(Invalid::new(format!(
            "The 'cpu' setting of the containers adds up to {cpu_sum}, more than the {task_cpu} of the task."
        )));
    }
    if let Some(task_memory) = task_memory {
        let memory_sum: i64 = of(shape).iter().map(reserved_memory).sum();
        if memory_sum > task_memory {
            return Err(Invalid::new(format!(
                "The memory reserved for the containers adds up to {memory_sum} MiB, more than the {task_memory} MiB of \
                 the task."
            )));
        }
    }
    check_firelens(of(shape))
}

/// What a container takes of its task's memory, in MiB: its soft limit if it has one, else its hard limit
/// (ecs-engine D2). Without either it takes what the others leave.
fn reserved_memory(container: &shapes::ContainerDefinition) -> i64 {
    i64::from(container.memory_reservation.or(container.memory).unwrap_or(0))
}

/// Containers that log with awsfirelens need exactly one log router in the task, and a log router needs such a
/// container (ecs-task-definitions C3). The first two texts are ECS's own, as users report them.
fn check_firelens(containers: &[shapes::ContainerDefinition]) -> Result<(), Invalid> {
    let routers = containers.iter().filter(|container| container.firelens_configuration.is_some()).count();
    let used = containers.iter().any(|container| {
        container.log_configuration.as_ref().is_some_and(|log| word!(log.log_driver) == FIRELENS_DRIVER)
    });
    match (used, routers) {
        (true, 0) => Err(Invalid::new(
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be \
             configured in one of the containers.",
        )),
        (false, 1..) => Err(Invalid::new(
            "When a firelensConfiguration object is specified, at least one container has to be configured with the \
             awsfirelens log driver.",
        )),
        (true, 2..) => Err(Invalid::new("At most one container can have a firelensConfiguration.")),
        (false, 0) | (true, 1) => Ok(()),
    }
}

/// Refuses environment variables without a name, which no process could read.
pub fn check_environment(pairs: &[shapes::KeyValuePair]) -> Result<(), Invalid> {
    if pairs.iter().any(|pair| text(&pair.name).is_empty()) {
        return Err(Invalid::new("The name of an environment variable should not be null or empty."));
    }
    Ok(())
}

/// Refuses a memory limit, in MiB, that is too low for Docker. `what` is the member's name, `name` the container's.
pub fn check_container_memory(name: &str, what: &str, mib: i32) -> Result<(), Invalid> {
    if mib < MEMORY_MIB_MIN {
        return Err(Invalid::new(format!(
            "Invalid setting for container '{name}'. The value for {what} must be at least {MEMORY_MIB_MIN} MiB."
        )));
    }
    Ok(())
}

/// A task's `cpu` in CPU units or `memory` in MiB, normalised before this is asked.
fn number(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

fn check_name(container: &shapes::ContainerDefinition) -> Result<String, Invalid> {
    let name = container.name.as_deref().unwrap_or_default();
    ContainerName::parse(name).map_err(|error| {
        Invalid::new(match error {
            NameError::Empty => "Container.name should not be null or empty.",
            NameError::TooLong => "Container.name should not be longer than 255 characters.",
            NameError::InvalidCharacters => "Container.name contains invalid characters.",
        })
    })?;
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        return Err(Invalid::new("Container.image should not be null or empty."));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_:./#@".contains(&b);
    if image.len() > IMAGE_CHARS_MAX || !image.bytes().all(allowed) {
        return Err(Invalid::new("Container.image contains invalid characters."));
    }
    Ok(name.to_owned())
}

/// What responses always show (ecs-task-definitions C4).
fn fill_defaults(container: &mut shapes::ContainerDefinition) {
    container.cpu.get_or_insert(0);
    container.essential.get_or_insert(true);
    container.environment.get_or_insert_default();
    container.mount_points.get_or_insert_default();
    container.volumes_from.get_or_insert_default();
    container.port_mappings.get_or_insert_default();
    container.system_controls.get_or_insert_default();
    if let Some(health) = &mut container.health_check {
        health.interval.get_or_insert(HEALTH_INTERVAL);
        health.timeout.get_or_insert(HEALTH_TIMEOUT);
        health.retries.get_or_insert(HEALTH_RETRIES);
    }
    if let Some(policy) = &mut container.restart_policy {
        policy.restart_attempt_period.get_or_insert(RESTART_PERIOD);
    }
}

fn check_sizes(
    container: &shapes::ContainerDefinition,
    name: &str,
    task_memory: Option<i64>,
) -> Result<(), Invalid> {
    let invalid = |text: String| Invalid::new(format!("Invalid setting for container '{name}'. {text}"));
    if container.cpu.is_some_and(|cpu| cpu < 0) {
        return Err(invalid("The value for cpu must not be negative.".into()));
    }
    for (what, value) in [("memory", container.memory), ("memoryReservation", container.memory_reservation)] {
        if let Some(mib) = value {
            check_container_memory(name, what, mib)?;
        }
        if let (Some(mib), Some(task)) = (value, task_memory)
            && i64::from(mib) > task
        {
            return Err(invalid(format!("The '{what}' setting for container is greater than for the task.")));
        }
    }
    match (container.memory, container.memory_reservation) {
        (None, None) if task_memory.is_none() => {
            Err(invalid("At least one of 'memory' or 'memoryReservation' must be specified.".into()))
        }
        (Some(hard), Some(soft)) if soft > hard => {
            Err(invalid("The value for memory must not be smaller than memoryReservation.".into()))
        }
        _ => Ok(()),
    }
}

fn check_health(container: &shapes::ContainerDefinition, name: &str) -> Result<(), Invalid> {
    let Some(health) = &container.health_check else { return Ok(()) };
    let command = health.command.as_deref().unwrap_or_default();
    let known = matches!(command.first().map(String::as_str), Some("CMD" | "CMD-SHELL" | "NONE"));
    if !known || (command.len() == 1 && command[0] != "NONE") {
        return Err(Invalid::new(format!(
            "The health check command of container '{name}' must begin with CMD, CMD-SHELL or NONE."
        )));
    }
    let bounds = [
        ("interval", health.interval, 5, 300),
        ("timeout", health.timeout, 2, 60),
        ("retries", health.retries, 1, 10),
        ("startPeriod", health.start_period, 0, 300),
    ];
    for (what, value, low, high) in bounds {
        if value.is_some_and(|value| !(low..=high).contains(&value)) {
            return Err(Invalid::new(format!(
                "The health check {what} of container '{name}' must be between {low} and {high}."
            )));
        }
    }
    Ok(())
}

fn check_restart(container: &shapes::ContainerDefinition) -> Result<(), Invalid> {
    let Some(policy) = &container.restart_policy else { return Ok(()) };
    if policy.restart_attempt_period.is_some_and(|seconds| !(60..=1800).contains(&seconds)) {
        return Err(Invalid::new("restartAttemptPeriod must be between 60 and 1800 seconds."));
    }
    if policy.ignored_exit_codes.as_ref().is_some_and(|codes| codes.len() > IGNORED_EXIT_CODES_MAX) {
        return Err(Invalid::new(format!(
            "ignoredExitCodes cannot have more than {IGNORED_EXIT_CODES_MAX} elements."
        )));
    }
    Ok(())
}

fn check_secrets(container: &shapes::ContainerDefinition, has_execution_role: bool) -> Result<(), Invalid> {
    let secrets = container.secrets.as_deref().unwrap_or_default();
    if !secrets.is_empty() && !has_execution_role {
        return Err(Invalid::new(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ));
    }
    let mut names: BTreeSet<&str> =
        container.environment.iter().flatten().filter_map(|pair| pair.name.as_deref()).collect();
    for secret in secrets {
        if text(&secret.name).is_empty() {
            return Err(Invalid::new("The name of a secret should not be null or empty."));
        }
        if !names.insert(text(&secret.name)) {
            return Err(Invalid::new(format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on \
                 the container, such as '{}'.",
                text(&secret.name)
            )));
        }
    }
    let files = container.environment_files.as_deref().unwrap_or_default();
    if files.len() > 10 {
        return Err(Invalid::new("environmentFiles cannot have more than 10 elements."));
    }
    if files.iter().any(|file| !text(&file.value).ends_with(".env")) {
        return Err(Invalid::new("Environment files must have the extension .env."));
    }
    Ok(())
}

fn check_logging(container: &shapes::ContainerDefinition) -> Result<(), Invalid> {
    let Some(log) = &container.log_configuration else { return Ok(()) };
    let driver = word!(log.log_driver);
    const DRIVERS: &[&str] =
        &["json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", FIRELENS_DRIVER];
    if !DRIVERS.contains(&driver) {
        return Err(Invalid::new(format!("log driver should be one of [{}]", DRIVERS.join(","))));
    }
    let has = |option: &str| log.options.as_ref().is_some_and(|options| options.contains_key(option));
    if driver == "awslogs" {
        let missing: Vec<&str> =
            ["awslogs-region", "awslogs-group"].into_iter().filter(|o| !has(o)).collect();
        if !missing.is_empty() {
            return Err(Invalid::new(format!("Log driver awslogs requires options: {}", missing.join(", "))));
        }
        // The service decides both (observe-and-scale K3).
        let given: Vec<&str> =
            ["awslogs-stream", "awslogs-endpoint"].into_iter().filter(|o| has(o)).collect();
        if !given.is_empty() {
            return Err(Invalid::new(format!("Log driver awslogs disallows options: {}", given.join(", "))));
        }
        if has("awslogs-datetime-format") && has("awslogs-multiline-pattern") {
            return Err(Invalid::new(
                "Log driver awslogs does not allow the options awslogs-datetime-format and awslogs-multiline-pattern \
                 together. Keep one of them.",
            ));
        }
    }
    let mode = log.options.as_ref().and_then(|options| options.get("mode"));
    if let Some(mode) = mode.filter(|mode| !["blocking", "non-blocking"].contains(&mode.as_str())) {
        return Err(Invalid::new(format!(
            "The log option mode must be blocking or non-blocking, and it is '{mode}'."
        )));
    }
    Ok(())
}

fn check_limits(container: &shapes::ContainerDefinition, name: &str) -> Result<(), Invalid> {
    for ulimit in container.ulimits.iter().flatten() {
        if ulimit.soft_limit > ulimit.hard_limit {
            return Err(Invalid::new(format!(
                "The soft limit of ulimit {} of container '{name}' is greater than its hard limit.",
                word!(ulimit.name)
            )));
        }
    }
    let swappiness = container.linux_parameters.as_ref().and_then(|linux| linux.swappiness);
    if swappiness.is_some_and(|value| !(0..=100).contains(&value)) {
        return Err(Invalid::new(format!("The swappiness of container '{name}' must be between 0 and 100.")));
    }
    for (what, seconds) in
        [("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)]
    {
        if seconds.is_some_and(|seconds| seconds < 0) {
            return Err(Invalid::new(format!("The {what} of container '{name}' must not be negative.")));
        }
    }
    Ok(())
}

fn check_network(container: &shapes::ContainerDefinition, mode: NetworkMode) -> Result<(), Invalid> {
    let links = container.links.as_ref().is_some_and(|links| !links.is_empty());
    if links && mode != NetworkMode::Bridge {
        let name = super::compile::mode_name(mode);
        return Err(Invalid::new(format!("Links are not supported when networkMode={name}.")));
    }
    if mode == NetworkMode::Awsvpc {
        let given = [
            ("hostname", container.hostname.is_some()),
            ("dnsServers", container.dns_servers.as_ref().is_some_and(|list| !list.is_empty())),
            ("dnsSearchDomains", container.dns_search_domains.as_ref().is_some_and(|list| !list.is_empty())),
        ];
        if let Some((what, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Invalid::new(format!("{what} is not supported when networkMode=awsvpc.")));
        }
    }
    Ok(())
}

fn check_gpus(container: &shapes::ContainerDefinition, name: &str) -> Result<(), Invalid> {
    for requirement in container.resource_requirements.iter().flatten() {
        let valid = match word!(requirement.r#type) {
            "GPU" => text(&requirement.value).parse::<u32>().is_ok_and(|count| count > 0),
            "InferenceAccelerator" => !text(&requirement.value).is_empty(),
            _ => false,
        };
        if !valid {
            return Err(Invalid::new(format!("A resource requirement of container '{name}' is invalid.")));
        }
    }
    Ok(())
}
