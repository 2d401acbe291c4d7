//! Keys of KMS, as all three services ask for them and name them.

use longshore_base::Scope;
use longshore_service::{Access, Caller, ResourcePolicy};
use longshore_state::State;
use longshore_tables_secrets::find::{KeyAt, KeyName};
use longshore_tables_secrets::material::EncryptionContext;
use longshore_tables_secrets::record::{KmsKey, Manager};
use longshore_tables_secrets::{SecretsState, arn, kms};

use crate::tags;

/// The question whether the caller may do `action` with the key of this name. A key is asked about by its ARN, never by
/// its alias (identity J7); what is not there by the ARN of its name. A denial calls either by its name.
pub(crate) fn access(state: &State, caller: &Caller, action: &str, named: &str) -> Access {
    let Some(name) = KeyName::read(&caller.scope, named) else {
        return Access::new(action, named, caller).under(ResourcePolicy::none());
    };
    let access = match name.key(state) {
        Some((at, _)) => on(state, caller, action, &at),
        None => Access::new(action, name.arn(), caller).under(ResourcePolicy::none()),
    };
    let access = match &name {
        KeyName::Alias(_, alias) => access.with("kms:RequestAlias", &**alias),
        KeyName::Id(..) => access,
    };
    access.shown_as(name.arn())
}

/// The same of a key that was found.
pub(crate) fn on(state: &State, caller: &Caller, action: &str, at: &KeyAt) -> Access {
    let access =
        Access::new(action, at.arn(), caller).with("kms:CallerAccount", caller.scope.account.to_string());
    let Some(key) = at.record(state) else { return access.under(ResourcePolicy::none()) };
    let policy = ResourcePolicy { policy: key.policy.shared(), is_indispensable: true };
    let aliases = state.secrets().realm(&at.scope).aliases_of(&at.id).map(|name| name.to_string());
    let access = access
        .with("kms:KeySpec", "SYMMETRIC_DEFAULT")
        .with("kms:KeyUsage", "ENCRYPT_DECRYPT")
        .with("kms:KeyOrigin", "AWS_KMS")
        .with_all("kms:ResourceAliases", aliases.collect::<Vec<_>>());
    tags::of_resource(access, &key.tags, None).under(policy)
}

/// With the encryption context of the call.
pub(crate) fn in_context(mut access: Access, context: &EncryptionContext) -> Access {
    for (name, value) in context {
        access = access.with(format!("kms:EncryptionContext:{name}"), value.clone());
    }
    if context.is_empty() {
        return access;
    }
    access.with_all("kms:EncryptionContextKeys", context.keys().cloned().collect::<Vec<_>>())
}

/// What a service does with a key for the caller, who needs the right himself. `None` for the account's own key of a
/// service, which everybody in the account uses through it.
pub(crate) fn through(
    state: &State,
    caller: &Caller,
    service: &str,
    action: &str,
    at: &KeyAt,
    context: &EncryptionContext,
) -> Option<Access> {
    let key = at.record(state)?;
    if key.manager == Manager::Service && at.scope == caller.scope {
        return None;
    }
    let via = format!("{service}.{}.amazonaws.com", caller.scope.region);
    Some(in_context(on(state, caller, action, at), context).with("kms:ViaService", via))
}

/// The key of this name, if there is one.
pub(crate) fn find<'s>(
    state: &'s State,
    caller: &Caller,
    named: &str,
) -> Option<(KeyAt, &'s std::sync::Arc<KmsKey>)> {
    KeyName::read(&caller.scope, named)?.key(state)
}

/// Whether this names the account's own key of a service, be it there yet or not.
pub(crate) fn is_of_service(state: &State, scope: &Scope, named: &str, service: &str) -> bool {
    let alias = kms::service_alias(service);
    if named == alias || named == arn::alias(scope, &alias) {
        return true;
    }
    let own = KeyName::Alias(scope.clone(), alias.into()).key(state);
    let asked = KeyName::read(scope, named).and_then(|name| name.key(state));
    matches!((own, asked), (Some((own, _)), Some((asked, _))) if own == asked)
}
