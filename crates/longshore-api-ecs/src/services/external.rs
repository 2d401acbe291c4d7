//! Services of the EXTERNAL deployment controller: frames for task sets, which say all that ECS's own
//! controller takes from the service (ecs-services E7, ecs-operations B6).

use std::sync::Arc;

use longshore_base::{ArnFormat, ServiceName};
use longshore_domain::status::{DeploymentController, PropagateTags};
use longshore_domain::{LaunchType, SchedulingStrategy, ServiceStatus};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::*;
use longshore_state::Tx;
use longshore_tables_ecs::record::{self, PlannerMemory};
use longshore_tables_ecs::{ClusterKey, EcsTx};

use super::answer;
use super::configuration::Configuration;
use super::create::Call;
use super::update::Change;
use crate::{Caller, settings_in_force, task_sets, texts};

/// Everything checked, and every default filled in. Only the name is required.
pub(super) fn new_service(
    tx: &Tx<'_>,
    caller: &Caller,
    name: ServiceName,
    fingerprint: u64,
    call: Call,
) -> Result<record::Service, CreateServiceError> {
    let Call { placement, tags, input, .. } = call;
    let refuse = |text: &str| Err(InvalidParameterException::new(text).into());
    if input.scheduling_strategy == Some(shapes::SchedulingStrategy::Daemon) {
        return refuse(texts::DAEMON_EXTERNAL);
    }
    let of_sets = [
        ("taskDefinition", input.task_definition.is_some_and(|named| !named.is_empty())),
        ("launchType", input.launch_type.is_some()),
        ("capacityProviderStrategy", holds(&input.capacity_provider_strategy)),
        ("platformVersion", input.platform_version.is_some()),
        ("networkConfiguration", input.network_configuration.is_some()),
        ("loadBalancers", holds(&input.load_balancers)),
        ("serviceRegistries", holds(&input.service_registries)),
        ("serviceConnectConfiguration", input.service_connect_configuration.is_some()),
        ("volumeConfigurations", holds(&input.volume_configurations)),
        ("vpcLatticeConfigurations", holds(&input.vpc_lattice_configurations)),
    ];
    if let Some((member, _)) = of_sets.iter().find(|(_, given)| *given) {
        return refuse(&texts::belongs_to_task_sets(member));
    }
    if input.availability_zone_rebalancing == Some(AvailabilityZoneRebalancing::Enabled) {
        return refuse(texts::REBALANCING_EXTERNAL);
    }
    let desired_count = super::task_count(input.desired_count.unwrap_or(0))?;
    let configuration = Configuration::default_of(SchedulingStrategy::Replica)
        .merge::<CreateServiceError>(input.deployment_configuration, SchedulingStrategy::Replica)?;
    check_configuration(&configuration)?;
    let arn_format = settings_in_force::arn_format(tx.state(), caller, &SettingName::ServiceLongArnFormat);
    if arn_format == ArnFormat::Short && !tags.is_empty() {
        return refuse(&texts::tags_need_opt_in("service"));
    }
    let mut service = record::Service {
        name,
        arn_format,
        status: ServiceStatus::Active,
        created_at: tx.now,
        created_by: caller.principal.clone(),
        deleted_at: None,
        client_token: input.client_token.map(Into::into),
        fingerprint,
        scheduling: SchedulingStrategy::Replica,
        controller: DeploymentController::External,
        desired_count,
        task_definition: None,
        minimum_healthy_percent: 0,
        maximum_percent: 0,
        circuit_breaker: false,
        circuit_breaker_rollback: false,
        deployment_configuration: None,
        // Never looked at: each set has its own.
        capacity: record::Capacity::LaunchType(LaunchType::Ec2),
        platform_version: None,
        placement_constraints: placement.constraints,
        placement_strategy: placement.strategies,
        network: None,
        load_balancers: Vec::new(),
        service_registries: Vec::new(),
        volume_configurations: None,
        service_connect: None,
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
        launch_type: None,
        bake_minutes: 0,
    };
    configuration.store(&mut service);
    Ok(service)
}

/// UpdateService: the desired count, and what else is not a matter of task sets.
pub(super) fn update_service(
    tx: &mut Tx<'_>,
    at: &ClusterKey,
    before: &Arc<record::Service>,
    Change { input, placement: given }: Change,
) -> Result<UpdateServiceResponse, UpdateServiceError> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text).into());
    let execute = input.enable_execute_command.unwrap_or(before.enable_execute_command);
    let of_sets = [
        ("task definition", input.task_definition.is_some()),
        ("network configuration", input.network_configuration.is_some()),
        ("platform version", input.platform_version.is_some()),
        ("capacity provider strategy", input.capacity_provider_strategy.is_some()),
        ("load balancers", input.load_balancers.is_some()),
        ("service registries", input.service_registries.is_some()),
        ("Service Connect configuration", input.service_connect_configuration.is_some()),
        ("volume configurations", input.volume_configurations.is_some()),
        ("VPC Lattice configurations", input.vpc_lattice_configurations.is_some()),
        ("deployment", input.force_new_deployment == Some(true)),
        ("execute command setting", execute != before.enable_execute_command),
    ];
    if let Some((what, _)) = of_sets.iter().find(|(_, given)| *given) {
        return refuse(&texts::not_updated_on_external(what));
    }
    if input.availability_zone_rebalancing == Some(AvailabilityZoneRebalancing::Enabled) {
        return refuse(texts::REBALANCING_EXTERNAL);
    }
    let mut service = record::Service::clone(before);
    if let Some(count) = input.desired_count {
        service.desired_count = super::task_count(count)?;
    }
    if input.placement_constraints.is_some() {
        service.placement_constraints = given.constraints;
    }
    if input.placement_strategy.is_some() {
        service.placement_strategy = given.strategies;
    }
    let configuration = Configuration::of(before)
        .merge::<UpdateServiceError>(input.deployment_configuration, SchedulingStrategy::Replica)?;
    check_configuration(&configuration)?;
    configuration.store(&mut service);
    if input.health_check_grace_period_seconds.is_some() {
        service.health_check_grace_secs = super::grace_period(input.health_check_grace_period_seconds)?;
    }
    if let Some(propagate_tags) = super::propagate_tags(input.propagate_tags) {
        service.propagate_tags = propagate_tags;
    }
    service.managed_tags = input.enable_ecs_managed_tags.unwrap_or(service.managed_tags);
    service.memory.refusals.clear();
    task_sets::desired_count_changed(tx, at, before, &service);
    let name = service.name.clone();
    tx.put_service(at, service);
    Ok(UpdateServiceResponse { service: answer(tx.state(), at, &name) })
}

fn holds<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|items| !items.is_empty())
}

/// Percentages cannot be chosen, and what watches over rolling updates has nothing to watch (ecs-services E2).
fn check_configuration(configuration: &Configuration) -> Result<(), InvalidParameterException> {
    let default = Configuration::default_of(SchedulingStrategy::Replica);
    let percents = |it: &Configuration| (it.minimum_healthy_percent, it.maximum_percent);
    if percents(configuration) != percents(&default) {
        return Err(InvalidParameterException::new(texts::EXTERNAL_PERCENTS));
    }
    if configuration.circuit_breaker || configuration.bake_minutes > 0 {
        return Err(InvalidParameterException::new(texts::EXTERNAL_CIRCUIT_BREAKER));
    }
    Ok(())
}
