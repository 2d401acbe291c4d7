//! CreateTaskSet.

use longshore_base::{ArnFormat, ServiceName};
use longshore_controllers::launch::Rules;
use longshore_domain::tags::Tags;
use longshore_rollout::{Stability, TaskSetStatus, Throttle};
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx, record};

use super::{answer, owner, scale};
use crate::launching::{self, capacity, network, placement};
use crate::permission::Keys;
use crate::services::Networking;
use crate::{Caller, Ecs, identifiers, input, paging, permission, services, tags, texts};

/// The most sets of a service that are not DRAINING (ecs-behaviour A10).
const TASK_SETS_MAX: usize = 5;
/// The most load balancers of a set.
const LOAD_BALANCERS_MAX: usize = 1;

/// A call of CreateTaskSet, as far as it can be read by itself.
pub struct Call {
    fingerprint: Option<u64>,
    tags: Tags,
    input: CreateTaskSetRequest,
}

/// Adds a set to the service, ACTIVE; the scheduler then starts its share of the tasks.
///
/// A repetition with the same token and parameters answers the set that is there.
impl Command<Ecs> for ops::CreateTaskSet {
    type Parsed = Call;
    type Answer = CreateTaskSetResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        services::check_token(input.client_token.as_deref())?;
        let fingerprint = fingerprint(cx.caller, &input);
        let tags = tags::parse(input.tags.take().unwrap_or_default())?;
        Ok(Call { fingerprint, tags, input })
    }

    fn resources(state: &State, caller: &Caller, call: &Self::Parsed) -> Resources {
        let Call { tags, input, .. } = call;
        let ask = permission::of::<Self>(state, caller);
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let made = permission::task_set_arn(caller, cluster, service, "*");
        let definition = input.task_definition.as_deref().unwrap_or_default();
        let own = ask
            .on_task_sets(cluster, service, [])
            .key("ecs:task-definition", permission::definition_arn(state, caller, definition))
            .providers(caller, input.capacity_provider_strategy.as_deref())
            .network(input.network_configuration.as_ref());
        ask.tagging(own, tags, &made).and(permission::pass_task_roles(ask, definition))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, call: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let input = &call.input;
        let owner = owner::<CreateTaskSetError>(
            tx.state(),
            caller,
            input.cluster.as_deref(),
            input.service.as_deref(),
        )?;
        owner.check_active()?;
        let (at, name) = (owner.at.clone(), owner.name.clone());
        let fingerprint =
            call.fingerprint.expect("cluster and service have possible names, as both were found");
        let mut sets = owner.entry.task_sets().values();
        if let Some(token) = input.client_token.as_deref()
            && let Some(existing) = sets.find(|set| set.client_token.as_deref() == Some(token))
        {
            if existing.fingerprint != fingerprint {
                return Err(InvalidParameterException::new(texts::TASK_SET_NOT_IDEMPOTENT).into());
            }
            return Ok(CreateTaskSetResponse { task_set: answer(tx.state(), &at, &name, existing.id) });
        }
        let live = owner.entry.task_sets().values().filter(|set| set.status != TaskSetStatus::Draining);
        if live.count() >= TASK_SETS_MAX {
            return Err(InvalidParameterException::new(texts::too_many_task_sets(TASK_SETS_MAX)).into());
        }
        let service = owner.service.clone();
        let set = new_set(tx, caller, &at, &service, fingerprint, call)?;
        let id = set.id;
        tx.put_task_set(&at, set);
        Ok(CreateTaskSetResponse { task_set: answer(tx.state(), &at, &name, id) })
    }
}

/// A digest of the parameters, however cluster and service are spelt. `None` if they name what cannot be.
fn fingerprint(caller: &Caller, input: &CreateTaskSetRequest) -> Option<u64> {
    let at = identifiers::cluster_key(caller, input.cluster.as_deref()).ok()?;
    let name = identifiers::service_name(&at, input.service.as_deref().unwrap_or_default()).ok()?;
    let parameters = CreateTaskSetRequest {
        cluster: Some(at.cluster.to_string()),
        service: Some(name.to_string()),
        client_token: None,
        ..input.clone()
    };
    Some(paging::fingerprint("CreateTaskSet", caller, &parameters))
}

/// Everything checked, and every default filled in.
fn new_set(
    tx: &mut Tx<'_>,
    caller: &Caller,
    at: &ClusterKey,
    service: &record::Service,
    fingerprint: u64,
    Call { tags, input, .. }: Call,
) -> Result<record::TaskSet, CreateTaskSetError> {
    let named = input.task_definition.as_deref().filter(|named| !named.is_empty());
    let named = named.ok_or_else(|| InvalidParameterException::new(texts::TASK_DEFINITION_MISSING))?;
    let definition = launching::definition::<CreateTaskSetError>(tx.state(), caller, named)?;
    let spec = definition.spec();
    let cluster = tx.ecs().cluster(at).and_then(|cluster| cluster.record());
    let cluster = cluster.expect("a cluster that was looked up has a record");
    let capacity = capacity::choose(cluster, input.launch_type.as_ref(), input.capacity_provider_strategy)?;
    capacity::check_compatible(spec, &capacity)?;
    let platform_version =
        capacity::platform_version::<CreateTaskSetError>(input.platform_version, &capacity)?;
    let fargate = capacity::is_fargate(&capacity);
    let network =
        network::parse(tx.state(), caller, input.network_configuration, spec.network_mode, fargate)?;
    // Where tasks go is the service's matter, and has to go with each of its sets.
    placement::check(&Rules::of(service), spec, &capacity)?;
    let load_balancers = input.load_balancers.as_deref().unwrap_or_default();
    if load_balancers.len() > LOAD_BALANCERS_MAX {
        return Err(InvalidParameterException::new(texts::TASK_SET_LOAD_BALANCERS).into());
    }
    let connections = Networking {
        load_balancers: Some(load_balancers),
        service_registries: input.service_registries.as_deref(),
        service_connect: None,
        lattice: None,
        volumes: None,
    }
    .parse::<CreateTaskSetError>(spec)?;
    if service.enable_execute_command && spec.task_role.is_none() {
        return Err(InvalidParameterException::new(texts::SERVICE_EXECUTE_NEEDS_ROLE).into());
    }
    let scale_basis_points = input.scale.as_ref().map_or(Ok(0), scale::parse)?;
    let external_id = external_id(input.external_id)?;
    if service.arn_format == ArnFormat::Short && !tags.is_empty() {
        return Err(InvalidParameterException::new(texts::tags_need_opt_in("task set")).into());
    }
    let id = tx.ids.deployment();
    Ok(record::TaskSet {
        id,
        service: service.name.clone(),
        status: TaskSetStatus::Active,
        created_at: tx.now,
        updated_at: tx.now,
        external_id,
        client_token: input.client_token.map(Into::into),
        fingerprint,
        task_definition: (definition.family.clone(), definition.revision),
        capacity,
        platform_version,
        network,
        load_balancers: connections.load_balancers,
        service_registries: connections.service_registries,
        scale_basis_points,
        told_desired_count: 0,
        stability: Stability::Stabilizing,
        stability_at: tx.now,
        throttle: Throttle { deployment: Some(id), ..Throttle::default() },
        tags,
    })
}

/// Several sets may have the same one; it has a name's characters (ecs-behaviour A3).
fn external_id(given: Option<String>) -> Result<Option<std::sync::Arc<str>>, InvalidParameterException> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    match ServiceName::parse(&text) {
        Ok(_) => Ok(Some(text.into())),
        Err(_) => Err(InvalidParameterException::new(texts::EXTERNAL_ID)),
    }
}
