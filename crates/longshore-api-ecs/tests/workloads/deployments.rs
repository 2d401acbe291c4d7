//! Service deployments and revisions (ecs-services E4 and E6).

use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

fn list(world: &World, filter: Value) -> Vec<Value> {
    let mut input = json!({"cluster": CLUSTER, "service": "web"});
    for (member, value) in filter.as_object().expect("members") {
        input[member] = value.clone();
    }
    world.ok("ListServiceDeployments", input)["serviceDeployments"].as_array().expect("a list").clone()
}

fn describe(world: &World, arn: &Value) -> Value {
    let mut answer = world.ok("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}));
    assert_eq!(answer["failures"], json!([]));
    answer["serviceDeployments"][0].take()
}

/// A service `web` of one task whose first deployment is complete.
fn world_with_service(configuration: Value) -> World {
    let (world, _) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 1,
            "deploymentConfiguration": configuration,
        }),
    );
    world.settle();
    world
}

#[test]
fn a_deployment_and_its_revision_are_remembered() {
    let world = world_with_service(json!({}));
    let listed = list(&world, json!({}));
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["status"], "SUCCESSFUL");
    let arn = &listed[0]["serviceDeploymentArn"];
    assert_eq!(world.describe_service("web")["currentServiceDeployment"], *arn);
    let deployment = describe(&world, arn);
    let target = &deployment["targetServiceRevision"];
    assert_eq!(
        (&target["requestedTaskCount"], &target["runningTaskCount"], &target["pendingTaskCount"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(deployment["sourceServiceRevisions"], json!([]));
    assert_eq!(
        deployment["deploymentCircuitBreaker"],
        json!({"status": "DISABLED", "failureCount": 0, "threshold": 3})
    );
    assert_eq!(deployment["alarms"], json!({"status": "DISABLED"}));
    let revisions = world.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [target["arn"]]}));
    let revision = &revisions["serviceRevisions"][0];
    assert_eq!(revision["taskDefinition"], "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1");
    assert_eq!(revision["containerImages"], json!([{"containerName": "main", "image": "busybox"}]));
    assert_eq!(revision["launchType"], "EC2");
    assert!(deployment["finishedAt"].is_number());
}

#[test]
fn deployments_are_listed_newest_first() {
    let world = world_with_service(json!({}));
    for _ in 0..4 {
        world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "forceNewDeployment": true}));
        world.settle();
    }
    let all = list(&world, json!({}));
    assert_eq!(all.len(), 5);
    let times: Vec<f64> = all.iter().map(|item| item["createdAt"].as_f64().expect("a time")).collect();
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
    assert_eq!(list(&world, json!({"status": ["SUCCESSFUL"]})).len(), 5);
    assert_eq!(list(&world, json!({"status": ["STOPPED"]})).len(), 0);
    assert_eq!(list(&world, json!({"createdAt": {"after": times[1]}})).len(), 2);
    let page =
        world.ok("ListServiceDeployments", json!({"cluster": CLUSTER, "service": "web", "maxResults": 3}));
    let rest = json!({
        "cluster": CLUSTER, "service": "web", "maxResults": 3, "nextToken": page["nextToken"],
    });
    let rest = world.ok("ListServiceDeployments", rest);
    assert_eq!(rest["serviceDeployments"].as_array().map(Vec::len), Some(2));
    assert_eq!(rest["serviceDeployments"][1], all[4]);
}

#[test]
fn old_deployments_are_forgotten() {
    let world = world_with_service(json!({}));
    for _ in 0..60 {
        world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "forceNewDeployment": true}));
        world.reconcile();
        world.play_agents();
        world.advance(std::time::Duration::from_secs(1));
    }
    world.settle();
    assert_eq!(list(&world, json!({"maxResults": 100})).len(), 50);
    assert_eq!(world.describe_service("web")["deployments"].as_array().map(Vec::len), Some(1));
    world.check();
}

#[test]
fn a_stopped_deployment_is_rolled_back() {
    let world = world_with_service(json!({}));
    world.register_plain("web", 10, 20);
    let update = json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "web:2"});
    world.ok("UpdateService", update);
    world.reconcile();
    let arn = list(&world, json!({}))[0]["serviceDeploymentArn"].clone();
    let answer = world.ok("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    assert_eq!(answer["serviceDeploymentArn"], arn);
    assert_eq!(describe(&world, &arn)["status"], "ROLLBACK_REQUESTED");
    world.settle();
    let deployment = describe(&world, &arn);
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert!(deployment["rollback"]["serviceRevisionArn"].is_string(), "{deployment}");
    let service = world.describe_service("web");
    assert_eq!(service["taskDefinition"], "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1");
    assert_eq!(
        (&service["runningCount"], service["deployments"].as_array().map(Vec::len)),
        (&json!(1), Some(1))
    );
    let (name, text) = world.refused("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    assert_eq!(name, "ConflictException");
    assert_eq!(text, "The service deployment cannot be stopped because its status is ROLLBACK_SUCCESSFUL.");
    world.check();
}

#[test]
fn the_circuit_breaker_rolls_back() {
    let world = world_with_service(json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}}));
    world.register_plain("web", 10, 20);
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "web:2"}));
    let arn = list(&world, json!({}))[0]["serviceDeploymentArn"].clone();
    for _ in 0..20 {
        world.reconcile();
        for task in world.wanted().into_iter().filter(|task| task.origin.revision == 2) {
            let failed = json!([{"containerName": "main", "status": "STOPPED",
                "reason": "CannotPullContainerError: no such image"}]);
            world.ok("SubmitTaskStateChange", json!({
                "cluster": CLUSTER, "task": world.task_arn(&task), "status": "STOPPED", "containers": failed,
            }));
        }
        world.advance(std::time::Duration::from_secs(30));
    }
    world.settle();
    let service = world.describe_service("web");
    assert_eq!(service["taskDefinition"], "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1");
    assert_eq!(service["runningCount"], 1);
    let deployment = describe(&world, &arn);
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(deployment["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    let events = world.events("web");
    assert!(
        events.iter().any(|text| text.contains("deployment failed: tasks failed to start.")),
        "{events:?}"
    );
    world.check();
}

#[test]
fn what_is_not_there_is_missing() {
    let world = world_with_service(json!({}));
    let prefix = "arn:aws:ecs:eu-west-1:123456789012";
    let unknown = format!("{prefix}:service-deployment/{CLUSTER}/web/AAAAAAAAAAAAAAAAAAAAA");
    let answer = world.ok("DescribeServiceDeployments", json!({"serviceDeploymentArns": [unknown, "x"]}));
    assert_eq!(
        answer["failures"],
        json!([{"arn": unknown, "reason": "MISSING"}, {"arn": "x", "reason": "MISSING"}])
    );
    let revision = format!("{prefix}:service-revision/{CLUSTER}/web/1234567890123456789");
    let answer = world.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [revision]}));
    assert_eq!(answer["failures"], json!([{"arn": revision, "reason": "MISSING"}]));
    let stop = |arn: &str| world.refused("StopServiceDeployment", json!({"serviceDeploymentArn": arn})).0;
    assert_eq!(stop(&unknown), "ServiceDeploymentNotFoundException");
    assert_eq!(stop("x"), "InvalidParameterException");
}

/// Nobody else takes its tasks: then minimumHealthyPercent alone decides (ecs-engine D2).
#[test]
fn the_only_instance_is_drained_down_to_the_minimum() {
    for (desired, left) in [(2, 1), (1, 1)] {
        let configuration = json!({"minimumHealthyPercent": 50, "maximumPercent": 200});
        let world = world_with_service(configuration);
        world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": desired}));
        world.settle();
        let instances = world.ok("ListContainerInstances", json!({"cluster": CLUSTER}));
        let instances = &instances["containerInstanceArns"];
        let drain = json!({"cluster": CLUSTER, "containerInstances": instances, "status": "DRAINING"});
        world.ok("UpdateContainerInstancesState", drain);
        world.settle();
        let service = world.describe_service("web");
        assert_eq!((&service["runningCount"], &service["pendingCount"]), (&json!(left), &json!(0)));
        world.check();
    }
}
