//! Measures what the backend adds to creating and starting a container: `cargo run --release
//! -p longshore-runtime-docker --example start_latency [ROUNDS]`.
//!
//! Both ways are taken in turn on the same engine, so that the ratio holds on a busy machine. The raw way
//! is the Engine API's create and start and nothing else; ours is the executor, as the node
//! uses it, while events are followed as on a node.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt;
use longshore_base::{ContainerName, Port, Protocol};
use longshore_engine::input::Input;
use longshore_engine::spec::{
    ContainerKey, ContainerSpec, Environment, NetworkMode, NetworkPlace, PortBinding, TaskKey,
};
use longshore_engine::{Action, OpId};
use longshore_runtime::port::{LABEL_CONTAINER, LABEL_TASK};
use longshore_runtime::{Executor, LabelFilter, NoLogins, Runtime};
use longshore_runtime_docker::{DockerHost, DockerRuntime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const IMAGE: &str = "longshore/web:1";
const HOST_PORT: Port = Port(21_999);
const LIMIT: Duration = Duration::from_secs(180);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(15), |text| text.parse())?;
    let host = DockerHost::from_env()?;
    let runtime = Arc::new(DockerRuntime::new(&host)?);
    let DockerHost::Unix(socket) = host else { bail!("the raw client speaks to a Unix socket only") };
    let filter = LabelFilter::new([format!("longshore.test-run=latency-{}", std::process::id())]);
    let mut events = runtime.events(&filter);
    let follower = tokio::spawn(async move { while events.next().await.is_some() {} });
    let executor = Executor::new(Arc::clone(&runtime) as Arc<dyn Runtime>, Arc::new(NoLogins));

    let (mut raw_times, mut our_times) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Alternate who goes first.
        for ours in [round % 2 == 0, round % 2 == 1] {
            let name = format!("longshore-latency-{}-{round}-{ours}", std::process::id());
            let time = match ours {
                true => through_executor(&executor, &name, &filter).await?,
                false => through_api(&socket, &name).await?,
            };
            if ours { our_times.push(time) } else { raw_times.push(time) }
        }
    }
    follower.abort();
    let (raw, ours) = (median(raw_times), median(our_times));
    println!("raw API   create {:?} start {:?} sum {:?}", raw.0, raw.1, raw.2);
    println!("executor  create {:?} start {:?} sum {:?}", ours.0, ours.1, ours.2);
    println!("ratio     {:.3}", ours.2.as_secs_f64() / raw.2.as_secs_f64());
    Ok(())
}

/// Medians of create, start and their sum.
fn median(times: Vec<(Duration, Duration)>) -> (Duration, Duration, Duration) {
    let middle = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut sorted: Vec<Duration> = times.iter().map(pick).collect();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    (middle(|time| time.0), middle(|time| time.1), middle(|time| time.0 + time.1))
}

async fn through_api(socket: &Path, name: &str) -> anyhow::Result<(Duration, Duration)> {
    let body = serde_json::json!({
        "Image": IMAGE, "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {"Memory": 64 << 20, "CpuShares": 2,
                       "PortBindings": {"8080/tcp": [{"HostPort": HOST_PORT.to_string()}]}}
    });
    let begin = Instant::now();
    call(socket, "POST", &format!("/containers/create?name={name}"), &body.to_string()).await?;
    let between = Instant::now();
    call(socket, "POST", &format!("/containers/{name}/start"), "").await?;
    let end = Instant::now();
    call(socket, "DELETE", &format!("/containers/{name}?force=1"), "").await?;
    Ok((between - begin, end - between))
}

/// One HTTP request on a connection of its own, as plain as can be.
async fn call(socket: &Path, method: &str, path: &str, body: &str) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if !answer.starts_with("HTTP/1.1 2") {
        bail!("{method} {path}: {answer}");
    }
    Ok(())
}

async fn through_executor(
    executor: &Executor,
    name: &str,
    filter: &LabelFilter,
) -> anyhow::Result<(Duration, Duration)> {
    let task = TaskKey::new("arn:aws:ecs:us-east-1:111122223333:task/latency/1");
    let container = ContainerKey { task, name: ContainerName::parse("main")? };
    let mut labels = BTreeMap::from([
        (LABEL_TASK.to_owned(), container.task.arn().to_owned()),
        (LABEL_CONTAINER.to_owned(), "main".to_owned()),
    ]);
    labels.extend(
        filter.0.iter().filter_map(|label| label.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let region = BTreeMap::from([("AWS_REGION".to_owned(), "us-east-1".to_owned())]);
    let spec = ContainerSpec {
        name: name.to_owned(),
        image: IMAGE.to_owned(),
        entry_point: None,
        command: None,
        environment: Environment::default(),
        environment_defaults: Environment(region),
        cpu_shares: 2,
        memory_bytes: Some(64 << 20),
        ports: vec![PortBinding { container: Port(8080), host: HOST_PORT, protocol: Protocol::Tcp }],
        bind_address: None,
        binds: Vec::new(),
        volumes_from: Vec::new(),
        links: Vec::new(),
        labels,
        network_mode: NetworkMode::Bridge,
        network: NetworkPlace::ByMode,
        pid_mode: None,
        ipc_mode: None,
        cgroup_parent: None,
        log_secrets: Vec::new(),
        stop_timeout: Duration::from_secs(30),
        docker_config: None,
        docker_host_config: None,
    };
    let create = Action::CreateContainer {
        op: OpId(1),
        container: container.clone(),
        spec: Box::new(spec),
        timeout: LIMIT,
    };
    let begin = Instant::now();
    let Ok(Input::ContainerCreated { result, .. }) = executor.perform(create).await else {
        bail!("a create is answered by its result")
    };
    let runtime_id = result.context("failed to create")?;
    let between = Instant::now();
    let start = Action::StartContainer {
        op: OpId(2),
        container: container.clone(),
        runtime_id: runtime_id.clone(),
        timeout: LIMIT,
    };
    let Ok(Input::ContainerStarted { result, .. }) = executor.perform(start).await else {
        bail!("a start is answered by its result")
    };
    result.context("failed to start")?;
    let end = Instant::now();
    // A failure to remove shows in the next start, which finds its port taken.
    let _ = executor.perform(Action::RemoveContainer { op: OpId(3), container, runtime_id }).await;
    Ok((between - begin, end - between))
}
