//! What a caller needs permission for. Parameters have no policies of their own; the keys of secure strings do.

use longshore_service::{Access, Caller, ResourcePolicy};
use longshore_state::State;
use longshore_tables_secrets::find::{self, FoundParameter, KeyAt};
use longshore_tables_secrets::record::{ParameterValue, ParameterVersion};
use longshore_tables_secrets::{arn, value};

use crate::{keys, tags};

const SERVICE: &str = "ssm";

/// Where the Parameter Store shows the secrets of Secrets Manager.
pub(super) const SECRETS: &str = "/aws/reference/secretsmanager/";

/// On the parameter of this name, be it there or not. A selector is no part of it.
pub(super) fn on(state: &State, caller: &Caller, action: &str, named: &str) -> Access {
    let (name, _) = find::split_selector(named);
    let found = find::parameter(state, &caller.scope, name);
    let resource = match &found {
        Some(found) => found.arn(),
        None if name.starts_with("arn:") => name.to_owned(),
        None => arn::parameter(&caller.scope, name),
    };
    // Both of these are one ARN, so that a denial tells nothing.
    let access = Access::new(format!("{SERVICE}:{action}"), resource, caller).under(ResourcePolicy::none());
    match found {
        Some(found) => tags::of_resource(access, &found.parameter.tags, Some(SERVICE)),
        None => access,
    }
}

/// On everything: what lists has no resource of its own.
pub(super) fn on_all(caller: &Caller, action: &str) -> Access {
    let all = arn::parameter(&caller.scope, "*").replace("parameter/*", "*");
    Access::new(format!("{SERVICE}:{action}"), all, caller)
}

/// On a path: who may read it may read all below (identity J7).
pub(super) fn on_path(caller: &Caller, action: &str, path: &str, recursive: bool) -> Access {
    let path = path.strip_suffix('/').unwrap_or(path);
    Access::new(format!("{SERVICE}:{action}"), arn::parameter(&caller.scope, path), caller)
        .with("ssm:Recursive", recursive.to_string())
}

/// What is needed of its key to have a version in the clear.
pub(super) fn to_decrypt(
    state: &State,
    caller: &Caller,
    found: &FoundParameter<'_>,
    version: &ParameterVersion,
) -> Option<Access> {
    let ParameterValue::Secure(secure) = &version.value else { return None };
    let at = value::key_at(&found.scope, &secure.key);
    keys::through(state, caller, SERVICE, "kms:Decrypt", &at, &value::parameter_context(&found.arn()))
}

/// What is needed of a key to put a secure string under it.
pub(super) fn to_encrypt(
    state: &State,
    caller: &Caller,
    action: &str,
    at: &KeyAt,
    name: &str,
) -> Option<Access> {
    let context = value::parameter_context(&arn::parameter(&caller.scope, name));
    keys::through(state, caller, SERVICE, action, at, &context)
}

/// To read one parameter, in the clear or not.
pub(super) fn to_get(
    state: &State,
    caller: &Caller,
    action: &str,
    named: &str,
    with_decryption: bool,
) -> Vec<Access> {
    let mut asked = vec![on(state, caller, action, named)];
    if let Some(id) = named.strip_prefix(SECRETS) {
        asked.extend(secret(state, caller, id));
    } else if with_decryption {
        let (name, rest) = find::split_selector(named);
        let found = find::parameter(state, &caller.scope, name);
        asked.extend(found.and_then(|found| {
            let (_, version) = found.version(state, find::selector(rest))?;
            to_decrypt(state, caller, &found, version)
        }));
    }
    asked
}

/// To read a secret of Secrets Manager through here takes the same rights as there.
fn secret(state: &State, caller: &Caller, id: &str) -> Vec<Access> {
    crate::secrets_manager::to_get_value(state, caller, id).into_iter().collect()
}
