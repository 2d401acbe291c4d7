//! One record of each kind, with no member left empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{AccountId, Region, Scope, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::Sealed;
use longshore_state::Records;
use longshore_tables_iam::record::ResourcePolicy;
use longshore_tables_secrets::record::*;
use longshore_tables_secrets::{NumberKey, ScopedKey, VersionKey, Whole};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub const KEY: &str = "0f9d8c7b-1111-4222-8333-444455556666";

const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
 "Principal": {"AWS": "AIDAAAAAAAAAAAAAAAAAA"}}}"#;

pub fn scope() -> Scope {
    let account = AccountId::parse("111122223333").expect("twelve digits");
    Scope::new(account, Region::parse("eu-west-1").expect("a region"))
}

pub fn policy() -> ResourcePolicy {
    ResourcePolicy::new(POLICY).expect("a policy")
}

fn tags() -> Tags {
    [("Team".to_owned(), "red".to_owned())].into()
}

pub fn key_ref() -> KeyRef {
    KeyRef { account: scope().account, id: KEY.into() }
}

pub fn value() -> Value {
    Value { key: key_ref(), sealed: Sealed::from_bytes(vec![1, 2, 3]), is_binary: true }
}

pub fn key() -> KmsKey {
    KmsKey {
        created_at: NOW,
        description: "what it is for".into(),
        state: KeyState::PendingDeletion { at: NOW, days: 7 },
        policy: policy(),
        tags: tags(),
        manager: Manager::Service,
        material: 2,
        rotation: Some(Rotation { days: 90, next_at: NOW }),
        rotation_days: Some(90),
    }
}

pub fn secret() -> Secret {
    Secret {
        birth: "AbCdEf".into(),
        description: Some("what it is for".into()),
        key: Some(ChosenKey { named: "alias/own".into(), key: key_ref() }),
        tags: tags(),
        policy: Some(policy()),
        created_at: NOW,
        changed_at: NOW,
        deletion: Some(Deletion { asked_at: NOW, at: NOW }),
        stages: BTreeMap::from([(Arc::from("AWSCURRENT"), Arc::from("v1"))]),
    }
}

pub fn parameter() -> Parameter {
    Parameter {
        birth: "GhIjKl".into(),
        kind: ParameterKind::SecureString,
        version: 3,
        labels: BTreeMap::from([(Arc::from("prod"), 2)]),
        tags: tags(),
        labelled_at: Some(Timestamp::from_millis(5)),
    }
}

pub fn parameter_version() -> ParameterVersion {
    ParameterVersion {
        value: ParameterValue::Secure(value()),
        tier: Tier::Advanced,
        description: Some("what it is for".into()),
        pattern: Some("^a$".into()),
        data_type: "text".into(),
        modified_at: NOW,
        modified_by: "arn:aws:iam::111122223333:root".into(),
        key_named: Some("alias/aws/ssm".into()),
        policies: Some("[]".into()),
    }
}

pub fn whole(name: &str, birth: &str) -> Whole {
    Whole { name: name.into(), birth: birth.into() }
}

pub fn records() -> Records {
    let mut records = Records::new();
    let named = |name: &str| ScopedKey { scope: scope(), name: name.into() };
    let number = |of: Whole, number| NumberKey { scope: scope(), of, number };
    records.insert::<KmsKey>(named(KEY), Arc::new(key()));
    let material = KeyMaterial { sealed: Sealed::from_bytes(vec![4, 5]), made_at: NOW };
    records.insert::<KeyMaterial>(number(whole(KEY, ""), 2), Arc::new(material));
    let alias = Alias { target: KEY.into(), created_at: NOW, updated_at: NOW };
    records.insert::<Alias>(named("alias/own"), Arc::new(alias));
    records.insert::<Secret>(named("db/prod"), Arc::new(secret()));
    records.insert::<SecretVersion>(
        VersionKey { scope: scope(), of: whole("db/prod", "AbCdEf"), id: "v1".into() },
        Arc::new(SecretVersion { value: value(), created_at: NOW }),
    );
    records.insert::<Parameter>(named("/a/b"), Arc::new(parameter()));
    records.insert::<ParameterVersion>(number(whole("/a/b", "GhIjKl"), 3), Arc::new(parameter_version()));
    records
}
