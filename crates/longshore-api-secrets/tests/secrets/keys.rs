//! Keys of KMS: their life, and what is under them (identity J11).

use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, text};

pub fn make(world: &World) -> String {
    text(&world.ok("kms:CreateKey", json!({}))["KeyMetadata"], "KeyId").to_owned()
}

fn arn(id: &str) -> String {
    format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/{id}")
}

#[test]
fn a_key_is_made_and_described() {
    let world = World::new();
    let made =
        world.ok("kms:CreateKey", json!({"Description": "d", "Tags": [{"TagKey": "k", "TagValue": "v"}]}));
    let id = text(&made["KeyMetadata"], "KeyId").to_owned();
    assert_eq!(text(&made["KeyMetadata"], "Arn"), arn(&id));
    for named in [&*id, &arn(&id)] {
        let shown = world.ok("kms:DescribeKey", json!({"KeyId": named}));
        assert_eq!(shown, made);
    }
    let metadata = &made["KeyMetadata"];
    assert_eq!((&metadata["KeyState"], &metadata["Enabled"]), (&json!("Enabled"), &json!(true)));
    assert_eq!((&metadata["KeyManager"], &metadata["MultiRegion"]), (&json!("CUSTOMER"), &json!(false)));
    assert_eq!(metadata["EncryptionAlgorithms"], json!(["SYMMETRIC_DEFAULT"]));
    assert_eq!(world.ok("kms:ListKeys", json!({}))["Keys"][0]["KeyArn"], arn(&id));
    let policy = world.ok("kms:GetKeyPolicy", json!({"KeyId": id}));
    let policy: Value = serde_json::from_str(text(&policy, "Policy")).expect("JSON");
    assert_eq!(policy["Statement"][0]["Principal"]["AWS"], format!("arn:aws:iam::{ACCOUNT}:root"));
    assert_eq!(policy["Statement"][0]["Action"], "kms:*");
    world.ok("kms:UpdateKeyDescription", json!({"KeyId": id, "Description": "e"}));
    assert_eq!(world.ok("kms:DescribeKey", json!({"KeyId": id}))["KeyMetadata"]["Description"], "e");
    assert_eq!(world.ok("kms:ListKeyPolicies", json!({"KeyId": id}))["PolicyNames"], json!(["default"]));
    world.ok("kms:TagResource", json!({"KeyId": id, "Tags": [{"TagKey": "l", "TagValue": "w"}]}));
    world.ok("kms:UntagResource", json!({"KeyId": id, "TagKeys": ["k"]}));
    let tags = world.ok("kms:ListResourceTags", json!({"KeyId": id}));
    assert_eq!(
        (&tags["Tags"], &tags["Truncated"]),
        (&json!([{"TagKey": "l", "TagValue": "w"}]), &json!(false))
    );
}

#[test]
fn other_kinds_of_keys_are_refused() {
    let world = World::new();
    for body in [
        json!({"KeySpec": "RSA_2048"}),
        json!({"CustomerMasterKeySpec": "HMAC_256"}),
        json!({"KeyUsage": "SIGN_VERIFY"}),
        json!({"Origin": "EXTERNAL"}),
        json!({"MultiRegion": true}),
        json!({"CustomKeyStoreId": "cks-1"}),
    ] {
        assert!(world.refused("kms:CreateKey", body).starts_with("UnsupportedOperationException: "));
    }
    let same = json!({"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "Origin": "AWS_KMS", "MultiRegion": false});
    world.ok("kms:CreateKey", same);
}

#[test]
fn what_is_not_there_is_told_by_its_arn() {
    let world = World::new();
    let none = "0f9d8c7b-1111-4222-8333-444455556666";
    let told = |id: &str| world.refused("kms:DescribeKey", json!({"KeyId": id}));
    assert_eq!(told(none), format!("NotFoundException: Key '{}' does not exist", arn(none)));
    assert_eq!(
        told("alias/x"),
        format!("NotFoundException: Alias arn:aws:kms:eu-west-1:{ACCOUNT}:alias/x is not found.")
    );
    for bad in ["nonsense", "arn:aws:kms:us-east-1:111122223333:key/1", "arn:aws:s3:::b"] {
        assert!(told(bad).starts_with("NotFoundException: Invalid keyId '"), "{bad}");
    }
}

#[test]
fn a_key_that_is_off_or_on_its_way_out_does_nothing() {
    let world = World::new();
    let id = make(&world);
    let key = || json!({"KeyId": id});
    let encrypt = || json!({"KeyId": id, "Plaintext": "eA=="});
    let blob = text(&world.ok("kms:Encrypt", encrypt()), "CiphertextBlob").to_owned();
    let secret = json!({"Name": "s", "SecretString": "x", "KmsKeyId": id});
    world.ok("secretsmanager:CreateSecret", secret);
    let parameter = json!({"Name": "p", "Value": "x", "Type": "SecureString", "KeyId": id});
    world.ok("ssm:PutParameter", parameter);

    let nothing_works = |code: &str, text_of: &str| {
        let told = format!("{code}: {} is {text_of}.", arn(&id));
        assert_eq!(world.refused("kms:Encrypt", encrypt()), told);
        assert_eq!(world.refused("kms:Decrypt", json!({"CiphertextBlob": blob})), told);
        assert_eq!(world.refused("kms:GenerateDataKey", json!({"KeyId": id, "KeySpec": "AES_256"})), told);
        let value = world.refused("secretsmanager:GetSecretValue", json!({"SecretId": "s"}));
        assert!(
            value.starts_with("DecryptionFailure: ")
                && value.ends_with(&format!("{} is {text_of}.", arn(&id))),
            "{value}"
        );
        let put =
            world.refused("secretsmanager:PutSecretValue", json!({"SecretId": "s", "SecretString": "y"}));
        assert!(put.starts_with("EncryptionFailure: "), "{put}");
        let value = world.refused("ssm:GetParameter", json!({"Name": "p", "WithDecryption": true}));
        assert!(value.starts_with("InvalidKeyId: "), "{value}");
        world.ok("ssm:GetParameter", json!({"Name": "p"}));
    };
    world.ok("kms:DisableKey", key());
    nothing_works("DisabledException", "disabled");
    world.ok("kms:EnableKey", key());
    assert_eq!(text(&world.ok("kms:Decrypt", json!({"CiphertextBlob": blob})), "Plaintext"), "eA==");
    assert_eq!(
        text(&world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "s"})), "SecretString"),
        "x"
    );

    for days in [6, 31] {
        let body = json!({"KeyId": id, "PendingWindowInDays": days});
        assert!(world.refused("kms:ScheduleKeyDeletion", body).starts_with("ValidationException: "));
    }
    let scheduled = world.ok("kms:ScheduleKeyDeletion", json!({"KeyId": id, "PendingWindowInDays": 7}));
    assert_eq!((text(&scheduled, "KeyId"), text(&scheduled, "KeyState")), (&*arn(&id), "PendingDeletion"));
    nothing_works("KMSInvalidStateException", "pending deletion");
    let pending = format!("KMSInvalidStateException: {} is pending deletion.", arn(&id));
    for action in ["kms:EnableKey", "kms:DisableKey", "kms:ScheduleKeyDeletion", "kms:EnableKeyRotation"] {
        assert_eq!(world.refused(action, key()), pending, "{action}");
    }
    let alias = json!({"AliasName": "alias/x", "TargetKeyId": id});
    assert_eq!(world.refused("kms:CreateAlias", alias), pending);
    world.ok("kms:CancelKeyDeletion", key());
    assert_eq!(world.ok("kms:DescribeKey", key())["KeyMetadata"]["KeyState"], "Disabled");
    assert!(world.refused("kms:CancelKeyDeletion", key()).ends_with("is not pending deletion."));

    world.ok("kms:ScheduleKeyDeletion", key());
    world.days(29);
    world.sweep();
    assert_eq!(world.ok("kms:DescribeKey", key())["KeyMetadata"]["KeyState"], "PendingDeletion");
    world.days(1);
    world.sweep();
    assert!(world.refused("kms:DescribeKey", key()).starts_with("NotFoundException"));
    let lost = world.refused("secretsmanager:GetSecretValue", json!({"SecretId": "s"}));
    assert!(lost.starts_with("DecryptionFailure: "), "{lost}");
}

#[test]
fn keys_rotate_and_open_what_they_made_before() {
    let world = World::new();
    let id = make(&world);
    let key = || json!({"KeyId": id});
    let status = || world.ok("kms:GetKeyRotationStatus", key());
    assert_eq!(status()["KeyRotationEnabled"], false);
    let encrypt = || world.ok("kms:Encrypt", json!({"KeyId": id, "Plaintext": "eA=="}));
    let old = text(&encrypt(), "CiphertextBlob").to_owned();
    let material =
        || text(&world.ok("kms:DescribeKey", key())["KeyMetadata"], "CurrentKeyMaterialId").to_owned();
    let first = material();
    world.ok("kms:EnableKeyRotation", json!({"KeyId": id, "RotationPeriodInDays": 90}));
    assert_eq!(
        (&status()["KeyRotationEnabled"], &status()["RotationPeriodInDays"]),
        (&json!(true), &json!(90))
    );
    world.days(89);
    world.sweep();
    assert_eq!(material(), first);
    world.days(1);
    world.sweep();
    assert_ne!(material(), first);
    let read = world.ok("kms:Decrypt", json!({"CiphertextBlob": old}));
    assert_eq!((text(&read, "Plaintext"), text(&read, "KeyMaterialId")), ("eA==", &*first));
    world.ok("kms:DisableKeyRotation", key());
    assert_eq!(status()["KeyRotationEnabled"], false);
    world.ok("kms:DisableKey", key());
    assert!(world.refused("kms:EnableKeyRotation", key()).starts_with("DisabledException: "));
}

#[test]
fn a_secret_under_another_key_is_encrypted_again() {
    let world = World::new();
    let (one, two) = (make(&world), make(&world));
    let secret = json!({"Name": "s", "SecretString": "old", "KmsKeyId": one});
    world.ok("secretsmanager:CreateSecret", secret);
    world.ok("secretsmanager:PutSecretValue", json!({"SecretId": "s", "SecretString": "new"}));
    let shown = || world.ok("secretsmanager:DescribeSecret", json!({"SecretId": "s"}));
    assert_eq!(text(&shown(), "KmsKeyId"), one);
    world.ok("secretsmanager:UpdateSecret", json!({"SecretId": "s", "KmsKeyId": arn(&two)}));
    assert_eq!(text(&shown(), "KmsKeyId"), arn(&two));
    world.ok("kms:DisableKey", json!({"KeyId": one}));
    for (stage, value) in [("AWSCURRENT", "new"), ("AWSPREVIOUS", "old")] {
        let read = world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "s", "VersionStage": stage}));
        assert_eq!(text(&read, "SecretString"), value);
    }
    world.ok("secretsmanager:UpdateSecret", json!({"SecretId": "s", "KmsKeyId": ""}));
    assert!(shown().get("KmsKeyId").is_none());
    world.ok("secretsmanager:UpdateSecret", json!({"SecretId": "s", "KmsKeyId": "alias/aws/secretsmanager"}));
    assert!(shown().get("KmsKeyId").is_none());
    world.ok("kms:DisableKey", json!({"KeyId": two}));
    world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "s"}));
    // Of a key that is not there nobody learns more than of one that he may not use.
    for (action, member) in [("CreateSecret", "Name"), ("UpdateSecret", "SecretId")] {
        let body = json!({member: if action == "CreateSecret" { "t" } else { "s" }, "SecretString": "x", "KmsKeyId": "alias/none"});
        let told = world.refused(&format!("secretsmanager:{action}"), body);
        assert_eq!(told, "AccessDeniedException: Access to KMS is not allowed");
    }
}
