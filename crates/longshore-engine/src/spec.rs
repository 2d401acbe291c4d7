//! What a task is made of: as the control plane assigns it ([`TaskSpec`]) and as the runtime is
//! asked to create it ([`ContainerSpec`], [`VolumeCreate`]).
//!
//! `TaskSpec` is the payload of agent-protocol G7 after parsing. It derives serde because the
//! journal stores it. Values that may reveal a secret print redacted.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{ContainerName, CpuUnits, MemoryMib, Port, Protocol};
use serde::{Deserialize, Serialize};

use crate::network::TaskInterface;

/// A task on this node: its ARN, exactly as the control plane wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskKey(Arc<str>);

impl TaskKey {
    pub fn new(arn: &str) -> Self {
        Self(arn.into())
    }

    /// The whole ARN.
    pub fn arn(&self) -> &str {
        &self.0
    }

    /// The last part of the ARN, which names the task's cgroup and its journal records.
    pub fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container of a task. It names the same container for the whole life of the task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    pub task: TaskKey,
    pub name: ContainerName,
}

/// The runtime's own id of a container (64 hex digits on Docker).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuntimeId(Arc<str>);

impl RuntimeId {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id under which the node serves a role's credentials. It is the only secret of the
/// credentials URL, so it never prints; the journal keeps it because running containers have it
/// in their environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialsId(Arc<str>);

impl CredentialsId {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// For the credentials store and the container's environment only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CredentialsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsId(..)")
    }
}

/// A text that must never be printed or stored: a resolved secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Text that users wrote and that may hold passwords: environment values, log options, the two
/// texts of `dockerConfig`. The journal stores it, `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub String);

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({} bytes)", self.0.len())
    }
}

/// Environment variables. `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What the control plane wants of a task. It only ever goes from `Running` to `Stopped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Desired {
    Running,
    Stopped,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    #[default]
    Bridge,
    Host,
    None,
    Awsvpc,
}

impl NetworkMode {
    pub fn as_str(self) -> &'static str {
        match self {
            NetworkMode::Bridge => "bridge",
            NetworkMode::Host => "host",
            NetworkMode::None => "none",
            NetworkMode::Awsvpc => "awsvpc",
        }
    }
}

/// `pidMode` and `ipcMode` of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// Each container its own, the engine's default.
    #[default]
    Private,
    /// That of the host.
    Host,
    /// One shared by the containers of the task.
    Task,
    /// `ipcMode: none`: no shared memory at all.
    None,
}

/// One task as assigned (agent-protocol G7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub key: TaskKey,
    /// `taskClusterArn`, echoed in stop verification; empty if it was absent.
    pub cluster_arn: String,
    pub family: String,
    /// `version` of the payload: the revision as text.
    pub revision: String,
    pub desired: Desired,
    pub containers: Vec<ContainerDefinition>,
    #[serde(default)]
    pub volumes: Vec<VolumeDefinition>,
    /// Task limit in thousandths of a vCPU (the payload's `cpu: 0.5` is 500).
    pub cpu_millis: Option<u32>,
    pub memory: Option<MemoryMib>,
    #[serde(default)]
    pub network_mode: NetworkMode,
    /// In awsvpc mode: where the task is in the node's network.
    #[serde(default)]
    pub interface: Option<TaskInterface>,
    #[serde(default)]
    pub pid_mode: NamespaceMode,
    #[serde(default)]
    pub ipc_mode: NamespaceMode,
    /// As written: `EC2`, `EXTERNAL`, `FARGATE`, ...
    pub launch_type: String,
    pub service_name: Option<String>,
    pub group: Option<String>,
    /// Id of the task role's credentials; the credentials themselves stay in the node's memory.
    pub task_credentials: Option<CredentialsId>,
    pub execution_credentials: Option<CredentialsId>,
    #[serde(default)]
    pub enable_fault_injection: bool,
}

impl TaskSpec {
    /// The task's cluster, in labels and metadata. That is `own`, the agent's, except on a Fargate pool, whose
    /// tasks come from the clusters that they name themselves.
    pub fn cluster_name<'a>(&'a self, own: &'a str) -> &'a str {
        let named = self.cluster_arn.rsplit('/').next().filter(|name| !name.is_empty());
        if own == longshore_base::FARGATE_POOL { named.unwrap_or(own) } else { own }
    }
}

/// One container as assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerDefinition {
    pub name: ContainerName,
    #[serde(default)]
    pub role: ContainerRole,
    pub image: String,
    pub essential: bool,
    /// 0 if absent.
    pub cpu: CpuUnits,
    /// Hard limit; `None` for absent or 0.
    pub memory: Option<MemoryMib>,
    /// `MemoryReservation` as found in the `hostConfig` text, rounded up to MiB: it is what the
    /// host's accounting counts if present (G10).
    pub memory_reservation: Option<MemoryMib>,
    /// `None`: the image's own. The command already has the container's override applied.
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub environment: Environment,
    #[serde(default)]
    pub environment_files: Vec<EnvironmentFile>,
    #[serde(default)]
    pub secrets: Vec<SecretReference>,
    #[serde(default)]
    pub ports: Vec<PortMapping>,
    /// `name` or `name:alias`.
    #[serde(default)]
    pub links: Vec<String>,
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    #[serde(default)]
    pub volumes_from: Vec<VolumesFrom>,
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// How long others wait for this container to meet their condition, since its own start.
    pub start_timeout: Option<Duration>,
    pub stop_timeout: Option<Duration>,
    pub restart_policy: Option<RestartPolicy>,
    #[serde(default)]
    pub health: HealthTracking,
    #[serde(default)]
    pub registry_auth: RegistryAuth,
    /// `containerArn`, for the metadata endpoint.
    pub arn: Option<String>,
    /// The `config` and `hostConfig` texts of `dockerConfig`: JSON that the Docker backend decodes
    /// over what the engine made. Never read here.
    pub docker_config: Option<Opaque>,
    pub docker_host_config: Option<Opaque>,
}

/// Whose container it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerRole {
    /// The task definition's.
    #[default]
    Ordinary,
    /// The engine's own, which holds the network of the task ([`crate::network`]). It is in no report and no view.
    Pause,
}

/// What the payload says about the container's health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthTracking {
    /// `healthCheckType` absent: health stays unknown.
    #[default]
    Off,
    /// `healthCheckType: docker`, and the `config` text holds a `Healthcheck`.
    On,
    /// `healthCheckType: docker` without a `Healthcheck`: the container cannot be created.
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    Start,
    Complete,
    Success,
    Healthy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub on: ContainerName,
    pub condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    pub enabled: bool,
    pub ignored_exit_codes: Vec<i32>,
    /// The container must have run this long before it is started again.
    pub attempt_period: Duration,
}

/// An asked-for port. One port is a range of length one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub container_first: Port,
    /// Number of consecutive ports, at least 1.
    pub count: u16,
    /// `None`: the engine chooses; always `None` for ranges.
    pub host: Option<Port>,
    pub protocol: Protocol,
    /// True if the definition asked by `containerPortRange`, so that it is reported as a range.
    pub range: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    pub volume: String,
    pub container_path: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    pub container: ContainerName,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentFile {
    /// ARN of an S3 object.
    pub value: String,
    pub kind: String,
}

/// Where a secret comes from; its value never enters the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    pub name: String,
    pub value_from: String,
    /// `ssm` or `asm`.
    pub provider: String,
    pub region: String,
    pub target: SecretTarget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretTarget {
    Environment,
    LogDriver,
}

/// How to authenticate a pull (agent-protocol G13). The shell turns it into credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistryAuth {
    /// What the node is configured with, if anything.
    #[default]
    Node,
    Ecr {
        registry_id: String,
        region: String,
        endpoint_override: String,
        use_execution_role: bool,
    },
    Asm {
        parameter: String,
        region: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDefinition {
    pub name: String,
    pub source: VolumeSource,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// A directory of the host.
    HostPath(String),
    /// A host volume without a path: a local volume that lives as long as the task.
    Anonymous,
    Docker(DockerVolume),
    Efs(EfsVolume),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerVolume {
    /// `scope: shared`; otherwise the volume belongs to the task.
    pub shared: bool,
    pub autoprovision: bool,
    /// `local` if the payload has none.
    pub driver: String,
    pub driver_options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EfsVolume {
    pub file_system_id: String,
    /// `/` if the payload has none.
    pub root_directory: String,
    pub transit_encryption: bool,
    pub transit_encryption_port: Option<u16>,
    pub access_point_id: Option<String>,
    pub iam: bool,
}

/// A volume of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VolumeKey {
    pub task: TaskKey,
    /// The name within the task definition.
    pub name: String,
}

/// What the runtime is asked to make sure of about a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeCreate {
    /// The runtime's name for it.
    pub name: String,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub mode: VolumeMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeMode {
    /// Create it; one of the same name and driver that exists already will do (creating is idempotent).
    Create,
    /// A volume of that name must exist already: fail with `NotFound` otherwise.
    MustExist,
}

/// Which network a container is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkPlace {
    /// What the network mode says.
    #[default]
    ByMode,
    /// A place of its own in a network of the node, as the interface says.
    Own { network: String, interface: TaskInterface },
    /// The name space of that container, with all that belongs to it: host name, name servers, hosts file.
    /// What the payload's texts say of these is left out, because engines refuse it.
    Shared(RuntimeId),
}

/// A container as the engine wants it created: every choice is made, nothing is left to the
/// runtime but doing it.
///
/// Users' settings without a field here (user, working directory, hostname, health check, log
/// driver, ulimits, capabilities, devices, DNS, sysctls, network mode, ...) are in the two
/// `docker_*` texts, as the protocol sends them; a key present there wins over these fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// `ecs-<family>-<revision>-<container>-<20 hex>`; unique, and the same if creation is repeated.
    pub name: String,
    /// As the task definition has it; the image is present when this is asked for.
    pub image: String,
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    /// The definition's, with injected variables and resolved secrets.
    pub environment: Environment,
    /// Set only if neither the environment above nor the image has them (`AWS_REGION`, G11).
    pub environment_defaults: Environment,
    /// At least 2.
    pub cpu_shares: u32,
    /// Bytes, at least 4 MiB; `None` for no limit.
    pub memory_bytes: Option<u64>,
    pub ports: Vec<PortBinding>,
    /// The host address that ports are bound to; `None`: all.
    pub bind_address: Option<IpAddr>,
    /// `source:target[:ro]`; the source is a host path or a volume's runtime name.
    pub binds: Vec<String>,
    /// Runtime names of containers, `name` or `name:ro`.
    pub volumes_from: Vec<String>,
    /// `<runtime name>:<alias>`.
    pub links: Vec<String>,
    /// They win over labels in `docker_config`.
    pub labels: BTreeMap<String, String>,
    pub network_mode: NetworkMode,
    pub network: NetworkPlace,
    /// `host` or absent.
    pub pid_mode: Option<String>,
    pub ipc_mode: Option<String>,
    pub cgroup_parent: Option<String>,
    /// Resolved secrets that go to the log driver's options.
    pub log_secrets: Vec<(String, SecretText)>,
    /// SIGTERM to SIGKILL, for engines that keep it per container.
    pub stop_timeout: Duration,
    pub docker_config: Option<Opaque>,
    pub docker_host_config: Option<Opaque>,
}

/// A decided binding of one container port, or as the runtime reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortBinding {
    pub container: Port,
    pub host: Port,
    pub protocol: Protocol,
}

/// The task's cgroup (G11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupSpec {
    /// `/ecs/<task id>`.
    pub parent: String,
    /// CFS quota and period; absent if the task has no cpu of its own.
    pub quota: Option<CpuQuota>,
    /// Relative weight if there is no quota: the sum of the containers', at least 2.
    pub shares: Option<u32>,
    pub memory_bytes: Option<u64>,
    pub pids_limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuQuota {
    pub quota: Duration,
    pub period: Duration,
}
