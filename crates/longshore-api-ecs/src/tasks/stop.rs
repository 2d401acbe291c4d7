//! StopTask.

use longshore_controllers::tasks;
use longshore_domain::StopCode;
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::EcsState;

use super::shape::View;
use crate::{Caller, Ecs, identifiers, input, permission, texts};

/// The longest `reason`.
const REASON_CHARACTERS_MAX: usize = 1024;

/// Tells a task to stop. One that was told before, or that is STOPPED already, is answered as it is.
impl Command<Ecs> for ops::StopTask {
    type Parsed = Self::Input;
    type Answer = StopTaskResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_members(input.cluster.as_deref(), "task", input.task.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, cluster) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let named = input.task.as_deref().unwrap_or_default();
        let id = identifiers::task_id(&at, named).map_err(|error| super::not_found(&error))?;
        let task =
            cluster.task(id).ok_or_else(|| InvalidParameterException::new(texts::TASK_NOT_FOUND))?.clone();
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
}
