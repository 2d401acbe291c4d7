//! The table of KMS's operations.

use longshore_service::operations;
use longshore_shapes_kms::ops;

use crate::Kms;

operations! {
    /// Every operation that is built. `support/kms.toml` says why the others are not.
    pub static KMS_OPERATIONS: Kms = ops {
        command CreateKey,
        command DescribeKey,
        query ListKeys,
        command UpdateKeyDescription,
        command EnableKey,
        command DisableKey,
        command ScheduleKeyDeletion,
        command CancelKeyDeletion,

        command CreateAlias,
        command UpdateAlias,
        command DeleteAlias,
        query ListAliases,

        query Encrypt,
        query Decrypt,
        query ReEncrypt,
        query GenerateDataKey,
        query GenerateDataKeyWithoutPlaintext,
        query GenerateRandom,

        query GetKeyPolicy,
        query ListKeyPolicies,
        command PutKeyPolicy,
        command EnableKeyRotation,
        command DisableKeyRotation,
        query GetKeyRotationStatus,

        command TagResource,
        command UntagResource,
        query ListResourceTags,
    }
}
