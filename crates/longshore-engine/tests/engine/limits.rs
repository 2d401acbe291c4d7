//! What a task as a whole is held to (agent-protocol G11, Task cgroup).

use longshore_base::MemoryMib;
use longshore_engine::input::ObservedStatus;
use longshore_engine::settings::{PullBehavior, TaskCgroups};
use longshore_engine::{Input, Settings};

use crate::world::{World, look, task};

const MIB: u64 = 1024 * 1024;

/// A task of 64 MiB with a container `own` of 16 MiB, `free` without a limit, and `soft` with a reservation of 80 MiB.
fn started(task_cgroups: TaskCgroups, lines: &[&str]) -> World {
    let settings =
        Settings { pull_behavior: PullBehavior::PreferCached, task_cgroups, ..Settings::default() };
    let mut world = World::new(settings);
    let mut spec = task("t1", lines);
    spec.memory = Some(MemoryMib(64));
    spec.cpu_millis = Some(250);
    for container in &mut spec.containers {
        world.local_images.insert(container.image.clone());
        match container.name.as_str() {
            "own" => container.memory = Some(MemoryMib(16)),
            "soft" => (container.memory, container.memory_reservation) = (None, Some(MemoryMib(80))),
            _ => container.memory = None,
        }
    }
    world.feed(Input::Assigned(Box::new(spec)));
    world.run();
    world
}

fn limits(world: &mut World, containers: &[&str]) -> Vec<(Option<u64>, Option<String>)> {
    let of = |name: &&str| {
        let (_, fake) = world.fake_mut(name);
        (fake.spec.memory_bytes, fake.spec.cgroup_parent.clone())
    };
    containers.iter().map(of).collect()
}

#[test]
fn a_cgroup_holds_the_containers_together() {
    for version in [TaskCgroups::V1, TaskCgroups::V2] {
        let mut world = started(version, &["own", "free"]);
        assert!(world.news().contains("cgroup /ecs/t1"), "it is made first");
        let parent = Some("/ecs/t1".to_owned());
        assert_eq!(limits(&mut world, &["own", "free"]), [(Some(16 * MIB), parent.clone()), (None, parent)]);
    }
}

/// Docker says of all containers in a cgroup that memory ran out there.
#[test]
fn memory_is_the_reason_of_those_that_were_killed() {
    let ended = |code: i32| {
        let mut world = started(TaskCgroups::V1, &["free"]);
        world.news();
        let (id, fake) = world.fake_mut("free");
        fake.status = ObservedStatus::Exited { exit_code: code, oom_killed: true, error: None };
        let (container, observation) = (fake.key.clone(), look(id.as_str(), fake));
        world.feed(Input::ContainerObserved { container, observation });
        world.news().contains("OutOfMemoryError")
    };
    assert_eq!([0, 143, 137, 1].map(ended), [false, false, true, true]);
}

#[test]
fn without_cgroups_no_container_has_more_than_its_task() {
    let mut world = started(TaskCgroups::Off, &["own", "free", "soft"]);
    assert_eq!(
        limits(&mut world, &["own", "free", "soft"]),
        // Engines refuse a limit below the reservation.
        [(Some(16 * MIB), None), (Some(64 * MIB), None), (Some(80 * MIB), None)]
    );
}
