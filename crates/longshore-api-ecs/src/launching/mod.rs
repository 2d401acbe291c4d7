//! What tasks and services ask for in the same words: a task definition, the capacity to run on, a
//! network, and rules of placement (ecs-operations B5 and B6).

pub(crate) mod capacity;
pub(crate) mod network;
pub(crate) mod placement;

use std::sync::Arc;

use longshore_domain::TaskDefinitionStatus;
use longshore_shapes_ecs::{ClientException, InvalidParameterException};
use longshore_state::State;
use longshore_tables_ecs::{EcsState, record};

use crate::identifiers::{self, NoDefinition};
use crate::{Caller, texts};

/// The revision that a call means, if new tasks can be made from it.
///
/// # Errors
/// A ClientException where there is no such revision or it is not ACTIVE (ecs-behaviour, Part X).
pub(crate) fn definition<E>(
    state: &State,
    caller: &Caller,
    named: &str,
) -> Result<Arc<record::TaskDefinition>, E>
where
    E: From<ClientException> + From<InvalidParameterException>,
{
    let name = identifiers::definition_name(&caller.scope, named).map_err(|error| match error {
        NoDefinition::NotFound => E::from(ClientException::new(texts::DEFINITION_NOT_FOUND)),
        NoDefinition::Revision(_) | NoDefinition::Malformed => {
            E::from(InvalidParameterException::new(error.to_string()))
        }
    })?;
    let family = state.ecs().realm(&caller.scope).and_then(|realm| realm.family(name.family.as_str()));
    let found = family.and_then(|family| match name.revision {
        Some(revision) => family.revisions().get(&revision),
        None => family.latest_active(),
    });
    let definition = found.ok_or_else(|| E::from(ClientException::new(texts::DEFINITION_NOT_FOUND)))?;
    match definition.status {
        TaskDefinitionStatus::Active => Ok(definition.clone()),
        TaskDefinitionStatus::Inactive | TaskDefinitionStatus::DeleteInProgress => {
            Err(E::from(ClientException::new(texts::DEFINITION_INACTIVE)))
        }
    }
}
