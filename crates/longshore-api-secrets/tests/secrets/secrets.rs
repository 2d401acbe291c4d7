//! The life of secrets (identity J9).

use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, text, token};

const GONE: &str = "ResourceNotFoundException: Secrets Manager can't find the specified secret.";
const MARKED: &str = "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion.";

fn create(world: &World, name: &str, value: &str) -> Value {
    world.ok("secretsmanager:CreateSecret", json!({"Name": name, "SecretString": value}))
}

#[test]
fn a_secret_is_made_read_and_kept_sealed() {
    let world = World::new();
    let made = world.ok(
        "secretsmanager:CreateSecret",
        json!({"Name": "db/prod", "SecretString": "hunter2hunter2", "Description": "d", "ClientRequestToken": token("one"),
            "Tags": [{"Key": "k", "Value": "v"}]}),
    );
    let arn = text(&made, "ARN");
    let prefix = format!("arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:db/prod-");
    assert!(arn.starts_with(&prefix) && arn.len() == prefix.len() + 6, "{arn}");
    assert_eq!((text(&made, "Name"), text(&made, "VersionId")), ("db/prod", &*token("one")));
    world.is_nowhere("hunter2hunter2");

    for id in ["db/prod", arn, &arn[..arn.len() - 7]] {
        let read = world.ok("secretsmanager:GetSecretValue", json!({"SecretId": id}));
        assert_eq!(text(&read, "SecretString"), "hunter2hunter2", "{id}");
        assert_eq!(read["VersionStages"], json!(["AWSCURRENT"]));
        assert_eq!((text(&read, "ARN"), read.get("SecretBinary")), (arn, None));
    }
    for id in [&arn[prefix.len() - "db/prod-".len()..], "DB/prod", &arn.replace(REGION_OF, "us-east-1")] {
        assert_eq!(world.refused("secretsmanager:GetSecretValue", json!({"SecretId": id})), GONE, "{id}");
    }

    let shown = world.ok("secretsmanager:DescribeSecret", json!({"SecretId": arn}));
    assert_eq!(shown["VersionIdsToStages"], json!({token("one"): ["AWSCURRENT"]}));
    assert_eq!((text(&shown, "Description"), &shown["Tags"][0]["Value"]), ("d", &json!("v")));
    for absent in ["KmsKeyId", "DeletedDate", "RotationEnabled", "ReplicationStatus"] {
        assert!(shown.get(absent).is_none(), "{absent}");
    }
    // Without a value there is no version.
    let bare = world.ok("secretsmanager:CreateSecret", json!({"Name": "bare"}));
    assert!(bare.get("VersionId").is_none());
    assert!(
        world
            .ok("secretsmanager:DescribeSecret", json!({"SecretId": "bare"}))
            .get("VersionIdsToStages")
            .is_none()
    );
    assert_eq!(
        world.refused("secretsmanager:GetSecretValue", json!({"SecretId": "bare"})),
        "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
    );
}

const REGION_OF: &str = "eu-west-1";

#[test]
fn bytes_come_back_as_bytes() {
    let world = World::new();
    // Base64 of three bytes that are no text.
    world.ok("secretsmanager:CreateSecret", json!({"Name": "b", "SecretBinary": "//79"}));
    let read = world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "b"}));
    assert_eq!((text(&read, "SecretBinary"), read.get("SecretString")), ("//79", None));
    let both = json!({"Name": "c", "SecretBinary": "//79", "SecretString": "x"});
    assert!(
        world
            .refused("secretsmanager:CreateSecret", both)
            .starts_with("InvalidParameterException: You can't specify both")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    let refused = |body: Value| world.refused("secretsmanager:CreateSecret", body);
    assert_eq!(
        refused(json!({"Name": "a b"})),
        "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
         following: -/_+=.@!"
    );
    assert!(
        refused(json!({}))
            .starts_with("ValidationException: 1 validation error detected: Value null at 'name'")
    );
    let short = refused(json!({"Name": "a", "ClientRequestToken": "short"}));
    assert!(short.contains("'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32"), "{short}");
    let long = refused(json!({"Name": "a", "SecretString": "x".repeat(65_537)}));
    assert!(long.contains("'secretString'") && !long.contains("xxx"), "{long}");
    assert!(
        refused(json!({"Name": "a", "SecretString": "ä".repeat(40_000)}))
            .starts_with("InvalidParameterException")
    );
    let replica = json!({"Name": "a", "AddReplicaRegions": [{"Region": "us-east-1"}]});
    assert!(refused(replica).starts_with("InvalidParameterException"));
    assert!(
        refused(json!({"Name": "a", "Tags": [{"Key": "aws:x", "Value": "y"}]}))
            .starts_with("InvalidParameterException")
    );
}

#[test]
fn a_repeated_creation_is_the_same_and_another_one_is_refused() {
    let world = World::new();
    let body = json!({"Name": "a", "SecretString": "one", "ClientRequestToken": token("t")});
    let first = world.ok("secretsmanager:CreateSecret", body.clone());
    assert_eq!(world.ok("secretsmanager:CreateSecret", body), first);
    let exists = "ResourceExistsException: The operation failed because the secret a already exists.";
    for other in [
        json!({"Name": "a", "SecretString": "two", "ClientRequestToken": token("t")}),
        json!({"Name": "a", "SecretString": "one", "ClientRequestToken": token("u")}),
        json!({"Name": "a", "SecretString": "one"}),
        json!({"Name": "a"}),
    ] {
        assert_eq!(world.refused("secretsmanager:CreateSecret", other), exists);
    }
}

#[test]
fn a_deleted_secret_can_be_had_back_until_its_time_has_come() {
    let world = World::new();
    let arn = text(&create(&world, "a", "x"), "ARN").to_owned();
    let id = || json!({"SecretId": "a"});
    let deleted =
        world.ok("secretsmanager:DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 7}));
    assert_eq!(text(&deleted, "ARN"), arn);
    let days = deleted["DeletionDate"].as_f64().expect("a time") - 1_700_000_000.0;
    assert_eq!(days, 7.0 * 86_400.0);
    assert!(world.ok("secretsmanager:DescribeSecret", id())["DeletedDate"].is_number());
    assert_eq!(world.ok("secretsmanager:ListSecrets", json!({}))["SecretList"], json!([]));
    let planned = world.ok("secretsmanager:ListSecrets", json!({"IncludePlannedDeletion": true}));
    assert_eq!(planned["SecretList"][0]["Name"], "a");
    for (action, more) in [
        ("GetSecretValue", json!({})),
        ("PutSecretValue", json!({"SecretString": "y"})),
        ("UpdateSecret", json!({"Description": "y"})),
        ("TagResource", json!({"Tags": [{"Key": "k", "Value": "v"}]})),
        ("UntagResource", json!({"TagKeys": ["k"]})),
        ("UpdateSecretVersionStage", json!({"VersionStage": "x"})),
        ("DeleteSecret", json!({})),
    ] {
        let mut body = id();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        assert_eq!(world.refused(&format!("secretsmanager:{action}"), body), MARKED, "{action}");
    }
    assert_eq!(
        world.refused("secretsmanager:CreateSecret", json!({"Name": "a"})),
        "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for \
         deletion."
    );
    world.days(6);
    world.sweep();
    world.ok("secretsmanager:RestoreSecret", id());
    assert_eq!(text(&world.ok("secretsmanager:GetSecretValue", id()), "SecretString"), "x");

    world.ok("secretsmanager:DeleteSecret", id());
    world.days(29);
    world.sweep();
    assert!(world.ok("secretsmanager:DescribeSecret", id())["DeletedDate"].is_number());
    world.days(1);
    world.sweep();
    assert_eq!(world.refused("secretsmanager:RestoreSecret", id()), GONE);
    // Another one of its name is another one.
    let new = create(&world, "a", "z");
    assert_ne!(text(&new, "ARN"), arn);
    assert_eq!(world.refused("secretsmanager:GetSecretValue", json!({"SecretId": arn})), GONE);
}

#[test]
fn force_deletes_at_once() {
    let world = World::new();
    create(&world, "a", "x");
    for n in 0..150 {
        let body = json!({"SecretId": "a", "SecretString": format!("{n}"), "ClientRequestToken": token(&n.to_string())});
        world.ok("secretsmanager:PutSecretValue", body);
    }
    let force = json!({"SecretId": "a", "ForceDeleteWithoutRecovery": true});
    world.ok("secretsmanager:DeleteSecret", force.clone());
    assert_eq!(world.refused("secretsmanager:DescribeSecret", json!({"SecretId": "a"})), GONE);
    create(&world, "a", "new");
    let listed =
        world.ok("secretsmanager:ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true}));
    assert_eq!(listed["Versions"].as_array().map(Vec::len), Some(1), "nothing of the old one is in it");
    world.sweep();
    assert_eq!(
        text(&world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "a"})), "SecretString"),
        "new"
    );
    world.ok("secretsmanager:DeleteSecret", force.clone());
    world.ok("secretsmanager:DeleteSecret", force);
    assert_eq!(world.refused("secretsmanager:DeleteSecret", json!({"SecretId": "a"})), GONE);
    let both = json!({"SecretId": "a", "ForceDeleteWithoutRecovery": true, "RecoveryWindowInDays": 7});
    assert_eq!(
        world.refused("secretsmanager:DeleteSecret", both),
        "InvalidParameterException: You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
    );
    for days in [6, 31] {
        assert_eq!(
            world.refused(
                "secretsmanager:DeleteSecret",
                json!({"SecretId": "a", "RecoveryWindowInDays": days})
            ),
            "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
        );
    }
}

#[test]
fn lists_are_filtered_by_what_things_begin_with() {
    let world = World::new();
    for (name, description, tag) in [("a/one", "Red things", "x"), ("a/two", "blue", "y"), ("b", "", "x")] {
        world.ok(
            "secretsmanager:CreateSecret",
            json!({"Name": name, "Description": description, "SecretString": name, "Tags": [{"Key": "team", "Value": tag}]}),
        );
        world.millis(1);
    }
    let names = |body: Value| -> Vec<String> {
        let listed = world.ok("secretsmanager:ListSecrets", body);
        let list = listed["SecretList"].as_array().expect("a list");
        list.iter().map(|entry| text(entry, "Name").to_owned()).collect()
    };
    let by = |key: &str, values: Value| json!({"Filters": [{"Key": key, "Values": values}]});
    assert_eq!(names(json!({})), ["a/one", "a/two", "b"]);
    assert_eq!(names(json!({"SortOrder": "desc"})), ["b", "a/two", "a/one"]);
    assert_eq!(names(by("name", json!(["a/"]))), ["a/one", "a/two"]);
    assert_eq!(names(by("name", json!(["A/"]))), Vec::<String>::new());
    assert_eq!(names(by("name", json!(["!a/"]))), ["b"]);
    assert_eq!(names(by("description", json!(["red"]))), ["a/one"]);
    assert_eq!(names(by("tag-value", json!(["x"]))), ["a/one", "b"]);
    assert_eq!(names(by("tag-key", json!(["tea"]))).len(), 3);
    assert_eq!(names(by("all", json!(["things"]))), ["a/one"]);
    let both = json!({"Filters": [{"Key": "tag-value", "Values": ["x"]}, {"Key": "name", "Values": ["b"]}]});
    assert_eq!(names(both), ["b"]);

    let batch = world.ok("secretsmanager:BatchGetSecretValue", by("tag-value", json!(["x"])));
    assert_eq!(batch["SecretValues"][1]["SecretString"], "b");
    let batch = world.ok("secretsmanager:BatchGetSecretValue", json!({"SecretIdList": ["a/two", "none"]}));
    assert_eq!(batch["SecretValues"][0]["SecretString"], "a/two");
    assert_eq!(batch["Errors"][0]["ErrorCode"], "ResourceNotFoundException");
    assert_eq!(batch["Errors"][0]["SecretId"], "none");
    for bad in [json!({}), json!({"SecretIdList": ["a"], "Filters": [{"Key": "name", "Values": ["a"]}]})] {
        assert!(
            world.refused("secretsmanager:BatchGetSecretValue", bad).starts_with("InvalidParameterException")
        );
    }
}

#[test]
fn tags_are_added_and_taken_away() {
    let world = World::new();
    create(&world, "a", "x");
    let tag = |tags: Value| json!({"SecretId": "a", "Tags": tags});
    world.ok(
        "secretsmanager:TagResource",
        tag(json!([{"Key": "k", "Value": "1"}, {"Key": "K", "Value": "2"}])),
    );
    world.ok("secretsmanager:TagResource", tag(json!([{"Key": "k", "Value": "3"}])));
    world.ok("secretsmanager:UntagResource", json!({"SecretId": "a", "TagKeys": ["K", "gone"]}));
    let shown = world.ok("secretsmanager:DescribeSecret", json!({"SecretId": "a"}));
    assert_eq!(shown["Tags"], json!([{"Key": "k", "Value": "3"}]));
    let many: Vec<Value> = (0..50).map(|n| json!({"Key": format!("t{n}"), "Value": ""})).collect();
    assert!(
        world
            .refused("secretsmanager:TagResource", tag(json!(many)))
            .starts_with("InvalidParameterException")
    );
}

#[test]
fn passwords_are_as_they_are_asked_for() {
    let world = World::new();
    let draw =
        |body: Value| text(&world.ok("secretsmanager:GetRandomPassword", body), "RandomPassword").to_owned();
    let first = draw(json!({}));
    assert_eq!(first.chars().count(), 32);
    assert_ne!(draw(json!({})), first);
    for _ in 0..20 {
        let password = draw(json!({"PasswordLength": 4}));
        let has = |is: fn(char) -> bool| password.chars().any(is);
        assert!(has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_uppercase()), "{password}");
        assert!(has(|c| c.is_ascii_digit()) && has(|c| c.is_ascii_punctuation()), "{password}");
    }
    let digits = draw(json!({"PasswordLength": 4096, "ExcludeLowercase": true, "ExcludeUppercase": true,
        "ExcludePunctuation": true, "ExcludeCharacters": "01"}));
    assert!(digits.len() == 4096 && digits.bytes().all(|byte| (b'2'..=b'9').contains(&byte)));
    let short = json!({"PasswordLength": 3});
    assert!(
        world.refused("secretsmanager:GetRandomPassword", short).starts_with("InvalidParameterException")
    );
    let none = json!({"ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludePunctuation": true, "ExcludeNumbers": true});
    assert!(world.refused("secretsmanager:GetRandomPassword", none).starts_with("InvalidParameterException"));
}

/// What has no value goes on without the root key, and nothing is kept in the clear instead.
#[test]
fn without_the_root_key_there_are_no_secrets() {
    let world = World::locked(std::sync::Arc::new(longshore_service::Allow));
    for (action, body) in [
        ("secretsmanager:CreateSecret", json!({"Name": "a", "SecretString": "x"})),
        ("secretsmanager:GetRandomPassword", json!({})),
        ("ssm:PutParameter", json!({"Name": "a", "Value": "x", "Type": "SecureString"})),
        ("kms:CreateKey", json!({})),
        ("kms:GenerateRandom", json!({"NumberOfBytes": 8})),
    ] {
        let (status, answer) = world.reply(action, &body);
        assert_eq!((status, text(&answer, "__type")), (500, "ServerException"), "{action}: {answer}");
    }
    world.ok("ssm:PutParameter", json!({"Name": "a", "Value": "x", "Type": "String"}));
}
