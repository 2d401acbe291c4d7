//! Refusals name what is missing, instead of room that is there.

use longshore_domain::StopCode;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World, anonymous};

const AWSLOGS: &str = "com.amazonaws.ecs.capability.logging-driver.awslogs";
/// Everything that a definition with the log driver awslogs requires besides.
const API: &str = "com.amazonaws.ecs.capability.docker-remote-api.1.19";

fn with_logs() -> Value {
    json!({
        "family": "logs",
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10, "logConfiguration": {
            "logDriver": "awslogs", "options": {"awslogs-group": "/x", "awslogs-region": "us-east-1"},
        }}],
    })
}

fn run(family: &str) -> Value {
    json!({"cluster": CLUSTER, "taskDefinition": family})
}

#[test]
fn an_attribute_that_no_instance_has_is_named_with_its_remedy() {
    let (world, ids) = World::with_instances(1);
    world.give_capabilities(ids[0], &[API]);
    world.register(with_logs());
    let detail = format!(
        "The instance does not offer the log driver awslogs (attribute {AWSLOGS}). Start the \
         instance's agent with LONGSHORE_AWSLOGS_DRIVER=json-file, which keeps the lines there, or register the task definition with another logDriver."
    );
    let failure = json!([{"arn": world.instance_arn(ids[0]), "reason": "ATTRIBUTE", "detail": detail}]);
    assert_eq!(world.ok("RunTask", run("logs"))["failures"], failure);
    let mut start = run("logs");
    start["containerInstances"] = json!([ids[0].to_string()]);
    assert_eq!(world.ok("StartTask", start)["failures"], failure);

    let mut service = run("logs");
    service["serviceName"] = json!("web");
    service["desiredCount"] = json!(1);
    world.ok("CreateService", service);
    world.reconcile();
    let events = world.events("web");
    assert_eq!(
        anonymous(&events[0]),
        format!(
            "(service web) was unable to place a task because no container instance met all of its requirements. The \
             closest matching (container-instance ID) is missing an attribute required by your task: the log driver \
             awslogs (attribute {AWSLOGS}). Start the instance's agent with LONGSHORE_AWSLOGS_DRIVER=json-file, which \
             keeps the lines there, or register the task definition with another logDriver. For more information, see the Troubleshooting \
             section of the Amazon ECS Developer Guide."
        )
    );
    world.check();
}

/// A task does not make room for one that lacks more than room.
#[test]
fn no_task_is_stopped_for_one_that_could_not_take_its_place() {
    let (world, _) = World::with_instances(1);
    world.register(json!({
        "family": "web", "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 600}],
    }));
    let mut logs = with_logs();
    logs["family"] = json!("web");
    logs["containerDefinitions"][0]["memory"] = json!(600);
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web:1", "desiredCount": 1,
            "deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 200},
        }),
    );
    world.register(logs);
    world.settle();
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "web:2"}));
    world.settle();
    assert_eq!(world.describe_service("web")["runningCount"], 1);
    world.check();
}

/// Agents announce that they can use secrets and roles, but nobody hands them out.
#[test]
fn what_is_not_built_is_registered_and_not_started() {
    let (world, ids) = World::with_instances(1);
    let role = "arn:aws:iam::123456789012:role/r";
    let names = [
        "com.amazonaws.ecs.capability.docker-remote-api.1.17",
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "ecs.capability.env-files.s3",
    ];
    world.give_capabilities(ids[0], &names);
    let file = json!([{"type": "s3", "value": "arn:aws:s3:::b/x.env"}]);
    let asking = [("environmentFiles", json!({"environmentFiles": file}), json!({}))];
    for (member, container, task) in asking {
        let mut definition = json!({
            "family": member, "executionRoleArn": role,
            "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
        });
        merge(&mut definition, &task);
        merge(&mut definition["containerDefinitions"][0], &container);
        world.ok("RegisterTaskDefinition", definition);
        for (operation, more) in
            [("RunTask", json!({})), ("StartTask", json!({"containerInstances": [ids[0].to_string()]}))]
        {
            let mut input = run(member);
            merge(&mut input, &more);
            let answer = world.ok(operation, input);
            assert_eq!(answer["tasks"], json!([]), "{operation} with {member}");
            let failure = &answer["failures"][0];
            assert_eq!(failure["reason"], "ATTRIBUTE");
            let detail = failure["detail"].as_str().expect("a detail");
            assert!(detail.contains(member) && detail.contains("does not support"), "{detail}");
        }
        let service = format!("of-{member}");
        let mut input = run(member);
        merge(&mut input, &json!({"serviceName": service, "desiredCount": 1}));
        world.ok("CreateService", input);
        world.reconcile();
        let events = world.events(&service);
        assert!(
            events[0].contains("was unable to place a task. Reason: Longshore does not support")
                && events[0].contains(member),
            "{events:?}"
        );
        world.ok("DeleteService", json!({"cluster": CLUSTER, "service": service, "force": true}));
    }

    // The same asked for by overrides; and what asks for nothing runs.
    world.ok(
        "RegisterTaskDefinition",
        json!({
            "family": "plain", "executionRoleArn": role,
            "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
        }),
    );
    let mut input = run("plain");
    input["overrides"] = json!({"containerOverrides": [{"name": "main", "environmentFiles": file}]});
    let answer = world.ok("RunTask", input);
    assert_eq!((&answer["tasks"], &answer["failures"][0]["reason"]), (&json!([]), &json!("ATTRIBUTE")));
    let mut input = run("plain");
    input["overrides"] =
        json!({"executionRoleArn": role, "containerOverrides": [{"name": "main", "environmentFiles": []}]});
    assert_eq!(world.ok("RunTask", input)["failures"], json!([]));
    world.check();
}

/// What the engine could not resolve explains the end of a task that never ran, and of no other.
#[test]
fn a_manifest_that_cannot_be_had_is_a_reason_to_stop() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 10, 10);
    let why = "CannotPullImageManifestError: no such host";
    for (exit_code, code, reason) in [
        (None, StopCode::TaskFailedToStart, why),
        (Some(0), StopCode::EssentialContainerExited, "Essential container in task exited"),
    ] {
        let task = world.ok("RunTask", run("job"))["tasks"][0].take();
        let mut container = json!({"containerName": "main", "status": "STOPPED", "reason": why});
        if let Some(exit_code) = exit_code {
            container["exitCode"] = json!(exit_code);
            container["runtimeId"] = json!("0123");
        }
        world.ok(
            "SubmitTaskStateChange",
            json!({"cluster": CLUSTER, "task": task["taskArn"], "status": "STOPPED", "containers": [container]}),
        );
        let task = world.describe_task(task["taskArn"].as_str().expect("an ARN"));
        assert_eq!((&task["stoppedReason"], &task["stopCode"]), (&json!(reason), &json!(code.as_str())));
    }
}

fn merge(into: &mut Value, more: &Value) {
    for (member, value) in more.as_object().expect("members") {
        into[member] = value.clone();
    }
}
