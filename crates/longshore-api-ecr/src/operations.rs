//! The table of ECR's operations that need nothing but the state.

use longshore_service::operations;
use longshore_shapes_ecr::ops;

use crate::Ecr;

operations! {
    /// Every operation that is built, but GetAuthorizationToken. `support/ecr.toml` says why the others are not.
    pub static OPERATIONS: Ecr = ops {
        command CreateRepository,
        query DescribeRepositories,
        command DeleteRepository,
        command PutImageTagMutability,
        command PutImageScanningConfiguration,

        query ListImages,
        query DescribeImages,
        command BatchDeleteImage,

        command PutLifecyclePolicy,
        query GetLifecyclePolicy,
        command DeleteLifecyclePolicy,

        command SetRepositoryPolicy,
        query GetRepositoryPolicy,
        command DeleteRepositoryPolicy,

        command TagResource,
        command UntagResource,
        query ListTagsForResource,
    }
}

/// Everything that is built: the table, and what stands before it. A test compares them.
pub static NAMES: &[&str] = &[
    "GetAuthorizationToken",
    "CreateRepository",
    "DescribeRepositories",
    "DeleteRepository",
    "PutImageTagMutability",
    "PutImageScanningConfiguration",
    "ListImages",
    "DescribeImages",
    "BatchDeleteImage",
    "PutLifecyclePolicy",
    "GetLifecyclePolicy",
    "DeleteLifecyclePolicy",
    "SetRepositoryPolicy",
    "GetRepositoryPolicy",
    "DeleteRepositoryPolicy",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_table_and_one_more() {
        assert_eq!(NAMES[1..], *OPERATIONS.names);
    }
}
