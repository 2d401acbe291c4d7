//! The `failures` of operations that answer for several things at once (ecs-behaviour A6).

use longshore_shapes_ecs::Failure;

/// Nothing of that name is there.
pub const MISSING: &str = "MISSING";
/// It is there, but its life is over.
pub const INACTIVE: &str = "INACTIVE";

pub fn failure(arn: impl Into<String>, reason: impl Into<String>) -> Failure {
    Failure { arn: Some(arn.into()), reason: Some(reason.into()), detail: None }
}

pub fn missing(arn: impl Into<String>) -> Failure {
    failure(arn, MISSING)
}
