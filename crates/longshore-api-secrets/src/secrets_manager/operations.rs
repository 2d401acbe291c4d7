//! The table of Secrets Manager's operations.

use longshore_service::operations;
use longshore_shapes_secretsmanager::ops;

use crate::SecretsManager;

operations! {
    /// Every operation that is built. `support/secretsmanager.toml` says why the others are not.
    pub static SECRETS_MANAGER_OPERATIONS: SecretsManager = ops {
        command CreateSecret,
        query DescribeSecret,
        query ListSecrets,
        command UpdateSecret,
        command DeleteSecret,
        command RestoreSecret,

        query GetSecretValue,
        query BatchGetSecretValue,
        command PutSecretValue,
        query ListSecretVersionIds,
        command UpdateSecretVersionStage,

        command PutResourcePolicy,
        query GetResourcePolicy,
        command DeleteResourcePolicy,
        query ValidateResourcePolicy,

        command TagResource,
        command UntagResource,
        query GetRandomPassword,
    }
}
