//! Keys as answers show them.

use longshore_shapes_kms::{
    CustomerMasterKeySpec, EncryptionAlgorithmSpec, KeyManagerType, KeyMetadata, KeySpec, KeyUsageType,
    OriginType,
};
use longshore_tables_secrets::find::KeyAt;
use longshore_tables_secrets::material;
use longshore_tables_secrets::record::{KeyState, KmsKey, Manager};

pub(super) fn state(state: KeyState) -> longshore_shapes_kms::KeyState {
    use longshore_shapes_kms::KeyState as Shown;
    match state {
        KeyState::Enabled => Shown::Enabled,
        KeyState::Disabled => Shown::Disabled,
        KeyState::PendingDeletion { .. } => Shown::PendingDeletion,
    }
}

pub(super) fn metadata(at: &KeyAt, key: &KmsKey) -> KeyMetadata {
    let deletion_date = match key.state {
        KeyState::PendingDeletion { at, .. } => Some(at),
        KeyState::Enabled | KeyState::Disabled => None,
    };
    KeyMetadata {
        aws_account_id: Some(at.scope.account.to_string()),
        arn: Some(at.arn()),
        creation_date: Some(key.created_at),
        current_key_material_id: Some(material::id(&at.id, key.material)),
        customer_master_key_spec: Some(CustomerMasterKeySpec::SymmetricDefault),
        deletion_date,
        description: Some(key.description.to_string()),
        enabled: Some(key.state == KeyState::Enabled),
        encryption_algorithms: Some(vec![EncryptionAlgorithmSpec::SymmetricDefault]),
        key_id: Some(at.id.to_string()),
        key_manager: Some(match key.manager {
            Manager::Customer => KeyManagerType::Customer,
            Manager::Service => KeyManagerType::Aws,
        }),
        key_spec: Some(KeySpec::SymmetricDefault),
        key_state: Some(state(key.state)),
        key_usage: Some(KeyUsageType::EncryptDecrypt),
        multi_region: Some(false),
        origin: Some(OriginType::AwsKms),
        ..KeyMetadata::default()
    }
}
