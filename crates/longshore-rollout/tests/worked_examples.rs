//! The worked rolling updates of ecs-services E2, step by step.

mod world;

use expect_test::{Expect, expect};
use longshore_rollout::Waiting;
use world::World;

/// Rolls a service to a new deployment and writes down every picture: plan, tasks that start or
/// stop, time to settle, one after the other.
fn check(desired: u32, min: u32, max: u32, expected: Expect) {
    let mut world = World::running(desired, min, max);
    world.update();
    let mut pictures = Vec::new();
    let mut note = |world: &World| {
        let picture = world.picture();
        if pictures.last() != Some(&picture) {
            pictures.push(picture);
        }
    };
    note(&world);
    let mut last = world.plan();
    for _ in 0..60 {
        last = world.round();
        world.check_bounds(&world.plan());
        note(&world);
        world.finish_all();
        world.run_all();
        note(&world);
        if last.starts.is_empty() && last.stops.is_empty() {
            world.now = world.now + world.view.settings.settle_time;
        }
    }
    if last.waiting_for.iter().any(|waiting| matches!(waiting, Waiting::Bounds { .. })) {
        pictures.push("stuck".to_owned());
    }
    expected.assert_eq(&pictures.join(" "));
}

#[test]
fn one_task_starts_first() {
    check(1, 100, 200, expect!["o1 o1n1 n1-1 n1"]);
}

#[test]
fn one_task_stops_first() {
    check(1, 0, 100, expect!["o1 -1 none n1"]);
}

#[test]
fn two_tasks_half_at_a_time() {
    check(2, 50, 100, expect!["o2 o1-1 o1 o1n1 n1-1 n1 n2"]);
}

#[test]
fn three_tasks_double() {
    check(3, 100, 200, expect!["o3 o3n3 n3-3 n3"]);
}

#[test]
fn four_tasks_a_quarter_each_way() {
    check(4, 75, 125, expect!["o4 o3n1-1 o3n1 o3n2 o1n2-2 o1n2 o1n4 n4-1 n4"]);
}

#[test]
fn no_room_above() {
    check(3, 100, 125, expect!["o3 stuck"]);
}

#[test]
fn no_room_below() {
    check(2, 75, 100, expect!["o2 stuck"]);
}

#[test]
fn ten_tasks_half_each_way() {
    check(10, 50, 150, expect!["o10 o5n5-5 o5n5 o5n10 n10-5 n10"]);
}

#[test]
fn both_hundred_is_stuck() {
    check(3, 100, 100, expect!["o3 stuck"]);
}
