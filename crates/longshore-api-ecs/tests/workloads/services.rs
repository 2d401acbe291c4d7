//! The walk-through of services (ecs-behaviour W9 to W16).

use std::time::Duration;

use expect_test::expect;
use longshore_controllers::link;
use longshore_link::message::PublishHealth;
use longshore_tables_ecs::EcsState;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

fn create(desired: i32) -> Value {
    json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": desired})
}

#[test]
fn w9_a_service_is_created_once() {
    let world = World::new();
    world.register_web();
    let service = world.ok("CreateService", create(1))["service"].take();
    let definition = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1";
    let deployment = service["deployments"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(deployment.len(), "ecs-svc/".len() + 19);
    let revision = service["currentServiceRevisions"][0]["arn"].clone();
    assert_eq!(
        service,
        json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/deep-dive-cluster/web",
            "serviceName": "web",
            "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster",
            "loadBalancers": [], "serviceRegistries": [], "status": "ACTIVE",
            "desiredCount": 1, "runningCount": 0, "pendingCount": 0, "launchType": "EC2",
            "taskDefinition": definition,
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": false, "rollback": false},
                "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING",
                "bakeTimeInMinutes": 0,
            },
            "deployments": [{
                "id": deployment, "status": "PRIMARY", "taskDefinition": definition, "desiredCount": 1,
                "pendingCount": 0, "runningCount": 0, "failedTasks": 0, "createdAt": 1_700_000_000,
                "updatedAt": 1_700_000_000, "launchType": "EC2", "rolloutState": "IN_PROGRESS",
                "rolloutStateReason": format!("ECS deployment {deployment} in progress."),
            }],
            "events": [], "createdAt": 1_700_000_000, "placementConstraints": [], "placementStrategy": [],
            "schedulingStrategy": "REPLICA", "deploymentController": {"type": "ECS"},
            "createdBy": "arn:aws:iam::123456789012:user/tester", "enableECSManagedTags": false,
            "propagateTags": "NONE", "enableExecuteCommand": false,
            "availabilityZoneRebalancing": "ENABLED", "resourceManagementType": "CUSTOMER",
            "currentServiceDeployment": service["currentServiceDeployment"],
            "currentServiceRevisions": [{
                "arn": revision, "requestedTaskCount": 1, "runningTaskCount": 0, "pendingTaskCount": 0,
            }],
        })
    );
    let again = world.ok("CreateService", create(1))["service"].take();
    assert_eq!(again, service);
    world.check_refused(
        "CreateService",
        create(2),
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    );
    let listed = world.ok("ListServices", json!({"cluster": CLUSTER}));
    assert_eq!(listed, json!({"serviceArns": [service["serviceArn"]]}));
    let described = world.ok("DescribeServices", json!({"cluster": CLUSTER, "services": ["web", "nope"]}));
    assert_eq!(described["services"], json!([service]));
    let missing = "arn:aws:ecs:eu-west-1:123456789012:service/deep-dive-cluster/nope";
    assert_eq!(described["failures"], json!([{"arn": missing, "reason": "MISSING"}]));
    world.check();
}

#[test]
fn w10_it_runs() {
    let (world, instances) = World::with_instances(1);
    world.register_web();
    let deployment = world.ok("CreateService", create(1))["service"]["deployments"][0]["id"].take();
    world.settle();
    let service = world.describe_service("web");
    assert_eq!((&service["runningCount"], &service["pendingCount"]), (&json!(1), &json!(0)));
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
    expect![[r#"
        [
            "(service web) has started 1 tasks: (task ID).",
            "(service web) (deployment ecs-svc/N) deployment completed.",
            "(service web) has reached a steady state.",
        ]
    "#]]
    .assert_debug_eq(&world.events("web"));

    let listed = world.ok("ListTasks", json!({"cluster": CLUSTER, "serviceName": "web"}));
    let arns = listed["taskArns"].as_array().expect("a list");
    assert_eq!(arns.len(), 1);
    let task = world.describe_task(arns[0].as_str().expect("an ARN"));
    for (member, value) in [
        ("lastStatus", json!("RUNNING")),
        ("desiredStatus", json!("RUNNING")),
        ("group", json!("service:web")),
        ("startedBy", deployment),
        ("containerInstanceArn", json!(world.instance_arn(instances[0]))),
        ("connectivity", json!("CONNECTED")),
        ("launchType", json!("EC2")),
        ("availabilityZone", json!("eu-west-1a")),
    ] {
        assert_eq!(task[member], value, "{member}");
    }
    assert_eq!(
        task["containers"][0]["networkBindings"],
        json!([{"bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}])
    );
    let remaining = world.db.peek(|state| {
        state.ecs().cluster(&world.at()).and_then(|cluster| cluster.fleet().remaining(instances[0]))
    });
    let remaining = remaining.expect("the instance");
    assert_eq!((remaining.cpu.0, remaining.memory.0), (1024 - 102, 1000 - 50));
    world.check();
}

#[test]
fn w11_it_heals_itself() {
    let (world, _) = World::with_instances(2);
    world.register_web();
    world.ok("CreateService", create(1));
    world.settle();
    let killed = world.wanted().remove(0);
    world.report_stopped(&killed, 137);
    let shown = world.describe_task(&killed.id.to_string());
    assert_eq!(
        (
            &shown["lastStatus"],
            &shown["stopCode"],
            &shown["stoppedReason"],
            &shown["containers"][0]["exitCode"]
        ),
        (
            &json!("STOPPED"),
            &json!("EssentialContainerExited"),
            &json!("Essential container in task exited"),
            &json!(137)
        )
    );
    world.settle();
    assert_eq!(world.describe_service("web")["runningCount"], 1);

    let stopped = world.wanted().remove(0);
    let answer = world.ok("StopTask", json!({"cluster": CLUSTER, "task": stopped.id.to_string()}));
    let task = &answer["task"];
    assert_eq!((&task["desiredStatus"], &task["lastStatus"]), (&json!("STOPPED"), &json!("RUNNING")));
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&json!("UserInitiated"), &json!("Task stopped by user"))
    );
    world.settle();
    let replacement = world.wanted().remove(0);
    assert_ne!(replacement.id, stopped.id);
    assert_eq!(world.describe_service("web")["runningCount"], 1);
    world.check();
}

#[test]
fn w12_tasks_are_spread_and_say_what_they_lack() {
    let (world, instances) = World::with_instances(3);
    world.register_web();
    world.ok("CreateService", create(1));
    world.settle();
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": 3}));
    world.settle();
    let mut used: Vec<_> = world.wanted().iter().filter_map(|task| task.instance).collect();
    used.sort_unstable();
    let mut all = instances;
    all.sort_unstable();
    assert_eq!(used, all);

    let update = world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": 4}));
    assert_eq!(update["service"]["deployments"].as_array().map(Vec::len), Some(1), "no new deployment");
    world.settle();
    assert_eq!(world.describe_service("web")["runningCount"], 3);
    let last = world.events("web").pop().expect("an event");
    assert_eq!(
        last,
        "(service web) was unable to place a task because no container instance met all of its requirements. The \
         closest matching (container-instance ID) is already using a port required by your task. For more \
         information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    );
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": 2}));
    world.settle();
    let mut zones: Vec<_> = world.wanted().iter().filter_map(|task| task.zone.clone()).collect();
    zones.sort_unstable();
    zones.dedup();
    assert_eq!(zones.len(), 2);
    world.check();
}

#[test]
fn w13_an_update_replaces_a_crashing_revision() {
    let (world, _) = World::with_instances(2);
    world.register_plain("loop", 100, 50);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "loop", "taskDefinition": "loop", "desiredCount": 1}),
    );
    // After the second there is a pause of one second, then of two.
    for _ in 0..4 {
        world.reconcile();
        world.play_agents();
        world.advance(Duration::from_secs(1));
        for task in world.wanted() {
            world.report_stopped(&task, 1);
        }
    }
    let service = world.describe_service("loop");
    assert_eq!(service["status"], "ACTIVE");
    let events = world.events("loop");
    assert_eq!(events.iter().filter(|text| text.contains("has started 1 tasks")).count(), 3, "{events:?}");
    assert!(events.iter().any(|text| text.contains("is unable to consistently start tasks")));
    assert!(!world.events("loop").iter().any(|text| text.contains("steady")));

    let better = world.register_plain("loop", 100, 200);
    let update =
        world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "loop", "taskDefinition": better}));
    let deployments = update["service"]["deployments"].as_array().expect("deployments");
    let seen: Vec<_> = deployments.iter().map(|d| (d["status"].clone(), d["desiredCount"].clone())).collect();
    assert_eq!(seen[0], (json!("PRIMARY"), json!(0)));
    assert_eq!(seen[1].0, json!("ACTIVE"));
    world.settle();
    let service = world.describe_service("loop");
    assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(service["deployments"][0]["desiredCount"], 1);
    assert!(world.wanted().iter().all(|task| task.origin.revision == 2));
    assert_eq!(world.events("loop").pop().as_deref(), Some("(service loop) has reached a steady state."));
    world.check();
}

#[test]
fn w14_a_service_is_deleted_and_its_name_is_free() {
    let (world, _) = World::with_instances(1);
    world.register_web();
    world.ok("CreateService", create(1));
    world.settle();
    let named = json!({"cluster": CLUSTER, "service": "web"});
    world.check_refused(
        "DeleteService",
        named.clone(),
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    );
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "desiredCount": 0}));
    world.reconcile();
    // Accepted although the task is still stopping.
    let deleted = world.ok("DeleteService", named.clone());
    assert_eq!(deleted["service"]["status"], "DRAINING");
    assert_eq!(world.ok("ListServices", json!({"cluster": CLUSTER}))["serviceArns"], json!([]));
    world.check_refused(
        "CreateService",
        create(1),
        "InvalidParameterException",
        "Unable to Start a service that is still Draining.",
    );
    world.check_refused(
        "UpdateService",
        named.clone(),
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    );
    assert!(
        world
            .events("web")
            .iter()
            .any(|text| text == "(service web) has stopped 1 running tasks: (task ID).")
    );
    world.settle();
    let service = world.describe_service("web");
    assert_eq!((&service["status"], &service["deployments"]), (&json!("INACTIVE"), &json!([])));
    world.check_refused("DeleteService", named.clone(), "ServiceNotFoundException", "Service not found.");
    let again = world.ok("CreateService", create(1));
    assert_eq!((&again["service"]["status"], &again["service"]["events"]), (&json!("ACTIVE"), &json!([])));
    world.settle();
    assert_eq!(world.describe_service("web")["runningCount"], 1);
    let forced = world.ok("DeleteService", json!({"cluster": CLUSTER, "service": "web", "force": true}));
    assert_eq!(
        (&forced["service"]["status"], &forced["service"]["desiredCount"]),
        (&json!("DRAINING"), &json!(0))
    );
    world.settle();
    assert_eq!(world.describe_service("web")["status"], "INACTIVE");
    assert!(world.wanted().is_empty());
    world.check();
}

#[test]
fn w16_constraints_bind() {
    let (world, _) = World::with_instances(3);
    world.register_plain("one", 10, 10);
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "one", "taskDefinition": "one", "desiredCount": 4,
            "placementConstraints": [{"type": "distinctInstance"}],
        }),
    );
    world.settle();
    let service = world.describe_service("one");
    assert_eq!(service["runningCount"], 3);
    assert_eq!(service["placementConstraints"], json!([{"type": "distinctInstance"}]));
    assert!(world.events("one").iter().any(|text| text.contains("unable to place a task")));

    world.ok("CreateService", json!({
        "cluster": CLUSTER, "serviceName": "here", "taskDefinition": "one", "desiredCount": 2,
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == eu-west-1b"}],
    }));
    world.settle();
    let here: Vec<_> =
        world.wanted().into_iter().filter(|task| &*task.origin.group == "service:here").collect();
    assert_eq!(here.len(), 2);
    assert!(here.iter().all(|task| task.zone.as_deref() == Some("eu-west-1b")));
    // A constraint on the zone leaves nothing to even out.
    assert_eq!(world.describe_service("here")["availabilityZoneRebalancing"], "DISABLED");
    world.check();
}

#[test]
fn a_daemon_runs_once_on_every_instance() {
    let (world, _) = World::with_instances(2);
    world.register_plain("agent", 10, 10);
    let created = world.ok("CreateService", json!({
        "cluster": CLUSTER, "serviceName": "agent", "taskDefinition": "agent", "schedulingStrategy": "DAEMON",
    }));
    let configuration = &created["service"]["deploymentConfiguration"];
    assert_eq!(
        (&configuration["maximumPercent"], &configuration["minimumHealthyPercent"]),
        (&json!(100), &json!(0))
    );
    world.settle();
    let service = world.describe_service("agent");
    assert_eq!((&service["desiredCount"], &service["runningCount"]), (&json!(2), &json!(2)));
    world.add_instance("eu-west-1c", 1024, 1000);
    world.settle();
    assert_eq!(world.describe_service("agent")["runningCount"], 3);
    // No force is needed.
    world.ok("DeleteService", json!({"cluster": CLUSTER, "service": "agent"}));
    world.settle();
    assert_eq!(world.describe_service("agent")["status"], "INACTIVE");
    world.check();
}

#[test]
fn what_begins_a_deployment_and_what_does_not() {
    let (world, _) = World::with_instances(1);
    world.register_plain("a", 10, 10);
    world.register_plain("a", 20, 20);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "a", "taskDefinition": "a:1", "desiredCount": 0}),
    );
    world.settle();
    let begins = |change: Value| {
        let before = world.describe_service("a")["deployments"][0]["id"].take();
        let mut input = json!({"cluster": CLUSTER, "service": "a"});
        for (member, value) in change.as_object().expect("members") {
            input[member] = value.clone();
        }
        let after = world.ok("UpdateService", input)["service"]["deployments"][0]["id"].take();
        world.settle();
        before != after
    };
    assert!(!begins(json!({})));
    assert!(!begins(json!({"desiredCount": 1})));
    assert!(!begins(json!({"taskDefinition": "a:1"})));
    assert!(!begins(
        json!({"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150}})
    ));
    assert!(!begins(json!({"placementStrategy": [{"type": "binpack", "field": "memory"}]})));
    assert!(!begins(json!({"enableECSManagedTags": true, "propagateTags": "SERVICE"})));
    assert!(begins(json!({"forceNewDeployment": true})));
    assert!(begins(json!({"taskDefinition": "a:2"})));
    assert!(begins(json!({"taskDefinition": "a:1"})));
    let service = world.describe_service("a");
    let configuration = &service["deploymentConfiguration"];
    assert_eq!(
        (&configuration["minimumHealthyPercent"], &configuration["maximumPercent"]),
        (&json!(50), &json!(150)),
        "what an update does not name stays"
    );
    assert_eq!(service["placementStrategy"], json!([{"type": "binpack", "field": "memory"}]));
    assert_eq!(service["availabilityZoneRebalancing"], "DISABLED");
    world.check();
}

#[test]
fn a_member_that_says_nothing_begins_no_deployment() {
    let (world, instances) = World::with_instances(1);
    world.give_network(instances[0], "172.20.0.0/28", "172.20.0.1/16");
    world.register_plain("a", 10, 10);
    world.register(json!({
        "family": "vpc", "networkMode": "awsvpc",
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
    }));
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    for (family, members) in [("a", json!({})), ("vpc", json!({"networkConfiguration": network}))] {
        let mut input = json!({
            "cluster": CLUSTER, "serviceName": family, "taskDefinition": family, "desiredCount": 0,
        });
        for (member, value) in members.as_object().expect("members") {
            input[member] = value.clone();
        }
        world.ok("CreateService", input);
    }
    let deployment = |service: &str| world.describe_service(service)["deployments"][0]["id"].clone();
    let off = json!({"enabled": false});
    for (service, member, value) in [
        ("a", "serviceConnectConfiguration", off.clone()),
        ("a", "loadBalancers", json!([])),
        ("a", "serviceRegistries", json!([])),
        ("a", "volumeConfigurations", json!([])),
        ("a", "vpcLatticeConfigurations", json!([])),
        ("a", "capacityProviderStrategy", json!([])),
        ("a", "networkConfiguration", json!({})),
        ("vpc", "networkConfiguration", json!({})),
        ("vpc", "networkConfiguration", network),
        (
            "vpc",
            "networkConfiguration",
            json!({"awsvpcConfiguration": {
                "subnets": ["subnet-1"], "securityGroups": [], "assignPublicIp": "DISABLED"}}),
        ),
    ] {
        let before = deployment(service);
        world.ok("UpdateService", json!({"cluster": CLUSTER, "service": service, member: value}));
        assert_eq!(deployment(service), before, "{member}: {value}");
    }
    world.check();
}

#[test]
fn a_service_may_have_as_many_tasks_as_on_ecs() {
    let world = World::new();
    world.register_web();
    assert_eq!(world.ok("CreateService", create(5000))["service"]["desiredCount"], 5000);
}

/// The grace period is for container health checks too, without any load balancer.
#[test]
fn a_failing_health_check_is_ignored_for_the_grace_period() {
    let (world, instances) = World::with_instances(1);
    world.give_capabilities(
        instances[0],
        &["com.amazonaws.ecs.capability.docker-remote-api.1.24", "ecs.capability.container-health-check"],
    );
    world.register(json!({
        "family": "web",
        "containerDefinitions": [{
            "name": "main", "image": "busybox", "memory": 10, "healthCheck": {"command": ["CMD", "false"]},
        }],
    }));
    let mut input = create(1);
    input["healthCheckGracePeriodSeconds"] = json!(60);
    assert_eq!(world.ok("CreateService", input)["service"]["healthCheckGracePeriodSeconds"], 60);
    let update = json!({"cluster": CLUSTER, "service": "web", "healthCheckGracePeriodSeconds": 90});
    assert_eq!(world.ok("UpdateService", update)["service"]["healthCheckGracePeriodSeconds"], 90);
    world.reconcile();
    world.play_agents();
    let task = world.wanted().pop().expect("a task");
    let unhealthy: PublishHealth = serde_json::from_value(json!({
        "metadata": {},
        "tasks": [{
            "taskArn": world.task_arn(&task),
            "containers": [{"containerName": "main", "healthStatus": "UNHEALTHY"}],
        }],
    }))
    .expect("a message");
    let at = world.at().instance(instances[0]);
    let (told, _) = world
        .db
        .submit(|tx| {
            link::health(tx, &at, &unhealthy.tasks);
            Ok::<_, ()>(())
        })
        .expect("the database is well");
    told.expect("nothing refuses it");
    let wanted = || world.wanted().iter().map(|task| task.id).collect::<Vec<_>>();
    world.advance(Duration::from_secs(89));
    world.reconcile();
    assert_eq!(world.describe_task(&world.task_arn(&task))["healthStatus"], "UNHEALTHY");
    assert_eq!(wanted(), [task.id], "within the grace period it is left alone");
    world.advance(Duration::from_secs(2));
    world.settle();
    assert!(!wanted().contains(&task.id), "after it the task is replaced");
    let events = world.events("web").join("\n");
    assert!(events.contains("failed container health checks."), "{events}");
    world.check();
}

#[test]
fn a_revision_that_is_inactive_keeps_running_but_is_not_begun() {
    let (world, _) = World::with_instances(1);
    world.register_plain("a", 10, 10);
    let create = json!({"cluster": CLUSTER, "serviceName": "a", "taskDefinition": "a:1", "desiredCount": 1});
    world.ok("CreateService", create);
    world.settle();
    world.deactivate("a", 1);
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "a", "desiredCount": 2}));
    world.settle();
    assert_eq!(world.describe_service("a")["runningCount"], 2);
    for (operation, input) in [
        ("UpdateService", json!({"cluster": CLUSTER, "service": "a", "taskDefinition": "a:1"})),
        (
            "CreateService",
            json!({"cluster": CLUSTER, "serviceName": "b", "taskDefinition": "a:1", "desiredCount": 1}),
        ),
        ("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "a:1"})),
    ] {
        world.check_refused(operation, input, "ClientException", "TaskDefinition is inactive");
    }
}

#[test]
fn tags_reach_the_tasks() {
    let (world, _) = World::with_instances(1);
    world.register_plain("a", 10, 10);
    let created = world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "a", "taskDefinition": "a", "desiredCount": 1,
            "propagateTags": "SERVICE", "enableECSManagedTags": true, "tags": [{"key": "team", "value": "x"}],
        }),
    );
    assert_eq!(created["service"]["tags"], json!([{"key": "team", "value": "x"}]));
    world.reconcile();
    let task = world.wanted().remove(0);
    let tasks = json!({"cluster": CLUSTER, "tasks": [task.id.to_string()], "include": ["TAGS"]});
    let described = world.ok("DescribeTasks", tasks);
    assert_eq!(
        described["tasks"][0]["tags"],
        json!([
            {"key": "aws:ecs:clusterName", "value": CLUSTER},
            {"key": "aws:ecs:serviceName", "value": "a"},
            {"key": "team", "value": "x"},
        ])
    );
    assert_eq!(world.describe_task(&task.id.to_string())["tags"], json!([]));
    assert_eq!(world.describe_service("a")["tags"], Value::Null);
}

#[test]
fn services_are_listed_in_pages() {
    let world = World::new();
    world.register_plain("a", 10, 10);
    for n in 0..25 {
        world.ok("CreateService", json!({
            "cluster": CLUSTER, "serviceName": format!("s{n:02}"), "taskDefinition": "a", "desiredCount": 0,
        }));
    }
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({"cluster": CLUSTER});
        if !token.is_null() {
            input["nextToken"] = token;
        }
        let mut page = world.ok("ListServices", input);
        let arns = page["serviceArns"].as_array().expect("a list");
        assert!(arns.len() <= 10);
        seen.extend(arns.iter().map(|arn| arn.as_str().expect("an ARN").to_owned()));
        token = page["nextToken"].take();
        if token.is_null() {
            break;
        }
    }
    let expected: Vec<String> = (0..25)
        .map(|n| format!("arn:aws:ecs:eu-west-1:123456789012:service/deep-dive-cluster/s{n:02}"))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_zone_that_comes_or_goes_wakes_services_that_balance() {
    let (world, instances) = World::with_instances(2);
    world.register_plain("web", 10, 64);
    for (name, balance) in [("balanced", "ENABLED"), ("left", "DISABLED")] {
        world.ok(
            "CreateService",
            json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": "web", "desiredCount": 2,
                "availabilityZoneRebalancing": balance}),
        );
    }
    world.settle();
    let set = |status: &str| {
        world.hinted();
        let arn = world.instance_arn(instances[1]);
        let input = json!({"cluster": CLUSTER, "containerInstances": [arn], "status": status});
        world.ok("UpdateContainerInstancesState", input);
        world.hinted()
    };
    // Each has a task on the instance that drains; afterwards neither has.
    set("DRAINING");
    world.settle();
    assert_eq!(set("ACTIVE"), ["balanced"]);
}

#[test]
fn what_is_killed_from_outside_is_replaced_at_once_again_and_again() {
    let (world, _) = World::with_instances(1);
    world.register_plain("victim", 100, 50);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "victim", "taskDefinition": "victim", "desiredCount": 1}),
    );
    for round in 0..8 {
        world.reconcile();
        assert_eq!(world.wanted().len(), 1, "in round {round}");
        world.play_agents();
        world.advance(Duration::from_secs(1));
        for task in world.wanted() {
            world.report_stopped(&task, 137);
        }
    }
    assert!(!world.events("victim").iter().any(|text| text.contains("unable to consistently start")));
}
