//! The control plane counts the tasks of a deregistered instance as STOPPED, so none of them may live on.

use super::*;

/// With two running tasks and one that has ended, before somebody deregisters the instance by force.
fn rig_with_tasks() -> Rig {
    let mut rig = Rig::connected();
    rig.runtime.world.script("short", ImageScript::exits(2 * SECOND, 0));
    for (name, image) in [("a", "bb"), ("b", "bb"), ("over", "short")] {
        rig.place(name, Rig::payload(name, image));
    }
    rig.run(10 * SECOND);
    assert_eq!(rig.runtime.world.running(), 2);
    assert_eq!(rig.runtime.found().len(), 3);
    rig
}

#[test]
fn an_agent_that_comes_back_removes_what_was_left_and_ends() {
    let mut rig = rig_with_tasks();
    rig.crash();
    rig.refuses_known = true;
    rig.begin();
    rig.run(120 * SECOND);
    let text = rig.exit.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "{text}");
    assert!(text.contains("Nothing is left of its tasks."), "{text}");
    assert_eq!(rig.runtime.found(), []);
    // The next start has nothing left to do.
    rig.exit = None;
    rig.crash();
    rig.begin();
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5));
    assert_eq!(rig.starts(), 3);
}

/// It is asked to end meanwhile: then the next start goes on.
#[test]
fn an_agent_may_be_stopped_before_it_has_removed_everything() {
    let mut rig = rig_with_tasks();
    rig.crash();
    rig.refuses_known = true;
    rig.input(Input::Engine(Box::new(longshore_engine::Input::Restored { containers: rig.runtime.found() })));
    rig.input(Input::Stop);
    assert_eq!(rig.exit, Some(ExitReason::Stopped));
    rig.exit = None;
    rig.crash();
    rig.begin();
    rig.run(120 * SECOND);
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5));
    assert_eq!(rig.runtime.found(), []);
}

#[test]
fn an_engine_that_is_away_does_not_keep_the_agent_for_ever() {
    let mut rig = rig_with_tasks();
    rig.crash();
    rig.refuses_known = true;
    // Nobody says which containers there are.
    rig.run(3600 * SECOND);
    let text = rig.exit.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "{text}");
    assert!(text.contains("docker ps --all --quiet --filter label=longshore.agent="), "{text}");
}

/// The official agent waits an hour and asks again, with its tasks running. Ours are not to outlive their records.
#[test]
fn a_running_agent_that_hears_of_it_removes_its_tasks_and_goes_on() {
    let mut rig = rig_with_tasks();
    rig.refuses_sockets = true;
    rig.cut();
    rig.run(120 * SECOND);
    assert_eq!(rig.exit, None);
    assert_eq!(rig.runtime.found(), []);
    assert_eq!(rig.core.engine().tasks().count(), 0);
}

/// A control plane that was mistaken for another knows none of our instances: its word stops nothing.
#[test]
fn an_instance_that_nobody_knows_keeps_its_containers() {
    let mut rig = rig_with_tasks();
    rig.crash();
    rig.answers.insert("RegisterContainerInstance", Err(forgotten()));
    rig.begin();
    let text = rig.exit.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "{text}");
    assert!(text.contains("ECS_BACKEND_HOST") && text.contains("docker rm --force $(docker ps"), "{text}");
    assert_eq!(rig.runtime.world.running(), 2);
}
