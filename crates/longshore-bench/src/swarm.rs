//! Docker Swarm on one node: the peer of services.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::api::{LOOK_AT_SERVICE_EVERY, LOOK_FOR_ANOTHER_EVERY};
use crate::docker::{Docker, IMAGE, MEMORY_MIB, NEXT_IMAGE, encode};
use crate::rows::Seen;

const SERVICE: &str = "longshore-bench";
const LABEL: &str = "com.docker.swarm.service.name=longshore-bench";
const LIMIT: Duration = Duration::from_secs(180);

/// Measurements of a machine like ours (measurements.md), where Swarm cannot run.
pub const PUBLISHED_PER_TASK_MS: f64 = 323.0;
pub const PUBLISHED_REPLACE_MS: f64 = 611.0;
pub const PUBLISHED_UPDATE_PER_TASK_MS: f64 = 318.0;

/// For the note of a row that has these in Swarm's place.
pub fn not_here(why: &anyhow::Error) -> String {
    format!(" Swarm could not run here ({why:#}); its numbers are those of measurements.md.")
}

/// A swarm of this machine alone. [`leave`](Swarm::leave) it.
pub struct Swarm {
    docker: Docker,
    replicas: u32,
}

impl Swarm {
    pub async fn join(replicas: u32) -> anyhow::Result<Self> {
        let mut docker = Docker::connect().await?;
        let info = docker.call("GET", "/info", None).await?;
        if info["Swarm"]["LocalNodeState"] != "inactive" {
            bail!("this machine is in a swarm already, which the benchmark must not touch");
        }
        let body = json!({"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"});
        docker.call("POST", "/swarm/init", Some(&body)).await.context("Docker cannot form a swarm")?;
        Ok(Self { docker, replicas })
    }

    fn spec(&self, image: &str) -> Value {
        json!({
            "Name": SERVICE,
            "TaskTemplate": {
                "ContainerSpec": {"Image": image},
                "Resources": {"Limits": {"MemoryBytes": u64::from(MEMORY_MIB) << 20}},
                // The default waits 5 s before it restarts.
                "RestartPolicy": {"Condition": "any", "Delay": 0},
            },
            "Mode": {"Replicated": {"Replicas": self.replicas}},
            "UpdateConfig": {"Parallelism": 8, "Delay": 0, "Order": "stop-first", "Monitor": 1_000_000},
        })
    }

    /// From the call until all replicas run.
    pub async fn create(&mut self) -> anyhow::Result<Seen> {
        let (begun, at) = (Instant::now(), SystemTime::now());
        let spec = self.spec(IMAGE);
        self.docker.call("POST", "/services/create", Some(&spec)).await?;
        let told = self.wait(IMAGE, begun).await?;
        Ok(Seen { told, engine: self.docker.last_start(LABEL, at).await? })
    }

    /// From the call until all replicas run the next image.
    pub async fn update(&mut self) -> anyhow::Result<Duration> {
        let service = self.docker.call("GET", &format!("/services/{SERVICE}"), None).await?;
        let version = service["Version"]["Index"].as_u64().context("a service has a version")?;
        let begun = Instant::now();
        let spec = self.spec(NEXT_IMAGE);
        let path = format!("/services/{SERVICE}/update?version={version}");
        self.docker.call("POST", &path, Some(&spec)).await?;
        self.wait(NEXT_IMAGE, begun).await
    }

    /// Kills one container; until another task runs in its place.
    pub async fn kill_one(&mut self) -> anyhow::Result<Seen> {
        let before = self.running_tasks().await?;
        let mut killer = Docker::connect().await?;
        let victim = killer.any_running(LABEL).await?;
        let (begun, at) = (Instant::now(), SystemTime::now());
        let another = async {
            while self.running_tasks().await?.is_subset(&before) {
                anyhow::ensure!(begun.elapsed() < LIMIT, "the container was not replaced within {LIMIT:?}");
                tokio::time::sleep(LOOK_FOR_ANOTHER_EVERY).await;
            }
            Ok(begun.elapsed())
        };
        let (killed, told) = tokio::join!(killer.kill(&victim), another);
        killed?;
        Ok(Seen { told: told?, engine: self.docker.last_start(LABEL, at).await? })
    }

    /// Ids of the tasks that run, by Swarm's own word.
    async fn running_tasks(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let tasks = self.tasks().await?;
        let running = tasks.iter().filter(|task| task["Status"]["State"] == "running");
        Ok(running.filter_map(|task| task["ID"].as_str()).map(str::to_owned).collect())
    }

    /// The tasks that should run.
    async fn tasks(&mut self) -> anyhow::Result<Vec<Value>> {
        let filters = json!({"service": [SERVICE], "desired-state": ["running"]}).to_string();
        let list = self.docker.call("GET", &format!("/tasks?filters={}", encode(&filters)), None).await?;
        list.as_array().cloned().context("a list of tasks")
    }

    async fn wait(&mut self, image: &str, begun: Instant) -> anyhow::Result<Duration> {
        loop {
            let tasks = self.tasks().await?;
            let running = tasks.iter().filter(|task| {
                task["Status"]["State"] == "running" && task["Spec"]["ContainerSpec"]["Image"] == image
            });
            if running.count() == self.replicas as usize {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > LIMIT {
                bail!("not all replicas of the swarm service run after {LIMIT:?}");
            }
            tokio::time::sleep(LOOK_AT_SERVICE_EVERY).await;
        }
    }

    /// Removes the service with its containers, and dissolves the swarm.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        // It may not exist yet, if creating it failed.
        let _ = self.docker.call("DELETE", &format!("/services/{SERVICE}"), None).await;
        let begun = Instant::now();
        while !self.docker.running(LABEL).await?.is_empty() && begun.elapsed() < LIMIT {
            tokio::time::sleep(LOOK_AT_SERVICE_EVERY).await;
        }
        self.docker.call("POST", "/swarm/leave?force=1", None).await.map(|_| ())
    }
}
