//! Aliases, and the keys of services (identity J11).

use serde_json::{Value, json};

use crate::keys::make;
use crate::support::{ACCOUNT, World, text};

fn names(world: &World, body: Value) -> Vec<(String, Option<String>)> {
    let listed = world.ok("kms:ListAliases", body);
    let one = |alias: &Value| {
        (text(alias, "AliasName").to_owned(), alias["TargetKeyId"].as_str().map(str::to_owned))
    };
    listed["Aliases"].as_array().expect("a list").iter().map(one).collect()
}

#[test]
fn an_alias_is_another_name_of_a_key() {
    let world = World::new();
    let (one, two) = (make(&world), make(&world));
    let alias = |key: &str| json!({"AliasName": "alias/app/x", "TargetKeyId": key});
    world.ok("kms:CreateAlias", alias(&one));
    let arn = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:alias/app/x");
    for named in ["alias/app/x", &arn] {
        assert_eq!(world.ok("kms:DescribeKey", json!({"KeyId": named}))["KeyMetadata"]["KeyId"], *one);
    }
    assert_eq!(
        world.refused("kms:CreateAlias", alias(&two)),
        format!("AlreadyExistsException: An alias with the name {arn} already exists")
    );
    let blob = world.ok("kms:Encrypt", json!({"KeyId": "alias/app/x", "Plaintext": "eA=="}));
    world.ok("kms:UpdateAlias", alias(&two));
    assert_eq!(names(&world, json!({"KeyId": two})), [("alias/app/x".to_owned(), Some(two.clone()))]);
    assert!(names(&world, json!({"KeyId": one})).is_empty());
    // What was encrypted stays under the key that did it.
    world.ok("kms:Decrypt", json!({"CiphertextBlob": blob["CiphertextBlob"], "KeyId": one}));
    let wrong = json!({"CiphertextBlob": blob["CiphertextBlob"], "KeyId": "alias/app/x"});
    assert!(world.refused("kms:Decrypt", wrong).starts_with("IncorrectKeyException: "));
    world.ok("kms:DeleteAlias", json!({"AliasName": "alias/app/x"}));
    assert!(
        world
            .refused("kms:DeleteAlias", json!({"AliasName": "alias/app/x"}))
            .starts_with("NotFoundException: Alias ")
    );
    assert!(world.refused("kms:UpdateAlias", alias(&one)).starts_with("NotFoundException: Alias "));
    for bad in ["x", "alias/"] {
        let body = json!({"AliasName": bad, "TargetKeyId": one});
        assert!(
            world.refused("kms:CreateAlias", body).starts_with("ValidationException: Alias must start"),
            "{bad}"
        );
    }
    let reserved = json!({"AliasName": "alias/aws/x", "TargetKeyId": one});
    assert!(world.refused("kms:CreateAlias", reserved).starts_with("InvalidAliasNameException: "));
}

#[test]
fn the_keys_of_services_are_there_when_they_are_looked_at_or_used() {
    let world = World::new();
    let all = || names(&world, json!({}));
    let services = ["alias/aws/ecr", "alias/aws/secretsmanager", "alias/aws/ssm"];
    assert_eq!(all().iter().map(|(name, _)| &**name).collect::<Vec<_>>(), services);
    assert!(all().iter().all(|(_, key)| key.is_none()));
    let shown = world.ok("kms:DescribeKey", json!({"KeyId": "alias/aws/ssm"}));
    assert_eq!(shown["KeyMetadata"]["KeyManager"], "AWS");
    assert_eq!(world.ok("kms:DescribeKey", json!({"KeyId": "alias/aws/ssm"})), shown);
    world.ok("secretsmanager:CreateSecret", json!({"Name": "s", "SecretString": "x"}));
    let made: Vec<bool> = all().iter().map(|(_, key)| key.is_some()).collect();
    assert_eq!(made, [false, true, true]);
    // Nobody changes them.
    for action in ["DisableKey", "ScheduleKeyDeletion", "EnableKeyRotation"] {
        let told = world.refused(&format!("kms:{action}"), json!({"KeyId": "alias/aws/ssm"}));
        assert!(told.starts_with("ValidationException: "), "{told}");
    }
    assert!(
        world
            .refused("kms:DeleteAlias", json!({"AliasName": "alias/aws/ssm"}))
            .starts_with("ValidationException: ")
    );
    assert!(
        world
            .refused("kms:DescribeKey", json!({"KeyId": "alias/aws/lambda"}))
            .starts_with("NotFoundException: ")
    );
}
