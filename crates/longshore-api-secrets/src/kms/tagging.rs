//! Tags of keys.

use longshore_domain::tags::{TagError, merge};
use longshore_shapes_kms::{
    InvalidMarkerException, LimitExceededException, ListResourceTagsResponse, Tag, TagException,
    TagResourceOutput, UntagResourceOutput, ops,
};
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::record::KmsKey;

use super::{create, find};
use crate::input::given;
use crate::{keys, tags};

command!(
    Kms,
    TagResource,
    |state, caller, input| {
        let access = keys::access(state, caller, "kms:TagResource", given(&input.key_id));
        tags::of_request(access, create::pairs(&input.tags))
    },
    |tx, caller, input| {
        let refused = |error: TagError| match error {
            TagError::TooMany => Self::Error::from(LimitExceededException::new(error.to_string())),
            error => TagException::new(error.to_string()).into(),
        };
        let added = tags::parse(create::pairs(&input.tags)).map_err(refused)?;
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        let tags = merge(&key.tags, added).map_err(refused)?;
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), KmsKey { tags, ..key });
        Ok(TagResourceOutput {})
    }
);

command!(
    Kms,
    UntagResource,
    |state, caller, input| {
        let access = keys::access(state, caller, "kms:UntagResource", given(&input.key_id));
        access.with_all("aws:TagKeys", input.tag_keys.iter().flatten().cloned())
    },
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        let tags = tags::without(&key.tags, input.tag_keys.as_deref().unwrap_or_default());
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), KmsKey { tags, ..key });
        Ok(UntagResourceOutput {})
    }
);

const SIZE: usize = 50;

list!(
    Kms,
    ListResourceTags(limit, marker, SIZE, InvalidMarkerException),
    |state, caller, input, _page| keys::access(state, caller, "kms:ListResourceTags", given(&input.key_id)),
    |state, caller, input, page| {
        let (_, key) = find::key(state, caller, given(&input.key_id))?;
        let paged = page.fill(&key.tags, |(name, _)| (*name).clone());
        let paged =
            paged.map(|(name, value)| Tag { tag_key: Some(name.clone()), tag_value: Some(value.clone()) });
        Ok(ListResourceTagsResponse {
            tags: Some(paged.items),
            truncated: Some(paged.next.is_some()),
            next_marker: paged.next,
        })
    }
);
