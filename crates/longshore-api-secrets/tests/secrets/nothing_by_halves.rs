//! Whatever is thrown at the APIs: an answer in its form, and a state that agrees with itself.

use longshore_api_secrets::{KMS_OPERATIONS, SECRETS_MANAGER_OPERATIONS, SSM_OPERATIONS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::support::{World, token};

/// Members that many operations have, with values that now and then are right.
fn member() -> impl Strategy<Value = (&'static str, Value)> {
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}}"#;
    let names = vec![
        "a",
        "b",
        "/a/b",
        "/a/b:1",
        "/a/b:l",
        "a b",
        "",
        "arn:aws:ssm:eu-west-1:111122223333:parameter/a",
    ];
    let keys = vec!["alias/a", "alias/b", "alias/aws/ssm", "alias/aws/secretsmanager", "nonsense"];
    prop_oneof![
        4 => (select(vec!["Name", "SecretId", "ResourceId", "Path"]), select(names)).prop_map(|(k, v)| (k, json!(v))),
        3 => (select(vec!["KeyId", "KmsKeyId", "TargetKeyId", "AliasName", "DestinationKeyId"]), select(keys)).prop_map(|(k, v)| (k, json!(v))),
        3 => (select(vec!["SecretString", "Value"]), select(vec!["x", "y", "x,y", ""])).prop_map(|(k, v)| (k, json!(v))),
        2 => (select(vec!["ClientRequestToken", "VersionId", "MoveToVersionId", "RemoveFromVersionId"]), select(vec!["1", "2"])).prop_map(|(k, v)| (k, json!(token(v)))),
        2 => select(vec!["AWSCURRENT", "AWSPREVIOUS", "l"]).prop_map(|stage| ("VersionStage", json!(stage))),
        2 => (select(vec!["Overwrite", "WithDecryption", "Recursive", "ForceDeleteWithoutRecovery", "IncludeDeprecated", "DryRun"]), any::<bool>()).prop_map(|(k, v)| (k, json!(v))),
        2 => select(vec!["String", "StringList", "SecureString"]).prop_map(|kind| ("Type", json!(kind))),
        2 => (select(vec!["ResourcePolicy", "Policy"]), select(vec![policy, "{"])).prop_map(|(k, v)| (k, json!(v))),
        2 => (select(vec!["Plaintext", "CiphertextBlob", "SecretBinary"]), select(vec!["eA==", "AQ=="])).prop_map(|(k, v)| (k, json!(v))),
        1 => Just(("Tags", json!([{"Key": "k", "Value": "v"}]))),
        1 => Just(("TagKeys", json!(["k"]))),
        1 => Just(("Labels", json!(["l"]))),
        1 => Just(("Names", json!(["a", "/a/b"]))),
        1 => Just(("SecretIdList", json!(["a", "b"]))),
        1 => Just(("ResourceType", json!("Parameter"))),
        1 => Just(("KeySpec", json!("AES_256"))),
        1 => Just(("ParameterVersion", json!(1))),
        1 => Just(("NumberOfBytes", json!(8))),
        1 => Just(("PendingWindowInDays", json!(7))),
        1 => Just(("EncryptionContext", json!({"a": "b"}))),
    ]
}

fn actions() -> Vec<String> {
    let of = |service: &str, names: &[&str]| {
        names.iter().map(|name| format!("{service}:{name}")).collect::<Vec<_>>()
    };
    [
        of("secretsmanager", SECRETS_MANAGER_OPERATIONS.names),
        of("ssm", SSM_OPERATIONS.names),
        of("kms", KMS_OPERATIONS.names),
    ]
    .concat()
}

#[derive(Clone, Debug)]
enum Step {
    Call(String, Vec<(&'static str, Value)>),
    Days(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (select(actions()), vec(member(), 0..7)).prop_map(|(action, members)| Step::Call(action, members)),
        1 => (0..40_i64).prop_map(Step::Days),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_done_by_halves(steps in vec(step(), 1..40)) {
        let world = World::new();
        for name in ["a", "b"] {
            let key = world.ok("kms:CreateKey", json!({}))["KeyMetadata"]["KeyId"].clone();
            world.ok("kms:CreateAlias", json!({"AliasName": format!("alias/{name}"), "TargetKeyId": key}));
            world.ok("secretsmanager:CreateSecret", json!({"Name": name, "SecretString": "x", "KmsKeyId": key}));
        }
        for name in ["a", "/a/b"] {
            world.ok("ssm:PutParameter", json!({"Name": name, "Value": "v", "Type": "SecureString"}));
        }
        for step in steps {
            let (action, members) = match step {
                Step::Call(action, members) => (action, members),
                Step::Days(days) => {
                    world.days(days);
                    world.sweep();
                    prop_assert_eq!(world.db.peek(|state| state.check()), Vec::<String>::new());
                    continue;
                }
            };
            let body: Map<String, Value> = members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let body = Value::Object(body);
            let before = world.records();
            let (status, answer) = world.reply(&action, &body);
            prop_assert!(matches!(status, 200 | 400), "{} {}: {} {}", action, body, status, answer);
            if status != 200 {
                prop_assert_eq!(before.differences(&world.records()), Vec::<String>::new(), "{} {}", action, body);
            }
            prop_assert_eq!(world.db.peek(|state| state.check()), Vec::<String>::new(), "{} {}", action, body);
        }
    }
}
