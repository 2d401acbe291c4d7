//! Services of fifty real containers, beside Docker Swarm.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::containers::{FAMILY_LABEL, SERVICE_FAMILY, finish, up};
use super::{Bench, RowId, Seen, push};
use crate::api::{Api, LOOK_AT_SERVICE_EVERY};
use crate::docker::{Docker, IMAGE, MEMORY_MIB, NEXT_IMAGE};
use crate::process::Process;
use crate::swarm::{self, Swarm};
use crate::table::{Bounds, Measured, Row};

/// The two ends of a time, in the names of rows: the orchestrator's API says that all runs, and the engine's last event
/// that says so.
pub const TOLD: &str = "as the API tells";
pub const ENGINE: &str = "as the engine's events tell";

const SERVICE: &str = "bench";
/// How long a step may take before it counts as failed.
const LIMIT: Duration = Duration::from_secs(300);

/// How long the two steps took; `None` if one was not measured.
#[derive(Default)]
struct Times {
    /// From CreateService until all replicas run.
    create: Option<Seen>,
    /// From UpdateService until all replicas run the new image.
    update: Option<Duration>,
}

impl Times {
    fn say(&self, who: &str) {
        eprintln!("{who}: create {:?}, update {:?}", self.create, self.update);
    }
}

/// Measures the wanted rows of services, first on Longshore, then on Docker Swarm; where Swarm cannot run, its
/// published numbers are the peer's.
pub async fn run(bench: &Bench, wanted: &[RowId], rows: &mut Vec<Row>) {
    let replicas: u32 = bench.pick(50, 16);
    let create = format!("service of {replicas} replicas, create to all RUNNING");
    let rolling = format!("rolling update of {replicas}, 8 at a time");
    let ours = match measure(bench, wanted, replicas).await {
        Ok((up, times)) => {
            finish(up, rows).await;
            times
        }
        Err(error) => return push(rows, &create, Err(error)),
    };
    let (theirs, origin) = match measure_swarm(wanted, replicas).await {
        Ok(times) => (times, String::new()),
        Err(error) => {
            let per_task = |millis: f64| Some(Duration::from_secs_f64(millis * f64::from(replicas) / 1000.0));
            let create = per_task(swarm::PUBLISHED_PER_TASK_MS).map(|all| Seen { told: all, engine: all });
            let update = per_task(swarm::PUBLISHED_UPDATE_PER_TASK_MS);
            (Times { create, update }, swarm::not_here(&error))
        }
    };
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let row = |value: Option<f64>, peer, unit, bounds, note: String| {
        let value = value.ok_or_else(|| anyhow::anyhow!("it was not reached"))?;
        let measured = Measured { value, peer, unit, peer_name: "Docker Swarm, this machine", bounds };
        Ok((measured, note + &origin))
    };
    if wanted.contains(&RowId::ServiceCreate) {
        let bounds = Bounds::FasterAtLeast { must: 2.4, reach: 4.4 };
        let note = format!("{replicas} replicas of {MEMORY_MIB} MiB on the default bridge, one instance. ");
        let told = |seen: Seen| seen.told;
        let engine = |seen: Seen| seen.engine;
        let ways = [
            (
                TOLD,
                [ours.create, theirs.create].map(|seen| seen.map(told)),
                "From the call until DescribeServices counts all as running, or Swarm's own list of tasks does.",
            ),
            (
                ENGINE,
                [ours.create, theirs.create].map(|seen| seen.map(engine)),
                "The same services: until the engine's last `start` event.",
            ),
        ];
        for (way, [own, peer], how) in ways {
            let note = format!("{note}{how}");
            push(rows, &format!("{create}, {way}"), row(seconds(own), seconds(peer), "s", bounds, note));
        }
    }
    if wanted.contains(&RowId::Rolling) {
        let bounds = Bounds::RatioAtMost { must: 0.7, reach: 0.45 };
        let note = format!(
            "{replicas} replicas, minimumHealthyPercent {} and maximumPercent 100 here, parallelism 8 and stop-first there; \
             nobody waits for tasks to settle. From the call until all replicas run the new image.",
            healthy_percent(replicas)
        );
        push(rows, &rolling, row(seconds(ours.update), seconds(theirs.update), "s", bounds, note));
    }
}

async fn measure(bench: &Bench, wanted: &[RowId], replicas: u32) -> anyhow::Result<(Process, Times)> {
    let up = up(bench, "services").await?;
    let api = Api::new(&up.client);
    let mut docker = Docker::connect().await?;
    api.register(SERVICE_FAMILY, IMAGE, 0, MEMORY_MIB).await?;
    let mut times = Times::default();
    let label = format!("{FAMILY_LABEL}={SERVICE_FAMILY}");
    let (begun, at) = (Instant::now(), SystemTime::now());
    let body = json!({
        "serviceName": SERVICE,
        "taskDefinition": SERVICE_FAMILY,
        "desiredCount": replicas,
        "deploymentConfiguration": {"minimumHealthyPercent": healthy_percent(replicas), "maximumPercent": 100},
    });
    api.call("CreateService", &body).await?;
    api.wait_for_service(SERVICE, LOOK_AT_SERVICE_EVERY, LIMIT, |service| {
        service["runningCount"] == replicas
    })
    .await?;
    times.create = Some(Seen { told: begun.elapsed(), engine: docker.last_start(&label, at).await? });
    if wanted.contains(&RowId::Rolling) {
        api.register(SERVICE_FAMILY, NEXT_IMAGE, 0, MEMORY_MIB).await?;
        let begun = Instant::now();
        api.call("UpdateService", &json!({"service": SERVICE, "taskDefinition": SERVICE_FAMILY})).await?;
        api.wait_for_service(SERVICE, LOOK_AT_SERVICE_EVERY, LIMIT, |service| {
            all_run_the_next(service, replicas)
        })
        .await?;
        times.update = Some(begun.elapsed());
    }
    let body = json!({"service": SERVICE, "force": true});
    api.call("DeleteService", &body).await?;
    api.wait_for_service(SERVICE, LOOK_AT_SERVICE_EVERY, LIMIT, |service| service["runningCount"] == 0)
        .await?;
    times.say("longshore");
    Ok((up, times))
}

/// The minimumHealthyPercent with which eight of `replicas` may be stopped at a time.
fn healthy_percent(replicas: u32) -> u32 {
    (replicas - 8) * 100 / replicas
}

/// True if the primary deployment alone has all replicas running.
fn all_run_the_next(service: &Value, replicas: u32) -> bool {
    let deployments = service["deployments"].as_array();
    let primary = deployments.into_iter().flatten().find(|deployment| deployment["status"] == "PRIMARY");
    primary.is_some_and(|primary| primary["runningCount"] == replicas)
}

async fn measure_swarm(wanted: &[RowId], replicas: u32) -> anyhow::Result<Times> {
    let mut swarm = Swarm::join(replicas).await?;
    let measured = measure_swarm_here(wanted, &mut swarm).await;
    swarm.leave().await?;
    measured
}

async fn measure_swarm_here(wanted: &[RowId], swarm: &mut Swarm) -> anyhow::Result<Times> {
    let mut times = Times { create: Some(swarm.create().await?), ..Times::default() };
    if wanted.contains(&RowId::Rolling) {
        times.update = Some(swarm.update().await?);
    }
    times.say("swarm");
    Ok(times)
}
