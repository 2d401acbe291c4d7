//! Tags: their keys are unique whatever the case of their letters, which is kept (identity J4).

use longshore_domain::tags::{self, Tags};
use longshore_shapes_iam::{InvalidInputException, LimitExceededException, Tag};

use super::texts;

/// Reads the tags of a call.
pub(super) fn parse(given: Option<Vec<Tag>>) -> Result<Tags, InvalidInputException> {
    let pairs = given.into_iter().flatten();
    let pairs = pairs.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
    let parsed = tags::parse(pairs).map_err(|error| match error {
        tags::TagError::Duplicate(_) => InvalidInputException::new(texts::DUPLICATE_TAGS),
        other => InvalidInputException::new(other.to_string()),
    })?;
    let mut folded: Vec<String> = parsed.keys().map(|key| key.to_lowercase()).collect();
    folded.sort();
    if folded.windows(2).any(|two| two[0] == two[1]) {
        return Err(InvalidInputException::new(texts::DUPLICATE_TAGS));
    }
    Ok(parsed)
}

/// Adds tags, in the place of those with the same keys. `quota` names the limit.
pub(super) fn add(own: &Tags, added: Tags, quota: &str) -> Result<Tags, LimitExceededException> {
    let mut all = without(own, added.keys().map(String::as_str));
    all.extend(added);
    if all.len() > tags::TAGS_MAX {
        return Err(LimitExceededException::new(texts::quota(quota, tags::TAGS_MAX)));
    }
    Ok(all)
}

/// The tags without those of these keys.
pub(super) fn without<'k>(own: &Tags, keys: impl IntoIterator<Item = &'k str>) -> Tags {
    let gone: Vec<String> = keys.into_iter().map(str::to_lowercase).collect();
    let stays = |(key, _): &(&String, &String)| !gone.contains(&key.to_lowercase());
    own.iter().filter(stays).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// In the order of their keys.
pub(super) fn shapes(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    tags.iter().map(tag).collect()
}

/// An answer leaves out what there is none of.
pub(super) fn shown(tags: &Tags) -> Option<Vec<Tag>> {
    (!tags.is_empty()).then(|| shapes(tags))
}
