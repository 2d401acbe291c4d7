//! Lists in pages: opaque tokens, bound to their list and its caller.

use serde_json::{Value, json};

use crate::keys::make;
use crate::support::{OTHER, World, text};

/// All pages: how long each is, and the names of all.
fn pages(
    world: &World,
    action: &str,
    body: &Value,
    list: &str,
    name: &str,
    token: (&str, &str),
) -> (Vec<usize>, Vec<String>) {
    let (mut body, mut sizes, mut names) = (body.clone(), Vec::new(), Vec::new());
    loop {
        let page = world.ok(action, body.clone());
        let items = page[list].as_array().expect("a list");
        sizes.push(items.len());
        names.extend(items.iter().map(|item| text(item, name).to_owned()));
        match page[token.1].as_str() {
            Some(next) => body[token.0] = next.into(),
            None => return (sizes, names),
        }
    }
}

const NEXT: (&str, &str) = ("NextToken", "NextToken");
const MARKER: (&str, &str) = ("Marker", "NextMarker");

#[test]
fn thirty_five_parameters_come_in_pages_of_ten() {
    let world = World::new();
    let names: Vec<String> = (0..35).map(|n| format!("/app/{}/p{n:02}", n % 3)).collect();
    for name in &names {
        world.ok("ssm:PutParameter", json!({"Name": name, "Value": "v", "Type": "SecureString"}));
    }
    let body = json!({"Path": "/app", "Recursive": true, "WithDecryption": true});
    let (sizes, found) = pages(&world, "ssm:GetParametersByPath", &body, "Parameters", "Name", NEXT);
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!((sizes, found), (vec![10, 10, 10, 5], sorted.clone()));
    let (sizes, found) =
        pages(&world, "ssm:DescribeParameters", &json!({"MaxResults": 20}), "Parameters", "Name", NEXT);
    assert_eq!((sizes, found), (vec![20, 15], sorted));
    for n in 0..60 {
        world.ok("ssm:PutParameter", json!({"Name": names[0], "Value": n.to_string(), "Overwrite": true}));
    }
    let (sizes, _) =
        pages(&world, "ssm:GetParameterHistory", &json!({"Name": names[0]}), "Parameters", "Name", NEXT);
    assert_eq!(sizes, [50, 11]);
}

#[test]
fn secrets_come_in_pages_in_either_order() {
    let world = World::new();
    let names: Vec<String> = (0..25).map(|n| format!("s{n:02}")).collect();
    for name in &names {
        world.ok("secretsmanager:CreateSecret", json!({"Name": name, "SecretString": "x"}));
        world.millis(1);
    }
    let body = |order: &str, by: &str| json!({"MaxResults": 10, "SortOrder": order, "SortBy": by});
    let listed = |body: Value| pages(&world, "secretsmanager:ListSecrets", &body, "SecretList", "Name", NEXT);
    assert_eq!(listed(body("asc", "name")), (vec![10, 10, 5], names.clone()));
    let reversed: Vec<String> = names.iter().rev().cloned().collect();
    for by in ["name", "created-date", "last-changed-date"] {
        assert_eq!(listed(body("desc", by)), (vec![10, 10, 5], reversed.clone()), "{by}");
    }
    let filter = json!({"Filters": [{"Key": "name", "Values": ["s"]}], "MaxResults": 20});
    let (sizes, _) =
        pages(&world, "secretsmanager:BatchGetSecretValue", &filter, "SecretValues", "Name", NEXT);
    assert_eq!(sizes, [20, 5]);
    assert!(
        world
            .refused("secretsmanager:ListSecrets", json!({"MaxResults": 101}))
            .starts_with("ValidationException: ")
    );
}

#[test]
fn keys_and_aliases_come_in_pages() {
    let world = World::new();
    let mut ids: Vec<String> = (0..5).map(|_| make(&world)).collect();
    ids.sort();
    for (n, id) in ids.iter().enumerate() {
        world.ok("kms:CreateAlias", json!({"AliasName": format!("alias/{n}"), "TargetKeyId": id}));
    }
    let (sizes, found) = pages(&world, "kms:ListKeys", &json!({"Limit": 2}), "Keys", "KeyId", MARKER);
    assert_eq!((sizes, found), (vec![2, 2, 1], ids));
    let first = world.ok("kms:ListKeys", json!({"Limit": 2}));
    assert_eq!(first["Truncated"], true);
    let (sizes, _) = pages(&world, "kms:ListAliases", &json!({"Limit": 3}), "Aliases", "AliasName", MARKER);
    assert_eq!(sizes, [3, 3, 2], "those of the three services among them");
    assert_eq!(world.ok("kms:ListKeys", json!({})).get("NextMarker"), None);
}

#[test]
fn a_token_is_of_its_list_and_its_caller() {
    let mut world = World::new();
    for n in 0..3 {
        world.ok("secretsmanager:CreateSecret", json!({"Name": format!("s{n}")}));
        world.ok("ssm:PutParameter", json!({"Name": format!("p{n}"), "Value": "v", "Type": "String"}));
    }
    let token =
        text(&world.ok("secretsmanager:ListSecrets", json!({"MaxResults": 1})), "NextToken").to_owned();
    world.ok("secretsmanager:ListSecrets", json!({"MaxResults": 2, "NextToken": token}));
    let other = json!({"NextToken": token, "SortOrder": "desc"});
    assert!(world.refused("secretsmanager:ListSecrets", other).starts_with("InvalidNextTokenException: "));
    assert!(
        world
            .refused("ssm:DescribeParameters", json!({"NextToken": token}))
            .starts_with("InvalidNextToken: ")
    );
    assert!(
        world.refused("kms:ListKeys", json!({"Marker": "nonsense"})).starts_with("InvalidMarkerException: ")
    );
    world.act_as(OTHER);
    assert!(
        world
            .refused("secretsmanager:ListSecrets", json!({"NextToken": token}))
            .starts_with("InvalidNextTokenException: ")
    );
}
