//! What is refused, in which words, and that nothing changes then.

use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

const INVALID: &str = "InvalidParameterException";
const CLIENT: &str = "ClientException";
const UNSUPPORTED: &str = "UnsupportedFeatureException";

/// One instance; definitions `web` (bridge, port 8080), `vpc` (awsvpc).
fn world() -> World {
    let (world, _) = World::with_instances(1);
    world.register_web();
    world.register(json!({
        "family": "vpc", "networkMode": "awsvpc",
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
    }));
    world
}

fn check(operation: &str, valid: Value, table: &[(Value, &str, &str)]) {
    let world = world();
    for (members, name, text) in table {
        let mut input = valid.clone();
        for (member, value) in members.as_object().expect("members") {
            input[member] = value.clone();
        }
        world.check_refused(operation, input, name, text);
    }
    world.check();
}

#[test]
fn run_task() {
    let over = |name: &str, members: Value| {
        let mut own = members;
        own["name"] = json!(name);
        json!({"overrides": {"containerOverrides": [own]}})
    };
    let long = "x".repeat(9000);
    let storage = "Ephemeral storage must be between 21 and 200 GiB.";
    let task_cpu = "Invalid 'cpu' setting for task. For more information, see the Troubleshooting section of the \
                    Amazon ECS Developer Guide.";
    let task_memory = "Invalid 'memory' setting for task. For more information, see the Troubleshooting section of \
                       the Amazon ECS Developer Guide.";
    check(
        "RunTask",
        json!({"cluster": CLUSTER, "taskDefinition": "web"}),
        &[
            (json!({"cluster": "nope"}), "ClusterNotFoundException", "Cluster not found."),
            (json!({"taskDefinition": "nope"}), CLIENT, "TaskDefinition not found."),
            (json!({"taskDefinition": "web:9"}), CLIENT, "TaskDefinition not found."),
            (json!({"taskDefinition": "web:foo"}), INVALID, "Invalid revision number. Number: foo"),
            (
                json!({"count": 0}),
                INVALID,
                "Invalid number of tasks to start. The count must be between 1 and 10.",
            ),
            (
                json!({"count": 11}),
                INVALID,
                "Invalid number of tasks to start. The count must be between 1 and 10.",
            ),
            (
                json!({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "a"}]}),
                INVALID,
                "Specify either Launch Type or Capacity Provider Strategy, but not both.",
            ),
            (
                json!({"capacityProviderStrategy": [{"capacityProvider": "a", "weight": 1}]}),
                INVALID,
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated \
             with the cluster. Associate the capacity provider with the cluster and try again.",
            ),
            (
                json!({"launchType": "FARGATE"}),
                INVALID,
                "Task definition does not support launch_type FARGATE.",
            ),
            (
                json!({"platformVersion": "1.4.0"}),
                INVALID,
                "The platform version must be null when specifying an EC2 launch type.",
            ),
            (
                json!({"taskDefinition": "vpc"}),
                INVALID,
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ),
            (
                json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
                INVALID,
                "Network Configuration is not valid for the given networkMode of this task definition.",
            ),
            (
                json!({"taskDefinition": "vpc", "networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}),
                INVALID,
                "subnets can not be empty.",
            ),
            (
                json!({"taskDefinition": "vpc", "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}}),
                INVALID,
                "Assign public IP is not supported for this launch type.",
            ),
            (
                json!({"group": "service:web"}),
                INVALID,
                "Invalid namespace for group, should be one of [family]",
            ),
            (
                json!({"group": "family:other"}),
                INVALID,
                "Invalid namespace for group, should be one of [family]",
            ),
            (json!({"startedBy": "a".repeat(129)}), INVALID, "startedBy can have at most 128 characters."),
            (
                over("nope", json!({})),
                INVALID,
                "Override for container named nope is not a container in the TaskDefinition.",
            ),
            (
                over("tomcat", json!({"command": [long]})),
                INVALID,
                "Container Overrides length must be at most 8192",
            ),
            (
                over("tomcat", json!({"memoryReservation": 60})),
                INVALID,
                "Memory must be at least memoryReservation for container tomcat.",
            ),
            (
                over("tomcat", json!({"memory": 5})),
                INVALID,
                "Invalid setting for container 'tomcat'. The value for memory must be at least 6 MiB.",
            ),
            (
                over("tomcat", json!({"memoryReservation": -1})),
                INVALID,
                "Invalid setting for container 'tomcat'. The value for memoryReservation must be at least 6 MiB.",
            ),
            (
                over("tomcat", json!({"cpu": -1})),
                INVALID,
                "The override of cpu for container tomcat is invalid.",
            ),
            (
                over("tomcat", json!({"environment": [{"name": "", "value": "x"}]})),
                INVALID,
                "The name of an environment variable should not be null or empty.",
            ),
            (json!({"overrides": {"cpu": "-1"}}), INVALID, task_cpu),
            (json!({"overrides": {"memory": "-1"}}), INVALID, task_memory),
            (json!({"overrides": {"ephemeralStorage": {"sizeInGiB": 19}}}), INVALID, storage),
            (json!({"overrides": {"ephemeralStorage": {"sizeInGiB": 201}}}), INVALID, storage),
            (
                json!({"propagateTags": "SERVICE"}),
                INVALID,
                "propagateTags should be one of [TASK_DEFINITION,NONE] for a task.",
            ),
            (
                json!({"enableExecuteCommand": true}),
                INVALID,
                "The task can't be started because a valid taskRoleArn is not being used. Specify a valid task role \
             in your task definition and try again.",
            ),
            (
                json!({"clientToken": "a b"}),
                INVALID,
                "clientToken must have 1 to 64 printable ASCII characters without spaces.",
            ),
            (
                json!({"volumeConfigurations": [{"name": "v"}]}),
                UNSUPPORTED,
                "Longshore does not provide volumes that are configured at launch.",
            ),
            (
                json!({"placementConstraints": [{"type": "memberOf"}]}),
                INVALID,
                "A placement constraint of type memberOf needs an expression.",
            ),
            (
                json!({"launchType": "MOON"}),
                INVALID,
                "launch type should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]",
            ),
        ],
    );
}

#[test]
fn start_and_stop_task() {
    check(
        "StartTask",
        json!({"cluster": CLUSTER, "taskDefinition": "web", "containerInstances": ["x"]}),
        &[
            (json!({"containerInstances": []}), INVALID, "Container Instances cannot be empty."),
            (
                json!({"containerInstances": vec!["x"; 11]}),
                INVALID,
                "containerInstances can have at most 10 items.",
            ),
            (json!({"startedBy": "a".repeat(37)}), INVALID, "startedBy can have at most 36 characters."),
            (
                json!({"containerInstances": ["arn:aws:ecs:eu-west-1:123456789012:container-instance/other/\
                0123456789abcdef0123456789abcdef"]}),
                INVALID,
                "Identifier is for cluster other. Your cluster is deep-dive-cluster",
            ),
        ],
    );
    check(
        "StopTask",
        json!({"cluster": CLUSTER, "task": "x"}),
        &[
            (json!({}), INVALID, "The referenced task was not found."),
            (
                json!({"task": "0123456789abcdef0123456789abcdef"}),
                INVALID,
                "The referenced task was not found.",
            ),
            (
                json!({"task": "arn:aws:ecs:eu-west-1:123456789012:cluster/c"}),
                INVALID,
                "The ARN provided is invalid.",
            ),
        ],
    );
    check(
        "DescribeTasks",
        json!({"cluster": CLUSTER, "tasks": ["x"]}),
        &[
            (json!({"tasks": []}), INVALID, "Tasks cannot be empty."),
            (json!({"tasks": vec!["x"; 101]}), INVALID, "tasks can have at most 100 items."),
            (json!({"include": ["MORE"]}), INVALID, "include should be one of [TAGS]"),
        ],
    );
    check(
        "ListTasks",
        json!({"cluster": CLUSTER}),
        &[
            (json!({"serviceName": "nope"}), "ServiceNotFoundException", "Service not found."),
            (json!({"containerInstance": "x"}), INVALID, "The referenced container instance was not found."),
            (json!({"maxResults": 101}), INVALID, "maxResults should be between 1 and 100."),
            (json!({"nextToken": "x"}), INVALID, "Invalid token."),
        ],
    );
    check(
        "UpdateTaskProtection",
        json!({"cluster": CLUSTER, "tasks": ["x"], "protectionEnabled": true}),
        &[
            (json!({"tasks": []}), INVALID, "Tasks cannot be empty."),
            (json!({"expiresInMinutes": 0}), INVALID, "expiresInMinutes must be between 1 and 2880."),
            (json!({"expiresInMinutes": 2881}), INVALID, "expiresInMinutes must be between 1 and 2880."),
        ],
    );
}

#[test]
fn create_service() {
    let balancer = |container: &str, port: u16| {
        json!({"loadBalancers": [
            {"targetGroupArn": "arn:tg", "containerName": container, "containerPort": port}]})
    };
    let configured = |members: Value| json!({"deploymentConfiguration": members});
    let daemon = |mut members: Value| {
        members["schedulingStrategy"] = json!("DAEMON");
        members
    };
    let rebalanced = |mut members: Value| {
        members["availabilityZoneRebalancing"] = json!("ENABLED");
        members
    };
    let percents = "minimumHealthyPercent must be at least 0 and at most maximumPercent, and maximumPercent must \
                    be at least 1.";
    let valid = json!({"cluster": CLUSTER, "serviceName": "s", "taskDefinition": "web", "desiredCount": 1});
    check(
        "CreateService",
        valid,
        &[
            (json!({"cluster": "nope"}), "ClusterNotFoundException", "Cluster not found."),
            (
                json!({"serviceName": "a b"}),
                INVALID,
                "Service name must have 1 to 255 letters, digits, hyphens and underscores.",
            ),
            (json!({"desiredCount": null}), INVALID, "Desired count should not be null or empty."),
            (json!({"desiredCount": -1}), INVALID, "Desired count should not be negative."),
            (json!({"desiredCount": 5001}), INVALID, "Desired count exceeds limit."),
            (
                json!({"deploymentController": {"type": "EXTERNAL"}, "taskDefinition": null, "desiredCount": 5001}),
                INVALID,
                "Desired count exceeds limit.",
            ),
            (json!({"taskDefinition": null}), INVALID, "Task definition can not be blank."),
            (json!({"taskDefinition": "nope"}), CLIENT, "TaskDefinition not found."),
            (
                daemon(json!({})),
                INVALID,
                "The daemon scheduling strategy does not support a desired count. Remove the desired count and try \
             again.",
            ),
            (
                daemon(json!({"desiredCount": null, "placementStrategy": [{"type": "random"}]})),
                INVALID,
                "The daemon scheduling strategy does not support a placement strategy. Remove it and try again.",
            ),
            (
                daemon(json!({"desiredCount": null, "deploymentConfiguration": {"maximumPercent": 200}})),
                INVALID,
                "maximumPercent must be 100 with the daemon scheduling strategy.",
            ),
            (
                json!({"deploymentController": {"type": "CODE_DEPLOY"}}),
                UNSUPPORTED,
                "Longshore does not provide the deployment controller CODE_DEPLOY yet.",
            ),
            (configured(json!({"minimumHealthyPercent": 150, "maximumPercent": 100})), INVALID, percents),
            (configured(json!({"minimumHealthyPercent": -1})), INVALID, percents),
            (configured(json!({"minimumHealthyPercent": 0, "maximumPercent": 0})), INVALID, percents),
            (
                configured(json!({"strategy": "BLUE_GREEN"})),
                UNSUPPORTED,
                "Longshore does not provide the deployment strategy BLUE_GREEN yet.",
            ),
            (
                configured(json!({"alarms": {"alarmNames": ["a"], "enable": true, "rollback": true}})),
                UNSUPPORTED,
                "Longshore does not provide deployment alarms yet.",
            ),
            (balancer("nope", 8080), INVALID, "The container nope does not exist in the task definition."),
            (
                balancer("tomcat", 80),
                INVALID,
                "The container tomcat did not have a container port 80 defined.",
            ),
            (
                balancer("tomcat", 8080),
                INVALID,
                "The target group with targetGroupArn arn:tg does not have an associated load balancer.",
            ),
            (
                json!({"serviceRegistries": [{"registryArn": "arn:x"}]}),
                UNSUPPORTED,
                "Longshore does not provide service discovery yet; the service registry cannot be used.",
            ),
            (
                json!({"serviceConnectConfiguration": {"enabled": true}}),
                UNSUPPORTED,
                "Longshore does not provide Service Connect yet.",
            ),
            (
                json!({"healthCheckGracePeriodSeconds": -1}),
                INVALID,
                "healthCheckGracePeriodSeconds must be between 0 and 2147483647.",
            ),
            (
                json!({"enableExecuteCommand": true}),
                INVALID,
                "The service couldn't be created because a valid taskRoleArn is not being used. Specify a valid task \
             role in your task definition and try again.",
            ),
            (
                rebalanced(json!({"deploymentConfiguration": {"maximumPercent": 100}})),
                INVALID,
                "Availability Zone rebalancing needs a maximumPercent above 100.",
            ),
            (
                rebalanced(daemon(json!({"desiredCount": null}))),
                INVALID,
                "Availability Zone rebalancing is not supported with the DAEMON scheduling strategy.",
            ),
            (
                rebalanced(json!({"placementStrategy": [{"type": "random"}]})),
                INVALID,
                "Availability Zone rebalancing needs a placement strategy that begins with a spread over \
             attribute:ecs.availability-zone, or none.",
            ),
            (
                rebalanced(json!({"placementConstraints": [
                    {"type": "memberOf", "expression": "attribute:ecs.availability-zone == eu-west-1a"}]})),
                INVALID,
                "Availability Zone rebalancing is not supported with a placement constraint on \
             attribute:ecs.availability-zone. Remove the constraint, or disable the rebalancing.",
            ),
            (
                json!({"tags": [{"key": "aws:x", "value": ""}]}),
                INVALID,
                "The tag key 'aws:x' begins with the reserved prefix 'aws:'.",
            ),
        ],
    );
}

#[test]
fn services_that_are_not_there() {
    let missing = json!({"cluster": CLUSTER, "service": "nope"});
    for operation in ["UpdateService", "DeleteService", "ListServiceDeployments"] {
        check(operation, missing.clone(), &[(json!({}), "ServiceNotFoundException", "Service not found.")]);
    }
    check(
        "DescribeServices",
        json!({"cluster": CLUSTER, "services": ["x"]}),
        &[
            (json!({"services": []}), INVALID, "Services cannot be empty."),
            (json!({"services": vec!["x"; 11]}), INVALID, "services can have at most 10 items."),
        ],
    );
}

#[test]
fn update_service() {
    let world = world();
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "s", "taskDefinition": "web", "desiredCount": 1}),
    );
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "d", "taskDefinition": "web", "schedulingStrategy": "DAEMON",
        }),
    );
    for (service, members, name, text) in [
        ("s", json!({"desiredCount": -1}), INVALID, "Desired count should not be negative."),
        ("s", json!({"desiredCount": 5001}), INVALID, "Desired count exceeds limit."),
        (
            "s",
            json!({"healthCheckGracePeriodSeconds": -1}),
            INVALID,
            "healthCheckGracePeriodSeconds must be between 0 and 2147483647.",
        ),
        (
            "d",
            json!({"desiredCount": 2}),
            INVALID,
            "The daemon scheduling strategy does not support a desired count. Remove the desired count and try \
             again.",
        ),
        (
            "s",
            json!({"taskDefinition": "vpc"}),
            INVALID,
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        ("s", json!({"taskDefinition": "web:7"}), CLIENT, "TaskDefinition not found."),
        (
            "s",
            json!({"deploymentConfiguration": {"maximumPercent": 50}}),
            INVALID,
            "minimumHealthyPercent must be at least 0 and at most maximumPercent, and maximumPercent must be at \
             least 1.",
        ),
        (
            "s",
            json!({"serviceConnectConfiguration": {"enabled": true}}),
            UNSUPPORTED,
            "Longshore does not provide Service Connect yet.",
        ),
        (
            "s",
            json!({"deploymentController": {"type": "CODE_DEPLOY"}}),
            UNSUPPORTED,
            "Longshore does not change the deployment controller of a service.",
        ),
    ] {
        let mut input = json!({"cluster": CLUSTER, "service": service});
        for (member, value) in members.as_object().expect("members") {
            input[member] = value.clone();
        }
        world.check_refused("UpdateService", input, name, text);
    }
}
