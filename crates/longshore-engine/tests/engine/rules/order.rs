//! Which container waits for which, at the start and at the end.

use expect_test::expect;
use longshore_engine::input::HealthStatus;

use crate::world::{World, key, seconds};

use super::check;

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
