//! Task sets, and the services that are made of them.

/// (unverified)
pub const TASK_SET_NOT_FOUND: &str = "TaskSet not found.";
/// (unverified)
pub const TASK_SET_DRAINING: &str = "The task set is DRAINING and cannot be changed any more.";
/// (unverified)
pub const TASK_SET_SCALED: &str =
    "The task set cannot be deleted while it is scaled above 0. Set its scale to 0, or use force.";
/// (unverified)
pub const TASK_SET_NOT_IDEMPOTENT: &str = "Creation of task set was not idempotent.";
/// (unverified)
pub const TASK_SET_LOAD_BALANCERS: &str = "A task set can have at most 1 load balancer.";
/// (unverified)
pub const SCALE_VALUE: &str = "The scale of a task set needs a value between 0 and 100 percent.";
/// (unverified)
pub const EXTERNAL_ID: &str = "externalId must have 1 to 255 letters, digits, hyphens and underscores.";
/// (unverified)
pub const DAEMON_EXTERNAL: &str =
    "The daemon scheduling strategy is not supported with the EXTERNAL deployment controller.";
/// (unverified)
pub const REBALANCING_EXTERNAL: &str =
    "Availability Zone rebalancing is not supported with the EXTERNAL deployment controller.";
/// (unverified)
pub const EXTERNAL_PERCENTS: &str = "With the EXTERNAL deployment controller minimumHealthyPercent is always 100 and \
     maximumPercent 200.";
/// (unverified)
pub const EXTERNAL_CIRCUIT_BREAKER: &str = "The deployment circuit breaker and bakeTimeInMinutes are only supported \
     with the ECS deployment controller.";
/// Deletions wait while this is answered, so it is ECS's text (ecs-behaviour A11).
pub const DEPLOYMENTS_ACTIVE: &str = "The service cannot be stopped while deployments are active.";

/// (reported)
pub fn too_many_task_sets(max: usize) -> String {
    format!(
        "{max} deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
    )
}

/// (unverified)
pub fn task_sets_need_external(service: &str) -> String {
    format!("The service {service} does not have the deployment controller EXTERNAL, so it has no task sets.")
}

/// (unverified)
pub fn belongs_to_task_sets(member: &str) -> String {
    format!(
        "{member} cannot be given to a service with an EXTERNAL deployment controller. Give it to its task sets."
    )
}

/// ECS words it so for CODE_DEPLOY (reported).
pub fn not_updated_on_external(what: &str) -> String {
    format!(
        "Unable to update {what} on services with an EXTERNAL deployment controller. Create a new task set instead."
    )
}
