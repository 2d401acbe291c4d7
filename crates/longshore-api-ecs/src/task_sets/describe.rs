//! DescribeTaskSets.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_service::{Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, EcsState, record};

use super::{newest_first, owner, shape};
use crate::services::lookup::Counts;
use crate::{Caller, Ecs, failures, identifiers, input, permission, texts};

/// The most sets that one call names (ecs-operations B7).
const DESCRIBE_MAX: usize = 10;

/// What DescribeTaskSets found, before it is made a shape of.
#[derive(Clone, Debug)]
pub struct DescribedTaskSets {
    at: ClusterKey,
    service: Arc<record::Service>,
    sets: Vec<Arc<record::TaskSet>>,
    counts: Counts,
    with_tags: bool,
    failures: Vec<Failure>,
}

impl From<DescribedTaskSets> for DescribeTaskSetsResponse {
    fn from(found: DescribedTaskSets) -> Self {
        let DescribedTaskSets { at, service, sets, counts, with_tags, failures } = found;
        let shape =
            |set: &Arc<record::TaskSet>| shape(&at, &service, set, counts.of_deployment(set.id), with_tags);
        Self { task_sets: Some(sets.iter().map(shape).collect()), failures: Some(failures) }
    }
}

/// Describes the sets that are named, or all of the service, the newest first.
impl Query<Ecs> for ops::DescribeTaskSets {
    type Parsed = Self::Input;
    type Answer = DescribedTaskSets;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_task_sets(
            input.cluster.as_deref(),
            input.service.as_deref(),
            input.task_sets.iter().flatten().map(String::as_str),
        )
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let named = input.task_sets.unwrap_or_default();
        if named.len() > DESCRIBE_MAX {
            return Err(InvalidParameterException::new(texts::too_many("taskSets", DESCRIBE_MAX)).into());
        }
        let include = input.include.unwrap_or_default();
        let owner = owner::<DescribeTaskSetsError>(
            state,
            caller,
            input.cluster.as_deref(),
            input.service.as_deref(),
        )?;
        let (mut sets, mut failed) = (Vec::new(), Vec::new());
        if named.is_empty() {
            sets = newest_first(owner.entry);
        }
        let mut seen = BTreeSet::new();
        for named in &named {
            let id = identifiers::found(identifiers::task_set_id(&owner.at, &owner.name, named))?;
            match id.and_then(|id| owner.entry.task_sets().get(&id)) {
                Some(set) if seen.insert(set.id) => sets.push(set.clone()),
                Some(_) => {}
                None => {
                    let within = format!("{}/{named}", owner.name);
                    let arn = if longshore_base::Arn::looks_like_one(named) { named } else { &within };
                    failed.push(failures::missing(identifiers::would_be_arn(&owner.at, "task-set", arn)));
                }
            }
        }
        let cluster = state.ecs().cluster(&owner.at).expect("the cluster of a service that was found");
        Ok(DescribedTaskSets {
            counts: Counts::of(cluster, owner.entry),
            service: owner.service.clone(),
            at: owner.at,
            sets,
            with_tags: include.contains(&TaskSetField::Tags),
            failures: failed,
        })
    }
}
