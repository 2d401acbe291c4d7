//! What services run on, those that leave it to their task sets included.

use longshore_domain::status::DeploymentController;
use longshore_rollout::TaskSetStatus;
use longshore_tables_ecs::ServiceEntry;
use longshore_tables_ecs::record::Capacity;

/// Every capacity that the service may start tasks on.
pub(crate) fn capacities(entry: &ServiceEntry) -> impl Iterator<Item = &Capacity> {
    let own = entry.record().into_iter().flat_map(|service| {
        let of_deployments = service.deployments.iter().map(|deployment| &deployment.capacity);
        std::iter::once(&service.capacity).chain(of_deployments)
    });
    own.chain(entry.task_sets().values().map(|set| &set.capacity))
}

/// The one that the service is described with: its own, or that of its PRIMARY task set.
pub(crate) fn shown_capacity(entry: &ServiceEntry) -> Option<&Capacity> {
    let service = entry.record()?;
    match service.controller {
        DeploymentController::Ecs => Some(&service.capacity),
        DeploymentController::External | DeploymentController::CodeDeploy => {
            let primary = entry.task_sets().values().find(|set| set.status == TaskSetStatus::Primary);
            primary.map(|set| &set.capacity)
        }
    }
}
