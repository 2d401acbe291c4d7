//! CreateService.

use std::sync::Arc;

use longshore_base::{ArnFormat, ServiceName};
use longshore_controllers::launch::Rules;
use longshore_controllers::service::deployment;
use longshore_domain::status::{DeploymentController, PropagateTags};
use longshore_domain::tags::Tags;
use longshore_domain::{SchedulingStrategy, ServiceStatus};
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{self, PlannerMemory};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};
use longshore_wire::OperationShape;

use super::configuration::Configuration;
use super::networking::Networking;
use super::{answer, external, rules};
use crate::launching::{self, capacity, network, placement};
use crate::permission::Keys;
use crate::{Caller, Ecs, identifiers, input, paging, permission, settings_in_force, tags, texts};

/// The longest `clientToken`.
const TOKEN_MAX: usize = 36;

/// A call of CreateService, as far as it can be read by itself.
pub struct Call {
    at: ClusterKey,
    name: ServiceName,
    /// The digest of all parameters but the token.
    fingerprint: u64,
    controller: DeploymentController,
    pub(super) placement: Rules,
    pub(super) tags: Tags,
    pub(super) input: CreateServiceRequest,
}

/// Creates a service and begins its first deployment; the scheduler then starts its tasks.
///
/// A repetition with the same parameters answers the service that is there (ecs-behaviour A7).
impl Command<Ecs> for ops::CreateService {
    type Parsed = Call;
    type Answer = CreateServiceResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let at = identifiers::cluster_key(cx.caller, input.cluster.as_deref())?;
        let name = ServiceName::parse(input.service_name.as_deref().unwrap_or_default())
            .map_err(|_| InvalidParameterException::new(texts::SERVICE_NAME))?;
        check_token(input.client_token.as_deref())?;
        // However the cluster is spelt, and with whatever token, it is the same call.
        let token = input.client_token.take();
        input.cluster = Some(at.cluster.to_string());
        let fingerprint = paging::fingerprint(Self::NAME, cx.caller, &input);
        input.client_token = token;
        Ok(Call {
            at,
            name,
            fingerprint,
            controller: super::controller(input.deployment_controller.as_ref())?,
            placement: placement::parse(input.placement_constraints.take(), input.placement_strategy.take())?,
            tags: tags::parse(input.tags.take().unwrap_or_default())?,
            input,
        })
    }

    fn resources(state: &State, caller: &Caller, call: &Self::Parsed) -> Resources {
        let Call { at, name, tags, input, .. } = call;
        let ask = permission::of::<Self>(state, caller);
        let cluster = Some(at.cluster.as_str());
        let made = permission::member_arn(caller, cluster, "service", name.as_str());
        let definition = input.task_definition.as_deref().filter(|named| !named.is_empty());
        let connect = input.service_connect_configuration.as_ref();
        let own = ask
            .on_members(cluster, "service", [name.as_str()])
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
        let of_tasks = definition.into_iter().flat_map(|named| permission::pass_task_roles(ask, named));
        let of_service = permission::pass_roles(caller, permission::ECS, [input.role.as_deref()]);
        ask.tagging(own, tags, &made).and(of_tasks).and(of_service)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, call: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, name, fingerprint) = (call.at.clone(), call.name.clone(), call.fingerprint);
        let cluster = identifiers::in_use(tx.state(), &at)?;
        if let Some(existing) = cluster.service(&name).and_then(|entry| entry.record()) {
            match existing.status {
                ServiceStatus::Active if existing.fingerprint == fingerprint => {
                    return Ok(CreateServiceResponse { service: answer(tx.state(), &at, &name) });
                }
                ServiceStatus::Active => {
                    return Err(InvalidParameterException::new(texts::NOT_IDEMPOTENT).into());
                }
                ServiceStatus::Draining => {
                    return Err(InvalidParameterException::new(texts::STILL_DRAINING).into());
                }
                ServiceStatus::Inactive => {}
            }
        }
        if call.controller == DeploymentController::External {
            let service = external::new_service(tx, caller, name.clone(), fingerprint, call)?;
            tx.delete_events(&at, &name);
            tx.put_service(&at, service);
            return Ok(CreateServiceResponse { service: answer(tx.state(), &at, &name) });
        }
        let definition = definition(tx, caller, &call.input)?;
        let mut service = new_service(tx, caller, &at, name.clone(), fingerprint, &definition, call)?;
        // An INACTIVE service of this name may have left some. Its deployments stay describable.
        tx.delete_events(&at, &name);
        let revision = (definition.family.clone(), definition.revision);
        let configuration = Configuration::of(&service).document();
        let desired = service.desired_count;
        deployment::begin(tx, &at, &mut service, revision, desired, &configuration);
        tx.put_service(&at, service);
        Ok(CreateServiceResponse { service: answer(tx.state(), &at, &name) })
    }
}

pub(crate) fn check_token(token: Option<&str>) -> Result<(), InvalidParameterException> {
    let fits = |token: &str| token.len() <= TOKEN_MAX && token.bytes().all(|b| b.is_ascii_graphic());
    if token.is_none_or(fits) { Ok(()) } else { Err(InvalidParameterException::new(texts::SERVICE_TOKEN)) }
}

/// The definition that the first deployment runs.
fn definition(
    tx: &Tx<'_>,
    caller: &Caller,
    input: &CreateServiceRequest,
) -> Result<Arc<record::TaskDefinition>, CreateServiceError> {
    let named = input.task_definition.as_deref().filter(|named| !named.is_empty());
    let named = named.ok_or_else(|| InvalidParameterException::new(texts::TASK_DEFINITION_MISSING))?;
    launching::definition(tx.state(), caller, named)
}

/// Everything checked, and every default filled in.
fn new_service(
    tx: &Tx<'_>,
    caller: &Caller,
    at: &ClusterKey,
    name: ServiceName,
    fingerprint: u64,
    definition: &record::TaskDefinition,
    call: Call,
) -> Result<record::Service, CreateServiceError> {
    let Call { placement, tags, input, .. } = call;
    let spec = definition.spec();
    let scheduling = match input.scheduling_strategy {
        Some(shapes::SchedulingStrategy::Daemon) => SchedulingStrategy::Daemon,
        // An unknown word was refused with the constraints of the model.
        None | Some(shapes::SchedulingStrategy::Replica | shapes::SchedulingStrategy::Unrecognized(_)) => {
            SchedulingStrategy::Replica
        }
    };
    let desired_count = desired_count(scheduling, input.desired_count)?;
    let cluster = tx.ecs().cluster(at).and_then(|cluster| cluster.record());
    let cluster = cluster.expect("a cluster that was looked up has a record");
    let capacity = capacity::choose(cluster, input.launch_type.as_ref(), input.capacity_provider_strategy)?;
    let platform_version =
        capacity::platform_version::<CreateServiceError>(input.platform_version, &capacity)?;
    placement::check(&placement, spec, &capacity)?;
    let fargate = capacity::is_fargate(&capacity);
    let network =
        network::parse(tx.state(), caller, input.network_configuration, spec.network_mode, fargate)?;
    let connections = Networking {
        load_balancers: input.load_balancers.as_deref(),
        service_registries: input.service_registries.as_deref(),
        service_connect: input.service_connect_configuration.as_ref(),
        lattice: input.vpc_lattice_configurations.as_deref(),
        volumes: input.volume_configurations.as_deref(),
    }
    .parse::<CreateServiceError>(spec)?;
    let configuration = Configuration::default_of(scheduling)
        .merge::<CreateServiceError>(input.deployment_configuration, scheduling)?;
    let arn_format = settings_in_force::arn_format(tx.state(), caller, &SettingName::ServiceLongArnFormat);
    if arn_format == ArnFormat::Short && !tags.is_empty() {
        return Err(InvalidParameterException::new(texts::tags_need_opt_in("service")).into());
    }
    let launch_type = match &capacity {
        record::Capacity::LaunchType(launch_type) => Some(*launch_type),
        record::Capacity::Strategy(_) => None,
    };
    let mut service = record::Service {
        name,
        arn_format,
        status: ServiceStatus::Active,
        created_at: tx.now,
        created_by: caller.principal.clone(),
        deleted_at: None,
        client_token: input.client_token.map(Into::into),
        fingerprint,
        scheduling,
        controller: DeploymentController::Ecs,
        desired_count,
        task_definition: Some((definition.family.clone(), definition.revision)),
        minimum_healthy_percent: 0,
        maximum_percent: 0,
        circuit_breaker: false,
        circuit_breaker_rollback: false,
        deployment_configuration: None,
        capacity,
        platform_version,
        placement_constraints: placement.constraints,
        placement_strategy: placement.strategies,
        network,
        load_balancers: connections.load_balancers,
        service_registries: connections.service_registries,
        volume_configurations: None,
        service_connect: connections.service_connect,
        health_check_grace_secs: super::grace_period(input.health_check_grace_period_seconds)?,
        role: input.role.filter(|role| !role.is_empty()).map(Into::into),
        propagate_tags: super::propagate_tags(input.propagate_tags).unwrap_or(PropagateTags::None),
        managed_tags: input.enable_ecs_managed_tags.unwrap_or(false),
        enable_execute_command: input.enable_execute_command.unwrap_or(false),
        zone_rebalancing: false,
        tags,
        deployments: Vec::new(),
        memory: PlannerMemory::default(),
        events_total: 0,
        launch_type,
        bake_minutes: 0,
    };
    configuration.store(&mut service);
    service.zone_rebalancing = match input.availability_zone_rebalancing {
        Some(wish) => wish == AvailabilityZoneRebalancing::Enabled,
        None => rules::can_rebalance(&service),
    };
    rules::check(&service, spec)?;
    Ok(service)
}

fn desired_count(
    scheduling: SchedulingStrategy,
    given: Option<i32>,
) -> Result<u32, InvalidParameterException> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    match (scheduling, given) {
        (SchedulingStrategy::Replica, None) => refuse(texts::DESIRED_COUNT_MISSING),
        (SchedulingStrategy::Replica, Some(count)) => super::task_count(count),
        // The instances decide how many there are.
        (SchedulingStrategy::Daemon, None) => Ok(0),
        (SchedulingStrategy::Daemon, Some(_)) => refuse(texts::DAEMON_DESIRED_COUNT),
    }
}
