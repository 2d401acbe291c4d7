//! Services of fifty real containers, beside Docker Swarm.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::containers::{FAMILY_LABEL, SERVICE_FAMILY, STUCK, finish, up};
use super::{Bench, RowId, push};
use crate::api::Api;
use crate::docker::{Docker, IMAGE, MEMORY_MIB, NEXT_IMAGE};
use crate::process::Process;
use crate::samples::Samples;
use crate::swarm::{self, Swarm};
use crate::table::{Bounds, Measured, Row, number};

const REPLACE: &str = "killed container replaced";

const SERVICE: &str = "bench";
const LIMIT: Duration = Duration::from_secs(300);

/// Seconds for the service of all replicas, for one replacement, and for the update.
#[derive(Default)]
struct Times {
    create: Option<Duration>,
    replace: Samples,
    update: Option<Duration>,
}

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
    let (theirs, origin) = match measure_swarm(bench, wanted, replicas).await {
        Ok(times) => (times, String::new()),
        Err(error) => {
            let per_task = |millis: f64| Some(Duration::from_secs_f64(millis * f64::from(replicas) / 1000.0));
            let mut replace = Samples::default();
            replace.push(Duration::from_secs_f64(swarm::PUBLISHED_REPLACE_MS / 1000.0));
            let times = Times {
                create: per_task(swarm::PUBLISHED_PER_TASK_MS),
                replace,
                update: per_task(swarm::PUBLISHED_UPDATE_PER_TASK_MS),
            };
            (
                times,
                format!(" Swarm could not run here ({error:#}); its numbers are those of measurements.md."),
            )
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
        let note = format!("{replicas} replicas of {MEMORY_MIB} MiB on the default bridge, one instance.");
        push(rows, &create, row(seconds(ours.create), seconds(theirs.create), "s", bounds, note));
    }
    if wanted.contains(&RowId::Replace) {
        let bounds = Bounds::RatioAtMost { must: 0.6, reach: 0.35 };
        let note = format!(
            "From the kill to another container that Docker lists as running; {} kills, beside {} others.",
            ours.replace.len(),
            replicas - 1
        );
        let peer = (theirs.replace.len() > 0).then(|| theirs.replace.median_ms());
        let value = (ours.replace.len() > 0).then(|| ours.replace.median_ms());
        push(rows, REPLACE, row(value, peer, "ms", bounds, note));
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
    let mut api = Api::new(&up.caller);
    let mut docker = Docker::connect().await?;
    api.register(SERVICE_FAMILY, IMAGE, 0, MEMORY_MIB).await?;
    let mut times = Times::default();
    let begun = Instant::now();
    let body = json!({
        "serviceName": SERVICE,
        "taskDefinition": SERVICE_FAMILY,
        "desiredCount": replicas,
        "deploymentConfiguration": {"minimumHealthyPercent": healthy_percent(replicas), "maximumPercent": 100},
    });
    api.call("CreateService", &body).await?;
    api.wait_for_service(SERVICE, LIMIT, |service| service["runningCount"] == replicas).await?;
    times.create = Some(begun.elapsed());
    if wanted.contains(&RowId::Replace) {
        for _ in 0..bench.pick(7, 3) {
            times
                .replace
                .push(docker.kill_and_wait(&format!("{FAMILY_LABEL}={SERVICE_FAMILY}"), STUCK).await?);
            api.wait_for_service(SERVICE, LIMIT, |service| service["runningCount"] == replicas).await?;
        }
    }
    if wanted.contains(&RowId::Rolling) {
        api.register(SERVICE_FAMILY, NEXT_IMAGE, 0, MEMORY_MIB).await?;
        let begun = Instant::now();
        api.call("UpdateService", &json!({"service": SERVICE, "taskDefinition": SERVICE_FAMILY})).await?;
        api.wait_for_service(SERVICE, LIMIT, |service| all_run_the_next(service, replicas)).await?;
        times.update = Some(begun.elapsed());
    }
    let body = json!({"service": SERVICE, "force": true});
    api.call("DeleteService", &body).await?;
    api.wait_for_service(SERVICE, LIMIT, |service| service["runningCount"] == 0).await?;
    eprintln!(
        "longshore: create {:?}, replace {} ms, update {:?}",
        times.create,
        number(times.replace.median_ms()),
        times.update
    );
    Ok((up, times))
}

/// The bound that lets eight replicas be away at a time.
fn healthy_percent(replicas: u32) -> u32 {
    (replicas - 8) * 100 / replicas
}

fn all_run_the_next(service: &Value, replicas: u32) -> bool {
    let deployments = service["deployments"].as_array();
    let primary = deployments.into_iter().flatten().find(|deployment| deployment["status"] == "PRIMARY");
    primary.is_some_and(|primary| primary["runningCount"] == replicas)
}

async fn measure_swarm(bench: &Bench, wanted: &[RowId], replicas: u32) -> anyhow::Result<Times> {
    let mut swarm = Swarm::join(replicas).await?;
    let measured = measure_swarm_here(bench, wanted, &mut swarm).await;
    swarm.leave().await?;
    measured
}

async fn measure_swarm_here(bench: &Bench, wanted: &[RowId], swarm: &mut Swarm) -> anyhow::Result<Times> {
    let mut times = Times { create: Some(swarm.create().await?), ..Times::default() };
    if wanted.contains(&RowId::Replace) {
        for _ in 0..bench.pick(7, 3) {
            times.replace.push(swarm.kill_one().await?);
        }
    }
    if wanted.contains(&RowId::Rolling) {
        times.update = Some(swarm.update().await?);
    }
    eprintln!(
        "swarm: create {:?}, replace {} ms, update {:?}",
        times.create,
        number(times.replace.median_ms()),
        times.update
    );
    Ok(times)
}
