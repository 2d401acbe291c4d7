//! Keys: made and described.

use longshore_service::{Access, Caller, ResourcePolicy as Asked, Resources};
use longshore_shapes_kms::{
    CreateKeyRequest, CreateKeyResponse, CustomerMasterKeySpec, DescribeKeyResponse, KeySpec, KeyUsageType,
    OriginType, Tag, TagException, UnsupportedOperationException, UpdateKeyDescriptionOutput, ops,
};
use longshore_tables_secrets::find::KeyName;
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::kms;
use longshore_tables_secrets::record::{KmsKey, Manager};
use longshore_wire::Fault;

use super::{find, policy, shape, texts};
use crate::input::given;
use crate::{keys, tags};

/// The tags of a request.
pub(super) fn pairs(given: &Option<Vec<Tag>>) -> Vec<tags::Pair> {
    given.iter().flatten().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())).collect()
}

/// Whether a key of our kind is asked for.
fn is_symmetric(input: &CreateKeyRequest) -> bool {
    let old = input.customer_master_key_spec.as_ref();
    old.is_none_or(|spec| *spec == CustomerMasterKeySpec::SymmetricDefault)
        && input.key_spec.as_ref().is_none_or(|spec| *spec == KeySpec::SymmetricDefault)
        && input.key_usage.as_ref().is_none_or(|usage| *usage == KeyUsageType::EncryptDecrypt)
        && input.origin.as_ref().is_none_or(|origin| *origin == OriginType::AwsKms)
        && !input.multi_region.unwrap_or(false)
        && input.custom_key_store_id.is_none()
        && input.xks_key_id.is_none()
}

fn asked(caller: &Caller, input: &CreateKeyRequest) -> Resources {
    let on_all = |action: &str| {
        let access = Access::new(action, "*", caller)
            .with("kms:CallerAccount", caller.scope.account.to_string())
            .with("kms:KeySpec", "SYMMETRIC_DEFAULT")
            .with("kms:KeyUsage", "ENCRYPT_DECRYPT")
            .with("kms:KeyOrigin", "AWS_KMS")
            .with("kms:MultiRegion", "false");
        tags::of_request(access, pairs(&input.tags))
    };
    let tagging = input.tags.as_ref().is_some_and(|tags| !tags.is_empty()).then(|| on_all("kms:TagResource"));
    let bypasses = input.bypass_policy_lockout_safety_check.unwrap_or(false);
    let create = on_all("kms:CreateKey").with("kms:BypassPolicyLockoutSafetyCheck", bypasses.to_string());
    Resources::from(create).and(tagging)
}

command!(Kms, CreateKey, |_state, caller, input| asked(caller, input), |tx, caller, input| {
    if !is_symmetric(&input) {
        return Err(UnsupportedOperationException::new(texts::ONLY_SYMMETRIC).into());
    }
    let tags = tags::parse(pairs(&input.tags)).map_err(|error| TagException::new(error.to_string()))?;
    let scope = &caller.scope;
    let policy = match &input.policy {
        Some(text) => {
            let bypasses = input.bypass_policy_lockout_safety_check.unwrap_or(false);
            policy::read::<Self::Error>(tx.state(), caller, "*", text, bypasses)?
        }
        None => kms::default_policy(scope.partition(), scope.account),
    };
    let description = input.description.as_deref().unwrap_or_default();
    let made = kms::make(tx, scope, policy, Manager::Customer, description, tags);
    let at = made.map_err(Fault::hidden)?;
    let key = at.record(tx.state()).ok_or_else(|| Fault::hidden("a key that was just made is gone"))?;
    Ok(CreateKeyResponse { key_metadata: Some(shape::metadata(&at, key)) })
});

// The account's own key of a service is made when somebody looks at it first.
command!(
    Kms,
    DescribeKey,
    |state, caller, input| keys::access(state, caller, "kms:DescribeKey", given(&input.key_id)),
    |tx, caller, input| {
        let named = given(&input.key_id);
        if let Some(KeyName::Alias(scope, alias)) = KeyName::read(&caller.scope, named)
            && scope == caller.scope
            && let Some(service) = kms::service_of_alias(&alias)
        {
            kms::of_service(tx, &scope, service).map_err(Fault::hidden)?;
        }
        let (at, key) = find::key(tx.state(), caller, named)?;
        Ok(DescribeKeyResponse { key_metadata: Some(shape::metadata(&at, key)) })
    }
);

command!(
    Kms,
    UpdateKeyDescription,
    |state, caller, input| keys::access(state, caller, "kms:UpdateKeyDescription", given(&input.key_id)),
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        let key = KmsKey { description: given(&input.description).into(), ..key };
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), key);
        Ok(UpdateKeyDescriptionOutput {})
    }
);

/// What aliases are asked about with: they have no policy of their own.
pub(super) fn no_policy() -> Asked {
    Asked::none()
}
