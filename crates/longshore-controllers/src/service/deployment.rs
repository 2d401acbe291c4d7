//! Deployments of a service: how they begin, and what their tasks are made from.

use std::sync::Arc;

use longshore_base::{DeploymentId, Family, InstanceId, Timestamp};
use longshore_domain::RolloutState;
use longshore_domain::needs::NeedsOverride;
use longshore_domain::status::PropagateTags;
use longshore_domain::tags::Tags;
use longshore_placement::Reason;
use longshore_rollout::{PlacementRefusal, RolloutReason, ServiceDeploymentStatus, room_may_help};
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{
    Capacity, Deployment, Document, Origin, Service, ServiceDeployment, ServiceMembership, ServiceRevision,
    TaskSet,
};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};

use crate::launch::{Template, platform_version};

/// Makes a new PRIMARY deployment from what the service's record asks for now; the former one
/// becomes ACTIVE. The caller stores the service.
///
/// `desired_count` is what the deployment shows at first: all of the service's when it is created,
/// none after an update (ecs-behaviour, Part X).
pub fn begin(
    tx: &mut Tx<'_>,
    at: &ClusterKey,
    service: &mut Service,
    definition: (Family, u32),
    desired_count: u32,
    configuration: &str,
) -> DeploymentId {
    let id = tx.ids.deployment();
    let service_deployment = tx.ids.service_deployment();
    let revision = tx.ids.deployment();
    let now = tx.now;
    let sources = service.deployments.iter().map(|old| (old.revision, old.desired_count)).collect();
    for old in &mut service.deployments {
        old.primary = false;
    }
    tx.put_service_revision(
        at,
        ServiceRevision {
            id: revision,
            service: service.name.clone(),
            created_at: now,
            task_definition: definition.clone(),
            capacity: service.capacity.clone(),
            platform_version: service.platform_version.clone(),
            network: service.network.clone(),
            load_balancers: service.load_balancers.clone(),
            service_registries: service.service_registries.clone(),
            service_connect: service.service_connect.clone(),
            images: images(tx.state(), at, &definition),
        },
    );
    tx.put_service_deployment(
        at,
        ServiceDeployment {
            id: service_deployment,
            service: service.name.clone(),
            created_at: now,
            started_at: Some(now),
            finished_at: None,
            stopped_at: None,
            updated_at: now,
            sources,
            target: revision,
            status: ServiceDeploymentStatus::InProgress,
            status_reason: None,
            failure_count: 0,
            rollback: None,
            configuration: configuration.into(),
        },
    );
    let deployment = Deployment {
        id,
        primary: true,
        task_definition: definition,
        desired_count,
        failed_tasks: 0,
        created_at: now,
        updated_at: now,
        rollout_state: RolloutState::InProgress,
        rollout_reason: RolloutReason::InProgress.text(id).into(),
        had_running_task: false,
        rolls_back: None,
        service_deployment,
        capacity: service.capacity.clone(),
        platform_version: platform_version(service.platform_version.as_ref()),
        network: service.network.clone(),
        stop_request: None,
        revision,
        baking_since: None,
        alarms_ignored: false,
    };
    service.deployments.insert(0, deployment);
    forget_oldest(tx, at, service);
    id
}

/// Forgets what kept the service from starting tasks: whoever changes it, or begins a deployment, wants another try.
pub fn forget_failures(service: &mut Service) {
    service.memory.throttle = Default::default();
    service.memory.fallback_throttle = Default::default();
    service.memory.refusals.clear();
}

/// How many service deployments of a service are kept (ecs-operations B8).
const SERVICE_DEPLOYMENTS_KEPT: usize = 50;
/// The most that one call forgets. One comes and one goes, so that this only matters after the limit fell.
const FORGOTTEN_AT_ONCE: usize = 4;

/// Removes the oldest service deployments beyond the limit, with their revisions, unless a deployment
/// still needs them.
fn forget_oldest(tx: &mut Tx<'_>, at: &ClusterKey, service: &Service) {
    let key = at.service(&service.name);
    let Some(entry) = tx.service(&key) else { return };
    let excess = entry.deployments().len().saturating_sub(SERVICE_DEPLOYMENTS_KEPT);
    if excess == 0 {
        return;
    }
    let needed = |record: &ServiceDeployment| {
        service.deployments.iter().any(|deployment| deployment.service_deployment == record.id)
            || service.memory.last_completed.is_some_and(|last| last.revision == record.target)
    };
    let mut oldest: Vec<_> = entry.deployments().values().filter(|record| !needed(record)).cloned().collect();
    oldest.sort_by_key(|record| (record.created_at, record.id));
    for record in oldest.iter().take(excess.min(FORGOTTEN_AT_ONCE)) {
        tx.delete::<ServiceDeployment>(key.deployment(record.id));
        tx.delete::<ServiceRevision>(key.revision(record.target));
    }
}

fn images(
    state: &State,
    at: &ClusterKey,
    (family, revision): &(Family, u32),
) -> Vec<(longshore_base::ContainerName, Arc<str>, Option<Arc<str>>)> {
    let definition = state.ecs().definition(&at.scope, family, *revision);
    let containers = definition.iter().flat_map(|definition| &definition.spec().containers);
    containers.map(|container| (container.name.clone(), container.image.as_str().into(), None)).collect()
}

/// The deployment that goes back to an earlier revision (ecs-services E4).
pub fn roll_back(
    service: &mut Service,
    revision: &ServiceRevision,
    new: &longshore_rollout::NewDeployment,
    now: Timestamp,
) {
    let failed = service.deployments.iter().find(|deployment| deployment.id == new.rolled_back_from);
    let service_deployment = failed.map(|failed| failed.service_deployment);
    for old in &mut service.deployments {
        old.primary = false;
    }
    // What the user sees as the service's own is what its PRIMARY runs.
    service.task_definition = Some(revision.task_definition.clone());
    service.capacity = revision.capacity.clone();
    service.platform_version.clone_from(&revision.platform_version);
    service.network.clone_from(&revision.network);
    let deployment = Deployment {
        id: new.id,
        primary: true,
        task_definition: revision.task_definition.clone(),
        desired_count: new.desired_count,
        failed_tasks: 0,
        created_at: now,
        updated_at: now,
        rollout_state: RolloutState::InProgress,
        rollout_reason: new.reason.text(new.id).into(),
        had_running_task: false,
        rolls_back: Some(new.rolled_back_from),
        service_deployment: service_deployment.unwrap_or(longshore_base::ServiceDeploymentId::from_bits(0)),
        capacity: revision.capacity.clone(),
        platform_version: platform_version(revision.platform_version.as_ref()),
        network: revision.network.clone(),
        stop_request: None,
        revision: new.revision,
        baking_since: None,
        alarms_ignored: new.alarms_ignored,
    };
    service.deployments.insert(0, deployment);
}

/// What a deployment or a task set says of its tasks.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub id: DeploymentId,
    pub task_definition: (Family, u32),
    pub capacity: Capacity,
    pub platform_version: Option<Arc<str>>,
    pub network: Option<Document>,
}

impl From<&Deployment> for Recipe {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id,
            task_definition: deployment.task_definition.clone(),
            capacity: deployment.capacity.clone(),
            platform_version: deployment.platform_version.clone(),
            network: deployment.network.clone(),
        }
    }
}

impl From<&TaskSet> for Recipe {
    fn from(set: &TaskSet) -> Self {
        Self {
            id: set.id,
            task_definition: set.task_definition.clone(),
            capacity: set.capacity.clone(),
            platform_version: set.platform_version.clone(),
            network: set.network.clone(),
        }
    }
}

/// What tasks of a deployment are made from. `None` if its definition is gone.
pub fn template(state: &State, at: &ClusterKey, service: &Service, deployment: &Recipe) -> Option<Template> {
    let (family, revision) = &deployment.task_definition;
    let definition = state.ecs().definition(&at.scope, family, *revision)?.clone();
    let needs = definition.spec().needs(&NeedsOverride::default());
    let mut tags = match service.propagate_tags {
        PropagateTags::None => Tags::new(),
        PropagateTags::TaskDefinition => definition.tags.clone(),
        PropagateTags::Service => service.tags.clone(),
    };
    if service.managed_tags {
        tags.insert("aws:ecs:clusterName".into(), at.cluster.to_string());
        tags.insert("aws:ecs:serviceName".into(), service.name.to_string());
    }
    let origin = Origin {
        family: family.clone(),
        revision: *revision,
        needs,
        arn_format: service.arn_format,
        group: format!("service:{}", service.name).into(),
        started_by: Some(deployment.id.to_string().into()),
        service: Some(ServiceMembership { name: service.name.clone(), deployment: deployment.id }),
        launch_type: deployment.capacity.launch_type(),
        // Resolved when a task is placed.
        capacity_provider: None,
        overrides: None,
        network: deployment.network.clone(),
        enable_execute_command: service.enable_execute_command,
        platform_version: platform_version(deployment.platform_version.as_ref()),
        tags,
    };
    Some(Template::new(state, at, definition, Arc::new(origin)))
}

/// Why no task of a deployment is placed whose definition is gone.
pub const DEFINITION_GONE: &str = "The task definition of the deployment does not exist any more.";

/// Why a task was not placed.
pub struct Refused {
    pub reason: PlacementRefusal,
    /// It might fit once another task of the service is gone.
    pub room_may_help: bool,
}

/// Why one instance cannot take a task.
pub fn placement_refusal(instance: InstanceId, reason: &Reason) -> Refused {
    Refused {
        reason: PlacementRefusal::closest(instance, reason).unwrap_or(PlacementRefusal::NoInstances),
        room_may_help: room_may_help(reason),
    }
}
