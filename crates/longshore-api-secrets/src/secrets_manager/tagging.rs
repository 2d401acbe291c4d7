//! Tags of secrets.

use longshore_domain::tags::merge;
use longshore_shapes_secretsmanager::{
    InvalidParameterException, TagResourceOutput, UntagResourceOutput, ops,
};
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::record::Secret;

use super::{find, permission};
use crate::input::given;
use crate::tags;

command!(
    SecretsManager,
    TagResource,
    |state, caller, input| {
        let access = permission::on_secret(state, caller, "TagResource", given(&input.secret_id));
        tags::of_request(access, permission::pairs(&input.tags))
    },
    |tx, caller, input| {
        let refused =
            |error: longshore_domain::tags::TagError| InvalidParameterException::new(error.to_string());
        let added = tags::parse(permission::pairs(&input.tags)).map_err(refused)?;
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let at = ScopedKey::new(&found.scope, found.name);
        let tags = merge(&found.secret.tags, added).map_err(refused)?;
        let secret = Secret { tags, ..Secret::clone(found.secret) };
        tx.put::<Secret>(at, secret);
        Ok(TagResourceOutput {})
    }
);

command!(
    SecretsManager,
    UntagResource,
    |state, caller, input| {
        let access = permission::on_secret(state, caller, "UntagResource", given(&input.secret_id));
        access.with_all("aws:TagKeys", input.tag_keys.iter().flatten().cloned())
    },
    |tx, caller, input| {
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let at = ScopedKey::new(&found.scope, found.name);
        let tags = tags::without(&found.secret.tags, input.tag_keys.as_deref().unwrap_or_default());
        let secret = Secret { tags, ..Secret::clone(found.secret) };
        tx.put::<Secret>(at, secret);
        Ok(UntagResourceOutput {})
    }
);
