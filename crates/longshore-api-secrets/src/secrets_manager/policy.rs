//! The policies of secrets.

use longshore_shapes_secretsmanager::{
    DeleteResourcePolicyResponse, GetResourcePolicyResponse, MalformedPolicyDocumentException,
    PublicPolicyException, PutResourcePolicyResponse, ValidateResourcePolicyResponse, ValidationErrorsEntry,
    ops,
};
use longshore_state::State;
use longshore_tables_iam::record::ResourcePolicy;
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::record::Secret;

use super::{find, permission, texts};
use crate::input::given;
use crate::policies;

/// As it is kept.
fn read(state: &State, text: &str) -> Result<ResourcePolicy, MalformedPolicyDocumentException> {
    let policy = ResourcePolicy::new(text);
    let policy = policy.map_err(|invalid| MalformedPolicyDocumentException::new(invalid.to_string()))?;
    policies::kept(state, policy).map_err(|_| MalformedPolicyDocumentException::new(texts::PRINCIPAL))
}

command!(
    SecretsManager,
    PutResourcePolicy,
    |state, caller, input| {
        let access = permission::on_secret(state, caller, "PutResourcePolicy", given(&input.secret_id));
        match input.block_public_policy {
            Some(block) => access.with("secretsmanager:BlockPublicPolicy", block.to_string()),
            None => access,
        }
    },
    |tx, caller, input| {
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let (at, arn) = (ScopedKey::new(&found.scope, found.name), found.arn());
        let policy = read(tx.state(), given(&input.resource_policy))?;
        if input.block_public_policy.unwrap_or(false) && policies::is_public(&policy) {
            return Err(PublicPolicyException::new(texts::PUBLIC).into());
        }
        let secret = Secret { policy: Some(policy), ..Secret::clone(found.secret) };
        let name = at.name.to_string();
        tx.put::<Secret>(at, secret);
        Ok(PutResourcePolicyResponse { arn: Some(arn), name: Some(name) })
    }
);

query!(
    SecretsManager,
    GetResourcePolicy,
    |state, caller, input| permission::on_secret(state, caller, "GetResourcePolicy", given(&input.secret_id)),
    |state, caller, input| {
        let found = find::any(state, caller, given(&input.secret_id))?;
        let policy = found.secret.policy.as_ref();
        Ok(GetResourcePolicyResponse {
            arn: Some(found.arn()),
            name: Some(found.name.to_string()),
            resource_policy: policy.map(|policy| policies::shown(state, caller, policy)),
        })
    }
);

command!(
    SecretsManager,
    DeleteResourcePolicy,
    |state, caller, input| permission::on_secret(
        state,
        caller,
        "DeleteResourcePolicy",
        given(&input.secret_id)
    ),
    |tx, caller, input| {
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let (at, arn) = (ScopedKey::new(&found.scope, found.name), found.arn());
        let name = at.name.to_string();
        if found.secret.policy.is_some() {
            let secret = Secret { policy: None, ..Secret::clone(found.secret) };
            tx.put::<Secret>(at, secret);
        }
        Ok(DeleteResourcePolicyResponse { arn: Some(arn), name: Some(name) })
    }
);

query!(
    SecretsManager,
    ValidateResourcePolicy,
    |state, caller, input| match &input.secret_id {
        Some(id) => permission::on_secret(state, caller, "ValidateResourcePolicy", id),
        None => permission::on_all(caller, "ValidateResourcePolicy"),
    },
    |state, caller, input| {
        if let Some(id) = &input.secret_id {
            find::live::<Self::Error>(state, caller, id)?;
        }
        let failed = |check: &str, text: String| ValidationErrorsEntry {
            check_name: Some(check.to_owned()),
            error_message: Some(text),
        };
        let errors = match read(state, given(&input.resource_policy)) {
            Ok(policy) if policies::is_public(&policy) => {
                vec![failed("BLOCK_PUBLIC_POLICY", texts::PUBLIC.to_owned())]
            }
            Ok(_) => Vec::new(),
            Err(malformed) => vec![failed("RESOURCE_POLICY_SYNTAX_CHECK", malformed.to_string())],
        };
        Ok(ValidateResourcePolicyResponse {
            policy_validation_passed: Some(errors.is_empty()),
            validation_errors: Some(errors),
        })
    }
);
