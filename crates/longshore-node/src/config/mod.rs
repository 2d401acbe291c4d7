//! How an agent is configured: the official agent's variables and file, and a few of our own.
//!
//! Precedence: environment, then the file (`/etc/ecs/ecs.config`, `KEY=VALUE` lines), then defaults. A value
//! that cannot be read never stops the agent: the default is taken and a [`Note`] says so (agent-protocol
//! G19). What does stop it is what it cannot run without: see [`ConfigError`].

mod keys;
mod reader;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use longshore_base::{Cidr, FARGATE_POOL, Port, Region};
use longshore_engine::settings::Settings;
use longshore_sigv4::{Credentials, Secret};

use crate::awslogs::StandIn;

use keys::key_note;
pub use reader::endpoint;
use reader::{Reader, go_bool, parse_file, port_range, positive};

/// Where the file is when nobody says otherwise.
pub const FILE_DEFAULT: &str = "/etc/ecs/ecs.config";

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
    /// `LONGSHORE_CONTAINER_ENDPOINT_URL=off`: containers are not told where the API is.
    pub hides_api: bool,
    /// Our own, set by whoever has joined with a token: the ARN of the instance that the credentials are bound to.
    pub instance_arn: Option<String>,
    /// Our own, set by whoever runs several agents in one process: an instance that was deregistered meanwhile joins again as a new one, instead of
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

/// The environment wins over the file; what is set to nothing is not set.
fn merged(
    environment: impl IntoIterator<Item = (String, String)>,
    file: Option<&str>,
    notes: &mut Vec<Note>,
) -> BTreeMap<String, String> {
    let mut values = file.map(|text| parse_file(text, notes)).unwrap_or_default();
    values.extend(environment.into_iter().filter(|(_, value)| !value.trim().is_empty()));
    values
}

impl Config {
    /// The variables as they are set, for whoever has to know some of them before all can be read.
    pub fn values(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&str>,
    ) -> BTreeMap<String, String> {
        merged(environment, file, &mut Vec::new())
    }

    /// Reads the variables of `environment` and the lines of `file`.
    pub fn read(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&str>,
    ) -> Result<(Self, Vec<Note>), ConfigError> {
        let mut notes = Vec::new();
        let values = merged(environment, file, &mut notes);
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
        let told = reader.get("LONGSHORE_CONTAINER_ENDPOINT_URL").filter(|text| !text.is_empty());
        let hides_api = told == Some("off");
        engine.api_endpoint = told.filter(|_| !hides_api).map(|url| url.trim_end_matches('/').to_owned());
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
            task_role: reader.flag("ECS_ENABLE_TASK_IAM_ROLE", true),
            task_role_host_network: reader.flag("ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST", true),
            // Every task on Fargate has an interface of its own.
            task_eni: reader.flag("ECS_ENABLE_TASK_ENI", pool),
            task_subnet: reader.parsed("LONGSHORE_TASK_NETWORK", None, |text| text.parse().ok().map(Some)),
            shared_network: None,
            gateway_port: None,
            hides_api,
            instance_arn: None,
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
        if self.is_pool() { "FARGATE" } else { said }
    }

    /// Whether the agent belongs to the Fargate pool.
    pub fn is_pool(&self) -> bool {
        self.cluster.as_deref() == Some(FARGATE_POOL)
    }
}

#[cfg(test)]
mod tests;
