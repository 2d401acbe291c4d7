//! RunTask.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::TaskId;
use longshore_controllers::launch::{self, PoolRefusal, Rules, Template};
use longshore_controllers::pools::Pools;
use longshore_controllers::provisioning::WAITING_MAX;
use longshore_placement::{DefaultStrategy, Pool, Refusal};
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{Capacity, Token};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};
use longshore_wire::OperationShape;

use super::answer::StartedTasks;
use super::overrides::Overrides;
use super::request::{self, Asked};
use super::shape::View;
use crate::launching::{self, capacity, placement};
use crate::permission::Keys;
use crate::{
    Caller, Ecs, capacity_providers, documents, failures, identifiers, input, paging, permission, tags, texts,
};

/// The most tasks of one call.
const COUNT_MAX: i32 = 10;
/// The longest `clientToken`, in characters, which are ASCII (ecs-behaviour A7).
const TOKEN_MAX: usize = 64;
/// The longest `startedBy`, in characters (ecs-behaviour, Part X).
const STARTED_BY_MAX: usize = 128;

/// A call of RunTask, as far as it can be read by itself.
pub struct Call {
    at: ClusterKey,
    /// `clientToken`, with the digest of all other parameters: a repetition has the same (ecs-behaviour A7).
    token: Option<(String, u64)>,
    count: i32,
    /// As the caller names it: `family`, `family:revision` or an ARN.
    definition: String,
    launch_type: Option<LaunchType>,
    strategy: Option<Vec<CapacityProviderStrategyItem>>,
    platform_version: Option<String>,
    placement: Rules,
    asked: Asked,
}

/// Starts up to ten tasks where placement finds room for them, one after the other.
///
/// A repeated `clientToken` answers what the first call did. A call that could not start anything
/// is not remembered: its repetition tries again.
impl Command<Ecs> for ops::RunTask {
    type Parsed = Call;
    type Answer = StartedTasks;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let at = identifiers::cluster_key(cx.caller, input.cluster.as_deref())?;
        let token = input.client_token.take().map(token_text).transpose()?;
        // However the cluster is spelt, it is the same call.
        input.cluster = Some(at.cluster.to_string());
        let token = token.map(|text| (text, paging::fingerprint(Self::NAME, cx.caller, &input)));
        let count = match input.count.unwrap_or(1) {
            count @ 1..=COUNT_MAX => count,
            _ => return Err(InvalidParameterException::new(texts::COUNT).into()),
        };
        Ok(Call {
            at,
            token,
            count,
            definition: input.task_definition.unwrap_or_default(),
            launch_type: input.launch_type,
            strategy: input.capacity_provider_strategy,
            platform_version: input.platform_version,
            placement: placement::parse(input.placement_constraints, input.placement_strategy)?,
            asked: Asked {
                group: request::group(input.group)?,
                started_by: request::started_by(input.started_by, STARTED_BY_MAX)?,
                network_configuration: input.network_configuration,
                overrides: Overrides::parse(input.overrides)?,
                propagate_tags: input.propagate_tags,
                tags: tags::parse(input.tags.unwrap_or_default())?,
                enable_ecs_managed_tags: input.enable_ecs_managed_tags,
                enable_execute_command: input.enable_execute_command,
                volume_configurations: input.volume_configurations,
            },
        })
    }

    fn resources(state: &State, caller: &Caller, call: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let own = ask.on_definitions([&*call.definition]).providers(caller, call.strategy.as_deref());
        call.asked.resources(ask, own, &call.at, &call.definition)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, call: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let Call { at, token, count, placement, asked, .. } = call;
        let cluster = identifiers::in_use(tx.state(), &at)?;
        if let Some((text, fingerprint)) = &token
            && let Some(record) = cluster.token(text)
        {
            return replay(tx, at, &record.clone(), *fingerprint);
        }
        let definition = launching::definition::<RunTaskError>(tx.state(), caller, &call.definition)?;
        let record = cluster.record().expect("a cluster that was looked up has a record");
        let capacity = capacity::choose(record, call.launch_type.as_ref(), call.strategy)?;
        capacity::check_compatible(definition.spec(), &capacity)?;
        let platform_version = capacity::platform_version::<RunTaskError>(call.platform_version, &capacity)?;
        placement::check(&placement, definition.spec(), &capacity)?;
        let platform_version = launch::platform_version(platform_version.as_ref());
        let template = asked.template::<RunTaskError>(
            tx.state(),
            caller,
            &at,
            definition,
            &capacity,
            platform_version,
        )?;

        template
            .check_roles(tx.state(), &at, tx.now)
            .map_err(|cannot| ClientException::new(cannot.to_string()))?;
        let placed = place(tx, caller, &at, &template, &placement, &capacity, count)?;
        if let Some((text, fingerprint)) = token
            && !placed.tasks.is_empty()
        {
            let kept = (!placed.failures.is_empty()).then(|| documents::keep(&placed.failures));
            let token = Token {
                token: text.as_str().into(),
                fingerprint,
                created_at: tx.now,
                tasks: placed.tasks.clone(),
                failures: kept,
            };
            tx.put::<Token>(at.token(text), token);
        }
        Ok(answer(tx, at, &placed.tasks, placed.failures))
    }
}

fn token_text(token: String) -> Result<String, InvalidParameterException> {
    let fits = (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(token) } else { Err(InvalidParameterException::new(texts::CLIENT_TOKEN)) }
}

/// Answers what the call did that used the token first (ecs-behaviour A7).
fn replay(
    tx: &Tx<'_>,
    at: ClusterKey,
    token: &Token,
    fingerprint: u64,
) -> Result<StartedTasks, RunTaskError> {
    if token.fingerprint == fingerprint {
        let failures = token.failures.as_ref().and_then(documents::recall).unwrap_or_default();
        return Ok(answer(tx, at, &token.tasks, failures));
    }
    let arn = |&id: &TaskId| {
        let format = tx.ecs().task(&at, id).map(|task| task.origin.arn_format).unwrap_or_default();
        at.scope.task_arn(&at.cluster, id, format)
    };
    let resource_ids = token.tasks.iter().map(arn).collect();
    Err(ConflictException {
        message: Some(texts::TOKEN_CONFLICT.to_owned()),
        resource_ids: Some(resource_ids),
    }
    .into())
}

fn answer(tx: &Tx<'_>, at: ClusterKey, tasks: &[TaskId], failures: Vec<Failure>) -> StartedTasks {
    let (mut views, mut forgotten) = (Vec::with_capacity(tasks.len()), Vec::new());
    if let Some(cluster) = tx.ecs().cluster(&at) {
        for &id in tasks {
            match cluster.task(id) {
                Some(task) => views.push(View::of(tx.state(), &at, task)),
                None => forgotten.push(forgotten_task(&at, id)),
            }
        }
    }
    StartedTasks { at, views, forgotten, failures }
}

/// All that is still known of a task that a repeated call started.
fn forgotten_task(at: &ClusterKey, id: TaskId) -> Task {
    Task {
        task_arn: Some(at.scope.task_arn(&at.cluster, id, Default::default())),
        last_status: Some("STOPPED".to_owned()),
        desired_status: Some("STOPPED".to_owned()),
        ..Task::default()
    }
}

#[derive(Default)]
struct Placed {
    tasks: Vec<TaskId>,
    failures: Vec<Failure>,
}

/// Places tasks one after the other, each seeing those before it. Ends at the first that finds
/// no place: the next would not find one either.
fn place(
    tx: &mut Tx<'_>,
    caller: &Caller,
    at: &ClusterKey,
    template: &Template,
    placement: &Rules,
    capacity: &Capacity,
    count: i32,
) -> Result<Placed, RunTaskError> {
    let mut placed = Placed::default();
    if let Some(not_built) = template.not_built() {
        placed.failures.push(failures::not_built(not_built));
        return Ok(placed);
    }
    let request = |of: &Template| of.request(at, placement, DefaultStrategy::Task, None);
    let mut pools = Pools::new(template, capacity, |_| 0, request);
    let mut scaling = Scaling::default();
    for _ in 0..count {
        let pool = pools.take_turn();
        let seed = tx.ids.seed();
        let Some(tables) = launch::capacity(tx.state(), at, template.origin.launch_type) else {
            placed.failures.push(fargate_failure(&PoolRefusal::NoAgent));
            break;
        };
        match tables.fleet().place_one(&pool.request, seed) {
            Ok(instance) => {
                let task = pool.template.task(tx, at, instance);
                placed.tasks.push(task.id);
                tx.put_task(at, task);
            }
            Err(_) if template.is_pooled() => {
                placed.failures.push(fargate_failure(&PoolRefusal::of(Some(tables), &pool.request)));
                break;
            }
            Err(refusal) if scaling.will_help(tx, caller, at, &refusal) => {
                let task = pool.template.waiting(tx, placement);
                placed.tasks.push(task.id);
                tx.put_task(at, task);
            }
            Err(refusal) if nobody_to_ask(&refusal) && placed.tasks.is_empty() => {
                return Err(InvalidParameterException::new(texts::NO_INSTANCES).into());
            }
            Err(refusal) => {
                placed.failures = failures_of(tx, at, &refusal);
                break;
            }
        }
    }
    Ok(placed)
}

/// Which capacity providers have managed scaling. Each is asked once in a call, because its settings are a document.
#[derive(Default)]
struct Scaling(BTreeMap<Arc<str>, bool>);

impl Scaling {
    /// True where managed scaling will bring capacity, so that the task may wait for it (ecs-services E12).
    fn will_help(&mut self, tx: &Tx<'_>, caller: &Caller, at: &ClusterKey, refusal: &Refusal) -> bool {
        let Pool::Provider(name) = &refusal.pool else { return false };
        let waiting = tx.ecs().cluster(at).map_or(0, |tables| tables.provisioning().len());
        let ask = || capacity_providers::scales(tx.state(), caller, name);
        waiting < WAITING_MAX && *self.0.entry(name.clone()).or_insert_with(ask)
    }
}

/// A launch type without any ACTIVE instance is an error, not a failure (ecs-operations B5).
fn nobody_to_ask(refusal: &Refusal) -> bool {
    match refusal.pool {
        Pool::Launch(_) => refusal.none_active(),
        Pool::Provider(_) => false,
    }
}

/// One failure per instance that was considered.
fn failures_of(tx: &Tx<'_>, at: &ClusterKey, refusal: &Refusal) -> Vec<Failure> {
    if let (true, Pool::Provider(name)) = (refusal.no_instances(), &refusal.pool) {
        let arn = at.scope.capacity_provider_arn(name);
        return vec![failures::failure(arn, "EMPTY CAPACITY PROVIDER")];
    }
    let cluster = tx.ecs().cluster(at);
    let failure = |(instance, reason): (longshore_base::InstanceId, &longshore_placement::Reason)| {
        let entry = cluster.and_then(|cluster| cluster.instance(instance));
        let format = entry.map(|entry| entry.record.arn_format).unwrap_or_default();
        Failure {
            arn: Some(at.scope.instance_arn(&at.cluster, instance, format)),
            reason: Some(reason.as_failure().to_owned()),
            detail: launch::detail(reason),
        }
    };
    refusal.failures().map(failure).collect()
}

/// The pool's instances are nobody's, so that no ARN is named.
fn fargate_failure(refusal: &PoolRefusal) -> Failure {
    let reason = if refusal.is_capacity() { texts::NO_FARGATE_CAPACITY } else { failures::ATTRIBUTE };
    Failure { arn: None, reason: Some(reason.to_owned()), detail: Some(refusal.to_string()) }
}
