//! What a caller needs permission for, however he asks: the repository by its ARN, whether it is there or not (registry
//! I7).

use longshore_base::Scope;
use longshore_images::RepositoryName;
use longshore_service::{Access, Caller, ResourcePolicy};
use longshore_state::State;
use longshore_tables_ecr::EcrState;

/// The ARN of a repository, or of what a request calls one.
pub fn arn(scope: &Scope, name: &str) -> String {
    let Scope { account, region } = scope;
    format!("arn:{}:ecr:{region}:{account}:repository/{name}", scope.partition().as_str())
}

/// An action on a repository, with its tags and under its policy if it is there.
pub fn on(state: &State, caller: &Caller, action: &str, scope: &Scope, name: &str) -> Access {
    let access = Access::new(format!("ecr:{action}"), arn(scope, name), caller);
    let found = RepositoryName::parse(name).and_then(|name| state.ecr().find(scope, &name));
    let Some(found) = found else { return access.under(ResourcePolicy::none()) };
    let access = found.repository.tags.iter().fold(access, |access, (key, value)| {
        let access = access.with(format!("aws:ResourceTag/{key}"), value.as_str());
        access.with(format!("ecr:ResourceTag/{key}"), value.as_str())
    });
    access.under(match &found.repository.policy {
        Some(policy) => ResourcePolicy { policy: policy.shared(), is_indispensable: false },
        None => ResourcePolicy::none(),
    })
}
