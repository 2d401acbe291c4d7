//! DeleteTaskSet.

use longshore_base::ServiceName;
use longshore_rollout::{Stability, TaskSetStatus};
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, EcsTx, record};

use super::{answer, owner};
use crate::{Caller, Ecs, input, permission, texts};

/// Ends a set: DRAINING at once, gone when the scheduler has stopped its tasks. Without force it must
/// be scaled to 0 before. A repetition answers the set as long as it is there.
impl Command<Ecs> for ops::DeleteTaskSet {
    type Parsed = Self::Input;
    type Answer = DeleteTaskSetResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_task_sets(input.cluster.as_deref(), input.service.as_deref(), input.task_set.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let owner = owner::<DeleteTaskSetError>(
            tx.state(),
            caller,
            input.cluster.as_deref(),
            input.service.as_deref(),
        )?;
        owner.check_active()?;
        let set = owner.set::<DeleteTaskSetError>(input.task_set.as_deref())?;
        let (at, name, id) = (owner.at.clone(), owner.name.clone(), set.id);
        match set.status {
            TaskSetStatus::Primary | TaskSetStatus::Active => {
                if set.scale_basis_points > 0 && input.force != Some(true) {
                    return Err(InvalidParameterException::new(texts::TASK_SET_SCALED).into());
                }
                drain(tx, &at, set);
            }
            TaskSetStatus::Draining => {}
        }
        Ok(DeleteTaskSetResponse { task_set: answer(tx.state(), &at, &name, id) })
    }
}

fn drain(tx: &mut Tx<'_>, at: &ClusterKey, mut set: record::TaskSet) {
    set.status = TaskSetStatus::Draining;
    set.updated_at = tx.now;
    if set.stability == Stability::SteadyState {
        set.stability = Stability::Stabilizing;
        set.stability_at = tx.now;
    }
    tx.put_task_set(at, set);
}

/// The service is deleted, and every set of it.
pub(crate) fn drain_all(tx: &mut Tx<'_>, at: &ClusterKey, name: &ServiceName) {
    let sets = tx.service(&at.service(name)).map(|entry| entry.task_sets().values());
    let live = sets.into_iter().flatten().filter(|set| set.status != TaskSetStatus::Draining);
    for set in live.map(|set| record::TaskSet::clone(set)).collect::<Vec<_>>() {
        drain(tx, at, set);
    }
}
