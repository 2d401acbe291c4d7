//! One test per rule. A script drives a world; the log tells what the engine did.

mod cleanup;
mod failures;
mod images;
mod order;
mod ports;
mod recovery;
mod restarts;

use expect_test::{Expect, expect};
use longshore_engine::journal::JournalRecord;
use longshore_engine::pressure::DiskUsage;
use longshore_engine::settings::PullBehavior;
use longshore_engine::view::KnownStatus;
use longshore_engine::{Input, Settings};

use crate::world::{World, key, name, seconds, task};

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

fn measured(used_percent: u64) -> Input {
    Input::DiskMeasured(DiskUsage { size_bytes: 100, free_bytes: 100 - used_percent })
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
