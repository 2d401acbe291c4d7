//! Whatever is thrown at the API: an answer in its form, and a state that agrees with itself.

use longshore_shapes_ecs::Operation;
use longshore_shapes_ecs::Operation::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::support::{World, registration};

const WRITERS: [Operation; 18] = [
    CreateCluster,
    DeleteCluster,
    UpdateCluster,
    UpdateClusterSettings,
    PutClusterCapacityProviders,
    CreateCapacityProvider,
    UpdateCapacityProvider,
    DeleteCapacityProvider,
    RegisterTaskDefinition,
    DeregisterTaskDefinition,
    DeleteTaskDefinitions,
    RegisterContainerInstance,
    DeregisterContainerInstance,
    UpdateContainerInstancesState,
    PutAttributes,
    DeleteAttributes,
    TagResource,
    UntagResource,
];

/// Values that now and then are what a member wants.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        select(vec![
            "c",
            "d",
            "default",
            "a b",
            "f",
            "f:1",
            "f:2",
            "mine",
            "FARGATE",
            "ACTIVE",
            "DRAINING",
            "enabled",
            "arn:aws:ecs:eu-west-1:123456789012:cluster/c",
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/f:1",
            "arn:aws:ecs:eu-west-1:000000000000:cluster/c",
            "arn:",
            "",
            "ecs.x",
            "aws:x",
            "\u{0}",
        ])
        .prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(json!([])),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![vec(inner.clone(), 0..3).prop_map(Value::Array), members(inner).prop_map(Value::Object)]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = select(vec![
        "cluster",
        "clusterName",
        "name",
        "value",
        "tags",
        "key",
        "settings",
        "capacityProviders",
        "capacityProvider",
        "defaultCapacityProviderStrategy",
        "weight",
        "base",
        "autoScalingGroupProvider",
        "autoScalingGroupArn",
        "managedScaling",
        "family",
        "containerDefinitions",
        "image",
        "memory",
        "taskDefinition",
        "taskDefinitions",
        "totalResources",
        "integerValue",
        "attributes",
        "targetId",
        "containerInstance",
        "containerInstances",
        "containerInstanceArn",
        "status",
        "force",
        "resourceArn",
        "tagKeys",
        "clientToken",
    ]);
    vec((name.prop_map(str::to_owned), value), 0..6).prop_map(|members| members.into_iter().collect())
}

/// A request that nearly always succeeds, to have something to spoil.
fn sound() -> impl Strategy<Value = (Operation, Value)> {
    let container = json!({"name": "a", "image": "i", "memory": 10});
    let group = json!({"autoScalingGroupArn": "asg"});
    select(vec![
        (CreateCluster, json!({"clusterName": "c"})),
        (CreateCluster, json!({"clusterName": "d", "capacityProviders": ["mine"]})),
        (RegisterContainerInstance, registration("c", "t-1")),
        (RegisterContainerInstance, registration("c", "t-2")),
        (RegisterTaskDefinition, json!({"family": "f", "containerDefinitions": [container]})),
        (CreateCapacityProvider, json!({"name": "mine", "autoScalingGroupProvider": group})),
        (DeregisterTaskDefinition, json!({"taskDefinition": "f:1"})),
        (DeleteCluster, json!({"cluster": "d"})),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_call_is_done_or_not_done(calls in vec(prop_oneof![
        3 => sound(),
        5 => (select(WRITERS.to_vec()), members(value()).prop_map(Value::Object)),
    ], 1..25)) {
        let world = World::new();
        for (operation, body) in calls {
            let before = world.records();
            let status = world.reply(operation, &body).status;
            prop_assert!(status < 500, "{operation} {body} is answered {status}");
            if status != 200 {
                prop_assert!(world.records() == before, "{operation} {body} failed and yet changed something");
            }
            prop_assert_eq!(world.db.peek(|state| state.check()), Vec::<String>::new());
        }
    }
}
