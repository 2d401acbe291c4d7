//! Host ports: which are chosen, who waits for whom, and what other programs have.

use expect_test::expect;
use longshore_base::Port;
use longshore_engine::Input;
use longshore_engine::input::OpErrorKind;
use longshore_engine::report::ReportedStatus;
use longshore_engine::view::KnownStatus;

use crate::world::{Script, World, key, seconds, task};

use super::{cached, check};

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

/// Another program has the port that a start names.
fn taken(port: u16) -> Script {
    Script::Fail(OpErrorKind::PortTaken(Some(Port(port))), "port is already allocated")
}

#[test]
fn a_dynamic_port_that_another_program_has_is_exchanged() {
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
fn a_fixed_port_that_another_program_has_ends_the_task() {
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
fn a_task_ends_after_some_ports_that_other_programs_have() {
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
