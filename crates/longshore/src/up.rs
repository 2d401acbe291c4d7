//! `longshore up`: a control plane and its container instances in one process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use longshore_base::Seed;
use longshore_node::{Config, HttpClient, Services, SharedNetwork, Status};
use longshore_runtime::{Runtime, RuntimeInfo};
use longshore_runtime_docker::DockerRuntime;
use longshore_state::db::SeedSource;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::args::UpOptions;
use crate::clock::{SystemClock, SystemSeeds};
use crate::control_plane::ControlPlane;
use crate::progress::Step;
use crate::{keys, shutdown};

/// On a laptop a deployment should be quick: a task without health checks counts as healthy after this
/// (design, section 4).
const SETTLE: Duration = Duration::from_secs(1);

/// How long the container engine and the agents may take before `up` gives up.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// Instances that share a machine bind the ports of their tasks to addresses of their own, so that
/// each can have the same fixed ports: 127.0.0.11, 127.0.0.12, ...
const FIRST_ADDRESS: u8 = 11;

const MIB: u64 = 1024 * 1024;

struct Instance {
    status: watch::Receiver<Status>,
    task: JoinHandle<anyhow::Result<()>>,
}

pub async fn run(options: UpOptions) -> anyhow::Result<()> {
    let step = Step::begin("looking for the container engine");
    let runtime: Arc<dyn Runtime> = Arc::new(DockerRuntime::from_env()?);
    let info = engine_info(&runtime).await?;
    step.done(format!(
        "container engine: {} {} ({} cores, {} MiB)",
        info.name,
        info.version,
        info.cores,
        info.memory_bytes / MIB
    ));

    let step = Step::begin("starting the control plane");
    let control_plane = ControlPlane::start(&options.control_plane, SETTLE).await?;
    step.done(format!("control plane: {}", control_plane.endpoint));

    control_plane.ensure_cluster(&options.cluster, &options.control_plane.region).await?;
    let step = Step::begin(format!("joining {} container instances", options.instances));
    let (stop, stopping) = watch::channel(false);
    let ephemeral = if control_plane.data_dir.is_none() { Some(temporary_dir()?) } else { None };
    let base = control_plane.data_dir.clone().or_else(|| ephemeral.clone()).unwrap_or_default();
    let http = crate::agent::client(&control_plane.endpoint)?;
    let mut instances = Vec::new();
    let mut network = None;
    for index in 0..options.instances {
        let mut config = instance_config(&options, &control_plane, &base, &info, index)?;
        config.shared_network = Some(SharedNetwork {
            owner: base.display().to_string(),
            index: index.into(),
            agents: options.instances.into(),
        });
        network = longshore_node::network::request(&config, Seed::new(0)).map(|request| request.name);
        instances.push(start(config, runtime.clone(), http.clone(), stopping.clone()));
    }
    join(&mut instances, control_plane.hub.connected()).await?;
    step.done(format!("container instances: {} in {} zones, connected", options.instances, zones(&options)));

    if let Some(dir) = &control_plane.data_dir {
        let env = dir.join("env");
        keys::write_env(
            &env,
            &control_plane.endpoint,
            &options.control_plane.region,
            &control_plane.operator,
        )?;
        announce(&options, &control_plane, Some(&env));
    } else {
        announce(&options, &control_plane, None);
    }

    tokio::select! {
        requested = shutdown::requested() => requested?,
        error = control_plane.failed() => return Err(error),
    }
    let step = Step::begin("stopping");
    stop.send_replace(true);
    for instance in instances {
        if let Ok(Err(error)) = instance.task.await {
            eprintln!("error: an agent ended badly: {error:#}");
        }
    }
    control_plane.stop().await;
    if let Some(dir) = ephemeral {
        // Journals of agents whose control plane forgets everything, and their network, unless tasks are left in it.
        let _ = std::fs::remove_dir_all(dir);
        if let Some(name) = network {
            let _ = tokio::time::timeout(ENGINE_PATIENCE, runtime.network_remove(&name)).await;
        }
    }
    step.done("stopped; containers go on running, and the next `longshore up` finds them");
    Ok(())
}

async fn engine_info(runtime: &Arc<dyn Runtime>) -> anyhow::Result<RuntimeInfo> {
    let hint = "start Docker (sudo systemctl start docker, or dockerd), or set DOCKER_HOST to its socket";
    match tokio::time::timeout(ENGINE_PATIENCE, runtime.info()).await {
        Ok(Ok(info)) => Ok(info),
        Ok(Err(error)) => {
            Err(anyhow::Error::new(error).context(format!("no container engine answers: {hint}")))
        }
        Err(_) => {
            bail!("the container engine does not answer within {} s: {hint}", ENGINE_PATIENCE.as_secs())
        }
    }
}

fn zones(options: &UpOptions) -> u8 {
    options.zones.min(options.instances)
}

/// The configuration of instance `index`, through the same variables that an agent of its own would read.
fn instance_config(
    options: &UpOptions,
    control_plane: &ControlPlane,
    base: &Path,
    info: &RuntimeInfo,
    index: u8,
) -> anyhow::Result<Config> {
    let count = u32::from(options.instances);
    let region = &options.control_plane.region;
    let zone = char::from(b'a' + index % zones(options));
    let name = format!("instance-{}", index + 1);
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
    ]);
    // Only one agent on a machine can have the ports at which people and containers look for it.
    for (key, port) in [("LONGSHORE_INTROSPECTION_PORT", "51678"), ("LONGSHORE_METADATA_PORT", "51679")] {
        let free = index == 0 && port.parse().is_ok_and(port_is_free);
        values.insert(key, if free { port.to_owned() } else { "0".to_owned() });
    }
    if options.cluster != "default" {
        values.insert("ECS_CLUSTER", options.cluster.clone());
    }
    if count > 1 {
        values.insert("LONGSHORE_AGENT_CPU", (info.cores * 1024 / count).to_string());
        let memory = u32::try_from(info.memory_bytes / MIB).unwrap_or(u32::MAX) / count;
        values.insert("LONGSHORE_AGENT_MEMORY", memory.to_string());
        values.insert("LONGSHORE_BIND_ADDRESS", format!("127.0.0.{}", FIRST_ADDRESS + index));
    }
    let own = [
        "DOCKER_HOST",
        "ECS_CONTAINER_STOP_TIMEOUT",
        "ECS_DYNAMIC_HOST_PORT_RANGE",
        "ECS_ENABLE_TASK_ENI",
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
        "ECS_IMAGE_PULL_BEHAVIOR",
        "ECS_INSTANCE_ATTRIBUTES",
        "LONGSHORE_TASK_NETWORK",
    ];
    for key in own {
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

fn port_is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn start(
    config: Config,
    runtime: Arc<dyn Runtime>,
    http: HttpClient,
    mut stopping: watch::Receiver<bool>,
) -> Instance {
    let services = Services { runtime, http, clock: Arc::new(SystemClock), seed: SystemSeeds.draw() };
    let (told, status) = watch::channel(Status::default());
    let task = tokio::spawn(async move {
        let name = config.name.clone();
        let ended = longshore_node::run(config, services, told, async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        })
        .await
        .with_context(|| format!("{name} cannot run"))?;
        match ended {
            longshore_node::ExitReason::Stopped => Ok(()),
            longshore_node::ExitReason::Failed(text) | longshore_node::ExitReason::Terminal(text) => {
                bail!("{name}: {text}")
            }
        }
    });
    Instance { status, task }
}

/// Waits until every instance is connected, so that ready means that a task can run.
async fn join(instances: &mut [Instance], mut connected: watch::Receiver<usize>) -> anyhow::Result<()> {
    let count = instances.len();
    let all = async {
        for instance in instances {
            tokio::select! {
                connected = instance.status.wait_for(|status| status.connected) => {
                    if connected.is_err() {
                        (&mut instance.task).await??;
                        bail!("an agent ended before it was connected");
                    }
                }
                ended = &mut instance.task => {
                    ended??;
                    bail!("an agent ended before it was connected");
                }
            }
        }
        // The agents' view is a moment ahead of the control plane's.
        connected.wait_for(|now| *now >= count).await.context("the control plane has ended")?;
        Ok(())
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

/// Endpoint and credentials go to stdout: they are what was asked for. The secret is only in the file,
/// unless there is none.
fn announce(options: &UpOptions, control_plane: &ControlPlane, env: Option<&Path>) {
    println!("endpoint: {}", control_plane.endpoint);
    println!("region:   {}", options.control_plane.region);
    match env {
        Some(path) => {
            println!("env:      {}", path.display());
            eprintln!(
                "\nready. In another shell:\n  source {}\n  aws ecs list-container-instances",
                path.display()
            );
        }
        None => {
            println!("access key id:     {}", control_plane.operator.access_key_id);
            println!("secret access key: {}", control_plane.operator.secret.reveal());
            eprintln!(
                "\nready. In another shell:\n  aws --endpoint-url {} ecs list-container-instances",
                control_plane.endpoint
            );
        }
    }
}
