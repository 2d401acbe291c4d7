//! What Secrets Manager says (identity J9).

pub(super) const SECRET_NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";
pub(super) const MARKED: &str =
    "You can't perform this operation on the secret because it was marked for deletion.";
pub(super) const NAME_MARKED: &str =
    "You can't create this secret because a secret with this name is already scheduled for deletion.";
pub(super) const NO_KMS: &str = "Access to KMS is not allowed";
pub(super) const VERSION_EXISTS: &str = "A resource with the ID you requested already exists.";
pub(super) const NO_VALUE: &str = "You must provide either SecretString or SecretBinary.";
pub(super) const BOTH_VALUES: &str =
    "You can't specify both a binary secret value and a string secret value in the same secret.";
pub(super) const FORCE_AND_WINDOW: &str =
    "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
pub(super) const WINDOW: &str = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
pub(super) const BAD_NAME: &str = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
pub(super) const NO_REPLICAS: &str = "Longshore does not replicate secrets to other regions.";
pub(super) const NO_TYPES: &str = "Longshore does not manage secrets of other services: leave out Type.";
pub(super) const PRINCIPAL: &str = "This resource policy contains an unsupported principal.";
pub(super) const PUBLIC: &str =
    "The resource policy allows broad access to the secret, and BlockPublicPolicy is set.";

pub(super) fn secret_exists(name: &str) -> String {
    format!("The operation failed because the secret {name} already exists.")
}

pub(super) fn no_version(id: &str) -> String {
    format!("Secrets Manager can't find the specified secret value for VersionId: {id}")
}

pub(super) fn remove_from(stage: &str, version: &str) -> String {
    format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version \
         {version}, so you must explicitly reference that version in RemoveFromVersionId."
    )
}

pub(super) fn not_attached(stage: &str, version: &str) -> String {
    format!("The staging label {stage} is not attached to version {version}.")
}

// The apostrophe is the one that AWS sends.
pub(super) const CURRENT_STAYS: &str = "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.";
