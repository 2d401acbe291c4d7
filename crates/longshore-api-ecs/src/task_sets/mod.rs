//! Task sets: what services of the EXTERNAL deployment controller are made of (ecs-operations B7,
//! ecs-services E7). A deployment tool creates them, shifts tasks between them and deletes them; the
//! controllers hold each at its share of the service's desired count.

mod create;
mod delete;
mod describe;
mod scale;
mod shape;
mod update;

pub use describe::DescribedTaskSets;

pub(crate) use delete::drain_all;
pub(crate) use scale::desired_count_changed;
pub(crate) use shape::{newest_first, shape};

use std::sync::Arc;

use longshore_base::ServiceName;
use longshore_domain::ServiceStatus;
use longshore_domain::status::DeploymentController;
use longshore_rollout::TaskSetStatus;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{
    InvalidParameterException, ServiceNotActiveException, ServiceNotFoundException, TaskSetNotFoundException,
    UnsupportedFeatureException,
};
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, EcsState, ServiceEntry, record};

use crate::identifiers::{self, NoCluster, NoMember};
use crate::services::lookup;
use crate::{Caller, texts};

/// The service that a call about task sets names.
struct Owner<'s> {
    at: ClusterKey,
    name: ServiceName,
    entry: &'s ServiceEntry,
    service: &'s Arc<record::Service>,
}

/// Looks the service up, whatever its status but INACTIVE.
fn owner<'s, E>(
    state: &'s State,
    caller: &Caller,
    cluster: Option<&str>,
    named: Option<&str>,
) -> Result<Owner<'s>, E>
where
    E: From<NoCluster>
        + From<InvalidParameterException>
        + From<ServiceNotFoundException>
        + From<ServiceNotActiveException>
        + From<UnsupportedFeatureException>,
{
    let (at, cluster) = identifiers::cluster(state, caller, cluster)?;
    let (name, entry) = lookup::find::<E>(&at, cluster, named.unwrap_or_default())?;
    let service = entry.record().expect("a service that was found has a record");
    if service.status == ServiceStatus::Inactive {
        return Err(ServiceNotActiveException::new(texts::SERVICE_NOT_ACTIVE).into());
    }
    match service.controller {
        DeploymentController::External | DeploymentController::CodeDeploy => {
            Ok(Owner { at, name, entry, service })
        }
        DeploymentController::Ecs => {
            Err(UnsupportedFeatureException::new(texts::task_sets_need_external(name.as_str())).into())
        }
    }
}

impl Owner<'_> {
    /// A service that is being deleted takes no changes any more.
    fn check_active(&self) -> Result<(), ServiceNotActiveException> {
        match self.service.status {
            ServiceStatus::Active => Ok(()),
            ServiceStatus::Draining | ServiceStatus::Inactive => {
                Err(ServiceNotActiveException::new(texts::SERVICE_NOT_ACTIVE))
            }
        }
    }

    /// The set that a call names, whatever its status.
    fn set<E>(&self, named: Option<&str>) -> Result<record::TaskSet, E>
    where
        E: From<InvalidParameterException> + From<TaskSetNotFoundException>,
    {
        let not_found = || E::from(TaskSetNotFoundException::new(texts::TASK_SET_NOT_FOUND));
        let named = named.unwrap_or_default();
        let id = identifiers::task_set_id(&self.at, &self.name, named).map_err(|error| match error {
            NoMember::NotFound => not_found(),
            NoMember::OtherCluster { .. } | NoMember::Malformed => {
                E::from(InvalidParameterException::new(error.to_string()))
            }
        })?;
        let set = self.entry.task_sets().get(&id).ok_or_else(not_found)?;
        Ok(record::TaskSet::clone(set))
    }
}

/// What is being deleted takes no changes any more.
fn check_not_draining(set: &record::TaskSet) -> Result<(), InvalidParameterException> {
    match set.status {
        TaskSetStatus::Primary | TaskSetStatus::Active => Ok(()),
        TaskSetStatus::Draining => Err(InvalidParameterException::new(texts::TASK_SET_DRAINING)),
    }
}

/// The set as writers answer it.
fn answer(
    state: &State,
    at: &ClusterKey,
    name: &ServiceName,
    id: longshore_base::DeploymentId,
) -> Option<shapes::TaskSet> {
    let cluster = state.ecs().cluster(at)?;
    let entry = cluster.service(name)?;
    let counts = lookup::Counts::of(cluster, entry);
    let set = entry.task_sets().get(&id)?;
    Some(shape(at, entry.record()?, set, counts.of_deployment(id), true))
}
