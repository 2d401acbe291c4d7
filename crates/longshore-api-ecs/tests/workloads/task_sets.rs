//! Task sets (ecs-services E7, ecs-operations B7). Their services are in `external`.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

pub const SERVICE_ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:service/deep-dive-cluster/web";
const DEFINITION: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition";

/// Families `blue` and `green`, and a service `web` of the EXTERNAL controller that wants `desired` tasks.
pub fn world(instances: usize, desired: i32) -> World {
    let (world, _) = World::with_instances(instances);
    world.register_plain("blue", 10, 10);
    world.register_plain("green", 10, 10);
    world.ok("CreateService", external(json!({"desiredCount": desired})));
    world
}

/// CreateService for `web`, with more members.
pub fn external(others: Value) -> Value {
    with(
        json!({"cluster": CLUSTER, "serviceName": "web", "deploymentController": {"type": "EXTERNAL"}}),
        others,
    )
}

pub fn with(mut input: Value, others: Value) -> Value {
    for (member, value) in others.as_object().expect("members") {
        input[member] = value.clone();
    }
    input
}

/// A call about a set of `web`.
pub fn of_set(id: &Value, others: Value) -> Value {
    with(json!({"cluster": CLUSTER, "service": "web", "taskSet": id}), others)
}

pub fn percent(value: f64) -> Value {
    json!({"unit": "PERCENT", "value": value})
}

/// Creates a set of `family` and gives its id.
pub fn create(world: &World, family: &str, scale: f64) -> Value {
    let input = json!({
        "cluster": CLUSTER, "service": "web", "taskDefinition": family, "scale": percent(scale),
    });
    world.ok("CreateTaskSet", input)["taskSet"]["id"].take()
}

fn scale(world: &World, id: &Value, value: f64) -> Value {
    world.ok("UpdateTaskSet", of_set(id, json!({"scale": percent(value)})))["taskSet"].take()
}

fn describe(world: &World, others: Value) -> Value {
    world.ok("DescribeTaskSets", with(json!({"cluster": CLUSTER, "service": "web"}), others))
}

/// The set, as DescribeTaskSets shows it.
pub fn set(world: &World, id: &Value) -> Value {
    let mut answer = describe(world, json!({"taskSets": [id]}));
    assert_eq!(answer["failures"], json!([]));
    answer["taskSets"][0].take()
}

/// Status, computed, running and pending count, stability.
pub fn standing(set: &Value) -> String {
    format!(
        "{} {}/{}+{} {}",
        set["status"].as_str().unwrap_or("?"),
        set["computedDesiredCount"],
        set["runningCount"],
        set["pendingCount"],
        set["stabilityStatus"].as_str().unwrap_or("?"),
    )
}

pub fn tasks_of(world: &World, id: &Value) -> usize {
    world.wanted().iter().filter(|task| task.origin.started_by.as_deref() == id.as_str()).count()
}

#[test]
fn a_task_set_is_created_without_tasks() {
    let world = world(1, 2);
    let input = json!({
        "cluster": CLUSTER, "service": "web", "taskDefinition": "blue", "externalId": "first",
        "tags": [{"key": "colour", "value": "blue"}], "clientToken": "t-1",
    });
    let created = world.ok("CreateTaskSet", input.clone())["taskSet"].take();
    let id = created["id"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), "ecs-svc/".len() + 19);
    let arn = format!("arn:aws:ecs:eu-west-1:123456789012:task-set/deep-dive-cluster/web/{id}");
    assert_eq!(
        created,
        json!({
            "id": id, "taskSetArn": arn, "serviceArn": SERVICE_ARN,
            "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster",
            "externalId": "first", "status": "ACTIVE", "taskDefinition": format!("{DEFINITION}/blue:1"),
            "computedDesiredCount": 0, "pendingCount": 0, "runningCount": 0,
            "createdAt": 1_700_000_000, "updatedAt": 1_700_000_000, "launchType": "EC2",
            "loadBalancers": [], "serviceRegistries": [], "scale": percent(0.0),
            "stabilityStatus": "STABILIZING", "stabilityStatusAt": 1_700_000_000,
            "tags": [{"key": "colour", "value": "blue"}],
        })
    );
    // The same call again; the same token for another one; no token.
    assert_eq!(world.ok("CreateTaskSet", input.clone())["taskSet"], created);
    world.check_refused(
        "CreateTaskSet",
        with(input.clone(), json!({"externalId": "second"})),
        "InvalidParameterException",
        "Creation of task set was not idempotent.",
    );
    let other = world.ok("CreateTaskSet", with(input, json!({"clientToken": null})))["taskSet"]["id"].take();
    assert_ne!(other, json!(id));
    world.settle();
    assert_eq!(standing(&set(&world, &json!(id))), "ACTIVE 0/0+0 STEADY_STATE");
    assert_eq!(world.tasks().len(), 0);
    world.check();
}

#[test]
fn sets_are_described_by_id_or_arn_or_all_of_them() {
    let world = world(1, 1);
    let first = create(&world, "blue", 0.0);
    world.advance(Duration::from_secs(1));
    let second = create(&world, "green", 0.0);
    let all = describe(&world, json!({}));
    assert_eq!(all["failures"], json!([]));
    assert_eq!([&all["taskSets"][0]["id"], &all["taskSets"][1]["id"]], [&second, &first]);
    let arn = all["taskSets"][1]["taskSetArn"].clone();
    let gone = "ecs-svc/1000000000000000009";
    let named = describe(&world, json!({"taskSets": [arn, first, gone]}));
    assert_eq!(named["taskSets"], json!([all["taskSets"][1]]));
    let missing = format!("arn:aws:ecs:eu-west-1:123456789012:task-set/deep-dive-cluster/web/{gone}");
    assert_eq!(named["failures"], json!([{"arn": missing, "reason": "MISSING"}]));
    assert_eq!(world.describe_service("web")["taskSets"], all["taskSets"]);
    world.check_refused(
        "DescribeTaskSets",
        json!({"cluster": CLUSTER, "service": "web", "taskSets": vec![gone; 11]}),
        "InvalidParameterException",
        "taskSets can have at most 10 items.",
    );
}

#[test]
fn tags_are_shown_when_asked_for_and_change() {
    let world = world(1, 1);
    let created = world.ok(
        "CreateTaskSet",
        json!({
            "cluster": CLUSTER, "service": "web", "taskDefinition": "blue",
            "tags": [{"key": "a", "value": "1"}],
        }),
    );
    let arn = &created["taskSet"]["taskSetArn"];
    world.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "b", "value": "2"}]}));
    world.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]}));
    let tags = json!([{"key": "b", "value": "2"}]);
    assert_eq!(world.ok("ListTagsForResource", json!({"resourceArn": arn}))["tags"], tags);
    assert_eq!(describe(&world, json!({}))["taskSets"][0]["tags"], json!([]));
    assert_eq!(describe(&world, json!({"include": ["TAGS"]}))["taskSets"][0]["tags"], tags);
    let unknown =
        "arn:aws:ecs:eu-west-1:123456789012:task-set/deep-dive-cluster/web/ecs-svc/1000000000000000009";
    let (name, _) = world.refused("TagResource", json!({"resourceArn": unknown, "tags": [{"key": "a"}]}));
    assert_eq!(name, "ResourceNotFoundException");
}

#[test]
fn a_shift_from_blue_to_green_by_hand() {
    let world = world(2, 3);
    let blue = create(&world, "blue", 100.0);
    let primary = json!({"cluster": CLUSTER, "service": "web", "primaryTaskSet": blue});
    let answer = world.ok("UpdateServicePrimaryTaskSet", primary.clone());
    assert_eq!(answer["taskSet"]["status"], "PRIMARY");
    world.settle();
    assert_eq!(standing(&set(&world, &blue)), "PRIMARY 3/3+0 STEADY_STATE");
    let service = world.describe_service("web");
    assert_eq!(service["taskDefinition"], format!("{DEFINITION}/blue:1"));
    assert_eq!((&service["launchType"], &service["runningCount"]), (&json!("EC2"), &json!(3)));
    assert_eq!(service["deployments"], json!([]));

    // ceil(3 * 50 %) = 2.
    let green = create(&world, "green", 50.0);
    assert_eq!(standing(&set(&world, &green)), "ACTIVE 2/0+0 STABILIZING");
    world.settle();
    assert_eq!(standing(&set(&world, &green)), "ACTIVE 2/2+0 STEADY_STATE");
    assert_eq!(standing(&set(&world, &blue)), "PRIMARY 3/3+0 STEADY_STATE");
    assert_eq!(world.describe_service("web")["runningCount"], 5);

    assert_eq!(standing(&scale(&world, &green, 100.0)), "ACTIVE 3/2+0 STABILIZING");
    world.settle();
    world.ok(
        "UpdateServicePrimaryTaskSet",
        json!({"cluster": CLUSTER, "service": "web", "primaryTaskSet": green}),
    );
    assert_eq!(standing(&set(&world, &green)), "PRIMARY 3/3+0 STEADY_STATE");
    assert_eq!(standing(&set(&world, &blue)), "ACTIVE 3/3+0 STEADY_STATE");
    assert_eq!(world.describe_service("web")["taskDefinition"], format!("{DEFINITION}/green:1"));

    world.check_refused(
        "DeleteTaskSet",
        of_set(&blue, json!({})),
        "InvalidParameterException",
        "The task set cannot be deleted while it is scaled above 0. Set its scale to 0, or use force.",
    );
    let deleted = world.ok("DeleteTaskSet", of_set(&blue, json!({"force": true})));
    assert_eq!(standing(&deleted["taskSet"]), "DRAINING 0/3+0 STABILIZING");
    // A repetition answers it as long as it is there.
    assert_eq!(world.ok("DeleteTaskSet", of_set(&blue, json!({}))), deleted);
    world.reconcile();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (0, 3));
    assert_eq!(standing(&set(&world, &blue)), "DRAINING 0/3+0 STABILIZING");
    for (operation, others) in [
        ("UpdateTaskSet", json!({"taskSet": blue, "scale": percent(10.0)})),
        ("UpdateServicePrimaryTaskSet", json!({"primaryTaskSet": blue})),
    ] {
        world.check_refused(
            operation,
            with(json!({"cluster": CLUSTER, "service": "web"}), others),
            "InvalidParameterException",
            "The task set is DRAINING and cannot be changed any more.",
        );
    }
    world.settle();
    assert_eq!(describe(&world, json!({"taskSets": [blue]}))["failures"][0]["reason"], "MISSING");
    assert_eq!(world.describe_service("web")["taskSets"].as_array().map(Vec::len), Some(1));
    world.check_refused(
        "DeleteTaskSet",
        of_set(&blue, json!({})),
        "TaskSetNotFoundException",
        "TaskSet not found.",
    );
    expect![[r#"
        (service web) has started 3 tasks: (task ID) (task ID) (task ID).
        (service web) has updated computedDesiredCount for taskSet ecs-svc/N to 3.
        (service web) has reached a steady state.
        (service web) has started 2 tasks: (task ID) (task ID).
        (service web) has updated computedDesiredCount for taskSet ecs-svc/N to 2.
        (service web) has reached a steady state.
        (service web) has started 1 tasks: (task ID).
        (service web) has updated computedDesiredCount for taskSet ecs-svc/N to 3.
        (service web) has reached a steady state.
        (service web) has stopped 3 running tasks: (task ID) (task ID) (task ID).
        (service web) has reached a steady state."#]]
    .assert_eq(&world.events("web").join("\n"));
    world.check();
}

#[test]
fn tasks_know_their_set() {
    let world = world(1, 1);
    world.ok(
        "UpdateService",
        json!({
            "cluster": CLUSTER, "service": "web", "enableECSManagedTags": true,
            "propagateTags": "TASK_DEFINITION",
        }),
    );
    let blue = create(&world, "blue", 100.0);
    world.settle();
    let listed =
        world.ok("ListTasks", json!({"cluster": CLUSTER, "serviceName": "web"}))["taskArns"][0].take();
    let by_set = world.ok("ListTasks", json!({"cluster": CLUSTER, "startedBy": blue}));
    assert_eq!(by_set["taskArns"], json!([listed]));
    let input = json!({"cluster": CLUSTER, "tasks": [listed], "include": ["TAGS"]});
    let task = world.ok("DescribeTasks", input)["tasks"][0].take();
    assert_eq!((&task["startedBy"], &task["group"]), (&blue, &json!("service:web")));
    assert_eq!(
        task["tags"],
        json!([
            {"key": "aws:ecs:clusterName", "value": CLUSTER},
            {"key": "aws:ecs:serviceName", "value": "web"},
            {"key": "from", "value": "definition"},
        ])
    );
}

#[test]
fn tasks_that_end_are_replaced_by_their_own_set() {
    let world = world(2, 2);
    let (blue, green) = (create(&world, "blue", 100.0), create(&world, "green", 50.0));
    world.settle();
    for task in world.wanted() {
        world.report_stopped(&task, 1);
    }
    world.reconcile();
    assert_eq!(set(&world, &blue)["stabilityStatus"], "STABILIZING");
    world.settle();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (2, 1));
    // StopTask is healed as well.
    let stopped = world.wanted()[0].id.to_string();
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": stopped}));
    world.settle();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (2, 1));
    assert_eq!(set(&world, &blue)["stabilityStatus"], "STEADY_STATE");
    world.check();
}

/// The task's image cannot be had.
fn fail_to_start(world: &World, task: &longshore_tables_ecs::record::Task) {
    let reason = "CannotPullContainerError: no such image";
    world.ok(
        "SubmitTaskStateChange",
        json!({
            "cluster": CLUSTER, "task": world.task_arn(task), "status": "STOPPED", "reason": reason,
            "containers": [{"containerName": "main", "status": "STOPPED", "reason": reason}],
        }),
    );
}

#[test]
fn a_set_that_cannot_start_does_not_keep_another_from_being_healed() {
    let world = world(2, 1);
    let blue = create(&world, "blue", 100.0);
    world.settle();
    let green = create(&world, "green", 100.0);
    for _ in 0..4 {
        world.reconcile();
        for task in world.wanted() {
            if task.origin.started_by.as_deref() == green.as_str() {
                fail_to_start(&world, &task);
            }
        }
        world.advance(Duration::from_secs(11));
    }
    world.reconcile();
    assert_eq!(tasks_of(&world, &green), 0, "its throttle is closed");
    let healthy = world.wanted().pop().expect("the task of blue");
    world.report_stopped(&healthy, 1);
    world.reconcile();
    assert_eq!(tasks_of(&world, &blue), 1, "replaced at once");
    let throttled = "(service web) is unable to consistently start tasks successfully.".to_owned();
    assert!(world.events("web").contains(&throttled));
    // Any update of the set ends its pause.
    scale(&world, &green, 100.0);
    world.reconcile();
    assert_eq!(tasks_of(&world, &green), 1);
    world.check();
}

#[test]
fn protected_tasks_hold_up_scale_in_of_their_set_only() {
    let world = world(2, 2);
    let (blue, green) = (create(&world, "blue", 100.0), create(&world, "green", 100.0));
    world.settle();
    let of_blue = |task: &std::sync::Arc<longshore_tables_ecs::record::Task>| {
        task.origin.started_by.as_deref() == blue.as_str()
    };
    let protected: Vec<_> =
        world.wanted().into_iter().filter(of_blue).map(|task| task.id.to_string()).collect();
    let input = json!({"cluster": CLUSTER, "tasks": protected, "protectionEnabled": true});
    assert_eq!(world.ok("UpdateTaskProtection", input)["failures"], json!([]));
    scale(&world, &blue, 0.0);
    scale(&world, &green, 0.0);
    world.settle();
    assert_eq!((tasks_of(&world, &blue), tasks_of(&world, &green)), (2, 0));
    assert_eq!(standing(&set(&world, &blue)), "ACTIVE 0/2+0 STABILIZING");
    let message = "(service web) was unable to reach steady state because task set (ecs-svc/N) was unable to scale \
                   in. Reason: The number of protected tasks are more than the desired count of tasks";
    assert!(world.events("web").contains(&message.to_owned()), "{:?}", world.events("web"));
    let input = json!({"cluster": CLUSTER, "tasks": protected, "protectionEnabled": false});
    world.ok("UpdateTaskProtection", input);
    world.settle();
    assert_eq!(tasks_of(&world, &blue), 0);
    world.check();
}

#[test]
fn a_set_without_room_waits_for_it() {
    let world = world(0, 1);
    let blue = create(&world, "blue", 100.0);
    world.reconcile();
    let refused = world.events("web").pop().expect("an event");
    assert!(refused.contains("No Container Instances were found in your cluster"), "{refused}");
    world.add_instance("eu-west-1a", 1024, 1000);
    world.settle();
    assert_eq!(standing(&set(&world, &blue)), "ACTIVE 1/1+0 STEADY_STATE");
    world.check();
}

#[test]
fn each_set_has_its_own_capacity() {
    let (world, instances) = World::with_instances(2);
    world.register_plain("blue", 10, 10);
    world.ok(
        "CreateCapacityProvider",
        json!({
            "name": "mine",
            "autoScalingGroupProvider": {"autoScalingGroupArn":
                "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:u:autoScalingGroupName/g"},
        }),
    );
    world.ok(
        "PutClusterCapacityProviders",
        json!({"cluster": CLUSTER, "capacityProviders": ["mine"], "defaultCapacityProviderStrategy": []}),
    );
    world.provide(instances[1], "mine");
    world.ok("CreateService", external(json!({"desiredCount": 1})));
    let input =
        json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "blue", "scale": percent(100.0)});
    let strategy = json!([{"capacityProvider": "mine", "weight": 1, "base": 0}]);
    world.check_refused(
        "CreateTaskSet",
        with(input.clone(), json!({"launchType": "EC2", "capacityProviderStrategy": strategy})),
        "InvalidParameterException",
        "Specify either Launch Type or Capacity Provider Strategy, but not both.",
    );
    let set = world.ok("CreateTaskSet", with(input, json!({"capacityProviderStrategy": strategy})));
    assert_eq!(set["taskSet"]["capacityProviderStrategy"], strategy);
    assert_eq!(set["taskSet"]["launchType"], Value::Null);
    world.settle();
    let task = world.wanted().pop().expect("its task");
    assert_eq!((task.instance, task.origin.capacity_provider.as_deref()), (Some(instances[1]), Some("mine")));
    world.ok(
        "UpdateServicePrimaryTaskSet",
        json!({"cluster": CLUSTER, "service": "web", "primaryTaskSet": set["taskSet"]["taskSetArn"]}),
    );
    assert_eq!(world.describe_service("web")["capacityProviderStrategy"], strategy);
    let listed = |kind: &str| {
        let list = world.ok("ListServices", json!({"cluster": CLUSTER, "launchType": kind}));
        list["serviceArns"].as_array().map(Vec::len)
    };
    assert_eq!((listed("EC2"), listed("FARGATE")), (Some(1), Some(0)));
    // A provider that a set uses stays, even while the set has no tasks.
    scale(&world, &set["taskSet"]["id"], 0.0);
    world.settle();
    let detach = json!({"cluster": CLUSTER, "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    let (name, _) = world.refused("PutClusterCapacityProviders", detach.clone());
    assert_eq!(name, "ResourceInUseException");
    world.ok("DeleteTaskSet", of_set(&set["taskSet"]["id"], json!({})));
    world.settle();
    world.ok("PutClusterCapacityProviders", detach);
    world.check();
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let world = world(1, 1);
    world.deactivate("green", 1);
    let blue = create(&world, "blue", 0.0);
    let create =
        |others: Value| with(json!({"cluster": CLUSTER, "service": "web", "taskDefinition": "blue"}), others);
    for (others, name, text) in [
        (json!({"cluster": "nope"}), "ClusterNotFoundException", "Cluster not found."),
        (json!({"service": "nope"}), "ServiceNotFoundException", "Service not found."),
        (json!({"taskDefinition": "nope"}), "ClientException", "TaskDefinition not found."),
        (json!({"taskDefinition": "green:1"}), "ClientException", "TaskDefinition is inactive"),
        (
            json!({"scale": percent(100.5)}),
            "InvalidParameterException",
            "The scale of a task set needs a value between 0 and 100 percent.",
        ),
        (
            json!({"externalId": "not a name"}),
            "InvalidParameterException",
            "externalId must have 1 to 255 letters, digits, hyphens and underscores.",
        ),
        (
            json!({"clientToken": "x".repeat(37)}),
            "InvalidParameterException",
            "clientToken must have 1 to 36 printable ASCII characters without spaces.",
        ),
        (
            json!({"serviceRegistries": [{"registryArn": "arn:r"}]}),
            "UnsupportedFeatureException",
            "Longshore does not provide service discovery yet; the service registry cannot be used.",
        ),
        (
            json!({"loadBalancers": [{"containerName": "nope", "containerPort": 1, "targetGroupArn": "arn:tg"}]}),
            "InvalidParameterException",
            "The container nope does not exist in the task definition.",
        ),
        (
            json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            json!({"launchType": "FARGATE"}),
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE.",
        ),
    ] {
        world.check_refused("CreateTaskSet", create(others), name, text);
    }
    let gone = json!("ecs-svc/1000000000000000009");
    for (operation, member, others) in [
        ("UpdateTaskSet", "taskSet", json!({"scale": percent(1.0)})),
        ("DeleteTaskSet", "taskSet", json!({})),
        ("UpdateServicePrimaryTaskSet", "primaryTaskSet", json!({})),
    ] {
        let input = |set: &Value| {
            with(with(json!({"cluster": CLUSTER, "service": "web"}), others.clone()), json!({member: set}))
        };
        world.check_refused(operation, input(&gone), "TaskSetNotFoundException", "TaskSet not found.");
        let foreign = json!(
            "arn:aws:ecs:eu-west-1:123456789012:task-set/deep-dive-cluster/other/ecs-svc/1000000000000000009"
        );
        world.check_refused(operation, input(&foreign), "TaskSetNotFoundException", "TaskSet not found.");
        let unknown = with(input(&blue), json!({"service": "nope"}));
        world.check_refused(operation, unknown, "ServiceNotFoundException", "Service not found.");
        let unknown = with(input(&blue), json!({"cluster": "nope"}));
        world.check_refused(operation, unknown, "ClusterNotFoundException", "Cluster not found.");
    }
    for _ in 0..4 {
        world.ok("CreateTaskSet", create(json!({})));
    }
    world.check_refused(
        "CreateTaskSet",
        create(json!({})),
        "InvalidParameterException",
        "5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit.",
    );
    world.ok("DeleteTaskSet", of_set(&blue, json!({})));
    world.ok("CreateTaskSet", create(json!({})));
    world.check();
}

#[test]
fn draining_an_instance_moves_the_tasks_of_a_set() {
    let (world, instances) = World::with_instances(2);
    world.register_plain("blue", 10, 10);
    world.ok("CreateService", external(json!({"desiredCount": 4})));
    let blue = create(&world, "blue", 100.0);
    world.settle();
    let input = json!({
        "cluster": CLUSTER, "containerInstances": [world.instance_arn(instances[0])], "status": "DRAINING",
    });
    world.ok("UpdateContainerInstancesState", input);
    for _ in 0..6 {
        world.settle();
    }
    assert_eq!(standing(&set(&world, &blue)), "ACTIVE 4/4+0 STEADY_STATE");
    assert!(world.wanted().iter().all(|task| task.instance == Some(instances[1])));
    world.check();
}
