//! The order of start and stop, transition by transition (agent-protocol G10; ecs-task-definitions C8; decision 29).
//!
//! Each row of the table is one order of events: what the dependency `dep` lives through while `app` waits for it, and what becomes of `app`.
//! The words of an event: `healthy`, `unhealthy`, `unknown` (what the runtime says of its health), `exit=N`, `vanish`, `N` (seconds pass),
//! `stop` (the task is told to stop), `crash` (the agent dies and comes back).

use longshore_engine::input::{HealthStatus, OpErrorKind};
use longshore_engine::report::ReportedStatus;
use longshore_engine::settings::PullBehavior;
use longshore_engine::spec::RuntimeId;
use longshore_engine::view::KnownStatus;
use longshore_engine::{Input, Settings};

use crate::world::{Script, World, key, look, seconds, task};

pub fn world(containers: &[&str]) -> World {
    let mut world = World::new(Settings { pull_behavior: PullBehavior::PreferCached, ..Settings::default() });
    let spec = task("t1", containers);
    world.local_images.extend(spec.containers.iter().map(|own| own.image.clone()));
    world.engine.handle(world.now, Input::Assigned(Box::new(spec)));
    world
}

pub fn happens(w: &mut World, container: &str, event: &str) {
    match event {
        "healthy" => w.health(container, HealthStatus::Healthy),
        "unhealthy" => w.health(container, HealthStatus::Unhealthy),
        "unknown" => w.health(container, HealthStatus::Unknown),
        "stop" => w.stop(&key("t1")),
        "crash" => w.restart(),
        "vanish" => {
            let (id, fake) = w.fake_mut(container);
            let container = fake.key.clone();
            w.fakes.remove(id.as_str());
            w.feed(Input::ContainerVanished { container, runtime_id: RuntimeId::new(id.as_str()) });
        }
        _ => match event.strip_prefix("exit=") {
            Some(code) => w.exit(container, code.parse().expect("an exit code")),
            None => w.pass(seconds(event.parse().expect("a known event"))),
        },
    }
}

/// What became of `app`: `waits`, `runs`, `ended` (with its code), or the reason why it never starts.
fn fate(w: &World) -> String {
    const PREFIX: &str = "CannotStartContainerError: dependency graph: ";
    let view = w.engine.task_view(&key("t1")).expect("the task");
    let app = view.containers().find(|own| own.definition().name.as_str() == "app").expect("the container");
    match app.status() {
        KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created => {
            "waits".to_owned()
        }
        KnownStatus::Running => "runs".to_owned(),
        KnownStatus::Stopped => match (app.reason().strip_prefix(PREFIX), app.exit_code()) {
            (Some(reason), code) => {
                assert_eq!(code, Some(143), "a container that never started because of a dependency (G8)");
                let who = reason.split(" for target").next().unwrap_or_default();
                format!("{} ...{}", who.replace("container ordering dependency ", ""), tail(reason))
            }
            (None, code) => format!("ended {code:?}{}", app.reason()),
        },
    }
}

fn tail(reason: &str) -> &str {
    reason.rsplit_once(']').map_or("", |(_, tail)| tail)
}

/// Definition of `dep` (`app` is essential and depends on it), events, and what became of `app`.
type Row = (&'static str, &'static str, &'static str, &'static str);

const TIMED_OUT: &str = "[dep(dep) (RUNNING->RUNNING)] ... has timed out.";
const NEVER_STARTS: &str =
    "failed to resolve [dep(dep) (STOPPED->STOPPED)] ... because dependency will never start";
const NOT_HEALTHY: &str = "failed to resolve [dep(dep) (STOPPED->RUNNING) - Exit: 0] ... as dependency stopped before it was healthy.";
const NOT_SUCCESSFUL: &str =
    "failed to resolve [dep(dep) (STOPPED->RUNNING) - Exit: 3] ... as dependency did not exit successfully.";

/// Condition of `app`, definition of `dep`, events after `dep` was asked to start, fate of `app`. Sections are of agent-protocol.
const TABLE: &[Row] = &[
    // START: the other has started (G10, "Order of start and stop").
    ("START", "optional", "", "runs"),
    ("START", "optional health", "", "runs"),
    ("START", "optional startTimeout=5", "9", "runs"),
    // HEALTHY: only the health check opens it; without an answer there is no end to the wait (G10).
    ("HEALTHY", "health", "", "waits"),
    ("HEALTHY", "health", "healthy", "runs"),
    ("HEALTHY", "health", "unknown", "waits"),
    ("HEALTHY", "health", "unknown 9000", "waits"),
    ("HEALTHY", "health", "healthy unhealthy", "runs"),
    ("HEALTHY", "health", "healthy unknown", "runs"),
    // UNHEALTHY is no end: it may yet become healthy, and only its startTimeout ends the wait (G10; decision 29).
    ("HEALTHY", "health", "unhealthy", "waits"),
    ("HEALTHY", "health", "unhealthy 9000", "waits"),
    ("HEALTHY", "health", "unhealthy healthy", "runs"),
    ("HEALTHY", "health", "unhealthy unknown healthy", "runs"),
    ("HEALTHY", "optional health", "unhealthy", "waits"),
    ("HEALTHY", "optional health", "unhealthy healthy", "runs"),
    ("HEALTHY", "optional health", "unhealthy crash healthy", "runs"),
    // startTimeout counts from the dependency's own start (G10).
    ("HEALTHY", "health startTimeout=10", "9", "waits"),
    ("HEALTHY", "health startTimeout=10", "9 healthy", "runs"),
    ("HEALTHY", "health startTimeout=10", "9 healthy 9", "runs"),
    ("HEALTHY", "health startTimeout=10", "10", TIMED_OUT),
    ("HEALTHY", "health startTimeout=10", "10 healthy", TIMED_OUT),
    ("HEALTHY", "health startTimeout=10", "unhealthy 9 healthy", "runs"),
    ("HEALTHY", "health startTimeout=10", "unhealthy 10", TIMED_OUT),
    ("HEALTHY", "health startTimeout=10", "unhealthy 5 crash 4", "waits"),
    ("HEALTHY", "health startTimeout=10", "unhealthy 5 crash 5", TIMED_OUT),
    ("HEALTHY", "optional health startTimeout=10", "unhealthy 10", TIMED_OUT),
    // Its end: an essential one ends the task, and who waits just ends with it (G8: no exit code); another one can never be healthy again.
    ("HEALTHY", "health", "exit=0", "ended None"),
    ("HEALTHY", "health", "exit=1", "ended None"),
    ("HEALTHY", "health startTimeout=10", "unhealthy exit=1", "ended None"),
    ("HEALTHY", "health", "vanish", "ended None"),
    ("HEALTHY", "optional health", "exit=0", NOT_HEALTHY),
    ("HEALTHY", "optional health", "unhealthy exit=0", NOT_HEALTHY),
    ("HEALTHY", "optional health startTimeout=10", "5 exit=0", NOT_HEALTHY),
    ("HEALTHY", "optional health", "healthy exit=0", "runs"),
    // A restart in place (G10, "Restart policy") is no end. Its health is asked anew, and the time runs on from the first start.
    ("HEALTHY", "optional health restart=60", "60 exit=1", "waits"),
    ("HEALTHY", "optional health restart=60", "60 exit=1 healthy", "runs"),
    ("HEALTHY", "optional health restart=60", "unhealthy 60 exit=1 healthy", "runs"),
    (
        "HEALTHY",
        "optional health restart=60",
        "60 exit=99",
        "failed to resolve [dep(dep) (STOPPED->RUNNING) - Exit: 99] ... as dependency stopped before it was healthy.",
    ),
    ("HEALTHY", "optional health restart=60 startTimeout=100", "60 exit=1 39", "waits"),
    ("HEALTHY", "optional health restart=60 startTimeout=100", "60 exit=1 40", TIMED_OUT),
    ("HEALTHY", "optional health restart=60 startTimeout=100", "60 exit=1 crash 40", TIMED_OUT),
    ("HEALTHY", "health restart=60", "59 exit=1", "ended None"),
    // COMPLETE: has ended, however.
    ("COMPLETE", "optional", "", "waits"),
    ("COMPLETE", "optional", "9000", "waits"),
    ("COMPLETE", "optional", "exit=0", "runs"),
    ("COMPLETE", "optional", "exit=3", "runs"),
    ("COMPLETE", "optional", "vanish", "runs"),
    ("COMPLETE", "optional health", "unhealthy exit=3", "runs"),
    ("COMPLETE", "optional restart=60", "60 exit=3", "waits"),
    ("COMPLETE", "optional restart=60", "60 exit=99", "runs"),
    ("COMPLETE", "optional startTimeout=10", "9 exit=3", "runs"),
    ("COMPLETE", "optional startTimeout=10", "10", TIMED_OUT),
    ("COMPLETE", "optional startTimeout=10", "5 crash 5", TIMED_OUT),
    // SUCCESS: ended with 0.
    ("SUCCESS", "optional", "", "waits"),
    ("SUCCESS", "optional", "exit=0", "runs"),
    ("SUCCESS", "optional", "exit=3", NOT_SUCCESSFUL),
    (
        "SUCCESS",
        "optional",
        "vanish",
        "failed to resolve [dep(dep) (STOPPED->RUNNING)] ... as dependency did not exit successfully.",
    ),
    ("SUCCESS", "optional restart=60", "60 exit=3 exit=0", "runs"),
    ("SUCCESS", "optional restart=60", "60 exit=3 5 exit=3", NOT_SUCCESSFUL),
    ("SUCCESS", "optional startTimeout=10", "9 exit=0", "runs"),
    ("SUCCESS", "optional startTimeout=10", "10", TIMED_OUT),
    ("SUCCESS", "optional startTimeout=10", "9 exit=3", NOT_SUCCESSFUL),
    // The task is told to stop while a container waits: it ends without an exit code (G10, "Stop").
    ("HEALTHY", "health", "stop", "ended None"),
    ("HEALTHY", "health startTimeout=10", "unhealthy stop 20", "ended None"),
    ("SUCCESS", "optional", "stop", "ended None"),
    ("COMPLETE", "optional", "stop", "ended None"),
];

#[test]
fn what_waits_goes_on_when_its_condition_holds_and_ends_when_it_cannot() {
    for (condition, definition, events, expected) in TABLE {
        let mut w = world(&[&format!("app dep=dep:{condition}"), &format!("dep {definition}")]);
        w.run();
        for event in events.split_whitespace() {
            happens(&mut w, "dep", event);
        }
        let row = format!("{condition} on `{definition}`, {events:?}");
        assert_eq!(fate(&w), *expected, "{row}");
        // Who never starts is essential: its task ends, and says so.
        let over = fate(&w) != "waits" && fate(&w) != "runs";
        let last = w.reports.last().map(|report| report.status);
        assert_eq!(last == Some(ReportedStatus::Stopped), over, "{row}: {last:?}");
        let ran = w.reports.iter().any(|report| report.status == ReportedStatus::Running);
        assert_eq!(
            ran,
            fate(&w) == "runs",
            "{row}: RUNNING is told of a task whose containers all got there"
        );
    }
}

/// A dependency that could not be pulled, created or started: no condition on it can come true (G8, G10).
#[test]
fn a_dependency_that_never_starts_ends_who_waits_for_it() {
    for condition in ["START", "COMPLETE", "SUCCESS", "HEALTHY"] {
        for (step, kind, words) in [
            ("create dep", OpErrorKind::Other, "CannotCreateContainerError: no"),
            ("create dep", OpErrorKind::Timeout, "DockerTimeoutError: Could not transition to created"),
            ("start dep", OpErrorKind::Other, "CannotStartContainerError: no"),
        ] {
            let app = format!("app dep=dep:{condition}");
            let mut w = world(&[&app, "dep optional health startTimeout=10"]);
            w.script(step, [Script::Fail(kind.clone(), "no")]);
            w.run();
            assert_eq!(fate(&w), NEVER_STARTS, "{condition}, {step}");
            let view = w.engine.task_view(&key("t1")).expect("the task");
            let dep = view.containers().nth(1).expect("the dependency");
            assert!(dep.reason().starts_with(words), "{}", dep.reason());
            // An essential one ends the task by itself, and who waits has nothing to add.
            let mut w = world(&[&app, "dep health startTimeout=10"]);
            w.script(step, [Script::Fail(kind, "no")]);
            w.run();
            assert_eq!(fate(&w), "ended None", "{condition}, {step}");
        }
    }
}

/// As long as the dependency is pulled or created, no time runs (G10: from its own start).
#[test]
fn no_time_runs_before_the_dependency_has_started() {
    for slow in ["pull dep", "create dep", "start dep"] {
        let mut w = World::new(Settings::default());
        w.script(slow, [Script::Silence]);
        let lines = ["app dep=dep:HEALTHY", "dep health startTimeout=10"];
        w.engine.handle(w.now, Input::Assigned(Box::new(task("t1", &lines))));
        w.pass(seconds(30));
        assert_eq!(fate(&w), "waits", "{slow}");
    }
}

/// The time of a dependency that was met in time does not hide the time of another one.
#[test]
fn each_dependency_has_its_own_time() {
    let mut w = world(&[
        "app dep=dep:HEALTHY dep=other:COMPLETE",
        "dep health startTimeout=10",
        "other optional startTimeout=12",
    ]);
    w.run();
    happens(&mut w, "dep", "healthy");
    w.pass(seconds(12));
    assert_eq!(fate(&w), "[other(other) (RUNNING->RUNNING)] ... has timed out.");
}

/// Who depends on one that never starts never starts either, in whatever order the definition names them.
#[test]
fn a_failure_goes_down_the_line() {
    for lines in [
        ["app dep=mid:START", "mid optional dep=dep:SUCCESS", "dep optional"],
        ["dep optional", "mid optional dep=dep:SUCCESS", "app dep=mid:START"],
    ] {
        let mut w = world(&lines);
        w.run();
        happens(&mut w, "dep", "exit=3");
        assert_eq!(
            fate(&w),
            "failed to resolve [mid(mid) (STOPPED->STOPPED) - Exit: 143] ... because dependency will never start"
        );
    }
}

/// A container that is not essential and cannot start leaves the task as it is; RUNNING is told without it (G8).
#[test]
fn a_dependent_that_is_not_essential_ends_alone() {
    let mut w = world(&["main", "app optional dep=dep:SUCCESS", "dep optional"]);
    w.run();
    assert!(w.reports.is_empty(), "not all are where they should be");
    happens(&mut w, "dep", "exit=3");
    assert_eq!(fate(&w), NOT_SUCCESSFUL);
    let last = w.reports.last().expect("a report");
    assert_eq!(last.status, ReportedStatus::Running);
    let view = w.engine.task_view(&key("t1")).expect("the task");
    assert_eq!(view.status(), KnownStatus::Running);
}

/// What was healthy when the image was fetched has to be healthy when the container is created, and when it is started.
#[test]
fn a_condition_holds_until_the_start() {
    // Pulled while healthy, and the dependency is unhealthy when the pull ends.
    for step in ["pull app", "create app"] {
        let mut w = World::new(Settings::default());
        w.local_images.insert("dep".to_owned());
        let lines = ["app dep=dep:HEALTHY", "dep health"];
        w.engine.handle(w.now, Input::Assigned(Box::new(task("t1", &lines))));
        w.run();
        let answer = hold_back(&mut w, step, |w| happens(w, "dep", "healthy"));
        happens(&mut w, "dep", "unhealthy");
        w.feed(answer);
        assert_eq!(fate(&w), "waits", "{step}");
        happens(&mut w, "dep", "healthy");
        assert_eq!(fate(&w), "runs", "{step}");
    }
    // Nor does it start if the dependency has ended meanwhile.
    let mut w = world(&["app dep=dep:HEALTHY", "dep optional health"]);
    w.run();
    let answer = hold_back(&mut w, "create app", |w| happens(w, "dep", "healthy"));
    happens(&mut w, "dep", "exit=0");
    w.feed(answer);
    assert_eq!(fate(&w), NOT_HEALTHY);
}

/// Does `cause` and what follows, but for the answer to one operation, which is given back.
fn hold_back(w: &mut World, operation: &str, cause: impl FnOnce(&mut World)) -> Input {
    w.held = Some((operation.to_owned(), None));
    cause(w);
    w.held.take().and_then(|(_, answer)| answer).expect("the operation was asked for")
}

/// Between two runs of its restart policy a dependency neither runs nor is healthy, whatever the run before was.
#[test]
fn nothing_starts_while_its_dependency_is_between_two_runs() {
    for (condition, dep) in [
        ("START", "dep optional health restart=60 startTimeout=10"),
        ("HEALTHY", "dep optional health restart=60"),
    ] {
        let line = format!("app dep=dep:{condition} dep=gate:SUCCESS");
        let mut w = world(&[&line, dep, "gate optional"]);
        w.run();
        happens(&mut w, "dep", "healthy");
        w.pass(seconds(60));
        let answer = hold_back(&mut w, "start dep", |w| happens(w, "dep", "exit=1"));
        happens(&mut w, "gate", "exit=0");
        assert_eq!(fate(&w), "waits", "{condition}");
        w.feed(answer);
        let expected = if condition == "START" { "runs" } else { "waits" };
        assert_eq!(fate(&w), expected, "{condition}");
        happens(&mut w, "dep", "healthy");
        assert_eq!(fate(&w), "runs", "{condition}");
    }
}

/// A blocked task is looked at every 5 s, so that a lost event costs no more (G10).
#[test]
fn what_others_wait_for_is_looked_at_every_five_seconds() {
    let mut w = world(&["app dep=dep:HEALTHY", "dep health"]);
    w.run();
    w.fake_mut("dep").1.health = Some(HealthStatus::Healthy);
    w.pass(seconds(5));
    assert_eq!(fate(&w), "runs");
    w.news();
    w.pass(seconds(120));
    assert_eq!(w.news(), "", "nobody waits any more");
    let mut w = world(&["app dep=dep:SUCCESS", "dep optional"]);
    w.run();
    let now = w.now;
    w.fake_mut("dep").1.end(now, 0, false);
    w.pass(seconds(5));
    assert_eq!(fate(&w), "runs");
}

/// Nobody would ever say that a container without a health check is healthy: refused, as what cannot be ordered is (G10).
#[test]
fn health_of_a_container_without_a_check_cannot_be_waited_for() {
    let mut w = world(&["app dep=dep:HEALTHY", "dep"]);
    w.run();
    let report = w.reports.last().expect("a report");
    assert_eq!(report.reason, format!("Task dependencies cannot be resolved, taskArn: {}", key("t1")));
    assert_eq!(report.status, ReportedStatus::Stopped);
    assert!(w.fakes.is_empty());
}

/// Each container is stopped when all that depend on it have stopped, each with its own grace (G10, "Stop").
#[test]
fn stops_go_against_the_order_of_starts() {
    let mut w = world(&[
        "db stop=40",
        "app dep=db:START stop=5",
        "proxy optional dep=app:START dep=db:START",
        "waits dep=proxy:COMPLETE",
    ]);
    w.run();
    w.news();
    w.stop(&key("t1"));
    let stops: Vec<String> =
        w.news().lines().filter(|line| line.starts_with("stop")).map(str::to_owned).collect();
    assert_eq!(stops, ["stop proxy grace=30", "stop app grace=5", "stop db grace=40"]);
}

/// Only what the runtime told is looked at: a look that comes late does not bring a healthy run back.
#[test]
fn late_looks_open_no_gate() {
    let mut w = world(&["app dep=dep:HEALTHY", "dep optional health restart=60"]);
    w.run();
    let (id, fake) = w.fake_mut("dep");
    fake.health = Some(HealthStatus::Healthy);
    let (container, observation) = (fake.key.clone(), look(id.as_str(), fake));
    fake.health = None;
    w.pass(seconds(60));
    happens(&mut w, "dep", "exit=1");
    w.feed(Input::ContainerObserved { container, observation });
    assert_eq!(fate(&w), "waits");
}
