//! Container instances: what callers see of them, and what they may change (ecs-operations B4,
//! ecs-engine D2). [`crate::registration`] is how they come to be.

mod shape;

pub use shape::arn;
pub(crate) use shape::shape;

use longshore_base::InstanceId;
use longshore_controllers::upkeep;
use longshore_domain::{InstanceStatus, StopCode};
use longshore_placement::Expression;
use longshore_service::{Command, Cx, Query, Resources, Watch};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx, InstanceEntry, record};

use self::shape::{Include, View};
use crate::paging::{self, Page};
use crate::{Caller, Ecs, failures, identifiers, input, permission, texts};

/// The most instances that one call describes (ecs-behaviour A4).
const DESCRIBE_MAX: usize = 100;
/// The most instances whose state one call changes.
const UPDATE_MAX: usize = 10;
/// How many tasks a forced deregistration ends in its own commit, which holds 127 records. The sweep
/// ends the others within seconds ([`upkeep::sweep`]).
const FORCED_TASKS_MAX: usize = 100;

/// What DescribeContainerInstances found, before it is put in shape.
pub struct Described {
    at: ClusterKey,
    include: Include,
    instances: Vec<View>,
    failures: Vec<Failure>,
}

impl From<Described> for DescribeContainerInstancesResponse {
    fn from(described: Described) -> Self {
        let Described { at, include, instances, failures } = described;
        let instances = instances.into_iter().map(|view| view.shape(&at, include)).collect();
        Self { container_instances: Some(instances), failures: Some(failures) }
    }
}

impl Query<Ecs> for ops::DescribeContainerInstances {
    type Parsed = Self::Input;
    type Answer = Described;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "container-instance",
            input.container_instances.iter().flatten().map(String::as_str),
        )
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let named = input.container_instances.as_deref().unwrap_or_default();
        if named.is_empty() {
            return Err(InvalidParameterException::new(texts::INSTANCES_EMPTY).into());
        }
        if named.len() > DESCRIBE_MAX {
            return Err(
                InvalidParameterException::new(texts::too_many("containerInstances", DESCRIBE_MAX)).into()
            );
        }
        input::check(&input)?;
        let (at, tables) = identifiers::host(state, caller, input.cluster.as_deref())?;
        let include = Include::of(input.include.as_deref().unwrap_or_default());
        let (mut instances, mut failures) = (Vec::new(), Vec::new());
        for named in named {
            match identifiers::found(identifiers::instance(&at, tables, named))? {
                Some(entry) => instances.push(View::of(tables, entry)),
                None => failures.push(failures::missing(would_be_arn(&at, named))),
            }
        }
        Ok(Described { at, include, instances, failures })
    }
}

/// A call of ListContainerInstances.
pub struct List {
    cluster: Option<String>,
    status: Option<ContainerInstanceStatus>,
    filter: Option<Expression>,
    page: Page,
}

impl Query<Ecs> for ops::ListContainerInstances {
    type Parsed = List;
    type Answer = ListContainerInstancesResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        input::check(&input)?;
        let page = Page::open("ListContainerInstances", cx.caller, &input, asked, paging::LIST)?;
        let filter = input.filter.as_deref().filter(|text| !text.is_empty());
        let filter = filter.map(Expression::parse).transpose();
        let filter = filter.map_err(|error| InvalidParameterException::new(texts::filter(&error)))?;
        Ok(List { cluster: input.cluster, status: input.status, filter, page })
    }

    fn resources(state: &State, caller: &Caller, list: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(list.cluster.as_deref())
    }

    fn run(state: &State, caller: &Caller, list: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let List { cluster, status, filter, page } = list;
        let (at, tables) = identifiers::host(state, caller, cluster.as_deref())?;
        let wanted = |entry: &InstanceEntry| match &status {
            Some(status) => entry.record.status.as_str() == status.as_str(),
            None => entry.record.status != InstanceStatus::Inactive,
        };
        let matching =
            |id: InstanceId| filter.as_ref().is_none_or(|filter| tables.fleet().matches(id, filter));
        let after = page.after().and_then(|after| InstanceId::parse(after).ok());
        let from = after.map_or(InstanceId::from_bits(0), |after| after);
        let instances = tables
            .instances()
            .range(from..)
            .filter(|&(&id, entry)| Some(id) != after && wanted(entry) && matching(id))
            .map(|(_, entry)| &entry.record);
        let (instances, next_token) = page.fill(instances, |instance| instance.id.to_string());
        let arns = instances.into_iter().map(|instance| arn(&at, instance)).collect();
        Ok(ListContainerInstancesResponse { container_instance_arns: Some(arns), next_token })
    }
}

impl Command<Ecs> for ops::DeregisterContainerInstance {
    type Parsed = Self::Input;
    type Answer = DeregisterContainerInstanceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(input.cluster.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::host(tx.state(), caller, input.cluster.as_deref())?;
        let named = input.container_instance.as_deref().unwrap_or_default();
        let entry = identifiers::instance(&at, tables, named)
            .map_err(|error| error.refusal(texts::INSTANCE_NOT_FOUND))?;
        if entry.record.status == InstanceStatus::Inactive {
            return Err(InvalidParameterException::new(texts::INSTANCE_INACTIVE).into());
        }
        let force = input.force.unwrap_or(false);
        if !force && !entry.tasks().is_empty() {
            return Err(InvalidParameterException::new(texts::INSTANCE_HAS_TASKS).into());
        }
        let (left, is_away) = (entry.tasks().len(), !entry.connection.is_here());
        let mut instance = record::Instance::clone(&entry.record);
        let id = instance.id;
        instance.status = InstanceStatus::Inactive;
        instance.deregistered_at = Some(tx.now);
        tx.put_instance(&at, instance);
        // What does not fit this commit is ended by the sweep.
        let _all = upkeep::abandon_instance(
            tx,
            &at.instance(id),
            StopCode::UserInitiated,
            upkeep::DEREGISTERED_BY_FORCE,
            FORCED_TASKS_MAX,
        );
        let mut container_instance = shape(tx.state(), &at, id);
        if is_away && left > 0 {
            // The answer has no other place for what a person should know now.
            let reason = texts::left_on_instance(left, &id.to_string());
            container_instance.iter_mut().for_each(|shape| shape.status_reason = Some(reason.clone()));
        }
        Ok(DeregisterContainerInstanceResponse { container_instance })
    }

    fn watch<'a>(cx: Cx<'a, Ecs>, _: &Self::Parsed) -> Option<Watch<'a, Self::Answer, Self::Error>> {
        Some(Box::new(move |result| {
            if let Ok(answer) = result {
                cx.api.news.deregistered(cx.caller, answer);
            }
        }))
    }
}

impl Command<Ecs> for ops::UpdateContainerInstancesState {
    type Parsed = Self::Input;
    type Answer = UpdateContainerInstancesStateResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "container-instance",
            input.container_instances.iter().flatten().map(String::as_str),
        )
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let status = match input.status {
            Some(ContainerInstanceStatus::Active) => InstanceStatus::Active,
            Some(ContainerInstanceStatus::Draining) => InstanceStatus::Draining,
            Some(_) => return Err(InvalidParameterException::new(texts::INSTANCE_STATUS).into()),
            None => return Err(InvalidParameterException::new(texts::required("status")).into()),
        };
        let named = input.container_instances.unwrap_or_default();
        if named.is_empty() {
            return Err(InvalidParameterException::new(texts::INSTANCES_EMPTY).into());
        }
        if named.len() > UPDATE_MAX {
            return Err(
                InvalidParameterException::new(texts::too_many("containerInstances", UPDATE_MAX)).into()
            );
        }
        let at = identifiers::host(tx.state(), caller, input.cluster.as_deref())?.0;
        let (mut changed, mut failures) = (Vec::new(), Vec::new());
        for named in named {
            let tables = tx.ecs().cluster(&at);
            let entry = tables.map(|tables| identifiers::instance(&at, tables, &named));
            let Some(entry) = entry.map(identifiers::found).transpose()?.flatten() else {
                failures.push(failures::missing(would_be_arn(&at, &named)));
                continue;
            };
            let record = entry.record.clone();
            match record.status {
                InstanceStatus::Active | InstanceStatus::Draining => {}
                InstanceStatus::Registering
                | InstanceStatus::RegistrationFailed
                | InstanceStatus::Deregistering
                | InstanceStatus::Inactive => {
                    failures.push(failures::failure(arn(&at, &record), failures::INACTIVE));
                    continue;
                }
            }
            if record.status != status {
                tx.put_instance(&at, record::Instance { status, ..record::Instance::clone(&record) });
            }
            if at.is_pool() && status == InstanceStatus::Draining {
                // As above: the sweep goes on with what this commit has no room for.
                let room = FORCED_TASKS_MAX.saturating_sub(tx.changed());
                upkeep::interrupt_spot(tx, &at.instance(record.id), room);
            }
            changed.extend(shape(tx.state(), &at, record.id));
        }
        Ok(UpdateContainerInstancesStateResponse {
            container_instances: Some(changed),
            failures: Some(failures),
        })
    }
}

/// Longshore ships no agents: whoever installed one updates it (ecs-operations B4).
impl Query<Ecs> for ops::UpdateContainerAgent {
    type Parsed = Self::Input;
    type Answer = UpdateContainerAgentResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "container-instance",
            input.container_instance.as_deref(),
        )
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::host(state, caller, input.cluster.as_deref())?;
        let named = input.container_instance.as_deref().unwrap_or_default();
        let entry = identifiers::instance(&at, tables, named)
            .map_err(|error| error.refusal(texts::INSTANCE_NOT_FOUND))?;
        match entry.record.agent_version {
            Some(_) => Err(NoUpdateAvailableException::new(texts::NO_AGENT_UPDATE).into()),
            None => Err(MissingVersionException::new(texts::NO_AGENT_VERSION).into()),
        }
    }
}

fn would_be_arn(at: &ClusterKey, named: &str) -> String {
    identifiers::would_be_arn(at, "container-instance", named)
}
