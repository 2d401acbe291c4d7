//! Tags of repositories, which are named by their ARNs (registry I3).

use longshore_domain::tags::{self, TagError, Tags, merge};
use longshore_service::{Access, Caller};
use longshore_shapes_ecr::{
    InvalidParameterException, InvalidTagParameterException, ListTagsForResourceResponse,
    RepositoryNotFoundException, Tag, TagResourceResponse, TooManyTagsException, UntagResourceResponse, ops,
};
use longshore_state::State;
use longshore_tables_ecr::record::Repository;
use longshore_tables_ecr::tables::Found;
use longshore_tables_ecr::{EcrState, RepositoryKey};

use crate::find;
use crate::input::{given, refused};

/// Reads the tags of a call.
pub(crate) fn read(given: &Option<Vec<Tag>>) -> Result<Tags, TagError> {
    let pair = |tag: &Tag| (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
    tags::parse(given.iter().flatten().map(pair))
}

/// With the condition keys of the tags that a request brings. What cannot be read has none: it is refused before anything
/// is done.
pub(crate) fn of_request(access: Access, given: &Option<Vec<Tag>>) -> Access {
    let given = read(given).unwrap_or_default();
    if given.is_empty() {
        return access;
    }
    let keys: Vec<String> = given.keys().cloned().collect();
    let tag =
        |access: Access, (key, value): (String, String)| access.with(format!("aws:RequestTag/{key}"), value);
    given.into_iter().fold(access, tag).with_all("aws:TagKeys", keys)
}

fn on(state: &State, caller: &Caller, action: &str, arn: &Option<String>) -> Access {
    match find::of_arn(given(arn)) {
        Some(key) => longshore_registry::permission::on(state, caller, action, &key.scope, key.name.as_str()),
        // It is refused by whoever looks for it.
        None => Access::new(format!("ecr:{action}"), given(arn), caller),
    }
}

fn find<'s, E>(state: &'s State, arn: &Option<String>) -> Result<(RepositoryKey, Found<'s>), E>
where
    E: From<InvalidParameterException> + From<RepositoryNotFoundException>,
{
    let key = find::of_arn(given(arn)).ok_or_else(|| refused("resourceArn", "Invalid ARN"))?;
    match state.ecr().find(&key.scope, &key.name) {
        Some(found) => Ok((key, found)),
        None => Err(find::no_repository(&key).into()),
    }
}

fn wrong<E: From<InvalidTagParameterException> + From<TooManyTagsException>>(error: TagError) -> E {
    match error {
        TagError::TooMany => TooManyTagsException::new(error.to_string()).into(),
        error => InvalidTagParameterException::new(error.to_string()).into(),
    }
}

command!(
    TagResource,
    |state, caller, asked| {
        let access = on(state, caller, "TagResource", &asked.input.resource_arn);
        of_request(access, &asked.input.tags)
    },
    |tx, _caller, asked| {
        let added = read(&asked.input.tags).map_err(wrong::<Self::Error>)?;
        let (key, found) = find::<Self::Error>(tx.state(), &asked.input.resource_arn)?;
        let tags = merge(&found.repository.tags, added).map_err(wrong::<Self::Error>)?;
        let repository = Repository { tags, ..Repository::clone(found.repository) };
        tx.put::<Repository>(key, repository);
        Ok(TagResourceResponse {})
    }
);

command!(
    UntagResource,
    |state, caller, asked| {
        let access = on(state, caller, "UntagResource", &asked.input.resource_arn);
        access.with_all("aws:TagKeys", asked.input.tag_keys.iter().flatten().cloned())
    },
    |tx, _caller, asked| {
        let (key, found) = find::<Self::Error>(tx.state(), &asked.input.resource_arn)?;
        let mut tags = found.repository.tags.clone();
        tags.retain(|key, _| !asked.input.tag_keys.iter().flatten().any(|gone| gone == key));
        let repository = Repository { tags, ..Repository::clone(found.repository) };
        tx.put::<Repository>(key, repository);
        Ok(UntagResourceResponse {})
    }
);

query!(
    ListTagsForResource,
    |state, caller, asked| on(state, caller, "ListTagsForResource", &asked.input.resource_arn),
    |state, _caller, asked| {
        let (_, found) = find::<Self::Error>(state, &asked.input.resource_arn)?;
        let tag =
            |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
        Ok(ListTagsForResourceResponse { tags: Some(found.repository.tags.iter().map(tag).collect()) })
    }
);
