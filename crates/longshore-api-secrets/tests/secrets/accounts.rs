//! Accounts see nothing of each other, unless the policies of both sides agree (identity J6, acceptance 20).

use std::sync::Arc;

use longshore_guard::{Enforcement, PolicyGuard};
use longshore_tables_iam::InlineKey;
use longshore_tables_iam::record::{IdentityPolicy, InlinePolicy};
use longshore_telemetry::Metrics;
use serde_json::{Value, json};

use crate::policies::user;
use crate::support::{ACCOUNT, OTHER, World, account, text};

const BOB: &str = "AIDABOBBOBBOBBOBBOBBO";

/// With the user `bob` of the other account, who may do what this policy says.
fn world(bob: &str) -> World {
    let world = World::guarded(Arc::new(PolicyGuard::new(Enforcement::Enforce, Metrics::new())));
    user(&world, OTHER, "bob", BOB);
    world.act(|tx| {
        let document = IdentityPolicy::new(bob).expect("a policy");
        let key = InlineKey { account: account(OTHER), holder: BOB.into(), name: "p".into() };
        tx.put::<InlinePolicy>(key, InlinePolicy { document });
    });
    world
}

fn allow(actions: Value, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}).to_string()
}

fn to(principal: &str, actions: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions, "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "*", "Resource": "*"},
    ]})
    .to_string()
}

#[test]
fn a_secret_of_another_account_needs_both_policies_and_those_of_its_key() {
    let bob = format!("arn:aws:iam::{OTHER}:user/bob");
    let mut world = world(&allow(json!(["secretsmanager:GetSecretValue", "kms:Decrypt"]), "*"));
    let key = text(&world.ok("kms:CreateKey", json!({}))["KeyMetadata"], "Arn").to_owned();
    let made =
        world.ok("secretsmanager:CreateSecret", json!({"Name": "s", "SecretString": "x", "KmsKeyId": key}));
    let arn = text(&made, "ARN").to_owned();
    let get = || json!({"SecretId": arn});
    let as_bob = |world: &mut World| world.act_as_user(OTHER, "bob", BOB);

    as_bob(&mut world);
    let told = world.refused("secretsmanager:GetSecretValue", get());
    let why = format!(
        "User: {bob} is not authorized to perform: secretsmanager:GetSecretValue on resource: {arn} because no resource-based policy allows the secretsmanager:GetSecretValue action"
    );
    assert_eq!(told, format!("AccessDeniedException: {why}"));
    let missing = world.refused("secretsmanager:GetSecretValue", json!({"SecretId": format!("{arn}x")}));
    assert!(missing.starts_with("AccessDeniedException: "), "what is not there is no different: {missing}");

    world.act_as(ACCOUNT);
    world.ok(
        "secretsmanager:PutResourcePolicy",
        json!({"SecretId": "s", "ResourcePolicy": to(&bob, json!("secretsmanager:GetSecretValue"))}),
    );
    as_bob(&mut world);
    assert_eq!(
        world.refused("secretsmanager:GetSecretValue", get()),
        "AccessDeniedException: Access to KMS is not allowed"
    );
    world.act_as(ACCOUNT);
    let statements = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": bob}, "Action": "kms:Decrypt", "Resource": "*",
            "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com",
                "kms:EncryptionContext:SecretARN": arn}}},
    ]});
    world.ok("kms:PutKeyPolicy", json!({"KeyId": key, "Policy": statements.to_string()}));
    as_bob(&mut world);
    assert_eq!(text(&world.ok("secretsmanager:GetSecretValue", get()), "SecretString"), "x");
    assert!(
        world
            .refused("secretsmanager:PutSecretValue", json!({"SecretId": arn, "SecretString": "y"}))
            .starts_with("AccessDeniedException: ")
    );
    // Not by himself: the policy of the key says how.
    let blob = text(
        &{
            world.act_as(ACCOUNT);
            world.ok("kms:Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}))
        },
        "CiphertextBlob",
    )
    .to_owned();
    as_bob(&mut world);
    assert!(
        world.refused("kms:Decrypt", json!({"CiphertextBlob": blob})).starts_with("AccessDeniedException: ")
    );
}

#[test]
fn without_rights_of_his_own_nobody_reads_another_account() {
    let mut world = world(&allow(json!("ecs:*"), "*"));
    let made = world.ok("secretsmanager:CreateSecret", json!({"Name": "s", "SecretString": "x"}));
    let bob = format!("arn:aws:iam::{OTHER}:user/bob");
    world.ok(
        "secretsmanager:PutResourcePolicy",
        json!({"SecretId": "s", "ResourcePolicy": to(&bob, json!("secretsmanager:*"))}),
    );
    world.act_as_user(OTHER, "bob", BOB);
    let told = world.refused("secretsmanager:GetSecretValue", json!({"SecretId": made["ARN"]}));
    assert!(
        told.ends_with("because no identity-based policy allows the secretsmanager:GetSecretValue action"),
        "{told}"
    );
}

#[test]
fn roots_see_nothing_of_each_other() {
    let mut world = world(&allow(json!("ecs:*"), "*"));
    let secret = world.ok("secretsmanager:CreateSecret", json!({"Name": "s", "SecretString": "x"}));
    world.ok("ssm:PutParameter", json!({"Name": "/p", "Value": "v", "Type": "String"}));
    let key = text(&world.ok("kms:CreateKey", json!({}))["KeyMetadata"], "Arn").to_owned();
    let blob = world.ok("kms:Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}))["CiphertextBlob"].clone();
    let parameter = format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/p");
    world.act_as(OTHER);
    for (action, body) in [
        ("secretsmanager:GetSecretValue", json!({"SecretId": secret["ARN"]})),
        ("secretsmanager:DescribeSecret", json!({"SecretId": secret["ARN"]})),
        (
            "secretsmanager:DeleteSecret",
            json!({"SecretId": secret["ARN"], "ForceDeleteWithoutRecovery": true}),
        ),
        ("secretsmanager:PutSecretValue", json!({"SecretId": secret["ARN"], "SecretString": "y"})),
        ("ssm:GetParameter", json!({"Name": parameter})),
        ("ssm:DeleteParameter", json!({"Name": parameter})),
        ("kms:DescribeKey", json!({"KeyId": key})),
        ("kms:Encrypt", json!({"KeyId": key, "Plaintext": "eA=="})),
        ("kms:Decrypt", json!({"CiphertextBlob": blob})),
        ("kms:ScheduleKeyDeletion", json!({"KeyId": key})),
        ("kms:CreateAlias", json!({"AliasName": "alias/x", "TargetKeyId": key})),
    ] {
        let told = world.refused(action, body);
        assert!(told.starts_with("AccessDeniedException: "), "{action}: {told}");
    }
    // By name each has his own.
    assert!(
        world
            .refused("secretsmanager:GetSecretValue", json!({"SecretId": "s"}))
            .starts_with("ResourceNotFoundException: ")
    );
    assert!(world.refused("ssm:GetParameter", json!({"Name": "/p"})).starts_with("ParameterNotFound: "));
    assert_eq!(world.ok("secretsmanager:ListSecrets", json!({}))["SecretList"], json!([]));
    assert_eq!(world.ok("kms:ListKeys", json!({}))["Keys"], json!([]));
    assert_eq!(world.ok("ssm:DescribeParameters", json!({}))["Parameters"], json!([]));
}

#[test]
fn the_key_of_a_service_is_used_through_the_service_alone() {
    let mut world = world(&allow(json!("*"), "*"));
    user(&world, ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    world.act(|tx| {
        let document = IdentityPolicy::new(&allow(json!(["ssm:*", "kms:*"]), "*")).expect("a policy");
        let key =
            InlineKey { account: account(ACCOUNT), holder: "AIDAADAADAADAADAADAAD".into(), name: "p".into() };
        tx.put::<InlinePolicy>(key, InlinePolicy { document });
    });
    world.act_as_user(ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    world.ok("ssm:PutParameter", json!({"Name": "/p", "Value": "v", "Type": "SecureString"}));
    let read = world.ok("ssm:GetParameter", json!({"Name": "/p", "WithDecryption": true}));
    assert_eq!(text(&read["Parameter"], "Value"), "v");
    world.ok("kms:DescribeKey", json!({"KeyId": "alias/aws/ssm"}));
    let direct = world.refused("kms:Encrypt", json!({"KeyId": "alias/aws/ssm", "Plaintext": "eA=="}));
    assert!(direct.starts_with("AccessDeniedException: "), "{direct}");
}

#[test]
fn a_customers_key_takes_a_right_of_its_own() {
    let mut world = world(&allow(json!("*"), "*"));
    let key = text(&world.ok("kms:CreateKey", json!({}))["KeyMetadata"], "KeyId").to_owned();
    user(&world, ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    world.act(|tx| {
        let document =
            IdentityPolicy::new(&allow(json!(["secretsmanager:*", "ssm:*"]), "*")).expect("a policy");
        let key =
            InlineKey { account: account(ACCOUNT), holder: "AIDAADAADAADAADAADAAD".into(), name: "p".into() };
        tx.put::<InlinePolicy>(key, InlinePolicy { document });
    });
    world.ok("secretsmanager:CreateSecret", json!({"Name": "s", "SecretString": "x", "KmsKeyId": key}));
    world.ok("ssm:PutParameter", json!({"Name": "/p", "Value": "v", "Type": "SecureString", "KeyId": key}));
    world.act_as_user(ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    let kms = "AccessDeniedException: Access to KMS is not allowed";
    assert_eq!(world.refused("secretsmanager:GetSecretValue", json!({"SecretId": "s"})), kms);
    assert_eq!(
        world.refused("secretsmanager:PutSecretValue", json!({"SecretId": "s", "SecretString": "y"})),
        kms
    );
    assert_eq!(
        world.refused(
            "secretsmanager:CreateSecret",
            json!({"Name": "t", "SecretString": "x", "KmsKeyId": key})
        ),
        kms
    );
    world.ok("secretsmanager:DescribeSecret", json!({"SecretId": "s"}));
    let told = world.refused("ssm:GetParameter", json!({"Name": "/p", "WithDecryption": true}));
    assert!(told.contains("is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:"), "{told}");
    let told = world
        .refused("ssm:GetParametersByPath", json!({"Path": "/", "Recursive": true, "WithDecryption": true}));
    assert!(told.contains("kms:Decrypt"), "{told}");
    world.ok("ssm:GetParameter", json!({"Name": "/p"}));
}
