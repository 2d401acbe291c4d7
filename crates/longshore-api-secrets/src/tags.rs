//! Tags of secrets, parameters and keys: keys are unique and case-sensitive.

use longshore_domain::tags::{self, TagError, Tags};
use longshore_service::Access;

/// A key and a value, as requests have them.
pub(crate) type Pair = (Option<String>, Option<String>);

/// Reads the tags of a call.
pub(crate) fn parse(given: impl IntoIterator<Item = Pair>) -> Result<Tags, TagError> {
    tags::parse(given.into_iter().map(|(key, value)| (key.unwrap_or_default(), value.unwrap_or_default())))
}

/// The tags without those of these keys.
pub(crate) fn without(own: &Tags, keys: &[String]) -> Tags {
    let stays = |(key, _): &(&String, &String)| !keys.contains(key);
    own.iter().filter(stays).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// With the condition keys of what is tagged, for the service whose keys begin with `prefix`.
pub(crate) fn of_resource(mut access: Access, own: &Tags, prefix: Option<&str>) -> Access {
    for (key, value) in own {
        access = access.with(format!("aws:ResourceTag/{key}"), value.clone());
        if let Some(prefix) = prefix {
            access = access.with(format!("{prefix}:ResourceTag/{key}"), value.clone());
        }
    }
    access
}

/// With the condition keys of the tags that a request brings; without tags as it was. What cannot be read has none: it
/// is refused before anything is done.
pub(crate) fn of_request(access: Access, given: impl IntoIterator<Item = Pair>) -> Access {
    let given = parse(given).unwrap_or_default();
    if given.is_empty() {
        return access;
    }
    let keys: Vec<String> = given.keys().cloned().collect();
    let tag =
        |access: Access, (key, value): (String, String)| access.with(format!("aws:RequestTag/{key}"), value);
    given.into_iter().fold(access, tag).with_all("aws:TagKeys", keys)
}
