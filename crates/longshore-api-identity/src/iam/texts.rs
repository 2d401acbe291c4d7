//! What IAM says (identity J4).

pub(super) fn user_not_found(name: &str) -> String {
    format!("The user with name {name} cannot be found.")
}

pub(super) fn group_not_found(name: &str) -> String {
    format!("The group with name {name} cannot be found.")
}

pub(super) fn role_not_found(name: &str) -> String {
    format!("The role with name {name} cannot be found.")
}

pub(super) fn profile_not_found(name: &str) -> String {
    format!("Instance Profile {name} cannot be found.")
}

pub(super) fn policy_not_found(arn: &str) -> String {
    format!("Policy {arn} was not found.")
}

pub(super) fn not_attachable(arn: &str) -> String {
    format!("Policy {arn} does not exist or is not attachable.")
}

pub(super) fn boundary_not_found(arn: &str) -> String {
    format!("Scope ARN: {arn} does not exist or is not attachable.")
}

pub(super) fn version_not_found(arn: &str, version: &str) -> String {
    format!("Policy {arn} version {version} does not exist or is not attachable.")
}

pub(super) fn access_key_not_found(id: &str) -> String {
    format!("The Access Key with id {id} cannot be found.")
}

pub(super) fn provider_not_found(arn: &str) -> String {
    format!("OpenIDConnect Provider not found for arn {arn}")
}

pub(super) fn login_not_found(user: &str) -> String {
    format!("Login Profile for User {user} cannot be found.")
}

/// `kind`: `User`, `Group`, `Role`.
pub(super) fn exists(kind: &str, name: &str) -> String {
    format!("{kind} with name {name} already exists.")
}

pub(super) fn profile_exists(name: &str) -> String {
    format!("Instance Profile {name} already exists.")
}

pub(super) fn policy_exists(name: &str) -> String {
    format!("A policy called {name} already exists. Duplicate names are not allowed.")
}

pub(super) fn quota(what: &str, max: usize) -> String {
    format!("Cannot exceed quota for {what}: {max}")
}

pub(super) fn protected(role: &str) -> String {
    format!(
        "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
    )
}

pub(super) const DETACH_FIRST: &str = "Cannot delete entity, must detach all policies first.";
pub(super) const DELETE_POLICIES_FIRST: &str = "Cannot delete entity, must delete policies first.";
pub(super) const REMOVE_ROLES_FIRST: &str =
    "Cannot delete entity, must remove roles from instance profile first.";
pub(super) const DELETE_KEYS_FIRST: &str = "Cannot delete entity, must delete access keys first.";
pub(super) const DELETE_LOGIN_FIRST: &str = "Cannot delete entity, must delete login profile first.";
pub(super) const LEAVE_GROUPS_FIRST: &str = "Cannot delete entity, must remove users from group first.";
pub(super) const POLICY_IN_USE: &str = "Cannot delete a policy attached to entities.";
pub(super) const DELETE_VERSIONS_FIRST: &str = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The \
     default version is deleted with the policy.";
pub(super) const DEFAULT_VERSION: &str = "Cannot delete the default version of a policy.";
pub(super) const TOO_MANY_VERSIONS: &str = "A managed policy can have up to 5 versions. Before you create a new \
                                            version, you must delete an existing version.";
pub(super) const USER_NEEDED: &str = "Must specify userName when calling with non-User credentials";
pub(super) const DUPLICATE_TAGS: &str =
    "Duplicate tag keys found. Please note that Tag keys are case insensitive.";

pub(super) fn source_not_found(arn: &str) -> String {
    format!("Entity {arn} cannot be found.")
}
