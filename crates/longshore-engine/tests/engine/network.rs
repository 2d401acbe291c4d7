//! Tasks in awsvpc mode: the container that holds their network comes first, goes last, and is never spoken of.

use expect_test::{Expect, expect};
use longshore_engine::input::OpErrorKind;
use longshore_engine::network::PAUSE_IMAGE;
use longshore_engine::settings::PullBehavior;
use longshore_engine::spec::NetworkPlace;
use longshore_engine::view::KnownStatus;
use longshore_engine::{Input, Settings};

use crate::world::{Script, World, key, network, seconds, task};

const PAUSE: &str = "~internal~ecs~pause";

fn settings() -> Settings {
    Settings {
        pull_behavior: PullBehavior::PreferCached,
        task_network: Some(network()),
        ..Settings::default()
    }
}

/// A world with one task in awsvpc mode that has just been assigned. Images are local.
fn world(settings: Settings, containers: &[&str]) -> World {
    let mut world = World::new(settings);
    let mut lines = vec!["awsvpc"];
    lines.extend(containers);
    let spec = task("t1", &lines);
    for container in &spec.containers {
        world.local_images.insert(container.image.clone());
    }
    world.engine.handle(world.now, Input::Assigned(Box::new(spec)));
    world
}

fn news(world: &mut World) -> String {
    let news = world.news();
    let told: Vec<&str> = news.lines().filter(|line| !line.starts_with("look ")).collect();
    told.join("\n")
}

fn check(containers: &[&str], script: impl FnOnce(&mut World), expected: Expect) {
    let mut world = world(settings(), containers);
    script(&mut world);
    expected.assert_eq(&news(&mut world));
}

#[test]
fn the_network_comes_first_and_goes_last() {
    check(
        &["app", "side optional"],
        |w| {
            w.run();
            w.exit("app", 0);
        },
        expect![[r#"
            network tasks
            create ~internal~ecs~pause
            start ~internal~ecs~pause
            create app
            create side
            start app
            start side
            report RUNNING [app RUNNING, side RUNNING]
            stop side grace=30
            report RUNNING [app STOPPED exit=0]
            stop ~internal~ecs~pause grace=0
            report STOPPED [side STOPPED exit=143]"#]],
    );
}

#[test]
fn all_containers_share_the_one_address() {
    let mut w = world(settings(), &["app", "side optional"]);
    w.run();
    let (pause, fake) = w.fake_mut(PAUSE);
    let NetworkPlace::Own { network, interface } = fake.spec.network.clone() else {
        panic!("{:?}", fake.spec.network);
    };
    assert_eq!((network.as_str(), interface.address.to_string().as_str()), ("tasks", "10.9.0.5"));
    assert_eq!(fake.spec.image, PAUSE_IMAGE);
    assert!(fake.spec.name.starts_with("ecs-fam-1-internalecspause-"), "{}", fake.spec.name);
    assert!(fake.spec.environment.0.is_empty());
    for name in ["app", "side"] {
        assert_eq!(w.fake_mut(name).1.spec.network, NetworkPlace::Shared(pause.clone()), "{name}");
    }
    let view = w.engine.task_view(&key("t1")).expect("it is there");
    let names: Vec<&str> = view.containers().map(|c| c.definition().name.as_str()).collect();
    assert_eq!(names, ["app", "side"], "the engine's own container is in no view");
    assert_eq!(view.pause().map(|pause| pause.status()), Some(KnownStatus::Running));
}

#[test]
fn images_are_pulled_while_the_network_is_made() {
    let mut w = World::new(Settings { task_network: Some(network()), ..Settings::default() });
    w.script("network tasks", [Script::Silence]);
    w.engine.handle(w.now, Input::Assigned(Box::new(task("t1", &["awsvpc", "app"]))));
    w.run();
    expect![[r#"
        manifest app
        network tasks
        pull app
        report PENDING [app PENDING]"#]]
    .assert_eq(&news(&mut w));
    // The answer never comes: it is asked for again, and then goes on.
    w.pass(seconds(120));
    assert!(news(&mut w).contains("report RUNNING [app RUNNING]"));
}

#[test]
fn a_task_without_its_network_ends_and_says_why() {
    check(
        &["app", "side optional"],
        |w| {
            w.run();
            w.news();
            w.exit(PAUSE, 137);
        },
        expect![[r#"
            stop app grace=30
            stop side grace=30
            report RUNNING [app STOPPED exit=143] (ContainerNetworkingError: the container that holds the task's network ended, with exit code 137)
            report STOPPED [side STOPPED exit=143] (ContainerNetworkingError: the container that holds the task's network ended, with exit code 137)"#]],
    );
}

#[test]
fn a_network_that_cannot_be_made_fails_the_task() {
    check(
        &["app"],
        |w| {
            w.script("network tasks", [Script::Fail(OpErrorKind::Refused, "no free pool")]);
            w.run();
        },
        expect![[r#"
            network tasks
            report STOPPED [app STOPPED] (ContainerNetworkingError: the task's network could not be set up: no free pool)"#]],
    );
    check(
        &["app"],
        |w| {
            let start = format!("start {PAUSE}");
            w.script(&start, [Script::Fail(OpErrorKind::Other, "Address already in use")]);
            w.run();
        },
        expect![[r#"
            network tasks
            create ~internal~ecs~pause
            start ~internal~ecs~pause
            inspect ~internal~ecs~pause
            report STOPPED [app STOPPED] (ContainerNetworkingError: the task's network could not be set up: CannotStartContainerError: Address already in use)"#]],
    );
}

#[test]
fn an_engine_that_is_away_for_a_moment_is_waited_for() {
    let mut w = world(settings(), &["app"]);
    w.script("network tasks", [Script::Fail(OpErrorKind::Unavailable, "away"), Script::Silence]);
    w.run();
    w.pass(seconds(600));
    assert!(news(&mut w).contains("report RUNNING [app RUNNING]"));
}

#[test]
fn an_instance_without_a_network_refuses() {
    let mut w = world(Settings { task_network: None, ..settings() }, &["app"]);
    w.run();
    let told = news(&mut w);
    assert!(told.contains("ContainerNetworkingError") && told.contains("ECS_ENABLE_TASK_ENI"), "{told}");

    let mut w = World::new(settings());
    let spec = longshore_engine::spec::TaskSpec { interface: None, ..task("t1", &["awsvpc", "app"]) };
    w.engine.handle(w.now, Input::Assigned(Box::new(spec)));
    w.run();
    let told = news(&mut w);
    assert!(told.contains("network mode awsvpc without a network interface"), "{told}");
}

#[test]
fn a_new_agent_finds_the_network_and_leaves_it() {
    let mut w = world(settings(), &["app"]);
    w.run();
    w.news();
    w.restart();
    assert_eq!(news(&mut w), "");
    w.stop(&key("t1"));
    expect![[r#"
        stop app grace=30
        stop ~internal~ecs~pause grace=0
        report STOPPED [app STOPPED exit=143]"#]]
    .assert_eq(&news(&mut w));
    w.pass(seconds(4 * 3600));
    expect![[r#"
        remove app
        remove ~internal~ecs~pause
        forget t1"#]]
    .assert_eq(&news(&mut w));
}

#[test]
fn a_new_agent_hears_that_the_network_is_gone() {
    let mut w = world(settings(), &["app"]);
    w.run();
    w.news();
    let now = w.now;
    w.fake_mut(PAUSE).1.end(now, 137, false);
    w.restart();
    let told = news(&mut w);
    assert!(told.contains("stop app") && told.contains("ended, with exit code 137"), "{told}");
}

#[test]
fn nothing_is_held_for_containers_that_have_all_ended() {
    check(
        &["a optional", "b optional"],
        |w| {
            w.run();
            w.news();
            w.exit("a", 0);
            w.exit("b", 1);
        },
        expect![[r#"
            stop ~internal~ecs~pause grace=0
            report STOPPED [a STOPPED exit=0, b STOPPED exit=1]"#]],
    );
}

/// The control plane gave the first task up for lost, and its address to the second, while the agent was cut off.
#[test]
fn an_address_is_waited_for() {
    let mut w = world(settings(), &["a"]);
    w.run();
    w.local_images.insert("b".to_owned());
    w.feed(Input::Assigned(Box::new(task("t2", &["awsvpc", "b"]))));
    let waits = w.engine.task_view(&key("t2")).expect("known").waits_for().map(str::to_owned);
    assert_eq!(waits.as_deref(), Some("Waiting for host resources: address 10.9.0.5 is taken"));
    w.news();
    w.exit("a", 0);
    w.run();
    w.log.retain(|line| line.starts_with("start"));
    assert_eq!(w.news(), format!("start {PAUSE}\nstart b"));
}
