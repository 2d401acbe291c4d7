//! A task as the control plane assigns it (agent-protocol G7), after parsing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use longshore_base::{ContainerName, CpuUnits, MemoryMib, Port, Protocol};
use serde::{Deserialize, Serialize};

use super::{CredentialsId, Environment, Opaque, TaskKey};

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

/// Which version of a secret a container was given. It tells nothing of the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    pub value_from: String,
    /// A version's id in Secrets Manager, its number in the Parameter Store.
    pub version: String,
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

/// The interface of one task, as assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInterface {
    pub attachment_arn: String,
    /// `eni-...`
    pub id: String,
    pub mac: String,
    pub address: Ipv4Addr,
    /// That of the subnet, and the length of its prefix.
    pub gateway: Ipv4Addr,
    pub prefix: u8,
    #[serde(default)]
    pub private_dns_name: String,
    #[serde(default)]
    pub name_servers: Vec<String>,
    #[serde(default)]
    pub search_domains: Vec<String>,
}
