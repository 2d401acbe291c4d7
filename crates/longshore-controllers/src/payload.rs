//! A task as its agent receives it (agent-protocol G7).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use longshore_base::{Seed, Timestamp};
use longshore_domain::{LaunchType, NetworkMode};
use longshore_link::message::{
    AsmAuthData, Association, AssociationContent, ContainerPayload, DependsOn, DockerConfig, DockerVolume,
    EfsAuthorization, EfsVolume, EnvironmentFile, FirelensConfiguration, HostVolume, MountPoint, PortMapping,
    ProxyConfiguration, RegistryAuthentication, RestartPolicy, RoleType, Secret, TaskPayload, VolumeFrom,
    VolumePayload,
};
use longshore_shapes_ecs as shapes;
use longshore_state::State;
use longshore_tables_ecs::record::{Document, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, record};
use longshore_wire::json;
use serde_json::{Map, Value};

use crate::interface;
use crate::roles::{self, Roles};

/// The engine API version that the texts of `dockerConfig` are written for.
const DOCKER_CONFIG_VERSION: &str = "1.18";
const EXECUTION_ENVIRONMENT: &str = "AWS_EXECUTION_ENV";
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const MIB: i64 = 1024 * 1024;

/// Everything that the agent needs to run `task`. `None` if its definition is gone. A seed is used once: credentials of the
/// task's roles are made of it.
pub fn payload(
    state: &State,
    at: &ClusterKey,
    task: &Task,
    now: Timestamp,
    seed: Seed,
) -> Option<TaskPayload> {
    let definition = state.ecs().definition(&at.scope, &task.origin.family, task.origin.revision)?;
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
    payload.elastic_network_interfaces = interface::payload(state, at, task).into_iter().collect();
    payload.pid_mode = word(document.pid_mode.as_ref().map(|mode| mode.as_str()));
    payload.ipc_mode = word(document.ipc_mode.as_ref().map(|mode| mode.as_str()));
    // An agent lets tasks of launch type FARGATE skip its queue for resources (agent-protocol G10).
    payload.launch_type = match task.origin.launch_type {
        LaunchType::Fargate => "EC2".into(),
        other => other.as_str().into(),
    };
    payload.group = task.origin.group.to_string();
    payload.service_name =
        task.origin.service.as_ref().map(|service| service.name.to_string()).unwrap_or_default();
    payload.enable_fault_injection = document.enable_fault_injection == Some(true);
    payload.volumes = document.volumes.iter().flatten().map(volume).collect();
    payload.proxy_configuration = document.proxy_configuration.as_ref().map(proxy);
    payload.associations = associations(task, definition);
    let roles = Roles::of(definition, &task.origin);
    for (kind, credentials) in roles::announced(state, at, task, &roles, now, seed) {
        let member = match kind {
            RoleType::TaskApplication => &mut payload.role_credentials,
            RoleType::TaskExecution => &mut payload.execution_role_credentials,
        };
        *member = Some(credentials);
    }
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
fn document(definition: &record::TaskDefinition) -> Option<Rc<shapes::TaskDefinition>> {
    thread_local! {
        static LAST: RefCell<Option<(Document, Rc<shapes::TaskDefinition>)>> = const { RefCell::new(None) };
    }
    let stored = definition.document();
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

fn network_mode(definition: &record::TaskDefinition) -> &'static str {
    match definition.spec().network_mode {
        NetworkMode::Bridge => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::Awsvpc => "awsvpc",
        NetworkMode::None => "none",
    }
}

/// GPUs of the task, dealt out to its containers in order.
fn associations(task: &Task, definition: &record::TaskDefinition) -> Vec<Association> {
    let mut ids = task.gpus().iter();
    let mut associations = Vec::new();
    for container in &definition.spec().containers {
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
    definition: &record::TaskDefinition,
    container: &shapes::ContainerDefinition,
    own: Option<&shapes::ContainerOverride>,
) -> ContainerPayload {
    let name = container.name.clone().unwrap_or_default();
    let record = task.containers.iter().find(|record| record.name.as_str() == name);
    let seconds = |value: Option<i32>| value.and_then(|seconds| u32::try_from(seconds).ok());
    let override_of = |get: fn(&shapes::ContainerOverride) -> Option<i32>, default: Option<i32>| {
        own.and_then(get).or(default)
    };
    let hard = override_of(|own| own.memory, container.memory);
    let soft = override_of(|own| own.memory_reservation, container.memory_reservation);
    // Agents do not set it: the service tells each container by it where it runs. What the definition says wins.
    let mut environment = BTreeMap::from([(
        EXECUTION_ENVIRONMENT.to_owned(),
        execution_environment(task.origin.launch_type).to_owned(),
    )]);
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
        memory: hard.unwrap_or(0).into(),
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
        secrets: secrets(at, container),
        registry_authentication: registry_authentication(at, container),
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
            host_config: host_config(container, definition, hard, soft),
        }),
        name,
        ..ContainerPayload::default()
    }
}

/// What frameworks and agents of others tell Fargate from EC2 by.
fn execution_environment(launch_type: LaunchType) -> &'static str {
    match launch_type {
        LaunchType::Ec2 => "AWS_ECS_EC2",
        LaunchType::Fargate => "AWS_ECS_FARGATE",
        // Made after the other two: there is no published word on these.
        LaunchType::External => "AWS_ECS_EXTERNAL",
        LaunchType::ManagedInstances => "AWS_ECS_MANAGED_INSTANCES",
    }
}

/// None with awsvpc: the engine refuses publishing there (agent-protocol G12).
fn ports(container: &shapes::ContainerDefinition, definition: &record::TaskDefinition) -> Vec<PortMapping> {
    if definition.spec().network_mode == NetworkMode::Awsvpc {
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

/// Those of the container, and those of its log driver: options whose values are secret (agent-protocol G13).
fn secrets(at: &ClusterKey, container: &shapes::ContainerDefinition) -> Vec<Secret> {
    let of_log = container.log_configuration.as_ref().and_then(|log| log.secret_options.as_ref());
    let own = container.secrets.iter().flatten().map(|secret| secret_payload(at, secret, "CONTAINER"));
    own.chain(of_log.into_iter().flatten().map(|secret| secret_payload(at, secret, "LOG_DRIVER"))).collect()
}

fn secret_payload(at: &ClusterKey, secret: &shapes::Secret, target: &str) -> Secret {
    let value_from = secret.value_from.clone().unwrap_or_default();
    let (service, region) = service_and_region(at, &value_from);
    Secret {
        name: secret.name.clone().unwrap_or_default(),
        kind: "ENVIRONMENT_VARIABLE".into(),
        region,
        provider: if service == Some("secretsmanager") { "asm".into() } else { "ssm".into() },
        target: target.into(),
        container_path: String::new(),
        value_from,
    }
}

/// The password of a private registry, a secret of the kind `asm` (agent-protocol G13). Without this an agent would ask
/// the registry as nobody.
fn registry_authentication(
    at: &ClusterKey,
    container: &shapes::ContainerDefinition,
) -> Option<RegistryAuthentication> {
    let secret = container.repository_credentials.as_ref()?.credentials_parameter.clone()?;
    let (_service, region) = service_and_region(at, &secret);
    Some(RegistryAuthentication {
        kind: "asm".into(),
        asm_auth_data: Some(AsmAuthData { credentials_parameter: secret, region }),
        ..RegistryAuthentication::default()
    })
}

/// What an ARN says of where a secret is; a plain name is looked for in the task's own region.
fn service_and_region<'a>(at: &ClusterKey, value_from: &'a str) -> (Option<&'a str>, String) {
    let mut parts = value_from.split(':');
    let service = parts.nth(2);
    let region = parts.next().filter(|_| service.is_some()).map(str::to_owned);
    (service, region.unwrap_or_else(|| at.scope.region.to_string()))
}

fn proxy(proxy: &shapes::ProxyConfiguration) -> ProxyConfiguration {
    let pair =
        |pair: &shapes::KeyValuePair| Some((pair.name.clone()?, pair.value.clone().unwrap_or_default()));
    ProxyConfiguration {
        // The only kind there is.
        kind: proxy.r#type.as_ref().map_or("APPMESH", |kind| kind.as_str()).to_owned(),
        container_name: proxy.container_name.clone().unwrap_or_default(),
        properties: proxy.properties.iter().flatten().filter_map(pair).collect(),
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
    definition: &record::TaskDefinition,
    hard: Option<i32>,
    soft: Option<i32>,
) -> String {
    let mut host = Map::new();
    let mut set = |key: &str, value: Value| host.insert(key.to_owned(), value);
    if definition.spec().network_mode != NetworkMode::Awsvpc {
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
        linux_parameters(linux, hard, &mut host);
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

#[cfg(test)]
mod tests {
    use longshore_base::{AccountId, ClusterName, Region, Scope};

    use super::*;

    fn at() -> ClusterKey {
        let region = Region::parse("eu-west-1").expect("a region");
        ClusterKey::new(Scope::new(AccountId::OPERATOR, region), ClusterName::parse("c").expect("a name"))
    }

    fn container(document: &str) -> shapes::ContainerDefinition {
        json::from_slice(document.as_bytes()).expect("a container")
    }

    #[test]
    fn secrets_go_to_the_container_and_to_its_log_driver() {
        let own = container(
            r#"{"secrets": [{"name": "A", "valueFrom": "/path/a"},
                            {"name": "B", "valueFrom": "arn:aws:secretsmanager:us-east-2:1:secret:b"}],
                "logConfiguration": {"logDriver": "splunk",
                    "secretOptions": [{"name": "splunk-token", "valueFrom": "arn:aws:ssm:us-east-2:1:parameter/t"}]}}"#,
        );
        let sent = secrets(&at(), &own);
        let told: Vec<_> = sent
            .iter()
            .map(|secret| {
                [&secret.name, &secret.provider, &secret.region, &secret.target].map(String::as_str)
            })
            .collect();
        let expected = [
            ["A", "ssm", "eu-west-1", "CONTAINER"],
            ["B", "asm", "us-east-2", "CONTAINER"],
            ["splunk-token", "ssm", "us-east-2", "LOG_DRIVER"],
        ];
        assert_eq!(told, expected);
        assert_eq!(secrets(&at(), &container("{}")), []);
    }

    #[test]
    fn a_private_registry_is_asked_with_its_secret() {
        let own = container(
            r#"{"repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:us-east-2:1:secret:r"}}"#,
        );
        let sent = serde_json::to_value(registry_authentication(&at(), &own)).expect("it serialises");
        let parameter = "arn:aws:secretsmanager:us-east-2:1:secret:r";
        let data = serde_json::json!({"credentialsParameter": parameter, "region": "us-east-2"});
        assert_eq!(sent, serde_json::json!({"type": "asm", "asmAuthData": data}));
        assert_eq!(registry_authentication(&at(), &container("{}")), None);
    }

    #[test]
    fn swap_is_on_top_of_the_memory_that_the_task_has() {
        let linux: shapes::LinuxParameters = json::from_slice(br#"{"maxSwap": 100}"#).expect("parameters");
        let mut host = Map::new();
        linux_parameters(&linux, Some(28), &mut host);
        assert_eq!(host["MemorySwap"], Value::from(128 * MIB));
    }

    #[test]
    fn a_proxy_is_told_with_its_properties() {
        let shape: shapes::ProxyConfiguration = json::from_slice(
            br#"{"type": "APPMESH", "containerName": "envoy", "properties": [{"name": "IgnoredUID", "value": "1337"}]}"#,
        )
        .expect("a proxy");
        let sent = serde_json::to_value(proxy(&shape)).expect("it serialises");
        let properties = serde_json::json!({"IgnoredUID": "1337"});
        let expected =
            serde_json::json!({"type": "APPMESH", "containerName": "envoy", "properties": properties});
        assert_eq!(sent, expected);
    }
}
