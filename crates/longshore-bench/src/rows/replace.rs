//! A killed container of a service of ten: Longshore and Docker Swarm in turns, each beside the other's service, so that
//! what else the machine does meets both alike.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::containers::{FAMILY_LABEL, SERVICE_FAMILY, STUCK, finish, up};
use super::services::{ENGINE, TOLD};
use super::{Bench, Seen, push};
use crate::api::{Api, LOOK_AT_SERVICE_EVERY};
use crate::docker::{Docker, IMAGE, MEMORY_MIB};
use crate::process::Process;
use crate::samples::Samples;
use crate::swarm::{self, Swarm};
use crate::table::{Bounds, Measured, Row, number};

const WHAT: &str = "killed container replaced";
const SERVICE: &str = "bench-replace";
const REPLICAS: u32 = 10;
const LIMIT: Duration = Duration::from_secs(180);

/// After each kill, so that what it leaves to do (a dead container's files, a restarted supervisor) is not in the next.
const REST: Duration = Duration::from_secs(1);

/// One side's times.
#[derive(Default)]
struct Times {
    told: Samples,
    engine: Samples,
}

impl Times {
    fn push(&mut self, seen: Seen) {
        self.told.push(seen.told);
        self.engine.push(seen.engine);
    }
}

pub async fn run(bench: &Bench, rows: &mut Vec<Row>) {
    let up = match up(bench, "replace").await {
        Ok(up) => up,
        Err(error) => return push(rows, WHAT, Err(error)),
    };
    match measure(bench, &up).await {
        Ok((ours, theirs, origin)) => say(rows, &ours, &theirs, &origin),
        Err(error) => push(rows, WHAT, Err(error)),
    }
    finish(up, rows).await;
}

fn say(rows: &mut Vec<Row>, ours: &Times, theirs: &Times, origin: &str) {
    let ways = [
        (
            TOLD,
            [&ours.told, &theirs.told],
            "until another task is RUNNING in DescribeTasks, or `running` in Swarm's own list",
        ),
        (
            ENGINE,
            [&ours.engine, &theirs.engine],
            "until the engine's `start` event of another container, the same kills",
        ),
    ];
    for (way, [own, peer], how) in ways {
        let measured = Measured {
            value: own.median_ms(),
            peer: Some(peer.median_ms()),
            unit: "ms",
            peer_name: "Docker Swarm, this machine",
            bounds: Bounds::RatioAtMost { must: 0.6, reach: 0.35 },
        };
        let note = format!(
            "From the kill {how}; {} kills each in turns, of services of {REPLICAS}. p90 {} ms, peer {} ms.{origin}",
            own.len(),
            number(own.percentile_ms(90)),
            number(peer.percentile_ms(90)),
        );
        push(rows, &format!("{WHAT}, {way}"), Ok((measured, note)));
    }
}

/// Our times and Swarm's, and where Swarm's come from if not from here.
async fn measure(bench: &Bench, up: &Process) -> anyhow::Result<(Times, Times, String)> {
    let mut ours = Ours::create(up).await?;
    let mut swarm = Swarm::join(REPLICAS).await;
    let measured = match &mut swarm {
        Ok(swarm) => in_turns(bench.pick(20, 5), &mut ours, Some(swarm)).await,
        Err(_) => in_turns(bench.pick(20, 5), &mut ours, None).await,
    };
    let origin = match swarm {
        Ok(swarm) => swarm.leave().await.map(|()| String::new())?,
        Err(error) => swarm::not_here(&error),
    };
    ours.delete().await?;
    let (own, peer) = measured?;
    Ok((own, peer, origin))
}

async fn in_turns(
    rounds: usize,
    ours: &mut Ours,
    mut swarm: Option<&mut Swarm>,
) -> anyhow::Result<(Times, Times)> {
    let (mut own, mut peer) = (Times::default(), Times::default());
    match &mut swarm {
        Some(swarm) => swarm.create().await.map(drop)?,
        None => {
            let published = Duration::from_secs_f64(swarm::PUBLISHED_REPLACE_MS / 1000.0);
            peer.push(Seen { told: published, engine: published });
        }
    }
    for round in 0..rounds {
        // Who goes first alternates.
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            tokio::time::sleep(REST).await;
            match &mut swarm {
                _ if is_ours => own.push(ours.kill_one().await?),
                Some(swarm) => peer.push(swarm.kill_one().await?),
                None => {}
            }
        }
    }
    Ok((own, peer))
}

/// The service under `longshore up`.
struct Ours {
    api: Api,
    docker: Docker,
    label: String,
}

impl Ours {
    async fn create(up: &Process) -> anyhow::Result<Self> {
        let api = Api::new(&up.client);
        let docker = Docker::connect().await?;
        api.register(SERVICE_FAMILY, IMAGE, 0, MEMORY_MIB).await?;
        let body =
            json!({"serviceName": SERVICE, "taskDefinition": SERVICE_FAMILY, "desiredCount": REPLICAS});
        api.call("CreateService", &body).await?;
        let mut ours = Self { api, docker, label: format!("{FAMILY_LABEL}={SERVICE_FAMILY}") };
        ours.wait_for(REPLICAS).await?;
        Ok(ours)
    }

    async fn wait_for(&mut self, running: u32) -> anyhow::Result<()> {
        let reached = |service: &serde_json::Value| service["runningCount"] == running;
        self.api.wait_for_service(SERVICE, LOOK_AT_SERVICE_EVERY, LIMIT, reached).await.map(drop)
    }

    /// Kills one container; until another task runs in its place.
    async fn kill_one(&mut self) -> anyhow::Result<Seen> {
        self.wait_for(REPLICAS).await?;
        let before = self.api.service_tasks(SERVICE).await?;
        let victim = self.docker.any_running(&self.label).await?;
        let (begun, at) = (Instant::now(), SystemTime::now());
        let another = async {
            self.api.wait_for_another(SERVICE, &before, STUCK).await?;
            anyhow::Ok(begun.elapsed())
        };
        let (killed, told) = tokio::join!(self.docker.kill(&victim), another);
        killed?;
        Ok(Seen { told: told?, engine: self.docker.last_start(&self.label, at).await? })
    }

    async fn delete(&mut self) -> anyhow::Result<()> {
        self.api.call("DeleteService", &json!({"service": SERVICE, "force": true})).await?;
        self.wait_for(0).await
    }
}
