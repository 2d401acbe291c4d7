//! What real clients send although nobody would write it by hand: empty texts where they mean nothing, and more.

use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

fn definition(more: Value) -> Value {
    let mut input = json!({
        "family": "web", "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
    });
    for (member, value) in more.as_object().expect("members") {
        input[member] = value.clone();
    }
    input
}

/// fabfuel's ecs-deploy and Ansible's ecs_taskdefinition send all of these.
#[test]
fn a_definition_with_empty_texts_is_the_one_without_them() {
    let world = World::new();
    let register = |more| world.ok("RegisterTaskDefinition", definition(more))["taskDefinition"].take();
    let mut plain = register(json!({}));
    let mut empty = register(json!({
        "taskRoleArn": "", "executionRoleArn": "", "networkMode": "", "pidMode": "", "ipcMode": "", "cpu": "",
        "memory": "", "runtimePlatform": {},
        "containerDefinitions": [{
            "name": "main", "image": "busybox", "memory": 10, "hostname": "", "user": "", "workingDirectory": "",
            "versionConsistency": "",
        }],
    }));
    for shape in [&mut plain, &mut empty] {
        for member in ["revision", "taskDefinitionArn"] {
            shape[member].take();
        }
    }
    assert_eq!(plain, empty);
    // A host volume without a path is one that the engine manages, on Fargate too; a hostname would be refused there.
    let fargate = json!({
        "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "volumes": [{"name": "scratch", "host": {"sourcePath": ""}}],
        "containerDefinitions": [{"name": "main", "image": "busybox", "hostname": ""}],
    });
    assert_eq!(register(fargate)["volumes"], json!([{"name": "scratch", "host": {}}]));
}

/// An environment variable or a tag may well be empty.
#[test]
fn an_empty_value_stays_where_it_is_one() {
    let world = World::new();
    let input = definition(json!({
        "tags": [{"key": "stage", "value": ""}],
        "containerDefinitions": [{
            "name": "main", "image": "busybox", "memory": 10, "environment": [{"name": "PROXY", "value": ""}],
            "systemControls": [{"namespace": "kernel.core_pattern", "value": ""}],
        }],
    }));
    let answer = world.ok("RegisterTaskDefinition", input);
    let container = &answer["taskDefinition"]["containerDefinitions"][0];
    assert_eq!(container["environment"], json!([{"name": "PROXY", "value": ""}]));
    assert_eq!(container["systemControls"], json!([{"namespace": "kernel.core_pattern", "value": ""}]));
    assert_eq!(answer["tags"], json!([{"key": "stage", "value": ""}]));
}

/// Ansible's ecs_service sends an empty role and token with every service, and loops over pages begin with an empty
/// token.
#[test]
fn empty_texts_are_absent_in_every_operation() {
    let (world, _) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    let service = json!({
        "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "role": "",
        "clientToken": "", "platformVersion": "", "launchType": "", "schedulingStrategy": "", "propagateTags": "",
        "availabilityZoneRebalancing": "",
        "placementStrategy": [{"type": "random", "field": ""}],
        "placementConstraints": [{"type": "distinctInstance", "expression": ""}],
    });
    let created = world.ok("CreateService", service.clone());
    assert_eq!(
        (&created["service"]["launchType"], &created["service"]["roleArn"]),
        (&json!("EC2"), &Value::Null)
    );
    let again = world.ok("CreateService", service);
    assert_eq!(again["service"]["serviceArn"], created["service"]["serviceArn"], "the same parameters");
    let updated = json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "", "platformVersion": ""});
    assert_eq!(
        world.ok("UpdateService", updated)["service"]["taskDefinition"],
        created["service"]["taskDefinition"]
    );

    let run = json!({
        "cluster": CLUSTER, "taskDefinition": "web", "clientToken": "", "startedBy": "", "group": "",
        "launchType": "", "platformVersion": "", "propagateTags": "", "referenceId": "",
        "overrides": {"taskRoleArn": "", "executionRoleArn": "", "cpu": "", "memory": ""},
    });
    let task = world.ok("RunTask", run)["tasks"][0].take();
    assert_eq!((&task["group"], &task["startedBy"]), (&json!("family:web"), &Value::Null));
    let list = json!({
        "cluster": CLUSTER, "nextToken": "", "family": "", "serviceName": "", "startedBy": "", "desiredStatus": "",
        "containerInstance": "", "launchType": "",
    });
    assert_eq!(world.ok("ListTasks", list)["taskArns"], json!([task["taskArn"]]));
    let stop = json!({"cluster": CLUSTER, "task": task["taskArn"], "reason": ""});
    assert_eq!(world.ok("StopTask", stop)["task"]["stoppedReason"], "Task stopped by user");
    world.ok("ListTaskDefinitions", json!({"familyPrefix": "", "status": "", "sort": "", "nextToken": ""}));

    // What has to be there is not there if it is empty.
    for (operation, input, text) in [
        ("StopTask", json!({"cluster": CLUSTER, "task": ""}), "task can not be blank."),
        ("DeleteService", json!({"cluster": CLUSTER, "service": ""}), "service can not be blank."),
    ] {
        world.check_refused(operation, input, "InvalidParameterException", text);
    }
    world.check();
}

/// fabfuel's ecs-deploy says `ECS Deploy` with every `ecs run`.
#[test]
fn started_by_is_what_the_client_says() {
    let (world, ids) = World::with_instances(1);
    world.register_plain("job", 10, 10);
    for by in ["ECS Deploy", "ci: build #7 (main)", "J\u{fc}rgen"] {
        let run = json!({"cluster": CLUSTER, "taskDefinition": "job", "startedBy": by});
        let start = json!({
            "cluster": CLUSTER, "taskDefinition": "job", "startedBy": by, "containerInstances": [ids[0].to_string()],
        });
        for (operation, input) in [("RunTask", run), ("StartTask", start)] {
            assert_eq!(world.ok(operation, input)["tasks"][0]["startedBy"], by);
        }
        let listed = world.ok("ListTasks", json!({"cluster": CLUSTER, "startedBy": by}));
        assert_eq!(listed["taskArns"].as_array().map(Vec::len), Some(2), "{by}");
    }
}

/// Names of members are case-sensitive, so that one in capitals is another one, which nobody knows.
#[test]
fn a_required_member_in_the_wrong_case_is_missing() {
    let world = World::new();
    for (operation, input, text) in [
        ("SubmitAttachmentStateChanges", json!({"ATTACHMENTS": []}), "attachments can not be blank."),
        ("StopTask", json!({"Task": "x"}), "task can not be blank."),
        ("DescribeTasks", json!({"TASKS": ["x"]}), "Tasks cannot be empty."),
        ("DescribeServices", json!({"Services": ["x"]}), "Services cannot be empty."),
        (
            "DescribeContainerInstances",
            json!({"containerinstances": ["x"]}),
            "Container Instances cannot be empty.",
        ),
        ("GetTaskProtection", json!({"cluster": CLUSTER, "Tasks": ["x"]}), "Tasks cannot be empty."),
    ] {
        let mut input = input;
        input["cluster"] = json!(CLUSTER);
        world.check_refused(operation, input, "InvalidParameterException", text);
    }
}
