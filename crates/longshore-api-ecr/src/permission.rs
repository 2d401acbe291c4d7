//! What a caller needs permission for: the repository by its ARN, whether it is there or not (registry I7).

use longshore_base::Scope;
use longshore_service::{Access, Caller, ResourcePolicy};
use longshore_state::State;
use longshore_tables_ecr::EcrState;

use crate::find;

/// An action on a repository that a request names.
pub(crate) fn on(
    state: &State,
    caller: &Caller,
    action: &str,
    registry: &Option<String>,
    name: &Option<String>,
) -> Access {
    // What is no account is refused by whoever looks for it.
    let scope = find::registry(caller, registry).unwrap_or_else(|_| caller.scope.clone());
    on_named(state, caller, action, &scope, name.as_deref().unwrap_or_default())
}

pub(crate) fn on_named(state: &State, caller: &Caller, action: &str, scope: &Scope, name: &str) -> Access {
    let access = Access::new(format!("ecr:{action}"), find::arn(scope, name), caller);
    let found = find::name(name).and_then(|name| state.ecr().find(scope, &name));
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

/// An action that has no resource.
pub(crate) fn on_all(caller: &Caller, action: &str) -> Access {
    Access::new(format!("ecr:{action}"), "*", caller)
}
