//! All instances of a crowd: started together, counted, and stopped together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_base::Seed;
use longshore_client::Client;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::instance::Script;
use crate::pool::Pool;
use crate::socket::{Agent, Shared};
use crate::stats::{Counters, Stats};

/// What a crowd is made of. Instances are alike, but for their zones.
#[derive(Clone)]
pub struct Options {
    /// Which control plane, and as whom.
    pub client: Client,
    /// Has to exist; [`simulate`](crate::simulate) creates it.
    pub cluster: String,
    pub instances: usize,
    /// How many availability zones they take turns in, at most 26.
    pub zones: u8,
    /// CPU units of each instance.
    pub cpu: u32,
    /// Memory of each instance, in MiB.
    pub memory_mib: u32,
    pub script: Script,
    /// How many connections carry the API calls of all of them.
    pub connections: usize,
    /// Hold a telemetry socket as well, which doubles the number of sockets.
    pub telemetry: bool,
    /// For jitter and ids.
    pub seed: Seed,
}

impl Options {
    /// Instances of 16 vCPU and 64 GiB in three zones.
    pub fn new(client: Client, instances: usize, seed: Seed) -> Self {
        Self {
            client,
            cluster: "default".into(),
            instances,
            zones: 3,
            cpu: 16 * 1024,
            memory_mib: 64 * 1024,
            script: Script::default(),
            connections: 32,
            telemetry: false,
            seed,
        }
    }
}

/// How many instances open a socket at a time: more would overflow the server's queue of connections to accept.
const CONNECTING_MAX: usize = 64;

/// How often [`Crowd::until`] reads the counters.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Scripted instances at work, until stopped or dropped.
pub struct Crowd {
    instances: u64,
    begun: Instant,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Starts to connect all instances; must be called within a tokio runtime.
    pub fn start(options: Options) -> Self {
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        let pool =
            Pool::start(&options.client, options.connections, &counters, options.seed.of(0), &mut tasks);
        let instances = options.instances;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            options,
            pool,
            counters: counters.clone(),
            connecting: Semaphore::new(CONNECTING_MAX),
        });
        for index in 0..instances {
            tasks.spawn(Agent::new(shared.clone(), index).run(stopping.clone()));
        }
        Self { instances: instances as u64, begun: Instant::now(), counters, stop, tasks }
    }

    /// The counters as they are now.
    pub fn stats(&self) -> Stats {
        self.counters.read(self.instances, self.begun)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Resolves when all instances are connected at once.
    pub async fn connected(&self) {
        self.until(|stats| stats.connected == stats.instances).await;
    }

    /// Resolves when `reached` says so. It is asked every few milliseconds.
    pub async fn until(&self, reached: impl Fn(&Stats) -> bool) {
        while !reached(&self.stats()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Drops all connections, as if the machines had lost power.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}
