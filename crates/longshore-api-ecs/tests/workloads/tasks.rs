//! Tasks started, stopped, described and listed by hand (ecs-behaviour W15).

use serde_json::{Value, json};

use crate::world::{CLUSTER, World, anonymous};

fn run(count: i32) -> Value {
    json!({"cluster": CLUSTER, "taskDefinition": "job", "count": count})
}

fn with(mut input: Value, members: Value) -> Value {
    for (member, value) in members.as_object().expect("members") {
        input[member] = value.clone();
    }
    input
}

/// Ids of the answer's tasks.
fn ids(answer: &Value) -> Vec<String> {
    let arns = answer["tasks"].as_array().expect("tasks").iter().map(|task| task["taskArn"].as_str());
    arns.map(|arn| arn.expect("an ARN").rsplit('/').next().expect("an id").to_owned()).collect()
}

#[test]
fn a_new_task_has_its_whole_shape() {
    let (world, instances) = World::with_instances(1);
    world.register_plain("job", 10, 20);
    let answer = world.ok("RunTask", run(1));
    assert_eq!(answer["failures"], json!([]));
    let task = &answer["tasks"][0];
    let arn = task["taskArn"].as_str().expect("an ARN");
    let container = task["containers"][0]["containerArn"].as_str().expect("an ARN");
    assert!(container.starts_with(&arn.replace(":task/", ":container/")), "{container}");
    assert_eq!(
        *task,
        json!({
            "attachments": [],
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": "eu-west-1a",
            "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster",
            "containerInstanceArn": world.instance_arn(instances[0]),
            "containers": [{
                "containerArn": container, "taskArn": arn, "name": "main", "image": "busybox",
                "lastStatus": "PENDING", "networkInterfaces": [], "networkBindings": [],
                "healthStatus": "UNKNOWN", "cpu": "10", "memory": "20",
            }],
            "cpu": "10", "memory": "20", "createdAt": 1_700_000_000, "desiredStatus": "RUNNING",
            "enableExecuteCommand": false, "group": "family:job", "lastStatus": "PENDING",
            "launchType": "EC2", "healthStatus": "UNKNOWN",
            "overrides": {"containerOverrides": [{"name": "main"}], "inferenceAcceleratorOverrides": []},
            "tags": [], "taskArn": arn,
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/job:1", "version": 1,
        })
    );
    assert_eq!(world.describe_task(arn), *task);
    world.check();
}

#[test]
fn w15_tasks_run_to_their_end_and_stay_listed() {
    let (world, _) = World::with_instances(2);
    world.register_plain("job", 10, 20);
    let answer = world.ok("RunTask", run(3));
    assert_eq!(ids(&answer).len(), 3);
    let list = |status: &str| {
        let listed = world.ok("ListTasks", json!({"cluster": CLUSTER, "desiredStatus": status}));
        listed["taskArns"].as_array().expect("a list").len()
    };
    assert_eq!((list("RUNNING"), list("PENDING"), list("STOPPED")), (3, 0, 0));
    world.play_agents();
    let running = world.describe_task(&ids(&answer)[0]);
    assert_eq!((&running["lastStatus"], &running["startedAt"]), (&json!("RUNNING"), &json!(1_700_000_000)));
    assert_eq!(running["pullStartedAt"], json!(1_700_000_000.5));
    for task in world.wanted() {
        world.report_stopped(&task, 0);
    }
    world.reconcile();
    assert_eq!((list("RUNNING"), list("STOPPED")), (0, 3));
    let ended = world.describe_task(&ids(&answer)[0]);
    assert_eq!((&ended["lastStatus"], &ended["containers"][0]["exitCode"]), (&json!("STOPPED"), &json!(0)));
    world.check();
}

#[test]
fn what_does_not_fit_is_told_per_instance() {
    let (world, instances) = World::with_instances(2);
    world.register_plain("job", 600, 20);
    let answer = world.ok("RunTask", run(3));
    assert_eq!(ids(&answer).len(), 2, "one on each");
    let failures = answer["failures"].as_array().expect("failures");
    let mut arns: Vec<_> = failures.iter().map(|failure| failure["arn"].as_str().expect("an ARN")).collect();
    arns.sort_unstable();
    let mut expected: Vec<_> = instances.iter().map(|&id| world.instance_arn(id)).collect();
    expected.sort_unstable();
    assert_eq!(arns, expected);
    assert!(failures.iter().all(|failure| failure["reason"] == "RESOURCE:CPU"));

    for id in instances {
        world.connect(id, false);
    }
    let answer = world.ok("RunTask", run(1));
    assert_eq!((&answer["tasks"], &answer["failures"][0]["reason"]), (&json!([]), &json!("AGENT")));
    let member =
        json!({"placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}]});
    let answer = world.ok("RunTask", with(run(1), member));
    assert_eq!(answer["tasks"], json!([]));
    world.check();
}

#[test]
fn a_cluster_without_instances_is_an_error() {
    let world = World::new();
    world.register_plain("job", 10, 20);
    world.check_refused(
        "RunTask",
        run(1),
        "InvalidParameterException",
        "No Container Instances were found in your cluster.",
    );
}

#[test]
fn a_token_answers_the_first_result_again() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 300, 20);
    let call = with(run(4), json!({"clientToken": "t-1"}));
    let first = world.ok("RunTask", call.clone());
    assert_eq!((ids(&first).len(), first["failures"].as_array().map(Vec::len)), (3, Some(1)));
    let sequence = || world.db.peek(|state| state.sequence());
    let before = sequence();
    assert_eq!(world.ok("RunTask", call.clone()), first);
    let arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster";
    assert_eq!(world.ok("RunTask", with(call.clone(), json!({"cluster": arn}))), first);
    assert_eq!(sequence(), before);

    let (status, body) = world.call("RunTask", &with(call.clone(), json!({"count": 1})));
    assert_eq!((status, &body["__type"]), (400, &json!("ConflictException")));
    let arns: Vec<_> =
        first["tasks"].as_array().expect("tasks").iter().map(|t| t["taskArn"].clone()).collect();
    assert_eq!(body["resourceIds"], json!(arns));

    // A call that started nothing may be repeated.
    let full = with(run(1), json!({"clientToken": "t-2"}));
    assert_eq!(world.ok("RunTask", full.clone())["tasks"], json!([]));
    for task in world.wanted() {
        world.report_stopped(&task, 0);
    }
    assert_eq!(ids(&world.ok("RunTask", full)).len(), 1);
    world.check();
}

#[test]
fn tasks_are_started_where_they_are_told() {
    let (world, instances) = World::with_instances(2);
    world.register_plain("job", 10, 600);
    let arn = world.instance_arn(instances[1]);
    let unknown = "0123456789abcdef0123456789abcdef";
    let start =
        json!({"cluster": CLUSTER, "taskDefinition": "job", "containerInstances": [arn, arn, unknown]});
    let answer = world.ok("StartTask", start);
    assert_eq!(ids(&answer).len(), 1);
    assert_eq!(answer["tasks"][0]["containerInstanceArn"], json!(arn));
    let missing = format!("arn:aws:ecs:eu-west-1:123456789012:container-instance/{CLUSTER}/{unknown}");
    assert_eq!(
        answer["failures"],
        json!([{"arn": arn, "reason": "RESOURCE:MEMORY"}, {"arn": missing, "reason": "MISSING"}])
    );
    world.check();
}

#[test]
fn overrides_are_used_and_shown() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 10, 20);
    let overrides = json!({"containerOverrides": [{
        "name": "main", "cpu": 100, "memory": 200, "command": ["true"],
        "environment": [{"name": "A", "value": "b"}],
    }]});
    let answer = world.ok("RunTask", with(run(1), json!({"overrides": overrides})));
    let task = &answer["tasks"][0];
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("100"), &json!("200")));
    assert_eq!(task["overrides"]["containerOverrides"], overrides["containerOverrides"]);
    assert_eq!(task["containers"][0]["memory"], "200");
    let whole = world.ok("RunTask", with(run(1), json!({"overrides": {"cpu": "256", "memory": "0.5 GB"}})));
    assert_eq!((&whole["tasks"][0]["cpu"], &whole["tasks"][0]["memory"]), (&json!("256"), &json!("512")));
    world.check();
}

#[test]
fn tags_of_a_call_win_over_those_of_the_definition() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 10, 20);
    let tagged = json!({
        "propagateTags": "TASK_DEFINITION", "enableECSManagedTags": true,
        "tags": [{"key": "from", "value": "call"}, {"key": "x", "value": "y"}],
    });
    let answer = world.ok("RunTask", with(run(1), tagged));
    assert_eq!(
        answer["tasks"][0]["tags"],
        json!([
            {"key": "aws:ecs:clusterName", "value": CLUSTER},
            {"key": "from", "value": "call"},
            {"key": "x", "value": "y"},
        ])
    );
}

#[test]
fn a_disconnected_instance_shows_in_its_tasks() {
    let (world, instances) = World::with_instances(1);
    world.register_plain("job", 10, 20);
    let id = ids(&world.ok("RunTask", run(1))).remove(0);
    assert_eq!(world.describe_task(&id)["connectivity"], Value::Null);
    world.play_agents();
    assert_eq!(world.describe_task(&id)["connectivity"], "CONNECTED");
    world.advance(std::time::Duration::from_secs(5));
    world.connect(instances[0], false);
    let task = world.describe_task(&id);
    assert_eq!(
        (&task["connectivity"], &task["connectivityAt"]),
        (&json!("DISCONNECTED"), &json!(1_700_000_005))
    );
    assert_eq!((&task["lastStatus"], &task["healthStatus"]), (&json!("RUNNING"), &json!("UNKNOWN")));
    let stopped = world.ok("StopTask", json!({"cluster": CLUSTER, "task": id, "reason": "enough"}));
    let task = &stopped["task"];
    assert_eq!((&task["lastStatus"], &task["stoppedReason"]), (&json!("RUNNING"), &json!("enough")));
    let again = world.ok("StopTask", json!({"cluster": CLUSTER, "task": id, "reason": "other"}));
    assert_eq!(again["task"], *task, "the first reason stays");
}

#[test]
fn lists_are_filtered_and_paged() {
    let (world, instances) = World::with_instances(3);
    world.register_plain("job", 1, 6);
    world.register_plain("other", 1, 6);
    for _ in 0..12 {
        world.ok("RunTask", with(run(10), json!({"startedBy": "me"})));
    }
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "other", "startedBy": "you"}));
    let list = |filter: Value| {
        let (mut seen, mut token, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let mut input = with(json!({"cluster": CLUSTER}), filter.clone());
            if !token.is_null() {
                input["nextToken"] = token;
            }
            let mut page = world.ok("ListTasks", input);
            seen.extend(page["taskArns"].as_array().expect("a list").iter().map(ToString::to_string));
            token = page["nextToken"].take();
            pages += 1;
            if token.is_null() {
                break;
            }
        }
        let count = seen.len();
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen.len(), count);
        (count, pages)
    };
    assert_eq!(list(json!({})), (121, 2));
    assert_eq!(list(json!({"maxResults": 50})), (121, 3));
    assert_eq!(list(json!({"family": "other"})), (1, 1));
    assert_eq!(list(json!({"startedBy": "me"})), (120, 2));
    assert_eq!(list(json!({"startedBy": "me", "family": "other"})), (0, 1));
    assert_eq!(list(json!({"launchType": "EC2"})), (121, 2));
    assert_eq!(list(json!({"launchType": "FARGATE"})), (0, 1));
    let on: Vec<_> =
        instances.iter().map(|&id| list(json!({"containerInstance": world.instance_arn(id)})).0).collect();
    assert_eq!(on.iter().sum::<usize>(), 121);
}

#[test]
fn a_task_that_is_not_there_is_missing() {
    let world = World::new();
    let id = "0123456789abcdef0123456789abcdef";
    let arn = format!("arn:aws:ecs:eu-west-1:123456789012:task/{CLUSTER}/{id}");
    let elsewhere = format!("arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{id}");
    let answer = world.ok("DescribeTasks", json!({"cluster": CLUSTER, "tasks": [id, arn, elsewhere, "x"]}));
    let missing = |arn: &str| json!({"arn": arn, "reason": "MISSING"});
    let x = format!("arn:aws:ecs:eu-west-1:123456789012:task/{CLUSTER}/x");
    assert_eq!(answer["failures"], json!([missing(&arn), missing(&arn), missing(&elsewhere), missing(&x)]));
    assert_eq!(answer["tasks"], json!([]));
}

#[test]
fn containers_are_told_where_they_run() {
    let (world, _) = World::with_instances(1);
    let told = |environment: Value| {
        let container = json!({"name": "c", "image": "i", "memory": 10, "environment": environment});
        world.register(json!({"family": "told", "containerDefinitions": [container]}));
        let answer = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "told"}));
        let id = ids(&answer).remove(0);
        let task = world.tasks().into_iter().find(|task| task.id.to_string() == id).expect("it was made");
        let sent = world.db.peek(|state| {
            longshore_controllers::payload::payload(
                state,
                &world.at(),
                &task,
                world.now(),
                longshore_base::Seed::new(0),
            )
        });
        sent.expect("its definition is there").containers[0].environment.0["AWS_EXECUTION_ENV"].clone()
    };
    assert_eq!(told(json!([])), "AWS_ECS_EC2");
    assert_eq!(
        told(json!([{"name": "AWS_EXECUTION_ENV", "value": "test"}])),
        "test",
        "a definition may say otherwise"
    );
}

#[test]
fn protection_is_for_tasks_of_services() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 10, 20);
    let alone = ids(&world.ok("RunTask", run(1))).remove(0);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "s", "taskDefinition": "job", "desiredCount": 2}),
    );
    world.settle();
    let own: Vec<_> = world.wanted().into_iter().filter(|task| task.origin.service.is_some()).collect();
    let kept = own[0].id.to_string();
    let update = json!({"cluster": CLUSTER, "tasks": [kept, alone, "x"], "protectionEnabled": true});
    let answer = world.ok("UpdateTaskProtection", update);
    let until = world.now().as_seconds_f64() + 7200.0;
    assert_eq!(answer["protectedTasks"][0]["protectionEnabled"], true);
    assert_eq!(answer["protectedTasks"][0]["expirationDate"].as_f64(), Some(until));
    let reasons: Vec<_> =
        answer["failures"].as_array().expect("failures").iter().map(|f| f["reason"].clone()).collect();
    assert_eq!(reasons, ["TASK_NOT_VALID", "MISSING"]);

    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "s", "desiredCount": 0}));
    world.settle();
    let left: Vec<_> = world.wanted().into_iter().filter(|task| task.origin.service.is_some()).collect();
    assert_eq!(left.iter().map(|task| task.id.to_string()).collect::<Vec<_>>(), std::slice::from_ref(&kept));
    let get = json!({"cluster": CLUSTER, "tasks": [kept]});
    assert_eq!(world.ok("GetTaskProtection", get.clone())["protectedTasks"][0]["protectionEnabled"], true);
    world.advance(std::time::Duration::from_secs(7200));
    let expired = world.ok("GetTaskProtection", get.clone());
    assert_eq!(expired["protectedTasks"][0]["protectionEnabled"], false);
    assert_eq!(expired["protectedTasks"][0]["expirationDate"], Value::Null);
    world.settle();
    assert_eq!(world.ok("GetTaskProtection", get)["failures"][0]["reason"], "TASK_NOT_VALID");
    world.check();
}

/// A world with providers `a` and `b`, an instance each, and `c` without any.
fn world_with_providers() -> World {
    let (world, instances) = World::with_instances(2);
    world.register_plain("job", 10, 20);
    let group = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:x:autoScalingGroupName/x";
    for name in ["a", "b", "c"] {
        world.ok(
            "CreateCapacityProvider",
            json!({
                "name": format!("pool-{name}"), "autoScalingGroupProvider": {"autoScalingGroupArn": group},
            }),
        );
    }
    world.ok(
        "PutClusterCapacityProviders",
        json!({
            "cluster": CLUSTER, "capacityProviders": ["pool-a", "pool-b", "pool-c"],
            "defaultCapacityProviderStrategy": [{"capacityProvider": "pool-a", "weight": 1}],
        }),
    );
    world.provide(instances[0], "pool-a");
    world.provide(instances[1], "pool-b");
    world
}

#[test]
fn capacity_providers_take_their_turns() {
    let world = world_with_providers();
    let strategy = json!({"capacityProviderStrategy": [
        {"capacityProvider": "pool-a", "base": 2, "weight": 1}, {"capacityProvider": "pool-b", "weight": 3},
    ]});
    let answer = world.ok("RunTask", with(run(10), strategy));
    let of = |answer: &Value, name: &str| {
        let tasks = answer["tasks"].as_array().expect("tasks");
        tasks.iter().filter(|task| task["capacityProviderName"] == name).count()
    };
    assert_eq!((of(&answer, "pool-a"), of(&answer, "pool-b")), (4, 6));
    let answer = world.ok("RunTask", run(2));
    assert_eq!(of(&answer, "pool-a"), 2, "the cluster's default");
    let empty = json!({"capacityProviderStrategy": [{"capacityProvider": "pool-c", "weight": 1}]});
    let answer = world.ok("RunTask", with(run(1), empty));
    let arn = "arn:aws:ecs:eu-west-1:123456789012:capacity-provider/pool-c";
    assert_eq!(answer["failures"], json!([{"arn": arn, "reason": "EMPTY CAPACITY PROVIDER"}]));
    world.check();
}

#[test]
fn a_service_changes_between_providers_and_its_launch_type() {
    let world = world_with_providers();
    let create = |name: &str, capacity: Value| {
        let service =
            json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": "job", "desiredCount": 1});
        world.ok("CreateService", with(service, capacity))["service"].take()
    };
    let default = create("s", json!({}));
    assert_eq!(default["launchType"], Value::Null);
    let strategy = json!([{"base": 0, "capacityProvider": "pool-a", "weight": 1}]);
    assert_eq!(default["capacityProviderStrategy"], strategy);
    world.check_refused(
        "UpdateService",
        json!({"cluster": CLUSTER, "service": "s", "capacityProviderStrategy": []}),
        "InvalidParameterException",
        "No launch type to fall back to for empty capacity provider strategy. Your service was not created with \
         a launch type.",
    );
    create("l", json!({"launchType": "EC2"}));
    let update = |strategy: &Value| {
        let input = json!({"cluster": CLUSTER, "service": "l", "capacityProviderStrategy": strategy});
        world.ok("UpdateService", input)["service"].take()
    };
    let updated = update(&strategy);
    assert_eq!((&updated["capacityProviderStrategy"], &updated["launchType"]), (&strategy, &Value::Null));
    assert_eq!(updated["deployments"].as_array().map(Vec::len), Some(2), "it is a new deployment");
    assert_eq!(update(&json!([]))["launchType"], "EC2");
    world.settle();
    assert_eq!(world.describe_service("l")["runningCount"], 1);
    world.check();
}

#[test]
fn ids_are_made_equal_for_comparison() {
    assert_eq!(anonymous("task 0123456789abcdef0123456789abcdef of 3"), "task ID of 3");
}
