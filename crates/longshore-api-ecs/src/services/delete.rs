//! DeleteService.

use longshore_domain::{SchedulingStrategy, ServiceStatus};
use longshore_rollout::TaskSetStatus;
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{EcsTx, record};

use super::{answer, lookup};
use crate::{Caller, Ecs, identifiers, input, permission, task_sets, texts};

/// Ends a service: DRAINING at once, INACTIVE when the scheduler has stopped its tasks (ecs-services E10).
impl Command<Ecs> for ops::DeleteService {
    type Parsed = Self::Input;
    type Answer = DeleteServiceResponse;

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
        let (at, cluster) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let named = input.service.as_deref().unwrap_or_default();
        let (name, entry) = lookup::find::<DeleteServiceError>(&at, cluster, named)?;
        let record = entry.record().expect("a service that was found has a record");
        match record.status {
            ServiceStatus::Active => {}
            ServiceStatus::Draining => {
                return Ok(DeleteServiceResponse { service: answer(tx.state(), &at, &name) });
            }
            ServiceStatus::Inactive => {
                return Err(ServiceNotFoundException::new(texts::SERVICE_NOT_FOUND).into());
            }
        }
        // Tasks that are still stopping after a scale-in to 0 do not matter (ecs-behaviour A11).
        let scaled = record.scheduling == SchedulingStrategy::Replica && record.desired_count > 0;
        if scaled && input.force != Some(true) {
            return Err(InvalidParameterException::new(texts::SCALED_ABOVE_ZERO).into());
        }
        // Sets on their way out do not matter either.
        let live = entry.task_sets().values().any(|set| set.status != TaskSetStatus::Draining);
        if live && input.force != Some(true) {
            return Err(InvalidParameterException::new(texts::DEPLOYMENTS_ACTIVE).into());
        }
        let mut service = record::Service::clone(record);
        service.status = ServiceStatus::Draining;
        service.desired_count = 0;
        service.memory.refusals.clear();
        task_sets::drain_all(tx, &at, &name);
        tx.put_service(&at, service);
        Ok(DeleteServiceResponse { service: answer(tx.state(), &at, &name) })
    }
}
