//! Tags of parameters. The resource is named by the parameter's name.

use longshore_domain::tags::{TagError, merge};
use longshore_service::Caller;
use longshore_shapes_ssm::{
    AddTagsToResourceResult, InvalidResourceId, InvalidResourceType, ListTagsForResourceResult,
    RemoveTagsFromResourceResult, ResourceTypeForTagging, Tag, TooManyTagsError, ops,
};
use longshore_state::State;
use longshore_tables_secrets::find::{self, FoundParameter};
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::record::Parameter;
use longshore_wire::Fault;

use super::{permission, texts};
use crate::input::given;
use crate::tags;

fn pairs(given: &Option<Vec<Tag>>) -> Vec<tags::Pair> {
    given.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

/// The parameter that is meant: nothing else of Systems Manager is here.
fn find<'s, E>(
    state: &'s State,
    caller: &Caller,
    kind: Option<&ResourceTypeForTagging>,
    id: &str,
) -> Result<FoundParameter<'s>, E>
where
    E: From<InvalidResourceId> + From<InvalidResourceType>,
{
    if kind != Some(&ResourceTypeForTagging::Parameter) {
        let text = "Longshore has no resources of this type in Systems Manager: only Parameter.";
        return Err(InvalidResourceType::new(text).into());
    }
    let found = find::parameter(state, &caller.scope, id).filter(|found| found.scope == caller.scope);
    found.ok_or_else(|| InvalidResourceId::new(texts::no_resource(id)).into())
}

command!(
    Ssm,
    AddTagsToResource,
    |state, caller, input| {
        let access = permission::on(state, caller, "AddTagsToResource", given(&input.resource_id));
        tags::of_request(access, pairs(&input.tags))
    },
    |tx, caller, input| {
        let refused = |error: TagError| match error {
            TagError::TooMany => Self::Error::from(TooManyTagsError::new(error.to_string())),
            error => Fault::validation(error.to_string()).into(),
        };
        let added = tags::parse(pairs(&input.tags)).map_err(refused)?;
        let id = given(&input.resource_id);
        let found = find::<Self::Error>(tx.state(), caller, input.resource_type.as_ref(), id)?;
        let at = ScopedKey::new(&found.scope, found.name);
        let tags = merge(&found.parameter.tags, added).map_err(refused)?;
        let parameter = Parameter { tags, ..Parameter::clone(found.parameter) };
        tx.put::<Parameter>(at, parameter);
        Ok(AddTagsToResourceResult {})
    }
);

command!(
    Ssm,
    RemoveTagsFromResource,
    |state, caller, input| {
        let access = permission::on(state, caller, "RemoveTagsFromResource", given(&input.resource_id));
        access.with_all("aws:TagKeys", input.tag_keys.iter().flatten().cloned())
    },
    |tx, caller, input| {
        let id = given(&input.resource_id);
        let found = find::<Self::Error>(tx.state(), caller, input.resource_type.as_ref(), id)?;
        let at = ScopedKey::new(&found.scope, found.name);
        let keys = input.tag_keys.as_deref().unwrap_or_default();
        let tags = tags::without(&found.parameter.tags, keys);
        let parameter = Parameter { tags, ..Parameter::clone(found.parameter) };
        tx.put::<Parameter>(at, parameter);
        Ok(RemoveTagsFromResourceResult {})
    }
);

query!(
    Ssm,
    ListTagsForResource,
    |state, caller, input| permission::on(state, caller, "ListTagsForResource", given(&input.resource_id)),
    |state, caller, input| {
        let id = given(&input.resource_id);
        let found = find::<Self::Error>(state, caller, input.resource_type.as_ref(), id)?;
        let tag =
            |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
        Ok(ListTagsForResourceResult { tag_list: Some(found.parameter.tags.iter().map(tag).collect()) })
    }
);
