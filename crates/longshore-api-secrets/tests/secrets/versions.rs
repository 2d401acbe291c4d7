//! Versions of secrets and their staging labels (identity J9).

use longshore_tables_secrets::SecretsState;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, scope, text, token};

fn put(world: &World, name: &str, value: &str, more: Value) -> Value {
    let mut body = json!({"SecretId": "a", "SecretString": value, "ClientRequestToken": token(name)});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    world.ok("secretsmanager:PutSecretValue", body)
}

fn stages(world: &World) -> Value {
    world.ok("secretsmanager:DescribeSecret", json!({"SecretId": "a"}))["VersionIdsToStages"].clone()
}

fn world() -> World {
    let world = World::new();
    world.ok(
        "secretsmanager:CreateSecret",
        json!({"Name": "a", "SecretString": "1", "ClientRequestToken": token("1")}),
    );
    world
}

#[test]
fn the_token_is_the_version() {
    let world = world();
    let first = put(&world, "2", "two", json!({}));
    assert_eq!((text(&first, "VersionId"), &first["VersionStages"]), (&*token("2"), &json!(["AWSCURRENT"])));
    assert_eq!(stages(&world), json!({token("1"): ["AWSPREVIOUS"], token("2"): ["AWSCURRENT"]}));
    put(&world, "3", "three", json!({}));
    assert_eq!(stages(&world), json!({token("2"): ["AWSPREVIOUS"], token("3"): ["AWSCURRENT"]}));
    // Again: nothing changes, although another version is current by now.
    put(&world, "2", "two", json!({}));
    assert_eq!(stages(&world), json!({token("2"): ["AWSPREVIOUS"], token("3"): ["AWSCURRENT"]}));
    let other = json!({"SecretId": "a", "SecretString": "else", "ClientRequestToken": token("2")});
    let exists = "ResourceExistsException: A resource with the ID you requested already exists.";
    assert_eq!(world.refused("secretsmanager:PutSecretValue", other), exists);
    let used = json!({"SecretId": "a", "SecretString": "two", "ClientRequestToken": token("2")});
    assert_eq!(world.refused("secretsmanager:UpdateSecret", used), exists);
    let updated = world.ok("secretsmanager:UpdateSecret", json!({"SecretId": "a", "SecretString": "four"}));
    assert_eq!(text(&updated, "VersionId").len(), 36, "a UUID, where no token is given");
    let none = world.refused("secretsmanager:PutSecretValue", json!({"SecretId": "a"}));
    assert_eq!(none, "InvalidRequestException: You must provide either SecretString or SecretBinary.");
}

#[test]
fn a_version_is_read_by_id_label_or_both() {
    let world = world();
    put(&world, "2", "two", json!({}));
    put(&world, "3", "three", json!({"VersionStages": ["AWSPENDING", "x"]}));
    let get = |more: Value| {
        let mut body = json!({"SecretId": "a"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        world.reply("secretsmanager:GetSecretValue", &body).1
    };
    assert_eq!(text(&get(json!({})), "SecretString"), "two");
    assert_eq!(text(&get(json!({"VersionStage": "AWSPREVIOUS"})), "SecretString"), "1");
    let pending = get(json!({"VersionStage": "x"}));
    assert_eq!(
        (text(&pending, "SecretString"), &pending["VersionStages"]),
        ("three", &json!(["AWSPENDING", "x"]))
    );
    assert_eq!(text(&get(json!({"VersionId": token("1")})), "SecretString"), "1");
    assert_eq!(text(&get(json!({"VersionId": token("3"), "VersionStage": "x"})), "SecretString"), "three");
    let disagree = get(json!({"VersionId": token("2"), "VersionStage": "x"}));
    assert_eq!(text(&disagree, "__type"), "InvalidRequestException");
    let missing = crate::support::told(&get(json!({"VersionId": token("9")})));
    let nine = token("9");
    assert_eq!(
        missing,
        format!(
            "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: {nine}"
        )
    );
    assert!(crate::support::told(&get(json!({"VersionStage": "y"}))).ends_with("for staging label: y"));
}

#[test]
fn labels_are_moved_with_both_ends_named() {
    let world = world();
    put(&world, "2", "two", json!({}));
    put(&world, "3", "three", json!({"VersionStages": ["x"]}));
    let step = |label: &str, to: Option<&str>, from: Option<&str>| {
        let mut body = json!({"SecretId": "a", "VersionStage": label});
        let members = body.as_object_mut().expect("an object");
        if let Some(to) = to {
            members.insert("MoveToVersionId".into(), token(to).into());
        }
        if let Some(from) = from {
            members.insert("RemoveFromVersionId".into(), token(from).into());
        }
        body
    };
    let action = "secretsmanager:UpdateSecretVersionStage";
    let told = world.refused(action, step("AWSCURRENT", Some("3"), None));
    let two = token("2");
    assert_eq!(
        told,
        format!(
            "InvalidParameterException: The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is \
             currently attached to version {two}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    );
    assert!(
        world
            .refused(action, step("AWSCURRENT", Some("3"), Some("1")))
            .contains("is currently attached to version")
    );
    assert_eq!(
        world.refused(action, step("AWSCURRENT", None, Some("2"))),
        "InvalidParameterException: You can only move staging label AWSCURRENT to a different secret version. It can’t be \
         completely removed."
    );
    assert!(
        world
            .refused(action, step("AWSCURRENT", Some("9"), Some("2")))
            .starts_with("ResourceNotFoundException")
    );
    world.ok(action, step("AWSCURRENT", Some("3"), Some("2")));
    assert_eq!(stages(&world), json!({token("2"): ["AWSPREVIOUS"], token("3"): ["AWSCURRENT", "x"]}));
    world.ok(action, step("x", None, Some("3")));
    world.ok(action, step("y", Some("1"), None));
    assert_eq!(stages(&world)[token("1")], json!(["y"]));
    assert!(world.refused(action, step("z", None, Some("3"))).starts_with("InvalidParameterException"));
    assert!(world.refused(action, step("z", None, None)).starts_with("InvalidParameterException"));
    let labels: Vec<String> = (0..21).map(|n| format!("l{n}")).collect();
    let many = json!({"SecretId": "a", "SecretString": "m", "VersionStages": &labels[..20]});
    world.ok("secretsmanager:PutSecretValue", many);
    let one_more = json!({"SecretId": "a", "VersionStage": "l20", "MoveToVersionId":
        text(&world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "a", "VersionStage": "l0"})), "VersionId")});
    assert!(world.refused(action, one_more).starts_with("LimitExceededException"));
}

#[test]
fn versions_without_labels_are_hidden_and_go() {
    let world = world();
    for n in 0..110 {
        put(&world, &format!("v{n}"), "x", json!({}));
        world.millis(1);
    }
    let count = |body: Value| {
        let listed = world.ok("secretsmanager:ListSecretVersionIds", body);
        listed["Versions"].as_array().expect("a list").len()
    };
    assert_eq!(count(json!({"SecretId": "a"})), 2);
    assert_eq!(count(json!({"SecretId": "a", "IncludeDeprecated": true})), 100, "a page");
    let all = || {
        world.db.peek(|state| {
            let secrets = state.secrets().realm(&scope(ACCOUNT)).secrets();
            let (name, secret) = secrets.entry("a").expect("it is there");
            secrets.count_parts(&longshore_tables_secrets::Whole::new(name, &secret.birth))
        })
    };
    assert_eq!(all(), 111, "none is a day old");
    world.days(1);
    put(&world, "last", "x", json!({}));
    assert_eq!(all(), 100);
    assert_eq!(stages(&world).as_object().map(|stages| stages.len()), Some(2));
    let kept =
        world.ok("secretsmanager:GetSecretValue", json!({"SecretId": "a", "VersionStage": "AWSPREVIOUS"}));
    assert_eq!(text(&kept, "VersionId"), token("v109"));
    let listed = world.ok("secretsmanager:ListSecretVersionIds", json!({"SecretId": "a"}));
    assert_eq!(listed["Versions"][0]["KmsKeyIds"], json!(["DefaultEncryptionKey"]));
}
