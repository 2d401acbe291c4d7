//! What callers read. One place per text, because clients match on some of them (ecs-behaviour A2).
//!
//! Texts marked (unverified) are our best knowledge of what ECS says; the others are documented or
//! were seen.

mod services;
mod task_sets;
mod tasks;

pub use services::*;
pub use task_sets::*;
pub use tasks::*;

// Clusters.
pub const CLUSTER_NOT_FOUND: &str = "Cluster not found.";
pub const CLUSTER_INACTIVE: &str = "The referenced cluster was inactive.";
/// (unverified)
pub const CLUSTER_NAME_INVALID: &str = "Cluster name contains invalid characters.";
/// (unverified)
pub const CLUSTER_NAME_LONG: &str = "Cluster name cannot be longer than 255 characters.";
pub const CLUSTER_HAS_INSTANCES: &str =
    "The Cluster cannot be deleted while Container Instances are active or draining.";
pub const CLUSTER_HAS_SERVICES: &str = "The Cluster cannot be deleted while Services are active.";
pub const CLUSTER_HAS_TASKS: &str = "The Cluster cannot be deleted while Tasks are active.";
/// (unverified)
pub const INSIGHTS_VALUE: &str =
    "The value of containerInsights should be one of [enhanced,enabled,disabled]";
/// (unverified)
pub const LOGGING_NEEDS_CONFIGURATION: &str = "logConfiguration must be specified when the executeCommandConfiguration logging is OVERRIDE, and only then.";

// Identifiers.
pub const ARN_INVALID: &str = "The ARN provided is invalid.";

/// An ARN of one cluster with the name of another (reported).
pub fn other_cluster(theirs: &str, yours: &str) -> String {
    format!("Identifier is for cluster {theirs}. Your cluster is {yours}")
}

/// A word that is not in its list; `what` in lower-case words, as in `launch type`.
pub fn one_of(what: &str, allowed: &[&str]) -> String {
    format!("{what} should be one of [{}]", allowed.join(","))
}

/// A member that is required and absent (unverified).
pub fn required(path: &str) -> String {
    format!("{path} can not be blank.")
}

/// More elements than a list may have (unverified).
pub fn too_many(what: &str, max: usize) -> String {
    format!("{what} can have at most {max} items.")
}

// Lists.
/// (unverified)
pub const TOKEN_INVALID: &str = "Invalid token.";

/// (unverified)
pub fn max_results(max: usize) -> String {
    format!("maxResults should be between 1 and {max}.")
}

// Capacity providers.
/// (unverified)
pub const PROVIDER_NAME: &str = "The capacity provider name is invalid. A name has 1 to 255 letters, digits, \
     hyphens and underscores, and does not begin with aws, ecs or fargate.";
/// (reported)
pub const PROVIDER_EXISTS: &str = "The specified capacity provider already exists. To change the configuration \
     of an existing capacity provider, update the capacity provider.";
/// (reported)
pub const PROVIDER_UNKNOWN: &str =
    "The specified capacity provider does not exist. Specify a valid name or ARN and try again.";
/// (unverified)
pub const PROVIDER_RESERVED: &str =
    "The specified capacity provider is reserved and cannot be changed or deleted.";
/// (reported)
pub const PROVIDER_IN_USE: &str = "The specified capacity provider is in use and cannot be removed.";
/// (unverified)
pub const PROVIDER_ONE_KIND: &str =
    "Specify exactly one of autoScalingGroupProvider and managedInstancesProvider.";
/// (unverified)
pub const PROVIDER_INACTIVE: &str = "The specified capacity provider is not ACTIVE.";
/// (reported)
pub const TERMINATION_PROTECTION: &str = "The managed termination protection setting for the capacity provider \
     is invalid. To enable managed termination protection for a capacity provider, managed scaling must be \
     enabled.";
/// (unverified)
pub const SCALING_GROUP_ARN: &str = "The specified Auto Scaling group ARN is invalid.";
/// The numbers of managed scaling count things.
pub const MANAGED_SCALING_NUMBER: &str = "The settings of managed scaling cannot be negative.";
/// Longshore has no managed instances.
pub const MANAGED_INSTANCES: &str = "Longshore does not provide managed instances.";

/// (reported)
pub fn provider_attached(cluster: &str) -> String {
    format!(
        "The capacity provider cannot be deleted because it is associated with cluster: {cluster}. Remove the \
         capacity provider from the cluster and try again."
    )
}

// Capacity provider strategies.
/// (reported)
pub const STRATEGY_NOT_ATTACHED: &str = "The specified capacity provider strategy cannot contain a capacity \
     provider that is not associated with the cluster. Associate the capacity provider with the cluster and \
     try again.";
/// (unverified)
pub const STRATEGY_BASES: &str = "A capacity provider strategy can have at most one item with a base.";
/// (unverified)
pub const STRATEGY_WEIGHTS: &str =
    "A capacity provider strategy must have at least one item with a weight above 0.";
/// (unverified)
pub const STRATEGY_TWICE: &str = "A capacity provider strategy cannot name a capacity provider twice.";
/// (unverified)
pub const STRATEGY_MIXED: &str = "A capacity provider strategy cannot mix Fargate and Auto Scaling group \
     capacity providers.";

// Task definitions.
pub const DEFINITION_UNKNOWN: &str = "Unable to describe task definition.";
/// (reported)
pub const DEFINITION_NOT_FOUND: &str = "TaskDefinition not found.";
pub const DEFINITION_INACTIVE: &str = "TaskDefinition is inactive";
pub const REVISION_MISSING: &str = "Revision is missing.";
/// (unverified)
pub const DEREGISTER_UNKNOWN: &str = "The specified task definition does not exist.";
pub const DELETE_NONE: &str = "size of TaskDefinition references list must be greater than 0";
pub const DELETE_MANY: &str = "Size of TaskDefinition references list cannot exceed 10";
pub const DELETE_INVALID: &str =
    "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.";
pub const DELETE_MISSING: &str = "The specified task definition does not exist. Specify a valid account, family, \
     revision and try again.";
pub const DELETE_ACTIVE: &str = "The specified task definition is still in ACTIVE status. Please deregister the \
     target and try again.";
/// (unverified)
pub const FAMILY_FULL: &str = "The family has reached its limit of 1,000,000 revisions.";
/// (unverified)
pub const TASK_DEFINITION_LARGE: &str = "The task definition is larger than 64 KiB.";

pub fn revision_number(text: &str) -> String {
    format!("Invalid revision number. Number: {text}")
}

/// `statusReason` of an instance that counts as connected because its agent was when this server took over. ECS has no
/// such state, and no text for it.
pub const AGENT_AWAITED: &str = "Its agent was connected until the server restarted, and is not back yet.";

// Container instances.
/// (unverified)
pub const INSTANCE_NOT_FOUND: &str = "The referenced container instance was not found.";
pub const INSTANCES_EMPTY: &str = "Container Instances cannot be empty.";
pub const REGISTRATION_LARGE: &str = "The container instance describes itself in more than 128 KiB.";
pub const INSTANCE_HAS_TASKS: &str = "Found running tasks on the instance.";
pub const INSTANCE_STATUS: &str = "Container instance status should be one of [ACTIVE, DRAINING]";
pub const INSTANCE_TYPE_CHANGED: &str = "Container instance type changes are not supported.";
/// (unverified)
pub const NO_AGENT_UPDATE: &str = "There is no update available for your container agent.";
/// (unverified)
pub const NO_AGENT_VERSION: &str = "The container agent's version could not be determined.";
/// (unverified)
/// Not of ECS, which says nothing: what the operator should know of an instance that was deregistered by force while its
/// agent was away.
pub fn left_on_instance(tasks: usize, instance: &str) -> String {
    format!(
        "Deregistered while its agent was away: {tasks} of its tasks count as STOPPED, and their containers may run on until the \
         agent starts again and removes them. See: longshore explain container-instance {instance}"
    )
}

pub const INSTANCE_INACTIVE: &str = "The referenced container instance was inactive.";
/// (unverified)
pub const RESOURCES: &str = "totalResources must hold CPU and MEMORY as INTEGER, and PORTS and PORTS_UDP as STRINGSET of port numbers.";
/// (unverified)
pub const RESERVED_PORTS: &str = "A container instance can have at most 100 reserved ports.";

/// (unverified)
pub fn filter(problem: &dyn std::fmt::Display) -> String {
    format!("Invalid filter expression: {problem}")
}

// Attributes.
/// The beginning is what clients know.
pub fn target_not_found(target: &str) -> String {
    format!("Could not find container instance {target}.")
}
/// (unverified)
pub const ATTRIBUTES_EMPTY: &str = "Attributes cannot be empty.";
/// (unverified)
pub const ATTRIBUTE_TARGET: &str = "targetId can not be blank.";
/// (unverified)
pub const ATTRIBUTE_NAME: &str = "An attribute name must have 1 to 128 letters, digits, hyphens, underscores, slashes, backslashes and periods.";
/// (unverified)
pub const ATTRIBUTE_VALUE: &str = "An attribute value must have 1 to 128 letters, digits, hyphens, underscores, \
     slashes, backslashes, periods, at signs, colons and inner spaces.";
/// (unverified)
pub const ATTRIBUTE_LIMIT: &str = "A container instance can have at most 10 custom attributes.";
/// (unverified)
pub const ATTRIBUTE_VALUE_ALONE: &str = "attributeValue needs an attributeName.";

/// (unverified)
pub fn attribute_reserved(name: &str) -> String {
    format!("The attribute name {name} is reserved.")
}

// Tags.
pub const TAGS_NEED_LONG_ARN: &str = "Long arn format must be used for tagging operations";

/// (unverified)
pub fn not_found(kind: &str) -> String {
    format!("The specified {kind} is not found. Specify a valid ARN and try again.")
}

/// Tags on a new resource whose ARN would be of the old format.
pub fn tags_need_opt_in(what: &str) -> String {
    format!(
        "The new ARN and resource ID format must be enabled to add tags to the {what}. Opt in to the new format \
         and try again."
    )
}

// Account settings.
/// (unverified)
pub const LONG_ARNS_ONLY: &str =
    "The long ARN format cannot be disabled any more. Longshore allows it with --allow-short-arns.";
/// (unverified)
pub const SETTING_READ_ONLY: &str = "The setting guardDutyActivate is read-only.";
/// (unverified)
pub const SETTING_VALUE_ALONE: &str = "A value needs the name of its setting.";
/// (unverified)
pub const PRINCIPAL_INVALID: &str =
    "The principalArn must be the ARN of an IAM user, role or root of this account.";
