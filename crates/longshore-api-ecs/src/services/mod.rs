//! Services: created, updated, described, listed, deleted (ecs-operations B6, ecs-services E1 to E3
//! and E10). What happens to them afterwards, the controllers decide.

mod configuration;
mod create;
mod delete;
mod describe;
mod external;
mod list;
pub(crate) mod lookup;
mod networking;
mod rules;
mod shape;
mod update;

pub use describe::DescribedServices;
pub use shape::View;

pub(crate) use create::check_token;
pub(crate) use networking::Networking;

use longshore_base::ServiceName;
use longshore_domain::status::{DeploymentController, PropagateTags};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{InvalidParameterException, UnsupportedFeatureException};
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, EcsState};

use crate::texts;

/// The service as writers answer it.
fn answer(state: &State, at: &ClusterKey, name: &ServiceName) -> Option<shapes::Service> {
    let cluster = state.ecs().cluster(at)?;
    Some(View::of(cluster, cluster.service(name)?)?.shape(at, true))
}

/// Who drives the deployments of a new service. There is no CodeDeploy to drive any.
fn controller(
    given: Option<&shapes::DeploymentController>,
) -> Result<DeploymentController, UnsupportedFeatureException> {
    match given.and_then(|controller| controller.r#type.as_ref()) {
        None | Some(shapes::DeploymentControllerType::Ecs) => Ok(DeploymentController::Ecs),
        Some(shapes::DeploymentControllerType::External) => Ok(DeploymentController::External),
        Some(
            other @ (shapes::DeploymentControllerType::CodeDeploy
            | shapes::DeploymentControllerType::Unrecognized(_)),
        ) => Err(UnsupportedFeatureException::new(texts::no_controller(other.as_str()))),
    }
}

/// A service keeps its controller (ecs-services E7).
fn check_same_controller(
    given: Option<&shapes::DeploymentController>,
    present: DeploymentController,
) -> Result<(), UnsupportedFeatureException> {
    match given.and_then(|controller| controller.r#type.as_ref()) {
        Some(other) if other.as_str() != present.as_str() => {
            Err(UnsupportedFeatureException::new(texts::CONTROLLER_STAYS))
        }
        None | Some(_) => Ok(()),
    }
}

/// The most tasks of one service: a quota of ECS (ecs-behaviour A10).
const DESIRED_COUNT_MAX: u32 = 5_000;

/// The tasks that a service is to have.
fn task_count(given: i32) -> Result<u32, InvalidParameterException> {
    match u32::try_from(given) {
        Ok(count) if count <= DESIRED_COUNT_MAX => Ok(count),
        Ok(_) => Err(InvalidParameterException::new(texts::DESIRED_COUNT_LIMIT)),
        Err(_) => Err(InvalidParameterException::new(texts::DESIRED_COUNT_NEGATIVE)),
    }
}

/// Seconds for which health checks do not count.
fn grace_period(given: Option<i32>) -> Result<Option<u32>, InvalidParameterException> {
    given.map(u32::try_from).transpose().map_err(|_| InvalidParameterException::new(texts::GRACE_NEGATIVE))
}

/// Whose tags new tasks get, where a call says so.
fn propagate_tags(given: Option<shapes::PropagateTags>) -> Option<PropagateTags> {
    match given? {
        shapes::PropagateTags::TaskDefinition => Some(PropagateTags::TaskDefinition),
        shapes::PropagateTags::Service => Some(PropagateTags::Service),
        shapes::PropagateTags::None => Some(PropagateTags::None),
        // Refused with the constraints of the model.
        shapes::PropagateTags::Unrecognized(_) => None,
    }
}
