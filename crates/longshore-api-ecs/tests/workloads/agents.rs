//! What agents report (agent-protocol G8).

use longshore_controllers::{Settings, link, upkeep};
use longshore_link::message::PublishInstanceStatus;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

/// A task with an essential container `app` and another one, `side`.
fn two_containers(world: &World) -> String {
    world.register(json!({
        "family": "pair",
        "containerDefinitions": [
            {"name": "app", "image": "tomcat", "memory": 50},
            {"name": "side", "image": "memcached", "memory": 50, "essential": false},
        ],
    }));
    let answer = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "pair"}));
    answer["tasks"][0]["taskArn"].as_str().expect("an ARN").to_owned()
}

fn report(world: &World, task: &str, status: &str, containers: Value) {
    let answer = world.ok(
        "SubmitTaskStateChange",
        json!({
            "cluster": CLUSTER, "task": task, "status": status, "reason": "", "containers": containers,
        }),
    );
    assert_eq!(answer, json!({"acknowledgment": "ACK"}));
}

#[test]
fn w17_only_the_essential_container_ends_the_task() {
    let (world, _) = World::with_instances(1);
    let task = two_containers(&world);
    let both = json!([
        {"containerName": "app", "status": "RUNNING", "runtimeId": "aa"},
        {"containerName": "side", "status": "RUNNING", "runtimeId": "bb"},
    ]);
    report(&world, &task, "RUNNING", both);
    report(&world, &task, "RUNNING", json!([{"containerName": "side", "status": "STOPPED", "exitCode": 1}]));
    let shown = world.describe_task(&task);
    assert_eq!((&shown["lastStatus"], &shown["desiredStatus"]), (&json!("RUNNING"), &json!("RUNNING")));
    let side = &shown["containers"][1];
    assert_eq!((&side["lastStatus"], &side["exitCode"]), (&json!("STOPPED"), &json!(1)));
    report(&world, &task, "STOPPED", json!([{"containerName": "app", "status": "STOPPED", "exitCode": 0}]));
    assert_eq!(world.describe_task(&task)["stopCode"], "EssentialContainerExited");
    world.check();
}

#[test]
fn reports_are_repeated_and_come_late_without_harm() {
    let (world, _) = World::with_instances(1);
    let task = two_containers(&world);
    let running = json!([{"containerName": "app", "status": "RUNNING", "runtimeId": "aa"}]);
    let stopped = json!([{"containerName": "app", "status": "STOPPED", "runtimeId": "aa", "exitCode": 137,
        "reason": "OutOfMemoryError: Container killed due to memory usage"}]);
    report(&world, &task, "RUNNING", running.clone());
    report(&world, &task, "STOPPED", stopped.clone());
    let ended = world.describe_task(&task);
    assert_eq!(ended["containers"][0]["reason"], "OutOfMemoryError: Container killed due to memory usage");
    let sequence = world.db.peek(|state| state.sequence());
    report(&world, &task, "STOPPED", stopped);
    report(&world, &task, "RUNNING", running);
    assert_eq!(world.describe_task(&task), ended);
    assert_eq!(world.db.peek(|state| state.sequence()), sequence);
    world.check();
}

#[test]
fn an_image_that_cannot_be_pulled_is_the_reason() {
    let (world, _) = World::with_instances(1);
    let task = two_containers(&world);
    let reason = "CannotPullContainerError: pull access denied for nothing";
    let failed = json!([{"containerName": "app", "status": "STOPPED", "reason": reason}]);
    report(&world, &task, "STOPPED", failed);
    let shown = world.describe_task(&task);
    assert_eq!((&shown["stopCode"], &shown["stoppedReason"]), (&json!("TaskFailedToStart"), &json!(reason)));
    assert_eq!((&shown["startedAt"], &shown["containers"][0]["exitCode"]), (&Value::Null, &Value::Null));
}

#[test]
fn older_agents_report_containers() {
    let (world, _) = World::with_instances(1);
    let task = two_containers(&world);
    world.ok("SubmitContainerStateChange", json!({
        "cluster": CLUSTER, "task": task, "containerName": "app", "status": "RUNNING", "runtimeId": "aa",
        "networkBindings": [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "udp"}],
    }));
    let container = world.describe_task(&task)["containers"][0].take();
    assert_eq!(container["lastStatus"], "RUNNING");
    assert_eq!(
        container["networkBindings"],
        json!([{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "udp"}])
    );
}

#[test]
fn what_can_never_be_accepted_is_an_invalid_parameter() {
    let (world, _) = World::with_instances(1);
    let task = two_containers(&world);
    let id = "0123456789abcdef0123456789abcdef";
    let attachment =
        json!([{"attachmentArn": "arn:aws:ecs:eu-west-1:123456789012:attachment/x", "status": "ATTACHED"}]);
    for (operation, input) in [
        ("SubmitTaskStateChange", json!({"cluster": CLUSTER, "task": id, "status": "RUNNING"})),
        ("SubmitTaskStateChange", json!({"cluster": "gone", "task": id, "status": "RUNNING"})),
        ("SubmitTaskStateChange", json!({"cluster": CLUSTER, "task": "x y", "status": "RUNNING"})),
        ("SubmitTaskStateChange", json!({"cluster": CLUSTER, "task": task, "attachments": attachment})),
        ("SubmitContainerStateChange", json!({"cluster": CLUSTER, "task": id, "status": "RUNNING"})),
        ("SubmitAttachmentStateChanges", json!({"cluster": CLUSTER, "attachments": attachment})),
    ] {
        assert_eq!(world.refused(operation, input).0, "InvalidParameterException", "{operation}");
    }
    // The server's own states mean nothing from outside.
    for word in ["DEPROVISIONING", "ACTIVATING", "nonsense"] {
        report(&world, &task, word, json!([]));
        assert_eq!(world.describe_task(&task)["lastStatus"], "PENDING", "{word}");
    }
}

/// A record that the store refuses ends the process, so reports must not make a task grow without a bound.
#[test]
fn of_reports_only_so_much_is_kept() {
    let (world, _) = World::with_instances(1);
    let task = two_containers(&world);
    let long = "ü".repeat(450_000);
    let empty = vec![json!({}); 10_000];
    for name in ["app", "side"] {
        for member in ["reason", "runtimeId", "imageDigest"] {
            let container = json!([{"containerName": name, "status": "RUNNING", member: long}]);
            report(&world, &task, "RUNNING", container);
        }
        report(&world, &task, "RUNNING", json!([{"containerName": name, "networkBindings": empty}]));
        let binding = json!([{"bindIP": long, "containerPort": 80, "hostPort": 80}]);
        report(&world, &task, "RUNNING", json!([{"containerName": name, "networkBindings": binding}]));
    }
    let stop =
        json!({"cluster": CLUSTER, "task": task, "status": "STOPPED", "reason": long, "containers": []});
    world.ok("SubmitTaskStateChange", stop);
    let shown = world.describe_task(&task);
    let characters = |value: &Value| value.as_str().map(|text| text.chars().count());
    assert_eq!(characters(&shown["stoppedReason"]), Some(1024));
    for container in shown["containers"].as_array().expect("a list") {
        assert_eq!(characters(&container["reason"]), Some(1024));
        assert_eq!(characters(&container["runtimeId"]), Some(255));
        assert_eq!(characters(&container["imageDigest"]), Some(255));
        assert_eq!(characters(&container["networkBindings"][0]["bindIP"]), Some(64));
    }
    world.check();
}

/// A hundred tasks end in one transaction, whatever their tags are; a commit that the store refuses would end the
/// process, and the next one after its start.
#[test]
fn a_hundred_tasks_with_the_longest_tags_end_at_once() {
    let world = World::new();
    let instance = world.add_instance("a", 100_000, 100_000);
    world.connect(instance, true);
    world.register_plain("tagged", 1, 6);
    let text = |first: usize, length: usize| format!("{first:02}{}", "ü".repeat(length - 2));
    let tags: Vec<Value> = (0..50).map(|n| json!({"key": text(n, 128), "value": text(n, 256)})).collect();
    for _ in 0..10 {
        let run = json!({"cluster": CLUSTER, "taskDefinition": "tagged", "count": 10, "tags": tags});
        assert_eq!(world.ok("RunTask", run)["tasks"].as_array().map(Vec::len), Some(10));
    }
    let gone = json!({"cluster": CLUSTER, "containerInstance": world.instance_arn(instance), "force": true});
    world.ok("DeregisterContainerInstance", gone);
    // What one commit does not hold, the next sweeps do.
    let ended = || world.tasks().iter().filter(|task| task.last_status.is_stopped()).count();
    assert!((1..100).contains(&ended()), "{}", ended());
    let sweep = || {
        world
            .db
            .submit(|tx| Ok::<_, ()>(upkeep::sweep(tx, &Settings::default())))
            .expect("the database is well")
            .0
    };
    for _ in 0..20 {
        assert!(sweep().is_ok());
    }
    assert!(world.tasks().iter().all(|task| task.last_status.is_stopped()));
    world.check();
}

#[test]
fn what_an_agent_says_of_its_machine_is_shown() {
    let (world, instances) = World::with_instances(1);
    let at = world.at().instance(instances[0]);
    let say = |status: &str, changed: f64, updated: f64| {
        let published: PublishInstanceStatus = serde_json::from_value(json!({
            "metadata": {},
            "statuses": [
                {"type": "ContainerRuntime", "status": status, "lastUpdated": updated, "lastStatusChange": changed},
                {"type": "SomethingNew", "status": "OK"},
            ],
            "timestamp": updated,
        }))
        .expect("a message");
        let now = world.now();
        let said = world
            .db
            .submit(|tx| {
                link::instance_health(tx, &at, &published, now);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        said.0.expect("nothing refuses it");
    };
    let shown = || {
        let input = json!({
            "cluster": CLUSTER,
            "containerInstances": [world.instance_arn(instances[0])],
            "include": ["CONTAINER_INSTANCE_HEALTH"],
        });
        world.ok("DescribeContainerInstances", input)["containerInstances"][0]["healthStatus"].clone()
    };
    assert_eq!(shown(), json!({"overallStatus": "INSUFFICIENT_DATA", "details": []}));
    say("OK", 1000.5, 1010.5);
    let ok = json!({"type": "CONTAINER_RUNTIME", "status": "OK", "lastUpdated": 1010.5, "lastStatusChange": 1000.5});
    assert_eq!(shown(), json!({"overallStatus": "OK", "details": [ok]}));
    let sequence = || world.db.peek(|state| state.sequence());
    let before = sequence();
    say("OK", 1000.5, 1030.0);
    assert_eq!(sequence(), before, "a mere confirmation is written down only now and then");
    say("OK", 1000.5, 1400.5);
    assert_eq!(shown()["details"][0]["lastUpdated"], 1400.5);
    say("IMPAIRED", 1410.0, 1410.0);
    assert_eq!(shown()["overallStatus"], "IMPAIRED");
    world.connect(instances[0], false);
    assert_eq!(shown()["overallStatus"], "INSUFFICIENT_DATA");
    assert_eq!(shown()["details"][0]["status"], "IMPAIRED");
    world.check();
}
