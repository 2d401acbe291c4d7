//! ListTasks.

use std::ops::Bound;
use std::sync::Arc;

use longshore_base::{InstanceId, ServiceName, TaskId};
use longshore_domain::DesiredStatus as Desired;
use longshore_service::{Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::State;
use longshore_tables_ecs::record::Task as Record;
use longshore_tables_ecs::{ClusterKey, ClusterTables};

use crate::identifiers::{self, NoMember};
use crate::paging::{self, Page};
use crate::permission::Keys;
use crate::{Caller, Ecs, input, permission, texts};

/// Lists tasks in the order of their ids, which is stable over pages.
impl Query<Ecs> for ops::ListTasks {
    type Parsed = (Self::Input, Page);
    type Answer = ListTasksResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let asked = (input.max_results.take(), input.next_token.take());
        let page = Page::open("ListTasks", cx.caller, &input, asked, paging::LIST)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        match input.container_instance.as_deref() {
            Some(named) => ask.on_members(input.cluster.as_deref(), "container-instance", [named]),
            None => ask.on_all().in_cluster(caller, input.cluster.as_deref()),
        }
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, cluster) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
        let filter = Filter::parse(&at, cluster, input)?;
        let after = page.after().and_then(|id| TaskId::parse(id).ok());
        let (tasks, next_token) = match &filter {
            Some(filter) => page.fill(filter.tasks(cluster, after), |task| task.id.to_string()),
            None => (Vec::new(), None),
        };
        let arns = tasks
            .iter()
            .map(|task| at.scope.task_arn(&at.cluster, task.id, task.origin.arn_format))
            .collect();
        Ok(ListTasksResponse { task_arns: Some(arns), next_token })
    }
}

/// What the listed tasks have in common.
struct Filter {
    desired: Desired,
    instance: Option<InstanceId>,
    service: Option<ServiceName>,
    family: Option<String>,
    launch_type: Option<LaunchType>,
    started_by: Option<String>,
}

impl Filter {
    /// `None` for what no task can be.
    fn parse(
        at: &ClusterKey,
        cluster: &ClusterTables,
        input: ListTasksRequest,
    ) -> Result<Option<Self>, ListTasksError> {
        let named = input.container_instance.as_deref();
        let instance = named.map(|named| instance(at, cluster, named)).transpose()?;
        let service = input.service_name.as_deref().map(|named| service(at, cluster, named)).transpose()?;
        let desired = match input.desired_status {
            None | Some(DesiredStatus::Running) => Desired::Running,
            Some(DesiredStatus::Stopped) => Desired::Stopped,
            // Legal, and true of no task (ecs-operations B5).
            Some(DesiredStatus::Pending | DesiredStatus::Unrecognized(_)) => return Ok(None),
        };
        // Longshore has no daemons, so no task belongs to one.
        if input.daemon_name.is_some() {
            return Ok(None);
        }
        Ok(Some(Self {
            desired,
            instance,
            service,
            family: input.family,
            launch_type: input.launch_type,
            started_by: input.started_by,
        }))
    }

    /// The tasks that pass, in order, from the smallest table that holds them all.
    fn tasks<'c>(
        &'c self,
        cluster: &'c ClusterTables,
        after: Option<TaskId>,
    ) -> Box<dyn Iterator<Item = &'c Arc<Record>> + 'c> {
        let later = move |id: &&TaskId| after.is_none_or(|after| **id > after);
        let known = move |id: &'c TaskId| cluster.task(*id);
        let candidates: Box<dyn Iterator<Item = &'c Arc<Record>> + 'c> = if let Some(service) = &self.service
        {
            let entry = cluster.service(service);
            let ids = entry.into_iter().flat_map(|entry| entry.active().union(entry.stopped()));
            Box::new(ids.filter(later).filter_map(known))
        } else if let (Some(instance), Desired::Running) = (self.instance, self.desired) {
            let ids = cluster.instance(instance).into_iter().flat_map(|entry| entry.tasks());
            Box::new(ids.filter(later).filter_map(known))
        } else {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            Box::new(cluster.tasks().range((from, Bound::Unbounded)).map(|(_, task)| task))
        };
        Box::new(candidates.filter(|task| self.passes(task)))
    }

    fn passes(&self, task: &Record) -> bool {
        let service = || task.origin.service.as_ref().map(|service| &service.name);
        task.desired_status == self.desired
            && self.instance.is_none_or(|instance| task.instance == Some(instance))
            && self.service.as_ref().is_none_or(|name| service() == Some(name))
            && self.family.as_deref().is_none_or(|family| task.origin.family.as_str() == family)
            && self.launch_type.as_ref().is_none_or(|kind| task.origin.launch_type.as_str() == kind.as_str())
            && self.started_by.as_deref().is_none_or(|text| task.origin.started_by.as_deref() == Some(text))
    }
}

fn instance(
    at: &ClusterKey,
    cluster: &ClusterTables,
    named: &str,
) -> Result<InstanceId, InvalidParameterException> {
    identifiers::instance(at, cluster, named).map(|entry| entry.record.id).map_err(|error| {
        InvalidParameterException::new(match error {
            NoMember::NotFound => texts::INSTANCE_NOT_FOUND.to_owned(),
            NoMember::OtherCluster { .. } | NoMember::Malformed => error.to_string(),
        })
    })
}

fn service(at: &ClusterKey, cluster: &ClusterTables, named: &str) -> Result<ServiceName, ListTasksError> {
    let not_found = || ServiceNotFoundException::new(texts::SERVICE_NOT_FOUND);
    let name = identifiers::service_name(at, named).map_err(|error| match error {
        NoMember::NotFound => ListTasksError::from(not_found()),
        NoMember::OtherCluster { .. } | NoMember::Malformed => {
            InvalidParameterException::new(error.to_string()).into()
        }
    })?;
    match cluster.service(&name) {
        Some(_) => Ok(name),
        None => Err(not_found().into()),
    }
}
