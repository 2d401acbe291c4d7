//! The command line. Every flag has a twin in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use longshore_front::Origin;
use longshore_telemetry::LogFormat;

use crate::advertise::Url;

/// The port of every API.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8722";

/// Amazon ECS that anyone can run: one binary, on a laptop or on your own servers.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    /// What to log: a level, or target=level pairs
    #[arg(long, global = true, env = "LONGSHORE_LOG", default_value = "warn")]
    pub log: String,
    /// How log lines look: text or json
    #[arg(long, global = true, env = "LONGSHORE_LOG_FORMAT", default_value_t)]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: a control plane, and agents on the local container engine
    Up(UpOptions),
    /// Run a control plane
    Server(ServerOptions),
    /// Run a container instance; configured by ECS_* variables and /etc/ecs/ecs.config
    Agent(AgentOptions),
    /// Show clusters, instances, services and deployments on one screen
    Status(StatusOptions),
    /// Print where the tasks of a service answer: one address:port per line
    Endpoints(EndpointsOptions),
    /// Look for damage and contradictions in a data directory that no server uses
    Check(CheckOptions),
    /// Say why a task stopped, what a service waits for, and which requirement rules out how many instances
    Explain(ExplainOptions),
    /// Join scripted container instances to a control plane and run tasks on them, to see what it carries
    Simulate(SimulateOptions),
}

/// What a control plane needs to know, alone or within `up`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ControlPlaneOptions {
    /// Address and port of every API; port 0 takes a free one
    #[arg(long, env = "LONGSHORE_LISTEN", default_value = LISTEN_DEFAULT)]
    pub listen: SocketAddr,
    /// Where the state is kept
    #[arg(long, env = "LONGSHORE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Keep the state in memory only, and forget it at the end
    #[arg(long, env = "LONGSHORE_EPHEMERAL")]
    pub ephemeral: bool,
    /// Which access keys are served [default: open on loopback, strict elsewhere]
    #[arg(long, env = "LONGSHORE_AUTH")]
    pub auth: Option<AuthMode>,
    /// A JSON file with further access keys
    #[arg(long, env = "LONGSHORE_KEYS")]
    pub keys: Option<PathBuf>,
    /// The region of the agents that `up` starts, and of the printed commands
    #[arg(long, env = "LONGSHORE_REGION", default_value = "us-east-1")]
    pub region: String,
    /// The URL at which agents and clients reach this server, if it is not the listening address
    #[arg(long, env = "LONGSHORE_ADVERTISE", value_name = "URL", value_parser = Url::parse)]
    pub advertise: Option<Url>,
    /// The URL at which agents open their sockets, if it is another than that of the API
    #[arg(long, env = "LONGSHORE_ADVERTISE_SOCKETS", value_name = "URL", value_parser = Url::parse)]
    pub advertise_sockets: Option<Url>,
    /// Answer to this host name in open mode too (*.NAME: all names below it; *: every name, which lets web pages in)
    #[arg(long, env = "LONGSHORE_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Let the web pages of this origin call the APIs, for front ends under development
    #[arg(long, env = "LONGSHORE_CORS_ORIGIN", value_name = "URL", value_delimiter = ',', value_parser = origin)]
    pub cors_origin: Vec<Origin>,
    /// PEM certificate chain; without one, TLS off loopback uses a self-signed certificate
    #[arg(long, env = "LONGSHORE_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM key of the certificate
    #[arg(long, env = "LONGSHORE_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP off loopback too, for networks that are trusted or encrypted already
    #[arg(long, env = "LONGSHORE_PLAIN_HTTP")]
    pub plain_http: bool,
    /// Seconds that a task without health checks must run to count as healthy
    #[arg(long, env = "LONGSHORE_SETTLE_SECS")]
    pub settle_secs: Option<f64>,
    /// Seconds after which the tasks of an instance whose agent is away are replaced; 0: never
    #[arg(long, env = "LONGSHORE_INSTANCE_LOST_SECS", default_value_t = 300)]
    pub instance_lost_secs: u64,
    /// Seconds for which stopped tasks are remembered
    #[arg(long, env = "LONGSHORE_STOPPED_RETENTION_SECS", default_value_t = 3600)]
    pub stopped_retention_secs: u64,
    /// Let clients switch back to the short ARNs of before 2018
    #[arg(long, env = "LONGSHORE_ALLOW_SHORT_ARNS")]
    pub allow_short_arns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Any access key; signatures are verified where the secret is known
    Open,
    /// Only known access keys with valid signatures
    Strict,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct ServerOptions {
    #[command(flatten)]
    pub control_plane: ControlPlaneOptions,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct UpOptions {
    #[command(flatten)]
    pub control_plane: ControlPlaneOptions,
    /// How many container instances to run; they share this machine's capacity and engine
    #[arg(long, env = "LONGSHORE_INSTANCES", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub instances: u8,
    /// Over how many availability zones the instances are spread
    #[arg(long, env = "LONGSHORE_ZONES", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=26))]
    pub zones: u8,
    /// How many agents to run for Fargate tasks; they share this machine with the instances
    #[arg(long, env = "LONGSHORE_FARGATE", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=64))]
    pub fargate: u8,
    /// The cluster that the instances join; it is made if it is missing
    #[arg(long, env = "LONGSHORE_CLUSTER", default_value = "default")]
    pub cluster: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct AgentOptions {
    /// The file with KEY=VALUE lines; the environment wins over it
    #[arg(long, env = "LONGSHORE_ECS_CONFIG", default_value = longshore_node::config::FILE_DEFAULT)]
    pub config: PathBuf,
    /// Serve Fargate tasks of every account and cluster instead of joining a cluster
    #[arg(long, env = "LONGSHORE_POOL")]
    pub pool: bool,
}

/// Which control plane a verb asks.
#[derive(Clone, Debug, ClapArgs)]
pub struct ClientOptions {
    /// The control plane's URL [default: that of the data directory]
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub endpoint: Option<String>,
    /// Whose `env` file to read; it wins over the shell's variables
    #[arg(long, env = "LONGSHORE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct EndpointsOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// The service
    pub service: String,
    /// The service's cluster
    #[arg(long, default_value = "default")]
    pub cluster: String,
    /// Only ports of this container
    #[arg(long)]
    pub container: Option<String>,
    /// Go on, and print a line with all of them whenever they change
    #[arg(long)]
    pub watch: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct CheckOptions {
    /// Where the state is kept
    #[arg(long, env = "LONGSHORE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct ExplainOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// What to explain
    pub kind: Explained,
    /// A task's id or ARN, a service's name or ARN, or a definition: family, family:revision or ARN
    pub subject: String,
    /// The cluster
    #[arg(long, default_value = "default")]
    pub cluster: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Explained {
    Task,
    Service,
    TaskDefinition,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct StatusOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// Show only this cluster
    #[arg(long)]
    pub cluster: Option<String>,
}

/// A load of scripted instances and tasks.
#[derive(Clone, Debug, ClapArgs)]
pub struct SimulateOptions {
    /// How many container instances join
    #[arg(long, env = "LONGSHORE_SIMULATE_INSTANCES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub instances: u32,
    /// How many tasks are launched on them, of equal shares of an instance
    #[arg(long, env = "LONGSHORE_SIMULATE_TASKS", default_value_t = 1_000)]
    pub tasks: u32,
    /// The URL of a running control plane, asked with the credentials in the environment [default: a server of its own]
    #[arg(long, env = "LONGSHORE_SIMULATE_AGAINST", value_name = "URL")]
    pub against: Option<String>,
    /// The cluster that the instances join; it must not exist yet, and is removed at the end
    #[arg(long, env = "LONGSHORE_SIMULATE_CLUSTER", default_value = "simulated")]
    pub cluster: String,
    /// Over how many availability zones the instances are spread
    #[arg(long, env = "LONGSHORE_SIMULATE_ZONES", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=26))]
    pub zones: u8,
    /// How many clients launch tasks at the same time
    #[arg(long, env = "LONGSHORE_SIMULATE_CLIENTS", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub clients: u16,
    /// Seconds to go on once all tasks are RUNNING
    #[arg(long, env = "LONGSHORE_SIMULATE_HOLD_SECS", default_value_t = 0)]
    pub hold_secs: u64,
}

fn origin(url: &str) -> Result<Origin, String> {
    Origin::of_url(url).ok_or_else(|| "write it as http://HOST:PORT or https://HOST".to_owned())
}

/// Where state is kept when nobody says: below the user's data directory.
pub fn default_data_dir() -> PathBuf {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib")).join("longshore")
}
