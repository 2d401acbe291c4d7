//! The policies of keys.

use std::sync::LazyLock;

use super::{find, texts};
use crate::input::given;
use crate::{keys, policies};
use longshore_api::PrincipalKind;
use longshore_policy::{Asker, Context, Layers, Policy, Question, ResourcePolicy as Decides, Who, decide};
use longshore_service::Caller;
use longshore_shapes_kms::{
    GetKeyPolicyResponse, LimitExceededException, ListKeyPoliciesResponse, MalformedPolicyDocumentException,
    NotFoundException, PutKeyPolicyOutput, ops,
};
use longshore_state::State;
use longshore_tables_iam::IamState;
use longshore_tables_iam::record::{IdentityPolicy, ResourcePolicy};
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::record::KmsKey;

const NAME: &str = "default";

/// What AWS takes, in bytes.
const BYTES_MAX: usize = 32_768;

/// Whoever has all rights but those that the key's policy gives.
static EVERYTHING: LazyLock<IdentityPolicy> = LazyLock::new(|| {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    IdentityPolicy::new(text).expect("it is a policy")
});

/// Reads the policy of a key, as it is kept. `resource`: the key's ARN, `*` for one that is not there yet.
pub(super) fn read<E>(
    state: &State,
    caller: &Caller,
    resource: &str,
    text: &str,
    bypasses: bool,
) -> Result<ResourcePolicy, E>
where
    E: From<MalformedPolicyDocumentException> + From<LimitExceededException>,
{
    if text.len() > BYTES_MAX {
        let text = format!("A key policy has {BYTES_MAX} bytes at most.");
        return Err(LimitExceededException::new(text).into());
    }
    let malformed = |text: String| E::from(MalformedPolicyDocumentException::new(text));
    let policy = ResourcePolicy::new(text).map_err(|invalid| malformed(invalid.to_string()))?;
    let kept = policies::kept(state, policy).map_err(|_| malformed(texts::BAD_PRINCIPAL.to_owned()))?;
    if !bypasses && locks_out(state, caller, resource, kept.policy()) {
        return Err(malformed(texts::LOCKED_OUT.to_owned()));
    }
    Ok(kept)
}

/// Whether whoever puts this policy could not put another one, whatever else he may do.
fn locks_out(state: &State, caller: &Caller, resource: &str, policy: &Policy) -> bool {
    let Some(asker) = asker(state, caller) else { return false };
    let account = caller.scope.account.to_string();
    let who = Who { account: account.clone(), asker };
    let mut context = Context::new();
    context.set("aws:PrincipalAccount", account.as_str());
    context.set("kms:CallerAccount", account.as_str());
    context.set("aws:PrincipalArn", &*caller.principal);
    let question =
        Question { who: &who, action: "kms:PutKeyPolicy", resource, owner: &account, context: &context };
    let layers = Layers {
        identity: &[EVERYTHING.policy()],
        resource: Some(Decides { policy, is_indispensable: true }),
        ..Layers::default()
    };
    !decide(&question, &layers).is_allowed()
}

/// The caller as policies name him. `None`: a session, whose role is not looked up here.
fn asker(state: &State, caller: &Caller) -> Option<Asker> {
    match caller.kind {
        PrincipalKind::Root | PrincipalKind::Guest => Some(Asker::Root),
        PrincipalKind::User => {
            let users = state.iam().realm(caller.scope.account).users();
            let user = match &caller.id {
                Some(id) => users.get(id),
                None => users.named(&caller.name),
            };
            // A key of a file whose user is not in IAM stands for the account.
            let id = user.map(|user| user.own.id.to_string());
            Some(id.map_or(Asker::Root, |id| Asker::User { arn: caller.principal.to_string(), id }))
        }
        PrincipalKind::Session | PrincipalKind::Instance | PrincipalKind::Anonymous => None,
    }
}

query!(
    Kms,
    GetKeyPolicy,
    |state, caller, input| keys::access(state, caller, "kms:GetKeyPolicy", given(&input.key_id)),
    |state, caller, input| {
        let (_, key) = find::key(state, caller, given(&input.key_id))?;
        if input.policy_name.as_deref().is_some_and(|name| name != NAME) {
            return Err(NotFoundException::new(texts::POLICY_NAME).into());
        }
        Ok(GetKeyPolicyResponse {
            policy: Some(policies::shown(state, caller, &key.policy)),
            policy_name: Some(NAME.to_owned()),
        })
    }
);

// There is one, so that there is one page.
query!(
    Kms,
    ListKeyPolicies,
    |state, caller, input| keys::access(state, caller, "kms:ListKeyPolicies", given(&input.key_id)),
    |state, caller, input| {
        find::key(state, caller, given(&input.key_id))?;
        Ok(ListKeyPoliciesResponse {
            next_marker: None,
            policy_names: Some(vec![NAME.to_owned()]),
            truncated: Some(false),
        })
    }
);

command!(
    Kms,
    PutKeyPolicy,
    |state, caller, input| {
        let bypasses = input.bypass_policy_lockout_safety_check.unwrap_or(false);
        keys::access(state, caller, "kms:PutKeyPolicy", given(&input.key_id))
            .with("kms:BypassPolicyLockoutSafetyCheck", bypasses.to_string())
    },
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        if input.policy_name.as_deref().is_some_and(|name| name != NAME) {
            return Err(NotFoundException::new(texts::POLICY_NAME).into());
        }
        let text = given(&input.policy);
        let bypasses = input.bypass_policy_lockout_safety_check.unwrap_or(false);
        let policy = read::<Self::Error>(tx.state(), caller, &at.arn(), text, bypasses)?;
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), KmsKey { policy, ..key });
        Ok(PutKeyPolicyOutput {})
    }
);
