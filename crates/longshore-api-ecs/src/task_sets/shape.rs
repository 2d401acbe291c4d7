//! A task set as the API shows it.

use std::sync::Arc;

use longshore_controllers::launch::platform_version;
use longshore_shapes_ecs as shapes;
use longshore_tables_ecs::record::{Service, TaskSet};
use longshore_tables_ecs::{ClusterKey, ServiceEntry};

use super::scale;
use crate::connections;
use crate::launching::capacity;
use crate::services::lookup::{number, recall};
use crate::tags;

/// The sets of a service in the order in which they are shown.
pub(crate) fn newest_first(entry: &ServiceEntry) -> Vec<Arc<TaskSet>> {
    let mut sets: Vec<_> = entry.task_sets().values().cloned().collect();
    sets.sort_by_key(|set| std::cmp::Reverse((set.created_at, set.id)));
    sets
}

/// `running` and `pending` are the set's tasks that are not STOPPED.
pub(crate) fn shape(
    at: &ClusterKey,
    service: &Service,
    set: &TaskSet,
    (running, pending): (i32, i32),
    with_tags: bool,
) -> shapes::TaskSet {
    let scope = &at.scope;
    let (launch_type, strategy) = capacity::shapes(&set.capacity);
    let (family, revision) = &set.task_definition;
    shapes::TaskSet {
        capacity_provider_strategy: strategy,
        cluster_arn: Some(scope.cluster_arn(&at.cluster)),
        computed_desired_count: Some(number(scale::computed(service, set))),
        created_at: Some(set.created_at),
        external_id: set.external_id.as_deref().map(str::to_owned),
        fargate_ephemeral_storage: None,
        id: Some(set.id.to_string()),
        launch_type,
        load_balancers: Some(connections::load_balancer_shapes(&set.load_balancers)),
        network_configuration: recall(&set.network),
        pending_count: Some(pending),
        platform_family: capacity::platform_family(&set.capacity),
        platform_version: platform_version(set.platform_version.as_ref()).map(|version| version.to_string()),
        running_count: Some(running),
        scale: Some(scale::shape(set.scale_basis_points)),
        service_arn: Some(scope.service_arn(&at.cluster, &service.name, service.arn_format)),
        service_registries: Some(connections::registry_shapes(&set.service_registries)),
        stability_status: Some(set.stability.as_str().into()),
        stability_status_at: Some(set.stability_at),
        // Only deployments that CodeDeploy drives have somebody to name.
        started_by: None,
        status: Some(set.status.as_str().to_owned()),
        tags: Some(if with_tags { tags::shapes(&set.tags) } else { Vec::new() }),
        task_definition: Some(scope.task_definition_arn(family, *revision)),
        task_set_arn: Some(scope.task_set_arn(&at.cluster, &service.name, set.id)),
        updated_at: Some(set.updated_at),
    }
}
