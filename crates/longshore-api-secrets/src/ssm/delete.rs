//! Parameters that go.

use longshore_service::{Caller, Resources};
use longshore_shapes_ssm::{DeleteParameterResult, DeleteParametersResult, ParameterNotFound, ops};
use longshore_state::Tx;
use longshore_tables_secrets::SecretsState;
use longshore_tables_secrets::find;
use longshore_tables_secrets::key::{NumberKey, ScopedKey};
use longshore_tables_secrets::record::{Parameter, ParameterVersion};

use super::{permission, texts};
use crate::input::given;

/// The most versions that go with their parameters at once; the sweep takes the rest.
const VERSIONS_AT_ONCE: usize = 100;

/// Deletes one. False if it is not there.
fn delete(tx: &mut Tx<'_>, caller: &Caller, name: &str) -> bool {
    let Some(found) = find::parameter(tx.state(), &caller.scope, name) else { return false };
    // A name or an ARN of the caller's account: parameters are not shared.
    if found.scope != caller.scope {
        return false;
    }
    let (at, of) = (ScopedKey::new(&found.scope, found.name), found.whole());
    let room = VERSIONS_AT_ONCE.saturating_sub(tx.changed());
    let versions = tx.secrets().realm(&at.scope).parameters().parts(&of);
    let versions: Vec<u64> = versions.take(room).map(|(number, _)| *number).collect();
    for number in versions {
        tx.delete::<ParameterVersion>(NumberKey { scope: at.scope.clone(), of: of.clone(), number });
    }
    tx.delete::<Parameter>(at);
    true
}

command!(
    Ssm,
    DeleteParameter,
    |state, caller, input| permission::on(state, caller, "DeleteParameter", given(&input.name)),
    |tx, caller, input| {
        let name = given(&input.name);
        match delete(tx, caller, name) {
            true => Ok(DeleteParameterResult {}),
            false => Err(ParameterNotFound::new(texts::not_found(name)).into()),
        }
    }
);

command!(
    Ssm,
    DeleteParameters,
    |state, caller, input| {
        let names = input.names.iter().flatten();
        names.map(|name| permission::on(state, caller, "DeleteParameters", name)).collect::<Resources>()
    },
    |tx, caller, input| {
        let names = input.names.into_iter().flatten();
        let (deleted, invalid) = names.partition(|name| delete(tx, caller, name));
        Ok(DeleteParametersResult { deleted_parameters: Some(deleted), invalid_parameters: Some(invalid) })
    }
);
