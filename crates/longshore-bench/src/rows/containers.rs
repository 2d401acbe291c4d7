//! Real containers: how much Longshore adds to the Docker API.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::{Bench, RowId, push};
use crate::api::{Api, LOOK_IN_A_CROWD_EVERY};
use crate::docker::{Docker, IMAGE, MEMORY_MIB, RAW_LABEL};
use crate::process::Process;
use crate::registry::Registry;
use crate::samples::Samples;
use crate::table::{Bounds, Measured, Row, number};

const START: &str = "RunTask call to RUNNING, image present (p50)";
const RATE: &str = "tasks started per second, 8 clients";
pub const RATE_REGISTRY: &str = "tasks started per second, 8 clients, each start asking a registry";
const EXIT: &str = "exit of a container to STOPPED in DescribeTasks, beyond the engine's event";

/// The families of all real tasks, by which their containers are found again.
pub const START_FAMILY: &str = "longshore-bench-start";
pub const SERVICE_FAMILY: &str = "longshore-bench-service";

/// The label with a task's family, which agents give to containers.
pub const FAMILY_LABEL: &str = "com.amazonaws.ecs.task-definition-family";

/// How long one container may take before it counts as stuck.
pub const STUCK: Duration = Duration::from_secs(60);
const CLIENTS: usize = 8;

/// `longshore up` as a person starts it, but that nothing waits to settle: the peers do not wait either.
pub async fn up(bench: &Bench, name: &str) -> anyhow::Result<Process> {
    Docker::check().await?;
    let args = ["--instances", "1", "--settle-secs", "0"];
    Process::start(&bench.binary, "up", &bench.dir.join(name), "127.0.0.1:0", &args).await
}

pub async fn run(bench: &Bench, wanted: &[RowId], rows: &mut Vec<Row>) {
    let wants = |id| wanted.contains(&id);
    let up = match up(bench, "containers").await {
        Ok(up) => up,
        Err(error) => return push(rows, START, Err(error)),
    };
    if wants(RowId::Start) {
        push(rows, START, start(bench, &up).await);
    }
    if wants(RowId::StartRate) {
        push(rows, RATE, start_rate(bench, &up).await);
    }
    if wants(RowId::Exit) {
        push(rows, EXIT, exit(bench, &up).await);
    }
    finish(up, rows).await;
}

/// Leaves no containers behind; what goes wrong is told.
pub async fn finish(up: Process, rows: &mut Vec<Row>) {
    if let Err(error) = up.stop().await {
        push(rows, "end of `longshore up`", Err(error));
    }
    if let Err(error) = remove_containers().await {
        push(rows, "removal of the containers", Err(error));
    }
}

async fn remove_containers() -> anyhow::Result<()> {
    let mut docker = Docker::connect().await?;
    for family in [START_FAMILY, SERVICE_FAMILY] {
        docker.remove_all(&format!("{FAMILY_LABEL}={family}")).await?;
    }
    docker.remove_all(RAW_LABEL).await
}

async fn start(bench: &Bench, up: &Process) -> anyhow::Result<(Measured, String)> {
    let rounds = bench.pick(30, 6);
    let mut docker = Docker::connect().await?;
    let api = Api::new(&up.client);
    api.register(START_FAMILY, IMAGE, 0, MEMORY_MIB).await?;
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    for round in 0..rounds {
        // Who goes first alternates.
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            let begun = Instant::now();
            if is_ours {
                let arns = api.run_task(START_FAMILY, 1).await?;
                let arn = arns.first().context("one task was asked for")?;
                api.wait_for_task(arn, "RUNNING", STUCK).await?;
                ours.push(begun.elapsed());
                stop(&api, arn).await?;
            } else {
                let id = docker.create_and_start().await?;
                theirs.push(begun.elapsed());
                docker.remove(&id).await?;
            }
        }
    }
    let measured = Measured {
        value: ours.median_ms(),
        peer: Some(theirs.median_ms()),
        unit: "ms",
        peer_name: "create + start over the Docker API",
        bounds: Bounds::RatioAtMost { must: 1.10, reach: 0.60 },
    };
    let note = format!(
        "{rounds} rounds in turns, default bridge. p99 {} ms, peer {} ms. DescribeTasks is asked every 2 ms.",
        number(ours.percentile_ms(99)),
        number(theirs.percentile_ms(99))
    );
    Ok((measured, note))
}

async fn stop(api: &Api, arn: &str) -> anyhow::Result<()> {
    api.call("StopTask", &json!({"task": arn})).await?;
    api.wait_for_task(arn, "STOPPED", STUCK).await.map(|_| ())
}

async fn start_rate(bench: &Bench, up: &Process) -> anyhow::Result<(Measured, String)> {
    start_rate_of(bench, up, IMAGE).await
}

/// The same under agents that get images as ECS does by default: each start asks the registry what the tag stands for,
/// and pulls that. The peer has the image and asks nobody.
pub async fn start_rate_registry(bench: &Bench) -> anyhow::Result<(Measured, String)> {
    Docker::check().await?;
    let registry = Registry::start(IMAGE).await?;
    let dir = bench.dir.join("registry");
    let args = ["--instances", "1", "--settle-secs", "0"];
    let up = Process::start_pulling(&bench.binary, "up", &dir, "127.0.0.1:0", &args, "default").await?;
    let measured = start_rate_of(bench, &up, &registry.image).await;
    up.stop().await?;
    remove_containers().await?;
    let asked = registry.asked();
    registry.end().await?;
    let (measured, note) = measured?;
    let starts = CLIENTS * starts_each(bench) * rounds(bench);
    Ok((
        measured,
        format!(
            "{note} ECS_IMAGE_PULL_BEHAVIOR=default; for {starts} starts the registry, on loopback, was asked for the manifest {asked} times."
        ),
    ))
}

fn starts_each(bench: &Bench) -> usize {
    bench.pick(5, 2)
}

fn rounds(bench: &Bench) -> usize {
    bench.pick(4, 2)
}

async fn start_rate_of(bench: &Bench, up: &Process, image: &str) -> anyhow::Result<(Measured, String)> {
    let each = starts_each(bench);
    Api::new(&up.client).register(START_FAMILY, image, 0, MEMORY_MIB).await?;
    let mut rates = [Vec::new(), Vec::new()];
    let mut cpu = 0.0;
    for round in 0..rounds(bench) {
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            let begun = Instant::now();
            let took = if is_ours {
                let cpu_before = up.cpu_seconds();
                let clients = (0..CLIENTS).map(|_| our_starts(up, each));
                let arns = futures_util::future::try_join_all(clients).await?;
                let took = begun.elapsed();
                cpu += up.cpu_seconds() - cpu_before;
                let api = Api::new(&up.client);
                for arn in arns.iter().flatten() {
                    stop(&api, arn).await?;
                }
                took
            } else {
                let clients = (0..CLIENTS).map(|_| raw_starts(each));
                let ids = futures_util::future::try_join_all(clients).await?;
                let took = begun.elapsed();
                let mut docker = Docker::connect().await?;
                for id in ids.iter().flatten() {
                    docker.remove(id).await?;
                }
                took
            };
            rates[usize::from(is_ours)].push((CLIENTS * each) as f64 / took.as_secs_f64());
        }
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    let measured = Measured {
        value: mean(&rates[1]),
        peer: Some(mean(&rates[0])),
        unit: "/s",
        peer_name: "8 clients of the Docker API",
        bounds: Bounds::RatioAtLeast { must: 0.95, reach: 2.0 },
    };
    let starts = (CLIENTS * each * rounds(bench)) as f64;
    let note = format!(
        "Each client starts {each} one after another, in rounds that take turns; stops are not counted. {} ms of the \
         program's processor time a start. DescribeTasks is asked every 20 ms by each.",
        number(cpu * 1000.0 / starts)
    );
    Ok((measured, note))
}

async fn our_starts(up: &Process, count: usize) -> anyhow::Result<Vec<String>> {
    // Eight clients that ask every 2 ms double the processor time that a start takes beside the engine's.
    let api = Api::new(&up.client).looking_every(LOOK_IN_A_CROWD_EVERY);
    let mut all = Vec::new();
    for _ in 0..count {
        for arn in api.run_task(START_FAMILY, 1).await? {
            api.wait_for_task(&arn, "RUNNING", STUCK).await?;
            all.push(arn);
        }
    }
    Ok(all)
}

async fn raw_starts(count: usize) -> anyhow::Result<Vec<String>> {
    let mut docker = Docker::connect().await?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(docker.create_and_start().await?);
    }
    Ok(all)
}

async fn exit(bench: &Bench, up: &Process) -> anyhow::Result<(Measured, String)> {
    let mut docker = Docker::connect().await?;
    let api = Api::new(&up.client);
    api.register(START_FAMILY, IMAGE, 0, MEMORY_MIB).await?;
    let mut samples = Samples::default();
    for _ in 0..bench.pick(20, 5) {
        let arns = api.run_task(START_FAMILY, 1).await?;
        let arn = arns.first().context("one task was asked for")?;
        let task = api.wait_for_task(arn, "RUNNING", STUCK).await?;
        let id = task["containers"][0]["runtimeId"].as_str().context("a running container has an id")?;
        // At the same time: the engine answers a kill only after it has torn down the network, which would hide
        // how early STOPPED is seen.
        let (killed, seen_at) = tokio::join!(docker.kill(id), seen_stopped(&api, arn));
        killed?;
        let seen_at = seen_at?;
        let died_at = docker.died_at(id).await?;
        samples.push(Duration::from_nanos(u64::try_from(seen_at - died_at).unwrap_or(0)));
    }
    let measured = Measured {
        value: samples.median_ms(),
        peer: None,
        unit: "ms",
        peer_name: "",
        bounds: Bounds::AtMost { must: 50.0, reach: 5.0 },
    };
    let note = format!(
        "From the engine's own time of its `die` event to the first answer that says STOPPED; {} kills, p99 {} ms. \
         DescribeTasks is asked every 2 ms.",
        samples.len(),
        number(samples.percentile_ms(99))
    );
    Ok((measured, note))
}

/// When an answer said STOPPED for the first time, in nanoseconds since the epoch.
async fn seen_stopped(api: &Api, arn: &str) -> anyhow::Result<i128> {
    api.wait_for_task(arn, "STOPPED", STUCK).await?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i128::try_from(since.as_nanos())?)
}

/// From the start of the process to the file that says it is ready, which means that a task can run.
pub async fn ready(bench: &Bench) -> anyhow::Result<(Measured, String)> {
    let mut samples = Samples::default();
    let mut first_task = Samples::default();
    for round in 0..bench.pick(10, 3) {
        let begun = Instant::now();
        let process = up(bench, &format!("ready-{round}")).await?;
        samples.push(process.ready_after);
        if round == 0 {
            let api = Api::new(&process.client);
            api.register(START_FAMILY, IMAGE, 0, MEMORY_MIB).await?;
            let arns = api.run_task(START_FAMILY, 1).await?;
            let arn = arns.first().context("one task was asked for")?;
            api.wait_for_task(arn, "RUNNING", STUCK).await?;
            first_task.push(begun.elapsed());
            stop(&api, arn).await?;
        }
        process.stop().await?;
    }
    remove_containers().await?;
    let version = {
        let mut docker = Docker::connect().await?;
        let begun = Instant::now();
        let _: Value = docker.call("GET", "/info", None).await?;
        begun.elapsed()
    };
    let measured = Measured {
        value: samples.median_ms(),
        peer: None,
        unit: "ms",
        peer_name: "",
        bounds: Bounds::AtMost { must: 500.0, reach: 100.0 },
    };
    let note = format!(
        "{} starts on empty directories, p99 {} ms; the first task ran {} ms after the process was started. One `GET /info` of the engine \
         takes {} ms.",
        samples.len(),
        number(samples.percentile_ms(99)),
        number(first_task.median_ms()),
        number(version.as_secs_f64() * 1000.0)
    );
    Ok((measured, note))
}
