//! Starts of containers, and what an engine tells of its networks meanwhile.

mod support;

use std::sync::Arc;

use futures_util::StreamExt;
use longshore_engine::spec::RuntimeId;
use longshore_runtime::{LabelFilter, Runtime};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use support::{FakeDocker, PATIENCE, Reply};

/// What the engine was asked for, one word each.
type Heard = mpsc::UnboundedReceiver<String>;

/// An engine of this API that tells of its networks what it is fed, and starts everything but `slow` at once.
fn engine(api: &'static str) -> (FakeDocker, Heard, mpsc::UnboundedSender<Value>) {
    let (say, heard) = mpsc::unbounded_channel();
    let (feed, fed) = mpsc::unbounded_channel();
    let fed = Mutex::new(Some(fed));
    let docker = FakeDocker::start(move |request| {
        let tell = |word: &str| say.send(word.to_owned()).expect("the test listens");
        if request.contains("/version") {
            Reply::Answer(200, json!({"ApiVersion": api}))
        } else if request.contains("/events") && request.contains("network") {
            tell("networks");
            fed.lock().take().map_or(Reply::Hang, Reply::Fed)
        } else if request.contains("/events") {
            tell("containers");
            Reply::Hang
        } else if request.contains("/start") {
            let name = request.split('/').nth_back(2).expect("a path").to_owned();
            tell(&name);
            if name == "slow" { Reply::Hang } else { Reply::Answer(204, Value::Null) }
        } else if request.contains("/_ping") {
            Reply::Answer(200, json!("OK"))
        } else if request.contains("/containers/json") {
            Reply::Answer(200, json!([]))
        } else {
            Reply::Answer(200, json!({"Id": "x", "State": {"Status": "running"}}))
        }
    });
    (docker, heard, feed)
}

async fn next(heard: &mut Heard) -> String {
    tokio::time::timeout(PATIENCE, heard.recv()).await.expect("in time").expect("the engine lives")
}

#[tokio::test]
async fn a_slow_engine_is_asked_for_the_next_start_when_the_one_before_is_in_its_network() {
    let (docker, mut heard, feed) = engine("1.41");
    let runtime = Arc::new(docker.runtime());
    let mut events = runtime.events(&LabelFilter::default());
    let following = tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut asked = [next(&mut heard).await, next(&mut heard).await];
    asked.sort();
    assert_eq!(asked, ["containers", "networks"]);

    let start = |name: &'static str| {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.container_start(&RuntimeId::new(name)).await.map(drop) })
    };
    let slow = start("slow");
    assert_eq!(next(&mut heard).await, "slow");
    let second = start("second");
    for _ in 0..3 {
        runtime.ping().await.expect("it answers everything else");
    }
    assert!(heard.try_recv().is_err(), "it would sleep for the first");
    let about = json!({"container": "slow", "name": "bridge", "type": "bridge"});
    let joined = json!({"Type": "network", "Action": "connect", "Actor": {"ID": "n", "Attributes": about}});
    feed.send(joined).expect("the engine lives");
    assert_eq!(next(&mut heard).await, "second");
    second.await.expect("no panic").expect("started");
    for task in [slow.abort_handle(), following.abort_handle()] {
        task.abort();
    }
}

#[tokio::test]
async fn a_quick_engine_is_asked_at_once_and_for_no_events_of_networks() {
    let (docker, mut heard, _feed) = engine("1.45");
    let runtime = Arc::new(docker.runtime());
    let mut events = runtime.events(&LabelFilter::default());
    let following = tokio::spawn(async move { while events.next().await.is_some() {} });
    assert_eq!(next(&mut heard).await, "containers");
    let slow = {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.container_start(&RuntimeId::new("slow")).await.map(drop) })
    };
    assert_eq!(next(&mut heard).await, "slow");
    runtime.container_start(&RuntimeId::new("second")).await.expect("started");
    assert_eq!(next(&mut heard).await, "second");
    slow.abort();
    following.abort();
}
