//! `longshore simulate`: how many instances and tasks a control plane carries, found out over real sockets.
//!
//! The instances are scripted (`longshore-crowd`): they register, hold their sockets, take tasks and report them,
//! but run no containers. Everything on the control plane's side is real.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use longshore_base::Seed;
use longshore_crowd::{Launch, Options, Stats};
use longshore_shapes_ecs::{self as shapes, ops};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::args::{ClientOptions, SimulateOptions};
use crate::client::Client;
use crate::out::{print, tell};
use crate::progress::Step;
use crate::shutdown;
use crate::trust::BUNDLE;

/// What each task asks for; an instance is made large enough for its share of them.
const TASK_CPU: u32 = 16;
const TASK_MEMORY_MIB: u32 = 64;

/// How long the server may take to answer for the first time.
const SERVER_PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_AT_TASKS_EVERY: Duration = Duration::from_millis(200);
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// Where there is no terminal to redraw, a line this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

const FAMILY: &str = "longshore-simulated";

pub async fn run(options: SimulateOptions) -> anyhow::Result<()> {
    let own = match &options.against {
        Some(_) => None,
        None => Some(OwnServer::start().await?),
    };
    let client = Client::find(&ClientOptions {
        endpoint: options.against.clone(),
        data_dir: own.as_ref().map(|own| own.dir.clone()),
        ca: std::env::var_os(BUNDLE).map(PathBuf::from),
        endpoint_is_flag: options.against.is_some(),
    })?;
    refuse_existing(&client, &options.cluster).await?;
    let result = load(&client, &options).await;
    if let Some(own) = own {
        own.end().await;
    } else {
        remove(&client, &options.cluster).await?;
    }
    result
}

async fn load(client: &Client, options: &SimulateOptions) -> anyhow::Result<()> {
    // One more than the mean, so that the last few find a place at once.
    let room = options.tasks.div_ceil(options.instances) + 1;
    let instances = options.instances as usize;
    let crowd = Options {
        cluster: options.cluster.clone(),
        zones: options.zones,
        cpu: TASK_CPU * room,
        memory_mib: TASK_MEMORY_MIB * room,
        ..Options::new(client.calls().clone(), instances, Seed::new(1))
    };
    let launch = Launch {
        cluster: options.cluster.clone(),
        family: FAMILY.into(),
        tasks: options.tasks.into(),
        cpu: TASK_CPU,
        memory_mib: TASK_MEMORY_MIB,
        connections: options.clients.into(),
    };
    let memory = Arc::new(AtomicU64::new(0));
    let (running, mut all_running) = watch::channel(false);
    let mut display = Display::new(options, memory.clone());
    let mut moments = Moments::default();
    let progress = |stats: &Stats| {
        moments.note(stats, options);
        display.show(stats);
        running.send_replace(moments.running.is_some());
    };
    let requested = shutdown::requested()?;
    let hold = Duration::from_secs(options.hold_secs);
    let stop = async {
        let held = async {
            let _ = all_running.wait_for(|all| *all).await;
            tokio::time::sleep(hold).await;
        };
        tokio::select! {
            () = held => {}
            () = watch_memory(client, &memory) => {}
            () = requested => {}
        }
    };
    let stats = longshore_crowd::simulate(crowd, Some(launch), progress, stop)
        .await
        .context("the control plane did not take the load; its log says more")?;
    display.end();
    print(&summary(&stats, &moments, memory.load(Ordering::Relaxed), options))?;
    if moments.running.is_none() {
        bail!("ended before all tasks were RUNNING");
    }
    Ok(())
}

/// Looks at the server's memory for ever; `stop` ends it.
async fn watch_memory(client: &Client, memory: &AtomicU64) {
    let mut every = tokio::time::interval(MEMORY_EVERY);
    loop {
        every.tick().await;
        if let Some(bytes) = client.get("/metrics").await.ok().and_then(|text| resident(&text)) {
            memory.store(bytes, Ordering::Relaxed);
        }
    }
}

/// The server's memory, as its metrics tell it.
fn resident(metrics: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix("longshore_resident_memory_bytes "))?.parse().ok()
}

/// When what was asked for was reached, since the start.
#[derive(Default)]
struct Moments {
    connected: Option<Duration>,
    /// With the number of tasks.
    launched: Option<Duration>,
    running: Option<Duration>,
}

impl Moments {
    fn note(&mut self, stats: &Stats, options: &SimulateOptions) {
        let tasks = u64::from(options.tasks);
        let reached = [
            (&mut self.connected, stats.connected >= u64::from(options.instances)),
            (&mut self.launched, stats.tasks_launched >= tasks),
            (&mut self.running, stats.running_reported >= tasks && stats.tasks_launched >= tasks),
        ];
        for (moment, is_reached) in reached {
            if is_reached && moment.is_none() {
                *moment = Some(stats.elapsed);
            }
        }
    }
}

/// A bar on a terminal, lines elsewhere; all on stderr.
struct Display {
    bar: ProgressBar,
    memory: Arc<AtomicU64>,
    last: Option<Stats>,
}

impl Display {
    fn new(options: &SimulateOptions, memory: Arc<AtomicU64>) -> Self {
        let bar = ProgressBar::new(options.tasks.into());
        let style =
            ProgressStyle::with_template("[{elapsed}] {wide_bar} {human_pos}/{human_len} RUNNING  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, memory, last: None }
    }

    fn show(&mut self, stats: &Stats) {
        let plain = self.bar.is_hidden();
        let since = stats.elapsed.saturating_sub(self.last.map_or(Duration::ZERO, |last| last.elapsed));
        // The ticks come a little early and late.
        let is_early = self.last.is_some() && since + MEMORY_EVERY / 2 < LINE_EVERY;
        if plain && is_early {
            return;
        }
        let rate = |now: u64, before: fn(&Stats) -> u64| {
            let before = self.last.as_ref().map_or(0, before);
            let seconds = since.as_secs_f64().max(0.001);
            HumanCount(((now - before) as f64 / seconds) as u64)
        };
        let text = format!(
            "instances {}/{}  launched {} ({}/s)  running {} ({}/s)  errors {}  server {}",
            HumanCount(stats.connected),
            HumanCount(stats.instances),
            HumanCount(stats.tasks_launched),
            rate(stats.tasks_launched, |last| last.tasks_launched),
            HumanCount(stats.running_reported),
            rate(stats.running_reported, |last| last.running_reported),
            stats.errors,
            HumanBytes(self.memory.load(Ordering::Relaxed)),
        );
        if plain {
            tell!("{:>7.1} s  {text}", stats.elapsed.as_secs_f64());
        } else {
            self.bar.set_position(stats.running_reported);
            self.bar.set_message(text);
        }
        self.last = Some(*stats);
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn summary(stats: &Stats, moments: &Moments, memory: u64, options: &SimulateOptions) -> String {
    let seconds = |moment: Option<Duration>| match moment {
        Some(moment) => format!("after {:.1} s", moment.as_secs_f64()),
        None => "not reached".to_owned(),
    };
    let between = |from: Option<Duration>, to: Option<Duration>| {
        let took = to?.checked_sub(from?)?.as_secs_f64();
        (took > 0.0).then(|| format!(", {} a second", HumanCount((f64::from(options.tasks) / took) as u64)))
    };
    let rate = |to| between(moments.connected, to).unwrap_or_default();
    format!(
        "instances connected:  {} of {}, {}\n\
         tasks placed:         {}, {}{}\n\
         tasks RUNNING:        {}, {}{}\n\
         connections lost:     {}\n\
         reports repeated:     {}\n\
         errors:               {}\n\
         memory of the server: {:.0} MB\n\
         memory of the crowd:  {:.0} MB\n",
        stats.connected,
        stats.instances,
        seconds(moments.connected),
        stats.tasks_launched,
        seconds(moments.launched),
        rate(moments.launched),
        stats.running_reported,
        seconds(moments.running),
        rate(moments.running),
        stats.connections_lost,
        stats.reports_repeated,
        stats.errors,
        memory as f64 / 1e6,
        stats.resident_bytes as f64 / 1e6,
    )
}

/// Tasks and instances of a simulation must not come among real ones.
async fn refuse_existing(client: &Client, cluster: &str) -> anyhow::Result<()> {
    let found = describe(client, cluster).await?;
    if found.is_some_and(|found| found.status.as_deref() == Some("ACTIVE")) {
        bail!("cluster {cluster} exists already; name another with --cluster, or delete it");
    }
    Ok(())
}

async fn describe(client: &Client, cluster: &str) -> anyhow::Result<Option<shapes::Cluster>> {
    let request =
        shapes::DescribeClustersRequest { clusters: Some(vec![cluster.to_owned()]), ..Default::default() };
    let described = client.call::<ops::DescribeClusters>(request).await?;
    Ok(described.clusters.into_iter().flatten().next())
}

fn has_tasks(cluster: &shapes::Cluster) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    count(cluster.running_tasks_count) + count(cluster.pending_tasks_count) > 0
}

/// Takes everything away again that a simulation made in a control plane that goes on.
async fn remove(client: &Client, cluster: &str) -> anyhow::Result<()> {
    let step = Step::begin(format!("removing cluster {cluster}"));
    loop {
        let page = client
            .call::<ops::ListContainerInstances>(shapes::ListContainerInstancesRequest {
                cluster: Some(cluster.to_owned()),
                ..Default::default()
            })
            .await?;
        let arns: Vec<_> = page.container_instance_arns.into_iter().flatten().collect();
        if arns.is_empty() {
            break;
        }
        for arn in arns {
            let request = shapes::DeregisterContainerInstanceRequest {
                cluster: Some(cluster.to_owned()),
                container_instance: Some(arn),
                force: Some(true),
            };
            client.call::<ops::DeregisterContainerInstance>(request).await?;
        }
    }
    // The server ends the tasks of an instance that is gone in several steps.
    while describe(client, cluster).await?.is_some_and(|found| has_tasks(&found)) {
        tokio::time::sleep(LOOK_AT_TASKS_EVERY).await;
    }
    let cluster = Some(cluster.to_owned());
    client.call::<ops::DeleteCluster>(shapes::DeleteClusterRequest { cluster }).await?;
    step.done("removed the simulated cluster and its instances");
    Ok(())
}

/// `longshore server` on a directory and a port of its own.
struct OwnServer {
    process: Child,
    dir: PathBuf,
}

impl OwnServer {
    async fn start() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("longshore-simulate-{}", std::process::id()));
        let step = Step::begin(format!("starting a server on {}", dir.display()));
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let process = Command::new(program)
            .args(["server", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&dir)
            .env_remove("LONGSHORE_EPHEMERAL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start `longshore server`")?;
        let mut own = Self { process, dir };
        match tokio::time::timeout(SERVER_PATIENCE, own.ready()).await {
            Ok(result) => result?,
            Err(_) => bail!("the server was not ready within {} s", SERVER_PATIENCE.as_secs()),
        }
        step.done(format!("a server of its own works on {}", own.dir.display()));
        Ok(own)
    }

    /// The `env` file is written when requests are answered.
    async fn ready(&mut self) -> anyhow::Result<()> {
        while !self.env().exists() {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}; run `longshore server` by hand to see why");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    /// Ends it at once: its state is not kept.
    async fn end(mut self) {
        let _ = self.process.kill().await;
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Nothing if `end` has done it already; a server that is dropped in haste is killed, not waited for.
        let _ = self.process.start_kill();
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tell!("cannot remove {}: {error}; remove it by hand", self.dir.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_metrics() {
        let metrics = longshore_telemetry::Metrics::new().encode();
        assert!(resident(&metrics).is_some_and(|bytes| bytes > 1 << 20), "{metrics}");
        assert_eq!(resident("# HELP nothing\n"), None);
    }
}
