//! What ECR says (registry I3, I4).

use longshore_base::AccountId;

pub(crate) fn invalid(member: &str, rule: &str) -> String {
    format!("Invalid parameter at '{member}' failed to satisfy constraint: '{rule}'")
}

pub(crate) fn no_repository(name: &str, registry: AccountId) -> String {
    format!("The repository with name '{name}' does not exist in the registry with id '{registry}'")
}

pub(crate) fn repository_exists(name: &str, registry: AccountId) -> String {
    format!("The repository with name '{name}' already exists in the registry with id '{registry}'")
}

pub(crate) fn not_empty(name: &str, registry: AccountId) -> String {
    format!(
        "The repository with name '{name}' in registry with id '{registry}' cannot be deleted because it still contains \
         images"
    )
}

pub(crate) fn no_policy(name: &str, registry: AccountId) -> String {
    format!(
        "Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry}'"
    )
}

pub(crate) fn no_lifecycle(name: &str, registry: AccountId) -> String {
    format!(
        "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{registry}'"
    )
}

/// `null` is how ECR shows a member that was not given.
pub(crate) fn no_image(digest: Option<&str>, tag: Option<&str>, name: &str, registry: AccountId) -> String {
    let (digest, tag) = (digest.unwrap_or("null"), tag.unwrap_or("null"));
    format!(
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository with \
         name '{name}' in the registry with id '{registry}'"
    )
}

/// The model's pattern, as ECR tells it.
pub(crate) const NAME: &str =
    "must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'";
pub(crate) const POLICY: &str = "Invalid repository policy provided";
pub(crate) const TOKEN: &str = "The token is not one of this list.";
