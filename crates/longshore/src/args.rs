//! The command line. Every flag has a twin in the environment.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use longshore_base::AccountId;
use longshore_front::Origin;
use longshore_telemetry::LogFormat;

use crate::advertise::Url;
use crate::values;

/// The port of every API.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8722";

/// Amazon ECS that anyone can run: one binary, on a laptop or on your own servers.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    /// What to log: a level, or target=level pairs
    #[arg(long, global = true, env = "LONGSHORE_LOG", default_value = "warn", value_parser = values::log_filter)]
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
    /// Exchange a join token for the key of a container instance, and print the variables of the official agent; again,
    /// without a token: renew the key
    Join(JoinOptions),
    /// Make, list and revoke the tokens with which machines join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show clusters, instances, services and deployments on one screen
    Status(StatusOptions),
    /// Print where the tasks of a service answer: one address:port per line
    Endpoints(EndpointsOptions),
    /// Look for damage and contradictions in a data directory that no server uses
    Check(CheckOptions),
    /// Say why a task stopped, what a service waits for, which requirement rules out how many instances, what an instance
    /// leaves behind, which policy lets somebody do something
    Explain(ExplainOptions),
    /// Show the accounts there are, and what is in one
    Account(AccountOptions),
    /// Make, show and delete users
    User(UserOptions),
    /// Make and change access keys, the operator's too; replace the keys that seal secrets in the store
    Key(KeyOptions),
    /// Show, check, attach and detach policies
    Policy(PolicyOptions),
    /// Join scripted container instances to a control plane and run tasks on them, to see what it carries
    Simulate(SimulateOptions),
}

/// What a control plane needs to know, alone or within `up`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ControlPlaneOptions {
    /// Address or name, and port, of every API; port 0 takes a free one
    #[arg(long, env = "LONGSHORE_LISTEN", default_value = LISTEN_DEFAULT, value_parser = values::listen)]
    pub listen: SocketAddr,
    /// Where the state is kept
    #[arg(long, env = "LONGSHORE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Keep the state in memory only, and forget it at the end
    #[arg(long, env = "LONGSHORE_EPHEMERAL", value_parser = values::switch)]
    pub ephemeral: bool,
    /// Which access keys are served [default: open on loopback, strict elsewhere]
    #[arg(long, env = "LONGSHORE_AUTH")]
    pub auth: Option<AuthMode>,
    /// A JSON file with further access keys
    #[arg(long, env = "LONGSHORE_KEYS")]
    pub keys: Option<PathBuf>,
    /// What follows from a call that IAM's policies do not allow
    #[arg(long, env = "LONGSHORE_IAM", default_value = "enforce")]
    pub iam: IamMode,
    /// The file with the root key, which opens the secrets in the store [default: root.key in the data directory]
    #[arg(long, env = "LONGSHORE_ROOT_KEY", value_name = "FILE")]
    pub root_key: Option<PathBuf>,

    /// Keys of OpenID Connect providers, for machines that cannot fetch them: a JSON object of key sets by issuer
    #[arg(long, value_name = "FILE", env = "LONGSHORE_OIDC_KEYS")]
    pub oidc_keys: Option<PathBuf>,
    /// The region of the agents that `up` starts, and of the printed commands
    #[arg(long, env = "LONGSHORE_REGION", default_value = "us-east-1", value_parser = values::region)]
    pub region: String,
    /// The URL at which agents and clients reach this server, if it is not the listening address
    #[arg(long, env = "LONGSHORE_ADVERTISE", value_name = "URL", value_parser = Url::root)]
    pub advertise: Option<Url>,
    /// The URL at which agents open their sockets, if it is another than that of the API
    #[arg(long, env = "LONGSHORE_ADVERTISE_SOCKETS", value_name = "URL", value_parser = Url::parse)]
    pub advertise_sockets: Option<Url>,
    /// Answer to this host name in open mode too (*.NAME: all names below it; *: every name, which lets web pages in)
    #[arg(long, env = "LONGSHORE_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Let the web pages of this origin call the APIs, for front ends under development
    #[arg(long, env = "LONGSHORE_CORS_ORIGIN", value_name = "URL", value_delimiter = ',', value_parser = values::origin)]
    pub cors_origin: Vec<Origin>,
    /// PEM certificate chain; without one, TLS off loopback uses a self-signed certificate
    #[arg(long, env = "LONGSHORE_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM key of the certificate
    #[arg(long, env = "LONGSHORE_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP off loopback too, for networks that are trusted or encrypted already
    #[arg(long, env = "LONGSHORE_PLAIN_HTTP", value_parser = values::switch)]
    pub plain_http: bool,
    /// Seconds that a task without health checks must run to count as healthy
    #[arg(long, env = "LONGSHORE_SETTLE_SECS", value_parser = values::seconds)]
    pub settle_secs: Option<f64>,
    /// Seconds after which the tasks of an instance whose agent is away are replaced; 0: never
    #[arg(long, env = "LONGSHORE_INSTANCE_LOST_SECS", default_value_t = 300)]
    pub instance_lost_secs: u64,
    /// Seconds for which stopped tasks are remembered
    #[arg(long, env = "LONGSHORE_STOPPED_RETENTION_SECS", default_value_t = 3600)]
    pub stopped_retention_secs: u64,
    /// Let clients switch back to the short ARNs of before 2018
    #[arg(long, env = "LONGSHORE_ALLOW_SHORT_ARNS", value_parser = values::switch)]
    pub allow_short_arns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Any access key; signatures are verified where the secret is known
    Open,
    /// Only known access keys with valid signatures
    Strict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IamMode {
    /// It is refused
    Enforce,
    /// It is logged and counted, and goes on
    Report,
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
    /// Where the published ports of tasks are opened, 0.0.0.0 for everybody [default: 127.0.0.1, or with several
    /// instances 127.0.0.11, 127.0.0.12, ...]
    #[arg(long, env = "LONGSHORE_BIND_TASKS", value_name = "ADDR", value_parser = values::address)]
    pub bind_tasks: Option<IpAddr>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct AgentOptions {
    /// The file with KEY=VALUE lines; the environment wins over it
    #[arg(long, env = "LONGSHORE_ECS_CONFIG", default_value = longshore_node::config::FILE_DEFAULT)]
    pub config: PathBuf,
    /// Serve Fargate tasks of every account and cluster instead of joining a cluster
    #[arg(long, env = "LONGSHORE_POOL", value_parser = values::switch)]
    pub pool: bool,
    /// Join with this token, which `longshore token create` prints; not needed any more once it has
    #[arg(long, env = "LONGSHORE_JOIN", hide_env_values = true, value_name = "TOKEN")]
    pub join: Option<String>,
    /// The same with the token in a file
    #[arg(long, env = "LONGSHORE_JOIN_FILE", value_name = "FILE", conflicts_with = "join")]
    pub join_file: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct JoinOptions {
    /// The token, as `longshore token create` prints it; on a command line other users of the machine may see it
    #[arg(long, env = "LONGSHORE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// A file with the token
    #[arg(long, env = "LONGSHORE_TOKEN_FILE", value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Where the key is kept
    #[arg(long, env = "LONGSHORE_DIR", default_value = crate::join::DIR_DEFAULT)]
    pub dir: PathBuf,
    /// The control plane's URL, if it is not the token's
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL", value_parser = Url::endpoint)]
    pub endpoint: Option<String>,
}

/// What is done with join tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it: this once
    Create(TokenCreateOptions),
    /// Show the tokens there are, without their secrets
    List(TokenListOptions),
    /// End a token; who has joined with it stays
    Revoke(TokenRevokeOptions),
}

/// Where the tokens are.
#[derive(Clone, Debug, ClapArgs)]
pub struct TokenPlace {
    #[command(flatten)]
    pub control: ControlOptions,
    /// Of a data directory that no server uses: the region of the tokens
    #[arg(long, env = "LONGSHORE_REGION", default_value = "us-east-1", value_parser = values::region)]
    pub region: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct TokenCreateOptions {
    #[command(flatten)]
    pub place: TokenPlace,
    /// The cluster that machines join with it
    #[arg(long, env = "LONGSHORE_CLUSTER", default_value = "default")]
    pub cluster: String,
    /// For the Fargate pool instead of a cluster
    #[arg(long, env = "LONGSHORE_POOL", value_parser = values::switch)]
    pub pool: bool,
    /// How long it can be used: a number and s, m, h or d
    #[arg(long, env = "LONGSHORE_TTL", default_value = "1h", value_name = "TIME", value_parser = values::span)]
    pub ttl: Duration,
    /// How many machines may join with it
    #[arg(long, env = "LONGSHORE_USES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub uses: u32,
    /// Attributes of the instances that join with it, as NAME=VALUE
    #[arg(long, env = "LONGSHORE_ATTRIBUTES", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = values::pair)]
    pub attributes: Vec<(String, String)>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct TokenListOptions {
    #[command(flatten)]
    pub place: TokenPlace,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct TokenRevokeOptions {
    #[command(flatten)]
    pub place: TokenPlace,
    /// The token's id, as `longshore token list` shows it
    pub id: String,
}

/// Which control plane a verb asks.
#[derive(Clone, Debug, ClapArgs)]
pub struct ClientOptions {
    /// The control plane's URL [default: that of the data directory]
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    pub endpoint: Option<String>,
    /// Whose `env` file to read; it wins over the shell's variables
    #[arg(long, env = "LONGSHORE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// PEM file with the certificates to trust [default: the data directory's own and the system's]
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The endpoint was given as a flag, which wins over a data directory.
    #[arg(skip)]
    pub endpoint_is_flag: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct EndpointsOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// The service
    pub service: String,
    /// The service's cluster
    #[arg(long, env = "LONGSHORE_CLUSTER", default_value = "default")]
    pub cluster: String,
    /// Only ports of this container
    #[arg(long, env = "LONGSHORE_CONTAINER")]
    pub container: Option<String>,
    /// Go on, and print a line with all of them whenever they change
    #[arg(long, env = "LONGSHORE_WATCH", value_parser = values::switch)]
    pub watch: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct CheckOptions {
    /// Where the state is kept
    #[arg(long, env = "LONGSHORE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The file with the root key [default: root.key in the data directory]
    #[arg(long, env = "LONGSHORE_ROOT_KEY", value_name = "FILE")]
    pub root_key: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct ExplainOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// What to explain
    pub kind: Explained,
    /// A task's or an instance's id (six or more digits of it will do) or ARN, a service's name or ARN, or a definition:
    /// family, family:revision or ARN. Of access there is none
    pub subject: Option<String>,
    /// The cluster
    #[arg(long, env = "LONGSHORE_CLUSTER", default_value = "default")]
    pub cluster: String,
    /// Whose access: the ARN of a user, a role, a role's session or an account's root
    #[arg(long = "as", env = "LONGSHORE_AS", value_name = "ARN")]
    pub as_whom: Option<String>,
    /// Access to do what: an action such as ecs:RunTask
    #[arg(long, env = "LONGSHORE_ACTION", value_name = "ACTION")]
    pub action: Option<String>,
    /// Access to what: an ARN [default: *, for actions without a resource]
    #[arg(long, env = "LONGSHORE_RESOURCE", value_name = "ARN")]
    pub resource: Option<String>,
    /// What a condition of a policy may ask about, such as aws:SourceIp=192.0.2.7; again for more, also of one key
    #[arg(long, env = "LONGSHORE_CONTEXT", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = values::pair)]
    pub context: Vec<(String, String)>,
    /// The account, where access is explained on a data directory that no server uses
    #[arg(long, env = "LONGSHORE_ACCOUNT", value_name = "DIGITS", value_parser = values::account)]
    pub account: Option<AccountId>,
    /// The file with the root key of that directory [default: root.key in it]
    #[arg(long, env = "LONGSHORE_ROOT_KEY", value_name = "FILE")]
    pub root_key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Explained {
    Task,
    Service,
    TaskDefinition,
    #[value(alias = "instance")]
    ContainerInstance,
    Access,
}

/// A server, or a data directory that none uses.
#[derive(Clone, Debug, ClapArgs)]
pub struct ControlOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// The account [default: that of the access key; of a data directory the operator's]
    #[arg(long, env = "LONGSHORE_ACCOUNT", value_name = "DIGITS", value_parser = values::account)]
    pub account: Option<AccountId>,
    /// The file with the root key of a data directory [default: root.key in it]
    #[arg(long, env = "LONGSHORE_ROOT_KEY", value_name = "FILE")]
    pub root_key: Option<PathBuf>,
}

/// How lists and things are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// How a new key is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyFormat {
    /// Lines for a shell's `source`
    Env,
    /// An object
    Json,
    /// A profile for ~/.aws/credentials
    Credentials,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct AccountOptions {
    #[command(subcommand)]
    pub command: AccountCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum AccountCommand {
    /// List the accounts that have records; for the operator. An account is there from its first request on
    List(ListOptions),
    /// Show how much is in an account
    Show(ListOptions),
}

#[derive(Clone, Debug, ClapArgs)]
pub struct ListOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// How it is shown
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "table")]
    pub format: Format,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct UserOptions {
    #[command(subcommand)]
    pub command: UserCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user, and print its ARN
    Create(UserCreateOptions),
    /// List the users
    List(ListOptions),
    /// Show a user with its policies, groups and keys
    Show(UserShowOptions),
    /// Delete a user
    Delete(UserDeleteOptions),
}

#[derive(Clone, Debug, ClapArgs)]
pub struct UserCreateOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// The user's name
    pub name: String,
    /// A managed policy to attach, by its name or ARN; again for more
    #[arg(long, env = "LONGSHORE_POLICY", value_name = "POLICY", value_delimiter = ',')]
    pub policy: Vec<String>,
    /// The user's path, such as /team/ [default: /]
    #[arg(long, env = "LONGSHORE_PATH", value_name = "PATH")]
    pub path: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct UserShowOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// The user's name
    pub name: String,
    /// How it is shown
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "table")]
    pub format: Format,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct UserDeleteOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// The user's name
    pub name: String,
    /// Take its keys, policies, groups and password away first
    #[arg(long, env = "LONGSHORE_FORCE", value_parser = values::switch)]
    pub force: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct KeyOptions {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Make an access key, and print it
    Create(KeyCreateOptions),
    /// List the access keys of the account
    List(KeyListOptions),
    /// Delete an access key
    Delete(KeyNamedOptions),
    /// Switch an access key off
    Deactivate(KeyNamedOptions),
    /// Switch an access key on again
    Activate(KeyNamedOptions),
    /// Print the id of the operator's key, or make a new one; for whoever has the data directory
    Operator(OperatorOptions),
    /// Seal secrets in the store under a new data key, or put the data keys under a new root key
    Rotate(RotateOptions),
}

#[derive(Clone, Debug, ClapArgs)]
pub struct KeyCreateOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// Whose key: a user, who is made if there is none of this name [default: the caller's own]
    #[arg(long, env = "LONGSHORE_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// A managed policy to attach to the user, by its name or ARN; again for more
    #[arg(long, env = "LONGSHORE_POLICY", value_name = "POLICY", value_delimiter = ',')]
    pub policy: Vec<String>,
    /// How the key is printed
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "env")]
    pub format: KeyFormat,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct KeyListOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// Only the keys of this user
    #[arg(long, env = "LONGSHORE_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// How it is shown
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "table")]
    pub format: Format,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct KeyNamedOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// The access key's id
    pub id: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct OperatorOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// Make a new key in the place of the old one
    #[arg(long, env = "LONGSHORE_RENEW", value_parser = values::switch)]
    pub renew: bool,
    /// How the new key is printed
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "env")]
    pub format: KeyFormat,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct RotateOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// A new root key, under which the data keys are put; no server may run
    #[arg(long, env = "LONGSHORE_ROOT", value_parser = values::switch)]
    pub root: bool,
    /// The file of the new root key, where that of the old one is not the data directory's; made if it is not there
    #[arg(long, env = "LONGSHORE_NEW_ROOT_KEY", value_name = "FILE")]
    pub new_root_key: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct PolicyOptions {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// List managed policies
    List(PolicyListOptions),
    /// Print the document of a managed policy
    Show(PolicyShowOptions),
    /// Say what is wrong with a policy document, and where
    Check(PolicyCheckOptions),
    /// Attach a managed policy to a user, a role or a group
    Attach(HolderOptions),
    /// Detach a managed policy
    Detach(HolderOptions),
}

/// Whose managed policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyScope {
    All,
    /// Those of AWS, which are in every account
    Aws,
    /// The account's own
    Own,
}

impl PolicyScope {
    /// As IAM calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Aws => "AWS",
            Self::Own => "Local",
        }
    }
}

#[derive(Clone, Debug, ClapArgs)]
pub struct PolicyListOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// Whose
    #[arg(long, env = "LONGSHORE_SCOPE", default_value = "all")]
    pub scope: PolicyScope,
    /// How it is shown
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "table")]
    pub format: Format,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct PolicyShowOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// The policy's name or ARN
    pub policy: String,
    /// table: the document as it was written; json: with what is known of it
    #[arg(long, env = "LONGSHORE_FORMAT", default_value = "table")]
    pub format: Format,
}

/// What a policy document belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DocumentKind {
    /// A user, a group or a role
    Identity,
    /// A role: who may assume it
    Trust,
    /// A secret or a key
    Resource,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct PolicyCheckOptions {
    /// The file with the document; - is stdin
    pub file: PathBuf,
    /// What the document is for
    #[arg(long, env = "LONGSHORE_KIND", default_value = "identity")]
    pub kind: DocumentKind,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct HolderOptions {
    #[command(flatten)]
    pub control: ControlOptions,
    /// The policy's name or ARN
    pub policy: String,
    /// A user of this name
    #[arg(long, env = "LONGSHORE_USER", value_name = "NAME", conflicts_with_all = ["role", "group"])]
    pub user: Option<String>,
    /// A role of this name
    #[arg(long, env = "LONGSHORE_ROLE", value_name = "NAME", conflicts_with = "group")]
    pub role: Option<String>,
    /// A group of this name
    #[arg(long, env = "LONGSHORE_GROUP", value_name = "NAME")]
    pub group: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct StatusOptions {
    #[command(flatten)]
    pub client: ClientOptions,
    /// Show only this cluster
    #[arg(long, env = "LONGSHORE_CLUSTER")]
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
    #[arg(long, env = "LONGSHORE_SIMULATE_AGAINST", value_name = "URL", value_parser = Url::endpoint)]
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

impl Args {
    /// What the command line and the environment say.
    pub fn read() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        let mut args = Self::from_arg_matches(&matches)?;
        if let Some(client) = args.command.client_mut() {
            client.endpoint_is_flag =
                innermost(&matches).value_source("endpoint") == Some(ValueSource::CommandLine);
        }
        Ok(args)
    }
}

/// The matches of the verb, or of its own verb where it has some.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

impl Command {
    fn client_mut(&mut self) -> Option<&mut ClientOptions> {
        match self {
            Self::Status(options) => Some(&mut options.client),
            Self::Endpoints(options) => Some(&mut options.client),
            Self::Explain(options) => Some(&mut options.client),
            Self::Account(options) => Some(options.command.client_mut()),
            Self::User(options) => Some(options.command.client_mut()),
            Self::Key(options) => Some(options.command.client_mut()),
            Self::Policy(options) => options.command.client_mut(),
            Self::Token(TokenCommand::Create(options)) => Some(&mut options.place.control.client),
            Self::Token(TokenCommand::List(options)) => Some(&mut options.place.control.client),
            Self::Token(TokenCommand::Revoke(options)) => Some(&mut options.place.control.client),
            Self::Up(_)
            | Self::Server(_)
            | Self::Agent(_)
            | Self::Join(_)
            | Self::Check(_)
            | Self::Simulate(_) => None,
        }
    }
}

impl AccountCommand {
    fn client_mut(&mut self) -> &mut ClientOptions {
        match self {
            Self::List(options) | Self::Show(options) => &mut options.control.client,
        }
    }
}

impl UserCommand {
    fn client_mut(&mut self) -> &mut ClientOptions {
        match self {
            Self::Create(options) => &mut options.control.client,
            Self::List(options) => &mut options.control.client,
            Self::Show(options) => &mut options.control.client,
            Self::Delete(options) => &mut options.control.client,
        }
    }
}

impl KeyCommand {
    fn client_mut(&mut self) -> &mut ClientOptions {
        match self {
            Self::Create(options) => &mut options.control.client,
            Self::List(options) => &mut options.control.client,
            Self::Delete(options) | Self::Deactivate(options) | Self::Activate(options) => {
                &mut options.control.client
            }
            Self::Operator(options) => &mut options.control.client,
            Self::Rotate(options) => &mut options.control.client,
        }
    }
}

impl PolicyCommand {
    fn client_mut(&mut self) -> Option<&mut ClientOptions> {
        match self {
            Self::List(options) => Some(&mut options.control.client),
            Self::Show(options) => Some(&mut options.control.client),
            Self::Attach(options) | Self::Detach(options) => Some(&mut options.control.client),
            Self::Check(_) => None,
        }
    }
}

/// The grammar. A variable that is set to nothing counts as not set, as in every other program that reads them.
fn command() -> clap::Command {
    fn without_empty(command: clap::Command) -> clap::Command {
        let is_empty = |arg: &clap::Arg| {
            arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
        };
        command
            .mut_args(|arg| {
                if is_empty(&arg) {
                    arg.env(clap::builder::Resettable::<clap::builder::OsStr>::Reset)
                } else {
                    arg
                }
            })
            .mut_subcommands(without_empty)
    }
    without_empty(Args::command())
}

/// Where state is kept when nobody says: below the user's data directory.
pub fn default_data_dir() -> PathBuf {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib")).join("longshore")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const OPERATING: &str = include_str!("../../../docs/operating.md");

    /// Every flag with the verb that has it; `longshore` for those of all verbs.
    fn flags() -> Vec<(String, clap::Arg)> {
        fn of(command: &clap::Command) -> Vec<(String, clap::Arg)> {
            let own = command.get_arguments().filter(|arg| arg.get_long().is_some());
            let own = own.map(|arg| (command.get_name().to_owned(), arg.clone()));
            own.chain(command.get_subcommands().flat_map(of)).collect()
        }
        of(&Args::command())
    }

    /// The variables of those who came before us have their names from there.
    fn twin(verb: &str, flag: &str) -> String {
        let name = flag.replace('-', "_").to_uppercase();
        match (verb, flag) {
            (_, "endpoint") => "AWS_ENDPOINT_URL".into(),
            (_, "ca") => "AWS_CA_BUNDLE".into(),
            ("agent", "config") => "LONGSHORE_ECS_CONFIG".into(),
            ("simulate", _) => format!("LONGSHORE_SIMULATE_{name}"),
            _ => format!("LONGSHORE_{name}"),
        }
    }

    #[test]
    fn every_flag_has_its_twin_in_the_environment_and_both_are_documented() {
        for (verb, arg) in flags() {
            let flag = arg.get_long().expect("only flags are listed");
            let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(variable, Some(twin(&verb, flag)), "longshore {verb} --{flag}");
            // `simulate` has a rule in place of a table.
            let documented = [
                format!("`--{flag}"),
                if verb == "simulate" { "LONGSHORE_SIMULATE_".into() } else { twin(&verb, flag) },
            ];
            for words in documented {
                assert!(
                    OPERATING.contains(&words),
                    "docs/operating.md does not know {words} of longshore {verb}"
                );
            }
        }
    }

    #[test]
    fn the_documents_know_no_other_flags() {
        let known: BTreeSet<String> =
            flags().iter().filter_map(|(_, arg)| Some(format!("--{}", arg.get_long()?))).collect();
        for row in OPERATING.lines().filter(|line| line.starts_with("| `--")) {
            let cell = row.split('|').nth(1).unwrap_or_default();
            for word in cell.split(['`', ' ', ',']).filter(|word| word.starts_with("--")) {
                assert!(known.contains(word), "{row}");
            }
        }
    }

    #[test]
    fn the_grammar_is_sound() {
        Args::command().debug_assert();
    }
}
