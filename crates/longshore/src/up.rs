//! `longshore up`: a control plane and its container instances in one process.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use longshore_base::Seed;
use longshore_client::HttpClient;
use longshore_node::awslogs::StandIn;
use longshore_node::{Config, CredentialsEndpoint, Services, SharedNetwork, Status};
use longshore_runtime::{Runtime, RuntimeInfo};
use longshore_runtime_docker::{DockerHost, DockerRuntime};
use longshore_state::db::SeedSource;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::agent_ports::AgentPorts;
use crate::args::UpOptions;
use crate::clock::{SystemClock, SystemSeeds};
use crate::control_plane::ControlPlane;
use crate::exit::usage;
use crate::machine::Machine;
use crate::out::{print, shown, tell};
use crate::progress::Step;
use crate::trust::Needed;
use crate::{engine, keys, leftovers, shutdown, task_roles, tls};

/// On a laptop a deployment should be quick: a task without health checks counts as healthy after this
/// (design, section 4).
const SETTLE: Duration = Duration::from_secs(1);

/// How long the container engine and the agents may take before `up` gives up.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// How long the server may take to notice that the agents of `up` have ended.
const GONE_PATIENCE: Duration = Duration::from_secs(1);

/// How long `up` may take to end its agents and to clean up when its control plane has failed.
const FAILED_PATIENCE: Duration = Duration::from_secs(15);

/// Instances that share a machine bind the ports of their tasks to addresses of their own, so that
/// each can have the same fixed ports: 127.0.0.11, 127.0.0.12, ...
const FIRST_ADDRESS: u8 = 11;

const MIB: u64 = 1024 * 1024;
const UNITS_PER_CORE: u32 = 1024;

/// On a laptop there are hardly more clients. Room for fewer connections is worth a warning.
const CROWD: usize = 1_000;

/// Where an agent serves task metadata, at the gateway of its network: this port, or as many further as it has
/// agents before it. The agent's own are just below (agent-protocol G2).
const FIRST_GATEWAY_PORT: u16 = 51680;

/// The variables of agents that a user may set for those of `up`.
const PASSED_ON: [&str; 13] = [
    "DOCKER_HOST",
    "ECS_CONTAINER_STOP_TIMEOUT",
    "ECS_DYNAMIC_HOST_PORT_RANGE",
    "ECS_ENABLE_TASK_CPU_MEM_LIMIT",
    "ECS_ENABLE_TASK_ENI",
    "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
    "ECS_IMAGE_PULL_BEHAVIOR",
    "ECS_INSTANCE_ATTRIBUTES",
    "ECS_ENABLE_TASK_IAM_ROLE",
    "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST",
    "LONGSHORE_AWSLOGS_DRIVER",
    "LONGSHORE_CONTAINER_ENDPOINT_URL",
    "LONGSHORE_TASK_NETWORK",
];

/// What the agents have in common.
type Parts = (Arc<dyn Runtime>, HttpClient, Option<Arc<CredentialsEndpoint>>);

/// The agents that run. Each gives its name when it ends, and why if nobody asked it to.
type Agents = JoinSet<(String, anyhow::Result<()>)>;

pub async fn run(options: UpOptions) -> anyhow::Result<()> {
    refuse_contradictions(&options)?;
    let step = Step::begin("looking for the container engine");
    let host = DockerHost::from_env()?;
    let runtime: Arc<dyn Runtime> = Arc::new(DockerRuntime::new(&host)?);
    let info = engine_info(&host, &runtime).await?;
    step.done(format!(
        "container engine: {} {} ({} cores, {} MiB)",
        info.name,
        info.version,
        info.cores,
        info.memory_bytes / MIB
    ));

    let step = Step::begin("starting the control plane");
    let mut control_plane =
        ControlPlane::start(&options.control_plane, SETTLE, CROWD, Machine::this()).await?;
    step.done(format!("control plane: {}", control_plane.endpoint));

    let credentials = task_roles::endpoint().await;
    let container_api = match &credentials {
        Some(_) => task_roles::serve_api(&mut control_plane).await,
        None => None,
    };
    control_plane.ensure_cluster(&options.cluster, &options.control_plane.region).await?;
    let step = Step::begin(format!("joining {} container instances", options.instances));
    let (stop, stopping) = watch::channel(false);
    let ephemeral = if control_plane.data_dir.is_none() { Some(temporary_dir()?) } else { None };
    let base = control_plane.data_dir.clone().or_else(|| ephemeral.clone()).unwrap_or_default();
    // Whoever has signed it, it is ours: the agents here trust it as it is.
    let own = options.control_plane.tls_cert.clone();
    let own = own.or_else(|| tls::own_certificate(&options.control_plane, control_plane.data_dir.as_deref()));
    let http = crate::agent::client(&control_plane.endpoint, own.as_deref())?;
    let (mut agents, mut statuses) = (Agents::new(), Vec::new());
    let places = (0..options.instances).map(Place::Instance).chain((0..options.fargate).map(Place::Pool));
    let ports = AgentPorts::look();
    let mut network = None;
    for (index, place) in (0u32..).zip(places) {
        let mut config = agent_config(&options, &control_plane, &base, &info, &ports, place)?;
        config.shared_network = Some(SharedNetwork {
            owner: base.display().to_string(),
            index,
            agents: u32::from(options.instances) + u32::from(options.fargate),
        });
        network = longshore_node::network::request(&config, Seed::new(0)).map(|request| request.name);
        config.gateway_port = FIRST_GATEWAY_PORT.checked_add(u16::try_from(index).unwrap_or(u16::MAX));
        config.joins_anew = true;
        if config.engine.api_endpoint.is_none() && !config.hides_api {
            config.engine.api_endpoint.clone_from(&container_api);
        }
        let (told, status) = watch::channel(Status::default());
        statuses.push((place, status));
        let parts = (runtime.clone(), http.clone(), credentials.clone());
        start(&mut agents, config, parts, stopping.clone(), told);
    }
    // From here on there is something to take away again.
    let requested = shutdown::requested()?;
    tokio::pin!(requested);
    let joined = tokio::select! {
        joined = join(&mut agents, statuses, control_plane.hub.connected()) => joined.map(Some),
        () = &mut requested => Ok(None),
        error = control_plane.failed() => Err(error),
    };
    let joined = match joined {
        Ok(Some(joined)) => joined,
        ended @ (Ok(None) | Err(_)) => {
            drop(step);
            wind_down(&stop, agents, control_plane, ephemeral, network, &runtime).await;
            return ended.map(|_| ());
        }
    };
    let joined_instances = joined.iter().filter(|place| matches!(place, Place::Instance(_))).count();
    step.done(format!(
        "container instances: {joined_instances} in {} zones, and {} for Fargate, connected",
        usize::from(zones(&options)).min(joined_instances),
        joined.len() - joined_instances
    ));
    if options.zones > options.instances {
        tell!(
            "note: --zones {} needs as many instances: each is in one zone. Add --instances {0}",
            options.zones
        );
    }

    tell!("{}", Bind::of(&options));
    if let Some(taken) = ports.note() {
        tell!("{taken}");
    }
    if let Err(error) = tell_where(&options, &control_plane).await {
        wind_down(&stop, agents, control_plane, ephemeral, network, &runtime).await;
        return Err(error);
    }

    let outcome = loop {
        tokio::select! {
            () = &mut requested => break Ok(()),
            error = control_plane.failed() => break Err(error),
            Some(ended) = agents.join_next() => {
                if let Err(error) = end_of(ended) {
                    tell!("error: {error:#}. The rest goes on without it; the next `longshore up` starts it again");
                }
            }
        }
    };
    let winding_down = wind_down(&stop, agents, control_plane, ephemeral, network, &runtime);
    if outcome.is_ok() {
        winding_down.await;
    } else {
        // What is left of a control plane that has failed may not be able to end in order.
        let _ = tokio::time::timeout(FAILED_PATIENCE, winding_down).await;
    }
    outcome
}

/// Ends what `up` has started; containers go on running.
async fn wind_down(
    stop: &watch::Sender<bool>,
    mut agents: Agents,
    control_plane: ControlPlane,
    ephemeral: Option<PathBuf>,
    network: Option<String>,
    runtime: &Arc<dyn Runtime>,
) {
    let step = Step::begin("stopping");
    let mut connected = control_plane.hub.connected();
    let others = connected.borrow_and_update().saturating_sub(agents.len());
    stop.send_replace(true);
    while let Some(ended) = agents.join_next().await {
        if let Err(error) = end_of(ended) {
            tell!("error: {error:#}");
        }
    }
    // The server is to hear that they have gone before it goes itself: agents that it leaves, it expects back.
    let _ = tokio::time::timeout(GONE_PATIENCE, connected.wait_for(|now| *now <= others)).await;
    let keeps = control_plane.data_dir.is_some();
    control_plane.stop().await;
    if let Some(dir) = ephemeral {
        // Journals of agents whose control plane forgets everything.
        let _ = std::fs::remove_dir_all(dir);
    }
    if let Some(name) = network {
        // The engine keeps it as long as a task runs in it. An engine has few subnets to choose from, and most
        // directories are tried once.
        let _ = tokio::time::timeout(ENGINE_PATIENCE, runtime.network_remove(&name)).await;
    }
    step.done(if keeps {
        "stopped; containers go on running, and the next `longshore up` finds them"
    } else {
        "stopped; containers go on running, and nobody knows of them any more. `docker ps --filter \
         label=com.amazonaws.ecs.cluster` shows them beside those of other clusters, `docker rm -f` removes them"
    });
}

/// What can be seen to be impossible before anything has started.
fn refuse_contradictions(options: &UpOptions) -> anyhow::Result<()> {
    if options.instances > 1 && options.bind_tasks.is_some() {
        return Err(usage(
            "--bind-tasks needs --instances 1: of several instances each opens the ports of its tasks on a loopback \
             address of its own, so that all can have the same ports",
        ));
    }
    let plane = &options.control_plane;
    if plane.ephemeral && tls::own_certificate(plane, Some(Path::new(""))).is_some() {
        return Err(usage(
            "with --ephemeral nobody can learn to trust the certificate that this server would make: add --tls-cert and \
             --tls-key, or --plain-http on a network that is trusted",
        ));
    }
    Ok(())
}

/// Where the published ports of tasks are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bind {
    /// All instances are one, on this address.
    One(IpAddr),
    /// So many instances have addresses of their own.
    Each(u8),
}

impl Bind {
    fn of(options: &UpOptions) -> Self {
        match (options.instances, options.bind_tasks) {
            (1, address) => Self::One(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))),
            (instances, _) => Self::Each(instances),
        }
    }

    /// That of one agent. The pool's tasks have addresses of their own and publish nothing.
    fn address(self, place: Place) -> IpAddr {
        match (self, place) {
            (Self::One(address), Place::Instance(_)) => address,
            (Self::Each(_), Place::Instance(index)) => {
                IpAddr::V4(Ipv4Addr::new(127, 0, 0, FIRST_ADDRESS + index))
            }
            (Self::One(_) | Self::Each(_), Place::Pool(_)) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.address(Place::Instance(0));
        match self {
            Self::One(address) if address.is_loopback() => write!(
                f,
                "ports of tasks: on {first}, for this machine only; --bind-tasks 0.0.0.0 opens them to others"
            ),
            Self::One(_) => {
                write!(
                    f,
                    "ports of tasks: on {first}, OPEN TO EVERYBODY who reaches that address (--bind-tasks)"
                )
            }
            Self::Each(count) => {
                let last = self.address(Place::Instance(count - 1));
                write!(
                    f,
                    "ports of tasks: on {first} to {last}, one for each instance, for this machine only"
                )
            }
        }
    }
}

async fn engine_info(host: &DockerHost, runtime: &Arc<dyn Runtime>) -> anyhow::Result<RuntimeInfo> {
    match tokio::time::timeout(ENGINE_PATIENCE, runtime.info()).await {
        Ok(Ok(info)) => Ok(info),
        Ok(Err(error)) => Err(anyhow::Error::new(error)
            .context(format!("no container engine answers: {}", engine::advice(host)))),
        Err(_) => bail!(
            "the container engine does not answer within {} s: {}",
            ENGINE_PATIENCE.as_secs(),
            engine::advice(host)
        ),
    }
}

/// What an agent is for, and its number among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A container instance of the cluster.
    Instance(u8),
    /// An agent of the Fargate pool.
    Pool(u8),
}

/// The part of the machine that an agent may promise to tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    /// CPU units.
    cpu: u32,
    memory_mib: u32,
}

impl Share {
    /// Instances and pool agents have equal parts, except that the pool's together are whole cores if they
    /// are at least one: a single instance then has whole cores as well, as machines do. All parts together
    /// are never more than the machine.
    fn of(place: Place, instances: u8, pool: u8, cores: u32, memory_mib: u32) -> Self {
        let (instances, pool) = (u32::from(instances), u32::from(pool));
        let part =
            |whole: u32| u32::try_from(u64::from(whole) * u64::from(pool) / u64::from(instances + pool));
        let cpu = cores * UNITS_PER_CORE;
        let pool_cpu = part(cpu).unwrap_or(0);
        let pool_cpu =
            if pool_cpu < UNITS_PER_CORE { pool_cpu } else { pool_cpu - pool_cpu % UNITS_PER_CORE };
        let pool_memory = part(memory_mib).unwrap_or(0);
        match place {
            Place::Instance(_) => {
                Self { cpu: (cpu - pool_cpu) / instances, memory_mib: (memory_mib - pool_memory) / instances }
            }
            Place::Pool(_) => Self { cpu: pool_cpu / pool, memory_mib: pool_memory / pool },
        }
    }
}

fn zones(options: &UpOptions) -> u8 {
    options.zones.min(options.instances)
}

/// The configuration of one agent, through the same variables that an agent of its own would read.
fn agent_config(
    options: &UpOptions,
    control_plane: &ControlPlane,
    base: &Path,
    info: &RuntimeInfo,
    ports: &AgentPorts,
    place: Place,
) -> anyhow::Result<Config> {
    let region = &options.control_plane.region;
    let (index, name) = match place {
        Place::Instance(index) => (index, format!("instance-{}", index + 1)),
        Place::Pool(index) => (index, format!("fargate-{}", index + 1)),
    };
    let zone = char::from(b'a' + index % zones(options));
    let mut values = BTreeMap::from([
        ("ECS_BACKEND_HOST", control_plane.endpoint.clone()),
        ("AWS_DEFAULT_REGION", region.clone()),
        ("AWS_ACCESS_KEY_ID", control_plane.operator.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", control_plane.operator.secret.reveal().to_owned()),
        ("ECS_DATADIR", base.join("agents").join(&name).display().to_string()),
        ("LONGSHORE_AGENT_NAME", name),
        ("LONGSHORE_AVAILABILITY_ZONE", format!("{region}{zone}")),
        // Images are made on this machine or pulled by hand as often as not.
        ("ECS_IMAGE_PULL_BEHAVIOR", "prefer-cached".to_owned()),
        ("ECS_ENABLE_TASK_ENI", "true".to_owned()),
        // Most published definitions name awslogs, and here is no CloudWatch Logs that could refuse them.
        ("LONGSHORE_AWSLOGS_DRIVER", StandIn::JsonFile.as_str().to_owned()),
    ]);
    values.extend(ports.variables(place == Place::Instance(0)));
    match place {
        Place::Instance(_) if options.cluster == "default" => {}
        Place::Instance(_) => {
            values.insert("ECS_CLUSTER", options.cluster.clone());
        }
        Place::Pool(_) => {
            values.insert("LONGSHORE_POOL", "true".to_owned());
        }
    }
    if options.instances > 1 || options.fargate > 0 {
        let memory = u32::try_from(info.memory_bytes / MIB).unwrap_or(u32::MAX);
        let share = Share::of(place, options.instances, options.fargate, info.cores, memory);
        values.insert("LONGSHORE_AGENT_CPU", share.cpu.to_string());
        values.insert("LONGSHORE_AGENT_MEMORY", share.memory_mib.to_string());
    }
    values.insert("LONGSHORE_BIND_ADDRESS", Bind::of(options).address(place).to_string());
    for key in PASSED_ON {
        if let Ok(value) = std::env::var(key) {
            values.insert(key, value);
        }
    }
    let pairs = values.into_iter().map(|(key, value)| (key.to_owned(), value));
    let (config, notes) = Config::read(pairs, None).context("the agents cannot be configured")?;
    for note in notes {
        tracing::warn!("{note}");
    }
    Ok(config)
}

fn start(
    agents: &mut Agents,
    config: Config,
    parts: Parts,
    stopping: watch::Receiver<bool>,
    told: watch::Sender<Status>,
) {
    agents.spawn(async move {
        let name = config.name.clone();
        (name, supervise(config, parts, stopping, told).await)
    });
}

/// Runs an agent, and starts it again as a supervisor would if it fails or panics, unless it never came as far as to
/// register: then somebody has to change something first.
async fn supervise(
    config: Config,
    (runtime, http, credentials): Parts,
    mut stopping: watch::Receiver<bool>,
    told: watch::Sender<Status>,
) -> anyhow::Result<()> {
    let mut pauses = Pauses::default();
    loop {
        told.send_replace(Status::default());
        let services = Services {
            runtime: runtime.clone(),
            http: http.clone(),
            keys: None,
            clock: Arc::new(SystemClock),
            seed: SystemSeeds.draw(),
            credentials: credentials.clone(),
        };
        let mut stop = stopping.clone();
        // A task of its own, so that a panic ends it alone.
        let run = tokio::spawn(longshore_node::run(config.clone(), services, told.clone(), async move {
            let _ = stop.wait_for(|stopping| *stopping).await;
        }));
        let failure = match run.await {
            Ok(Ok(longshore_node::ExitReason::Stopped)) => return Ok(()),
            Ok(Ok(longshore_node::ExitReason::Terminal(text))) => return Err(anyhow!("{text}")),
            Ok(Ok(longshore_node::ExitReason::Failed(text))) => anyhow!("{text}"),
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(error) => anyhow::Error::new(error),
        };
        let has_registered = told.borrow().instance_arn.is_some();
        let Some(pause) = pauses.next(has_registered).filter(|_| !*stopping.borrow()) else {
            return Err(failure);
        };
        let (name, secs) = (&config.name, pause.as_secs());
        tell!("error: {name} has ended: {failure:#}. It is started again in {secs} s");
        let _ = tokio::time::timeout(pause, stopping.wait_for(|stopping| *stopping)).await;
        if *stopping.borrow() {
            return Ok(());
        }
    }
}

/// When an agent that has ended is started again.
#[derive(Default)]
struct Pauses {
    last: Option<Duration>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(60);

    /// The time until the next start; `None`: not at all. Each start that comes as far as to register begins anew.
    fn next(&mut self, has_registered: bool) -> Option<Duration> {
        let next = match self.last {
            _ if has_registered => Self::FIRST,
            Some(last) => (last * 2).min(Self::MAX),
            None => return None,
        };
        self.last = Some(next);
        Some(next)
    }
}

/// Why an agent ended, by its name.
fn end_of(ended: Result<(String, anyhow::Result<()>), JoinError>) -> anyhow::Result<()> {
    let (name, ended) = ended?;
    ended.with_context(|| format!("{name} has ended"))
}

/// Waits until every agent is connected or has ended, so that ready means that a task can run. Gives those that are
/// connected.
///
/// # Errors
/// If no container instance is among them, or one needs too long.
async fn join(
    agents: &mut Agents,
    statuses: Vec<(Place, watch::Receiver<Status>)>,
    mut connected: watch::Receiver<usize>,
) -> anyhow::Result<Vec<Place>> {
    let all = async {
        let mut joined = Vec::new();
        for (place, mut status) in statuses {
            // It is an agent that has ended whose status nobody tells any more.
            if status.wait_for(|status| status.connected).await.is_ok() {
                joined.push(place);
            }
        }
        if !joined.iter().any(|place| matches!(place, Place::Instance(_))) {
            while let Some(ended) = agents.join_next().await {
                end_of(ended)?;
            }
            bail!("the agents ended before they were connected");
        }
        // The agents' view is a moment ahead of the control plane's.
        connected.wait_for(|now| *now >= joined.len()).await.context("the control plane has ended")?;
        Ok(joined)
    };
    match tokio::time::timeout(JOIN_PATIENCE, all).await {
        Ok(result) => result,
        Err(_) => bail!(
            "the agents did not connect within {} s; run again with --log info to see why",
            JOIN_PATIENCE.as_secs()
        ),
    }
}

fn temporary_dir() -> anyhow::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("longshore-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot use {}", dir.display()))?;
    Ok(dir)
}

/// Writes the `env` file and says what a person can do next.
async fn tell_where(options: &UpOptions, control_plane: &ControlPlane) -> anyhow::Result<()> {
    let needed = Needed::of(&options.control_plane, control_plane.data_dir.as_deref());
    let env = control_plane.data_dir.as_ref().map(|dir| dir.join("env"));
    if let Some(env) = &env {
        let (endpoint, region) = (&control_plane.endpoint, &options.control_plane.region);
        keys::write_env(env, endpoint, region, &control_plane.operator, needed.file())?;
    }
    announce(options, control_plane, env.as_deref())?;
    if let Some(note) = needed.note(env.is_some()) {
        tell!("{note}");
    }
    leftovers::tell_of(&control_plane.db, options).await
}

/// Endpoint and credentials go to stdout: they are what was asked for. The secret is only in the file,
/// unless there is none.
fn announce(options: &UpOptions, control_plane: &ControlPlane, env: Option<&Path>) -> anyhow::Result<()> {
    let cluster = match options.cluster.as_str() {
        "default" => String::new(),
        cluster => format!(" --cluster {cluster}"),
    };
    let (endpoint, region) = (&control_plane.endpoint, &options.control_plane.region);
    let where_to = format!("endpoint: {endpoint}\nregion:   {region}\n");
    match env {
        Some(path) => {
            // A reader who has gone does not end what was started.
            print(&format!("{where_to}env:      {}\n", path.display()))?;
            tell!(
                "\nready. In another shell:\n  source {}\n  aws ecs list-container-instances{cluster}",
                shown(path)
            );
        }
        None => {
            print(&format!("{where_to}{}", keys::for_people(&control_plane.operator)))?;
            tell!(
                "\nready. In another shell, with the two keys above in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY:\n  aws \
                 --endpoint-url {endpoint} --region {region} ecs list-container-instances{cluster}"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn an_agent_that_never_joined_is_not_started_again() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.next(false), None);
        let mut secs = |joined| pauses.next(joined).map(|pause| pause.as_secs());
        let told = [true, false, false, true, false].map(&mut secs);
        assert_eq!(told, [1, 2, 4, 1, 2].map(Some));
        let later: Vec<_> = (0..10).map(|_| secs(false)).collect();
        assert_eq!(later.last(), Some(&Some(60)));
    }

    #[test]
    fn the_machine_is_shared_out_once() {
        let check = |instances, pool, cores, expected: [u32; 2]| {
            let cpu = |place| Share::of(place, instances, pool, cores, 8000).cpu;
            let pool_share = if pool > 0 { cpu(Place::Pool(0)) } else { 0 };
            assert_eq!([cpu(Place::Instance(0)), pool_share], expected, "{instances} {pool} {cores}");
            let total = expected[0] * u32::from(instances) + expected[1] * u32::from(pool);
            assert!(total <= cores * UNITS_PER_CORE);
        };
        check(1, 0, 2, [2048, 0]);
        check(1, 1, 2, [1024, 1024]);
        check(1, 1, 3, [2048, 1024]);
        check(1, 1, 1, [512, 512]);
        check(3, 1, 2, [512, 512]);
        check(3, 3, 8, [1365, 1365]);
        let share = Share::of(Place::Pool(1), 1, 3, 4, 8000);
        assert_eq!(share, Share { cpu: 1024, memory_mib: 2000 });
    }
    #[test]
    fn ports_of_tasks_are_for_this_machine_unless_somebody_says_otherwise() {
        let check = |words: &[&str], expected: Option<&str>, said: &str| {
            let args = Args::try_parse_from([&["longshore", "up"], words].concat()).expect("it can be read");
            let Command::Up(options) = args.command else { panic!("it is `up`") };
            assert_eq!(refuse_contradictions(&options).is_ok(), expected.is_some(), "{words:?}");
            let Some(expected) = expected else { return };
            let bind = Bind::of(&options);
            let last = bind.address(Place::Instance(options.instances - 1));
            assert_eq!(last.to_string(), expected, "{words:?}");
            assert!(bind.address(Place::Pool(0)).is_loopback(), "{words:?}");
            assert!(bind.to_string().contains(said), "{words:?}: {bind}");
        };
        check(&[], Some("127.0.0.1"), "for this machine only; --bind-tasks");
        check(&["--instances", "3"], Some("127.0.0.13"), "127.0.0.11 to 127.0.0.13");
        check(&["--bind-tasks", "0.0.0.0"], Some("0.0.0.0"), "OPEN TO EVERYBODY");
        check(&["--bind-tasks", "::1"], Some("::1"), "for this machine only");
        check(&["--bind-tasks", "0.0.0.0", "--instances", "2"], None, "");
        check(&["--ephemeral", "--listen", "0.0.0.0:0"], None, "");
        check(&["--ephemeral", "--listen", "0.0.0.0:0", "--plain-http"], Some("127.0.0.1"), "");
    }

    #[test]
    fn the_variables_that_are_passed_on_are_documented() {
        let operating = include_str!("../../../docs/operating.md");
        let section = operating.split("`up` takes over").nth(1).expect("the list of variables");
        let list = section.split("other agent variable").next().expect("its end");
        let words = list.split('`').skip(1).step_by(2).filter(|word| word.contains('_'));
        let documented: std::collections::BTreeSet<&str> = words.collect();
        assert_eq!(documented, PASSED_ON.into());
    }
}
