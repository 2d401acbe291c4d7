use longshore_shapes_ecs::Operation::*;
use serde_json::{Value, json};

use crate::support::World;

fn with_instance() -> (World, String) {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    let arn = world.machine("c", "t-1");
    (world, arn)
}

#[test]
fn attributes_are_put_listed_and_deleted() {
    let (world, arn) = with_instance();
    let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
    let put = json!({"cluster": "c", "attributes": [
        {"name": "rack", "value": "7", "targetType": "container-instance", "targetId": id}, {"name": "bare", "targetId": arn}
    ]});
    let full = |name: &str, value: Option<&str>| {
        let mut attribute = json!({"name": name, "targetType": "container-instance", "targetId": arn});
        if let Some(value) = value {
            attribute["value"] = json!(value);
        }
        attribute
    };
    let both = json!([full("rack", Some("7")), full("bare", None)]);
    assert_eq!(world.ok(PutAttributes, put), json!({"attributes": both}));
    let replaced = json!({"cluster": "c", "attributes": [{"name": "rack", "value": "8", "targetId": id}]});
    world.ok(PutAttributes, replaced);
    let list = |mut request: Value| {
        request["cluster"] = json!("c");
        request["targetType"] = json!("container-instance");
        world.ok(ListAttributes, request)["attributes"].clone()
    };
    assert_eq!(list(json!({"attributeName": "rack"})), json!([full("rack", Some("8"))]));
    assert_eq!(list(json!({"attributeName": "rack", "attributeValue": "7"})), json!([]));
    assert_eq!(list(json!({"attributeName": "ecs.os-type"})), json!([full("ecs.os-type", Some("linux"))]));
    let all = list(json!({}));
    assert_eq!(all.as_array().map(Vec::len), Some(6), "{all}");
    let (mut seen, mut request) =
        (Vec::new(), json!({"cluster": "c", "targetType": "container-instance", "maxResults": 4}));
    loop {
        let page = world.ok(ListAttributes, request.clone());
        seen.extend(page["attributes"].as_array().expect("a list").clone());
        match page.get("nextToken") {
            Some(token) => request["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(Value::Array(seen), all);
    let delete =
        |attribute: Value| world.ok(DeleteAttributes, json!({"cluster": "c", "attributes": [attribute]}));
    assert_eq!(delete(json!({"name": "rack", "value": "7", "targetId": id}))["attributes"], json!([]));
    assert_eq!(
        delete(json!({"name": "rack", "targetId": id}))["attributes"],
        json!([full("rack", Some("8"))])
    );
    assert_eq!(delete(json!({"name": "rack", "targetId": id}))["attributes"], json!([]));
}

#[test]
fn bad_requests_are_refused() {
    let (world, arn) = with_instance();
    let nine: Vec<Value> = (0..9).map(|n| json!({"name": format!("a{n}"), "targetId": arn})).collect();
    world.ok(PutAttributes, json!({"cluster": "c", "attributes": nine}));
    let put = |attribute: Value| json!({"cluster": "c", "attributes": [attribute]});
    let name = "InvalidParameterException: An attribute name must have 1 to 128 letters, digits, hyphens, underscores, slashes, backslashes and periods.";
    let value = "InvalidParameterException: An attribute value must have 1 to 128 letters, digits, hyphens, underscores, slashes, backslashes, periods, at signs, colons and inner spaces.";
    let eleven: Vec<Value> = (0..11).map(|n| json!({"name": format!("b{n}"), "targetId": arn})).collect();
    for (operation, body, error) in [
        (
            PutAttributes,
            put(json!({"name": "one-more", "targetId": arn})),
            "AttributeLimitExceededException: A container instance can have at most 10 custom attributes.",
        ),
        (PutAttributes, put(json!({"name": "a b", "targetId": arn})), name),
        (
            PutAttributes,
            put(json!({"name": "", "targetId": arn})),
            "InvalidParameterException: attributes[0].name can not be blank.",
        ),
        (PutAttributes, put(json!({"name": "a", "value": " x", "targetId": arn})), value),
        (PutAttributes, put(json!({"name": "a", "value": "x".repeat(129), "targetId": arn})), value),
        (
            PutAttributes,
            put(json!({"name": "ecs.os-type", "value": "moon", "targetId": arn})),
            "InvalidParameterException: The attribute name ecs.os-type is reserved.",
        ),
        (
            PutAttributes,
            put(json!({"name": "longshore.task-network", "value": "10.0.0.0/8", "targetId": arn})),
            "InvalidParameterException: The attribute name longshore.task-network is reserved.",
        ),
        (
            DeleteAttributes,
            put(json!({"name": "longshore.task-network", "targetId": arn})),
            "InvalidParameterException: The attribute name longshore.task-network is reserved.",
        ),
        (PutAttributes, put(json!({"name": "a"})), "InvalidParameterException: targetId can not be blank."),
        (
            PutAttributes,
            put(json!({"name": "a", "targetId": "nope"})),
            "TargetNotFoundException: Could not find container instance nope.",
        ),
        (
            DeleteAttributes,
            put(json!({"name": "a", "targetId": "nope"})),
            "TargetNotFoundException: Could not find container instance nope.",
        ),
        (
            PutAttributes,
            put(json!({"name": "a", "targetId": arn, "targetType": "task"})),
            "InvalidParameterException: target type should be one of [container-instance]",
        ),
        (
            PutAttributes,
            json!({"cluster": "c", "attributes": []}),
            "InvalidParameterException: Attributes cannot be empty.",
        ),
        (
            PutAttributes,
            json!({"cluster": "c", "attributes": eleven}),
            "InvalidParameterException: attributes can have at most 10 items.",
        ),
        (
            PutAttributes,
            put(json!({"value": "x", "targetId": arn})),
            "InvalidParameterException: attributes[0].name can not be blank.",
        ),
        (ListAttributes, json!({"cluster": "c"}), "InvalidParameterException: targetType can not be blank."),
        (
            ListAttributes,
            json!({"cluster": "c", "targetType": "container-instance", "attributeValue": "x"}),
            "InvalidParameterException: attributeValue needs an attributeName.",
        ),
        (
            ListAttributes,
            json!({"cluster": "nope", "targetType": "container-instance"}),
            "ClusterNotFoundException: Cluster not found.",
        ),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
    let half = json!({"cluster": "c", "attributes": [{"name": "a0", "value": "x", "targetId": arn}, {"name": "a", "targetId": "nope"}]});
    world.refused(PutAttributes, half);
}
