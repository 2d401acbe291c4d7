//! The explanations that people read, of states that calls of the API and scripted agents have made.

// A control plane without sockets: that of the tests of `longshore-api-ecs`.
#[allow(dead_code)]
#[path = "../../longshore-api-ecs/tests/workloads/world.rs"]
mod world;

use std::time::Duration;

use expect_test::{Expect, expect};
use longshore_api_ecs::Caller;
use longshore_base::{AccountId, InstanceId, Region, Scope};
use longshore_controllers::Settings;
use longshore_explain::{ExplainError, Explanation, Question};
use longshore_tables_ecs::{ClusterKey, EcsTx};
use serde_json::json;

use world::{ACCOUNT, CLUSTER, REGION, World};

fn caller() -> Caller {
    let account = AccountId::parse(ACCOUNT).expect("an account");
    Caller::new(Scope::new(account, Region::parse(REGION).expect("a region")), "tester")
}

fn question(subject: &str) -> Question {
    Question { cluster: Some(CLUSTER.into()), subject: subject.into() }
}

fn task(world: &World, subject: &str) -> Result<Explanation, ExplainError> {
    world.db.peek(|state| longshore_explain::task(state, &caller(), &question(subject), world.now()))
}

fn service(world: &World, subject: &str) -> Result<Explanation, ExplainError> {
    let (question, settings) = (question(subject), Settings::default());
    world.db.peek(|state| longshore_explain::service(state, &caller(), &question, &settings, world.now()))
}

fn instance(world: &World, subject: &str) -> Result<Explanation, ExplainError> {
    let (question, settings) = (question(subject), Settings::default());
    world.db.peek(|state| longshore_explain::instance(state, &caller(), &question, &settings, world.now()))
}

fn definition(world: &World, subject: &str) -> Result<Explanation, ExplainError> {
    world.db.peek(|state| longshore_explain::definition(state, &caller(), &question(subject), world.now()))
}

fn check(explanation: Result<Explanation, ExplainError>, expected: &Expect) {
    let text = match explanation {
        Ok(explanation) => {
            let mut lines = vec![explanation.subject];
            for point in explanation.points {
                lines.push(format!("  {}", point.text));
                lines.extend(point.details.into_iter().map(|detail| format!("    {detail}")));
            }
            lines.join("\n")
        }
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&world::anonymous(&text));
}

#[test]
fn a_stopped_task_tells_how_it_ended() {
    let (world, _) = World::with_instances(1);
    world.register_plain("batch", 128, 128);
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "batch"}));
    let started = world.tasks().pop().expect("a task");
    check(
        task(&world, &started.id.to_string()),
        &expect![[r#"
        task ID (batch:1): PENDING, wanted RUNNING
          It was placed 0 ms ago and is not RUNNING yet: its agent has been told of it and has not reported yet.
            container main: PENDING
          It is on instance ID in eu-west-1a, whose agent is connected."#]],
    );
    world.report_running(&started);
    world.advance(Duration::from_secs(75));
    check(
        task(&world, &started.id.to_string()),
        &expect![[r#"
            task ID (batch:1): RUNNING, wanted RUNNING
              It has been RUNNING for 1 min 15 s.
              It is on instance ID in eu-west-1a, whose agent is connected."#]],
    );
    world.report_stopped(&started, 137);
    world.advance(Duration::from_secs(12));
    check(
        task(&world, &started.id.to_string()),
        &expect![[r#"
        task ID (batch:1): STOPPED, wanted STOPPED
          It stopped 12 s ago: Essential container in task exited (EssentialContainerExited)
            container main: exit code 137 (SIGKILL)
          SIGKILL without an order to stop comes from outside: a person, the kernel's out-of-memory killer, or the engine."#]],
    );
}

/// A container that the agent killed because another one crashed was not killed from outside. And a task of which a
/// container never started was never RUNNING.
#[test]
fn what_an_agent_kills_beside_a_crash_is_not_taken_for_a_kill_from_outside() {
    let (world, _) = World::with_instances(1);
    world.register(json!({
        "family": "pair",
        "containerDefinitions": [
            {"name": "app", "image": "app", "memory": 10},
            {"name": "side", "image": "side", "memory": 10},
        ],
    }));
    let end = |side: serde_json::Value| {
        world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "pair"}));
        let wanted = world.wanted().pop().expect("a task");
        world.ok(
            "SubmitTaskStateChange",
            json!({
                "cluster": CLUSTER, "task": world.task_arn(&wanted), "status": "STOPPED",
                "containers": [
                    {"containerName": "app", "status": "STOPPED", "runtimeId": "aa", "exitCode": 1}, side,
                ],
            }),
        );
        task(&world, &wanted.id.to_string())
    };
    check(
        end(json!({"containerName": "side", "status": "STOPPED", "runtimeId": "bb", "exitCode": 137})),
        &expect![[r#"
            task ID (pair:1): STOPPED, wanted STOPPED
              It stopped 0 ms ago: Essential container in task exited (EssentialContainerExited)
                container app: exit code 1
                container side: exit code 137 (SIGKILL)
              SIGKILL: it did not end within its stopTimeout after SIGTERM. Let the program react to SIGTERM, or raise stopTimeout.
              What it wrote last, on the machine of instance ID, until the agent there cleans up (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION, 3 h):
                container app: docker logs aa"#]],
    );
    check(
        end(json!({"containerName": "side", "status": "STOPPED"})),
        &expect![[r#"
            task ID (pair:1): STOPPED, wanted STOPPED
              It stopped 0 ms ago, without ever having been RUNNING: Essential container in task exited (EssentialContainerExited)
                container app: exit code 1
                container side: no exit code, it never ran or its end was not seen
              What it wrote last, on the machine of instance ID, until the agent there cleans up (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION, 3 h):
                container app: docker logs aa"#]],
    );
}

/// A container that `dependsOn` keeps from being started is PENDING like any other; only the definition says why.
#[test]
fn a_container_that_waits_for_another_says_for_what() {
    let (world, instances) = World::with_instances(1);
    let needed = [
        "com.amazonaws.ecs.capability.docker-remote-api.1.24",
        "ecs.capability.container-ordering",
        "ecs.capability.container-health-check",
    ];
    world.give_capabilities(instances[0], &needed);
    let on = |name: &str, condition: &str| json!({"containerName": name, "condition": condition});
    world.register(json!({
        "family": "ordered",
        "containerDefinitions": [
            {"name": "db", "image": "db", "memory": 10, "healthCheck": {"command": ["CMD", "true"]}},
            {"name": "setup", "image": "setup", "memory": 10, "essential": false, "dependsOn": [on("db", "START")]},
            {"name": "web", "image": "web", "memory": 10, "dependsOn": [on("db", "HEALTHY"), on("setup", "SUCCESS")]},
        ],
    }));
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "ordered"}));
    let started = world.wanted().pop().expect("a task");
    let arn = world.task_arn(&started);
    check(
        task(&world, &arn),
        &expect![[r#"
            task ID (ordered:1): PENDING, wanted RUNNING
              It was placed 0 ms ago and is not RUNNING yet: its agent has been told of it and has not reported yet.
                container db: PENDING
                container setup: PENDING; it is started when container db has been started (START)
                container web: PENDING; it is started when container db is HEALTHY and container setup has ended with exit code 0 (SUCCESS)
              It is on instance ID in eu-west-1a, whose agent is connected."#]],
    );
    let report = |name: &str, status: &str, code: Option<i32>| {
        world.ok(
            "SubmitTaskStateChange",
            json!({"cluster": CLUSTER, "task": arn, "status": "PENDING", "containers": [
                {"containerName": name, "status": status, "runtimeId": name, "exitCode": code},
            ]}),
        );
    };
    report("db", "RUNNING", None);
    report("setup", "STOPPED", Some(0));
    world.advance(Duration::from_secs(40));
    check(
        task(&world, &arn),
        &expect![[r#"
            task ID (ordered:1): PENDING, wanted RUNNING
              It was placed 40 s ago and is not RUNNING yet: a container waits for another one (dependsOn).
                container db: RUNNING
                container setup: STOPPED
                container web: PENDING; it is started when container db is HEALTHY (RUNNING and UNKNOWN as last reported)
              It is on instance ID in eu-west-1a, whose agent is connected."#]],
    );
}

/// What a program wrote before it crashed says more than its exit code.
#[test]
fn a_crash_tells_where_the_last_lines_of_the_log_are() {
    let (world, _) = World::with_instances(1);
    let ended = |family: &str, code: i32| {
        let started = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": family}));
        let arn = started["tasks"][0]["taskArn"].as_str().expect("it has a place").to_owned();
        world.ok(
            "SubmitTaskStateChange",
            json!({
                "cluster": CLUSTER, "task": arn, "status": "STOPPED",
                "containers": [{"containerName": "app", "status": "STOPPED", "runtimeId": "aa", "exitCode": code}],
            }),
        );
        task(&world, &arn)
    };
    world.register(
        json!({"family": "plain", "containerDefinitions": [{"name": "app", "image": "app", "memory": 10}]}),
    );
    check(
        ended("plain", 1),
        &expect![[r#"
            task ID (plain:1): STOPPED, wanted STOPPED
              It stopped 0 ms ago: Essential container in task exited (EssentialContainerExited)
                container app: exit code 1
              What it wrote last, on the machine of instance ID, until the agent there cleans up (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION, 3 h):
                container app: docker logs aa"#]],
    );
    for (family, code) in [("plain", 0), ("plain", 137), ("plain", 143)] {
        let said = ended(family, code).expect("it is known");
        assert!(!said.points.iter().any(|point| point.text.contains("wrote last")), "{code}: {said:?}");
    }
}

#[test]
fn a_task_with_awslogs_tells_where_its_lines_are() {
    let (world, instances) = World::with_instances(1);
    let capability = "com.amazonaws.ecs.capability.";
    let needed =
        ["logging-driver.awslogs", "docker-remote-api.1.19"].map(|name| format!("{capability}{name}"));
    world.give_capabilities(instances[0], &[&needed[0], &needed[1]]);
    world.register(json!({"family": "logs", "containerDefinitions": [{
        "name": "main", "image": "busybox", "memory": 16, "logConfiguration": {
            "logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r"},
        },
    }]}));
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "logs"}));
    let started = world.tasks().pop().expect("a task");
    world.report_running(&started);
    let says = |world: &World| {
        let points = task(world, &started.id.to_string()).expect("it is known").points;
        points.into_iter().map(|point| point.text).filter(|text| text.contains("awslogs")).collect::<Vec<_>>()
    };
    assert_eq!(
        says(&world),
        Vec::<String>::new(),
        "its engine writes to CloudWatch Logs, for all that is known"
    );
    world.give_attribute(instances[0], "longshore.awslogs-driver", "json-file");
    let said = "Its log driver awslogs writes to no CloudWatch Logs: the container engine on its machine keeps the lines (json-file).";
    assert_eq!(says(&world), [said]);
    world.report_stopped(&started, 1);
    assert_eq!(says(&world), [said], "now it matters most");
}

#[test]
fn a_service_without_room_tells_what_rules_out_whom() {
    let (world, instances) = World::with_instances(3);
    world.register_plain("web", 512, 600);
    world.connect(instances[2], false);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 4}),
    );
    world.reconcile();
    check(
        service(&world, "web"),
        &expect![[r#"
            service web: ACTIVE, wants 4 tasks, 0 run and 2 are on their way
              Deployment ecs-svc/N (PRIMARY, web:1, begun 0 ms ago) is IN_PROGRESS, 1 tasks failed to start: ECS deployment ecs-svc/N in progress.
              It waits: deployment ecs-svc/N cannot place a task: The closest matching (container-instance ID) has insufficient memory available; the next attempt is in 5 s, or when capacity changes.
              No task can be placed now. Of 3 instances, this rules out, each counted at the first requirement that it fails:
                1 have an agent that is not connected (AGENT; one is ID)
                2 have less than 600 MiB of memory left (RESOURCE:MEMORY; one is ID)
              It waits: 2 started tasks are not RUNNING yet.
                longshore explain task ID
                longshore explain task ID
              Its latest events:
                0 ms ago: (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance ID) has insufficient memory available. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
                0 ms ago: (service web) has started 2 tasks: (task ID) (task ID)."#]],
    );
}

#[test]
fn a_definition_tells_which_requirement_rules_out_how_many() {
    let (world, _) = World::with_instances(2);
    world.register(json!({"family": "huge", "containerDefinitions": [{"name": "a", "image": "a", "cpu": 4096, "memory": 64}]}));
    check(
        definition(&world, "huge"),
        &expect![[r#"
        task definition huge:1 in cluster deep-dive-cluster
          No task can be placed now. Of 2 instances, this rules out, each counted at the first requirement that it fails:
            2 have less than 4096 CPU units left (RESOURCE:CPU; one is ID)"#]],
    );
    world.register(json!({
        "family": "picky",
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == nowhere"}],
        "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}],
    }));
    check(
        definition(&world, "picky:1"),
        &expect![[r#"
            task definition picky:1 in cluster deep-dive-cluster
              No task can be placed now. Of 2 instances, this rules out, each counted at the first requirement that it fails:
                2 do not satisfy memberOf(attribute:ecs.availability-zone == nowhere) (MemberOf placement constraint unsatisfied; one is ID)"#]],
    );
    world.register_plain("small", 1, 64);
    check(
        definition(&world, "small"),
        &expect![[r#"
        task definition small:1 in cluster deep-dive-cluster
          A task would be placed now, for instance on ID: 2 of 2 instances meet its constraints and attributes."#]],
    );
}

/// A pool agent with this many CPU units.
fn add_pool_agent(world: &World, cpu: u32) {
    let amount = |name: &str, value: u32| json!({"name": name, "type": "INTEGER", "integerValue": value});
    let answer = world.ok_as(
        &world.operator(),
        "RegisterContainerInstance",
        json!({
            "cluster": ".fargate",
            "attributes": [
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
                {"name": "com.amazonaws.ecs.capability.task-cpu-mem-limit"},
                {"name": "ecs.capability.task-cpu-mem-limit"},
                {"name": "ecs.capability.task-eni"},
                {"name": "ecs.cpu-architecture", "value": "x86_64"},
                {"name": "longshore.task-network", "value": "172.20.0.0/28"},
            ],
            "totalResources": [amount("CPU", cpu), amount("MEMORY", 8192)],
        }),
    );
    let arn = answer["containerInstance"]["containerInstanceArn"].as_str().expect("an ARN");
    let id = InstanceId::parse(arn.rsplit('/').next().unwrap_or_default()).expect("an id");
    let at = ClusterKey::pool(world.at().scope.region).instance(id);
    let (done, _) = world
        .db
        .submit(|tx| {
            tx.set_connected(&at, true);
            Ok::<_, ()>(())
        })
        .expect("the database is well");
    done.expect("nothing refuses it");
}

#[test]
fn a_definition_is_judged_for_the_launch_types_that_it_requires() {
    let (world, _) = World::with_instances(1);
    let register = |family: &str, required: &[&str]| {
        world.register(json!({
            "family": family, "requiresCompatibilities": required, "networkMode": "awsvpc", "cpu": "256",
            "memory": "512", "containerDefinitions": [{"name": "main", "image": "busybox"}],
        }));
    };
    register("far", &["FARGATE"]);
    register("both", &["EC2", "FARGATE"]);
    // No agent at all, one that is too small, one that has room.
    check(
        definition(&world, "far"),
        &expect![[r#"
            task definition far:1 in cluster deep-dive-cluster
              No agent serves Fargate in this region: start one with `longshore agent --pool`."#]],
    );
    add_pool_agent(&world, 128);
    check(
        definition(&world, "far"),
        &expect![[r#"
            task definition far:1 in cluster deep-dive-cluster
              No agent that serves Fargate in this region is large enough for a task of 256 CPU units and 512 MiB: start `longshore agent --pool` on a larger machine."#]],
    );
    add_pool_agent(&world, 1024);
    check(
        definition(&world, "far"),
        &expect![[r#"
            task definition far:1 in cluster deep-dive-cluster
              A task would be placed on the Fargate pool now."#]],
    );
    check(
        definition(&world, "both"),
        &expect![[r#"
            task definition both:1 in cluster deep-dive-cluster
              Launch type EC2: No task can be placed now. Of 1 instances, this rules out, each counted at the first requirement that it fails:
                1 lack what the task requires (ATTRIBUTE; one is ID)
                  they do not offer version 1.18 of the Docker API (attribute com.amazonaws.ecs.capability.docker-remote-api.1.18), the network mode awsvpc (attribute ecs.capability.task-eni), the network mode awsvpc (attribute longshore.task-network). Bring the instance's container engine up to date. Start the instance's agent with ECS_ENABLE_TASK_ENI=true, or register the task definition with another networkMode.
              Launch type FARGATE: A task would be placed on the Fargate pool now."#]],
    );
}

#[test]
fn what_is_missing_is_said_wherever_there_is_room() {
    let (world, _) = World::with_instances(1);
    let log = json!({"logDriver": "json-file"});
    world.register(json!({
        "family": "logs",
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10, "logConfiguration": log}],
    }));
    check(
        definition(&world, "logs"),
        &expect![[r#"
        task definition logs:1 in cluster deep-dive-cluster
          No task can be placed now. Of 1 instances, this rules out, each counted at the first requirement that it fails:
            1 lack what the task requires (ATTRIBUTE; one is ID)
              they do not offer version 1.18 of the Docker API (attribute com.amazonaws.ecs.capability.docker-remote-api.1.18), the log driver json-file (attribute com.amazonaws.ecs.capability.logging-driver.json-file). Bring the instance's container engine up to date. Add json-file to ECS_AVAILABLE_LOGGING_DRIVERS of the instance's agent, or register the task definition with another logDriver."#]],
    );
    world.register(json!({
        "family": "role", "taskRoleArn": "r", "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
    }));
    check(
        definition(&world, "role"),
        &expect![[r#"
            task definition role:1 in cluster deep-dive-cluster
              Nobody has made the role arn:aws:iam::123456789012:role/r. This server is in open mode, so that its tasks have the rights of a guest, which are all of the account's; once they name a role that this account has made, they have its rights.
              No task can be placed now. Of 1 instances, this rules out, each counted at the first requirement that it fails:
                1 lack what the task requires (ATTRIBUTE; one is ID)
                  they do not offer version 1.17 of the Docker API (attribute com.amazonaws.ecs.capability.docker-remote-api.1.17), task roles (taskRoleArn) (attribute com.amazonaws.ecs.capability.task-iam-role). Bring the instance's container engine up to date. Start the instance's agent as root, on a machine where no other agent has 169.254.170.2, or register the task definition without taskRoleArn."#]],
    );
    let options = json!({"awslogs-group": "/x", "awslogs-region": "r", "awslogs-stream-prefix": "x"});
    world.register(json!({
        "family": "far", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "executionRoleArn": "r", "containerDefinitions": [{
            "name": "main", "image": "busybox", "logConfiguration": {"logDriver": "awslogs", "options": options},
        }],
    }));
    add_pool_agent(&world, 1024);
    check(
        definition(&world, "far"),
        &expect![[r#"
            task definition far:1 in cluster deep-dive-cluster
              Nobody has made the role arn:aws:iam::123456789012:role/r. This server is in open mode, so that its tasks have the rights of a guest, which are all of the account's; once they name a role that this account has made, they have its rights.
              No agent that serves Fargate in this region offers version 1.19 of the Docker API (attribute com.amazonaws.ecs.capability.docker-remote-api.1.19), the log driver awslogs (attribute com.amazonaws.ecs.capability.logging-driver.awslogs), the log driver awslogs with an executionRoleArn (attribute ecs.capability.execution-role-awslogs). Bring the instance's container engine up to date. Start the instance's agent with LONGSHORE_AWSLOGS_DRIVER=json-file, which keeps the lines there, or register the task definition with another logDriver."#]],
    );
}

/// While its agent tries again, the task says what it waits for.
#[test]
fn a_task_that_waits_for_a_registry_says_so() {
    let (world, _) = World::with_instances(1);
    world.register_plain("job", 10, 10);
    let ran = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "job"}));
    let arn = ran["tasks"][0]["taskArn"].as_str().expect("an ARN");
    world.ok(
        "SubmitTaskStateChange",
        json!({"cluster": CLUSTER, "task": arn, "status": "PENDING", "containers": [{
            "containerName": "main", "status": "PENDING", "reason": "CannotPullImageManifestError: connection refused",
        }]}),
    );
    check(
        task(&world, arn),
        &expect![[r#"
        task ID (job:1): PENDING, wanted RUNNING
          It was placed 0 ms ago and is not RUNNING yet: its agent is making its containers.
            container main: PENDING; CannotPullImageManifestError: connection refused
          It is on instance ID in eu-west-1a, whose agent is connected."#]],
    );
}

#[test]
fn instances_that_drain_are_counted_and_those_that_left_are_not() {
    let (world, instances) = World::with_instances(3);
    world.register_plain("large", 1, 60_000);
    world.ok(
        "UpdateContainerInstancesState",
        json!({"cluster": CLUSTER, "containerInstances": [instances[0].to_string()], "status": "DRAINING"}),
    );
    world.ok(
        "DeregisterContainerInstance",
        json!({"cluster": CLUSTER, "containerInstance": instances[1].to_string()}),
    );
    check(
        definition(&world, "large"),
        &expect![[r#"
            task definition large:1 in cluster deep-dive-cluster
              No task can be placed now. Of 2 instances, this rules out, each counted at the first requirement that it fails:
                1 are DRAINING (one is ID)
                1 have less than 60000 MiB of memory left (RESOURCE:MEMORY; one is ID)"#]],
    );
    let answer = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "large"}));
    let failures = answer["failures"].as_array().expect("a list");
    let reasons: Vec<_> = failures.iter().map(|failure| failure["reason"].as_str()).collect();
    assert_eq!(reasons, [Some("RESOURCE:MEMORY")], "only ACTIVE instances are candidates");
}

#[test]
fn an_image_that_needs_too_long_may_be_the_engines_fault() {
    let (world, _) = World::with_instances(1);
    world.register_plain("batch", 128, 128);
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "batch"}));
    let started = world.tasks().pop().expect("a task");
    world.ok(
        "SubmitTaskStateChange",
        json!({
            "cluster": CLUSTER, "task": world.task_arn(&started), "status": "STOPPED", "reason": "",
            "containers": [{
                "containerName": "main", "status": "STOPPED",
                "reason": "CannotPullImageManifestError: Could not resolve manifest; timed out after 60 s",
            }],
        }),
    );
    let said = task(&world, &started.id.to_string()).expect("it is there");
    let advice = &said.points.last().expect("advice").text;
    assert!(advice.contains("container engine") && advice.contains("registry"), "{advice}");
}

#[test]
fn what_is_not_there_says_what_to_do() {
    let world = World::new();
    check(
        task(&world, "0123456789abcdef0123456789abcdef"),
        &expect!["error: there is no task ID in this cluster; STOPPED tasks are forgotten after a while"],
    );
    check(
        service(&world, "web"),
        &expect!["error: there is no service web in this cluster; `longshore status` lists them"],
    );
    check(
        definition(&world, "web"),
        &expect!["error: there is no task definition web; `aws ecs list-task-definitions` lists them"],
    );
    let elsewhere = Question { cluster: Some("other".into()), subject: "web".into() };
    let said =
        world.db.peek(|state| longshore_explain::definition(state, &caller(), &elsewhere, world.now()));
    check(said, &expect!["error: Cluster not found; name one with --cluster, `longshore status` lists them"]);
}

/// `longshore status` shows the first digits of ids, and so does Docker.
#[test]
fn the_beginning_of_an_id_names_what_it_is_the_only_one_for() {
    let (world, instances) = World::with_instances(1);
    world.register_plain("job", 10, 10);
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "job"}));
    let started = world.tasks().pop().expect("a task").id.to_string();
    assert_eq!(task(&world, &started[..8]), task(&world, &started));
    assert_eq!(task(&world, &started[..6].to_uppercase()), task(&world, &started));
    check(
        task(&world, &started[..5]),
        &expect!["error: not found; name it by its id, the first six or more of its digits, or its ARN"],
    );
    let whole = instances[0].to_string();
    assert_eq!(instance(&world, &whole[..8]), instance(&world, &whole));
    assert_eq!(instance(&world, &world.instance_arn(instances[0])), instance(&world, &whole));
}

#[test]
fn an_instance_says_whether_it_takes_tasks() {
    let (world, instances) = World::with_instances(1);
    let id = instances[0].to_string();
    world.register_plain("job", 10, 10);
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "job"}));
    world.advance(Duration::from_secs(5));
    check(
        instance(&world, &id),
        &expect![[r#"
        container instance ID of cluster deep-dive-cluster: ACTIVE, agent connected
          Its agent has been connected for 5 s.
          1 tasks are on it:
            task ID: PENDING, wanted RUNNING"#]],
    );
    world.connect(instances[0], false);
    world.advance(Duration::from_secs(60));
    check(
        instance(&world, &id),
        &expect![[r#"
        container instance ID of cluster deep-dive-cluster: ACTIVE, agent not connected
          No agent has been connected for 1 min: look at the agent's log on that machine. If it stays away, its tasks count as gone in 4 min (--instance-lost-secs). If it will not come back:
            aws ecs deregister-container-instance --force --cluster deep-dive-cluster --container-instance ID
          1 tasks are on it:
            task ID: PENDING, wanted RUNNING"#]],
    );
    check(
        instance(&world, "0123456789abcdef0123456789abcdef"),
        &expect![
            "error: there is no container instance ID in this cluster; `longshore status` lists them, and those that are gone are forgotten after an hour"
        ],
    );
}

/// The records say STOPPED, and the machine may say otherwise.
/// It counts as connected, and nobody says that it is.
#[test]
fn an_instance_whose_agent_is_awaited_says_so() {
    let (mut world, ids) = World::with_instances(1);
    world.register_plain("batch", 128, 128);
    world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "batch"}));
    let started = world.tasks().pop().expect("a task");
    world.restart();
    world.advance(Duration::from_secs(20));
    check(
        instance(&world, &ids[0].to_string()),
        &expect![[r#"
        container instance ID of cluster deep-dive-cluster: ACTIVE, agent awaited (connected until the restart, not back yet)
          Its agent was connected until the server restarted, 20 s ago, and is not back yet: tasks are placed on it as if it were. If it does not come, it counts as away in 40 s, and what was placed on it meanwhile ends.
          1 tasks are on it:
            task ID: PENDING, wanted RUNNING"#]],
    );
    check(
        task(&world, &started.id.to_string()),
        &expect![[r#"
        task ID (batch:1): PENDING, wanted RUNNING
          It was placed 20 s ago and is not RUNNING yet: the agent of its instance is away, and will be told of it when it comes back.
            container main: PENDING
          It is on instance ID in eu-west-1a, whose agent is awaited (connected until the restart, not back yet)."#]],
    );
}

#[test]
fn an_instance_that_was_deregistered_while_it_was_away_says_what_is_left() {
    let (world, instances) = World::with_instances(1);
    let id = instances[0].to_string();
    world.register_plain("job", 10, 10);
    for _ in 0..2 {
        world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "job"}));
    }
    let tasks = world.tasks();
    world.report_running(&tasks[0]);
    world.report_running(&tasks[1]);
    world.report_stopped(&tasks[1], 0);
    world.connect(instances[0], false);
    let answer = world.ok(
        "DeregisterContainerInstance",
        json!({"cluster": CLUSTER, "containerInstance": id, "force": true}),
    );
    let said = answer["containerInstance"]["statusReason"].as_str().unwrap_or_default();
    assert!(
        said.contains("1 of its tasks")
            && said.contains(&format!("longshore explain container-instance {id}")),
        "{said}"
    );
    world.advance(Duration::from_secs(30));
    check(
        instance(&world, &id),
        &expect![[r#"
        container instance ID of cluster deep-dive-cluster: INACTIVE, agent not connected
          It was deregistered 30 s ago. Its agent ends at its next start (that of `longshore up` joins anew); to join as a new instance, it needs another ECS_DATADIR.
          1 of its tasks count as STOPPED, and nobody has seen their containers end. Longshore's agent stops and removes them as soon as it hears of it; where it does not come back, this does it on that machine:
            docker rm --force $(docker ps --all --quiet --filter label=com.amazonaws.ecs.task-arn=arn:aws:ecs:eu-west-1:123456789012:task/deep-dive-cluster/ID)"#]],
    );
}

#[test]
fn services_that_drain_are_known_by_name() {
    let (world, _) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    for name in ["web", "other"] {
        world.ok(
            "CreateService",
            json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": "web", "desiredCount": 1}),
        );
    }
    world.settle();
    world.ok("DeleteService", json!({"cluster": CLUSTER, "service": "web", "force": true}));
    let listed = world.ok("ListServices", json!({"cluster": CLUSTER}));
    assert_eq!(listed["serviceArns"].as_array().map(Vec::len), Some(1), "{listed}");
    let found = world.db.peek(|state| longshore_explain::draining(state, &caller(), &question("")));
    assert_eq!(found, Ok(vec!["web".to_owned()]));
}

/// The versions are named, and nothing of the values.
#[test]
fn secrets_that_have_changed_are_named() {
    let world = World::with_secrets(&["/token"]);
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "serviceName": "web", "taskDefinition": "web", "desiredCount": 2}),
    );
    world.reconcile();
    let tasks = world.wanted();
    world.report_given(&tasks[0], &[("/token", "1")]);
    world.report_running(&tasks[1]);
    let said = |subject: &longshore_base::TaskId| {
        let told = task(&world, &subject.to_string()).expect("it is there");
        let points = told.points.into_iter();
        points.flat_map(|point| [vec![point.text], point.details].concat()).collect::<Vec<_>>().join("\n")
    };
    assert!(!said(&tasks[0].id).contains("secrets"), "{}", said(&tasks[0].id));
    assert!(said(&tasks[1].id).contains("does not tell which versions"), "{}", said(&tasks[1].id));
    world.put_parameter("/token", 2);
    world.advance(Duration::from_secs(3));
    let told = said(&tasks[0].id);
    assert!(told.contains("It runs with secrets that have changed since it was given them"), "{told}");
    let detail = "container main: /token in version 1, while version 2 is current (changed 3 s ago)";
    assert!(told.contains(detail), "{told}");
    let of_service = || {
        let told = service(&world, "web").expect("it is there").points.into_iter().map(|point| point.text);
        told.collect::<Vec<_>>().join("\n")
    };
    let told = of_service();
    assert!(
        told.contains("1 of its tasks run with a secret that has changed since")
            && told.contains("longshore:redeploy-on-secret-change=true"),
        "{told}"
    );
    let arn = &world.describe_service("web")["serviceArn"];
    let tag = json!([{"key": "longshore:redeploy-on-secret-change", "value": "true"}]);
    world.ok("TagResource", json!({"resourceArn": arn, "tags": tag}));
    assert!(of_service().contains("a deployment replaces them"), "{}", of_service());
}
