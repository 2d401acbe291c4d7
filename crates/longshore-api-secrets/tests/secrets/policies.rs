//! The policies of secrets and keys: kept with ids, shown with ARNs (identity J4, J9, J11).

use std::collections::BTreeSet;

use longshore_domain::tags::Tags;
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::{Grants, Own, User};
use serde_json::{Value, json};

use crate::keys::make;
use crate::support::{ACCOUNT, World, account, text};

/// A user of an account.
pub fn user(world: &World, of: &str, name: &str, id: &str) {
    world.act(|tx| {
        let own =
            Own { id: id.into(), name: name.into(), path: "/".into(), created_at: tx.now, tags: Tags::new() };
        let user = User { own, grants: Grants::default(), groups: BTreeSet::new() };
        tx.put::<User>(OwnKey::new(account(of), &id.into()), user);
    });
}

fn policy(principal: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Action": "secretsmanager:*", "Resource": "*"}}]}}"#
    )
}

#[test]
fn a_secret_has_a_policy_that_names_who_is_there() {
    let world = World::new();
    world.ok("secretsmanager:CreateSecret", json!({"Name": "s"}));
    user(&world, ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ada");
    let put = |text: &str| json!({"SecretId": "s", "ResourcePolicy": text});
    world.ok("secretsmanager:PutResourcePolicy", put(&policy(&arn)));
    let shown = || world.ok("secretsmanager:GetResourcePolicy", json!({"SecretId": "s"}));
    assert_eq!(text(&shown(), "ResourcePolicy"), policy(&arn), "byte for byte");
    // Whoever has that name afterwards is not meant.
    world.act(|tx| tx.delete::<User>(OwnKey::new(account(ACCOUNT), &"AIDAADAADAADAADAADAAD".into())));
    user(&world, ACCOUNT, "ada", "AIDANEWNEWNEWNEWNEWNE");
    assert_eq!(text(&shown(), "ResourcePolicy"), policy("AIDAADAADAADAADAADAAD"));
    let unknown = world.refused(
        "secretsmanager:PutResourcePolicy",
        put(&policy(&format!("arn:aws:iam::{ACCOUNT}:user/eve"))),
    );
    assert_eq!(
        unknown,
        "MalformedPolicyDocumentException: This resource policy contains an unsupported principal."
    );
    assert!(
        world
            .refused("secretsmanager:PutResourcePolicy", put("{"))
            .starts_with("MalformedPolicyDocumentException: ")
    );
    let mut public = put(&policy("*"));
    public["BlockPublicPolicy"] = true.into();
    assert!(world.refused("secretsmanager:PutResourcePolicy", public).starts_with("PublicPolicyException: "));
    let valid =
        |text: &str| world.ok("secretsmanager:ValidateResourcePolicy", json!({"ResourcePolicy": text}));
    assert_eq!(valid(&policy(ACCOUNT))["PolicyValidationPassed"], true);
    assert_eq!(valid(&policy("*"))["ValidationErrors"][0]["CheckName"], "BLOCK_PUBLIC_POLICY");
    assert_eq!(valid("{")["PolicyValidationPassed"], false);
    world.ok("secretsmanager:DeleteResourcePolicy", json!({"SecretId": "s"}));
    assert!(shown().get("ResourcePolicy").is_none());
}

#[test]
fn a_key_policy_does_not_lock_out_who_puts_it() {
    let mut world = World::new();
    let id = make(&world);
    user(&world, ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    let statement = |principal: &str, action: &str| json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*"});
    let put = |statements: Value| json!({"KeyId": id, "Policy": json!({"Version": "2012-10-17", "Statement": statements}).to_string()});
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    let ada = format!("arn:aws:iam::{ACCOUNT}:user/ada");
    let locked = "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future.";
    assert_eq!(world.refused("kms:PutKeyPolicy", put(json!([statement(&ada, "kms:*")]))), locked);
    assert_eq!(world.refused("kms:PutKeyPolicy", put(json!([statement(&root, "kms:Encrypt")]))), locked);
    let both = json!([statement(&root, "kms:*"), statement(&ada, "kms:Encrypt")]);
    world.ok("kms:PutKeyPolicy", put(both.clone()));
    let shown = text(&world.ok("kms:GetKeyPolicy", json!({"KeyId": id, "PolicyName": "default"})), "Policy")
        .to_owned();
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON")["Statement"], both);
    let mut anyway = put(json!([statement(&ada, "kms:*")]));
    anyway["BypassPolicyLockoutSafetyCheck"] = true.into();
    world.ok("kms:PutKeyPolicy", anyway);
    world.act_as_user(ACCOUNT, "ada", "AIDAADAADAADAADAADAAD");
    world.ok("kms:PutKeyPolicy", put(json!([statement(&ada, "kms:*")])));
    let eve = world.refused(
        "kms:PutKeyPolicy",
        put(json!([statement(&format!("arn:aws:iam::{ACCOUNT}:user/eve"), "kms:*")])),
    );
    assert_eq!(
        eve,
        "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals."
    );
    let other = json!({"KeyId": id, "PolicyName": "other"});
    assert!(world.refused("kms:GetKeyPolicy", other).starts_with("NotFoundException: "));
    let own = json!({"Policy": json!({"Version": "2012-10-17", "Statement": [statement("999999999999", "kms:*")]}).to_string()});
    assert_eq!(world.refused("kms:CreateKey", own), locked);
}
