use longshore_base::{ClusterName, InstanceId};
use longshore_shapes_ecs::Operation::*;
use longshore_tables_ecs::{ClusterKey, EcsTx};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, caller, text};

/// A world with one of each kind of thing that can carry tags, and their ARNs.
fn everything() -> (World, Vec<String>) {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    let instance = world.machine("c", "t-1");
    let container = json!({"name": "a", "image": "i", "memory": 10});
    world.ok(RegisterTaskDefinition, json!({"family": "f", "containerDefinitions": [container]}));
    let group = json!({"autoScalingGroupArn": "asg"});
    world.ok(CreateCapacityProvider, json!({"name": "mine", "autoScalingGroupProvider": group}));
    world.act(|tx| {
        let caller = caller(ACCOUNT);
        let at = ClusterKey::new(caller.scope, ClusterName::parse("c").expect("valid"));
        let id = InstanceId::parse(instance.rsplit('/').next().unwrap_or_default()).expect("an id");
        tx.set_connected(&at.instance(id), true);
    });
    let start = json!({"cluster": "c", "taskDefinition": "f", "containerInstances": [instance]});
    let task = text(&world.ok(StartTask, start)["tasks"][0]["taskArn"]);
    world.ok(
        CreateService,
        json!({"cluster": "c", "serviceName": "s", "taskDefinition": "f", "desiredCount": 0}),
    );
    let arns = vec![
        world.arn("cluster/c"),
        instance,
        world.arn("task-definition/f:1"),
        world.arn("capacity-provider/mine"),
        world.arn("service/c/s"),
        task,
    ];
    (world, arns)
}

#[test]
fn every_kind_of_thing_carries_tags() {
    let (world, arns) = everything();
    for arn in arns {
        let list = || world.ok(ListTagsForResource, json!({"resourceArn": arn}))["tags"].clone();
        assert_eq!(list(), json!([]), "{arn}");
        let tag = |tags: Value| world.ok(TagResource, json!({"resourceArn": arn, "tags": tags}));
        assert_eq!(tag(json!([{"key": "a", "value": "1"}, {"key": "b"}])), json!({}));
        tag(json!([{"key": "a", "value": "2"}]));
        assert_eq!(list(), json!([{"key": "a", "value": "2"}, {"key": "b", "value": ""}]), "{arn}");
        assert_eq!(world.ok(UntagResource, json!({"resourceArn": arn, "tagKeys": ["a", "zzz"]})), json!({}));
        assert_eq!(list(), json!([{"key": "b", "value": ""}]), "{arn}");
    }
}

#[test]
fn bad_requests_are_refused() {
    let (world, arns) = everything();
    let arn = |rest: &str| world.arn(rest);
    let tags = json!([{"key": "a", "value": "1"}]);
    let fifty: Vec<Value> = (0..50).map(|n| json!({"key": format!("k{n}"), "value": ""})).collect();
    world.ok(TagResource, json!({"resourceArn": arns[0], "tags": fifty}));
    let missing = "ResourceNotFoundException: The specified task definition is not found. Specify a valid ARN and try again.";
    let foreign = arns[2].replace("123456789012", "000000000000");
    let id = "0".repeat(32);
    for (operation, body, error) in [
        (
            TagResource,
            json!({"resourceArn": arns[0], "tags": tags}),
            "LimitExceededException: Tags cannot have more than 50 elements.",
        ),
        (
            TagResource,
            json!({"resourceArn": arns[1], "tags": [{"key": "a", "value": "!"}]}),
            "InvalidParameterException: The tag 'a' contains invalid characters. Use letters, digits, spaces and _ . : / = + - @.",
        ),
        (
            TagResource,
            json!({"resourceArn": arns[1], "tags": [{"key": "a"}, {"key": "a"}]}),
            "InvalidParameterException: Duplicate tag keys found: 'a'.",
        ),
        (TagResource, json!({"resourceArn": arns[1]}), "InvalidParameterException: tags can not be blank."),
        (
            TagResource,
            json!({"resourceArn": "c", "tags": tags}),
            "InvalidParameterException: The ARN provided is invalid.",
        ),
        (
            TagResource,
            json!({"resourceArn": arn("moon/c"), "tags": tags}),
            "InvalidParameterException: The ARN provided is invalid.",
        ),
        (
            TagResource,
            json!({"resourceArn": arn("cluster/nope"), "tags": tags}),
            "ClusterNotFoundException: Cluster not found.",
        ),
        (TagResource, json!({"resourceArn": arn("task-definition/f:2"), "tags": tags}), missing),
        (TagResource, json!({"resourceArn": foreign, "tags": tags}), missing),
        (
            TagResource,
            json!({"resourceArn": arn(&format!("task/c/{id}")), "tags": tags}),
            "ResourceNotFoundException: The specified task is not found. Specify a valid ARN and try again.",
        ),
        (
            TagResource,
            json!({"resourceArn": arn("service/web"), "tags": tags}),
            "InvalidParameterException: Long arn format must be used for tagging operations",
        ),
        (
            TagResource,
            json!({"resourceArn": arn("service/c/web"), "tags": tags}),
            "ResourceNotFoundException: The specified service is not found. Specify a valid ARN and try again.",
        ),
        (
            ListTagsForResource,
            json!({"resourceArn": arn("service/c/web")}),
            "InvalidParameterException: The specified service is not found. Specify a valid ARN and try again.",
        ),
        (
            ListTagsForResource,
            json!({"resourceArn": arn("cluster/nope")}),
            "ClusterNotFoundException: Cluster not found.",
        ),
        (
            UntagResource,
            json!({"resourceArn": arns[1], "tagKeys": ["aws:x"]}),
            "InvalidParameterException: The tag key 'aws:x' begins with the reserved prefix 'aws:'.",
        ),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
    let gone = json!({"cluster": "c", "containerInstance": arns[1], "force": true});
    world.ok(DeregisterContainerInstance, gone);
    assert_eq!(
        world.refused(TagResource, json!({"resourceArn": arns[1], "tags": tags})),
        "ResourceNotFoundException: The specified container instance is not found. Specify a valid ARN and try again."
    );
    assert_eq!(world.ok(ListTagsForResource, json!({"resourceArn": arns[1]})), json!({"tags": []}));
}
