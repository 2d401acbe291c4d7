//! One test per rule. A script drives a world; the log tells what the engine did.

use expect_test::{Expect, expect};
use longshore_base::Port;
use longshore_engine::input::{HealthStatus, ListedImage, ObservedStatus, OpErrorKind};
use longshore_engine::journal::JournalRecord;
use longshore_engine::note::Note;
use longshore_engine::pressure::DiskUsage;
use longshore_engine::report::ReportedStatus;
use longshore_engine::settings::PullBehavior;
use longshore_engine::spec::{DockerVolume, MountPoint, VolumeDefinition, VolumeSource};
use longshore_engine::view::KnownStatus;
use longshore_engine::{Action, Input, Settings};

use crate::world::{Script, World, key, look, name, seconds, task};

fn cached() -> Settings {
    Settings { pull_behavior: PullBehavior::PreferCached, ..Settings::default() }
}

/// Runs `containers` as one task, then `script`, and compares the log. Images are local.
fn check(containers: &[&str], script: impl FnOnce(&mut World), expected: Expect) {
    check_with(cached(), containers, script, expected);
}

fn check_with(settings: Settings, containers: &[&str], script: impl FnOnce(&mut World), expected: Expect) {
    let mut world = World::new(settings);
    let spec = task("t1", containers);
    for container in &spec.containers {
        world.local_images.insert(container.image.clone());
    }
    world.engine.handle(world.now, Input::Assigned(Box::new(spec)));
    script(&mut world);
    let looks: Vec<String> =
        world.news().lines().filter(|l| !l.starts_with("look ")).map(str::to_owned).collect();
    expected.assert_eq(&looks.join("\n"));
}

#[test]
fn a_task_runs_and_its_essential_container_ends_it() {
    check(
        &["app port=80", "side optional"],
        |w| {
            w.run();
            w.pass(seconds(5));
            w.exit("app", 0);
        },
        expect![[r#"
            create app
            create side
            start app
            start side
            report RUNNING [app RUNNING :32768, side RUNNING]
            stop side grace=30
            report RUNNING [app STOPPED exit=0 :32768]
            report STOPPED [side STOPPED exit=143]"#]],
    );
}

#[test]
fn a_container_that_may_end_ends_alone() {
    check(
        &["app", "side optional"],
        |w| {
            w.run();
            w.news();
            w.exit("side", 3);
            assert_eq!(w.log, Vec::<String>::new(), "held for company");
            w.pass(seconds(31));
        },
        expect!["report RUNNING [side STOPPED exit=3]"],
    );
}

#[test]
fn all_exited_is_stopped() {
    check(
        &["a optional", "b optional"],
        |w| {
            w.run();
            w.news();
            w.exit("a", 0);
            w.exit("b", 1);
        },
        expect!["report STOPPED [a STOPPED exit=0, b STOPPED exit=1]"],
    );
}

#[test]
fn conditions_order_the_start_and_the_stop_is_reversed() {
    check(
        &["app dep=db:HEALTHY dep=init:SUCCESS stop=5", "db health", "init optional dep=db:START"],
        |w| {
            w.run();
            w.log.push("-- init ends".to_owned());
            w.exit("init", 0);
            w.log.push("-- db healthy".to_owned());
            w.health("db", HealthStatus::Healthy);
            w.log.push("-- stop".to_owned());
            w.stop(&key("t1"));
        },
        expect![[r#"
            create db
            start db
            create init
            start init
            -- init ends
            -- db healthy
            create app
            start app
            report RUNNING [db RUNNING, init RUNNING exit=0, init STOPPED exit=0, app RUNNING]
            -- stop
            stop app grace=5
            stop db grace=30
            report RUNNING [app STOPPED exit=143]
            report STOPPED [db STOPPED exit=143]"#]],
    );
}

#[test]
fn links_and_volumes_from_order_the_start() {
    check(
        &["a link=b:alias", "b from=c", "c"],
        World::run,
        expect![[r#"
        create c
        start c
        create b
        start b
        create a
        start a
        report RUNNING [c RUNNING, b RUNNING, a RUNNING]"#]],
    );
}

#[test]
fn a_dependency_that_fails_ends_the_task_with_its_words() {
    check(
        &["app dep=init:SUCCESS", "init optional"],
        |w| {
            w.run();
            w.news();
            w.exit("init", 3);
        },
        expect![
            "report STOPPED [init RUNNING exit=3, init STOPPED exit=3, app STOPPED exit=143 (CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [init(init) (STOPPED->RUNNING) - Exit: 3] for target [app(app) (PULLED->RUNNING)] as dependency did not exit successfully.)]"
        ],
    );
    check(
        &["app dep=slow:HEALTHY", "slow health startTimeout=10"],
        |w| {
            w.run();
            w.news();
            w.pass(seconds(9));
            assert_eq!(w.news(), "inspect slow", "looked at, because another one waits for it");
            w.pass(seconds(1));
        },
        expect![[r#"
            stop slow grace=30
            report STOPPED [slow RUNNING exit=143, app STOPPED exit=143 (CannotStartContainerError: dependency graph: container ordering dependency [slow(slow) (RUNNING->RUNNING)] for target [app(app) (PULLED->RUNNING)] has timed out.), slow STOPPED exit=143]"#]],
    );
}

#[test]
fn what_cannot_be_ordered_is_refused() {
    for containers in
        [&["a dep=b:START", "b dep=a:START"][..], &["a dep=a:START"], &["a link=nobody"], &["a", "a"]]
    {
        check(
            containers,
            |w| {
                w.run();
                let report = w.reports.last().expect("a report");
                assert_eq!(
                    report.reason,
                    format!("Task dependencies cannot be resolved, taskArn: {}", key("t1"))
                );
                w.news();
            },
            expect![[""]],
        );
    }
}

#[test]
fn pulls_by_digest_and_tells_the_digest() {
    check_with(
        Settings::default(),
        &["app"],
        World::run,
        expect![[r#"
        manifest app
        pull app
        report PENDING [app PENDING]
        create app
        start app
        report RUNNING [app RUNNING]"#]],
    );
}

#[test]
fn pull_failures_by_behaviour() {
    let denied = || Script::Fail(OpErrorKind::Denied, "pull access denied");
    for (behavior, expected) in [
        (
            PullBehavior::Default,
            expect![[r#"
            manifest app
            create app
            start app
            report RUNNING [app RUNNING (CannotPullImageManifestError: pull access denied)]"#]],
        ),
        (
            PullBehavior::Always,
            expect![[r#"
            manifest app
            report STOPPED [app STOPPED (CannotPullContainerError: pull access denied)]"#]],
        ),
        (
            PullBehavior::Once,
            expect![[r#"
            manifest app
            create app
            start app
            report RUNNING [app RUNNING (CannotPullImageManifestError: pull access denied)]"#]],
        ),
    ] {
        let settings = Settings { pull_behavior: behavior, ..Settings::default() };
        check_with(
            settings,
            &["app"],
            |w| {
                w.script("manifest app", [denied()]);
                w.run();
            },
            expected,
        );
    }
}

/// What another try cannot cure ends at once; for the rest the task says what it waits for, and forgets it afterwards.
#[test]
fn a_registry_that_does_not_answer_is_told_of_at_once() {
    let fail = |kind, text| Script::Fail(kind, text);
    let no_image = || fail(OpErrorKind::NotFound, "no such image");
    for kind in [OpErrorKind::NotFound, OpErrorKind::Denied, OpErrorKind::Refused] {
        let mut w = World::new(Settings::default());
        w.script("look app", [no_image()]);
        w.script("manifest app", [fail(kind, "hopeless")]);
        w.feed(Input::Assigned(Box::new(task("t1", &["app"]))));
        let ended = "report STOPPED [app STOPPED (CannotPullContainerError: hopeless)]";
        assert_eq!(w.log.last().map(String::as_str), Some(ended), "without any time passing");
    }
    check_with(
        Settings::default(),
        &["app"],
        |w| {
            w.local_images.clear();
            w.script(
                "manifest app",
                [fail(OpErrorKind::Unavailable, "away"), fail(OpErrorKind::Timeout, "slow")],
            );
            w.run();
            w.pass(seconds(5));
        },
        expect![[r#"
            manifest app
            report PENDING [app PENDING (CannotPullImageManifestError: away)]
            manifest app
            manifest app
            pull app
            report PENDING [app PENDING]
            create app
            start app
            report RUNNING [app RUNNING]"#]],
    );
}

/// No registry is asked for an image that is here.
#[test]
fn prefer_cached_looks_before_it_asks() {
    check_with(
        cached(),
        &["app"],
        World::run,
        expect![[r#"
        create app
        start app
        report RUNNING [app RUNNING]"#]],
    );
}

#[test]
fn a_pull_is_tried_five_times() {
    check_with(
        Settings::default(),
        &["app"],
        |w| {
            w.local_images.clear();
            w.script("pull app", std::iter::repeat_n(Script::Fail(OpErrorKind::Unavailable, "reset"), 5));
            w.run();
            w.pass(seconds(30));
        },
        expect![[r#"
            manifest app
            pull app
            report PENDING [app PENDING]
            report PENDING [app PENDING (CannotPullContainerError: reset)]
            pull app
            pull app
            pull app
            pull app
            report STOPPED [app STOPPED (CannotPullContainerError: reset)]"#]],
    );
}

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

#[test]
fn restart_policy_restarts_in_place_without_a_report() {
    check(
        &["a restart=60"],
        |w| {
            w.run();
            w.news();
            w.pass(seconds(60));
            w.exit("a", 1);
            let view = w.engine.task_view(&key("t1")).expect("the task");
            assert_eq!(view.containers().next().expect("a container").restart_count(), 1);
            assert_eq!(view.status(), KnownStatus::Running);
            w.log.push("-- ignored code".to_owned());
            w.pass(seconds(61));
            w.exit("a", 99);
        },
        expect![[r#"
            start a
            -- ignored code
            report STOPPED [a STOPPED exit=99]"#]],
    );
    check(
        &["a restart=60"],
        |w| {
            w.run();
            w.news();
            w.pass(seconds(59));
            w.exit("a", 1);
        },
        expect!["report STOPPED [a STOPPED exit=1]"],
    );
}

/// Gives the container's count of restarts and its start, in seconds since the world began.
fn restarts(w: &World) -> (u32, u64) {
    let view = w.engine.task_view(&key("t1")).expect("the task");
    let container = view.containers().next().expect("a container");
    let began = World::new(Settings::default()).now;
    (container.restart_count(), container.started_at().expect("it ran").since(began).as_secs())
}

/// Does everything but the first start, which is given back.
fn run_until_start(w: &mut World) -> Action {
    loop {
        let action = w.engine.poll_action().expect("a start is asked for");
        if matches!(action, Action::StartContainer { .. }) {
            return action;
        }
        if let Some(input) = w.perform(action) {
            w.input(input);
        }
    }
}

/// What the runtime would tell of the container right now.
fn tell(w: &mut World) -> Input {
    let (id, fake) = w.fake_mut("a");
    Input::ContainerObserved { container: fake.key.clone(), observation: look(id.as_str(), fake) }
}

#[test]
fn a_start_answer_without_a_time_makes_no_restart() {
    let start = || {
        let mut w = World::new(cached());
        w.terse_starts = true;
        w.local_images.insert("a".to_owned());
        w.input(Input::Assigned(Box::new(task("t1", &["a restart=60"]))));
        w
    };
    // The answer comes first, five seconds after the start; then the look that tells the time of it.
    let mut w = start();
    let action = run_until_start(&mut w);
    let answer = w.perform(action).expect("answered");
    w.pass(seconds(5));
    w.feed(answer.clone());
    assert_eq!(restarts(&w), (0, 5), "guessed");
    // A crash in between does not make the guess a fact.
    w.restart();
    assert_eq!(restarts(&w), (0, 0), "told by the list");
    w.feed(answer);
    assert_eq!(restarts(&w), (0, 0), "a late answer without a time");

    // A restart counts once, whichever of look and answer comes first.
    for look_first in [false, true] {
        let mut w = start();
        w.run();
        let seen = tell(&mut w);
        w.feed(seen);
        assert_eq!(restarts(&w), (0, 0));
        w.pass(seconds(60));
        let (now, (id, fake)) = (w.now, w.fake_mut("a"));
        fake.end(now, 1, false);
        let ended =
            Input::ContainerObserved { container: fake.key.clone(), observation: look(id.as_str(), fake) };
        w.input(ended);
        let mut answer = None;
        while let Some(action) = w.engine.poll_action() {
            answer = w.perform(action).or(answer);
        }
        let answer = answer.expect("started again");
        w.now = w.now + seconds(1);
        let seen = tell(&mut w);
        for input in if look_first { [seen, answer] } else { [answer, seen] } {
            w.feed(input);
        }
        assert_eq!(restarts(&w), (1, 60), "look first: {look_first}");
    }

    // The end is the first that is heard after the answer, without a time or with it.
    for dated in [false, true] {
        let mut w = start();
        w.run();
        let early = tell(&mut w);
        w.pass(seconds(60));
        let (now, (id, fake)) = (w.now, w.fake_mut("a"));
        fake.end(now, 1, false);
        let (container, mut observation) = (fake.key.clone(), look(id.as_str(), fake));
        observation.started_at = observation.started_at.filter(|_| dated);
        w.input(Input::ContainerObserved { container, observation });
        // A look from before the end is about the run that ended.
        w.input(early);
        w.run();
        assert_eq!(restarts(&w), (1, 60), "dated: {dated}");
    }
}

#[test]
fn a_start_that_comes_to_its_end_after_it_was_given_up_does_not_live_on() {
    // Asked for, not done; given up; done after all, with an error for an answer.
    check(
        &["a"],
        |w| {
            let start = run_until_start(w);
            w.pass(seconds(300));
            w.script("start a", [Script::FailAfter(OpErrorKind::Unavailable, "reset")]);
            let answer = w.perform(start).expect("answered");
            assert!(w.fake_mut("a").1.lives());
            w.feed(answer);
            assert!(!w.fake_mut("a").1.lives());
        },
        expect![[r#"
            create a
            inspect a
            stop a grace=0
            report STOPPED [a STOPPED (DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s)]
            start a
            stop a grace=0"#]],
    );
}

#[test]
fn dynamic_ports_and_ranges_are_chosen_here() {
    check(
        &["a port=80 port=81 port=8000+3", "b port=9000:90 port=80"],
        |w| {
            w.run();
            w.log.retain(|line| line.starts_with("report"));
        },
        expect!["report RUNNING [a RUNNING :32768 :32769 :32770, b RUNNING :9000 :32773]"],
    );
    check(
        &["a port=8000+11"],
        World::run,
        expect![
            "report STOPPED [a STOPPED (HostConfigError: error retrieving docker port map: 11 contiguous host ports are unavailable)]"
        ],
    );
}

#[test]
fn a_small_task_passes_a_big_one_until_patience_ends() {
    let mut w = World::new(cached());
    w.local_images.extend(["x", "big", "small", "later"].map(str::to_owned));
    let assign = |w: &mut World, id: &str, line: &str| {
        w.feed(Input::Assigned(Box::new(task(id, &[line]))));
        w.log.retain(|l| l.starts_with("start") || l.starts_with("report PENDING"));
        w.news()
    };
    assert_eq!(assign(&mut w, "x", "x mem=600"), "start x");
    assert_eq!(assign(&mut w, "big", "big mem=900"), "");
    assert_eq!(assign(&mut w, "small", "small mem=100"), "start small");
    w.pass(seconds(10));
    expect!["report PENDING [] (Waiting for host resources: MEMORY (needs 900 MiB, 424 MiB free))"]
        .assert_eq(&w.news());
    w.pass(seconds(60));
    assert_eq!(assign(&mut w, "later", "later mem=100"), "", "now room is kept for the big one");
    w.stop(&key("x"));
    w.log.retain(|l| l.starts_with("start"));
    assert_eq!(w.news(), "start big");
}

#[test]
fn fixed_ports_wait_for_each_other() {
    let mut w = World::new(cached());
    w.local_images.extend(["a", "b"].map(str::to_owned));
    w.feed(Input::Assigned(Box::new(task("a", &["a port=8080:80"]))));
    w.feed(Input::Assigned(Box::new(task("b", &["b port=8080:80"]))));
    let waits = w.engine.task_view(&key("b")).expect("known").waits_for().map(str::to_owned);
    assert_eq!(waits.as_deref(), Some("Waiting for host resources: host port 8080/tcp is taken"));
    w.news();
    w.exit("a", 0);
    w.log.retain(|l| l.starts_with("start"));
    assert_eq!(w.news(), "start b");
}

#[test]
fn stops_of_waiting_and_unknown_tasks_are_answered() {
    check(
        &["a mem=5000"],
        |w| {
            w.run();
            w.stop(&key("t1"));
            w.stop(&key("unknown"));
            w.feed(Input::StopRequested { task: key("other"), containers: vec![name("x")] });
            w.feed(Input::Unloadable { task: key("bad"), cause: "no".to_owned() });
        },
        expect![[r#"
            report STOPPED [a STOPPED]
            report STOPPED [] (TaskStateError: Agent could not progress task's state to stopped)
            report STOPPED [x STOPPED]
            report STOPPED [] (UnrecogniedTaskError: Error loading task - no)"#]],
    );
}

#[test]
fn clean_up_waits_and_removes_everything() {
    let mut w = World::new(cached());
    let mut spec = task("t1", &["a"]);
    for (volume, shared) in [("own", false), ("common", true)] {
        spec.volumes.push(VolumeDefinition {
            name: volume.to_owned(),
            source: VolumeSource::Docker(DockerVolume {
                shared,
                autoprovision: true,
                driver: "local".to_owned(),
                driver_options: Default::default(),
                labels: Default::default(),
            }),
        });
        spec.containers[0].mounts.push(MountPoint {
            volume: volume.to_owned(),
            container_path: format!("/{volume}"),
            read_only: shared,
        });
    }
    w.local_images.insert("a".to_owned());
    w.feed(Input::Assigned(Box::new(spec)));
    let binds = w.fake_mut("a").1.spec.binds.clone();
    assert!(binds[0].starts_with("ecs-fam-1-own-") && binds[0].ends_with(":/own"), "{binds:?}");
    assert_eq!(binds[1], "common:/common:ro");
    w.exit("a", 0);
    w.news();
    w.pass(seconds(3 * 3600 - 1));
    assert_eq!(w.news(), "");
    w.pass(seconds(1));
    expect![[r#"
        remove a
        remove volume own
        forget t1"#]]
    .assert_eq(&w.news());
    assert!(w.fakes.is_empty());
    assert!(w.journal.keys().all(|key| key.starts_with("image/")), "{:?}", w.journal.keys());
    assert_eq!(w.engine.tasks().count(), 0);
}

#[test]
fn a_restart_leaves_running_containers_alone_and_tells_what_happened() {
    check(
        &["a", "b optional"],
        |w| {
            w.run();
            w.news();
            w.restart();
            assert_eq!(w.news(), "");
            w.crash();
            let now = w.now;
            w.fake_mut("b").1.end(now, 4, false);
            w.fake_mut("a").1.end(now, 5, false);
            let containers = w.list();
            w.feed(Input::Restored { containers });
        },
        expect!["report STOPPED [a STOPPED exit=5, b STOPPED exit=4]"],
    );
}

#[test]
fn an_end_that_nobody_told_is_found_by_looking() {
    // After a restart of the agent as well, when the run is known from the journal.
    for restarted in [false, true] {
        let mut w = World::new(Settings::default());
        w.feed(Input::Assigned(Box::new(task("t1", &["a"]))));
        if restarted {
            w.restart();
        }
        w.news();
        let now = w.now;
        w.fake_mut("a").1.end(now, 7, false);
        w.pass(seconds(600));
        let news = w.news();
        assert!(news.ends_with("report STOPPED [a STOPPED exit=7]"), "restarted: {restarted}: {news}");
    }
}

#[test]
fn a_container_created_before_the_crash_is_adopted() {
    check(
        &["a"],
        |w| {
            // Its answer is lost with the process.
            w.script("create a", [Script::FailAfter(OpErrorKind::Other, "lost")]);
            while w.fakes.is_empty() {
                let action = w.engine.poll_action().expect("more to do");
                let input = w.perform(action);
                if w.fakes.is_empty()
                    && let Some(input) = input
                {
                    w.input(input);
                }
            }
            w.restart();
        },
        expect![[r#"
            create a
            start a
            report RUNNING [a RUNNING]"#]],
    );
}

#[test]
fn old_images_are_removed_but_not_those_of_tasks() {
    let mut w = World::new(Settings::default());
    for id in ["old", "used"] {
        w.feed(Input::Assigned(Box::new(task(id, &[id]))));
    }
    w.exit("old", 0);
    w.pass(seconds(4 * 3600));
    w.news();
    let mut removed = Vec::new();
    while removed.is_empty() {
        w.now = w.engine.deadline().expect("clean-up goes on");
        w.input(Input::Tick);
        while let Some(action) = w.engine.poll_action() {
            let input = match action {
                Action::ListImages { op } => Some(Input::ImagesListed { op, result: Ok(images()) }),
                Action::RemoveImage { op, image } => {
                    removed.push(image);
                    Some(Input::ImageRemoved { op, result: Ok(()) })
                }
                other => w.perform(other),
            };
            if let Some(input) = input {
                w.input(input);
            }
        }
    }
    assert_eq!(removed, ["sha256:old"]);
    assert!(!w.journal.contains_key("image/old") && w.journal.contains_key("image/used"));
}

fn images() -> Vec<ListedImage> {
    ["old", "used"]
        .map(|name| ListedImage {
            id: format!("sha256:{name}"),
            references: vec![name.to_owned()],
            size_bytes: 1,
            created_at: None,
            in_use: false,
        })
        .to_vec()
}

#[test]
fn records_round_trip_and_those_of_the_first_version_stay_readable() {
    let mut w = World::new(cached());
    w.local_images.insert("a".to_owned());
    w.feed(Input::Assigned(Box::new(task("t1", &["a optional port=80 restart=60 dep=b:START", "b"]))));
    for record in w.journal.values() {
        let text = serde_json::to_string(record).expect("records are plain data");
        assert_eq!(serde_json::from_str::<JournalRecord>(&text).expect("what was written"), *record);
    }
    // Written by version 0.1.0; never to be regenerated.
    let stored: Vec<JournalRecord> = include_str!("../golden/records-v1.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record of the first version"))
        .collect();
    w.journal = stored.into_iter().enumerate().map(|(n, r)| (n.to_string(), r)).collect();
    w.news();
    w.restart();
    let view = w.engine.task_view(&key("t1")).expect("restored");
    assert_eq!(view.status(), KnownStatus::Running);
    assert_eq!(w.news(), "", "its containers are still there, under the stored names");
}

#[test]
fn names_labels_and_variables_are_the_agents() {
    let mut w = World::new(Settings { region: "us-east-1".to_owned(), ..cached() });
    let mut spec = task("t1", &["my_app cpu=0 mem=2"]);
    spec.task_credentials = Some(longshore_engine::spec::CredentialsId::new("cred"));
    assert!(!format!("{spec:?}").contains("cred\""), "credentials ids do not print");
    w.local_images.insert("my_app".to_owned());
    w.feed(Input::Assigned(Box::new(spec)));
    let (_, fake) = w.fake_mut("my_app");
    let created = fake.spec.clone();
    let hex = created.name.strip_prefix("ecs-fam-1-myapp-").expect("the agent's form");
    assert!(hex.len() == 20 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hex}");
    assert_eq!(created.cpu_shares, 2);
    assert_eq!(created.memory_bytes, Some(4 * 1024 * 1024));
    let id = {
        let view = w.engine.task_view(&key("t1")).expect("known");
        view.containers().next().expect("one").metadata_id().to_owned()
    };
    let variables: Vec<String> =
        created.environment.0.iter().map(|(k, v)| format!("{k}={}", v.replace(&id, "ID"))).collect();
    expect![[r#"
        AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/cred
        ECS_AGENT_URI=http://169.254.170.2/api/ID
        ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/ID
        ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/ID"#]]
    .assert_eq(&variables.join("\n"));
    let labels: Vec<String> = created.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    expect![[r#"
        com.amazonaws.ecs.cluster=default
        com.amazonaws.ecs.container-name=my_app
        com.amazonaws.ecs.task-arn=arn:aws:ecs:us-east-1:111122223333:task/c/t1
        com.amazonaws.ecs.task-definition-family=fam
        com.amazonaws.ecs.task-definition-version=1"#]]
    .assert_eq(&labels.join("\n"));
}

/// A stranger has the port that a start names.
fn taken(port: u16) -> Script {
    Script::Fail(OpErrorKind::PortTaken(Some(Port(port))), "port is already allocated")
}

#[test]
fn a_dynamic_port_that_a_stranger_has_is_exchanged() {
    check(
        &["app port=80 port=81"],
        |w| {
            w.script("start app", [taken(32769), Script::Fail(OpErrorKind::PortTaken(None), "taken")]);
            w.run();
            let (_, fake) = w.fake_mut("app");
            let hosts: Vec<u16> = fake.spec.ports.iter().map(|port| port.host.0).collect();
            assert_eq!(hosts, [32771, 32772], "first one of them, then both");
            assert_eq!(w.engine.host_use().ports.len(), 2, "what was refused is not held");
        },
        expect![[r#"
            create app
            start app
            inspect app
            remove app
            create app
            start app
            inspect app
            remove app
            create app
            start app
            report RUNNING [app RUNNING :32771 :32772]"#]],
    );
}

#[test]
fn a_fixed_port_that_a_stranger_has_ends_the_task() {
    check(
        &["app port=8080:80 port=81"],
        |w| {
            w.script("start app", [taken(8080)]);
            w.run();
        },
        expect![[r#"
            create app
            start app
            inspect app
            report STOPPED [app STOPPED (CannotStartContainerError: port is already allocated)]"#]],
    );
}

#[test]
fn a_machine_full_of_strangers_ends_the_task_after_some_ports() {
    let mut w = World::new(cached());
    w.local_images.insert("app".to_owned());
    w.script("start app", std::iter::repeat_n(Script::Fail(OpErrorKind::PortTaken(None), "taken"), 20));
    w.feed(Input::Assigned(Box::new(task("t1", &["app port=80"]))));
    assert_eq!(w.log.iter().filter(|line| *line == "start app").count(), 9);
    assert_eq!(
        w.log.last().expect("told"),
        "report STOPPED [app STOPPED (CannotStartContainerError: taken)]"
    );
    assert!(w.engine.host_use().ports.is_empty());
    // The others are believed to be taken for a while only.
    w.scripts.clear();
    w.pass(seconds(301));
    for id in ["t2", "t3"] {
        w.feed(Input::Assigned(Box::new(task(id, &["app port=80+5"]))));
        w.pass(seconds(1));
        assert_eq!(w.accepted.get(&key(id)), Some(&ReportedStatus::Running));
    }
}

/// A simulated engine got to the first start three seconds later, when the run of the second had ended (seed 19214).
#[test]
fn a_start_that_a_dead_process_asked_for_is_waited_for() {
    for late in [true, false] {
        let mut w = World::new(cached());
        w.local_images.insert("app".to_owned());
        w.engine.handle(w.now, Input::Assigned(Box::new(task("t1", &["app"]))));
        let orphan = loop {
            let action = w.engine.poll_action().expect("a start comes");
            if matches!(action, Action::StartContainer { .. }) {
                break action;
            }
            if let Some(input) = w.perform(action) {
                w.input(input);
            }
        };
        w.log.clear();
        w.restart();
        w.pass(seconds(9));
        assert!(w.log.iter().all(|line| line == "inspect app"), "asked again: {:?}", w.log);
        if late {
            let _ = w.perform(orphan);
        }
        w.pass(seconds(3));
        let view = w.engine.task_view(&key("t1")).expect("known");
        assert_eq!(view.status(), KnownStatus::Running);
        assert_eq!(w.fake_mut("app").1.starts, 1);
    }
}

/// Found by chance: what a look failed to tell was taken for a container that does not run.
#[test]
fn a_restart_that_nobody_could_look_at_is_looked_at_before_the_end() {
    let mut w = World::new(cached());
    w.local_images.insert("app".to_owned());
    w.terse_starts = true;
    w.feed(Input::Assigned(Box::new(task("t1", &["app restart=30"]))));
    w.pass(seconds(40));
    w.script("inspect app", [Script::FailAfter(OpErrorKind::Unavailable, "away")]);
    w.exit("app", 0);
    w.stop(&key("t1"));
    w.pass(seconds(60));
    assert!(!w.fake_mut("app").1.lives(), "{:?}", w.log);
}

#[test]
fn a_crash_in_the_middle_of_an_exchange_of_ports_is_harmless() {
    // Before each action in turn.
    for crash_at in 0..40 {
        let mut w = World::new(cached());
        w.local_images.insert("app".to_owned());
        w.script("start app", [taken(32768)]);
        w.engine.handle(w.now, Input::Assigned(Box::new(task("t1", &["app port=80"]))));
        let mut done = 0;
        while done < crash_at
            && let Some(action) = w.engine.poll_action()
        {
            done += 1;
            if let Some(input) = w.perform(action) {
                w.input(input);
            }
        }
        if !w.journal.contains_key(&format!("assignment/{}", key("t1"))) {
            continue;
        }
        w.restart();
        w.pass(seconds(60));
        let view = w.engine.task_view(&key("t1")).expect("known");
        let container = view.containers().next().expect("one");
        if view.status() == KnownStatus::Running {
            let told = container.ports().next().expect("a port").host;
            let (_, fake) = w.fake_mut("app");
            assert_eq!((fake.starts, fake.spec.ports[0].host), (1, told), "crash before action {crash_at}");
        } else {
            // The old container was gone already, and the journal had not heard of it.
            assert!(
                container.reason().starts_with("ContainerVanishedError"),
                "{crash_at}: {}",
                container.reason()
            );
        }
        w.stop(&key("t1"));
        w.pass(seconds(4 * 3600));
        assert!(w.fakes.is_empty() && w.engine.tasks().count() == 0, "crash before action {crash_at}");
    }
}

fn measured(used_percent: u64) -> Input {
    Input::DiskMeasured(DiskUsage { size_bytes: 100, free_bytes: 100 - used_percent })
}

fn notes(w: &mut World) -> Vec<Note> {
    std::iter::from_fn(|| w.engine.poll_note()).collect()
}

#[test]
fn a_full_disk_takes_the_containers_of_stopped_tasks_first() {
    let mut w = World::new(cached());
    w.local_images.insert("app".to_owned());
    for n in 0..8 {
        w.feed(Input::Assigned(Box::new(task(&format!("t{n}"), &["app mem=8"]))));
        w.pass(seconds(1));
        if n < 7 {
            w.stop(&key(&format!("t{n}")));
        }
    }
    w.news();
    w.feed(measured(84));
    assert_eq!(w.news(), "");
    w.feed(measured(90));
    let removed = w.news();
    assert_eq!(removed.matches("forget").count(), 5, "{removed}");
    assert!(removed.contains("forget t0") && !removed.contains("forget t5"), "the oldest first: {removed}");
    w.feed(measured(84));
    assert_eq!(w.news().matches("forget").count(), 2, "not below the low mark yet");
    w.feed(measured(84));
    assert_eq!(w.news(), "", "what runs is left alone, and images are not cleaned with this pull behaviour");
    w.feed(measured(79));
    let said = notes(&mut w);
    assert!(matches!(said[0], Note::DiskShort { used: 90, high: 85, low: 80 }), "{said:?}");
    assert_eq!(said.iter().filter(|note| matches!(note, Note::CleanedEarly { .. })).count(), 7);
    assert!(
        said.contains(&Note::NothingToClean { used: 84 }) && said.contains(&Note::DiskRelieved { used: 79 })
    );
}

#[test]
fn a_task_whose_end_is_not_told_keeps_its_containers_on_a_full_disk() {
    let mut w = World::new(cached());
    w.local_images.insert("app".to_owned());
    w.feed(Input::Assigned(Box::new(task("t1", &["app"]))));
    w.engine.handle(w.now, Input::StopRequested { task: key("t1"), containers: Vec::new() });
    while let Some(action) = w.engine.poll_action() {
        let is_report = matches!(action, Action::Report(_));
        if let Some(input) = w.perform(action).filter(|_| !is_report) {
            w.input(input);
        }
    }
    w.news();
    w.feed(measured(99));
    assert_eq!(w.news(), "");
}

#[test]
fn a_pull_without_space_cleans_up_and_is_tried_again() {
    let mut w = World::new(Settings::default());
    w.local_images.insert("old".to_owned());
    w.feed(Input::Assigned(Box::new(task("t1", &["old"]))));
    w.exit("old", 0);
    w.news();
    w.script("pull app", [Script::Fail(OpErrorKind::NoSpace, "no space left on device")]);
    w.feed(Input::Assigned(Box::new(task("t2", &["app"]))));
    let news = w.news();
    assert!(news.contains("remove old") && news.contains("forget t1"), "{news}");
    w.pass(seconds(5));
    assert_eq!(w.accepted.get(&key("t2")), Some(&ReportedStatus::Running));
    // And when nothing helps, with the engine's words.
    w.script(
        "pull app",
        std::iter::repeat_n(Script::Fail(OpErrorKind::NoSpace, "no space left on device"), 9),
    );
    w.script("look app", std::iter::repeat_n(Script::Fail(OpErrorKind::NotFound, "no such image"), 9));
    w.feed(Input::Assigned(Box::new(task("t3", &["app"]))));
    w.pass(seconds(60));
    assert_eq!(
        w.log.last().expect("told"),
        "report STOPPED [app STOPPED (CannotPullContainerError: no space left on device)]"
    );
}

#[test]
fn an_image_of_several_repositories_goes_name_by_name() {
    let mut w = World::new(Settings::default());
    w.feed(Input::Assigned(Box::new(task("t1", &["old"]))));
    w.exit("old", 0);
    w.feed(measured(99));
    let list = vec![ListedImage {
        id: "sha256:old".to_owned(),
        references: ["old:1", "other/old:2", "old@sha256:00"].map(str::to_owned).to_vec(),
        size_bytes: 50,
        created_at: None,
        in_use: false,
    }];
    let mut removed = Vec::new();
    w.input(measured(98));
    while let Some(action) = w.engine.poll_action() {
        let input = match action {
            Action::ListImages { op } => Some(Input::ImagesListed { op, result: Ok(list.clone()) }),
            Action::RemoveImage { op, image } => {
                removed.push(image);
                Some(Input::ImageRemoved { op, result: Ok(()) })
            }
            other => w.perform(other),
        };
        if let Some(input) = input {
            w.input(input);
        }
    }
    assert_eq!(removed, ["old:1", "other/old:2"]);
    assert!(!w.journal.contains_key("image/old"));
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
        assert_eq!(w.log.last(), Some(&shown), "{operation}");
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
