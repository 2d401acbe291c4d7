//! Tags, as calls bring them and as answers show them (ecs-behaviour A8).

use longshore_domain::tags::{self, TagError, Tags};
use longshore_shapes_ecs::{InvalidParameterException, Tag};

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
