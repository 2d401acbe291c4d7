//! StartTask.

use std::sync::Arc;

use longshore_controllers::launch::{Rules, Template, detail};
use longshore_domain::LaunchType;
use longshore_placement::{DefaultStrategy, Request};
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::Capacity;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};

use super::answer::StartedTasks;
use super::overrides::Overrides;
use super::request::{self, Asked};
use super::shape::View;
use crate::identifiers::{self, NoMember};
use crate::permission::Keys;
use crate::{Caller, Ecs, failures, input, launching, permission, tags, texts};

/// The most instances of one call.
const INSTANCES_MAX: usize = 10;
/// The longest `startedBy`; shorter than that of RunTask (ecs-behaviour, Part X).
const STARTED_BY_MAX: usize = 36;

/// A call of StartTask, as far as it can be read by itself.
pub struct Call {
    at: ClusterKey,
    instances: Vec<String>,
    definition: String,
    asked: Asked,
}

/// Starts a task on each of the instances that are named. Nothing is placed, but every instance has to
/// have room and whatever else the task needs (ecs-engine D5).
impl Command<Ecs> for ops::StartTask {
    type Parsed = Call;
    type Answer = StartedTasks;

    fn parse(cx: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let at = identifiers::cluster_key(cx.caller, input.cluster.as_deref())?;
        let instances = input.container_instances.unwrap_or_default();
        if instances.is_empty() {
            return Err(InvalidParameterException::new(texts::INSTANCES_EMPTY).into());
        }
        if instances.len() > INSTANCES_MAX {
            let text = texts::too_many("containerInstances", INSTANCES_MAX);
            return Err(InvalidParameterException::new(text).into());
        }
        Ok(Call {
            at,
            instances,
            definition: input.task_definition.unwrap_or_default(),
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
        let cluster = Some(call.at.cluster.as_str());
        let arn = |named: &String| permission::member_arn(caller, cluster, "container-instance", named);
        let own = ask
            .on_definitions([&*call.definition])
            .list("ecs:container-instances", call.instances.iter().map(arn));
        call.asked.resources(ask, own, &call.at, &call.definition)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, call: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let Call { at, instances, definition, asked } = call;
        identifiers::in_use(tx.state(), &at)?;
        let definition = launching::definition::<StartTaskError>(tx.state(), caller, &definition)?;
        // Which launch type it becomes, each instance decides.
        let capacity = Capacity::LaunchType(LaunchType::Ec2);
        let template =
            asked.template::<StartTaskError>(tx.state(), caller, &at, definition, &capacity, None)?;
        template
            .check_roles(tx.state(), &at, tx.now)
            .map_err(|cannot| ClientException::new(cannot.to_string()))?;
        let request = template.request(&at, &Rules::default(), DefaultStrategy::Task, None);
        let mut tasks = Vec::with_capacity(instances.len());
        let mut failed = Vec::new();
        for named in instances {
            match start_on(tx, &at, &named, &template, &request)? {
                Ok(task) => tasks.push(task),
                Err(failure) => failed.push(failure),
            }
        }
        let cluster = tx.ecs().cluster(&at).expect("the cluster was looked up in this transaction");
        let view = |id| Some(View::of(tx.state(), &at, cluster.task(id)?));
        let views = tasks.into_iter().filter_map(view).collect();
        Ok(StartedTasks { at, views, forgotten: Vec::new(), failures: failed })
    }
}

/// Starts one task on the named instance, or says why not.
fn start_on(
    tx: &mut Tx<'_>,
    at: &ClusterKey,
    named: &str,
    template: &Template,
    request: &Request,
) -> Result<Result<longshore_base::TaskId, Failure>, InvalidParameterException> {
    let cluster = tx.ecs().cluster(at).expect("the cluster was looked up in this transaction");
    let entry = match identifiers::instance(at, cluster, named) {
        Ok(entry) => entry,
        Err(NoMember::NotFound) => {
            let arn = identifiers::would_be_arn(at, "container-instance", named);
            return Ok(Err(failures::missing(arn)));
        }
        Err(error @ (NoMember::OtherCluster { .. } | NoMember::Malformed)) => {
            return Err(InvalidParameterException::new(error.to_string()));
        }
    };
    let record = entry.record.clone();
    let arn = || at.scope.instance_arn(&at.cluster, record.id, record.arn_format);
    if let Some(not_built) = template.not_built() {
        return Ok(Err(Failure { arn: Some(arn()), ..failures::not_built(not_built) }));
    }
    if let Err(reason) = cluster.fleet().check(record.id, request) {
        let failure = Failure {
            arn: Some(arn()),
            reason: Some(reason.as_failure().to_owned()),
            detail: detail(&reason),
        };
        return Ok(Err(failure));
    }
    let mut template = template.clone();
    let origin = Arc::make_mut(&mut template.origin);
    origin.launch_type = record.launch_type;
    origin.capacity_provider.clone_from(&record.capacity_provider);
    let task = template.task(tx, at, record.id);
    let id = task.id;
    tx.put_task(at, task);
    Ok(Ok(id))
}
