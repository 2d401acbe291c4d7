//! Ten thousand scripted instances on one control plane: placement over the API, memory, recovery.

use std::time::{Duration, Instant};

use anyhow::Context;
use longshore_crowd::{Crowd, Options, Script as AgentScript, Stats};
use serde_json::json;

use super::calls::crowd_options;
use super::{Bench, RowId, push};
use crate::api::{Api, LOOK_EVERY, definition, signed};
use crate::limits::durable_commits_per_second;
use crate::load::{self, Script};
use crate::process::Process;
use crate::raw::Connection;
use crate::table::{Bounds, Measured, Row, number};

const CONNECTIONS: usize = 32;
const COPIES: usize = 10;

/// About the stored size of a task, for the limit.
const TASK_BYTES: usize = 500;

/// How long a launch or a service may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(900);

/// While this lasts, tasks are taken and acknowledged, but not yet reported as running.
const HOLD: Duration = Duration::from_secs(3600);

pub async fn run(bench: &Bench, wanted: &[RowId], rows: &mut Vec<Row>) {
    let wants = |id| wanted.contains(&id);
    let instances = bench.pick(10_000, 2_000);
    let world = World::start(bench, "scale", instances, HOLD).await;
    let mut world = match world {
        Ok(world) => world,
        Err(error) => return push(rows, "scripted instances", Err(error)),
    };
    let on = format!("{} instances", number(instances as f64));
    if wants(RowId::ServicePlace) {
        let tasks: u32 = bench.pick(5_000, 1_000);
        let what = format!("CreateService, {} tasks on {on}, placed and durable", number(f64::from(tasks)));
        push(rows, &what, service_place(bench, &mut world, tasks).await);
    }
    if wants(RowId::Place) {
        let what = format!("tasks placed and durable, {on}, RunTask of 10");
        push(rows, &what, place(bench, &mut world).await);
    }
    if wants(RowId::Recovery) {
        let records: u32 = bench.pick(1_000_000, 50_000);
        let what = format!("kill -9 with {} records to first correct answer", number(f64::from(records)));
        push(rows, &what, recover(bench, world, records as usize).await);
    }
}

/// A control plane and its instances.
struct World {
    server: Process,
    crowd: Crowd,
    api: Api,
    instances: usize,
    connect_note: String,
}

impl World {
    async fn start(
        bench: &Bench,
        name: &str,
        instances: usize,
        start_delay: Duration,
    ) -> anyhow::Result<Self> {
        let dir = bench.dir.join(name);
        let server =
            Process::start(&bench.binary, "server", &dir, "127.0.0.1:0", &["--auth", "strict"]).await?;
        let api = Api::new(&server.client);
        api.call("CreateCluster", &json!({})).await?;
        let script = AgentScript { start_delay, ..AgentScript::default() };
        let options =
            Options { script, cpu: 64 * 1024, memory_mib: 256 * 1024, ..crowd_options(&server, instances) };
        let begun = Instant::now();
        let crowd = Crowd::start(options);
        let all = tokio::time::timeout(STUCK, crowd.connected());
        all.await.with_context(|| format!("not all instances are connected: {:?}", crowd.stats()))?;
        let took = begun.elapsed();
        let connect_note = format!(
            "{} instances registered and connected in {} s ({}/s).",
            number(instances as f64),
            number(took.as_secs_f64()),
            number(instances as f64 / took.as_secs_f64())
        );
        eprintln!("{connect_note} server {} MB", number(server.resident_mb()));
        api.register("placed", "scripted", 16, 64).await?;
        Ok(Self { server, crowd, api, instances, connect_note })
    }

    /// RunTask until there are so many tasks.
    async fn launch(&self, tasks: usize) -> anyhow::Result<load::Outcome> {
        let body = json!({"taskDefinition": "placed", "count": COPIES}).to_string();
        // The same request again and again: no client token, so each is a launch of its own.
        let request = signed(&self.server.client, "RunTask", &body);
        let per_connection = tasks / COPIES / CONNECTIONS;
        let scripts = (0..CONNECTIONS).map(|_| Script::Once(vec![request.clone(); per_connection])).collect();
        load::run(self.server.authority(), scripts, all_placed).await
    }
}

/// The empty list of failures stands at one of the ends of the answer. Looking there costs the client, which
/// shares the machine with the server, next to nothing.
fn all_placed(body: &[u8]) -> bool {
    body.starts_with(b"{\"failures\":[]") || body.ends_with(b"\"failures\":[]}")
}

async fn place(bench: &Bench, world: &mut World) -> anyhow::Result<(Measured, String)> {
    let tasks = bench.pick(100_000, 10_000);
    let limit_time = bench.pick(Duration::from_secs(3), Duration::from_secs(1));
    let before = world.crowd.stats().tasks_taken as usize;
    let warm = world.launch(tasks / 10).await?.calls * COPIES;
    let limit = durable_commits_per_second(&bench.dir, CONNECTIONS, COPIES * TASK_BYTES, limit_time)?;
    let cpu_before = world.server.cpu_seconds();
    let outcome = world.launch(tasks).await?;
    let cpu = world.server.cpu_seconds() - cpu_before;
    let placed = outcome.calls * COPIES;
    let measured = Measured {
        value: placed as f64 / outcome.took.as_secs_f64(),
        peer: Some(limit * COPIES as f64),
        unit: "/s",
        peer_name: "raw group commits of ten 500-byte records, 32 writers",
        bounds: Bounds::AtLeast { must: 15_000.0, reach: 60_000.0 },
    };
    // How long it takes until the agents have them all.
    let begun = Instant::now();
    let total = before + warm + placed;
    let delivered = tokio::time::timeout(
        Duration::from_secs(60),
        world.crowd.until(|stats| stats.tasks_taken as usize >= total),
    )
    .await;
    let note = format!(
        "{} tasks on {} connected instances over {CONNECTIONS} connections with --auth strict, payloads delivered and \
         acknowledged meanwhile, RUNNING not yet reported. RunTask p50 {} ms, p99 {} ms, {} us of the server's CPU a task. {} {}",
        number(placed as f64),
        number(world.instances as f64),
        number(outcome.latencies.median_ms()),
        number(outcome.latencies.percentile_ms(99)),
        number(cpu * 1e6 / placed as f64),
        match delivered {
            Ok(()) => format!("The last payload was delivered {} ms later.", begun.elapsed().as_millis()),
            Err(_) => format!(
                "After a minute {} of {} had been delivered.",
                number(world.crowd.stats().tasks_taken as f64),
                number(total as f64)
            ),
        },
        world.connect_note,
    );
    Ok((measured, note))
}

async fn service_place(bench: &Bench, world: &mut World, count: u32) -> anyhow::Result<(Measured, String)> {
    let count = u64::from(count);
    let begun = Instant::now();
    let body = json!({"serviceName": "large", "taskDefinition": "placed", "desiredCount": count});
    world.api.call("CreateService", &body).await?;
    world
        .api
        .wait_for_service("large", LOOK_EVERY, STUCK, |service| {
            let sum = |name: &str| service[name].as_u64().unwrap_or(0);
            sum("pendingCount") + sum("runningCount") == count
        })
        .await?;
    let took = begun.elapsed().as_secs_f64();
    let limit_time = bench.pick(Duration::from_secs(2), Duration::from_millis(500));
    let limit = durable_commits_per_second(&bench.dir, 1, 100 * TASK_BYTES, limit_time)?;
    let measured = Measured {
        value: took,
        peer: Some(count as f64 / 100.0 / limit),
        unit: "s",
        peer_name: "raw commits of 100 records, one after another",
        bounds: Bounds::AtMost { must: 1.0, reach: 0.2 },
    };
    let note = format!(
        "{} tasks on {} instances; from the call until pendingCount + runningCount is complete, which reads show only when it is durable.",
        number(count as f64),
        number(world.instances as f64)
    );
    Ok((measured, note))
}

async fn recover(bench: &Bench, world: World, records: usize) -> anyhow::Result<(Measured, String)> {
    let begun = Instant::now();
    let mut made = world.crowd.stats().tasks_taken as usize;
    // In portions, because a signature ages.
    while made < records {
        made += world.launch((records - made).clamp(COPIES * CONNECTIONS, 100_000)).await?.calls * COPIES;
        eprintln!("{} records, server {} MB", number(made as f64), number(world.server.resident_mb()));
    }
    let made_in = begun.elapsed();
    let World { server, crowd, api, .. } = world;
    // The last acknowledged write is the one to be asked for.
    let last = api.run_task("placed", 1).await?;
    let last = last.first().context("RunTask has placed one")?.clone();
    let resident = server.resident_mb();
    let (client, dir, listen) =
        (server.client.clone(), server.data_dir.clone(), server.authority().to_owned());
    let crowd_stopped = crowd.stop();
    server.kill()?;
    crowd_stopped.await;

    let begun = Instant::now();
    let request = signed(&client, "DescribeTasks", &json!({"tasks": [last]}).to_string());
    let restarted = Process::start(&bench.binary, "server", &dir, &listen, &["--auth", "strict"]);
    let asked = async {
        loop {
            if let Ok(mut connection) = Connection::open(&listen).await
                && let Ok(answer) = connection.call(&request).await
                && answer.is_success()
            {
                let found = String::from_utf8_lossy(answer.body).contains(&last);
                anyhow::ensure!(
                    found,
                    "an acknowledged task is lost: {}",
                    String::from_utf8_lossy(answer.body)
                );
                return Ok(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let (server, asked) = tokio::join!(restarted, tokio::time::timeout(STUCK, asked));
    let (server, took) = (server?, asked.context("there was no answer")??);
    let measured = Measured {
        value: took.as_secs_f64(),
        peer: None,
        unit: "s",
        peer_name: "",
        bounds: Bounds::AtMost { must: 5.0, reach: 2.0 },
    };
    let note = format!(
        "{} tasks, made in {} s. From the start of the new process to DescribeTasks with the last acknowledged one. \
         Resident {} MB before, {} MB after.",
        number(made as f64),
        number(made_in.as_secs_f64()),
        number(resident),
        number(server.resident_mb())
    );
    server.kill()?;
    Ok((measured, note))
}

pub async fn memory(bench: &Bench, rows: &mut Vec<Row>) {
    const IDLE: &str = "control plane idle, resident";
    let bounds = |must, reach| Bounds::AtMost { must, reach };
    let idle = async {
        let dir = bench.dir.join("idle");
        let server = Process::start(&bench.binary, "server", &dir, "127.0.0.1:0", &[]).await?;
        Api::new(&server.client).call("ListClusters", &json!({})).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        anyhow::Ok(megabytes(server.resident_mb(), bounds(30.0, 15.0), String::new()))
    };
    push(rows, IDLE, idle.await);
    let counts @ (_, tasks, definitions) = bench.pick((1_000, 100_000, 10_000), (100, 10_000, 1_000));
    let what = format!(
        "control plane with {} tasks and {} definitions, resident",
        number(tasks as f64),
        number(definitions as f64)
    );
    push(rows, &what, memory_full(bench, counts).await);
    push(rows, "agent, resident", agent_memory(bench).await);
}

fn megabytes(value: f64, bounds: Bounds, note: String) -> (Measured, String) {
    (Measured { value, peer: None, unit: "MB", peer_name: "", bounds }, note)
}

async fn memory_full(
    bench: &Bench,
    (instances, tasks, definitions): (usize, usize, usize),
) -> anyhow::Result<(Measured, String)> {
    let world = World::start(bench, "memory", instances, Duration::from_millis(500)).await?;
    let before = world.server.resident_mb();
    let requests: Vec<Vec<u8>> = (0..definitions)
        .map(|n| definition(&format!("family-{n}"), "registry.example/app:1", 128, 256).to_string())
        .map(|body| signed(&world.server.client, "RegisterTaskDefinition", &body))
        .collect();
    let scripts = requests.chunks(definitions / 8).map(|part| Script::Once(part.to_vec())).collect();
    load::run(world.server.authority(), scripts, |_| true).await?;
    let launched = world.launch(tasks).await?.calls * COPIES;
    let all_run = world.crowd.until(|stats: &Stats| stats.running_reported as usize >= launched);
    tokio::time::timeout(STUCK, all_run)
        .await
        .with_context(|| format!("not all tasks run: {:?}", world.crowd.stats()))?;
    let full = world.server.resident_mb();
    let dir = world.server.data_dir.clone();
    world.crowd.stop().await;
    world.server.kill()?;
    let again = Process::start(&bench.binary, "server", &dir, "127.0.0.1:0", &[]).await?;
    Api::new(&again.client).call("ListClusters", &json!({})).await?;
    let note = format!(
        "{} RUNNING tasks on {} connected instances, {} definitions. With the instances alone it was {} MB; started anew on the same \
         data, without instances, it is {} MB.",
        number(launched as f64),
        number(instances as f64),
        number(definitions as f64),
        number(before),
        number(again.resident_mb())
    );
    Ok(megabytes(full, Bounds::AtMost { must: 250.0, reach: 120.0 }, note))
}

async fn agent_memory(bench: &Bench) -> anyhow::Result<(Measured, String)> {
    crate::docker::Docker::check().await?;
    let server =
        Process::start(&bench.binary, "server", &bench.dir.join("agent"), "127.0.0.1:0", &[]).await?;
    let api = Api::new(&server.client);
    api.call("CreateCluster", &json!({})).await?;
    let agent = crate::process::Agent::start(&bench.binary, &bench.dir.join("agent-data"), &server.client)?;
    let begun = Instant::now();
    loop {
        let listed = api.call("ListContainerInstances", &json!({})).await?;
        let arns = listed["containerInstanceArns"].clone();
        if arns.as_array().is_some_and(|arns| !arns.is_empty()) {
            let described =
                api.call("DescribeContainerInstances", &json!({"containerInstances": arns})).await?;
            if described["containerInstances"][0]["agentConnected"] == true {
                break;
            }
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "the agent is not connected after 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let note = "Connected, with no tasks. The official agent uses about 53 MB (measurements.md).".to_owned();
    let (measured, note) = megabytes(agent.resident_mb(), Bounds::AtMost { must: 20.0, reach: 8.0 }, note);
    Ok((Measured { peer: Some(53.0), peer_name: "official agent, published", ..measured }, note))
}
