//! What tasks and services ask for in the same words: a task definition, the capacity to run on, a
//! network, and rules of placement (ecs-operations B5 and B6).

pub(crate) mod capacity;
pub(crate) mod network;
pub(crate) mod placement;

use std::sync::Arc;

use longshore_domain::TaskDefinitionStatus;
use longshore_shapes_ecs::{ClientException, InvalidParameterException};
use longshore_state::State;
use longshore_tables_ecs::record;

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
    let definition = identifiers::definition(state, &caller.scope, named).map_err(|error| match error {
        NoDefinition::NotFound => E::from(ClientException::new(texts::DEFINITION_NOT_FOUND)),
        NoDefinition::Revision(_) | NoDefinition::Malformed => {
            E::from(InvalidParameterException::new(error.to_string()))
        }
    })?;
    match definition.status {
        TaskDefinitionStatus::Active => Ok(definition.clone()),
        TaskDefinitionStatus::Inactive | TaskDefinitionStatus::DeleteInProgress => {
            Err(E::from(ClientException::new(texts::DEFINITION_INACTIVE)))
        }
    }
}
