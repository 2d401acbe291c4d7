//! Tags as EC2 takes and shows them. It allows any characters in them, which other services do not.

use longshore_domain::tags::{TAGS_MAX, Tags, is_reserved};
use longshore_shapes_ec2::{ResourceType, Tag, TagSpecification};
use longshore_wire::Fault;

use crate::errors;

const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// Reads the tags of a call.
pub(crate) fn parse(given: &[Tag]) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for tag in given {
        let (key, value) = (tag.key.as_deref().unwrap_or_default(), tag.value.clone().unwrap_or_default());
        if key.is_empty() {
            return Err(errors::missing("Tag.Key"));
        }
        if is_reserved(key) {
            return Err(errors::invalid("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        if key.chars().count() > KEY_CHARS_MAX {
            return Err(errors::invalid(format!(
                "Tag key exceeds the maximum length of {KEY_CHARS_MAX} characters"
            )));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            return Err(errors::invalid(format!(
                "Tag value exceeds the maximum length of {VALUE_CHARS_MAX} characters"
            )));
        }
        if tags.insert(key.to_owned(), value).is_some() {
            return Err(errors::invalid(format!("Duplicate tag key '{key}' specified.")));
        }
        if tags.len() > TAGS_MAX {
            return Err(errors::too_many_tags());
        }
    }
    Ok(tags)
}

/// The tags for something that is made. All of them have to be for a resource of its type.
pub(crate) fn specified(
    given: &Option<Vec<TagSpecification>>,
    for_type: &ResourceType,
) -> Result<Tags, Fault> {
    let mut all = Vec::new();
    for specification in given.iter().flatten() {
        match &specification.resource_type {
            Some(own) if own == for_type => all.extend(specification.tags.iter().flatten().cloned()),
            Some(other) => {
                let text = format!("'{other}' is not a valid taggable resource type for this operation.");
                return Err(errors::invalid(text));
            }
            None => return Err(errors::missing("TagSpecification.ResourceType")),
        }
    }
    parse(&all)
}

/// Adds tags, in the place of those with the same keys.
pub(crate) fn add(own: &Tags, added: &Tags) -> Result<Tags, Fault> {
    let mut all = own.clone();
    all.extend(added.iter().map(|(key, value)| (key.clone(), value.clone())));
    if all.len() > TAGS_MAX { Err(errors::too_many_tags()) } else { Ok(all) }
}

/// The tags without those that are named: by their key, or by key and value. Nothing named means all.
pub(crate) fn without(own: &Tags, named: &Option<Vec<Tag>>) -> Tags {
    let Some(named) = named.as_ref().filter(|named| !named.is_empty()) else { return Tags::new() };
    let is_named = |key: &str, value: &str| {
        named.iter().any(|tag| {
            tag.key.as_deref() == Some(key) && tag.value.as_ref().is_none_or(|wanted| wanted == value)
        })
    };
    let stays = |(key, value): &(&String, &String)| !is_named(key, value);
    own.iter().filter(stays).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// In the order of their keys.
pub(crate) fn shapes(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    tags.iter().map(tag).collect()
}

/// The same where an answer leaves out what there is none of.
pub(crate) fn shown(tags: &Tags) -> Option<Vec<Tag>> {
    (!tags.is_empty()).then(|| shapes(tags))
}
