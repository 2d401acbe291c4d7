//! Images: pulls by behaviour, digests, tries, and the removal of old ones.

use expect_test::expect;
use longshore_engine::input::{ListedImage, OpErrorKind};
use longshore_engine::settings::PullBehavior;
use longshore_engine::spec::RegistryAuth;
use longshore_engine::{Action, Input, Settings};

use crate::world::{Script, World, seconds, task};

use super::{cached, check_with, measured};

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

/// Whoever cannot have the login that his definition names does not get the image that others have pulled; a registry that
/// takes the login for wrong is a registry like any other.
#[test]
fn without_its_login_an_image_is_not_taken_from_here() {
    let run = |kind| {
        let mut w = World::new(Settings::default());
        w.local_images.insert("app".into());
        w.script("manifest app", [Script::Fail(kind, "no way in")]);
        let mut task = task("t1", &["app"]);
        task.containers[0].registry_auth =
            RegistryAuth::Asm { parameter: "arn:secret".into(), region: "r".into() };
        w.feed(Input::Assigned(Box::new(task)));
        w.run();
        w.log
    };
    let log = run(OpErrorKind::NoLogin);
    let last = log.last().expect("it reports");
    assert!(last.starts_with("report STOPPED") && last.contains("no way in"), "{log:?}");
    assert!(!last.contains("CannotPull") && !log.iter().any(|line| line.starts_with("create")), "{log:?}");
    let log = run(OpErrorKind::Denied);
    assert!(log.iter().any(|line| line.starts_with("create app")), "{log:?}");
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
