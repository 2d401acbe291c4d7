//! A Docker API on a socket of our own that hangs, breaks off, refuses and runs out of space, as a real engine does on
//! its worst days. Each fault comes back as the error that the agent acts upon, within its limit of time. And it counts
//! what a burst of starts asks of the engine, and through it of a registry.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use longshore_base::{ContainerName, Port};
use longshore_engine::input::{Input, ObservedStatus, OpError, OpErrorKind};
use longshore_engine::spec::{ContainerKey, RegistryAuth, RuntimeId, TaskKey};
use longshore_engine::{Action, OpId};
use longshore_runtime::port::{LABEL_CONTAINER, LABEL_TASK};
use longshore_runtime::{Executor, FRESH, LabelFilter, NoLogins, Runtime, RuntimeEvent};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use support::{FakeDocker, PATIENCE, Reply, serve};

/// Short, because the tests wait for it.
const LIMIT: Duration = Duration::from_millis(200);

fn key(name: &str) -> ContainerKey {
    let name = ContainerName::parse(name).expect("a name");
    ContainerKey { task: TaskKey::new("arn:aws:ecs:us-east-1:111122223333:task/c/1"), name }
}

fn pull() -> Action {
    Action::Pull {
        op: OpId(1),
        container: key("app"),
        image: "r.example/app:1".to_owned(),
        digest: None,
        auth: RegistryAuth::Node,
        timeout: PATIENCE,
        inactivity_timeout: LIMIT,
    }
}

fn start() -> Action {
    let runtime_id = RuntimeId::new("c1");
    Action::StartContainer { op: OpId(1), container: key("app"), runtime_id, timeout: LIMIT }
}

fn stop() -> Action {
    let (runtime_id, grace) = (RuntimeId::new("c1"), Duration::from_secs(1));
    Action::StopContainer { op: OpId(1), container: key("app"), runtime_id, grace, timeout: LIMIT }
}

fn remove() -> Action {
    Action::RemoveContainer { op: OpId(1), container: key("app"), runtime_id: RuntimeId::new("c1") }
}

/// The failure that an input tells; panics if it tells none.
fn failure(input: Input) -> OpError {
    let error = match input {
        Input::PullFinished { result, .. } => result.err(),
        Input::ContainerStarted { result, .. } => result.err(),
        Input::ContainerStopped { result, .. } => result.err(),
        Input::ContainerRemoved { result, .. } => result.err(),
        other => panic!("nothing here gives {other:?}"),
    };
    error.expect("a failure")
}

fn message(text: &str) -> Value {
    json!({ "message": text })
}

#[tokio::test]
async fn faults_come_back_as_errors_to_act_upon() {
    use OpErrorKind as K;
    let no_space = "mkdir /var/lib/docker/overlay2/1: no space left on device";
    let port = "driver failed programming external connectivity on endpoint e (0f): Bind for 0.0.0.0:32768 failed: port is already allocated";
    let stuck = "tried to kill container, but did not receive an exit event";
    type Case = (fn() -> Action, fn(&str) -> Reply, OpErrorKind, &'static str);
    let silent: fn(&str) -> Reply = |_| Reply::Hang;
    let broken: fn(&str) -> Reply = |_| Reply::Close;
    let cases: [Case; 10] = [
        (start, silent, K::Timeout, "Could not transition to running; timed out after waiting 200ms"),
        (stop, silent, K::Timeout, "Could not transition to stopped; timed out after waiting 200ms"),
        (pull, silent, K::Timeout, "no progress of the pull for 200ms"),
        (start, broken, K::Unavailable, "Cannot connect to the Docker daemon"),
        (stop, broken, K::Unavailable, "Cannot connect to the Docker daemon"),
        (pull, broken, K::Unavailable, "Cannot connect to the Docker daemon"),
        (
            start,
            |_| Reply::Answer(500, message("mkdir /var/lib/docker/overlay2/1: no space left on device")),
            K::NoSpace,
            no_space,
        ),
        (
            start,
            |_| {
                Reply::Answer(
                    500,
                    message(
                        "driver failed programming external connectivity on endpoint e (0f): Bind for 0.0.0.0:32768 failed: port is already allocated",
                    ),
                )
            },
            K::PortTaken(Some(Port(32768))),
            port,
        ),
        (
            remove,
            |_| Reply::Answer(500, message("tried to kill container, but did not receive an exit event")),
            K::Other,
            stuck,
        ),
        (
            pull,
            |_| Reply::Lines {
                lines: vec![
                    json!({"status": "Extracting", "id": "1"}),
                    json!({"errorDetail": {"message": "write /var/lib/docker/tmp/1: no space left on device"},
                           "error": "write /var/lib/docker/tmp/1: no space left on device"}),
                ],
                pause: Duration::ZERO,
                ends: true,
            },
            K::NoSpace,
            "write /var/lib/docker/tmp/1: no space left on device",
        ),
    ];
    for (action, reply, kind, text) in cases {
        let docker = FakeDocker::start(reply);
        let action = action();
        let shown = format!("{action:?}");
        let error = failure(docker.perform(action).await);
        assert_eq!(error.kind, kind, "{shown}: {error}");
        assert!(error.text.contains(text), "{shown}: {error}");
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable_and_may_come_back() {
    let docker = FakeDocker::start(|_| Reply::Answer(204, Value::Null));
    let runtime = docker.runtime();
    let path = docker.path.clone();
    drop(docker);
    let error = runtime.ping().await.expect_err("nobody listens");
    assert_eq!(error.kind, longshore_runtime::ErrorKind::Unavailable, "{error}");
    let listener = UnixListener::bind(&path).expect("the socket is free again");
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::new(|_: &str| Reply::Answer(200, json!({})))));
        }
    });
    runtime.ping().await.expect("the same client finds it again");
    serving.abort();
    let _ = std::fs::remove_file(path);
}

#[tokio::test]
async fn a_slow_pull_is_left_alone_and_one_that_stops_half_way_is_not() {
    let steps = |count: u32, ends: bool| {
        let lines = (0..count).map(
            |n| json!({"status": "Downloading", "id": "1", "progressDetail": {"current": n, "total": 1000}}),
        );
        Reply::Lines { lines: lines.collect(), pause: LIMIT / 4, ends }
    };
    // Altogether several times as long as may pass without progress.
    let docker = FakeDocker::start(move |request| {
        if request.contains("/images/create") {
            steps(20, true)
        } else {
            Reply::Answer(200, json!({"Id": "sha256:1", "Size": 1}))
        }
    });
    match docker.perform(pull()).await {
        Input::PullFinished { result: Ok(image), .. } => assert_eq!(image.id, "sha256:1"),
        other => panic!("{other:?}"),
    }
    let docker = FakeDocker::start(move |_| steps(3, false));
    let error = failure(docker.perform(pull()).await);
    assert_eq!(
        (error.kind, error.text.as_str()),
        (OpErrorKind::Timeout, "no progress of the pull for 200ms")
    );
}

fn event(action: &str, container: &str) -> Value {
    json!({
        "Type": "container", "Action": action, "timeNano": 1_795_238_284_000_000_000_i64,
        "Actor": {"ID": container, "Attributes": {
            LABEL_TASK: key(container).task.arn(), LABEL_CONTAINER: container, "exitCode": "3"}},
    })
}

fn inspection(container: &str) -> Value {
    json!({"Id": container, "State": {"Status": "exited", "ExitCode": 3, "StartedAt": "2026-11-21T05:18:00Z"}})
}

async fn next_event(events: &mut (impl StreamExt<Item = RuntimeEvent> + Unpin)) -> RuntimeEvent {
    tokio::time::timeout(PATIENCE, events.next())
        .await
        .expect("an event comes")
        .expect("the stream never ends")
}

#[tokio::test]
async fn one_container_that_the_engine_does_not_answer_for_holds_up_no_other() {
    let docker = FakeDocker::start(|request| {
        if request.contains("/events") {
            let lines =
                vec![event("start", "hung"), event("health_status: healthy", "hung"), event("die", "well")];
            Reply::Lines { lines, pause: Duration::ZERO, ends: false }
        } else if request.contains("/containers/hung/json") {
            Reply::Hang
        } else if request.contains("/containers/well/json") {
            Reply::Answer(200, inspection("well"))
        } else {
            Reply::Answer(200, json!([]))
        }
    });
    let mut events = docker.runtime().events(&LabelFilter::default());
    assert_eq!(next_event(&mut events).await, RuntimeEvent::Resynced(Vec::new()));
    match next_event(&mut events).await {
        RuntimeEvent::Observed { container, .. } => assert_eq!(container.name.as_str(), "well"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_are_followed_across_an_engine_that_breaks_off() {
    let count = AtomicU32::new(0);
    let docker = FakeDocker::start(move |request| match request {
        request if request.contains("/events") && count.fetch_add(1, Ordering::Relaxed) < 2 => Reply::Close,
        request if request.contains("/events") => {
            Reply::Lines { lines: vec![event("die", "well")], pause: Duration::ZERO, ends: false }
        }
        request if request.contains("/containers/well/json") => Reply::Answer(200, inspection("well")),
        _ => Reply::Answer(200, json!([])),
    });
    let mut events = docker.runtime().events(&LabelFilter::default());
    let mut seen = Vec::new();
    loop {
        match next_event(&mut events).await {
            RuntimeEvent::Resynced(_) => seen.push("resynced"),
            RuntimeEvent::Lost(_) => seen.push("lost"),
            RuntimeEvent::Observed { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["resynced", "lost", "resynced", "lost", "resynced"]);
}

#[tokio::test]
async fn an_end_that_comes_during_a_look_needs_no_other_look() {
    let looks = Arc::new(AtomicU32::new(0));
    let counted = looks.clone();
    let docker = FakeDocker::start(move |request| {
        if request.contains("/events") {
            Reply::Lines {
                lines: vec![event("start", "well"), event("die", "well")],
                pause: Duration::ZERO,
                ends: false,
            }
        } else if request.contains("/containers/well/json") {
            // From before the end: the engine knows of it and has not written it down.
            counted.fetch_add(1, Ordering::Relaxed);
            let mut found = inspection("well");
            found["State"]["Status"] = json!("running");
            // Slower than the events.
            Reply::Late(LIMIT, found)
        } else {
            Reply::Answer(200, json!([]))
        }
    });
    let mut events = docker.runtime().events(&LabelFilter::default());
    assert_eq!(next_event(&mut events).await, RuntimeEvent::Resynced(Vec::new()));
    match next_event(&mut events).await {
        RuntimeEvent::Observed { observation, .. } => {
            assert!(
                matches!(observation.status, ObservedStatus::Exited { exit_code: 3, .. }),
                "{observation:?}"
            );
            assert!(observation.started_at.is_some() && observation.finished_at.is_some());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(looks.load(Ordering::Relaxed), 1);
}

/// How often each way to an image was gone: the local one, the registry's answer, the pull.
#[derive(Default)]
struct Asked {
    looks: AtomicU32,
    digests: AtomicU32,
    pulls: AtomicU32,
}

impl Asked {
    fn counts(&self) -> [u32; 3] {
        [&self.looks, &self.digests, &self.pulls].map(|count| count.load(Ordering::Relaxed))
    }
}

/// An engine that has `r.example/app:1`, which is the image that `digest` names in the registry.
fn engine_with_image(digest: &'static str) -> (FakeDocker, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let counted = asked.clone();
    let docker = FakeDocker::start(move |request| {
        if request.contains("/distribution/") {
            counted.digests.fetch_add(1, Ordering::Relaxed);
            let answer =
                json!({"Descriptor": {"digest": "sha256:new", "mediaType": "m", "size": 1}, "Platforms": []});
            Reply::Late(LIMIT, answer)
        } else if request.contains("/images/create") {
            counted.pulls.fetch_add(1, Ordering::Relaxed);
            Reply::Lines { lines: vec![json!({"status": "Pulling"})], pause: LIMIT, ends: true }
        } else if request.contains("/json") {
            counted.looks.fetch_add(1, Ordering::Relaxed);
            let digests = [format!("r.example/app@{digest}")];
            Reply::Answer(200, json!({"Id": "sha256:1", "Size": 1, "RepoDigests": digests}))
        } else {
            Reply::Answer(201, Value::Null)
        }
    });
    (docker, asked)
}

/// Gets the image as a start does that asks the registry first, and then pulls what it has named.
async fn have(executor: &Executor, image: &str) {
    let (container, auth, timeout) = (key("app"), RegistryAuth::Node, PATIENCE);
    let image = image.to_owned();
    let digest = match image.split_once('@') {
        Some((_, digest)) => digest.to_owned(),
        None => {
            let (container, image, auth) = (container.clone(), image.clone(), auth.clone());
            let resolve = Action::ResolveManifest { op: OpId(1), container, image, auth, timeout };
            match executor.perform(resolve).await {
                Ok(Input::ManifestResolved { result: Ok(digest), .. }) => digest,
                other => panic!("{other:?}"),
            }
        }
    };
    let digest = Some(digest);
    let inactivity_timeout = PATIENCE;
    let pull = Action::Pull { op: OpId(2), container, image, digest, auth, timeout, inactivity_timeout };
    match executor.perform(pull).await {
        Ok(Input::PullFinished { result: Ok(image), .. }) => assert_eq!(image.id, "sha256:1"),
        other => panic!("{other:?}"),
    }
}

async fn have_at_once(executor: &Executor, image: &str, copies: usize) {
    futures_util::future::join_all((0..copies).map(|_| have(executor, image))).await;
}

#[tokio::test]
async fn a_burst_of_equal_starts_asks_the_registry_once() {
    // What the registry has is here already: it is asked whether that is so, and nothing is pulled.
    let (docker, asked) = engine_with_image("sha256:new");
    let executor = Executor::new(Arc::new(docker.runtime()), Arc::new(NoLogins));
    have_at_once(&executor, "r.example/app:1", 50).await;
    let [looks, digests, pulls] = asked.counts();
    assert_eq!((digests, pulls), (1, 0));
    assert!(looks < 50, "{looks}");
    // Another name is another question.
    have(&executor, "r.example/app:2").await;
    assert_eq!(asked.counts()[1..], [2, 0]);
    // A new image may have been pushed under the same name.
    tokio::time::sleep(FRESH).await;
    have(&executor, "r.example/app:1").await;
    assert_eq!(asked.counts()[1..], [3, 0]);
}

#[tokio::test]
async fn a_burst_of_equal_starts_pulls_once_what_is_not_here() {
    let (docker, asked) = engine_with_image("sha256:old");
    let executor = Executor::new(Arc::new(docker.runtime()), Arc::new(NoLogins));
    have_at_once(&executor, "r.example/app:1", 50).await;
    assert_eq!(asked.counts()[1..], [1, 1]);
    // A name with a digest is no question; whether it may be had here, only the pull tells.
    let (docker, asked) = engine_with_image("sha256:new");
    let executor = Executor::new(Arc::new(docker.runtime()), Arc::new(NoLogins));
    have_at_once(&executor, "r.example/app@sha256:new", 50).await;
    have(&executor, "r.example/app@sha256:new").await;
    assert_eq!(asked.counts()[1..], [0, 1]);
}
