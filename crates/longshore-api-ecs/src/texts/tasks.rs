//! Tasks and what they are made from.

pub const TASKS_EMPTY: &str = "Tasks cannot be empty.";
pub const TASK_NOT_FOUND: &str = "The referenced task was not found.";
/// (reported)
pub const COUNT: &str = "Invalid number of tasks to start. The count must be between 1 and 10.";
/// (unverified)
pub const CLIENT_TOKEN: &str = "clientToken must have 1 to 64 printable ASCII characters without spaces.";
/// The same token with other parameters (unverified).
pub const TOKEN_CONFLICT: &str =
    "The client token was used before with other parameters. Use a new token, or the same parameters.";
/// RunTask where no ACTIVE instance is.
pub const NO_INSTANCES: &str = "No Container Instances were found in your cluster.";
/// (reported)
pub const GROUP_NAMESPACE: &str = "Invalid namespace for group, should be one of [family]";
/// (unverified)
pub const GROUP_LONG: &str = "group can have at most 255 characters.";
/// (unverified)
pub const REASON_LONG: &str = "reason can have at most 1024 characters.";
/// `stoppedReason` when StopTask gives none.
pub const STOPPED_BY_USER: &str = "Task stopped by user";
/// Longshore has no volumes that are made for a task.
pub const NO_MANAGED_VOLUMES: &str = "Longshore does not provide volumes that are configured at launch.";
/// `reason` of the failure of a task that the Fargate pool has no room for (ecs-behaviour A6).
pub const NO_FARGATE_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";
/// (unverified)
pub const PROPAGATE_FROM_SERVICE: &str = "propagateTags should be one of [TASK_DEFINITION,NONE] for a task.";
/// (unverified)
pub const EXECUTE_NEEDS_ROLE: &str = "The task can't be started because a valid taskRoleArn is not being used. \
     Specify a valid task role in your task definition and try again.";
/// An agent's report on a task that is not there; the agent drops such a report.
pub const REPORT_UNKNOWN_TASK: &str = "The reported task was not found.";
/// The same of an attachment.
pub const REPORT_UNKNOWN_ATTACHMENT: &str = "The reported attachment was not found.";
/// (unverified)
pub const EXPIRES_IN_MINUTES: &str = "expiresInMinutes must be between 1 and 2880.";

/// (unverified)
pub fn started_by_long(max: usize) -> String {
    format!("startedBy can have at most {max} characters.")
}

// Overrides.
/// (reported)
pub const OVERRIDES_LONG: &str = "Container Overrides length must be at most 8192";
/// (unverified)
pub const OVERRIDE_UNNAMED: &str = "Container name can not be blank in a container override.";

/// (reported)
pub fn override_unknown(name: &str) -> String {
    format!("Override for container named {name} is not a container in the TaskDefinition.")
}

/// (unverified)
pub fn override_twice(name: &str) -> String {
    format!("Container {name} is overridden twice.")
}

/// (unverified)
pub fn override_negative(name: &str, member: &str) -> String {
    format!("The override of {member} for container {name} is invalid.")
}

/// (unverified)
pub fn override_memory(name: &str) -> String {
    format!("Memory must be at least memoryReservation for container {name}.")
}

// Where and how tasks run.
/// (reported)
pub const LAUNCH_TYPE_AND_STRATEGY: &str =
    "Specify either Launch Type or Capacity Provider Strategy, but not both.";
pub const NETWORK_REQUIRED: &str =
    "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
pub const NETWORK_NOT_VALID: &str =
    "Network Configuration is not valid for the given networkMode of this task definition.";
pub const SUBNETS_EMPTY: &str = "subnets can not be empty.";
/// In our own words: those of ECS are not known.
pub const SUBNETS_OF_VPCS: &str = "The subnets do not belong to the same VPC.";

/// (reported)
pub fn no_subnet(id: &str) -> String {
    let shown: String = id.chars().take(64).collect();
    format!(
        "The subnet ID '{shown}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: \
         InvalidSubnetID.NotFound)"
    )
}

/// (reported)
pub fn no_security_group(id: &str) -> String {
    let shown: String = id.chars().take(64).collect();
    format!(
        "The security group '{shown}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: \
         InvalidGroup.NotFound)"
    )
}

/// (reported)
pub fn group_of_other_vpc(id: &str) -> String {
    format!("Security group {id} does not appear to belong to the same VPC as the input subnets.")
}

/// (reported)
pub const PUBLIC_IP: &str = "Assign public IP is not supported for this launch type.";
/// (reported)
pub const PLATFORM_VERSION_NOT_FARGATE: &str =
    "The platform version must be null when specifying an EC2 launch type.";
/// (reported)
pub const STRATEGY_ON_FARGATE: &str = "Placement strategies are not supported with FARGATE launch type.";
/// (reported)
pub const CONSTRAINTS_ON_FARGATE: &str = "Placement constraints are not supported with FARGATE launch type.";

/// (reported)
pub fn not_compatible(launch_type: &str) -> String {
    format!("Task definition does not support launch_type {launch_type}.")
}

/// (unverified)
pub fn platform_version_unknown(version: &str) -> String {
    format!("The platform version {version} does not exist.")
}
