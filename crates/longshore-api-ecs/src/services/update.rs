//! UpdateService.

use std::sync::Arc;

use longshore_controllers::launch::Rules;
use longshore_controllers::service::deployment;
use longshore_domain::status::DeploymentController;
use longshore_domain::{NetworkMode, SchedulingStrategy, ServiceStatus};
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{self, Capacity};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};

use super::configuration::Configuration;
use super::networking::Networking;
use super::{answer, external, lookup, rules};
use crate::launching::{self, capacity, network, placement};
use crate::permission::Keys;
use crate::{Caller, Ecs, documents, identifiers, input, permission, texts};

/// A call of UpdateService, as far as it can be read by itself.
pub struct Change {
    pub(super) input: UpdateServiceRequest,
    /// Of the call, not of the service.
    pub(super) placement: Rules,
}

/// Changes what a service asks for; whatever is absent stays. Some changes begin a new deployment
/// (ecs-services E3). Pauses after failures end with every update.
impl Command<Ecs> for ops::UpdateService {
    type Parsed = Change;
    type Answer = UpdateServiceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let given = (input.placement_constraints.clone(), input.placement_strategy.clone());
        let placement = placement::parse(given.0, given.1)?;
        Ok(Change { input, placement })
    }

    fn resources(state: &State, caller: &Caller, change: &Self::Parsed) -> Resources {
        let input = &change.input;
        let ask = permission::of::<Self>(state, caller);
        let definition = input.task_definition.as_deref();
        let connect = input.service_connect_configuration.as_ref();
        let own = ask
            .on_members(input.cluster.as_deref(), "service", input.service.as_deref())
            .maybe(
                "ecs:task-definition",
                definition.map(|named| permission::definition_arn(state, caller, named)),
            )
            .providers(caller, input.capacity_provider_strategy.as_deref())
            .network(input.network_configuration.as_ref())
            .maybe("ecs:enable-execute-command", permission::bool(input.enable_execute_command))
            .maybe("ecs:enable-ecs-managed-tags", permission::bool(input.enable_ecs_managed_tags))
            .maybe("ecs:enable-service-connect", permission::bool(connect.and_then(|own| own.enabled)))
            .maybe("ecs:namespace", connect.and_then(|own| own.namespace.clone()))
            .maybe("ecs:enable-ebs-volumes", permission::some(input.volume_configurations.as_deref()))
            .maybe("ecs:propagate-tags", permission::propagate(input.propagate_tags.as_ref()));
        // Only a definition that is sent hands its roles over; a change of the count does not (identity J7).
        own.and(definition.into_iter().flat_map(|named| permission::pass_task_roles(ask, named)))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, change: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let input = &change.input;
        let (at, cluster) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let named = input.service.as_deref().unwrap_or_default();
        let (name, entry) = lookup::find::<UpdateServiceError>(&at, cluster, named)?;
        let before = entry.record().expect("a service that was found has a record").clone();
        if before.status != ServiceStatus::Active {
            return Err(ServiceNotActiveException::new(texts::SERVICE_NOT_ACTIVE).into());
        }
        super::check_same_controller(input.deployment_controller.as_ref(), before.controller)?;
        if before.controller == DeploymentController::External {
            return external::update_service(tx, &at, &before, change);
        }
        let force = input.force_new_deployment == Some(true);
        let definition = definition(tx, caller, &before, input.task_definition.as_deref())?;
        let mut service = updated(tx, caller, &at, &before, &definition, change)?;
        rules::check(&service, definition.spec())?;
        deployment::forget_failures(&mut service);
        if force || needs_deployment(&before, &service) {
            let revision = (definition.family.clone(), definition.revision);
            let configuration = Configuration::of(&service).document();
            // Its count rises as its tasks are started (ecs-behaviour, Part X).
            deployment::begin(tx, &at, &mut service, revision, 0, &configuration);
        } else if let [only] = service.deployments.as_mut_slice()
            && service.scheduling == SchedulingStrategy::Replica
            && only.desired_count != service.desired_count
        {
            only.desired_count = service.desired_count;
            only.updated_at = tx.now;
        }
        tx.put_service(&at, service);
        Ok(UpdateServiceResponse { service: answer(tx.state(), &at, &name) })
    }
}

/// The definition that the service runs from now on. The one that it runs already may be INACTIVE by now.
fn definition(
    tx: &Tx<'_>,
    caller: &Caller,
    service: &record::Service,
    named: Option<&str>,
) -> Result<Arc<record::TaskDefinition>, UpdateServiceError> {
    let own = service.task_definition.as_ref();
    let own = own.and_then(|(family, revision)| tx.ecs().definition(&caller.scope, family, *revision));
    match (named, own) {
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(ClientException::new(texts::DEFINITION_NOT_FOUND).into()),
        (Some(named), _) => launching::definition(tx.state(), caller, named),
    }
}

/// The service with what the call changes.
fn updated(
    tx: &Tx<'_>,
    caller: &Caller,
    at: &ClusterKey,
    before: &record::Service,
    definition: &record::TaskDefinition,
    Change { input, placement: given }: Change,
) -> Result<record::Service, UpdateServiceError> {
    let spec = definition.spec();
    let mut service = before.clone();
    service.task_definition = Some((definition.family.clone(), definition.revision));
    if let Some(count) = input.desired_count {
        service.desired_count = desired_count(service.scheduling, count)?;
    }
    if let Some(items) = input.capacity_provider_strategy {
        service.capacity = capacity_of(tx, at, before, items)?;
    }
    if let Some(version) = input.platform_version {
        service.platform_version =
            capacity::platform_version::<UpdateServiceError>(Some(version), &service.capacity)?;
    } else if before.capacity != service.capacity {
        service.platform_version = capacity::platform_version::<UpdateServiceError>(None, &service.capacity)?;
    }
    placement::check(&given, spec, &service.capacity)?;
    if input.placement_constraints.is_some() {
        service.placement_constraints = given.constraints;
    }
    if input.placement_strategy.is_some() {
        service.placement_strategy = given.strategies;
    }
    // Without its one member it says nothing.
    let given = input.network_configuration.filter(|given| given.awsvpc_configuration.is_some());
    service.network = match given {
        Some(given) => {
            let fargate = capacity::is_fargate(&service.capacity);
            network::parse(tx.state(), caller, Some(given), spec.network_mode, fargate)?
        }
        None => {
            // A definition of another mode takes the configuration with it.
            let kept = before.network.as_ref().filter(|_| spec.network_mode == NetworkMode::Awsvpc);
            let kept = kept.and_then(documents::recall);
            network::keep(kept, spec.network_mode, capacity::is_fargate(&service.capacity))?
        }
    };
    let connections = Networking {
        load_balancers: input.load_balancers.as_deref(),
        service_registries: input.service_registries.as_deref(),
        service_connect: input.service_connect_configuration.as_ref(),
        lattice: input.vpc_lattice_configurations.as_deref(),
        volumes: input.volume_configurations.as_deref(),
    }
    .parse::<UpdateServiceError>(spec)?;
    if input.load_balancers.is_some() {
        service.load_balancers = connections.load_balancers;
    }
    if input.service_registries.is_some() {
        service.service_registries = connections.service_registries;
    }
    if input.service_connect_configuration.is_some() {
        service.service_connect = connections.service_connect;
    }
    Configuration::of(before)
        .merge::<UpdateServiceError>(input.deployment_configuration, service.scheduling)?
        .store(&mut service);
    if input.health_check_grace_period_seconds.is_some() {
        service.health_check_grace_secs = super::grace_period(input.health_check_grace_period_seconds)?;
    }
    if let Some(propagate_tags) = super::propagate_tags(input.propagate_tags) {
        service.propagate_tags = propagate_tags;
    }
    service.managed_tags = input.enable_ecs_managed_tags.unwrap_or(service.managed_tags);
    service.enable_execute_command = input.enable_execute_command.unwrap_or(service.enable_execute_command);
    service.zone_rebalancing = match input.availability_zone_rebalancing {
        Some(wish) => wish == AvailabilityZoneRebalancing::Enabled,
        // Asked for by nobody, it ends with what made it possible.
        None => service.zone_rebalancing && rules::can_rebalance(&service),
    };
    Ok(service)
}

fn desired_count(scheduling: SchedulingStrategy, count: i32) -> Result<u32, InvalidParameterException> {
    match scheduling {
        SchedulingStrategy::Replica => super::task_count(count),
        SchedulingStrategy::Daemon => Err(InvalidParameterException::new(texts::DAEMON_DESIRED_COUNT)),
    }
}

/// An empty strategy goes back to the launch type that the service was created with.
fn capacity_of(
    tx: &Tx<'_>,
    at: &ClusterKey,
    before: &record::Service,
    items: Vec<CapacityProviderStrategyItem>,
) -> Result<Capacity, InvalidParameterException> {
    if items.is_empty() {
        let launch_type =
            before.launch_type.ok_or_else(|| InvalidParameterException::new(texts::NO_LAUNCH_TYPE))?;
        return Ok(Capacity::LaunchType(launch_type));
    }
    let cluster = tx.ecs().cluster(at).and_then(|cluster| cluster.record());
    let cluster = cluster.expect("a cluster that was looked up has a record");
    capacity::parse_strategy(cluster, items).map(Capacity::Strategy)
}

/// Whether tasks made from the service now would differ from those that it made before
/// (ecs-services E3). The same value again is no difference.
fn needs_deployment(before: &record::Service, after: &record::Service) -> bool {
    before.task_definition != after.task_definition
        || before.network != after.network
        || before.platform_version != after.platform_version
        || before.capacity != after.capacity
        || before.load_balancers != after.load_balancers
        || before.service_registries != after.service_registries
        || before.service_connect != after.service_connect
        || before.volume_configurations != after.volume_configurations
}
