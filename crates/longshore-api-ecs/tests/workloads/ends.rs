//! Every way in which a task can end, as agents report it, and what it counts for: `stopCode`, `startedAt`, `stoppedReason`, `failedTasks`,
//! the circuit breaker (ecs-engine D3 "Ends", agent-protocol G8, ecs-services E4).
//!
//! A task that never reached RUNNING does not count as one that ran, whatever its containers did meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

const ID: &str = "aa";
const DEPENDENCY: &str = "CannotStartContainerError: dependency graph: container ordering dependency [slow(slow) (RUNNING->RUNNING)] for target [app(app) (PULLED->RUNNING)] has timed out.";
const EXITED: &str = "Essential container in task exited";
const FAILED: &str = "Task failed to start";

/// A report from words: a status, the containers' entries such as `slow:RUNNING:id`, `app:STOPPED:exit=143:reason`. `reason` stands for
/// [`DEPENDENCY`]; other words with a colon are reasons of their own.
fn report(text: &str) -> Value {
    let mut parts = text.split('|').map(str::trim);
    let status = parts.next().expect("a status");
    let mut report = json!({"status": status, "reason": "", "containers": []});
    for part in parts {
        if let Some(reason) = part.strip_prefix("because ") {
            report["reason"] = reason.into();
            continue;
        }
        let mut words = part.split_whitespace();
        let mut container = json!({"containerName": words.next(), "status": words.next()});
        for word in words {
            match word.split_once('=') {
                Some(("exit", code)) => {
                    container["exitCode"] = code.parse::<i32>().expect("a number").into();
                }
                Some(_) => panic!("no word {word}"),
                None if word == "id" => container["runtimeId"] = ID.into(),
                None if word == "dependency" => container["reason"] = DEPENDENCY.into(),
                None => container["reason"] = format!("{word}: told by the engine").into(),
            }
        }
        report["containers"].as_array_mut().expect("a list").push(container);
    }
    report
}

struct Row {
    what: &'static str,
    /// Reports in order. `stop` is a StopTask in between.
    reports: &'static [&'static str],
    code: &'static str,
    reason: &'static str,
    started: bool,
}

/// Each task has the essential containers `slow` and `app`, and `side`, which is not.
const TABLE: &[Row] = &[
    Row {
        what: "a task ran, and an essential container ended it",
        reports: &[
            "RUNNING | slow RUNNING id | app RUNNING id | side RUNNING id",
            "STOPPED | app STOPPED id exit=1 | slow STOPPED id exit=143 | side STOPPED id exit=143",
        ],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: true,
    },
    Row {
        what: "a short task: all ran and ended before RUNNING was told (G8)",
        reports: &["STOPPED | slow STOPPED id exit=0 | app STOPPED id exit=0 | side STOPPED id exit=143"],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: true,
    },
    Row {
        what: "a short task whose containers show an error of a pull that a local image made up for (G8)",
        reports: &[
            "STOPPED | slow STOPPED id exit=0 CannotPullImageManifestError | app STOPPED id exit=0 CannotPullContainerError | side STOPPED id exit=0",
        ],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: true,
    },
    Row {
        what: "a short task of which one container vanished after its RUNNING",
        reports: &[
            "STOPPED | slow RUNNING id | slow STOPPED id ContainerVanishedError | app STOPPED id exit=143 | side STOPPED id exit=143",
        ],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: true,
    },
    Row {
        what: "a dependency was not met in time: who waited never started, the other was stopped (G10)",
        reports: &[
            "STOPPED | slow RUNNING id exit=137 | app STOPPED exit=143 dependency | slow STOPPED id exit=137 | side STOPPED",
        ],
        code: "TaskFailedToStart",
        reason: DEPENDENCY,
        started: false,
    },
    Row {
        what: "the same, with what ran told before under PENDING (G8, flushed by the ticker)",
        reports: &[
            "PENDING | slow RUNNING id | side RUNNING id",
            "STOPPED | app STOPPED exit=143 dependency | slow STOPPED id exit=143 | side STOPPED id exit=143",
        ],
        code: "TaskFailedToStart",
        reason: DEPENDENCY,
        started: false,
    },
    Row {
        what: "the same, with a container that was created and not started",
        reports: &[
            "STOPPED | slow STOPPED id exit=137 | app STOPPED id exit=143 dependency | side STOPPED id exit=143",
        ],
        code: "TaskFailedToStart",
        reason: DEPENDENCY,
        started: false,
    },
    Row {
        what: "the image of one is missing, the other ran meanwhile",
        reports: &[
            "STOPPED | slow RUNNING id | app STOPPED CannotPullContainerError | slow STOPPED id exit=143 | side STOPPED",
        ],
        code: "TaskFailedToStart",
        reason: "CannotPullContainerError: told by the engine",
        started: false,
    },
    Row {
        what: "the program of one is missing, the other ran meanwhile",
        reports: &[
            "STOPPED | slow STOPPED id exit=143 | app STOPPED id CannotStartContainerError | side STOPPED id exit=143",
        ],
        code: "TaskFailedToStart",
        reason: "CannotStartContainerError: told by the engine",
        started: false,
    },
    Row {
        what: "the start of one was not answered in time, and it was stopped (G10)",
        reports: &[
            "STOPPED | slow STOPPED id exit=143 | app STOPPED id exit=137 DockerTimeoutError | side STOPPED id exit=143",
        ],
        code: "TaskFailedToStart",
        reason: "DockerTimeoutError: told by the engine",
        started: false,
    },
    Row {
        what: "a container that may fail fails, and an essential one waits for it",
        reports: &[
            "STOPPED | side RUNNING id | side STOPPED id exit=3 | app STOPPED exit=143 dependency | slow STOPPED",
        ],
        code: "TaskFailedToStart",
        reason: DEPENDENCY,
        started: false,
    },
    Row {
        what: "nothing was created",
        reports: &["STOPPED | slow STOPPED | app STOPPED CannotCreateContainerError | side STOPPED"],
        code: "TaskFailedToStart",
        reason: "CannotCreateContainerError: told by the engine",
        started: false,
    },
    Row {
        what: "a manifest that could not be had explains what nothing else does",
        reports: &[
            "STOPPED | slow STOPPED CannotPullImageManifestError | app STOPPED CannotPullImageManifestError | side STOPPED",
        ],
        code: "TaskFailedToStart",
        reason: "CannotPullImageManifestError: told by the engine",
        started: false,
    },
    Row {
        what: "and nothing more than that",
        reports: &[
            "STOPPED | slow STOPPED CannotPullImageManifestError | app STOPPED | side STOPPED CannotPullContainerError",
        ],
        code: "TaskFailedToStart",
        reason: "CannotPullContainerError: told by the engine",
        started: false,
    },
    Row {
        what: "nobody says why",
        reports: &["STOPPED | slow STOPPED | app STOPPED | side STOPPED"],
        code: "TaskFailedToStart",
        reason: FAILED,
        started: false,
    },
    Row {
        what: "containers are not mentioned at all",
        reports: &["STOPPED"],
        code: "TaskFailedToStart",
        reason: FAILED,
        started: false,
    },
    Row {
        what: "the task as a whole failed while one of its containers ran",
        reports: &[
            "STOPPED | because resource cannot be initialized | slow STOPPED id exit=143 | app STOPPED | side STOPPED",
        ],
        code: "TaskFailedToStart",
        reason: "resource cannot be initialized",
        started: false,
    },
    Row {
        what: "an essential container crashed while others waited for it (D3: ran and exited)",
        reports: &["STOPPED | slow RUNNING id exit=1 | slow STOPPED id exit=1 | app STOPPED | side STOPPED"],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: false,
    },
    Row {
        what: "the same, but its end was told before the task's, and nobody knows its exit code",
        reports: &[
            "PENDING | slow RUNNING id",
            "PENDING | slow STOPPED id",
            "STOPPED | slow STOPPED id | app STOPPED | side STOPPED",
        ],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: false,
    },
    Row {
        what: "the same beside one that is not essential and could not start",
        reports: &[
            "STOPPED | slow STOPPED id exit=1 | app STOPPED id | side STOPPED CannotPullContainerError",
        ],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: false,
    },
    Row {
        what: "StopTask of a task that waits for a dependency",
        reports: &[
            "PENDING | slow RUNNING id",
            "stop",
            "STOPPED | slow STOPPED id exit=143 | app STOPPED | side STOPPED",
        ],
        code: "UserInitiated",
        reason: "enough",
        started: false,
    },
    Row {
        what: "StopTask of a task that nobody began",
        reports: &["stop", "STOPPED | slow STOPPED | app STOPPED | side STOPPED"],
        code: "UserInitiated",
        reason: "enough",
        started: false,
    },
    Row {
        what: "StopTask of a task that runs",
        reports: &[
            "RUNNING | slow RUNNING id | app RUNNING id | side STOPPED id exit=0",
            "stop",
            "STOPPED | slow STOPPED id exit=143 | app STOPPED id exit=143",
        ],
        code: "UserInitiated",
        reason: "enough",
        started: true,
    },
    Row {
        what: "a container that may fail to start did, and RUNNING was told without it (G8)",
        reports: &[
            "RUNNING | slow RUNNING id | app RUNNING id | side STOPPED exit=143 dependency",
            "STOPPED | app STOPPED id exit=1 | slow STOPPED id exit=143",
        ],
        code: "EssentialContainerExited",
        reason: EXITED,
        started: true,
    },
];

fn world_with_service() -> World {
    let (world, _) = World::with_instances(1);
    world.register(json!({
        "family": "three",
        "containerDefinitions": [
            {"name": "slow", "image": "slow", "memory": 10},
            {"name": "app", "image": "app", "memory": 10},
            {"name": "side", "image": "side", "memory": 10, "essential": false},
        ],
    }));
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "three", "taskDefinition": "three", "desiredCount": 1,
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": false}},
        }),
    );
    world.reconcile();
    world
}

fn play(world: &World, task: &str, reports: &[&str]) {
    for text in reports {
        if *text == "stop" {
            world.ok("StopTask", json!({"cluster": CLUSTER, "task": task, "reason": "enough"}));
            continue;
        }
        let mut input = report(text);
        input["cluster"] = CLUSTER.into();
        input["task"] = task.into();
        world.ok("SubmitTaskStateChange", input);
    }
}

#[test]
fn what_never_reached_running_does_not_count_as_one_that_ran() {
    for row in TABLE {
        let world = world_with_service();
        let task = world.task_arn(&world.wanted().remove(0));
        play(&world, &task, row.reports);
        world.reconcile();
        let shown = world.describe_task(&task);
        assert_eq!(shown["lastStatus"], "STOPPED", "{}", row.what);
        assert_eq!(
            (shown["stopCode"].as_str(), shown["stoppedReason"].as_str()),
            (Some(row.code), Some(row.reason)),
            "{}",
            row.what
        );
        assert_eq!(shown.get("startedAt").is_some(), row.started, "{}: {}", row.what, shown["startedAt"]);
        let service = world.describe_service("three");
        let failed = if row.started { json!(0) } else { json!(1) };
        assert_eq!(service["deployments"][0]["failedTasks"], failed, "{}", row.what);
        world.check();
    }
}

/// As the report of the issue has it: essential `slow` fails its health check, essential `app` waits for it, again and again.
#[test]
fn a_dependency_that_never_is_healthy_trips_the_circuit_breaker() {
    for row in TABLE.iter().filter(|row| !row.started && !row.reports.contains(&"stop")) {
        let world = world_with_service();
        for _ in 0..20 {
            world.reconcile();
            for task in world.wanted() {
                play(&world, &world.task_arn(&task), row.reports);
            }
            world.reconcile();
            world.advance(Duration::from_secs(1000));
        }
        let deployment = &world.describe_service("three")["deployments"][0];
        assert_eq!(deployment["rolloutState"], "FAILED", "{}: {deployment}", row.what);
        world.check();
    }
}

/// What the agent stopped because another container had ended was not killed from outside: a crash beside a sidecar is a crash.
#[test]
fn a_crash_beside_others_slows_its_service_down() {
    // Exit codes of `slow`, `app` and `side`, and whether the service pauses after a few of them.
    for (codes, pauses) in [
        ([1, 143, 143], true),
        ([0, 137, 137], true),
        ([143, 1, 0], true),
        ([137, 143, 143], false),
        ([143, 143, 1], false),
    ] {
        let world = world_with_service();
        for _ in 0..4 {
            world.reconcile();
            for task in world.wanted() {
                let running = "RUNNING | slow RUNNING id | app RUNNING id | side RUNNING id";
                let [slow, app, side] = codes;
                let ended = format!(
                    "STOPPED | slow STOPPED id exit={slow} | app STOPPED id exit={app} | side STOPPED id exit={side}"
                );
                play(&world, &world.task_arn(&task), &[running, &ended]);
            }
        }
        world.reconcile();
        assert_eq!(world.wanted().is_empty(), pauses, "{codes:?}");
        world.check();
    }
}
