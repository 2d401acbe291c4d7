//! StopTask.

use longshore_controllers::tasks;
use longshore_domain::StopCode;
use longshore_shapes_ecs::*;
use longshore_state::Tx;
use longshore_tables_ecs::EcsState;

use super::shape::View;
use crate::{Caller, identifiers, input, texts};

/// The longest `reason`.
const REASON_CHARACTERS_MAX: usize = 1024;

/// Tells a task to stop. One that was told before, or that is STOPPED already, is answered as it is.
pub fn stop_task(
    tx: &mut Tx<'_>,
    caller: &Caller,
    input: StopTaskRequest,
) -> Result<StopTaskResponse, StopTaskError> {
    input::check(&input)?;
    let (at, cluster) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
    let named = input.task.as_deref().unwrap_or_default();
    let id = identifiers::task_id(&at, named).map_err(|error| super::not_found(&error))?;
    let task = cluster.task(id).ok_or_else(|| InvalidParameterException::new(texts::TASK_NOT_FOUND))?.clone();
    let reason = input.reason.filter(|reason| !reason.is_empty());
    let reason = reason.as_deref().unwrap_or(texts::STOPPED_BY_USER);
    if reason.chars().count() > REASON_CHARACTERS_MAX {
        return Err(InvalidParameterException::new(texts::REASON_LONG).into());
    }
    tasks::stop(tx, &at, &task, StopCode::UserInitiated, reason);
    let stopped = tx
        .ecs()
        .cluster(&at)
        .and_then(|cluster| Some(View::of(tx.state(), &at, cluster.task(id)?).shape(&at, true)));
    Ok(StopTaskResponse { task: stopped })
}
