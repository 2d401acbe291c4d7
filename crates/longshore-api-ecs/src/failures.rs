//! The `failures` of operations that answer for several things at once (ecs-behaviour A6).

use longshore_domain::task_definition::NotBuilt;
use longshore_shapes_ecs::Failure;

/// Nothing of that name is there.
pub const MISSING: &str = "MISSING";
/// It is there, but its life is over.
pub const INACTIVE: &str = "INACTIVE";
/// The task requires something that is not offered.
pub const ATTRIBUTE: &str = "ATTRIBUTE";

pub fn failure(arn: impl Into<String>, reason: impl Into<String>) -> Failure {
    Failure { arn: Some(arn.into()), reason: Some(reason.into()), detail: None }
}

pub fn missing(arn: impl Into<String>) -> Failure {
    failure(arn, MISSING)
}

/// A task that asks for what cannot be given to it yet, wherever it runs.
pub fn not_built(not_built: &NotBuilt) -> Failure {
    Failure { arn: None, reason: Some(ATTRIBUTE.to_owned()), detail: Some(not_built.to_string()) }
}
