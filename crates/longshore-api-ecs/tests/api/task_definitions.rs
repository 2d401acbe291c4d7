use std::time::Duration;

use longshore_shapes_ecs::Operation::*;
use serde_json::{Value, json};

use crate::support::World;

fn web() -> Value {
    json!({"family": "web", "containerDefinitions": [{
        "name": "tomcat", "image": "tomcat", "memory": 50, "cpu": 102,
        "portMappings": [{"containerPort": 8080, "hostPort": 8080}]
    }]})
}

#[test]
fn w6_register_the_bare_definition() {
    let world = World::new();
    let output = world.ok(RegisterTaskDefinition, web());
    assert_eq!(output.get("tags"), None);
    let definition = &output["taskDefinition"];
    for (member, value) in [
        ("taskDefinitionArn", json!(world.arn("task-definition/web:1"))),
        ("family", json!("web")),
        ("revision", json!(1)),
        ("status", json!("ACTIVE")),
        ("volumes", json!([])),
        ("placementConstraints", json!([])),
        ("registeredAt", json!(1_700_000_000.5)),
        ("registeredBy", json!("arn:aws:iam::123456789012:user/tester")),
    ] {
        assert_eq!(definition[member], value, "{member}");
    }
    assert_eq!(definition.get("networkMode"), None);
    assert!(definition["compatibilities"].as_array().is_some_and(|list| list.contains(&json!("EC2"))));
    let container = &definition["containerDefinitions"][0];
    for (member, value) in [
        ("essential", json!(true)),
        ("environment", json!([])),
        ("mountPoints", json!([])),
        ("volumesFrom", json!([])),
        ("cpu", json!(102)),
        ("memory", json!(50)),
        ("portMappings", json!([{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}])),
    ] {
        assert_eq!(container[member], value, "{member}");
    }
    let described = world.ok(DescribeTaskDefinition, json!({"taskDefinition": "web"}));
    assert_eq!(described["taskDefinition"], *definition, "what was registered is what is described");
}

#[test]
fn w7_register_again() {
    let world = World::new();
    world.ok(RegisterTaskDefinition, web());
    let again = world.ok(RegisterTaskDefinition, web());
    assert_eq!(again["taskDefinition"]["revision"], 2);
    let (one, two) = (world.arn("task-definition/web:1"), world.arn("task-definition/web:2"));
    assert_eq!(world.ok(ListTaskDefinitionFamilies, json!({})), json!({"families": ["web"]}));
    assert_eq!(world.ok(ListTaskDefinitions, json!({}))["taskDefinitionArns"], json!([one, two]));
    assert_eq!(
        world.ok(ListTaskDefinitions, json!({"sort": "DESC"}))["taskDefinitionArns"],
        json!([two, one])
    );
    for (named, revision) in [("web", 2), ("web:1", 1), (one.as_str(), 1), (two.as_str(), 2)] {
        let described = world.ok(DescribeTaskDefinition, json!({"taskDefinition": named}));
        assert_eq!(described["taskDefinition"]["revision"], revision, "{named}");
    }
}

#[test]
fn w8_deregister() {
    let world = World::new();
    world.ok(RegisterTaskDefinition, web());
    world.ok(RegisterTaskDefinition, web());
    world.pass(Duration::from_secs(1));
    let gone =
        world.ok(DeregisterTaskDefinition, json!({"taskDefinition": "web:2"}))["taskDefinition"].clone();
    assert_eq!((&gone["status"], &gone["deregisteredAt"]), (&json!("INACTIVE"), &json!(1_700_000_001.5)));
    assert_eq!(gone["containerDefinitions"][0]["name"], "tomcat");
    let list = |request: Value| world.ok(ListTaskDefinitions, request)["taskDefinitionArns"].clone();
    assert_eq!(list(json!({})), json!([world.arn("task-definition/web:1")]));
    assert_eq!(list(json!({"status": "INACTIVE"})), json!([world.arn("task-definition/web:2")]));
    let revision = |named: &str| {
        let described = world.ok(DescribeTaskDefinition, json!({"taskDefinition": named}));
        (described["taskDefinition"]["revision"].clone(), described["taskDefinition"]["status"].clone())
    };
    assert_eq!(revision("web"), (json!(1), json!("ACTIVE")));
    assert_eq!(revision("web:2"), (json!(2), json!("INACTIVE")));
    world.pass(Duration::from_secs(9));
    let again = world.ok(DeregisterTaskDefinition, json!({"taskDefinition": "web:2"}));
    assert_eq!(again["taskDefinition"], gone, "once more changes nothing");
    assert_eq!(world.ok(RegisterTaskDefinition, web())["taskDefinition"]["revision"], 3);
    world.ok(DeregisterTaskDefinition, json!({"taskDefinition": "web:1"}));
    world.ok(DeregisterTaskDefinition, json!({"taskDefinition": "web:3"}));
    assert_eq!(
        world.refused(DescribeTaskDefinition, json!({"taskDefinition": "web"})),
        "ClientException: Unable to describe task definition."
    );
    let families =
        |status: &str| world.ok(ListTaskDefinitionFamilies, json!({"status": status}))["families"].clone();
    assert_eq!(
        (families("ACTIVE"), families("INACTIVE"), families("ALL")),
        (json!([]), json!(["web"]), json!(["web"]))
    );
}

#[test]
fn deletion_is_asked_for_and_then_happens() {
    let world = World::new();
    for _ in 0..3 {
        world.ok(RegisterTaskDefinition, web());
    }
    world.ok(DeregisterTaskDefinition, json!({"taskDefinition": "web:3"}));
    let output = world.ok(
        DeleteTaskDefinitions,
        json!({"taskDefinitions": ["web:3", "web:1", "web:9", "web", "web:x", world.arn("task-definition/web:3")]}),
    );
    let deleted = output["taskDefinitions"].as_array().expect("a list");
    assert_eq!(deleted.len(), 2, "asking twice is answered twice");
    assert_eq!(deleted[0]["status"], "DELETE_IN_PROGRESS");
    assert_eq!(deleted[0]["deleteRequestedAt"], 1_700_000_000.5);
    let reasons: Vec<(&str, &str)> = output["failures"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|failure| (failure["arn"].as_str().unwrap_or(""), failure["reason"].as_str().unwrap_or("")))
        .collect();
    let invalid =
        "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.";
    assert_eq!(
        reasons,
        [
            (
                "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1",
                "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
            ),
            (
                "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:9",
                "The specified task definition does not exist. Specify a valid account, family, revision and try again."
            ),
            ("arn:aws:ecs:eu-west-1:123456789012:task-definition/web", invalid),
            ("arn:aws:ecs:eu-west-1:123456789012:task-definition/web:x", invalid),
        ]
    );
    let described = world.ok(DescribeTaskDefinition, json!({"taskDefinition": "web:3"}));
    assert_eq!(described["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
    world.act(|tx| longshore_controllers::upkeep::sweep(tx, &longshore_controllers::Settings::default()));
    assert_eq!(
        world.refused(DescribeTaskDefinition, json!({"taskDefinition": "web:3"})),
        "ClientException: Unable to describe task definition."
    );
    assert_eq!(
        world.ok(RegisterTaskDefinition, web())["taskDefinition"]["revision"],
        4,
        "numbers are not reused"
    );
}

#[test]
fn lists_filter_by_family_and_come_in_pages() {
    let world = World::new();
    for family in ["web", "web-2", "api", "web", "web-2"] {
        let mut definition = web();
        definition["family"] = json!(family);
        world.ok(RegisterTaskDefinition, definition);
    }
    let families = world.ok(ListTaskDefinitionFamilies, json!({"familyPrefix": "web"}));
    assert_eq!(families["families"], json!(["web", "web-2"]));
    let of_web = world.ok(ListTaskDefinitions, json!({"familyPrefix": "web"}));
    assert_eq!(
        of_web["taskDefinitionArns"].as_array().map(Vec::len),
        Some(2),
        "the whole family, not a prefix"
    );
    for sort in ["ASC", "DESC"] {
        let all = world.ok(ListTaskDefinitions, json!({"sort": sort}))["taskDefinitionArns"].clone();
        let (mut seen, mut request) = (Vec::new(), json!({"maxResults": 2, "sort": sort}));
        loop {
            let page = world.ok(ListTaskDefinitions, request.clone());
            seen.extend(page["taskDefinitionArns"].as_array().expect("a list").clone());
            match page.get("nextToken") {
                Some(token) => request["nextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(Value::Array(seen), all, "{sort}");
        let first = world.ok(ListTaskDefinitions, json!({"maxResults": 1, "sort": sort}));
        assert_eq!(
            world.refused(ListTaskDefinitions, json!({"nextToken": first["nextToken"]})),
            "InvalidParameterException: Invalid token.",
            "a token belongs to its parameters"
        );
    }
}

#[test]
fn tags_stand_beside_the_definition() {
    let world = World::new();
    let mut definition = web();
    definition["tags"] = json!([{"key": "team", "value": "blue"}]);
    let output = world.ok(RegisterTaskDefinition, definition);
    assert_eq!(output["tags"], json!([{"key": "team", "value": "blue"}]));
    let plain = world.ok(DescribeTaskDefinition, json!({"taskDefinition": "web"}));
    assert_eq!((plain.get("tags"), plain["taskDefinition"].get("tags")), (None, None));
    let tagged = world.ok(DescribeTaskDefinition, json!({"taskDefinition": "web", "include": ["TAGS"]}));
    assert_eq!(tagged["tags"], output["tags"]);
}

#[test]
fn bad_requests_are_refused() {
    let world = World::new();
    world.ok(RegisterTaskDefinition, web());
    let eleven: Vec<Value> =
        (0..11).map(|n| json!({"name": format!("c{n}"), "image": "busybox", "memory": 8})).collect();
    let w16 = world.refused(RegisterTaskDefinition, json!({"family": "f", "containerDefinitions": eleven}));
    assert!(w16.starts_with("ClientException: "), "{w16}");
    let bad_family = world.refused(RegisterTaskDefinition, json!({"containerDefinitions": []}));
    assert_eq!(bad_family, "ClientException: Family should not be null or empty.");
    let references: Vec<String> = (1..=11).map(|n| format!("web:{n}")).collect();
    let unknown = "ClientException: Unable to describe task definition.";
    for (operation, body, error) in [
        (DescribeTaskDefinition, json!({"taskDefinition": "nothing"}), unknown),
        (DescribeTaskDefinition, json!({"taskDefinition": "web:7"}), unknown),
        (
            DescribeTaskDefinition,
            json!({"taskDefinition": "arn:aws:ecs:eu-west-1:000000000000:task-definition/web:1"}),
            unknown,
        ),
        (
            DescribeTaskDefinition,
            json!({"taskDefinition": "web:foo"}),
            "InvalidParameterException: Invalid revision number. Number: foo",
        ),
        (
            DescribeTaskDefinition,
            json!({"taskDefinition": "arn:aws:ecs:nowhere"}),
            "InvalidParameterException: The ARN provided is invalid.",
        ),
        (DescribeTaskDefinition, json!({}), "ClientException: taskDefinition can not be blank."),
        (DeregisterTaskDefinition, json!({"taskDefinition": "web"}), "ClientException: Revision is missing."),
        (
            DeregisterTaskDefinition,
            json!({"taskDefinition": "web:foo"}),
            "InvalidParameterException: Invalid revision number. Number: foo",
        ),
        (
            DeregisterTaskDefinition,
            json!({"taskDefinition": "web:7"}),
            "ClientException: The specified task definition does not exist.",
        ),
        (
            DeleteTaskDefinitions,
            json!({"taskDefinitions": []}),
            "InvalidParameterException: size of TaskDefinition references list must be greater than 0",
        ),
        (
            DeleteTaskDefinitions,
            json!({"taskDefinitions": references}),
            "InvalidParameterException: Size of TaskDefinition references list cannot exceed 10",
        ),
        (
            ListTaskDefinitions,
            json!({"status": "GONE"}),
            "InvalidParameterException: status should be one of [ACTIVE,INACTIVE,DELETE_IN_PROGRESS]",
        ),
        (
            ListTaskDefinitions,
            json!({"sort": "UP"}),
            "InvalidParameterException: sort should be one of [ASC,DESC]",
        ),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
}
