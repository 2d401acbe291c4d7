//! Services of the EXTERNAL deployment controller (ecs-services E7, ecs-operations B6). Their task sets
//! are in `task_sets`.

use serde_json::{Value, json};

use crate::task_sets::{SERVICE_ARN, create, external, of_set, percent, set, standing, tasks_of, world};
use crate::world::{CLUSTER, World};

#[test]
fn an_external_service_is_a_frame() {
    let world = World::new();
    let created = world.ok("CreateService", external(json!({})))["service"].take();
    assert_eq!(
        created,
        json!({
            "serviceArn": SERVICE_ARN, "serviceName": "web",
            "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster",
            "loadBalancers": [], "serviceRegistries": [], "status": "ACTIVE",
            "desiredCount": 0, "runningCount": 0, "pendingCount": 0,
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": false, "rollback": false},
                "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING",
                "bakeTimeInMinutes": 0,
            },
            "taskSets": [], "deployments": [], "events": [], "createdAt": 1_700_000_000,
            "placementConstraints": [], "placementStrategy": [], "schedulingStrategy": "REPLICA",
            "deploymentController": {"type": "EXTERNAL"},
            "createdBy": "arn:aws:iam::123456789012:user/tester", "enableECSManagedTags": false,
            "propagateTags": "NONE", "enableExecuteCommand": false,
            "availabilityZoneRebalancing": "DISABLED", "resourceManagementType": "CUSTOMER",
            "currentServiceRevisions": [],
        })
    );
    assert_eq!(world.ok("CreateService", external(json!({})))["service"], created);
    world.check_refused(
        "CreateService",
        external(json!({"desiredCount": 1})),
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    );
    world.check();
}

#[test]
fn what_belongs_to_task_sets_is_refused_on_the_service() {
    let (world, _) = World::with_instances(1);
    world.register_plain("blue", 10, 10);
    for (member, value) in [
        ("taskDefinition", json!("blue")),
        ("launchType", json!("EC2")),
        ("capacityProviderStrategy", json!([{"capacityProvider": "FARGATE"}])),
        ("platformVersion", json!("LATEST")),
        ("networkConfiguration", json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}})),
        (
            "loadBalancers",
            json!([{"targetGroupArn": "arn:tg", "containerName": "main", "containerPort": 80}]),
        ),
        ("serviceRegistries", json!([{"registryArn": "arn:r"}])),
        ("serviceConnectConfiguration", json!({"enabled": false})),
    ] {
        world.check_refused(
            "CreateService",
            external(json!({member: value})),
            "InvalidParameterException",
            &format!(
                "{member} cannot be given to a service with an EXTERNAL deployment controller. \
                 Give it to its task sets."
            ),
        );
    }
    for (others, text) in [
        (
            json!({"schedulingStrategy": "DAEMON"}),
            "The daemon scheduling strategy is not supported with the EXTERNAL deployment controller.",
        ),
        (
            json!({"availabilityZoneRebalancing": "ENABLED"}),
            "Availability Zone rebalancing is not supported with the EXTERNAL deployment controller.",
        ),
        (
            json!({"deploymentConfiguration": {"minimumHealthyPercent": 50}}),
            "With the EXTERNAL deployment controller minimumHealthyPercent is always 100 and maximumPercent 200.",
        ),
        (
            json!({"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": false}}}),
            "The deployment circuit breaker and bakeTimeInMinutes are only supported with the ECS deployment \
             controller.",
        ),
        (json!({"desiredCount": -1}), "Desired count should not be negative."),
    ] {
        world.check_refused("CreateService", external(others), "InvalidParameterException", text);
    }
    world.check_refused(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "blue", "desiredCount": 1,
            "deploymentController": {"type": "CODE_DEPLOY"},
        }),
        "UnsupportedFeatureException",
        "Longshore does not provide the deployment controller CODE_DEPLOY yet.",
    );
    // What says nothing is no mistake: deployment tools send the defaults.
    world.ok(
        "CreateService",
        external(json!({
            "desiredCount": 1, "schedulingStrategy": "REPLICA", "loadBalancers": [], "serviceRegistries": [],
            "deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 200},
            "enableECSManagedTags": false, "enableExecuteCommand": false, "propagateTags": "NONE",
            "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        })),
    );
    world.check();
}

#[test]
fn what_belongs_to_task_sets_is_not_updated_on_the_service() {
    let world = world(1, 1);
    for (what, member, value) in [
        ("task definition", "taskDefinition", json!("green")),
        ("network configuration", "networkConfiguration", json!({"awsvpcConfiguration": {"subnets": ["s"]}})),
        ("platform version", "platformVersion", json!("LATEST")),
        ("capacity provider strategy", "capacityProviderStrategy", json!([{"capacityProvider": "FARGATE"}])),
        ("load balancers", "loadBalancers", json!([])),
        ("service registries", "serviceRegistries", json!([])),
        ("deployment", "forceNewDeployment", json!(true)),
        ("execute command setting", "enableExecuteCommand", json!(true)),
    ] {
        world.check_refused(
            "UpdateService",
            json!({"cluster": CLUSTER, "service": "web", member: value}),
            "InvalidParameterException",
            &format!(
                "Unable to update {what} on services with an EXTERNAL deployment controller. \
                 Create a new task set instead."
            ),
        );
    }
    world.check_refused(
        "UpdateService",
        json!({"cluster": CLUSTER, "service": "web", "deploymentController": {"type": "ECS"}}),
        "UnsupportedFeatureException",
        "Longshore does not change the deployment controller of a service.",
    );
    let service = world.ok(
        "UpdateService",
        json!({
            "cluster": CLUSTER, "service": "web", "desiredCount": 2, "healthCheckGracePeriodSeconds": 30,
            "enableECSManagedTags": true, "propagateTags": "TASK_DEFINITION", "enableExecuteCommand": false,
            "deploymentController": {"type": "EXTERNAL"}, "forceNewDeployment": false,
            "placementConstraints": [{"type": "distinctInstance"}],
        }),
    )["service"]
        .take();
    assert_eq!(service["healthCheckGracePeriodSeconds"], 30);
    assert_eq!(service["placementConstraints"], json!([{"type": "distinctInstance"}]));
}

#[test]
fn services_of_the_ecs_controller_have_no_task_sets() {
    let world = World::new();
    world.register_web();
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 0}),
    );
    assert_eq!(world.describe_service("web")["taskSets"], Value::Null);
    let id = json!("ecs-svc/1000000000000000009");
    for (operation, input) in [
        ("CreateTaskSet", json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "web"})),
        ("UpdateTaskSet", of_set(&id, json!({"scale": percent(1.0)}))),
        ("DeleteTaskSet", of_set(&id, json!({}))),
        ("DescribeTaskSets", json!({"cluster": CLUSTER, "service": "web"})),
        ("UpdateServicePrimaryTaskSet", json!({"cluster": CLUSTER, "service": "web", "primaryTaskSet": id})),
    ] {
        world.check_refused(
            operation,
            input,
            "UnsupportedFeatureException",
            "The service web does not have the deployment controller EXTERNAL, so it has no task sets.",
        );
    }
}

#[test]
fn a_service_with_task_sets_is_deleted_by_force() {
    let world = world(1, 2);
    let blue = create(&world, "blue", 100.0);
    world.settle();
    let delete = |force: bool| json!({"cluster": CLUSTER, "service": "web", "force": force});
    world.check_refused(
        "DeleteService",
        delete(false),
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    );
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": 0}));
    world.check_refused(
        "DeleteService",
        delete(false),
        "InvalidParameterException",
        "The service cannot be stopped while deployments are active.",
    );
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": 2}));
    let service = world.ok("DeleteService", delete(true))["service"].take();
    assert_eq!((&service["status"], &service["desiredCount"]), (&json!("DRAINING"), &json!(0)));
    assert_eq!(service["taskSets"][0]["status"], "DRAINING");
    world.check_refused(
        "UpdateTaskSet",
        of_set(&blue, json!({"scale": percent(1.0)})),
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    );
    assert_eq!(set(&world, &blue)["status"], "DRAINING");
    world.settle();
    let service = world.describe_service("web");
    assert_eq!((&service["status"], &service["taskSets"]), (&json!("INACTIVE"), &json!([])));
    assert_eq!(world.wanted().len(), 0);
    world.check_refused(
        "DescribeTaskSets",
        json!({"cluster": CLUSTER, "service": "web"}),
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    );
    // The name is free, for a service of any kind.
    world.ok("CreateService", external(json!({"desiredCount": 1})));
    assert_eq!(world.describe_service("web")["taskSets"], json!([]));
    world.check();
}

#[test]
fn without_sets_left_a_service_is_deleted_without_force() {
    let world = world(1, 0);
    let blue = create(&world, "blue", 0.0);
    world.ok("DeleteTaskSet", of_set(&blue, json!({})));
    world.ok("DeleteService", json!({"cluster": CLUSTER, "service": "web"}));
    world.settle();
    assert_eq!(world.describe_service("web")["status"], "INACTIVE");
    world.check();
}

#[test]
fn the_desired_count_of_the_service_scales_its_sets() {
    let world = world(2, 4);
    let (blue, green) = (create(&world, "blue", 100.0), create(&world, "green", 25.0));
    world.settle();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (4, 1));
    let update = |count: i32| json!({"cluster": CLUSTER, "service": "web", "desiredCount": count});
    let service = world.ok("UpdateService", update(5))["service"].take();
    let standings: Vec<_> = service["taskSets"].as_array().expect("sets").iter().map(standing).collect();
    assert!(standings.contains(&"ACTIVE 5/4+0 STABILIZING".to_owned()), "{standings:?}");
    assert!(standings.contains(&"ACTIVE 2/1+0 STABILIZING".to_owned()), "{standings:?}");
    world.settle();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (5, 2));
    // A set whose share stays the same is left alone.
    world.ok("UpdateService", update(6));
    assert_eq!(standing(&set(&world, &green)), "ACTIVE 2/2+0 STEADY_STATE");
    world.settle();
    world.ok("UpdateService", update(0));
    world.settle();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (0, 0));
    assert_eq!(standing(&set(&world, &blue)), "ACTIVE 0/0+0 STEADY_STATE");
    world.check();
}
