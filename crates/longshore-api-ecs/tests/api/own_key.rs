//! What an instance may do with its own key (decision 50), asked of the guard that ships.

use std::sync::Arc;

use longshore_api::PrincipalKind;
use longshore_api_ecs::{Caller, Settings};
use longshore_base::{ClusterName, InstanceId};
use longshore_guard::{Enforcement, PolicyGuard};
use longshore_shapes_ecs::Operation::{self, *};
use longshore_tables_ecs::record::InstanceKey;
use longshore_tables_ecs::{ClusterKey, EcsState};
use longshore_telemetry::Metrics;
use serde_json::{Value, json};

use crate::support::{World, attribute, caller, registration, text};

const ACCOUNT: &str = crate::support::ACCOUNT;

/// A machine that has joined the cluster `c`, and has not registered yet.
fn join(world: &World, bits: u128) -> Caller {
    let id = InstanceId::from_bits(bits);
    let scope = caller(ACCOUNT).scope;
    let at = ClusterKey::new(scope.clone(), ClusterName::parse("c").expect("a name"));
    let arn = world.arn(&format!("container-instance/c/{id}"));
    world.act(|tx| {
        let key = InstanceKey {
            instance: id,
            current: format!("LSCI{bits:016}").into(),
            previous: None,
            token: "jt-1".into(),
            joined_at: tx.now,
            renewed_at: tx.now,
            attributes: [("rack".into(), "r1".into())].into(),
        };
        tx.put::<InstanceKey>(at.instance(id), key);
    });
    Caller { kind: PrincipalKind::Instance, id: Some(id.to_string().into()), ..Caller::new(scope, arn) }
}

fn world() -> World {
    // What is only reported for others is enforced for instances.
    let guard = PolicyGuard::new(Enforcement::Report, Metrics::new());
    let world = World::guarded(Settings::default(), Arc::new(guard));
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    world.ok(CreateCluster, json!({"clusterName": "d"}));
    world
}

#[test]
fn a_key_is_of_one_instance_however_often_it_registers() {
    let mut world = world();
    let own = join(&world, 7);
    let arn = own.principal.to_string();
    world.be(own);
    for token in ["a", "a", "b"] {
        let answer = world.ok(RegisterContainerInstance, registration("c", token));
        let instance = &answer["containerInstance"];
        assert_eq!(instance["containerInstanceArn"], arn);
        assert_eq!(attribute(instance, "rack").map(|own| own["value"].clone()), Some("r1".into()));
    }
    let mut named = registration("c", "c");
    named["containerInstanceArn"] = arn.clone().into();
    named["tags"] = json!([{"key": "k", "value": "v"}]);
    assert_eq!(world.ok(RegisterContainerInstance, named)["containerInstance"]["containerInstanceArn"], arn);
    let count = world.db.peek(|state| {
        let at = ClusterKey::new(caller(ACCOUNT).scope, ClusterName::parse("c").expect("a name"));
        state.ecs().cluster(&at).map(|tables| tables.instances().len())
    });
    assert_eq!(count, Some(1));
}

#[test]
fn an_instance_acts_for_itself_alone() {
    let mut world = world();
    let (own, other) = (join(&world, 7), join(&world, 8));
    let (own_arn, other_arn) = (own.principal.to_string(), other.principal.to_string());
    for machine in [&own, &other] {
        world.be(machine.clone());
        world.ok(RegisterContainerInstance, registration("c", "t"));
    }
    world.be(caller(ACCOUNT));
    let container = json!({"name": "a", "image": "i", "memory": 10});
    world.ok(RegisterTaskDefinition, json!({"family": "f", "containerDefinitions": [container]}));
    let task = |instance: &str| {
        world.connect(instance);
        let started = json!({"cluster": "c", "taskDefinition": "f", "containerInstances": [instance]});
        text(&world.ok(StartTask, started)["tasks"][0]["taskArn"])
    };
    let (own_task, other_task) = (task(&own_arn), task(&other_arn));
    let nowhere = world.arn("task/c/00000000000000000000000000000001");
    world.be(own);
    let totals = registration("c", "t");
    let with = |name: &str, value: &str| {
        let mut body = totals.clone();
        body[name] = value.into();
        body
    };
    let allowed: Vec<(Operation, Value)> = vec![
        (DiscoverPollEndpoint, json!({"cluster": "c", "containerInstance": own_arn})),
        (DiscoverPollEndpoint, json!({"cluster": "c"})),
        (SubmitTaskStateChange, json!({"cluster": "c", "task": own_task, "status": "RUNNING"})),
        (
            SubmitContainerStateChange,
            json!({"cluster": "c", "task": own_task, "containerName": "a", "status": "RUNNING"}),
        ),
        (
            UpdateContainerInstancesState,
            json!({"cluster": "c", "containerInstances": [own_arn], "status": "DRAINING"}),
        ),
        (ListTagsForResource, json!({"resourceArn": own_task})),
        (ListTagsForResource, json!({"resourceArn": own_arn})),
        (GetTaskProtection, json!({"cluster": "c", "tasks": [own_task]})),
    ];
    for (operation, body) in allowed {
        world.ok(operation, body);
    }
    // Not denied: it is not there, which an agent has to hear or it would repeat it for ever.
    let said =
        world.refused(SubmitTaskStateChange, json!({"cluster": "c", "task": nowhere, "status": "STOPPED"}));
    assert!(said.starts_with("InvalidParameterException"), "{said}");
    let denied: Vec<(Operation, Value)> = vec![
        (DiscoverPollEndpoint, json!({"cluster": "c", "containerInstance": other_arn})),
        (SubmitTaskStateChange, json!({"cluster": "c", "task": other_task, "status": "STOPPED"})),
        (
            SubmitContainerStateChange,
            json!({"cluster": "c", "task": other_task, "containerName": "a", "status": "STOPPED"}),
        ),
        (
            UpdateContainerInstancesState,
            json!({"cluster": "c", "containerInstances": [other_arn], "status": "DRAINING"}),
        ),
        (
            UpdateContainerInstancesState,
            json!({"cluster": "c", "containerInstances": [own_arn, other_arn], "status": "ACTIVE"}),
        ),
        (ListTagsForResource, json!({"resourceArn": other_task})),
        (ListTagsForResource, json!({"resourceArn": other_arn})),
        (GetTaskProtection, json!({"cluster": "c", "tasks": [other_task]})),
        (GetTaskProtection, json!({"cluster": "c", "tasks": [own_task, other_task]})),
        (UpdateTaskProtection, json!({"cluster": "c", "tasks": [other_task], "protectionEnabled": true})),
        (RegisterContainerInstance, with("containerInstanceArn", &other_arn)),
        (RegisterContainerInstance, registration("d", "t")),
        (DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": own_arn})),
        (DescribeContainerInstances, json!({"cluster": "c", "containerInstances": [own_arn]})),
        (DescribeTasks, json!({"cluster": "c", "tasks": [own_task]})),
        (StopTask, json!({"cluster": "c", "task": own_task})),
        (TagResource, json!({"resourceArn": own_arn, "tags": [{"key": "k", "value": "v"}]})),
        (PutAttributes, json!({"cluster": "c", "attributes": [{"name": "n", "targetId": own_arn}]})),
        (RunTask, json!({"cluster": "c", "taskDefinition": "f"})),
        (ListClusters, json!({})),
        (CreateCluster, json!({"clusterName": "e"})),
    ];
    for (operation, body) in denied {
        let said = world.refused(operation, body.clone());
        assert!(said.starts_with("AccessDeniedException"), "{operation} {body}: {said}");
        let text = format!("User: {own_arn} is not authorized to perform: ecs:");
        assert!(said.contains(&text) && said.contains(" because no identity-based policy allows "), "{said}");
    }
}

#[test]
fn a_deregistered_instance_hears_that_it_is_and_nothing_else() {
    let mut world = world();
    let own = join(&world, 7);
    let arn = own.principal.to_string();
    world.be(own.clone());
    world.ok(RegisterContainerInstance, registration("c", "t"));
    world.be(caller(ACCOUNT));
    world.ok(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": arn, "force": true}));
    world.be(own);
    for token in ["t", "u"] {
        let said = world.refused(RegisterContainerInstance, registration("c", token));
        assert!(said.starts_with("ClientException") && said.contains("inactive"), "{said}");
    }
    let said = world.refused(DiscoverPollEndpoint, json!({"cluster": "c", "containerInstance": arn}));
    assert!(said.starts_with("AccessDeniedException"), "{said}");
}
