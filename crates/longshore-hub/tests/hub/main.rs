//! The hub with a real database, and sockets in memory.

mod world;

use std::sync::Arc;

use longshore_link::message::{
    InstanceStatus, InstanceStatusValue, Named, PublishInstanceStatus, join_signed,
};
use longshore_link::server::CloseReason;
use longshore_service::{Attempt, Guard, not_authorized};
use longshore_shapes_ecs::Operation::{
    DeregisterContainerInstance, DescribeContainerInstances, RegisterTaskDefinition, StartTask,
};
use longshore_wire::Denied;
use serde_json::json;
use world::{World, block_on};

#[test]
fn a_newer_socket_supersedes_an_older_one() {
    block_on(async {
        let world = World::new().await;
        let instance = world.instance().await;
        let mut older = world.commands(&instance).await;
        older.greeted().await;
        assert_eq!((world.counts(), world.is_connected(&instance)), ((1, 1), true));
        let mut newer = world.commands(&instance).await;
        newer.greeted().await;
        assert_eq!(older.closed().await, CloseReason::Superseded.code());
        let here = || "127.0.0.1".to_owned();
        assert_eq!(world.takeovers(&instance), (1, here(), here()));
        assert_eq!((world.counts(), world.is_connected(&instance)), ((1, 1), true), "the newer one stays");
        newer.close().await;
        assert_eq!((world.counts(), world.is_connected(&instance)), ((0, 0), false));
    });
}

#[test]
fn a_socket_that_panics_leaves_nobody_connected() {
    block_on(async {
        let world = World::new().await;
        let (instance, other) = (world.instance().await, world.instance().await);
        let mut bystander = world.commands(&other).await;
        bystander.greeted().await;
        let mut agent = world.commands(&instance).await;
        agent.greeted().await;
        assert_eq!(world.counts(), (2, 2));
        agent.panic().await;
        assert_eq!((world.counts(), world.is_connected(&instance)), ((1, 1), false));
        // It comes back, as agents do.
        let mut agent = world.commands(&instance).await;
        agent.greeted().await;
        agent.cut().await;
        assert_eq!((world.counts(), world.is_connected(&instance)), ((1, 1), false));
        assert!(world.is_connected(&other));
        bystander.close().await;
    });
}

#[test]
fn work_reaches_the_newest_socket() {
    block_on(async {
        let world = World::new().await;
        let instance = world.instance().await;
        let mut older = world.commands(&instance).await;
        older.greeted().await;
        let mut agent = world.commands(&instance).await;
        agent.greeted().await;
        let definition = json!({"family": "web", "containerDefinitions": [
            {"name": "main", "image": "busybox", "memory": 64, "cpu": 10},
        ]});
        world.ok(RegisterTaskDefinition, definition).await;
        let started = world
            .ok(StartTask, json!({"cluster": "c", "taskDefinition": "web", "containerInstances": [instance]}))
            .await;
        let frame = agent.hears().await;
        assert_eq!(frame["type"], "PayloadMessage");
        assert_eq!(frame["message"]["tasks"][0]["arn"], started["tasks"][0]["taskArn"]);
        assert_eq!(older.closed().await, CloseReason::Superseded.code(), "and this without the work");
        // What is said to it goes to its session: an ack, and no more.
        agent.say(r#"{"type":"AckRequest","message":{"messageId":"1"}}"#);
        let arn = json!({"cluster": "c", "containerInstance": instance, "force": true});
        world.ok(DeregisterContainerInstance, arn).await;
        assert_eq!(agent.closed().await, CloseReason::Deregistered.code());
        assert_eq!(world.counts(), (0, 0));
        assert_eq!(world.refused(&instance).await.status, 400);
    });
}

#[test]
fn a_server_that_goes_away_says_so() {
    block_on(async {
        let world = World::new().await;
        let instance = world.instance().await;
        let mut agent = world.commands(&instance).await;
        let telemetry = world.telemetry(&instance).await;
        agent.greeted().await;
        // This one has not even been noted.
        let other = world.instance().await;
        let early = world.commands(&other).await;
        world.hub.close();
        for socket in [agent, telemetry, early] {
            assert_eq!(socket.closed().await, CloseReason::Draining.code());
        }
        assert_eq!(world.counts(), (0, 0));
        // It will be back, here or at another server: nobody may take it for gone (ha M3.3).
        assert!(world.is_connected(&instance));
        assert_eq!(world.refused(&instance).await.status, 503);
    });
}

#[test]
fn what_an_agent_observes_is_written_down() {
    block_on(async {
        let world = World::new().await;
        let instance = world.instance().await;
        let mut telemetry = world.telemetry(&instance).await;
        let status = InstanceStatus {
            kind: "ContainerRuntime".into(),
            status: InstanceStatusValue::Impaired,
            ..InstanceStatus::default()
        };
        let published = PublishInstanceStatus { statuses: vec![status], ..PublishInstanceStatus::default() };
        telemetry.say(join_signed([("Host", "test")], &published.frame()));
        assert_eq!(telemetry.hears().await["type"], "AckPublishInstanceStatus");
        assert_eq!(
            (world.counts(), world.is_connected(&instance)),
            ((0, 1), false),
            "telemetry alone is none"
        );
        // A frame that is no text ends the socket; what came before it is taken in by then.
        telemetry.send_bytes(&[0xff]);
        telemetry.dropped().await;
        let described = world
            .ok(
                DescribeContainerInstances,
                json!({"cluster": "c", "containerInstances": [instance], "include": ["CONTAINER_INSTANCE_HEALTH"]}),
            )
            .await;
        let health = &described["containerInstances"][0]["healthStatus"];
        assert_eq!(health["details"][0]["status"], "IMPAIRED", "{health}");
        assert_eq!(world.counts(), (0, 0));
    });
}

#[test]
fn nobody_opens_a_socket_for_what_is_not_there() {
    block_on(async {
        let world = World::new().await;
        for unknown in ["", "arn", "arn:aws:ecs:eu-west-1:123456789012:container-instance/c/0"] {
            assert_eq!(world.refused(unknown).await.status, 400, "{unknown}");
        }
        let foreign =
            "arn:aws:ecs:eu-west-1:210987654321:container-instance/c/00000000000000000000000000000001";
        assert_eq!(world.refused(foreign).await.status, 403);
        assert_eq!(world.counts(), (0, 0));
    });
}

/// Allows what has to do with registering, and no socket.
struct NoSockets;

impl Guard for NoSockets {
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        let resources = attempt.resources();
        let socket = |action: &str| matches!(action, "ecs:Poll" | "ecs:StartTelemetrySession");
        match resources.iter().find(|access| socket(&access.action)) {
            Some(access) => Err(not_authorized(attempt.caller, access, " because of this test")),
            None => Ok(()),
        }
    }
}

#[test]
fn a_socket_that_the_guard_denies_is_not_opened() {
    block_on(async {
        let world = World::guarded(Arc::new(NoSockets)).await;
        let instance = world.instance().await;
        // What is not there is denied like what is: nobody learns which it was.
        for named in [instance.as_str(), "arn:aws:ecs:eu-west-1:123456789012:container-instance/c/0"] {
            for (refusal, action) in
                world.both_refused(named).await.iter().zip(["Poll", "StartTelemetrySession"])
            {
                assert_eq!(refusal.status, 403);
                let body = String::from_utf8_lossy(&refusal.body);
                assert!(body.contains("AccessDeniedException"), "{body}");
                let text = format!(
                    "User: arn:aws:iam::123456789012:root is not authorized to perform: ecs:{action} on resource: {named} \
                     because of this test"
                );
                assert!(body.contains(&text), "{body}");
            }
        }
        assert_eq!((world.counts(), world.is_connected(&instance)), ((0, 0), false));
    });
}
