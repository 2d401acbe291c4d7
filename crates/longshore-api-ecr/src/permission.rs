//! What a caller needs permission for. What is asked about a repository is the same as over the registry's own protocol.

use longshore_registry::permission;
use longshore_service::{Access, Caller};
use longshore_state::State;

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
    permission::on(state, caller, action, &scope, name.as_deref().unwrap_or_default())
}

/// An action that has no resource.
pub(crate) fn on_all(caller: &Caller, action: &str) -> Access {
    Access::new(format!("ecr:{action}"), "*", caller)
}
