//! What a request names.

use longshore_service::Caller;
use longshore_shapes_secretsmanager::{InvalidRequestException, ResourceNotFoundException};
use longshore_state::State;
use longshore_tables_secrets::find::{self, FoundSecret};

use super::texts;

/// A secret, whether it is marked for deletion or not.
pub(super) fn any<'s>(
    state: &'s State,
    caller: &Caller,
    id: &str,
) -> Result<FoundSecret<'s>, ResourceNotFoundException> {
    let found = find::secret(state, &caller.scope, id);
    found.ok_or_else(|| ResourceNotFoundException::new(texts::SECRET_NOT_FOUND))
}

/// A secret that is not marked for deletion.
pub(super) fn live<'s, E>(state: &'s State, caller: &Caller, id: &str) -> Result<FoundSecret<'s>, E>
where
    E: From<ResourceNotFoundException> + From<InvalidRequestException>,
{
    let found = any(state, caller, id)?;
    match found.secret.deletion {
        Some(_) => Err(InvalidRequestException::new(texts::MARKED).into()),
        None => Ok(found),
    }
}
