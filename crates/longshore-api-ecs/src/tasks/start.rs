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
use super::request::Asked;
use super::shape::View;
use crate::identifiers::{self, NoMember};
use crate::permission::Keys;
use crate::{Caller, Ecs, failures, input, launching, permission, texts};

/// The most instances of one call.
const INSTANCES_MAX: usize = 10;
/// The longest `startedBy`; shorter than that of RunTask (ecs-behaviour, Part X).
const STARTED_BY_MAX: usize = 36;

/// Starts a task on each of the instances that are named. Nothing is placed, but every instance has to
/// have room and whatever else the task needs (ecs-engine D5).
impl Command<Ecs> for ops::StartTask {
    type Parsed = Self::Input;
    type Answer = StartedTasks;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let definition = input.task_definition.as_deref().unwrap_or_default();
        let own = ask
            .on_definitions([definition])
            .in_cluster(caller, input.cluster.as_deref())
            .list(
                "ecs:container-instances",
                input.container_instances.iter().flatten().map(|named| {
                    permission::member_arn(caller, input.cluster.as_deref(), "container-instance", named)
                }),
            )
            .network(input.network_configuration.as_ref())
            .maybe("ecs:enable-execute-command", permission::bool(input.enable_execute_command))
            .maybe("ecs:enable-ecs-managed-tags", permission::bool(input.enable_ecs_managed_tags))
            .maybe("ecs:enable-ebs-volumes", permission::some(input.volume_configurations.as_deref()))
            .maybe("ecs:propagate-tags", permission::propagate(input.propagate_tags.as_ref()));
        let made = permission::member_arn(caller, input.cluster.as_deref(), "task", "*");
        ask.tagging(own, input.tags.as_deref(), &made).and(permission::pass_run_roles(
            state,
            caller,
            definition,
            input.overrides.as_ref(),
        ))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, _) = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?;
        let named = input.container_instances.unwrap_or_default();
        if named.is_empty() {
            return Err(InvalidParameterException::new(texts::INSTANCES_EMPTY).into());
        }
        if named.len() > INSTANCES_MAX {
            let text = texts::too_many("containerInstances", INSTANCES_MAX);
            return Err(InvalidParameterException::new(text).into());
        }
        let definition = input.task_definition.as_deref().unwrap_or_default();
        let definition = launching::definition::<StartTaskError>(tx.state(), caller, definition)?;
        let asked = Asked {
            group: input.group,
            started_by: input.started_by,
            started_by_max: STARTED_BY_MAX,
            network_configuration: input.network_configuration,
            overrides: input.overrides,
            propagate_tags: input.propagate_tags,
            tags: input.tags,
            enable_ecs_managed_tags: input.enable_ecs_managed_tags,
            enable_execute_command: input.enable_execute_command,
            volume_configurations: input.volume_configurations,
        };
        // Which launch type it becomes, each instance decides.
        let capacity = Capacity::LaunchType(LaunchType::Ec2);
        let template =
            asked.template::<StartTaskError>(tx.state(), caller, &at, definition, &capacity, None)?;
        let request = template.request(&at, &Rules::default(), DefaultStrategy::Task, None);
        let mut tasks = Vec::with_capacity(named.len());
        let mut failed = Vec::new();
        for named in named {
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
