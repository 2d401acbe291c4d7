//! A task as its agent receives it (agent-protocol G7).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use longshore_domain::NetworkMode;
use longshore_link::message::{
    Association, AssociationContent, ContainerPayload, DependsOn, DockerConfig, DockerVolume,
    EfsAuthorization, EfsVolume, EnvironmentFile, FirelensConfiguration, HostVolume, MountPoint, PortMapping,
    RestartPolicy, Secret, TaskPayload, VolumeFrom, VolumePayload,
};
use longshore_shapes_ecs as shapes;
use longshore_state::record::{Document, Task};
use longshore_state::{ClusterKey, Definition, State};
use longshore_wire::json;
use serde_json::{Map, Value};

use crate::interface;

/// The engine API version that the texts of `dockerConfig` are written for.
const DOCKER_CONFIG_VERSION: &str = "1.18";
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const MIB: i64 = 1024 * 1024;

/// Everything that the agent needs to run `task`. `None` if its definition is gone.
pub fn payload(state: &State, at: &ClusterKey, task: &Task) -> Option<TaskPayload> {
    let definition = state.definition(&at.scope, &task.origin.family, task.origin.revision)?;
    let document = document(definition)?;
    // Written by this program, from a shape.
    let overrides: shapes::TaskOverride = task
        .origin
        .overrides
        .as_deref()
        .and_then(|text| json::from_slice(text.as_bytes()).ok())
        .unwrap_or_default();
    let mut payload = TaskPayload::run(
        &at.scope.task_arn(&at.cluster, task.id, task.origin.arn_format),
        &at.scope.cluster_arn(&at.cluster),
    );
    payload.family = task.origin.family.to_string();
    payload.version = task.origin.revision.to_string();
    let sized = |own: &Option<String>, definition: &Option<String>| {
        own.as_deref().or(definition.as_deref()).and_then(|text| text.parse::<u32>().ok())
    };
    payload.cpu = sized(&overrides.cpu, &document.cpu).map(|units| f64::from(units) / 1024.0);
    payload.memory = sized(&overrides.memory, &document.memory).map(i64::from);
    payload.network_mode = network_mode(definition).to_owned();
    payload.elastic_network_interfaces = interface::payload(at, task).into_iter().collect();
    payload.pid_mode = word(document.pid_mode.as_ref().map(|mode| mode.as_str()));
    payload.ipc_mode = word(document.ipc_mode.as_ref().map(|mode| mode.as_str()));
    // An agent lets tasks of launch type FARGATE skip its queue for resources (agent-protocol G10).
    payload.launch_type = match task.origin.launch_type {
        longshore_domain::LaunchType::Fargate => "EC2".into(),
        other => other.as_str().into(),
    };
    payload.group = task.origin.group.to_string();
    payload.service_name =
        task.origin.service.as_ref().map(|service| service.name.to_string()).unwrap_or_default();
    payload.enable_fault_injection = document.enable_fault_injection == Some(true);
    payload.volumes = document.volumes.iter().flatten().map(volume).collect();
    payload.associations = associations(task, definition);
    payload.containers = document
        .container_definitions
        .iter()
        .flatten()
        .map(|container| {
            let own = overrides
                .container_overrides
                .iter()
                .flatten()
                .find(|own| own.name.is_some() && own.name == container.name);
            container_payload(at, task, definition, container, own)
        })
        .collect();
    Some(payload)
}

/// The definition as a shape. Tasks start in bursts of the same definition, so each thread keeps the last one; a stored
/// document never changes, and so its address says whether it is the same.
fn document(definition: &Definition) -> Option<Rc<shapes::TaskDefinition>> {
    thread_local! {
        static LAST: RefCell<Option<(Document, Rc<shapes::TaskDefinition>)>> = const { RefCell::new(None) };
    }
    let stored = &definition.record.document;
    LAST.with_borrow_mut(|last| match last {
        Some((kept, document)) if Arc::ptr_eq(kept, stored) => Some(document.clone()),
        Some(_) | None => {
            // Written by this program, from a shape.
            let document: Rc<shapes::TaskDefinition> = Rc::new(json::from_slice(stored.as_bytes()).ok()?);
            *last = Some((stored.clone(), document.clone()));
            Some(document)
        }
    })
}

fn word(word: Option<&str>) -> String {
    word.unwrap_or_default().to_owned()
}

fn network_mode(definition: &Definition) -> &'static str {
    match definition.spec.network_mode {
        NetworkMode::Bridge => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::Awsvpc => "awsvpc",
        NetworkMode::None => "none",
    }
}

/// GPUs of the task, dealt out to its containers in order.
fn associations(task: &Task, definition: &Definition) -> Vec<Association> {
    let mut ids = task.gpus().iter();
    let mut associations = Vec::new();
    for container in &definition.spec.containers {
        for id in ids.by_ref().take(container.gpus as usize) {
            associations.push(Association {
                name: id.to_string(),
                kind: "gpu".into(),
                content: Some(AssociationContent { encoding: "identity".into(), value: id.to_string() }),
                containers: vec![container.name.to_string()],
            });
        }
    }
    associations
}

fn container_payload(
    at: &ClusterKey,
    task: &Task,
    definition: &Definition,
    container: &shapes::ContainerDefinition,
    own: Option<&shapes::ContainerOverride>,
) -> ContainerPayload {
    let name = container.name.clone().unwrap_or_default();
    let record = task.containers.iter().find(|record| record.name.as_str() == name);
    let seconds = |value: Option<i32>| value.and_then(|seconds| u32::try_from(seconds).ok());
    let override_of = |get: fn(&shapes::ContainerOverride) -> Option<i32>, default: Option<i32>| {
        own.and_then(get).or(default)
    };
    let soft = override_of(|own| own.memory_reservation, container.memory_reservation);
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    let pairs = container.environment.iter().flatten();
    for pair in pairs.chain(own.and_then(|own| own.environment.as_ref()).into_iter().flatten()) {
        environment.insert(pair.name.clone().unwrap_or_default(), pair.value.clone().unwrap_or_default());
    }
    let files = own.and_then(|own| own.environment_files.as_ref()).or(container.environment_files.as_ref());
    let text = |member: &Option<String>| member.clone().unwrap_or_default();
    ContainerPayload {
        image: text(&container.image),
        essential: container.essential.unwrap_or(true),
        cpu: override_of(|own| own.cpu, container.cpu).unwrap_or(0).into(),
        memory: override_of(|own| own.memory, container.memory).unwrap_or(0).into(),
        entry_point: container.entry_point.clone().filter(|list| !list.is_empty()),
        command: own
            .and_then(|own| own.command.clone())
            .or_else(|| container.command.clone())
            .filter(|list| !list.is_empty()),
        environment: environment.into(),
        environment_files: files
            .into_iter()
            .flatten()
            .map(|file| EnvironmentFile {
                value: text(&file.value),
                kind: word(file.r#type.as_ref().map(|t| t.as_str())),
            })
            .collect(),
        // Everything else that can be overridden is merged in here; agents understand only the command.
        overrides: String::new(),
        port_mappings: ports(container, definition),
        links: container.links.clone().unwrap_or_default(),
        mount_points: container
            .mount_points
            .iter()
            .flatten()
            .map(|mount| MountPoint {
                source_volume: text(&mount.source_volume),
                container_path: text(&mount.container_path),
                read_only: mount.read_only.unwrap_or(false),
            })
            .collect(),
        volumes_from: container
            .volumes_from
            .iter()
            .flatten()
            .map(|from| VolumeFrom {
                source_container: text(&from.source_container),
                read_only: from.read_only.unwrap_or(false),
            })
            .collect(),
        depends_on: container
            .depends_on
            .iter()
            .flatten()
            .map(|on| DependsOn {
                container_name: text(&on.container_name),
                condition: word(on.condition.as_ref().map(|condition| condition.as_str())),
            })
            .collect(),
        start_timeout: seconds(container.start_timeout),
        stop_timeout: seconds(container.stop_timeout),
        restart_policy: container.restart_policy.as_ref().map(|policy| RestartPolicy {
            enabled: policy.enabled.unwrap_or(false),
            ignored_exit_codes: policy.ignored_exit_codes.clone().unwrap_or_default(),
            restart_attempt_period: seconds(policy.restart_attempt_period),
        }),
        health_check_type: if container.health_check.is_some() { "docker".into() } else { String::new() },
        secrets: container.secrets.iter().flatten().map(|secret| secret_payload(at, secret)).collect(),
        firelens_configuration: container.firelens_configuration.as_ref().map(|firelens| {
            FirelensConfiguration {
                kind: word(firelens.r#type.as_ref().map(|kind| kind.as_str())),
                options: firelens.options.clone().unwrap_or_default(),
            }
        }),
        credential_specs: container.credential_specs.clone().unwrap_or_default(),
        container_arn: record
            .map(|record| at.scope.container_arn(&at.cluster, task.id, record.id, task.origin.arn_format))
            .unwrap_or_default(),
        docker_config: Some(DockerConfig {
            version: DOCKER_CONFIG_VERSION.into(),
            config: config(container),
            host_config: host_config(container, definition, soft),
        }),
        name,
        ..ContainerPayload::default()
    }
}

/// None with awsvpc: the engine refuses publishing there (agent-protocol G12).
fn ports(container: &shapes::ContainerDefinition, definition: &Definition) -> Vec<PortMapping> {
    if definition.spec.network_mode == NetworkMode::Awsvpc {
        return Vec::new();
    }
    let port = |number: Option<i32>| number.and_then(|number| u16::try_from(number).ok());
    let mapping = |mapping: &shapes::PortMapping| PortMapping {
        container_port: port(mapping.container_port),
        host_port: port(mapping.host_port),
        protocol: word(mapping.protocol.as_ref().map(|protocol| protocol.as_str())),
        container_port_range: mapping.container_port_range.clone().unwrap_or_default(),
    };
    container.port_mappings.iter().flatten().map(mapping).collect()
}

fn secret_payload(at: &ClusterKey, secret: &shapes::Secret) -> Secret {
    let value_from = secret.value_from.clone().unwrap_or_default();
    let mut parts = value_from.split(':');
    let service = parts.nth(2);
    let region = parts.next().filter(|_| service.is_some()).map(str::to_owned);
    Secret {
        name: secret.name.clone().unwrap_or_default(),
        kind: "ENVIRONMENT_VARIABLE".into(),
        region: region.unwrap_or_else(|| at.scope.region.to_string()),
        provider: if service == Some("secretsmanager") { "asm".into() } else { "ssm".into() },
        target: "CONTAINER".into(),
        container_path: String::new(),
        value_from,
    }
}

/// Docker's `Config`, as JSON text. Never with `Env`: it would replace the whole environment.
fn config(container: &shapes::ContainerDefinition) -> String {
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    if let Some(labels) = &container.docker_labels {
        set(
            "Labels",
            labels.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect::<Map<_, _>>().into(),
        );
    }
    for (key, value) in [
        ("User", &container.user),
        ("WorkingDir", &container.working_directory),
        ("Hostname", &container.hostname),
    ] {
        if let Some(value) = value {
            set(key, value.clone().into());
        }
    }
    for (key, value) in [
        ("OpenStdin", container.interactive),
        ("Tty", container.pseudo_terminal),
        ("NetworkDisabled", container.disable_networking),
    ] {
        if let Some(value) = value {
            set(key, value.into());
        }
    }
    if let Some(health) = &container.health_check {
        let nanos = |seconds: Option<i32>| i64::from(seconds.unwrap_or(0)) * NANOS_PER_SECOND;
        set(
            "Healthcheck",
            serde_json::json!({
                "Test": health.command.clone().unwrap_or_default(),
                "Interval": nanos(health.interval),
                "Timeout": nanos(health.timeout),
                "StartPeriod": nanos(health.start_period),
                "Retries": health.retries.unwrap_or(0),
            }),
        );
    }
    Value::Object(config).to_string()
}

/// Docker's `HostConfig`, as JSON text: the table of agent-protocol G7, "dockerConfig".
fn host_config(
    container: &shapes::ContainerDefinition,
    definition: &Definition,
    soft: Option<i32>,
) -> String {
    let mut host = Map::new();
    let mut set = |key: &str, value: Value| host.insert(key.to_owned(), value);
    if definition.spec.network_mode != NetworkMode::Awsvpc {
        set("NetworkMode", network_mode(definition).into());
    }
    if let Some(soft) = soft {
        set("MemoryReservation", (i64::from(soft) * MIB).into());
    }
    if let Some(log) = &container.log_configuration {
        let options = log.options.clone().unwrap_or_default();
        let driver = word(log.log_driver.as_ref().map(|driver| driver.as_str()));
        set("LogConfig", serde_json::json!({ "Type": driver, "Config": options }));
    }
    for (key, value) in
        [("Privileged", container.privileged), ("ReadonlyRootfs", container.readonly_root_filesystem)]
    {
        if let Some(value) = value {
            set(key, value.into());
        }
    }
    for (key, list) in [
        ("Dns", &container.dns_servers),
        ("DnsSearch", &container.dns_search_domains),
        ("SecurityOpt", &container.docker_security_options),
    ] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            set(key, list.clone().into());
        }
    }
    let hosts: Vec<String> = container
        .extra_hosts
        .iter()
        .flatten()
        .map(|host| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}:{}", part(&host.hostname), part(&host.ip_address))
        })
        .collect();
    if !hosts.is_empty() {
        set("ExtraHosts", hosts.into());
    }
    let ulimits: Vec<Value> = container
        .ulimits
        .iter()
        .flatten()
        .map(|limit| {
            let name = word(limit.name.as_ref().map(|name| name.as_str()));
            serde_json::json!({ "Name": name, "Soft": limit.soft_limit, "Hard": limit.hard_limit })
        })
        .collect();
    if !ulimits.is_empty() {
        set("Ulimits", ulimits.into());
    }
    let controls: Map<String, Value> = container
        .system_controls
        .iter()
        .flatten()
        .filter_map(|control| Some((control.namespace.clone()?, control.value.clone()?.into())))
        .collect();
    if !controls.is_empty() {
        set("Sysctls", controls.into());
    }
    if let Some(linux) = &container.linux_parameters {
        linux_parameters(linux, container.memory, &mut host);
    }
    Value::Object(host).to_string()
}

fn linux_parameters(linux: &shapes::LinuxParameters, memory: Option<i32>, host: &mut Map<String, Value>) {
    let mut set = |key: &str, value: Value| host.insert(key.to_owned(), value);
    if let Some(capabilities) = &linux.capabilities {
        for (key, list) in [("CapAdd", &capabilities.add), ("CapDrop", &capabilities.drop)] {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                set(key, list.clone().into());
            }
        }
    }
    let devices: Vec<Value> = linux
        .devices
        .iter()
        .flatten()
        .map(|device| {
            let inside = device.container_path.clone().or_else(|| device.host_path.clone());
            let letters = device.permissions.iter().flatten().map(|permission| match permission.as_str() {
                "read" => "r",
                "write" => "w",
                _ => "m",
            });
            let letters: String = letters.collect();
            serde_json::json!({
                "PathOnHost": device.host_path,
                "PathInContainer": inside,
                "CgroupPermissions": if letters.is_empty() { "rwm".to_owned() } else { letters },
            })
        })
        .collect();
    if !devices.is_empty() {
        set("Devices", devices.into());
    }
    if let Some(init) = linux.init_process_enabled {
        set("Init", init.into());
    }
    if let Some(mib) = linux.shared_memory_size {
        set("ShmSize", (i64::from(mib) * MIB).into());
    }
    if let (Some(swap), Some(memory)) = (linux.max_swap, memory) {
        set("MemorySwap", ((i64::from(swap) + i64::from(memory)) * MIB).into());
    }
    if let Some(swappiness) = linux.swappiness {
        set("MemorySwappiness", swappiness.into());
    }
    let tmpfs: Map<String, Value> = linux
        .tmpfs
        .iter()
        .flatten()
        .filter_map(|mount| {
            let mut options = vec![format!("size={}m", mount.size.unwrap_or(0))];
            options.extend(mount.mount_options.iter().flatten().cloned());
            Some((mount.container_path.clone()?, options.join(",").into()))
        })
        .collect();
    if !tmpfs.is_empty() {
        set("Tmpfs", tmpfs.into());
    }
}

fn volume(volume: &shapes::Volume) -> VolumePayload {
    let name = volume.name.clone().unwrap_or_default();
    if let Some(docker) = &volume.docker_volume_configuration {
        return VolumePayload {
            name,
            kind: "docker".into(),
            docker_volume_configuration: Some(DockerVolume {
                scope: word(docker.scope.as_ref().map(|scope| scope.as_str())),
                autoprovision: docker.autoprovision.unwrap_or(false),
                driver: docker.driver.clone().unwrap_or_default(),
                driver_opts: docker.driver_opts.clone().unwrap_or_default(),
                labels: docker.labels.clone().unwrap_or_default(),
            }),
            ..VolumePayload::default()
        };
    }
    if let Some(efs) = &volume.efs_volume_configuration {
        return VolumePayload {
            name,
            kind: "efs".into(),
            efs_volume_configuration: Some(EfsVolume {
                file_system_id: efs.file_system_id.clone().unwrap_or_default(),
                root_directory: efs.root_directory.clone().unwrap_or_default(),
                transit_encryption: word(efs.transit_encryption.as_ref().map(|word| word.as_str())),
                transit_encryption_port: efs
                    .transit_encryption_port
                    .and_then(|port| u16::try_from(port).ok()),
                authorization_config: efs.authorization_config.as_ref().map(|own| EfsAuthorization {
                    access_point_id: own.access_point_id.clone().unwrap_or_default(),
                    iam: word(own.iam.as_ref().map(|iam| iam.as_str())),
                }),
            }),
            ..VolumePayload::default()
        };
    }
    let source = volume.host.as_ref().and_then(|host| host.source_path.clone()).unwrap_or_default();
    VolumePayload {
        name,
        kind: "host".into(),
        host: Some(HostVolume { source_path: source }),
        ..VolumePayload::default()
    }
}
