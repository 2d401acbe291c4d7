//! Parameters as answers show them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_shapes_ssm as shapes;
use longshore_shapes_ssm::{InvalidKeyId, ParameterInlinePolicy, ParameterTier, ParameterType};
use longshore_state::State;
use longshore_tables_secrets::find::FoundParameter;
use longshore_tables_secrets::kms::KmsError;
use longshore_tables_secrets::record::{ParameterKind, ParameterValue, ParameterVersion, Tier};
use longshore_tables_secrets::value::{self, Cover};
use longshore_wire::Fault;
use serde_json::Value;

pub(super) fn kind(kind: ParameterKind) -> ParameterType {
    match kind {
        ParameterKind::String => ParameterType::String,
        ParameterKind::StringList => ParameterType::StringList,
        ParameterKind::SecureString => ParameterType::SecureString,
    }
}

pub(super) fn tier(tier: Tier) -> ParameterTier {
    match tier {
        Tier::Standard => ParameterTier::Standard,
        Tier::Advanced => ParameterTier::Advanced,
    }
}

/// What is told of a key that does not decrypt or encrypt.
pub(super) fn key_error<E: From<InvalidKeyId> + From<Fault>>(error: KmsError) -> E {
    match error {
        KmsError::Key(why) => InvalidKeyId::new(why.to_string()).into(),
        KmsError::Cipher | KmsError::Keyring(_) => Fault::hidden(error).into(),
    }
}

/// The value: of a secure string what KMS made of it, in base64, unless it is asked for in the clear.
pub(super) fn value<E: From<InvalidKeyId> + From<Fault>>(
    state: &State,
    found: &FoundParameter<'_>,
    number: u64,
    version: &ParameterVersion,
    with_decryption: bool,
) -> Result<String, E> {
    let secure = match &version.value {
        ParameterValue::Text(text) => return Ok(text.0.to_string()),
        ParameterValue::Secure(secure) => secure,
    };
    let cover = Cover::parameter(&found.scope, found.name, &found.parameter.birth, number);
    if !with_decryption {
        let encrypted = value::encrypted(state, &cover, secure).map_err(Fault::hidden)?;
        return Ok(STANDARD.encode(encrypted.as_bytes()));
    }
    let plain = value::open(state, &cover, secure).map_err(key_error::<E>)?;
    let text = plain.as_str().ok_or_else(|| Fault::hidden("a secure string is no text"))?;
    Ok(text.to_owned())
}

pub(super) fn parameter<E: From<InvalidKeyId> + From<Fault>>(
    state: &State,
    found: &FoundParameter<'_>,
    (number, version): (u64, &ParameterVersion),
    selector: Option<&str>,
    with_decryption: bool,
) -> Result<shapes::Parameter, E> {
    Ok(shapes::Parameter {
        arn: Some(found.arn()),
        data_type: Some(version.data_type.to_string()),
        last_modified_date: Some(version.modified_at),
        name: Some(found.name.to_string()),
        selector: selector.map(str::to_owned),
        source_result: None,
        r#type: Some(kind(found.parameter.kind)),
        value: Some(value::<E>(state, found, number, version, with_decryption)?),
        version: i64::try_from(number).ok(),
    })
}

/// Without its value.
pub(super) fn metadata(found: &FoundParameter<'_>, version: &ParameterVersion) -> shapes::ParameterMetadata {
    shapes::ParameterMetadata {
        arn: Some(found.arn()),
        allowed_pattern: version.pattern.as_ref().map(|text| text.to_string()),
        data_type: Some(version.data_type.to_string()),
        description: version.description.as_ref().map(|text| text.to_string()),
        key_id: version.key_named.as_ref().map(|text| text.to_string()),
        last_modified_date: Some(version.modified_at),
        last_modified_user: Some(version.modified_by.to_string()),
        name: Some(found.name.to_string()),
        policies: Some(policies(version)),
        tier: Some(tier(version.tier)),
        r#type: Some(kind(found.parameter.kind)),
        version: i64::try_from(found.parameter.version).ok(),
    }
}

/// The parameter policies, none of which has been applied.
pub(super) fn policies(version: &ParameterVersion) -> Vec<ParameterInlinePolicy> {
    let listed = version.policies.as_ref().and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    let one = |policy: Value| ParameterInlinePolicy {
        policy_status: Some("Pending".to_owned()),
        policy_type: policy["Type"].as_str().map(str::to_owned),
        policy_text: Some(policy.to_string()),
    };
    listed.unwrap_or_default().into_iter().map(one).collect()
}
