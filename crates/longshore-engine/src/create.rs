//! How tasks look on the runtime (agent-protocol G11): names, labels, injected variables, volumes,
//! cgroup.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{MemoryMib, Port, Seed};

use crate::input::ResolvedSecrets;
use crate::journal::{DrawnContainer, HostPorts};
use crate::settings::{Settings, TaskCgroups};
use crate::spec::{
    CgroupSpec, ContainerDefinition, ContainerRole, ContainerSpec, CpuQuota, EfsVolume, Environment,
    NamespaceMode, NetworkPlace, PortBinding, SecretTarget, SecretText, TaskSpec, VolumeCreate, VolumeMode,
    VolumeSource,
};

pub const LABEL_CLUSTER: &str = "com.amazonaws.ecs.cluster";
pub const LABEL_CONTAINER: &str = "com.amazonaws.ecs.container-name";
pub const LABEL_TASK: &str = "com.amazonaws.ecs.task-arn";
pub const LABEL_FAMILY: &str = "com.amazonaws.ecs.task-definition-family";
pub const LABEL_REVISION: &str = "com.amazonaws.ecs.task-definition-version";

const MIB: u64 = 1024 * 1024;
/// The least memory limit that is set, in bytes (G7).
const MEMORY_MIN_BYTES: u64 = 4 * MIB;
/// The least CPU weight: the kernel takes nothing below 2.
const CPU_SHARES_MIN: u32 = 2;

/// The twenty hex digits at the end of a runtime name.
fn hex20(seed: Seed) -> String {
    format!("{:016x}{:04x}", seed.of(0).bits(), seed.of(1).bits() & 0xffff)
}

/// `ecs-<family>-<revision>-<container>-<20 hex>`; in the container's part only letters, digits and
/// hyphens remain.
pub(crate) fn container_name(spec: &TaskSpec, container: &str, seed: Seed) -> String {
    let plain: String = container.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("ecs-{}-{}-{plain}-{}", spec.family, spec.revision, hex20(seed))
}

/// The runtime's name of a volume; empty for host paths, which have none.
pub(crate) fn volume_name(spec: &TaskSpec, name: &str, source: &VolumeSource, seed: Seed) -> String {
    match source {
        VolumeSource::HostPath(_) => String::new(),
        VolumeSource::Docker(volume) if volume.shared => name.to_owned(),
        VolumeSource::Anonymous | VolumeSource::Docker(_) | VolumeSource::Efs(_) => {
            format!("ecs-{}-{}-{name}-{}", spec.family, spec.revision, hex20(seed))
        }
    }
}

/// True for volumes that end with the task.
pub(crate) fn is_task_volume(source: &VolumeSource) -> bool {
    match source {
        VolumeSource::HostPath(_) => false,
        VolumeSource::Docker(volume) => !volume.shared,
        VolumeSource::Anonymous | VolumeSource::Efs(_) => true,
    }
}

/// What the runtime has to provide for a volume; `None` for host paths.
pub(crate) fn volume(source: &VolumeSource, runtime_name: &str, settings: &Settings) -> Option<VolumeCreate> {
    let plain = |driver: &str, options, labels, mode| {
        Some(VolumeCreate { name: runtime_name.to_owned(), driver: driver.to_owned(), options, labels, mode })
    };
    match source {
        VolumeSource::HostPath(_) => None,
        VolumeSource::Anonymous => plain("local", BTreeMap::new(), BTreeMap::new(), VolumeMode::Create),
        VolumeSource::Docker(v) => {
            let mode = if v.shared && !v.autoprovision { VolumeMode::MustExist } else { VolumeMode::Create };
            plain(&v.driver, v.driver_options.clone(), v.labels.clone(), mode)
        }
        VolumeSource::Efs(efs) => {
            plain("local", efs_options(efs, &settings.region), BTreeMap::new(), VolumeMode::Create)
        }
    }
}

/// A plain NFS 4.1 mount of the file system, with the options that EFS recommends.
fn efs_options(efs: &EfsVolume, region: &str) -> BTreeMap<String, String> {
    let server = format!("{}.efs.{region}.amazonaws.com", efs.file_system_id);
    let tuning = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport";
    BTreeMap::from([
        ("type".to_owned(), "nfs".to_owned()),
        ("device".to_owned(), format!(":{}", efs.root_directory)),
        ("o".to_owned(), format!("addr={server},{tuning}")),
    ])
}

/// The task's cgroup as its containers name it; `None` if there is none.
pub(crate) fn cgroup_parent(spec: &TaskSpec, mode: TaskCgroups) -> Option<String> {
    match mode {
        TaskCgroups::Off => None,
        TaskCgroups::V1 | TaskCgroups::V2 => Some(format!("/ecs/{}", spec.key.id())),
    }
}

pub(crate) fn cgroup(spec: &TaskSpec, settings: &Settings) -> Option<CgroupSpec> {
    let parent = cgroup_parent(spec, settings.task_cgroups)?;
    let period = settings.cgroup_cpu_period;
    let quota =
        spec.cpu_millis.map(|millis| CpuQuota { quota: period.saturating_mul(millis) / 1000, period });
    let shares = spec.containers.iter().map(|c| c.cpu.0.max(CPU_SHARES_MIN)).fold(0, u32::saturating_add);
    Some(CgroupSpec {
        parent,
        shares: quota.is_none().then_some(shares),
        quota,
        memory_bytes: spec.memory.map(|m| u64::from(m.0) * MIB),
        pids_limit: settings.task_pids_limit,
    })
}

/// What is known about a container by the time that it is created.
pub(crate) struct Ready<'a> {
    pub settings: &'a Settings,
    pub spec: &'a TaskSpec,
    pub drawn: &'a [DrawnContainer],
    pub volume_names: &'a [String],
    pub index: usize,
    pub ports: &'a [HostPorts],
    pub secrets: Option<&'a ResolvedSecrets>,
    pub network: NetworkPlace,
}

/// The container to create.
pub(crate) fn container(ready: &Ready<'_>) -> ContainerSpec {
    let (spec, settings) = (ready.spec, ready.settings);
    let definition = &spec.containers[ready.index];
    let runtime_name_of = |name: &str| {
        spec.containers
            .iter()
            .position(|c| c.name.as_str() == name)
            .map_or_else(|| name.to_owned(), |index| ready.drawn[index].runtime_name.clone())
    };
    let links = definition
        .links
        .iter()
        .map(|link| {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            format!("{}:{alias}", runtime_name_of(name))
        })
        .collect();
    let volumes_from = definition
        .volumes_from
        .iter()
        .map(|from| {
            let mode = if from.read_only { ":ro" } else { "" };
            format!("{}{mode}", runtime_name_of(from.container.as_str()))
        })
        .collect();
    let binds = definition
        .mounts
        .iter()
        .filter_map(|mount| {
            let at = spec.volumes.iter().position(|v| v.name == mount.volume)?;
            let source = match &spec.volumes[at].source {
                VolumeSource::HostPath(path) => path,
                VolumeSource::Anonymous | VolumeSource::Docker(_) | VolumeSource::Efs(_) => {
                    &ready.volume_names[at]
                }
            };
            let mode = if mount.read_only { ":ro" } else { "" };
            Some(format!("{source}:{}{mode}", mount.container_path))
        })
        .collect();
    ContainerSpec {
        name: ready.drawn[ready.index].runtime_name.clone(),
        image: definition.image.clone(),
        entry_point: definition.entry_point.clone(),
        command: definition.command.clone(),
        environment: environment(ready),
        environment_defaults: match definition.role {
            ContainerRole::Ordinary => environment_defaults(settings),
            ContainerRole::Pause => Environment::default(),
        },
        cpu_shares: definition.cpu.0.max(CPU_SHARES_MIN),
        memory_bytes: memory_limit(spec, definition, settings)
            .map(|m| (u64::from(m.0) * MIB).max(MEMORY_MIN_BYTES)),
        ports: ready.ports.iter().flat_map(bindings).collect(),
        bind_address: settings.bind_address,
        binds,
        volumes_from,
        links,
        labels: labels(spec, definition.name.as_str(), settings),
        network_mode: spec.network_mode,
        network: ready.network.clone(),
        pid_mode: namespace(spec.pid_mode),
        ipc_mode: namespace(spec.ipc_mode),
        cgroup_parent: cgroup_parent(spec, settings.task_cgroups),
        log_secrets: log_secrets(ready.secrets),
        stop_timeout: stop_grace(definition.stop_timeout, settings),
        docker_config: definition.docker_config.clone(),
        docker_host_config: definition.docker_host_config.clone(),
    }
}

/// The container's own limit. Without one the task's cgroup is what limits it (G11); where there is no such cgroup,
/// it may use up what its task has, but not the rest of the host. Engines refuse a limit below the reservation.
fn memory_limit(spec: &TaskSpec, definition: &ContainerDefinition, settings: &Settings) -> Option<MemoryMib> {
    let of_task = || spec.memory.map(|memory| memory.max(definition.memory_reservation.unwrap_or(memory)));
    match settings.task_cgroups {
        TaskCgroups::Off if definition.role == ContainerRole::Ordinary => definition.memory.or_else(of_task),
        TaskCgroups::Off | TaskCgroups::V1 | TaskCgroups::V2 => definition.memory,
    }
}

/// From the stop signal to SIGKILL.
pub(crate) fn stop_grace(own: Option<Duration>, settings: &Settings) -> Duration {
    own.unwrap_or(settings.stop_timeout)
}

/// One binding per port of a run.
pub(crate) fn bindings(ports: &HostPorts) -> impl Iterator<Item = PortBinding> + use<> {
    let ports = *ports;
    (0..ports.count).filter_map(move |n| {
        Some(PortBinding {
            container: Port(ports.container_first.0.checked_add(n)?),
            host: Port(ports.host_first.0.checked_add(n)?),
            protocol: ports.protocol,
        })
    })
}

fn namespace(mode: NamespaceMode) -> Option<String> {
    match mode {
        NamespaceMode::Private | NamespaceMode::Task => None,
        NamespaceMode::Host => Some("host".to_owned()),
        NamespaceMode::None => Some("none".to_owned()),
    }
}

fn labels(spec: &TaskSpec, container: &str, settings: &Settings) -> BTreeMap<String, String> {
    BTreeMap::from([
        (LABEL_CLUSTER.to_owned(), spec.cluster_name(&settings.cluster).to_owned()),
        (LABEL_CONTAINER.to_owned(), container.to_owned()),
        (LABEL_TASK.to_owned(), spec.key.arn().to_owned()),
        (LABEL_FAMILY.to_owned(), spec.family.clone()),
        (LABEL_REVISION.to_owned(), spec.revision.clone()),
    ])
}

/// Files first, then what the payload has, then secrets, then what the agent injects.
fn environment(ready: &Ready<'_>) -> Environment {
    let definition = &ready.spec.containers[ready.index];
    if definition.role == ContainerRole::Pause {
        return Environment::default();
    }
    let mut variables = BTreeMap::new();
    if let Some(secrets) = ready.secrets {
        for (name, value) in &secrets.from_files {
            variables.insert(name.clone(), value.expose().to_owned());
        }
    }
    variables.extend(definition.environment.0.clone());
    for secret in ready.secrets.iter().flat_map(|s| &s.secrets) {
        match secret.target {
            SecretTarget::Environment => {
                variables.insert(secret.name.clone(), secret.value.expose().to_owned());
            }
            SecretTarget::LogDriver => {}
        }
    }
    let mut inject = |name: &str, value: String| variables.insert(name.to_owned(), value);
    let is_served = ready.settings.serves_credentials || ready.settings.metadata_endpoint.is_some();
    if let Some(credentials) = ready.spec.task_credentials.as_ref().filter(|_| is_served) {
        let path = format!("/v2/credentials/{}", credentials.expose());
        inject("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path);
    }
    let Some(endpoint) = &ready.settings.metadata_endpoint else { return Environment(variables) };
    let id = &ready.drawn[ready.index].metadata_id;
    inject("ECS_CONTAINER_METADATA_URI", format!("{endpoint}/v3/{id}"));
    inject("ECS_CONTAINER_METADATA_URI_V4", format!("{endpoint}/v4/{id}"));
    inject("ECS_AGENT_URI", format!("{endpoint}/api/{id}"));
    Environment(variables)
}

fn environment_defaults(settings: &Settings) -> Environment {
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let known = !settings.region.is_empty();
    let region = names.into_iter().filter(|_| known).map(|name| (name.to_owned(), settings.region.clone()));
    let api = settings.api_endpoint.iter().map(|url| ("AWS_ENDPOINT_URL".to_owned(), url.clone()));
    Environment(region.chain(api).collect())
}

fn log_secrets(secrets: Option<&ResolvedSecrets>) -> Vec<(String, SecretText)> {
    secrets
        .into_iter()
        .flat_map(|s| &s.secrets)
        .filter(|secret| secret.target == SecretTarget::LogDriver)
        .map(|secret| (secret.name.clone(), secret.value.clone()))
        .collect()
}
