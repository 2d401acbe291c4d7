//! Resource tags (ecs-behaviour A8).

use std::collections::BTreeMap;

/// The most tags that a user may put on one resource. Tags with the reserved prefix do not count.
pub const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
/// Tags that ECS itself sets; users may not.
const RESERVED_PREFIX: &str = "aws:";

/// Tags of one resource: keys are unique and case-sensitive.
pub type Tags = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("Tags cannot have more than {TAGS_MAX} elements.")]
    TooMany,
    #[error("Duplicate tag keys found: '{0}'.")]
    Duplicate(String),
    #[error("The tag key '{0}' must have 1 to {KEY_CHARS_MAX} characters.")]
    KeyLength(String),
    #[error("The value of tag '{0}' must not have more than {VALUE_CHARS_MAX} characters.")]
    ValueLength(String),
    #[error("The tag '{0}' contains invalid characters. Use letters, digits, spaces and _ . : / = + - @.")]
    Characters(String),
    #[error("The tag key '{0}' begins with the reserved prefix '{RESERVED_PREFIX}'.")]
    Reserved(String),
}

/// Reads the tags of a call. A missing value counts as empty.
pub fn parse(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Tags, TagError> {
    let mut tags = Tags::new();
    for (key, value) in pairs {
        check_key(&key)?;
        if value.chars().count() > VALUE_CHARS_MAX {
            return Err(TagError::ValueLength(key));
        }
        if !value.chars().all(allowed) {
            return Err(TagError::Characters(key));
        }
        if tags.contains_key(&key) {
            return Err(TagError::Duplicate(key));
        }
        tags.insert(key, value);
        if tags.len() > TAGS_MAX {
            return Err(TagError::TooMany);
        }
    }
    Ok(tags)
}

fn check_key(key: &str) -> Result<(), TagError> {
    let length = key.chars().count();
    if length == 0 || length > KEY_CHARS_MAX {
        return Err(TagError::KeyLength(key.chars().take(KEY_CHARS_MAX).collect()));
    }
    if !key.chars().all(allowed) {
        return Err(TagError::Characters(key.to_owned()));
    }
    if is_reserved(key) {
        return Err(TagError::Reserved(key.to_owned()));
    }
    Ok(())
}

/// Whether only ECS itself may set a tag of this key. AWS compares without regard to case.
pub fn is_reserved(key: &str) -> bool {
    key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
}

fn allowed(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

/// Adds `added` to `tags`, replacing values of equal keys, within the limit.
pub fn merge(tags: &Tags, added: Tags) -> Result<Tags, TagError> {
    let mut merged = tags.clone();
    merged.extend(added);
    let own = merged.keys().filter(|key| !key.starts_with(RESERVED_PREFIX)).count();
    if own > TAGS_MAX { Err(TagError::TooMany) } else { Ok(merged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(key: &str, value: &str) -> Result<Tags, TagError> {
        parse([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn keys_and_values_keep_their_limits() {
        assert!(parse_one("team", "a b_c.d:e/f=g+h-i@j").is_ok());
        assert!(parse_one("Größe", "").is_ok());
        assert!(matches!(parse_one("", "x"), Err(TagError::KeyLength(_))));
        assert!(matches!(parse_one(&"k".repeat(129), "x"), Err(TagError::KeyLength(_))));
        assert!(matches!(parse_one("k", &"v".repeat(257)), Err(TagError::ValueLength(_))));
        assert!(matches!(parse_one("k!", "v"), Err(TagError::Characters(_))));
        assert!(matches!(parse_one("AWS:x", "v"), Err(TagError::Reserved(_))));
    }

    #[test]
    fn duplicates_and_too_many_are_refused() {
        let twice = [("a", "1"), ("a", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(parse(twice), Err(TagError::Duplicate("a".into())));
        let many = (0..51).map(|n| (format!("k{n}"), String::new()));
        assert_eq!(parse(many), Err(TagError::TooMany));
    }

    #[test]
    fn managed_tags_do_not_count() {
        let mut tags: Tags = (0..50).map(|n| (format!("k{n}"), String::new())).collect();
        tags.insert("aws:ecs:clusterName".into(), "c".into());
        assert!(merge(&tags, Tags::new()).is_ok());
        assert_eq!(merge(&tags, Tags::from([("new".into(), "".into())])), Err(TagError::TooMany));
    }
}
