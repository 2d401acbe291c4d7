//! What the runtime is asked to create for a task, with every choice made.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use longshore_base::{Cidr, Port, Protocol};
use serde::{Deserialize, Serialize};

use super::{Environment, NetworkMode, Opaque, RuntimeId, SecretText, TaskInterface};

/// A volume that has to exist.
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

/// The network on this node that tasks with an address of their own are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNetwork {
    /// The runtime's name for it.
    pub name: String,
    pub subnet: Cidr,
    pub gateway: Ipv4Addr,
    /// The part of `subnet` whose addresses this node has for its tasks; other nodes on the machine have others.
    pub range: Cidr,
    /// For people who find it: the directory or the name of the agent that made it.
    pub owner: String,
}
