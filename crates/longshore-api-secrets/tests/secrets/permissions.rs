//! What has to be allowed for each operation, and that nothing is done or told without it.

use std::sync::Arc;

use expect_test::expect_file;
use longshore_api_secrets::{KMS_OPERATIONS, SECRETS_MANAGER_OPERATIONS, SSM_OPERATIONS};
use longshore_service::Access;
use longshore_service::watchman::{Watchman, lines};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, text, token};

/// A world with one of everything, and its watchman.
struct Scene {
    world: World,
    guard: Arc<Watchman>,
    key: String,
    blob: Value,
}

impl Scene {
    fn empty() -> (World, Arc<Watchman>) {
        let guard = Arc::new(Watchman::default());
        (World::guarded(guard.clone()), guard)
    }

    fn new() -> Self {
        let (world, guard) = Self::empty();
        let tags = json!([{"TagKey": "k", "TagValue": "v"}]);
        let key = text(&world.ok("kms:CreateKey", json!({"Tags": tags}))["KeyMetadata"], "KeyId").to_owned();
        world.ok("kms:CreateAlias", json!({"AliasName": "alias/own", "TargetKeyId": key}));
        let tags = json!([{"Key": "k", "Value": "v"}]);
        world.ok(
            "secretsmanager:CreateSecret",
            json!({"Name": "s", "SecretString": "x", "KmsKeyId": key, "Tags": tags, "ClientRequestToken": token("one")}),
        );
        world.ok(
            "ssm:PutParameter",
            json!({"Name": "/p", "Value": "v", "Type": "SecureString", "KeyId": key, "Tags": tags}),
        );
        let blob = json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": {"a": "1"}});
        let blob = world.ok("kms:Encrypt", blob)["CiphertextBlob"].clone();
        Self { world, guard, key, blob }
    }

    /// A call of each operation, so that everything which it can need permission for is in it.
    fn body(&self, action: &str) -> Value {
        let id = |more: Value| with(json!({"SecretId": "s"}), more);
        let key = |more: Value| with(json!({"KeyId": self.key}), more);
        let named = |more: Value| with(json!({"Name": "/p"}), more);
        let resource = |more: Value| with(json!({"ResourceType": "Parameter", "ResourceId": "/p"}), more);
        let tags = json!([{"Key": "t", "Value": "w"}]);
        let kms_tags = json!([{"TagKey": "t", "TagValue": "w"}]);
        let context = json!({"a": "1"});
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}}"#;
        match action {
            "secretsmanager:CreateSecret" => {
                json!({"Name": "new", "SecretString": "x", "KmsKeyId": self.key, "Tags": tags})
            }
            "secretsmanager:ListSecrets" | "secretsmanager:GetRandomPassword" => json!({}),
            "secretsmanager:BatchGetSecretValue" => json!({"SecretIdList": ["s", "none"]}),
            "secretsmanager:PutSecretValue" => id(json!({"SecretString": "y"})),
            "secretsmanager:UpdateSecret" => id(json!({"KmsKeyId": "alias/own", "SecretString": "y"})),
            "secretsmanager:UpdateSecretVersionStage" => {
                id(json!({"VersionStage": "z", "MoveToVersionId": token("one")}))
            }
            "secretsmanager:DeleteSecret" => id(json!({"RecoveryWindowInDays": 7})),
            "secretsmanager:PutResourcePolicy" => {
                id(json!({"ResourcePolicy": policy, "BlockPublicPolicy": true}))
            }
            "secretsmanager:ValidateResourcePolicy" => id(json!({"ResourcePolicy": policy})),
            "secretsmanager:TagResource" => id(json!({"Tags": tags})),
            "secretsmanager:UntagResource" => id(json!({"TagKeys": ["k"]})),
            "ssm:PutParameter" => {
                json!({"Name": "/new", "Value": "v", "Type": "SecureString", "KeyId": self.key, "Tags": tags})
            }
            "ssm:GetParameter" | "ssm:GetParameterHistory" => named(json!({"WithDecryption": true})),
            "ssm:GetParameters" => {
                json!({"Names": ["/p", "/none", "/aws/reference/secretsmanager/s"], "WithDecryption": true})
            }
            "ssm:GetParametersByPath" => json!({"Path": "/", "Recursive": true, "WithDecryption": true}),
            "ssm:DescribeParameters" => json!({}),
            "ssm:DeleteParameters" => json!({"Names": ["/p", "/none"]}),
            "ssm:DeleteParameter" => named(json!({})),
            "ssm:LabelParameterVersion" | "ssm:UnlabelParameterVersion" => {
                named(json!({"ParameterVersion": 1, "Labels": ["l"]}))
            }
            "ssm:AddTagsToResource" => resource(json!({"Tags": tags})),
            "ssm:RemoveTagsFromResource" => resource(json!({"TagKeys": ["k"]})),
            "ssm:ListTagsForResource" => resource(json!({})),
            "kms:CreateKey" => json!({"Tags": kms_tags}),
            "kms:DescribeKey" => json!({"KeyId": "alias/own"}),
            "kms:ListKeys" | "kms:ListAliases" => json!({}),
            "kms:GenerateRandom" => json!({"NumberOfBytes": 8}),
            "kms:CreateAlias" => json!({"AliasName": "alias/new", "TargetKeyId": self.key}),
            "kms:UpdateAlias" => json!({"AliasName": "alias/own", "TargetKeyId": self.key}),
            "kms:DeleteAlias" => json!({"AliasName": "alias/own"}),
            "kms:Encrypt" => key(json!({"Plaintext": "eA==", "EncryptionContext": context})),
            "kms:Decrypt" => json!({"CiphertextBlob": self.blob, "EncryptionContext": context}),
            "kms:ReEncrypt" => json!({"CiphertextBlob": self.blob, "SourceEncryptionContext": context,
                "DestinationKeyId": self.key, "DestinationEncryptionContext": {"b": "2"}}),
            "kms:GenerateDataKey" | "kms:GenerateDataKeyWithoutPlaintext" => {
                key(json!({"KeySpec": "AES_256"}))
            }
            "kms:PutKeyPolicy" => key(json!({"Policy": policy})),
            "kms:ScheduleKeyDeletion" => key(json!({"PendingWindowInDays": 7})),
            "kms:EnableKeyRotation" => key(json!({"RotationPeriodInDays": 90})),
            "kms:UpdateKeyDescription" => key(json!({"Description": "d"})),
            "kms:TagResource" => key(json!({"Tags": kms_tags})),
            "kms:UntagResource" => key(json!({"TagKeys": ["k"]})),
            other if other.starts_with("kms:") => key(json!({})),
            _secrets => id(json!({})),
        }
    }

    /// What is asked about a call, whether it then succeeds or not.
    fn asked(&self, action: &str) -> Vec<Access> {
        self.guard.take();
        let (_, body) = self.world.reply(action, &self.body(action));
        let seen = self.guard.take();
        assert!(!seen.is_empty(), "{action} asked nobody: {body}");
        seen
    }
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

fn operations() -> impl Iterator<Item = String> {
    let tables = [
        ("secretsmanager", SECRETS_MANAGER_OPERATIONS.names),
        ("ssm", SSM_OPERATIONS.names),
        ("kms", KMS_OPERATIONS.names),
    ];
    tables.into_iter().flat_map(|(service, names)| names.iter().map(move |name| format!("{service}:{name}")))
}

#[test]
fn each_operation_asks_for_what_it_needs() {
    let mut table = String::new();
    for action in operations() {
        let scene = Scene::new();
        let arn = text(&scene.world.ok("secretsmanager:DescribeSecret", json!({"SecretId": "s"})), "ARN")
            .to_owned();
        let short = |text: &str| {
            let text = text.replace(&arn[arn.len() - 6..], "XXXXXX").replace(&*scene.key, "KEY");
            text.replace(&format!(":eu-west-1:{ACCOUNT}:"), ":").replace("arn:aws:", "")
        };
        for (n, access) in scene.asked(&action).into_iter().enumerate() {
            assert_eq!(access.owner.to_string(), ACCOUNT, "{action}");
            // A key is asked about with its policy, without which nobody has a right.
            let is_key = access.resource.contains(":key/");
            assert_eq!(access.policy.as_ref().is_some_and(|own| own.is_indispensable), is_key, "{action}");
            if n == 0 && action != "kms:ReEncrypt" {
                assert_eq!(access.action, action);
            }
            table.push_str(&lines(&access, short));
        }
    }
    expect_file!["permissions.txt"].assert_eq(&table);
}

/// Neither what it did nor what is there: the same answer in a world with one of everything and in an empty one.
#[test]
fn whoever_may_not_do_it_learns_nothing() {
    for action in operations() {
        let scene = Scene::new();
        let body = scene.body(&action);
        scene.guard.deny();
        let denied = scene.world.refused(&action, body.clone());
        assert!(denied.starts_with("AccessDeniedException: User: "), "{action}: {denied}");
        let (nowhere, guard) = Scene::empty();
        guard.deny();
        assert_eq!(nowhere.refused(&action, body), denied, "{action}");
    }
}
