//! Calls per second: reads with verified signatures, and durable writes.

use std::sync::Arc;
use std::time::Duration;

use longshore_base::Seed;
use longshore_crowd::{Crowd, Options, Script as AgentScript};
use serde_json::json;

use super::{Bench, RowId, push};
use crate::api::{Api, definition, signed};
use crate::limits::{Hello, durable_commits_per_second};
use crate::load::{self, Script};
use crate::process::Process;
use crate::table::{Bounds, Measured, Row, number};

const CONNECTIONS: usize = 16;
const INSTANCES: usize = 10;
const TASKS: u32 = 1000;

const DESCRIBE: &str = "DescribeTasks, 16 connections, signatures verified";
const DESCRIBE_P99: &str = "DescribeTasks p99 in the same run";
const REGISTER: &str = "RegisterTaskDefinition, durable, 16 connections";

pub async fn run(bench: &Bench, wanted: &[RowId], rows: &mut Vec<Row>) {
    let dir = bench.dir.join("calls");
    let server =
        match Process::start(&bench.binary, "server", &dir, "127.0.0.1:0", &["--auth", "strict"]).await {
            Ok(server) => server,
            Err(error) => return push(rows, "calls per second", Err(error)),
        };
    if wanted.contains(&RowId::Describe) {
        match describe(bench, &server).await {
            Ok((rate, tail)) => {
                push(rows, DESCRIBE, Ok(rate));
                push(rows, DESCRIBE_P99, Ok(tail));
            }
            Err(error) => push(rows, DESCRIBE, Err(error)),
        }
    }
    if wanted.contains(&RowId::Register) {
        push(rows, REGISTER, register(bench, &server).await);
    }
}

async fn describe(
    bench: &Bench,
    server: &Process,
) -> anyhow::Result<((Measured, String), (Measured, String))> {
    let time = bench.pick(Duration::from_secs(8), Duration::from_secs(2));
    let api = Api::new(&server.client);
    let options = Options {
        script: AgentScript { start_delay: Duration::ZERO, ..AgentScript::default() },
        ..crowd_options(server, INSTANCES)
    };
    // The default cluster has to be there for instances to join it.
    api.call("CreateCluster", &json!({})).await?;
    let crowd = Crowd::start(options);
    crowd.connected().await;
    api.register("described", "scripted", 10, 32).await?;
    let mut arns = Vec::new();
    for _ in 0..TASKS / 10 {
        arns.extend(api.run_task("described", 10).await?);
    }
    crowd.until(|stats| stats.running_reported >= u64::from(TASKS)).await;

    let requests: Arc<[Vec<u8>]> = arns
        .iter()
        .map(|arn| signed(&server.client, "DescribeTasks", &json!({"tasks": [arn]}).to_string()))
        .collect();
    let scripts = |time| (0..CONNECTIONS).map(|_| Script::Repeat(requests.clone(), time)).collect::<Vec<_>>();
    let hello = Hello::start()?;
    // Once for nothing, so that everything is warm.
    load::run(server.authority(), scripts(time / 8), is_task).await?;
    // In turns, so that a busy machine hits both.
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..2 {
        theirs.push(load::run(&hello.authority, scripts(time / 2), |_| true).await?);
        let cpu_before = server.cpu_seconds();
        ours.push(load::run(server.authority(), scripts(time / 2), is_task).await?);
        cpu += server.cpu_seconds() - cpu_before;
    }
    crowd.stop().await;
    let mean = |outcomes: &[load::Outcome]| {
        outcomes.iter().map(load::Outcome::per_second).sum::<f64>() / outcomes.len() as f64
    };
    let tail = |outcomes: &[load::Outcome]| {
        let mut all = crate::samples::Samples::default();
        outcomes.iter().for_each(|outcome| all.extend(outcome.latencies.clone()));
        all
    };
    let (rate, peer) = (mean(&ours), mean(&theirs));
    let latencies = tail(&ours);
    let note = format!(
        "One task per call, of {TASKS} running ones on {INSTANCES} connected instances, with --auth strict. Requests are signed \
         before the clock starts. p50 {} ms, {} us of the server's CPU a call. Client and server share the machine.",
        number(latencies.median_ms()),
        number(cpu * 1e6 / latencies.len() as f64)
    );
    let rate = Measured {
        value: rate,
        peer: Some(peer),
        unit: "/s",
        peer_name: "bare hyper server, same client",
        bounds: Bounds::AtLeast { must: 25_000.0, reach: 40_000.0 },
    };
    let tail = Measured {
        value: latencies.percentile_ms(99),
        peer: Some(tail(&theirs).percentile_ms(99)),
        unit: "ms",
        peer_name: "bare hyper server, same client",
        bounds: Bounds::AtMost { must: 5.0, reach: 2.0 },
    };
    Ok(((rate, note), (tail, String::new())))
}

fn is_task(body: &[u8]) -> bool {
    body.windows(8).any(|window| window == b"taskArn\"")
}

/// A crowd of `instances` in the default cluster.
pub fn crowd_options(server: &Process, instances: usize) -> Options {
    Options::new(server.client.clone(), instances, Seed::new(1))
}

async fn register(bench: &Bench, server: &Process) -> anyhow::Result<(Measured, String)> {
    let calls = bench.pick(60_000, 6_000);
    let limit_time = bench.pick(Duration::from_secs(3), Duration::from_secs(1));
    let requests = |connection: usize, calls: usize| -> Vec<Vec<u8>> {
        let bodies = (0..calls / CONNECTIONS).map(|n| {
            // Twenty revisions of each family.
            let family = format!("family-{connection}-{}", n / 20);
            definition(&family, "registry.example/app:1", 128, 256).to_string()
        });
        bodies.map(|body| signed(&server.client, "RegisterTaskDefinition", &body)).collect()
    };
    let scripts = |calls| {
        (0..CONNECTIONS).map(|connection| Script::Once(requests(connection, calls))).collect::<Vec<_>>()
    };
    load::run(server.authority(), scripts(calls / 20), |_| true).await?;
    let limit = durable_commits_per_second(&bench.dir, CONNECTIONS, 1024, limit_time)?;
    let cpu_before = server.cpu_seconds();
    let outcome = load::run(server.authority(), scripts(calls), |_| true).await?;
    let cpu = server.cpu_seconds() - cpu_before;
    let measured = Measured {
        value: outcome.per_second(),
        peer: Some(limit),
        unit: "/s",
        peer_name: "raw group commits of 1 KiB, 16 writers",
        bounds: Bounds::AtLeast { must: 10_000.0, reach: 30_000.0 },
    };
    let note = format!(
        "{calls} registrations, requests signed before the clock starts; p50 {} ms, p99 {} ms, {} us of the server's CPU each.",
        number(outcome.latencies.median_ms()),
        number(outcome.latencies.percentile_ms(99)),
        number(cpu * 1e6 / outcome.calls as f64)
    );
    Ok((measured, note))
}
