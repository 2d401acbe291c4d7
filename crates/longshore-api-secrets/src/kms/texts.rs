//! What KMS says (identity J11).

pub(super) const UNKNOWN_BLOB: &str = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.";
pub(super) const INCORRECT_KEY: &str =
    "The key ID in the request does not identify a CMK that can perform this operation.";
pub(super) const DRY_RUN: &str = "The request would have succeeded, but the DryRun option is set.";
pub(super) const NO_ENCLAVES: &str = "Longshore has no Nitro enclaves: leave out Recipient.";
pub(super) const NO_GRANTS: &str = "The grant token is not valid: Longshore has no grants.";
pub(super) const ONE_SIZE: &str = "Please specify either number of bytes or key spec.";
pub(super) const ONLY_SYMMETRIC: &str = "Longshore makes symmetric keys of its own material, in one region: leave out KeySpec, KeyUsage, Origin, MultiRegion and key stores, or say SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT and AWS_KMS.";
pub(super) const LOCKED_OUT: &str =
    "The new key policy will not allow you to update the key policy in the future.";
pub(super) const BAD_PRINCIPAL: &str = "Policy contains a statement with one or more invalid principals.";
pub(super) const ALIAS_PREFIX: &str = "Alias must start with the prefix \"alias/\".";
pub(super) const ALIAS_RESERVED: &str = "Aliases that begin with alias/aws/ are those of services.";
pub(super) const WINDOW: &str = "PendingWindowInDays must be between 7 and 30 (inclusive).";
pub(super) const POLICY_NAME: &str = "The only name of a key policy is default.";

pub(super) fn alias_not_found(arn: &str) -> String {
    format!("Alias {arn} is not found.")
}

pub(super) fn key_not_found(arn: &str) -> String {
    format!("Key '{arn}' does not exist")
}

pub(super) fn invalid_key_id(id: &str) -> String {
    format!("Invalid keyId '{id}'")
}

pub(super) fn alias_exists(arn: &str) -> String {
    format!("An alias with the name {arn} already exists")
}

pub(super) fn not_pending(arn: &str) -> String {
    format!("{arn} is not pending deletion.")
}

pub(super) fn of_service(arn: &str) -> String {
    format!("{arn} is managed by a service and cannot be changed.")
}

pub(super) fn incompatible(algorithm: &str) -> String {
    format!("The algorithm {algorithm} is incompatible with the encryption key spec SYMMETRIC_DEFAULT.")
}
