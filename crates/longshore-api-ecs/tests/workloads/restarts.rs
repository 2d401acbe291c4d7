//! What a new leader makes of what the last one left: agents that are expected back, and ends that no plan has counted.

use std::time::Duration;

use longshore_base::{InstanceId, Seed};
use longshore_controllers::{Settings, link, upkeep};
use longshore_link::upgrade::AcsQuery;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

fn run() -> Value {
    json!({"cluster": CLUSTER, "taskDefinition": "web"})
}

fn sweep(world: &World) {
    while world
        .db
        .submit(|tx| Ok::<_, ()>(upkeep::sweep(tx, &Settings::default())))
        .expect("the database is well")
        .0
        .expect("nothing refuses it")
    {}
}

fn instance(world: &World, id: InstanceId) -> Value {
    let asked = json!({"cluster": CLUSTER, "containerInstances": [id.to_string()]});
    world.ok("DescribeContainerInstances", asked)["containerInstances"][0].take()
}

/// Its agent opens a command channel.
fn agent_comes(world: &World, id: InstanceId) {
    let at = world.at().instance(id);
    let (connection, _) = world
        .db
        .submit(|tx| Ok::<_, ()>(link::connected(tx, &at, &AcsQuery::default(), Seed::new(1))))
        .expect("the database is well");
    assert!(connection.expect("nothing refuses it").is_some());
}

const AWAITED: &str = "Its agent was connected until the server restarted, and is not back yet.";

#[test]
fn an_agent_that_was_connected_is_expected_back_for_a_minute() {
    let (mut world, ids) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    world.ok("RunTask", run());
    let old = world.tasks().remove(0);
    world.report_running(&old);
    world.advance(Duration::from_secs(3600));
    world.restart();
    assert_eq!(
        world.ok("RunTask", run())["failures"],
        json!([]),
        "no AGENT because a server was started anew"
    );
    let new = world.tasks().into_iter().find(|task| task.id != old.id).expect("it was placed");
    let shown = instance(&world, ids[0]);
    assert_eq!((&shown["agentConnected"], &shown["statusReason"]), (&json!(true), &json!(AWAITED)));
    world.advance(Duration::from_secs(59));
    sweep(&world);
    assert_eq!(instance(&world, ids[0])["agentConnected"], true);
    // It does not come: it is away since the restart, and what nobody was ever told of ends.
    world.advance(Duration::from_secs(1));
    sweep(&world);
    let shown = instance(&world, ids[0]);
    assert_eq!((&shown["agentConnected"], &shown["statusReason"]), (&json!(false), &Value::Null));
    let task = world.describe_task(&new.id.to_string());
    assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("TerminationNotice")));
    assert_eq!(world.describe_task(&old.id.to_string())["lastStatus"], "RUNNING");
    assert_eq!(world.ok("RunTask", run())["failures"][0]["reason"], "AGENT");
    // What may run there has as long as ever.
    world.advance(Duration::from_secs(239));
    sweep(&world);
    assert_eq!(world.describe_task(&old.id.to_string())["lastStatus"], "RUNNING");
    world.advance(Duration::from_secs(1));
    sweep(&world);
    assert_eq!(world.describe_task(&old.id.to_string())["lastStatus"], "STOPPED");
    world.check();
}

#[test]
fn an_agent_that_comes_back_keeps_what_was_placed_meanwhile() {
    let (mut world, ids) = World::with_instances(2);
    world.register_plain("web", 10, 10);
    world.restart();
    let placed = json!({"cluster": CLUSTER, "taskDefinition": "web", "count": 4,
        "placementStrategy": [{"type": "spread", "field": "instanceId"}]});
    world.ok("RunTask", placed);
    agent_comes(&world, ids[0]);
    assert_eq!(instance(&world, ids[0])["statusReason"], Value::Null);
    // Again, before the minute is over: the next one begins anew to wait, and only for who was there.
    world.restart();
    world.connect(ids[1], false);
    agent_comes(&world, ids[0]);
    world.advance(Duration::from_secs(3600));
    sweep(&world);
    let shown = [0, 1].map(|n| instance(&world, ids[n])["agentConnected"].clone());
    assert_eq!(shown, [json!(true), json!(false)]);
    let stopped: Vec<_> = world.tasks().into_iter().filter(|task| task.last_status.is_stopped()).collect();
    assert!(stopped.iter().all(|task| task.instance == Some(ids[1])), "{stopped:?}");
    assert_eq!(stopped.len(), 2, "they were on an instance that was lost");
    world.check();
}

#[test]
fn an_agent_that_left_in_order_is_not_expected() {
    let (mut world, ids) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    world.connect(ids[0], false);
    world.restart();
    let shown = instance(&world, ids[0]);
    assert_eq!((&shown["agentConnected"], &shown["statusReason"]), (&json!(false), &Value::Null));
    assert_eq!(world.ok("RunTask", run())["failures"][0]["reason"], "AGENT");
}

#[test]
fn a_service_replaces_what_was_placed_on_an_instance_that_does_not_come_back() {
    let (mut world, ids) = World::with_instances(2);
    world.register_plain("web", 10, 10);
    world.restart();
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web",
        "desiredCount": 4, "placementStrategy": [{"type": "spread", "field": "instanceId"}]}),
    );
    world.reconcile();
    agent_comes(&world, ids[0]);
    world.advance(Duration::from_secs(60));
    sweep(&world);
    world.reconcile();
    let wanted = world.wanted();
    assert_eq!(wanted.len(), 4);
    assert!(wanted.iter().all(|task| task.instance == Some(ids[0])), "{wanted:?}");
    assert_eq!(world.describe_service("web")["deployments"][0]["failedTasks"], 0, "nobody failed");
    world.check();
}

#[test]
fn an_end_is_counted_once_whoever_leads() {
    let (mut world, _) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web",
        "desiredCount": 1, "deploymentConfiguration":
            {"deploymentCircuitBreaker": {"enable": true, "rollback": false}}}),
    );
    let failed = |world: &World| world.describe_service("web")["deployments"][0]["failedTasks"].clone();
    for count in 1..=2 {
        world.advance(Duration::from_secs(600));
        world.reconcile();
        let task = world.wanted().remove(0);
        let failed_to_start = json!([{"containerName": "main", "status": "STOPPED",
            "reason": "CannotPullContainerError: no such image"}]);
        world.ok("SubmitTaskStateChange", json!({
            "cluster": CLUSTER, "task": world.task_arn(&task), "status": "STOPPED", "containers": failed_to_start,
        }));
        // Nobody has looked yet.
        assert_eq!(failed(&world), count - 1);
        world.restart();
        world.reconcile();
        assert_eq!(failed(&world), count, "it ended just before another took over");
        world.restart();
        world.reconcile();
        assert_eq!(failed(&world), count, "it was counted");
        world.check();
    }
}

/// One that begins does not count what another of its name has left.
#[test]
fn a_service_counts_its_own_ends_only() {
    let (world, _) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    let create =
        json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 1});
    world.ok("CreateService", create.clone());
    world.reconcile();
    let task = world.wanted().remove(0);
    world.ok("DeleteService", json!({"cluster": CLUSTER, "service": "web", "force": true}));
    world.reconcile();
    world.report_stopped(&task, 1);
    world.reconcile();
    world.ok("CreateService", create);
    let counted = world.db.peek(|state| {
        use longshore_tables_ecs::EcsState;
        let name = longshore_base::ServiceName::parse("web").expect("a name");
        state.ecs().service(&world.at().service(&name)).map(|entry| entry.newly_stopped().count())
    });
    assert_eq!(counted, Some(0));
}
