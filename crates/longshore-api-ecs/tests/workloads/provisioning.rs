//! Tasks that wait for an instance of a capacity provider with managed scaling (ecs-services E12).

use std::time::Duration;

use longshore_controllers::{Settings, provisioning, upkeep};
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

impl World {
    fn attach_provider(&self, scaling: &str) {
        let group = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/g";
        self.ok(
            "CreateCapacityProvider",
            json!({"name": "own", "autoScalingGroupProvider": {
                "autoScalingGroupArn": group, "managedScaling": {"status": scaling},
            }}),
        );
        self.ok(
            "PutClusterCapacityProviders",
            json!({
                "cluster": CLUSTER, "capacityProviders": ["own"],
                "defaultCapacityProviderStrategy": [{"capacityProvider": "own", "weight": 1}],
            }),
        );
    }

    fn place_waiting(&self) {
        let at = self.at();
        let (more, _) =
            self.db.submit(|tx| Ok::<_, ()>(provisioning::place(tx, &at))).expect("the database is well");
        assert_eq!(more, Ok(false));
    }

    fn statuses(&self) -> Vec<String> {
        let mut statuses: Vec<_> =
            self.tasks().iter().map(|task| task.last_status.as_str().to_owned()).collect();
        statuses.sort();
        statuses
    }
}

fn run(count: u32) -> Value {
    json!({"cluster": CLUSTER, "taskDefinition": "job", "count": count})
}

#[test]
fn tasks_wait_until_an_instance_joins() {
    let (world, instances) = World::with_instances(1);
    world.register_plain("job", 400, 100);
    world.attach_provider("ENABLED");
    let answer = world.ok("RunTask", run(3));
    assert_eq!(answer["failures"], json!([]));
    let tasks = answer["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 3);
    for task in tasks {
        assert_eq!(
            (&task["lastStatus"], &task["desiredStatus"]),
            (&json!("PROVISIONING"), &json!("RUNNING"))
        );
        assert_eq!((&task["capacityProviderName"], &task["launchType"]), (&json!("own"), &json!("EC2")));
        assert_eq!(task["containerInstanceArn"], Value::Null);
    }
    world.place_waiting();
    assert_eq!(world.statuses(), ["PROVISIONING"; 3], "the instance is no provider's");
    world.check();

    world.provide(instances[0], "own");
    world.place_waiting();
    assert_eq!(world.statuses(), ["PENDING", "PENDING", "PROVISIONING"], "it has room for two");
    world.settle();
    world.place_waiting();
    assert_eq!(world.statuses(), ["PROVISIONING", "RUNNING", "RUNNING"]);
    // The end of one makes room for the next.
    let first = world.tasks().into_iter().find(|task| task.last_status.is_running()).expect("a task");
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": first.id.to_string()}));
    world.settle();
    world.place_waiting();
    assert_eq!(world.statuses(), ["PENDING", "RUNNING", "STOPPED"]);
    world.check();
}

#[test]
fn without_managed_scaling_the_failure_is_answered() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 400, 100);
    world.attach_provider("DISABLED");
    let answer = world.ok("RunTask", run(1));
    assert_eq!(
        (&answer["tasks"], &answer["failures"][0]["reason"]),
        (&json!([]), &json!("EMPTY CAPACITY PROVIDER"))
    );
}

#[test]
fn rules_of_the_call_still_hold_when_a_place_is_found() {
    let (world, instances) = World::with_instances(2);
    world.register_plain("job", 10, 10);
    world.attach_provider("ENABLED");
    let mut apart = run(3);
    apart["placementConstraints"] = json!([{"type": "distinctInstance"}]);
    world.ok("RunTask", apart);
    for instance in &instances {
        world.provide(*instance, "own");
    }
    world.place_waiting();
    assert_eq!(world.statuses(), ["PENDING", "PENDING", "PROVISIONING"]);
    world.check();
}

#[test]
fn who_waits_can_be_stopped_and_does_not_wait_for_ever() {
    let world = World::new();
    world.register_plain("job", 400, 100);
    world.attach_provider("ENABLED");
    let answer = world.ok("RunTask", run(2));
    let arn = |n: usize| answer["tasks"][n]["taskArn"].as_str().expect("an ARN").to_owned();
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": arn(0)}));
    let stopped = world.describe_task(&arn(0));
    assert_eq!((&stopped["lastStatus"], &stopped["stopCode"]), (&json!("STOPPED"), &json!("UserInitiated")));

    let sweep = || {
        let (more, _) = world
            .db
            .submit(|tx| Ok::<_, ()>(upkeep::sweep(tx, &Settings::default())))
            .expect("the database is well");
        assert_eq!(more, Ok(false));
    };
    world.advance(Duration::from_secs(10 * 60));
    sweep();
    assert_eq!(world.describe_task(&arn(1))["lastStatus"], "PROVISIONING");
    world.advance(Duration::from_secs(10 * 60));
    sweep();
    let expired = world.describe_task(&arn(1));
    assert_eq!(
        (&expired["lastStatus"], &expired["stopCode"]),
        (&json!("STOPPED"), &json!("TaskFailedToStart"))
    );
    assert_eq!(expired["stoppedReason"], "TaskFailedToStart: EMPTY CAPACITY PROVIDER");
    world.check();
}
