//! What a runtime can do to a task, and the words that the task ends with.

use expect_test::expect;
use longshore_engine::input::{ObservedStatus, OpErrorKind};
use longshore_engine::report::ReportedStatus;
use longshore_engine::{Input, Settings};

use crate::world::{Script, World, key, seconds, task};

use super::{cached, check};

#[test]
fn failures_have_the_agents_names() {
    let fail = |operation: &'static str, kind: OpErrorKind| {
        move |w: &mut World| {
            w.script(operation, [Script::Fail(kind, "why")]);
            w.run();
            let report = w.reports.last().expect("a report");
            let reason = report.containers[0].reason.clone();
            w.log = vec![reason];
        }
    };
    use OpErrorKind as K;
    check(&["a"], fail("create a", K::Other), expect!["CannotCreateContainerError: why"]);
    check(
        &["a"],
        fail("create a", K::Timeout),
        expect!["DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"],
    );
    check(
        &["a"],
        fail("create a", K::BadHostConfig),
        expect!["HostConfigError: Unable to decode given host config: why"],
    );
    check(&["a"], fail("start a", K::Other), expect!["CannotStartContainerError: why"]);
    check(
        &["a"],
        fail("start a", K::Timeout),
        expect!["DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"],
    );
    check(
        &["a nohealth"],
        fail("none", K::Other),
        expect![
            "DockerClientConfigError: docker health check is nil while container health check type is DOCKER"
        ],
    );
}

#[test]
fn a_start_without_answer_is_looked_after() {
    // It ran all the same: adopted, not started again.
    check(
        &["a"],
        |w| {
            w.script("start a", [Script::FailAfter(OpErrorKind::Timeout, "slow")]);
            w.run();
        },
        expect![[r#"
            create a
            start a
            inspect a
            report RUNNING [a RUNNING]"#]],
    );
    // The runtime was away: tried again.
    check(
        &["a"],
        |w| {
            w.script("start a", [Script::Fail(OpErrorKind::Unavailable, "away")]);
            w.run();
            w.pass(seconds(2));
        },
        expect![[r#"
            create a
            start a
            inspect a
            start a
            report RUNNING [a RUNNING]"#]],
    );
}

#[test]
fn a_runtime_that_never_answers_does_not_hold_a_task() {
    check(
        &["a"],
        |w| {
            w.script("create a", [Script::Silence]);
            w.run();
            w.pass(seconds(300));
        },
        expect![[r#"
            create a
            report STOPPED [a STOPPED (DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s)]"#]],
    );
}

#[test]
fn memory_and_vanishing_give_reasons() {
    check(
        &["a"],
        |w| {
            w.run();
            w.news();
            let (id, fake) = w.fake_mut("a");
            fake.status = ObservedStatus::Exited { exit_code: 137, oom_killed: true, error: None };
            let (container, observation) = (fake.key.clone(), crate::world::look(id.as_str(), fake));
            w.feed(Input::ContainerObserved { container, observation });
        },
        expect![
            "report STOPPED [a STOPPED exit=137 (OutOfMemoryError: Container killed due to memory usage)]"
        ],
    );
    check(
        &["a"],
        |w| {
            w.run();
            w.news();
            w.fakes.clear();
            w.pass(seconds(331));
        },
        expect![[r#"
            inspect a
            report STOPPED [a STOPPED (ContainerVanishedError: the container was removed by something other than the agent)]"#]],
    );
}

#[test]
fn stop_is_tried_then_forced_then_told() {
    check(
        &["a stop=1"],
        |w| {
            w.run();
            w.news();
            w.script("stop a", std::iter::repeat_n(Script::Fail(OpErrorKind::Other, "stuck"), 9));
            w.script("remove a", [Script::Fail(OpErrorKind::Other, "busy")]);
            w.stop(&key("t1"));
            w.pass(seconds(120));
            w.log.push(format!("held {}", w.engine.host_use().memory));
            w.pass(seconds(1500));
            w.log.push(format!("held {}", w.engine.host_use().memory));
        },
        expect![[r#"
            stop a grace=1
            inspect a
            stop a grace=1
            inspect a
            stop a grace=1
            inspect a
            stop a grace=1
            inspect a
            stop a grace=1
            inspect a
            remove a
            report STOPPED [a STOPPED (CannotStopContainerError: stuck)]
            held 64
            stop a grace=0
            stop a grace=0
            stop a grace=0
            stop a grace=0
            stop a grace=0
            held 0"#]],
    );
}

/// Every way in which the runtime can fail a task, and the words that the task ends with. None takes longer than
/// its settings say, and the host has everything back.
#[test]
fn every_failure_of_the_runtime_ends_in_a_reason() {
    use OpErrorKind as K;
    let fail = |kind: K, text| std::iter::repeat_n(Script::Fail(kind, text), 999).collect::<Vec<_>>();
    let silence = || std::iter::repeat_n(Script::Silence, 99).collect::<Vec<_>>();
    let away = "Cannot connect to the Docker daemon";
    let no_space = "no space left on device";
    let cases: [(&str, Vec<Script>, u64, String); 12] = [
        ("pull app", fail(K::Unavailable, away), 30, format!("CannotPullContainerError: {away}")),
        ("pull app", fail(K::NoSpace, no_space), 30, format!("CannotPullContainerError: {no_space}")),
        (
            "pull app",
            fail(K::Timeout, "no progress of the pull for 1m0s"),
            30,
            "CannotPullContainerError: no progress of the pull for 1m0s".to_owned(),
        ),
        (
            "pull app",
            silence(),
            7300,
            "DockerTimeoutError: Could not transition to pulled; timed out after waiting 2h0m0s".to_owned(),
        ),
        ("manifest app", fail(K::Unavailable, away), 70, format!("CannotPullContainerError: {away}")),
        ("create app", fail(K::Unavailable, away), 30, format!("CannotCreateContainerError: {away}")),
        ("create app", fail(K::NoSpace, no_space), 1, format!("CannotCreateContainerError: {no_space}")),
        (
            "create app",
            silence(),
            280,
            "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s".to_owned(),
        ),
        ("start app", fail(K::Unavailable, away), 30, format!("CannotStartContainerError: {away}")),
        ("start app", fail(K::NoSpace, no_space), 1, format!("CannotStartContainerError: {no_space}")),
        (
            "start app",
            fail(K::Other, "OCI runtime create failed"),
            1,
            "CannotStartContainerError: OCI runtime create failed".to_owned(),
        ),
        (
            "start app",
            silence(),
            220,
            "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s".to_owned(),
        ),
    ];
    for (operation, scripts, within, reason) in cases {
        let mut w = World::new(Settings::default());
        if operation == "pull app" || operation == "manifest app" {
            w.script("look app", fail(K::NotFound, "no such image"));
        }
        w.script(operation, scripts);
        w.feed(Input::Assigned(Box::new(task("t1", &["app port=80"]))));
        w.pass(seconds(within));
        let shown = format!("report STOPPED [app STOPPED ({reason})]");
        // What might have started yet is removed.
        let last = w.log.iter().rfind(|line| *line != "remove app");
        assert_eq!(last, Some(&shown), "{operation}");
        w.scripts.clear();
        // What may have been left half-done is looked after.
        w.pass(seconds(600));
        assert_eq!(w.engine.host_use(), Default::default(), "{operation}: {}", w.log.join("\n"));
        // And the node is as good as before.
        w.feed(Input::Assigned(Box::new(task("t2", &["app port=80"]))));
        assert_eq!(w.accepted.get(&key("t2")), Some(&ReportedStatus::Running), "{operation}");
    }
}

#[test]
fn a_runtime_that_is_away_for_a_minute_costs_a_stop_nothing() {
    let mut w = World::new(cached());
    w.local_images.insert("app".to_owned());
    w.feed(Input::Assigned(Box::new(task("t1", &["app"]))));
    let away = || std::iter::repeat_n(Script::Fail(OpErrorKind::Unavailable, "Cannot connect"), 999);
    w.script("stop app", away());
    w.script("inspect app", away());
    w.stop(&key("t1"));
    w.pass(seconds(60));
    assert_eq!(w.accepted.get(&key("t1")), Some(&ReportedStatus::Running), "still STOPPING");
    w.scripts.clear();
    w.pass(seconds(31));
    assert_eq!(w.log.last().expect("told"), "report STOPPED [app STOPPED exit=143]");

    // Away for longer: the control plane is told, and what may still run keeps its share of the host.
    w.feed(Input::Assigned(Box::new(task("t2", &["app"]))));
    for operation in ["stop app", "inspect app", "remove app"] {
        w.script(operation, away());
    }
    w.stop(&key("t2"));
    w.pass(seconds(200));
    assert_eq!(
        w.log.iter().rfind(|line| line.starts_with("report")).expect("told"),
        "report STOPPED [app STOPPED (CannotStopContainerError: Cannot connect)]"
    );
    assert_ne!(w.engine.host_use(), Default::default());
    w.scripts.clear();
    w.pass(seconds(600));
    assert_eq!(w.engine.host_use(), Default::default());
    assert!(w.fakes.values().all(|fake| !fake.lives()));
}
