//! Which launch types a definition's content allows (ecs-task-definitions C4, "compatibilities").

use std::ops::RangeInclusive;

use longshore_shapes_ecs as shapes;

use super::containers::of;
use super::fargate::check_sizes;
use super::{Invalid, attributes, word};
use crate::NetworkMode;

/// What `startTimeout` and `stopTimeout` may be on Fargate, in seconds (ecs-task-definitions C3).
const TIMEOUT_SECS: RangeInclusive<i32> = 2..=120;

/// Fills `compatibilities`, and checks those that the caller requires.
pub fn check_and_fill(shape: &mut shapes::TaskDefinition, mode: NetworkMode) -> Result<(), Invalid> {
    let required: Vec<String> =
        shape.requires_compatibilities.iter().flatten().map(|word| word.as_str().to_owned()).collect();
    for word in &required {
        match word.as_str() {
            "EC2" => {}
            "FARGATE" => check_fargate(shape, mode)?,
            "EXTERNAL" if needs_aws_plumbing(shape, mode) => {
                return Err(Invalid::new(
                    "The task definition uses features that the launch type EXTERNAL does not support.",
                ));
            }
            "EXTERNAL" => {}
            "MANAGED_INSTANCES" if !allows_managed(mode) => {
                return Err(Invalid::new(
                    "Managed instances only support the network modes awsvpc and host.",
                ));
            }
            "MANAGED_INSTANCES" => {}
            _ => {
                return Err(Invalid::new(
                    "requires compatibilities should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]",
                ));
            }
        }
    }
    let mut compatible = Vec::new();
    if !needs_aws_plumbing(shape, mode) {
        compatible.push("EXTERNAL");
    }
    compatible.push("EC2");
    if fargate_obstacle(shape, mode).is_none() {
        compatible.push("FARGATE");
    }
    if mode == NetworkMode::Awsvpc {
        compatible.push("MANAGED_INSTANCES");
    }
    shape.compatibilities = Some(compatible.into_iter().map(Into::into).collect());
    Ok(())
}

fn allows_managed(mode: NetworkMode) -> bool {
    matches!(mode, NetworkMode::Awsvpc | NetworkMode::Host)
}

/// Things that exist only inside AWS: the launch type EXTERNAL falls away.
fn needs_aws_plumbing(shape: &shapes::TaskDefinition, mode: NetworkMode) -> bool {
    let volumes = shape.volumes.as_deref().unwrap_or_default();
    mode == NetworkMode::Awsvpc
        || shape.proxy_configuration.is_some()
        || volumes.iter().any(|volume| {
            volume.efs_volume_configuration.is_some()
                || volume.fsx_windows_file_server_volume_configuration.is_some()
        })
}

fn check_fargate(shape: &shapes::TaskDefinition, mode: NetworkMode) -> Result<(), Invalid> {
    match fargate_obstacle(shape, mode) {
        Some(text) => Err(Invalid::new(text)),
        None => check_fargate_roles(shape).and_then(|()| check_fargate_streams(shape)),
    }
}

/// Without an engine whose ids anybody could see, streams need names (observe-and-scale K3).
fn check_fargate_streams(shape: &shapes::TaskDefinition) -> Result<(), Invalid> {
    let logs = of(shape).iter().filter_map(|container| container.log_configuration.as_ref());
    let mut unnamed = logs.filter(|log| word!(log.log_driver) == "awslogs").filter(|log| {
        log.options.as_ref().is_none_or(|options| !options.contains_key("awslogs-stream-prefix"))
    });
    match unnamed.next() {
        Some(_) => Err(Invalid::new("Log driver awslogs requires options: awslogs-stream-prefix")),
        None => Ok(()),
    }
}

/// ECR images and the awslogs driver need the execution role there.
fn check_fargate_roles(shape: &shapes::TaskDefinition) -> Result<(), Invalid> {
    if shape.execution_role_arn.is_some() {
        return Ok(());
    }
    for container in of(shape) {
        if container.image.as_deref().is_some_and(attributes::is_ecr_image) {
            return Err(Invalid::new(
                "Fargate requires task definition to have execution role ARN to support ECR images.",
            ));
        }
        if container.log_configuration.as_ref().is_some_and(|log| word!(log.log_driver) == "awslogs") {
            return Err(Invalid::new(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
    }
    Ok(())
}

/// The first thing that keeps the definition from running on Fargate, in ECS's words where known.
fn fargate_obstacle(shape: &shapes::TaskDefinition, mode: NetworkMode) -> Option<String> {
    if mode != NetworkMode::Awsvpc {
        return Some("Fargate only supports network mode \u{2018}awsvpc\u{2019}.".into());
    }
    let number = |text: Option<&String>| text.and_then(|text| text.parse().ok());
    if let Err(error) = check_sizes(number(shape.cpu.as_ref()), number(shape.memory.as_ref())) {
        return Some(error.to_string());
    }
    if shape.pid_mode.as_ref().is_some_and(|mode| mode.as_str() == "host") {
        return Some(
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is \
             'task'."
                .into(),
        );
    }
    if shape.ipc_mode.is_some() {
        return Some("Tasks using the Fargate launch type do not support ipcMode.".into());
    }
    if shape.placement_constraints.as_ref().is_some_and(|list| !list.is_empty()) {
        return Some("Placement constraints are not supported with FARGATE launch type.".into());
    }
    for volume in shape.volumes.iter().flatten() {
        if volume.docker_volume_configuration.is_some() {
            return Some("Fargate does not support docker volumes.".into());
        }
        if volume.host.as_ref().is_some_and(|host| host.source_path.is_some()) {
            return Some("Fargate does not support the sourcePath of host volumes.".into());
        }
    }
    of(shape).iter().find_map(fargate_obstacle_of)
}

fn fargate_obstacle_of(container: &shapes::ContainerDefinition) -> Option<String> {
    let linux = container.linux_parameters.as_ref();
    let given = [
        ("privileged", container.privileged == Some(true)),
        (
            "dockerSecurityOptions",
            container.docker_security_options.as_ref().is_some_and(|list| !list.is_empty()),
        ),
        (
            "resourceRequirements",
            container.resource_requirements.as_ref().is_some_and(|list| !list.is_empty()),
        ),
        ("devices", linux.is_some_and(|l| l.devices.as_ref().is_some_and(|list| !list.is_empty()))),
        ("sharedMemorySize", linux.is_some_and(|l| l.shared_memory_size.is_some())),
        ("tmpfs", linux.is_some_and(|l| l.tmpfs.as_ref().is_some_and(|list| !list.is_empty()))),
        ("maxSwap", linux.is_some_and(|l| l.max_swap.is_some() || l.swappiness.is_some())),
    ];
    if let Some((what, _)) = given.into_iter().find(|(_, given)| *given) {
        return Some(format!("Fargate does not support the container setting {what}."));
    }
    let added =
        linux.and_then(|l| l.capabilities.as_ref()).and_then(|c| c.add.as_deref()).unwrap_or_default();
    if added.iter().any(|capability| capability != "SYS_PTRACE") {
        return Some("Fargate only supports adding the SYS_PTRACE capability.".into());
    }
    if let Some(log) = &container.log_configuration
        && !["awslogs", "splunk", "awsfirelens"].contains(&word!(log.log_driver))
    {
        return Some(format!("Fargate does not support the log driver {}.", word!(log.log_driver)));
    }
    for (what, seconds) in
        [("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)]
    {
        if seconds.is_some_and(|seconds| !TIMEOUT_SECS.contains(&seconds)) {
            let (least, most) = TIMEOUT_SECS.into_inner();
            return Some(format!(
                "The {what} of container '{}' must be between {least} and {most} seconds with the FARGATE launch type.",
                container.name.as_deref().unwrap_or_default()
            ));
        }
    }
    None
}
