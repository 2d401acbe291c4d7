//! A service as the API shows it (ecs-services E1).

use std::sync::Arc;

use longshore_base::Family;
use longshore_domain::{ServiceStatus, status};
use longshore_rollout::TaskSetStatus;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{
    AvailabilityZoneRebalancing, DeploymentController, ResourceManagementType, ServiceCurrentRevisionSummary,
};
use longshore_tables_ecs::record::{self, Document};
use longshore_tables_ecs::{ClusterKey, ClusterTables, ServiceEntry};

use super::configuration::Configuration;
use super::lookup::{Counts, number, recall};
use crate::connections;
use crate::launching::{capacity, placement};
use crate::{documents, tags, task_sets};

/// A service at one moment. Taken under the state's lock; the shape is made of it afterwards.
#[derive(Clone, Debug)]
pub struct View {
    service: Arc<record::Service>,
    /// Newest first.
    events: Vec<Arc<record::ServiceEvent>>,
    counts: Counts,
    /// Newest first.
    task_sets: Vec<Arc<record::TaskSet>>,
}

/// Members of a service that its PRIMARY task set decides, if it is made of such.
#[derive(Debug, Default)]
struct Face<'v> {
    launch_type: Option<shapes::LaunchType>,
    strategy: Option<Vec<shapes::CapacityProviderStrategyItem>>,
    definition: Option<&'v (Family, u32)>,
    platform_family: Option<String>,
    platform_version: Option<&'v str>,
    network: Option<&'v Document>,
}

impl View {
    pub(super) fn of(cluster: &ClusterTables, entry: &ServiceEntry) -> Option<Self> {
        let service = entry.record()?.clone();
        let events = entry.events().iter().rev().cloned().collect();
        let counts = Counts::of(cluster, entry);
        let task_sets = task_sets::newest_first(entry);
        Some(Self { service, events, counts, task_sets })
    }

    pub(super) fn shape(&self, at: &ClusterKey, with_tags: bool) -> shapes::Service {
        let Self { service, counts, .. } = self;
        let scope = &at.scope;
        let (running, pending) = counts.all();
        let Face { launch_type, strategy, definition, platform_family, platform_version, network } =
            self.face();
        let definition = definition.map(|(family, number)| scope.task_definition_arn(family, *number));
        let rebalancing = if service.zone_rebalancing {
            AvailabilityZoneRebalancing::Enabled
        } else {
            AvailabilityZoneRebalancing::Disabled
        };
        let grace = service.health_check_grace_secs.map(|secs| i32::try_from(secs).unwrap_or(i32::MAX));
        shapes::Service {
            availability_zone_rebalancing: Some(rebalancing),
            capacity_provider_strategy: strategy,
            cluster_arn: Some(scope.cluster_arn(&at.cluster)),
            created_at: Some(service.created_at),
            created_by: Some(service.created_by.to_string()),
            current_service_deployment: self.current_deployment(at),
            current_service_revisions: Some(self.current_revisions(at)),
            deployment_configuration: Some(Configuration::of(service).shape()),
            deployment_controller: Some(DeploymentController {
                r#type: Some(service.controller.as_str().into()),
            }),
            deployments: Some(service.deployments.iter().map(|own| self.deployment(at, own)).collect()),
            desired_count: Some(number(service.desired_count)),
            enable_ecs_managed_tags: Some(service.managed_tags),
            enable_execute_command: Some(service.enable_execute_command),
            events: Some(self.events.iter().map(|event| event_shape(event)).collect()),
            health_check_grace_period_seconds: grace,
            launch_type,
            load_balancers: Some(connections::load_balancer_shapes(&service.load_balancers)),
            network_configuration: network.and_then(documents::recall),
            pending_count: Some(pending),
            placement_constraints: Some(placement::constraint_shapes(&service.placement_constraints)),
            placement_strategy: Some(placement::strategy_shapes(&service.placement_strategy)),
            platform_family,
            platform_version: platform_version.map(str::to_owned),
            propagate_tags: Some(service.propagate_tags.as_str().into()),
            resource_management_type: Some(ResourceManagementType::Customer),
            role_arn: role_arn(at, service),
            running_count: Some(running),
            scheduling_strategy: Some(service.scheduling.as_str().into()),
            service_arn: Some(scope.service_arn(&at.cluster, &service.name, service.arn_format)),
            service_name: Some(service.name.to_string()),
            service_registries: Some(connections::registry_shapes(&service.service_registries)),
            status: Some(service.status.as_str().to_owned()),
            tags: (with_tags && !service.tags.is_empty()).then(|| tags::shapes(&service.tags)),
            task_definition: definition,
            task_sets: self.has_task_sets().then(|| self.set_shapes(at, with_tags)),
        }
    }

    fn has_task_sets(&self) -> bool {
        match self.service.controller {
            status::DeploymentController::Ecs => false,
            status::DeploymentController::External | status::DeploymentController::CodeDeploy => true,
        }
    }

    fn set_shapes(&self, at: &ClusterKey, with_tags: bool) -> Vec<shapes::TaskSet> {
        let Self { service, counts, task_sets, .. } = self;
        let shape = |set: &Arc<record::TaskSet>| {
            task_sets::shape(at, service, set, counts.of_deployment(set.id), with_tags)
        };
        task_sets.iter().map(shape).collect()
    }

    /// What the service is described as: its own wishes, or those of its PRIMARY task set.
    fn face(&self) -> Face<'_> {
        let service = &self.service;
        if !self.has_task_sets() {
            let (launch_type, strategy) = capacity::shapes(&service.capacity);
            return Face {
                launch_type,
                strategy,
                definition: service.task_definition.as_ref(),
                platform_family: capacity::platform_family(&service.capacity),
                platform_version: service.platform_version.as_deref(),
                network: service.network.as_ref(),
            };
        }
        let primary = self.task_sets.iter().find(|set| set.status == TaskSetStatus::Primary);
        let Some(set) = primary else { return Face::default() };
        let (launch_type, strategy) = capacity::shapes(&set.capacity);
        Face {
            launch_type,
            strategy,
            definition: Some(&set.task_definition),
            platform_family: capacity::platform_family(&set.capacity),
            platform_version: set.platform_version.as_deref(),
            network: set.network.as_ref(),
        }
    }

    fn primary(&self) -> Option<&record::Deployment> {
        self.service.deployments.iter().find(|deployment| deployment.primary)
    }

    fn current_deployment(&self, at: &ClusterKey) -> Option<String> {
        let id = self.primary()?.service_deployment;
        Some(at.scope.service_deployment_arn(&at.cluster, &self.service.name, id))
    }

    fn current_revisions(&self, at: &ClusterKey) -> Vec<ServiceCurrentRevisionSummary> {
        let summary = |deployment: &record::Deployment| {
            let (running, pending) = self.counts.of_deployment(deployment.id);
            ServiceCurrentRevisionSummary {
                arn: Some(at.scope.service_revision_arn(
                    &at.cluster,
                    &self.service.name,
                    deployment.revision,
                )),
                requested_task_count: Some(number(deployment.desired_count)),
                running_task_count: Some(running),
                pending_task_count: Some(pending),
            }
        };
        let shown = self.service.status != ServiceStatus::Inactive;
        self.service.deployments.iter().filter(|_| shown).map(summary).collect()
    }

    fn deployment(&self, at: &ClusterKey, deployment: &record::Deployment) -> shapes::Deployment {
        let (running, pending) = self.counts.of_deployment(deployment.id);
        let (launch_type, strategy) = capacity::shapes(&deployment.capacity);
        let (family, revision) = &deployment.task_definition;
        shapes::Deployment {
            capacity_provider_strategy: strategy,
            created_at: Some(deployment.created_at),
            desired_count: Some(number(deployment.desired_count)),
            failed_tasks: Some(number(deployment.failed_tasks)),
            id: Some(deployment.id.to_string()),
            launch_type,
            network_configuration: recall(&deployment.network),
            pending_count: Some(pending),
            platform_family: capacity::platform_family(&deployment.capacity),
            platform_version: deployment.platform_version.as_deref().map(str::to_owned),
            rollout_state: Some(deployment.rollout_state.as_str().into()),
            rollout_state_reason: Some(deployment.rollout_reason.to_string()),
            running_count: Some(running),
            status: Some(if deployment.primary { "PRIMARY" } else { "ACTIVE" }.to_owned()),
            task_definition: Some(at.scope.task_definition_arn(family, *revision)),
            updated_at: Some(deployment.updated_at),
            ..shapes::Deployment::default()
        }
    }
}

/// The role that ECS itself assumes, shown where it would have something to do (ecs-services E1).
fn role_arn(at: &ClusterKey, service: &record::Service) -> Option<String> {
    if let Some(role) = &service.role {
        return Some(role.to_string());
    }
    let used = service.network.is_some()
        || !service.load_balancers.is_empty()
        || !service.service_registries.is_empty();
    used.then(|| {
        format!(
            "arn:{}:iam::{}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            at.scope.partition().as_str(),
            at.scope.account
        )
    })
}

fn event_shape(event: &record::ServiceEvent) -> shapes::ServiceEvent {
    shapes::ServiceEvent {
        id: Some(event.id.to_string()),
        created_at: Some(event.at),
        message: Some(event.message.to_string()),
    }
}
