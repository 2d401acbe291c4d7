//! UpdateTaskSet and UpdateServicePrimaryTaskSet.

use longshore_rollout::TaskSetStatus;
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{EcsTx, record};

use super::{answer, check_not_draining, owner, scale};
use crate::{Caller, Ecs, input, permission, texts};

/// Changes a set's scale, the only thing of it that changes. Its pauses after failures end.
impl Command<Ecs> for ops::UpdateTaskSet {
    type Parsed = Self::Input;
    type Answer = UpdateTaskSetResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_task_sets(input.cluster.as_deref(), input.service.as_deref(), input.task_set.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let owner = owner::<UpdateTaskSetError>(
            tx.state(),
            caller,
            input.cluster.as_deref(),
            input.service.as_deref(),
        )?;
        owner.check_active()?;
        let mut set = owner.set::<UpdateTaskSetError>(input.task_set.as_deref())?;
        check_not_draining(&set)?;
        let given = input.scale.as_ref().ok_or_else(|| InvalidParameterException::new(texts::SCALE_VALUE))?;
        set.scale_basis_points = scale::parse(given)?;
        scale::unsettle(&mut set, tx.now);
        let (at, name, id) = (owner.at.clone(), owner.name.clone(), set.id);
        let mut service = record::Service::clone(owner.service);
        service.memory.refusals.retain(|refusal| refusal.deployment != id);
        tx.put_task_set(&at, set);
        tx.put_service(&at, service);
        Ok(UpdateTaskSetResponse { task_set: answer(tx.state(), &at, &name, id) })
    }
}

/// Makes a set the one that the service is described as; the one that was it becomes ACTIVE.
impl Command<Ecs> for ops::UpdateServicePrimaryTaskSet {
    type Parsed = Self::Input;
    type Answer = UpdateServicePrimaryTaskSetResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "service",
            input.service.as_deref(),
        )
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let owner = owner::<UpdateServicePrimaryTaskSetError>(
            tx.state(),
            caller,
            input.cluster.as_deref(),
            input.service.as_deref(),
        )?;
        owner.check_active()?;
        let mut chosen = owner.set::<UpdateServicePrimaryTaskSetError>(input.primary_task_set.as_deref())?;
        check_not_draining(&chosen)?;
        let (at, name, id) = (owner.at.clone(), owner.name.clone(), chosen.id);
        if chosen.status != TaskSetStatus::Primary {
            let sets = owner.entry.task_sets().values();
            let former = sets.filter(|set| set.status == TaskSetStatus::Primary);
            let former: Vec<_> = former.map(|set| record::TaskSet::clone(set)).collect();
            for mut set in former {
                set.status = TaskSetStatus::Active;
                set.updated_at = tx.now;
                tx.put_task_set(&at, set);
            }
            chosen.status = TaskSetStatus::Primary;
            chosen.updated_at = tx.now;
            tx.put_task_set(&at, chosen);
        }
        Ok(UpdateServicePrimaryTaskSetResponse { task_set: answer(tx.state(), &at, &name, id) })
    }
}
