//! What carries tags, found by its ARN.

use std::sync::Arc;

use longshore_base::{Arn, ArnError, DeploymentId, InstanceId, ServiceName, TaskId};
use longshore_domain::status::{ClusterStatus, ProviderStatus};
use longshore_domain::tags::Tags;
use longshore_domain::{InstanceStatus, ServiceStatus};
use longshore_rollout::TaskSetStatus;
use longshore_shapes_ecs::InvalidParameterException;
use longshore_state::{State, Tx};
use longshore_tables_ecs::key::ProviderKey;
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, record};

use crate::identifiers::{self, NoCluster};
use crate::{Caller, texts};

/// Something that carries tags, as it is stored.
pub(crate) enum Resource {
    Cluster(Arc<record::Cluster>),
    Instance(ClusterKey, Arc<record::Instance>),
    Task(ClusterKey, Arc<record::Task>),
    Service(ClusterKey, Arc<record::Service>),
    TaskSet(ClusterKey, Arc<record::TaskSet>),
    Definition(Arc<record::TaskDefinition>),
    Provider(Arc<record::CapacityProvider>),
}

/// An ARN that leads to no tags.
pub(crate) enum NoResource {
    Cluster(NoCluster),
    /// Of such a kind.
    NotFound(&'static str),
    Invalid(InvalidParameterException),
}

impl Resource {
    pub fn tags(&self) -> &Tags {
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
    pub fn check_alive(&self) -> Result<(), NoResource> {
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
            Resource::Provider(record) => (record.status != ProviderStatus::Inactive, "capacity provider"),
        };
        if alive { Ok(()) } else { Err(NoResource::NotFound(kind)) }
    }

    pub fn retag(self, tx: &mut Tx<'_>, caller: &Caller, tags: Tags) {
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
pub(crate) fn find(state: &State, caller: &Caller, arn: &str) -> Result<Resource, NoResource> {
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
            let provider = state
                .ecs()
                .realm(&caller.scope)
                .and_then(|realm| realm.providers().get(parsed.rest))
                .filter(|_| mine);
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
