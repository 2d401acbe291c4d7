//! Services and their deployments.

pub const SERVICE_NOT_FOUND: &str = "Service not found.";
pub const SERVICE_NOT_ACTIVE: &str = "Service was not ACTIVE.";
pub const NOT_IDEMPOTENT: &str = "Creation of service was not idempotent.";
pub const STILL_DRAINING: &str = "Unable to Start a service that is still Draining.";
pub const SCALED_ABOVE_ZERO: &str = "The service cannot be stopped while it is scaled above 0.";
/// (unverified)
pub const SERVICES_EMPTY: &str = "Services cannot be empty.";
/// (unverified)
pub const SERVICE_NAME: &str = "Service name must have 1 to 255 letters, digits, hyphens and underscores.";
/// (unverified)
pub const SERVICE_TOKEN: &str = "clientToken must have 1 to 36 printable ASCII characters without spaces.";
/// (unverified)
pub const DESIRED_COUNT_MISSING: &str = "Desired count should not be null or empty.";
/// (unverified)
pub const DESIRED_COUNT_NEGATIVE: &str = "Desired count should not be negative.";
/// (reported)
pub const DESIRED_COUNT_LIMIT: &str = "Desired count exceeds limit.";
/// (unverified)
pub const TASK_DEFINITION_MISSING: &str = "Task definition can not be blank.";
/// (unverified)
pub const DAEMON_DESIRED_COUNT: &str = "The daemon scheduling strategy does not support a desired count. Remove \
     the desired count and try again.";
/// (unverified)
pub const DAEMON_PLACEMENT_STRATEGY: &str =
    "The daemon scheduling strategy does not support a placement strategy. Remove it and try again.";
/// (unverified)
pub const DAEMON_FARGATE: &str = "The daemon scheduling strategy is not supported with FARGATE launch type.";
/// (unverified)
pub const DAEMON_MAXIMUM: &str = "maximumPercent must be 100 with the daemon scheduling strategy.";
/// (unverified)
pub const DAEMON_MINIMUM: &str =
    "minimumHealthyPercent must be less than 100 with the daemon scheduling strategy.";
/// (unverified)
pub const PERCENTS: &str = "minimumHealthyPercent must be at least 0 and at most maximumPercent, and maximumPercent \
     must be at least 1.";
/// (unverified)
pub const BAKE_TIME: &str = "bakeTimeInMinutes must be between 0 and 1440.";
/// (unverified)
pub const ROLLBACK_ALONE: &str =
    "The deployment circuit breaker must be enabled for a rollback to be enabled.";
/// (unverified)
pub const GRACE_NEGATIVE: &str = "healthCheckGracePeriodSeconds must be between 0 and 2147483647.";
/// (reported)
pub const SERVICE_EXECUTE_NEEDS_ROLE: &str = "The service couldn't be created because a valid taskRoleArn is not \
     being used. Specify a valid task role in your task definition and try again.";
pub const NO_LAUNCH_TYPE: &str = "No launch type to fall back to for empty capacity provider strategy. Your \
     service was not created with a launch type.";
/// (unverified)
pub const REBALANCING_DAEMON: &str =
    "Availability Zone rebalancing is not supported with the DAEMON scheduling strategy.";
/// (unverified)
pub const REBALANCING_MAXIMUM: &str = "Availability Zone rebalancing needs a maximumPercent above 100.";
/// (unverified)
pub const REBALANCING_STRATEGY: &str = "Availability Zone rebalancing needs a placement strategy that begins \
     with a spread over attribute:ecs.availability-zone, or none.";
/// (unverified)
pub const REBALANCING_CONSTRAINT: &str = "Availability Zone rebalancing is not supported with a placement \
     constraint on attribute:ecs.availability-zone. Remove the constraint, or disable the rebalancing.";
/// (unverified)
pub const LOAD_BALANCERS: &str = "A service can have at most 5 load balancers.";
/// (unverified)
pub const LOAD_BALANCER_KIND: &str =
    "A load balancer needs exactly one of targetGroupArn and loadBalancerName.";
/// (unverified)
pub const SERVICE_REGISTRIES: &str = "A service can have at most 1 service registry.";

// What Longshore does not have yet, and says so.
pub const NO_SERVICE_DISCOVERY: &str =
    "Longshore does not provide service discovery yet; the service registry cannot be used.";
pub const NO_SERVICE_CONNECT: &str = "Longshore does not provide Service Connect yet.";
pub const NO_LATTICE: &str = "Longshore does not provide VPC Lattice.";
pub const NO_ALARMS: &str = "Longshore does not provide deployment alarms yet.";
pub const NO_HOOKS: &str = "Longshore does not provide deployment lifecycle hooks yet.";

/// (unverified)
pub const CONTROLLER_STAYS: &str = "Longshore does not change the deployment controller of a service.";

pub fn no_controller(controller: &str) -> String {
    format!("Longshore does not provide the deployment controller {controller} yet.")
}

pub fn no_deployment_strategy(strategy: &str) -> String {
    format!("Longshore does not provide the deployment strategy {strategy} yet.")
}

pub fn no_container(container: &str) -> String {
    format!("The container {container} does not exist in the task definition.")
}

pub fn no_port(number: i32) -> String {
    format!("{number} is not a port.")
}

/// Service Connect waits for so long.
pub const TIMEOUT_NEGATIVE: &str = "A timeout cannot be negative.";

pub fn no_container_port(container: &str, port: i32) -> String {
    format!("The container {container} did not have a container port {port} defined.")
}

/// (reported)
pub fn target_group_unused(arn: &str) -> String {
    format!("The target group with targetGroupArn {arn} does not have an associated load balancer.")
}

/// (unverified)
pub fn classic_unknown(name: &str) -> String {
    format!("There is no load balancer named {name}.")
}

// Service deployments.
/// (unverified)
pub const SERVICE_DEPLOYMENT_NOT_FOUND: &str = "The service deployment was not found.";

/// (unverified)
pub fn service_deployment_over(status: &str) -> String {
    format!("The service deployment cannot be stopped because its status is {status}.")
}
