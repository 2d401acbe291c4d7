//! What a new process makes of the old one's containers.

use expect_test::expect;
use longshore_engine::input::OpErrorKind;
use longshore_engine::view::KnownStatus;
use longshore_engine::{Action, Input, Settings};

use crate::world::{Script, World, key, seconds, task};

use super::{cached, check};

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
