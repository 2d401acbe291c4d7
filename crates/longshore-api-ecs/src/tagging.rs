//! TagResource and its relatives, for everything that can carry tags (ecs-operations B9).

use std::sync::Arc;

use longshore_base::{Arn, FARGATE_POOL, TaskId};
use longshore_domain::tags::{self as rules, TagError, Tags};
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{EcsState, record};

use crate::permission::Keys;
use crate::tagged::{NoResource, find};
use crate::{Caller, Ecs, identifiers, input, permission, tags, texts};

impl Command<Ecs> for ops::TagResource {
    /// The ARN, and the tags that are added.
    type Parsed = (String, Tags);
    type Answer = TagResourceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok((input.resource_arn.unwrap_or_default(), tags::parse(input.tags.unwrap_or_default())?))
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
        let merged = rules::merge(resource.tags(), added)
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
        if let Some(key) = keys.iter().find(|key| rules::is_reserved(key)) {
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
            return Ok(ListTagsForResourceResponse { tags: Some(tags::shapes(&task.origin.tags)) });
        }
        let resource = find(state, caller, arn)?;
        Ok(ListTagsForResourceResponse { tags: Some(tags::shapes(resource.tags())) })
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
