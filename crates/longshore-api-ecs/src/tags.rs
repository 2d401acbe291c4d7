//! Tags, on everything that can carry them (ecs-behaviour A8, ecs-operations B9).

use std::sync::Arc;

use longshore_base::{Arn, ArnError, DeploymentId, FARGATE_POOL, InstanceId, ServiceName, TaskId};
use longshore_domain::status::ClusterStatus;
use longshore_domain::tags::{self, TagError, Tags};
use longshore_domain::{InstanceStatus, ServiceStatus};
use longshore_rollout::TaskSetStatus;
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::key::ProviderKey;
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, record};

use crate::identifiers::{self, NoCluster};
use crate::permission::Keys;
use crate::{Caller, Ecs, capacity_providers, input, permission, texts};

/// Reads the tags of a call.
pub fn parse(tags: Vec<Tag>) -> Result<Tags, InvalidParameterException> {
    let pairs = tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
    tags::parse(pairs).map_err(|error: TagError| InvalidParameterException::new(error.to_string()))
}

/// Tags as the API shows them, in the order of their keys.
pub fn shapes(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    tags.iter().map(tag).collect()
}

impl Command<Ecs> for ops::TagResource {
    /// The ARN, and the tags that are added.
    type Parsed = (String, Tags);
    type Answer = TagResourceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok((input.resource_arn.unwrap_or_default(), parse(input.tags.unwrap_or_default())?))
    }

    fn resources(state: &State, caller: &Caller, (arn, added): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_arns([&**arn]).map(|access| permission::with_request_tags(access, added))
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (arn, added): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let resource = find(tx.state(), caller, &arn)?;
        resource.check_alive()?;
        let merged = tags::merge(resource.tags(), added)
            .map_err(|error: TagError| LimitExceededException::new(error.to_string()))?;
        resource.retag(tx, caller, merged);
        Ok(TagResourceResponse {})
    }
}

impl Command<Ecs> for ops::UntagResource {
    type Parsed = Self::Input;
    type Answer = UntagResourceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller)
            .on_arns(input.resource_arn.as_deref())
            .list("aws:TagKeys", input.tag_keys.clone().unwrap_or_default())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let keys = input.tag_keys.unwrap_or_default();
        if let Some(key) = keys.iter().find(|key| tags::is_reserved(key)) {
            return Err(InvalidParameterException::new(TagError::Reserved(key.clone()).to_string()).into());
        }
        let resource = find(tx.state(), caller, input.resource_arn.as_deref().unwrap_or_default())?;
        resource.check_alive()?;
        let mut left = resource.tags().clone();
        left.retain(|key, _| !keys.contains(key));
        resource.retag(tx, caller, left);
        Ok(UntagResourceResponse {})
    }
}

impl Query<Ecs> for ops::ListTagsForResource {
    type Parsed = Self::Input;
    type Answer = ListTagsForResourceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_arns(input.resource_arn.as_deref())
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        if let Some(task) = guest(state, caller, arn) {
            return Ok(ListTagsForResourceResponse { tags: Some(shapes(&task.origin.tags)) });
        }
        let resource = find(state, caller, arn)?;
        Ok(ListTagsForResourceResponse { tags: Some(shapes(resource.tags())) })
    }
}

/// The pool's guest that an ARN names, for the pool's agents: their containers ask for its tags (agent-protocol G17), with
/// nothing but the operator's key. `None` to everybody else. Nobody changes tags in this way.
fn guest<'s>(state: &'s State, caller: &Caller, arn: &str) -> Option<&'s Arc<record::Task>> {
    let host = identifiers::pool(caller, Some(FARGATE_POOL))?;
    let id = Arn::parse(arn).ok()?.rest.rsplit('/').next().and_then(|id| TaskId::parse(id).ok())?;
    let home = state.ecs().home(&host, id)?;
    identifiers::task_id(home, arn).ok()?;
    state.ecs().task(home, id)
}

/// Something that carries tags, as it is stored.
enum Resource {
    Cluster(Arc<record::Cluster>),
    Instance(ClusterKey, Arc<record::Instance>),
    Task(ClusterKey, Arc<record::Task>),
    Service(ClusterKey, Arc<record::Service>),
    TaskSet(ClusterKey, Arc<record::TaskSet>),
    Definition(Arc<record::TaskDefinition>),
    Provider(Arc<record::CapacityProvider>),
}

/// An ARN that leads to no tags.
enum NoResource {
    Cluster(NoCluster),
    /// Of such a kind.
    NotFound(&'static str),
    Invalid(InvalidParameterException),
}

impl Resource {
    fn tags(&self) -> &Tags {
        match self {
            Resource::Cluster(record) => &record.tags,
            Resource::Instance(_, record) => &record.tags,
            Resource::Task(_, record) => &record.origin.tags,
            Resource::Service(_, record) => &record.tags,
            Resource::TaskSet(_, record) => &record.tags,
            Resource::Definition(record) => &record.tags,
            Resource::Provider(record) => &record.tags,
        }
    }

    /// The tags of what is over do not change any more.
    fn check_alive(&self) -> Result<(), NoResource> {
        let (alive, kind) = match self {
            Resource::Cluster(record) if record.status == ClusterStatus::Inactive => {
                return Err(NoResource::Cluster(NoCluster::Inactive));
            }
            Resource::Cluster(_) => (true, "cluster"),
            Resource::Instance(_, record) => {
                (record.status != InstanceStatus::Inactive, "container instance")
            }
            Resource::Task(_, record) => (!record.last_status.is_stopped(), "task"),
            Resource::Service(_, record) => (record.status == ServiceStatus::Active, "service"),
            Resource::TaskSet(_, record) => (record.status != TaskSetStatus::Draining, "task set"),
            Resource::Definition(_) => (true, "task definition"),
            Resource::Provider(record) => (*record.status != *"INACTIVE", "capacity provider"),
        };
        if alive { Ok(()) } else { Err(NoResource::NotFound(kind)) }
    }

    fn retag(self, tx: &mut Tx<'_>, caller: &Caller, tags: Tags) {
        if *self.tags() == tags {
            return;
        }
        match self {
            Resource::Cluster(record) => {
                tx.put_cluster(&caller.scope, record::Cluster { tags, ..Arc::unwrap_or_clone(record) });
            }
            Resource::Instance(at, record) => {
                tx.put_instance(&at, record::Instance { tags, ..Arc::unwrap_or_clone(record) });
            }
            Resource::Task(at, record) => {
                let mut task = Arc::unwrap_or_clone(record);
                Arc::make_mut(&mut task.origin).tags = tags;
                tx.put_task(&at, task);
            }
            Resource::Service(at, record) => {
                tx.put_service(&at, record::Service { tags, ..Arc::unwrap_or_clone(record) });
            }
            Resource::TaskSet(at, record) => {
                tx.put_task_set(&at, record::TaskSet { tags, ..Arc::unwrap_or_clone(record) });
            }
            Resource::Definition(record) => {
                tx.put_definition(
                    &caller.scope,
                    record::TaskDefinition { tags, ..Arc::unwrap_or_clone(record) },
                );
            }
            Resource::Provider(record) => {
                let record = record::CapacityProvider { tags, ..Arc::unwrap_or_clone(record) };
                let key = ProviderKey::new(caller.scope.clone(), &*record.name);
                tx.put::<record::CapacityProvider>(key, record);
            }
        }
    }
}

/// The tags of what an ARN names, for policies that ask for them.
pub(crate) fn of(state: &State, caller: &Caller, arn: &str) -> Option<Tags> {
    find(state, caller, arn).ok().map(|resource| resource.tags().clone())
}

/// What an ARN names. Only ARNs will do here, and of the kinds that live in a cluster only long ones.
fn find(state: &State, caller: &Caller, arn: &str) -> Result<Resource, NoResource> {
    let invalid = |text: &str| NoResource::Invalid(InvalidParameterException::new(text));
    let parsed = Arn::parse(arn).map_err(|_: ArnError| invalid(texts::ARN_INVALID))?;
    if parsed.kind == "cluster" {
        let name = identifiers::cluster_name(&caller.scope, Some(arn)).map_err(NoResource::Cluster)?;
        let tables = state.ecs().cluster(&ClusterKey::new(caller.scope.clone(), name));
        let record =
            tables.and_then(ClusterTables::record).ok_or(NoResource::Cluster(NoCluster::NotFound))?;
        return Ok(Resource::Cluster(record.clone()));
    }
    let mine = parsed.scope == caller.scope;
    let in_cluster = |kind: &'static str| {
        let (cluster, id) = parsed.rest.split_once('/').ok_or_else(|| invalid(texts::TAGS_NEED_LONG_ARN))?;
        let name = longshore_base::ClusterName::parse(cluster).map_err(|_| NoResource::NotFound(kind))?;
        let at = ClusterKey::new(caller.scope.clone(), name);
        let tables = state.ecs().cluster(&at).filter(|_| mine).ok_or(NoResource::NotFound(kind))?;
        Ok::<_, NoResource>((at, tables, id))
    };
    match parsed.kind {
        "container-instance" => {
            let (at, tables, id) = in_cluster("container instance")?;
            let entry = InstanceId::parse(id).ok().and_then(|id| tables.instance(id));
            let entry = entry.ok_or(NoResource::NotFound("container instance"))?;
            Ok(Resource::Instance(at, entry.record.clone()))
        }
        "task" => {
            let (at, tables, id) = in_cluster("task")?;
            let task = TaskId::parse(id).ok().and_then(|id| tables.task(id));
            Ok(Resource::Task(at, task.ok_or(NoResource::NotFound("task"))?.clone()))
        }
        "service" => {
            let (at, tables, name) = in_cluster("service")?;
            let entry =
                ServiceName::parse(name).ok().and_then(|name| tables.service(&name)?.record().cloned());
            Ok(Resource::Service(at, entry.ok_or(NoResource::NotFound("service"))?))
        }
        "task-definition" => {
            if !parsed.rest.contains(':') {
                return Err(invalid(texts::ARN_INVALID));
            }
            let name = identifiers::definition_name(&caller.scope, arn).ok();
            let definition =
                name.and_then(|name| state.ecs().definition(&caller.scope, &name.family, name.revision?));
            let definition = definition.ok_or(NoResource::NotFound("task definition"))?;
            Ok(Resource::Definition(definition.clone()))
        }
        "capacity-provider" => {
            let provider = capacity_providers::stored(state, caller, parsed.rest).filter(|_| mine);
            Ok(Resource::Provider(provider.ok_or(NoResource::NotFound("capacity provider"))?.clone()))
        }
        "task-set" => {
            let (at, tables, rest) = in_cluster("task set")?;
            let set = rest.split_once('/').and_then(|(service, id)| {
                let entry = tables.service(&ServiceName::parse(service).ok()?)?;
                entry.task_sets().get(&DeploymentId::parse(id).ok()?)
            });
            Ok(Resource::TaskSet(at, set.ok_or(NoResource::NotFound("task set"))?.clone()))
        }
        "daemon" | "daemon-task-definition" => Err(NoResource::NotFound("resource")),
        _ => Err(invalid(texts::ARN_INVALID)),
    }
}

macro_rules! with_resource {
    ($($error:ident: $not_found:ident,)*) => {$(
        impl From<NoResource> for $error {
            fn from(error: NoResource) -> Self {
                match error {
                    NoResource::Cluster(error) => error.into(),
                    NoResource::NotFound(kind) => $not_found::new(texts::not_found(kind)).into(),
                    NoResource::Invalid(error) => error.into(),
                }
            }
        }
    )*};
}

with_resource! {
    TagResourceError: ResourceNotFoundException,
    UntagResourceError: ResourceNotFoundException,
    // The model gives this operation no such error (ecs-operations B9).
    ListTagsForResourceError: InvalidParameterException,
}
