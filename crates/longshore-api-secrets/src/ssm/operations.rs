//! The table of the Parameter Store's operations.

use longshore_service::operations;
use longshore_shapes_ssm::ops;

use crate::Ssm;

operations! {
    /// Every operation that is built. `support/ssm.toml` says why the others are not.
    pub static SSM_OPERATIONS: Ssm = ops {
        command PutParameter,
        query GetParameter,
        query GetParameters,
        query GetParametersByPath,
        query GetParameterHistory,
        query DescribeParameters,
        command DeleteParameter,
        command DeleteParameters,

        command LabelParameterVersion,
        command UnlabelParameterVersion,

        command AddTagsToResource,
        command RemoveTagsFromResource,
        query ListTagsForResource,
    }
}
