//! What a request names, and whether it may be used.

use std::sync::Arc;

use longshore_service::Caller;
use longshore_shapes_kms::{DisabledException, KMSInvalidStateException, NotFoundException};
use longshore_state::State;
use longshore_tables_secrets::find::{KeyAt, KeyName};
use longshore_tables_secrets::kms::Unusable;
use longshore_tables_secrets::material;
use longshore_tables_secrets::record::{KeyState, KmsKey, Manager};
use longshore_wire::Fault;

use super::texts;

/// The key of this id, ARN or alias.
pub(super) fn key<'s>(
    state: &'s State,
    caller: &Caller,
    named: &str,
) -> Result<(KeyAt, &'s Arc<KmsKey>), NotFoundException> {
    let none = |text: String| NotFoundException::new(text);
    let name = KeyName::read(&caller.scope, named).ok_or_else(|| none(texts::invalid_key_id(named)))?;
    name.key(state).ok_or_else(|| {
        none(match &name {
            KeyName::Alias(..) => texts::alias_not_found(&name.arn()),
            KeyName::Id(_, id) if material::bits(id).is_none() => texts::invalid_key_id(id),
            KeyName::Id(..) => texts::key_not_found(&name.arn()),
        })
    })
}

/// The same, to be changed: not on its way out.
pub(super) fn to_change<E>(state: &State, caller: &Caller, named: &str) -> Result<(KeyAt, KmsKey), E>
where
    E: From<NotFoundException> + From<KMSInvalidStateException> + From<Fault>,
{
    let (at, key) = key(state, caller, named)?;
    if let KeyState::PendingDeletion { .. } = key.state {
        return Err(KMSInvalidStateException::new(Unusable::PendingDeletion(at.arn()).to_string()).into());
    }
    own(&at, key)?;
    Ok((at, KmsKey::clone(key)))
}

/// Refuses the key of a service: what changes it is the service.
pub(super) fn own(at: &KeyAt, key: &KmsKey) -> Result<(), Fault> {
    match key.manager {
        Manager::Customer => Ok(()),
        Manager::Service => Err(Fault::validation(texts::of_service(&at.arn()))),
    }
}

/// What is told of a key that does nothing now.
pub(super) fn unusable<E>(why: Unusable) -> E
where
    E: From<NotFoundException> + From<DisabledException> + From<KMSInvalidStateException>,
{
    let text = why.to_string();
    match why {
        Unusable::Missing(_) => NotFoundException::new(text).into(),
        Unusable::Disabled(_) => DisabledException::new(text).into(),
        Unusable::PendingDeletion(_) => KMSInvalidStateException::new(text).into(),
    }
}
