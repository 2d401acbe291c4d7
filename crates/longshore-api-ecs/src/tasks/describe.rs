//! DescribeTasks.

use std::collections::BTreeSet;

use longshore_service::{Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::State;

use super::answer::DescribedTasks;
use super::shape::View;
use crate::identifiers::{self, NoMember};
use crate::{Caller, Ecs, failures, permission, texts};

/// The most tasks that one call describes (ecs-behaviour A4).
const DESCRIBE_MAX: usize = 100;

impl Query<Ecs> for ops::DescribeTasks {
    type Parsed = Self::Input;
    type Answer = DescribedTasks;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_members(input.cluster.as_deref(), "task", input.tasks.iter().flatten().map(String::as_str))
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let named = input.tasks.unwrap_or_default();
        if named.is_empty() {
            return Err(InvalidParameterException::new(texts::TASKS_EMPTY).into());
        }
        if named.len() > DESCRIBE_MAX {
            return Err(InvalidParameterException::new(texts::too_many("tasks", DESCRIBE_MAX)).into());
        }
        let with_tags = super::includes_tags(input.include.as_deref())?;
        let (at, cluster) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
        let mut views = Vec::with_capacity(named.len());
        let mut failed = Vec::new();
        let mut seen = BTreeSet::new();
        for named in &named {
            let task = match identifiers::task_id(&at, named) {
                Ok(id) => cluster.task(id),
                Err(NoMember::NotFound) => None,
                Err(error @ (NoMember::OtherCluster { .. } | NoMember::Malformed)) => {
                    return Err(InvalidParameterException::new(error.to_string()).into());
                }
            };
            match task {
                Some(task) if seen.insert(task.id) => views.push(View::of(state, &at, task)),
                Some(_) => {}
                None => failed.push(failures::missing(identifiers::would_be_arn(&at, "task", named))),
            }
        }
        Ok(DescribedTasks { at, views, with_tags, failures: failed })
    }
}
