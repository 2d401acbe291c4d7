//! How an agent is configured: the official agent's variables and file, and a few of our own.
//!
//! Precedence: environment, then the file (`/etc/ecs/ecs.config`, `KEY=VALUE` lines), then defaults. A value
//! that cannot be read never stops the agent: the default is taken and a [`Note`] says so (agent-protocol
//! G19). What does stop it is what it cannot run without: see [`ConfigError`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use longshore_base::{Cidr, FARGATE_POOL, Port, Region};
use longshore_client::Endpoint;
use longshore_engine::settings::{Settings, parse_go_duration};
use longshore_sigv4::{Credentials, Secret};

use crate::awslogs::StandIn;

/// Where the file is when nobody says otherwise.
pub const FILE_DEFAULT: &str = "/etc/ecs/ecs.config";

/// What the agent does about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Read here or by the engine's settings.
    Honoured,
    /// A key of the official agent without effect here.
    Ignored,
}

/// Every key that is not reported as unknown. The first group is agent-protocol G19, the last is ours.
const KEYS: &[(&str, Effect)] = &[
    ("ECS_CLUSTER", Effect::Honoured),
    ("ECS_BACKEND_HOST", Effect::Honoured),
    ("ECS_EXTERNAL", Effect::Honoured),
    ("ECS_INSTANCE_ATTRIBUTES", Effect::Honoured),
    ("ECS_CONTAINER_INSTANCE_TAGS", Effect::Honoured),
    ("ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM", Effect::Ignored),
    ("ECS_INSTANCE_IP_COMPATIBILITY", Effect::Ignored),
    ("ECS_DETAILED_OS_FAMILY", Effect::Honoured),
    ("ECS_DATADIR", Effect::Honoured),
    ("ECS_CHECKPOINT", Effect::Honoured),
    ("ECS_HOST_DATA_DIR", Effect::Ignored),
    ("ECS_LOGLEVEL", Effect::Honoured),
    ("ECS_LOGLEVEL_ON_INSTANCE", Effect::Ignored),
    ("ECS_LOGFILE", Effect::Ignored),
    ("ECS_LOG_DRIVER", Effect::Ignored),
    ("ECS_LOG_ROLLOVER_TYPE", Effect::Ignored),
    ("ECS_LOG_OUTPUT_FORMAT", Effect::Ignored),
    ("ECS_LOG_MAX_FILE_SIZE_MB", Effect::Ignored),
    ("ECS_LOG_MAX_ROLL_COUNT", Effect::Ignored),
    ("ECS_AUDIT_LOGFILE", Effect::Ignored),
    ("ECS_AUDIT_LOGFILE_DISABLED", Effect::Ignored),
    ("ECS_ENABLE_RUNTIME_STATS", Effect::Ignored),
    ("ECS_ENABLE_PROMETHEUS_METRICS", Effect::Ignored),
    ("ECS_RESERVED_PORTS", Effect::Honoured),
    ("ECS_RESERVED_PORTS_UDP", Effect::Honoured),
    ("ECS_RESERVED_MEMORY", Effect::Honoured),
    ("ECS_DYNAMIC_HOST_PORT_RANGE", Effect::Honoured),
    ("ECS_EXCLUDE_IPV6_PORTBINDING", Effect::Ignored),
    ("ECS_ENABLE_TASK_CPU_MEM_LIMIT", Effect::Honoured),
    ("ECS_CGROUP_PATH", Effect::Honoured),
    ("ECS_CGROUP_CPU_PERIOD", Effect::Honoured),
    ("ECS_TASK_PIDS_LIMIT", Effect::Honoured),
    ("ECS_PROPAGATE_TASK_MEMORY_LIMIT_CGROUPV2", Effect::Ignored),
    ("ECS_ENABLE_GPU_SUPPORT", Effect::Ignored),
    ("ECS_NVIDIA_RUNTIME", Effect::Ignored),
    ("ECS_ENABLE_INF_SUPPORT", Effect::Ignored),
    ("ECS_AVAILABLE_LOGGING_DRIVERS", Effect::Honoured),
    ("ECS_DISABLE_PRIVILEGED", Effect::Honoured),
    ("ECS_SELINUX_CAPABLE", Effect::Honoured),
    ("ECS_APPARMOR_CAPABLE", Effect::Honoured),
    ("ECS_ENABLE_TASK_IAM_ROLE", Effect::Honoured),
    ("ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST", Effect::Honoured),
    ("ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE", Effect::Ignored),
    ("ECS_ENABLE_TASK_ENI", Effect::Honoured),
    ("ECS_ENABLE_HIGH_DENSITY_ENI", Effect::Ignored),
    ("ECS_CNI_PLUGINS_PATH", Effect::Ignored),
    ("ECS_AWSVPC_BLOCK_IMDS", Effect::Ignored),
    ("ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES", Effect::Ignored),
    ("ECS_ENABLE_CONTAINER_METADATA", Effect::Ignored),
    ("ECS_TASK_METADATA_RPS_LIMIT", Effect::Ignored),
    ("ECS_DISABLE_TASK_METADATA_AZ", Effect::Ignored),
    ("ECS_DISABLE_METRICS", Effect::Honoured),
    ("ECS_POLL_METRICS", Effect::Ignored),
    ("ECS_POLLING_METRICS_WAIT_DURATION", Effect::Honoured),
    ("ECS_DISABLE_DOCKER_HEALTH_CHECK", Effect::Honoured),
    ("ECS_ENABLE_SPOT_INSTANCE_DRAINING", Effect::Ignored),
    ("ECS_WARM_POOLS_CHECK", Effect::Ignored),
    ("ECS_VOLUME_PLUGIN_CAPABILITIES", Effect::Ignored),
    ("ECS_SHARED_VOLUME_MATCH_FULL_CONFIG", Effect::Ignored),
    ("ECS_EBSTA_SUPPORTED", Effect::Ignored),
    ("ECS_GMSA_SUPPORTED", Effect::Ignored),
    ("ECS_ENABLE_FIRELENS_ASYNC", Effect::Ignored),
    ("ECS_PAUSE_LABELS", Effect::Ignored),
    ("ECS_UPDATES_ENABLED", Effect::Ignored),
    ("ECS_UPDATE_DOWNLOAD_DIR", Effect::Ignored),
    ("ECS_IMAGE_PULL_BEHAVIOR", Effect::Honoured),
    ("ECS_IMAGE_PULL_TIMEOUT", Effect::Honoured),
    ("ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", Effect::Honoured),
    ("ECS_MANIFEST_PULL_TIMEOUT", Effect::Honoured),
    ("ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT", Effect::Honoured),
    ("ECS_ENGINE_AUTH_TYPE", Effect::Honoured),
    ("ECS_ENGINE_AUTH_DATA", Effect::Honoured),
    ("ECS_CONTAINER_CREATE_TIMEOUT", Effect::Honoured),
    ("ECS_CONTAINER_START_TIMEOUT", Effect::Honoured),
    ("ECS_CONTAINER_STOP_TIMEOUT", Effect::Honoured),
    ("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", Effect::Honoured),
    ("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER", Effect::Honoured),
    ("ECS_DISABLE_IMAGE_CLEANUP", Effect::Honoured),
    ("ECS_IMAGE_CLEANUP_INTERVAL", Effect::Honoured),
    ("ECS_IMAGE_MINIMUM_CLEANUP_AGE", Effect::Honoured),
    ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", Effect::Honoured),
    ("NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE", Effect::Honoured),
    ("NONECS_NUM_CONTAINERS_DELETE_PER_CYCLE", Effect::Ignored),
    ("ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP", Effect::Honoured),
    ("ECS_EXCLUDE_UNTRACKED_IMAGE", Effect::Honoured),
    ("ECS_AGENT_CONFIG_FILE_PATH", Effect::Ignored),
    ("ECS_ALTERNATE_CREDENTIAL_PROFILE", Effect::Ignored),
    ("ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS", Effect::Honoured),
    ("AWS_DEFAULT_REGION", Effect::Honoured),
    ("AWS_REGION", Effect::Honoured),
    ("AWS_ACCESS_KEY_ID", Effect::Honoured),
    ("AWS_SECRET_ACCESS_KEY", Effect::Honoured),
    ("AWS_SESSION_TOKEN", Effect::Honoured),
    ("DOCKER_HOST", Effect::Honoured),
    ("LONGSHORE_AGENT_NAME", Effect::Honoured),
    ("LONGSHORE_AVAILABILITY_ZONE", Effect::Honoured),
    ("LONGSHORE_AGENT_CPU", Effect::Honoured),
    ("LONGSHORE_AGENT_MEMORY", Effect::Honoured),
    ("LONGSHORE_INTROSPECTION_PORT", Effect::Honoured),
    ("LONGSHORE_METADATA_PORT", Effect::Honoured),
    ("LONGSHORE_METADATA_ENDPOINT", Effect::Honoured),
    ("LONGSHORE_BIND_ADDRESS", Effect::Honoured),
    ("LONGSHORE_POOL", Effect::Honoured),
    ("LONGSHORE_TASK_NETWORK", Effect::Honoured),
    ("LONGSHORE_AWSLOGS_DRIVER", Effect::Honoured),
    ("LONGSHORE_DISK_HIGH_WATER", Effect::Honoured),
    ("LONGSHORE_DISK_LOW_WATER", Effect::Honoured),
];

/// Prefixes of keys that are meant for us, so that a misspelt one deserves a warning.
const PREFIXES: [&str; 2] = ["ECS_", "LONGSHORE_AGENT_"];

/// Something that the log should say about the configuration. Never contains a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    #[error("{key}: unknown key")]
    Unknown { key: String },
    #[error("{key}: this agent does not implement it; it has no effect")]
    Ignored { key: String },
    #[error("{key}: cannot read the value; using the default")]
    Unreadable { key: &'static str },
    #[error("{key}: out of range; using {used:?}")]
    OutOfRange { key: &'static str, used: Duration },
    #[error("line {line} of the file is not KEY=VALUE")]
    Line { line: usize },
    #[error("{0}")]
    Engine(longshore_engine::settings::SettingNote),
}

/// What the agent cannot run without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed to talk to the control plane; the file `env` in its data \
         directory has a pair"
    )]
    NoCredentials,
    #[error("AWS_DEFAULT_REGION is not the name of a region, such as us-east-1")]
    Region,
    #[error("ECS_BACKEND_HOST is not an address of a server; write http://HOST:PORT or https://HOST:PORT")]
    Endpoint,
    #[error("an agent joins a cluster or the Fargate pool: remove ECS_CLUSTER, or LONGSHORE_POOL and --pool")]
    ClusterAndPool,
}

/// Logins for registries (`ECS_ENGINE_AUTH_TYPE`, `ECS_ENGINE_AUTH_DATA`), as written.
#[derive(Clone)]
pub struct EngineAuth {
    /// `docker` or `dockercfg`.
    pub kind: String,
    /// JSON with passwords.
    pub data: Secret,
}

impl std::fmt::Debug for EngineAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineAuth").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A network that several agents have together, each a part of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedNetwork {
    /// The directory, or what else tells people whose it is; the network's name is made from it.
    pub owner: String,
    /// Which of `agents` this one is, from 0.
    pub index: u32,
    pub agents: u32,
}

/// Everything that is decided before the agent starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None`: the cluster `default`, made if it is missing.
    pub cluster: Option<String>,
    /// `http://host:port` or `https://...`, without a slash at the end.
    pub endpoint: String,
    pub region: Region,
    pub credentials: Credentials,
    /// The instance says that it is not an EC2 one (`ECS_EXTERNAL`).
    pub external: bool,
    /// Our own: a name for people, in logs.
    pub name: String,
    /// Our own: becomes the attribute `ecs.availability-zone`.
    pub zone: Option<String>,
    /// Sent with the first registration only.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub detailed_os_family: String,
    /// `None`: no state is kept, and every start is a new instance.
    pub data_dir: Option<PathBuf>,
    pub log_level: String,
    pub reserved_tcp: Vec<Port>,
    pub reserved_udp: Vec<Port>,
    pub reserved_memory_mib: u32,
    /// `None`: the kernel's range.
    pub dynamic_ports: Option<(Port, Port)>,
    /// Our own: CPU units and MiB to offer instead of the machine's, for several agents on one machine.
    pub cpu: Option<u32>,
    pub memory_mib: Option<u32>,
    /// `ECS_ENABLE_TASK_CPU_MEM_LIMIT`; `None` if not set: with cgroups if they can surely be had.
    pub task_limits: Option<bool>,
    pub cgroup_path: PathBuf,
    pub log_drivers: Vec<String>,
    /// Our own: the engine's driver that keeps what containers with `awslogs` write. `None`: `awslogs` is the engine's
    /// affair, as for the official agent.
    pub awslogs: Option<StandIn>,
    pub privileged: bool,
    pub selinux: bool,
    pub apparmor: bool,
    pub task_role: bool,
    pub task_role_host_network: bool,
    /// `ECS_ENABLE_TASK_ENI`: take tasks in awsvpc mode, and make a network for them.
    pub task_eni: bool,
    /// Our own: the subnet of that network; `None`: the runtime chooses one.
    pub task_subnet: Option<Cidr>,
    /// Our own, set by whoever runs several agents in one process: they share a network.
    pub shared_network: Option<SharedNetwork>,
    /// Our own, set by the same: serve task metadata at the gateway of the agent's network too, on this port or else
    /// any, and tell containers that address.
    pub gateway_port: Option<u16>,
    /// Our own, set by the same: an instance that was deregistered meanwhile joins again as a new one, instead of
    /// ending the agent.
    pub joins_anew: bool,
    pub health_checks: bool,
    pub metrics: bool,
    pub metrics_interval: Duration,
    /// `None`: off. Several agents on one machine need different ones.
    pub introspection: Option<SocketAddr>,
    /// Credentials and task metadata for containers. `None`: off.
    pub metadata: Option<SocketAddr>,
    pub engine_auth: Option<EngineAuth>,
    pub docker_host: String,
    /// The engine's part.
    pub engine: Settings,
}

/// Ports of introspection and metadata (agent-protocol G2).
const INTROSPECTION_PORT: u16 = 51678;
const METADATA_PORT: u16 = 51679;

/// 10 s, 5 to 20 (agent-protocol G19).
const METRICS_INTERVAL: Duration = Duration::from_secs(10);

impl Config {
    /// Reads the variables of `environment` and the lines of `file`.
    pub fn read(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&str>,
    ) -> Result<(Self, Vec<Note>), ConfigError> {
        let mut notes = Vec::new();
        let mut values = file.map(|text| parse_file(text, &mut notes)).unwrap_or_default();
        values.extend(environment.into_iter().filter(|(_, value)| !value.trim().is_empty()));
        notes.extend(values.keys().filter_map(|key| key_note(key)));

        let (mut engine, engine_notes) = Settings::read(|key| values.get(key).cloned());
        notes.extend(engine_notes.into_iter().map(Note::Engine));
        let mut reader = Reader { values: &values, notes };

        let region = reader.get("AWS_DEFAULT_REGION").or_else(|| reader.get("AWS_REGION"));
        let region = region.unwrap_or("us-east-1");
        let region = Region::parse(region).ok_or(ConfigError::Region)?;
        engine.region = region.as_str().to_owned();
        let key = reader.get("AWS_ACCESS_KEY_ID").ok_or(ConfigError::NoCredentials)?;
        let secret = reader.get("AWS_SECRET_ACCESS_KEY").ok_or(ConfigError::NoCredentials)?;
        let mut credentials = Credentials::new(key, secret);
        credentials.session_token = reader.get("AWS_SESSION_TOKEN").map(Secret::new);
        let metadata = reader.port("LONGSHORE_METADATA_PORT", METADATA_PORT, Ipv4Addr::LOCALHOST);
        match reader.get("LONGSHORE_METADATA_ENDPOINT") {
            Some(endpoint) => engine.metadata_endpoint = Some(endpoint.trim_end_matches('/').to_owned()),
            // What nobody serves is not told to containers.
            None if metadata.is_none() => engine.metadata_endpoint = None,
            None => {}
        }
        engine.bind_address =
            reader.parsed("LONGSHORE_BIND_ADDRESS", None, |text| text.parse().ok().map(Some));

        let data_dir = reader.get("ECS_DATADIR").map(PathBuf::from);
        let data_dir = match reader.flag("ECS_CHECKPOINT", data_dir.is_some()) {
            true => Some(data_dir.unwrap_or_else(|| "/data/".into())),
            false => None,
        };
        let offhost = reader.flag("ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS", false);
        let host = if offhost { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let cluster = reader.get("ECS_CLUSTER").map(str::to_owned);
        let pool = reader.flag("LONGSHORE_POOL", cluster.as_deref() == Some(FARGATE_POOL));
        let cluster = match (pool, cluster) {
            (true, Some(cluster)) if cluster != FARGATE_POOL => return Err(ConfigError::ClusterAndPool),
            (true, _) => Some(FARGATE_POOL.to_owned()),
            (false, cluster) => cluster,
        };
        let config = Self {
            cluster,
            endpoint: endpoint(reader.get("ECS_BACKEND_HOST").unwrap_or("http://127.0.0.1:8722"))?,
            region,
            credentials,
            external: reader.flag("ECS_EXTERNAL", false),
            name: reader.get("LONGSHORE_AGENT_NAME").unwrap_or("agent").to_owned(),
            zone: reader.get("LONGSHORE_AVAILABILITY_ZONE").map(str::to_owned),
            attributes: reader.map("ECS_INSTANCE_ATTRIBUTES"),
            tags: reader.map("ECS_CONTAINER_INSTANCE_TAGS"),
            detailed_os_family: reader.get("ECS_DETAILED_OS_FAMILY").unwrap_or("LINUX").to_owned(),
            data_dir,
            log_level: reader.get("ECS_LOGLEVEL").unwrap_or("info").to_owned(),
            reserved_tcp: reader.ports("ECS_RESERVED_PORTS", &[22, 2375, 2376, 51678, 51679]),
            reserved_udp: reader.ports("ECS_RESERVED_PORTS_UDP", &[]),
            reserved_memory_mib: reader.parsed("ECS_RESERVED_MEMORY", 0, |text| text.parse().ok()),
            dynamic_ports: reader
                .parsed("ECS_DYNAMIC_HOST_PORT_RANGE", None, |text| port_range(text).map(Some)),
            cpu: reader.parsed("LONGSHORE_AGENT_CPU", None, |text| positive(text).map(Some)),
            memory_mib: reader.parsed("LONGSHORE_AGENT_MEMORY", None, |text| positive(text).map(Some)),
            task_limits: reader.parsed("ECS_ENABLE_TASK_CPU_MEM_LIMIT", None, |text| go_bool(text).map(Some)),
            cgroup_path: reader.get("ECS_CGROUP_PATH").unwrap_or("/sys/fs/cgroup").into(),
            // What Fargate takes is none of the usual two. Engines that have no splunk are not said to have it.
            log_drivers: reader.list(
                "ECS_AVAILABLE_LOGGING_DRIVERS",
                if pool { &["json-file", "none", "splunk"] } else { &["json-file", "none"] },
            ),
            awslogs: reader.parsed("LONGSHORE_AWSLOGS_DRIVER", None, |text| match text {
                "off" => Some(None),
                text => StandIn::parse(text).map(Some),
            }),
            privileged: !reader.flag("ECS_DISABLE_PRIVILEGED", false),
            selinux: reader.flag("ECS_SELINUX_CAPABLE", false),
            apparmor: reader.flag("ECS_APPARMOR_CAPABLE", false),
            task_role: reader.flag("ECS_ENABLE_TASK_IAM_ROLE", false),
            task_role_host_network: reader.flag("ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST", false),
            // Every task on Fargate has an interface of its own.
            task_eni: reader.flag("ECS_ENABLE_TASK_ENI", pool),
            task_subnet: reader.parsed("LONGSHORE_TASK_NETWORK", None, |text| text.parse().ok().map(Some)),
            shared_network: None,
            gateway_port: None,
            joins_anew: false,
            health_checks: !reader.flag("ECS_DISABLE_DOCKER_HEALTH_CHECK", false),
            metrics: !reader.flag("ECS_DISABLE_METRICS", false),
            metrics_interval: reader.metrics_interval(),
            introspection: reader.port("LONGSHORE_INTROSPECTION_PORT", INTROSPECTION_PORT, host),
            metadata,
            engine_auth: match (reader.get("ECS_ENGINE_AUTH_TYPE"), reader.get("ECS_ENGINE_AUTH_DATA")) {
                (Some(kind), Some(data)) => {
                    Some(EngineAuth { kind: kind.to_owned(), data: Secret::new(data) })
                }
                (_, None) | (None, Some(_)) => None,
            },
            docker_host: reader.get("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock").to_owned(),
            engine,
        };
        Ok((config, reader.notes))
    }

    /// The cluster as agents name it in their requests.
    pub fn cluster_name(&self) -> &str {
        self.cluster.as_deref().unwrap_or("default")
    }

    /// What a task's metadata call its launch type, given what its payload says. Payloads for the pool say EC2, because
    /// agents let tasks that say FARGATE pass their resource queue (agent-protocol G10).
    pub fn launch_type_shown<'a>(&self, said: &'a str) -> &'a str {
        if self.cluster.as_deref() == Some(FARGATE_POOL) { "FARGATE" } else { said }
    }
}

fn key_note(key: &str) -> Option<Note> {
    match KEYS.iter().find(|(known, _)| *known == key) {
        Some((_, Effect::Honoured)) => None,
        Some((_, Effect::Ignored)) => Some(Note::Ignored { key: key.to_owned() }),
        None if PREFIXES.iter().any(|prefix| key.starts_with(prefix)) => {
            Some(Note::Unknown { key: key.to_owned() })
        }
        None => None,
    }
}

/// `KEY=VALUE` lines; empty ones and those that begin with `#` are skipped. Quotes are part of the
/// value, as with Docker's environment files, for which this file was made.
fn parse_file(text: &str, notes: &mut Vec<Note>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let value = value.trim();
                if !value.is_empty() {
                    values.insert(key.trim().to_owned(), value.to_owned());
                }
            }
            _ => notes.push(Note::Line { line: at + 1 }),
        }
    }
    values
}

/// Adds `https://` to a value without scheme, as the official agent does (agent-protocol G2).
fn endpoint(text: &str) -> Result<String, ConfigError> {
    let text = text.trim_end_matches('/');
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    match Endpoint::parse(&text) {
        Ok(_) if text.starts_with("http") => Ok(text),
        Ok(_) | Err(_) => Err(ConfigError::Endpoint),
    }
}

/// A truth value as Go reads it.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn positive(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

/// `32768-60999`, both included.
fn port_range(text: &str) -> Option<(Port, Port)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first <= last).then_some((Port(first), Port(last)))
}

struct Reader<'a> {
    values: &'a BTreeMap<String, String>,
    notes: Vec<Note>,
}

impl<'a> Reader<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        debug_assert!(KEYS.iter().any(|(known, _)| *known == key), "{key} is missing in KEYS");
        self.values.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn parsed<T>(&mut self, key: &'static str, default: T, parse: impl FnOnce(&str) -> Option<T>) -> T {
        let Some(value) = self.get(key) else { return default };
        parse(value).unwrap_or_else(|| {
            self.notes.push(Note::Unreadable { key });
            default
        })
    }

    fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.parsed(key, default, go_bool)
    }

    /// A JSON object of texts.
    fn map(&mut self, key: &'static str) -> BTreeMap<String, String> {
        self.parsed(key, BTreeMap::new(), |text| serde_json::from_str(text).ok())
    }

    /// A JSON list of texts.
    fn list(&mut self, key: &'static str, default: &[&str]) -> Vec<String> {
        let default = default.iter().map(|item| (*item).to_owned()).collect();
        self.parsed(key, default, |text| serde_json::from_str(text).ok())
    }

    /// A JSON list of numbers.
    fn ports(&mut self, key: &'static str, default: &[u16]) -> Vec<Port> {
        let numbers = self.parsed(key, default.to_vec(), |text| serde_json::from_str(text).ok());
        numbers.into_iter().filter(|number| *number > 0).map(Port).collect()
    }

    /// A port to listen on; `0` and `off` turn it off.
    fn port(&mut self, key: &'static str, default: u16, host: Ipv4Addr) -> Option<SocketAddr> {
        let port = self.parsed(key, default, |text| if text == "off" { Some(0) } else { text.parse().ok() });
        (port > 0).then(|| SocketAddr::new(IpAddr::V4(host), port))
    }

    fn metrics_interval(&mut self) -> Duration {
        let key = "ECS_POLLING_METRICS_WAIT_DURATION";
        let asked = self.parsed(key, METRICS_INTERVAL, parse_go_duration);
        let used = asked.clamp(Duration::from_secs(5), Duration::from_secs(20));
        if used != asked {
            self.notes.push(Note::OutOfRange { key, used });
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hidden")];

    fn read(environment: &[(&str, &str)], file: &str) -> (Config, Vec<Note>) {
        let environment =
            KEY.iter().chain(environment).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::read(environment, Some(file)).expect("it can run")
    }

    #[test]
    fn nothing_but_credentials_gives_defaults() {
        let (config, notes) = read(&[], "");
        assert_eq!(notes, []);
        assert_eq!(config.cluster, None);
        assert_eq!(config.cluster_name(), "default");
        assert_eq!(config.endpoint, "http://127.0.0.1:8722");
        assert_eq!(config.data_dir, None, "no checkpoint without a data directory");
        assert_eq!(config.log_drivers, ["json-file", "none"]);
        assert_eq!(config.reserved_tcp, [22, 2375, 2376, 51678, 51679].map(Port));
        assert_eq!(config.introspection, Some("127.0.0.1:51678".parse().expect("an address")));
        assert!(config.privileged && config.metrics && config.health_checks);
    }

    #[test]
    fn an_agent_joins_the_pool_or_a_cluster() {
        for pool in [("LONGSHORE_POOL", "true"), ("ECS_CLUSTER", ".fargate")] {
            let (config, notes) = read(&[pool], "");
            assert_eq!((config.cluster_name(), notes), (".fargate", Vec::new()));
            assert!(config.task_eni, "every task of Fargate is in awsvpc mode");
            assert_eq!(config.launch_type_shown("EC2"), "FARGATE");
            assert_eq!(
                config.log_drivers,
                ["json-file", "none", "splunk"],
                "what definitions for Fargate may name"
            );
        }
        let both = [KEY[0], KEY[1], ("LONGSHORE_POOL", "true"), ("ECS_CLUSTER", "web")];
        let both = both.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert!(matches!(Config::read(both, None), Err(ConfigError::ClusterAndPool)));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "# a comment\n\nECS_CLUSTER=from-file\nECS_RESERVED_MEMORY = 128 \nnonsense\n";
        let (config, notes) = read(&[("ECS_CLUSTER", "from-env")], file);
        assert_eq!(config.cluster.as_deref(), Some("from-env"));
        assert_eq!(config.reserved_memory_mib, 128);
        assert_eq!(notes, [Note::Line { line: 5 }]);
        assert_eq!(read(&[("ECS_CLUSTER", " ")], file).0.cluster.as_deref(), Some("from-file"));
    }

    #[test]
    fn values_are_read_as_the_official_agent_reads_them() {
        let file = "ECS_AVAILABLE_LOGGING_DRIVERS=[\"json-file\",\"awslogs\"]\n\
            ECS_INSTANCE_ATTRIBUTES={\"stack\":\"a\"}\n\
            ECS_RESERVED_PORTS=[1,2]\n\
            ECS_DYNAMIC_HOST_PORT_RANGE=40000-40999\n\
            ECS_CONTAINER_STOP_TIMEOUT=2m\n\
            ECS_ENABLE_TASK_CPU_MEM_LIMIT=false\n\
            ECS_DATADIR=/var/lib/x\n\
            ECS_BACKEND_HOST=example.test:8722/\n\
            LONGSHORE_INTROSPECTION_PORT=off\n\
            LONGSHORE_METADATA_PORT=0\n\
            ECS_POLLING_METRICS_WAIT_DURATION=1s\n";
        let (config, notes) = read(&[], file);
        assert_eq!(config.log_drivers, ["json-file", "awslogs"]);
        assert_eq!(config.attributes["stack"], "a");
        assert_eq!(config.reserved_tcp, [Port(1), Port(2)]);
        assert_eq!(config.dynamic_ports, Some((Port(40000), Port(40999))));
        assert_eq!(config.engine.stop_timeout, Duration::from_secs(120));
        assert_eq!(config.task_limits, Some(false));
        assert_eq!(config.data_dir, Some("/var/lib/x".into()));
        assert_eq!(config.endpoint, "https://example.test:8722");
        assert_eq!((config.introspection, config.metadata), (None, None));
        assert_eq!(config.engine.metadata_endpoint, None, "nobody serves it");
        assert_eq!(config.metrics_interval, Duration::from_secs(5));
        let expected =
            Note::OutOfRange { key: "ECS_POLLING_METRICS_WAIT_DURATION", used: Duration::from_secs(5) };
        assert_eq!(notes, [expected]);
    }

    #[test]
    fn awslogs_is_taken_over_if_asked_for() {
        let read = |value| {
            let (config, notes) = read(&[("LONGSHORE_AWSLOGS_DRIVER", value)], "");
            (config.awslogs, notes)
        };
        assert_eq!(read("json-file"), (Some(StandIn::JsonFile), Vec::new()));
        assert_eq!(read("local"), (Some(StandIn::Local), Vec::new()));
        assert_eq!(read("off"), (None, Vec::new()));
        assert_eq!(read(""), (None, Vec::new()));
        // It would lose what containers write, or keep it without a bound.
        for other in ["none", "awslogs", "journald"] {
            assert_eq!(read(other), (None, vec![Note::Unreadable { key: "LONGSHORE_AWSLOGS_DRIVER" }]));
        }
    }

    #[test]
    fn containers_are_told_what_is_served() {
        let told = |pairs: &[(&str, &str)]| read(pairs, "").0.engine.metadata_endpoint;
        assert_eq!(told(&[]).as_deref(), Some("http://169.254.170.2"));
        let off = ("LONGSHORE_METADATA_PORT", "0");
        assert_eq!(told(&[off]), None);
        let elsewhere = ("LONGSHORE_METADATA_ENDPOINT", "http://10.0.0.1:80/");
        assert_eq!(told(&[off, elsewhere]).as_deref(), Some("http://10.0.0.1:80"));
    }

    #[test]
    fn bad_values_and_unknown_keys_are_noted_and_survived() {
        let (config, notes) = read(
            &[("ECS_RESERVED_MEMORY", "much"), ("ECS_CLUSTR", "x"), ("PATH", "/bin"), ("ECS_LOGFILE", "/x")],
            "ECS_CONTAINER_STOP_TIMEOUT=1ms\n",
        );
        assert_eq!(config.reserved_memory_mib, 0);
        let texts: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "ECS_CLUSTR: unknown key",
                "ECS_LOGFILE: this agent does not implement it; it has no effect",
                "ECS_CONTAINER_STOP_TIMEOUT: below the minimum; using 1s",
                "ECS_RESERVED_MEMORY: cannot read the value; using the default",
            ]
        );
    }

    #[test]
    fn what_it_cannot_run_without() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Config::read(pairs, None).map(|_| ())
        };
        assert_eq!(read(&[]), Err(ConfigError::NoCredentials));
        assert_eq!(read(&[KEY[0], KEY[1], ("AWS_DEFAULT_REGION", "No Region")]), Err(ConfigError::Region));
        for wrong in ["ftp://x", "ws://x", "http://x:99999", "http://x:y", "x:y", "http://a@x"] {
            assert_eq!(
                read(&[KEY[0], KEY[1], ("ECS_BACKEND_HOST", wrong)]),
                Err(ConfigError::Endpoint),
                "{wrong}"
            );
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let auth = r#"{"r":{"password":"hidden"}}"#;
        let (config, _) = read(&[("ECS_ENGINE_AUTH_TYPE", "docker"), ("ECS_ENGINE_AUTH_DATA", auth)], "");
        assert!(!format!("{config:?}").contains("hidden"));
    }

    /// Values that some key gives a meaning, beside texts that no key does.
    fn value() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "1",
            "0",
            "-1",
            "true",
            "off",
            "1h",
            "9999999999999999999h",
            "1e400s",
            "[1,70000]",
            "[0,1]",
            "{\"a\":1}",
            "{\"a\":\"b\"}",
            "[[[[",
            "1-0",
            "40000-40999",
            "0-65536",
            "://",
            "https://",
            "ftp://x",
            "[::1",
            "10.0.0.0/33",
            "10.0.0.0/8",
            "101",
            "us-east-1",
            ".fargate",
            "4294967296",
        ]);
        prop_oneof![known.prop_map(str::to_owned), "\\PC{0,40}"]
    }

    fn key() -> impl Strategy<Value = String> {
        let known = prop::sample::select(KEYS).prop_map(|(key, _)| key.to_owned());
        prop_oneof![8 => known, 1 => "ECS_[A-Z]{0,5}", 1 => "\\PC{0,10}"]
    }

    proptest! {
        /// Whatever a file and an environment say, it is read or refused in words; the environment wins; the notes
        /// stay in proportion; and no secret is in what is said of it.
        #[test]
        fn any_configuration_is_read_or_refused(
            lines in prop::collection::vec((key(), value()), 0..12),
            junk in "\\PC{0,60}",
            variables in prop::collection::btree_map(key(), value(), 0..12),
        ) {
            const SECRET: &str = "correct-horse-battery";
            let mut file: Vec<String> = lines.iter().map(|(key, value)| format!("{key}={value}")).collect();
            file.push(junk);
            let own = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("ECS_ENGINE_AUTH_DATA", SECRET)];
            let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let environment = variables.clone().into_iter().chain(own);
            match Config::read(environment, Some(&file.join("\n"))) {
                Ok((config, notes)) => {
                    prop_assert!(notes.len() <= 3 * (lines.len() + variables.len() + 4), "{notes:?}");
                    let said = format!("{config:?} {notes:?}");
                    prop_assert!(!said.contains(SECRET));
                    let asked = variables.get("ECS_CLUSTER").map(|name| name.trim()).filter(|name| !name.is_empty());
                    prop_assert!(asked.is_none_or(|asked| config.cluster_name() == asked));
                    prop_assert!((5..=20).contains(&config.metrics_interval.as_secs()));
                    prop_assert!(config.reserved_tcp.iter().all(|port| port.0 > 0));
                    prop_assert!(config.dynamic_ports.is_none_or(|(first, last)| first.0 > 0 && first <= last));
                    prop_assert!(config.introspection.is_none_or(|address| address.port() > 0));
                    prop_assert!(config.endpoint.starts_with("http") && !config.endpoint.ends_with('/'));
                }
                Err(refused) => prop_assert!(!refused.to_string().contains(SECRET)),
            }
        }
    }
}
