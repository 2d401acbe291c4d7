//! What is removed of stopped tasks, in its time or because the disk is full.

use expect_test::expect;
use longshore_engine::input::OpErrorKind;
use longshore_engine::note::Note;
use longshore_engine::report::ReportedStatus;
use longshore_engine::spec::{DockerVolume, MountPoint, VolumeDefinition, VolumeSource};
use longshore_engine::{Action, Input, Settings};

use crate::world::{Script, World, key, seconds, task};

use super::{cached, measured};

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
