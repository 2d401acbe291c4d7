//! Secrets that change while tasks run with them (identity J12, decision 51).

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

const SECOND: Duration = Duration::from_secs(1);

/// A service of two tasks with a secret each of which runs in version 1; `tags` is what the service has.
fn running(tags: Value) -> World {
    let world = World::with_secrets(&["/token", "/other"]);
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "tags": tags,
        }),
    );
    world.advance(SECOND);
    world.reconcile();
    give(&world, "1", "1");
    world.settle();
    world
}

fn opted_in() -> World {
    running(json!([{"key": "longshore:redeploy-on-secret-change", "value": "true"}]))
}

/// All tasks that are not RUNNING are from now on, with these versions.
fn give(world: &World, token: &str, other: &str) {
    for task in world.wanted().iter().filter(|task| !task.last_status.is_running()) {
        world.report_given(task, &[("/token", token), ("/other", other), ("/not-its-own", "9")]);
    }
}

fn deployments(world: &World) -> usize {
    world.describe_service("web")["deployments"].as_array().expect("a list").len()
}

/// Sweeps after each second.
fn pass(world: &World, seconds: u32) {
    for _ in 0..seconds {
        world.advance(SECOND);
        world.sweep();
    }
}

#[test]
fn a_task_remembers_the_versions_that_its_definition_names() {
    let world = opted_in();
    for task in world.wanted() {
        let given = task.secrets.as_ref().expect("its agent told");
        let told: Vec<_> = given.0.iter().map(|own| (&*own.value_from, &*own.version)).collect();
        assert_eq!(told, [("/other", "1"), ("/token", "1")]);
    }
    world.check();
}

#[test]
fn a_service_that_asks_for_it_is_deployed_anew_once_per_change() {
    let mut world = opted_in();
    pass(&world, 20);
    assert_eq!(deployments(&world), 1, "nothing has changed");

    // Two secrets within some seconds make one deployment, when both have settled.
    world.put_parameter("/token", 2);
    pass(&world, 3);
    world.put_parameter("/other", 2);
    pass(&world, 4);
    assert_eq!(deployments(&world), 1);
    pass(&world, 1);
    assert_eq!(deployments(&world), 2);
    let why = "(service web) has begun a new deployment because secrets of its running tasks have changed: ";
    let events = world.events("web");
    assert!(events.iter().any(|event| *event == format!("{why}/other, /token.")), "{events:?}");

    // Neither time, nor a restart, nor an agent that still tells the old versions makes another one.
    pass(&world, 20);
    world.restart();
    world.allow_guests();
    pass(&world, 20);
    world.reconcile();
    give(&world, "1", "1");
    pass(&world, 20);
    world.reconcile();
    let of_secrets = |world: &World| {
        world.events("web").iter().filter(|event| event.contains("secrets of its running tasks")).count()
    };
    assert_eq!(of_secrets(&world), 1);

    // What comes next is a change of its own.
    world.put_parameter("/token", 3);
    pass(&world, 6);
    assert_eq!(of_secrets(&world), 2);
    world.check();
}

#[test]
fn a_change_survives_the_restart_before_its_deployment() {
    let mut world = opted_in();
    world.put_parameter("/token", 2);
    world.advance(SECOND);
    world.restart();
    pass(&world, 5);
    assert_eq!(deployments(&world), 2);
}

#[test]
fn nobody_else_is_deployed_anew() {
    for tags in [
        json!([]),
        json!([{"key": "longshore:redeploy-on-secret-change", "value": "false"}]),
        json!([{"key": "redeploy-on-secret-change", "value": "true"}]),
    ] {
        let world = running(tags.clone());
        world.put_parameter("/token", 2);
        pass(&world, 20);
        assert_eq!(deployments(&world), 1, "{tags}");
    }
    // A tag that comes later counts for what has changed already.
    let world = running(json!([]));
    world.put_parameter("/token", 2);
    pass(&world, 20);
    let arn = &world.describe_service("web")["serviceArn"];
    let tag = json!([{"key": "longshore:redeploy-on-secret-change", "value": "true"}]);
    world.ok("TagResource", json!({"resourceArn": arn, "tags": tag}));
    pass(&world, 1);
    assert_eq!(deployments(&world), 2);
}

/// What an operator deploys after a change has the change.
#[test]
fn a_deployment_of_ones_own_is_enough() {
    let world = opted_in();
    world.put_parameter("/token", 2);
    world.advance(SECOND);
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "web", "forceNewDeployment": true}));
    world.reconcile();
    give(&world, "2", "1");
    pass(&world, 20);
    assert!(!world.events("web").iter().any(|event| event.contains("secrets of its running tasks")));
}
