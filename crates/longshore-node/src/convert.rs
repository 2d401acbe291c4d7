//! From the task of a payload to the task of the engine (agent-protocol G7).
//!
//! What cannot be understood is a [`LoadError`]: the task is then reported STOPPED with its text, and the
//! payload is not acknowledged (G6).

use longshore_base::{ContainerName, CpuUnits, MemoryMib, NameError, Port, Protocol};
use longshore_engine::spec::{
    Condition, ContainerDefinition, ContainerRole, CredentialsId, Dependency, Desired, DockerVolume,
    EfsVolume, Environment, EnvironmentFile, HealthTracking, MountPoint, NamespaceMode, NetworkMode, Opaque,
    PortMapping, RegistryAuth, RestartPolicy, SecretReference, SecretTarget, TaskInterface, TaskKey,
    TaskSpec, VolumeDefinition, VolumeSource, VolumesFrom,
};
use longshore_link::message::{self as wire, ContainerPayload, DesiredStatus, TaskPayload};
use std::time::Duration;

/// Why a task cannot be loaded. The text reaches users in `stoppedReason`.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("invalid container name '{name}': {source}")]
    ContainerName { name: String, source: NameError },
    #[error("invalid {member} '{value}'")]
    Value { member: &'static str, value: String },
    #[error("invalid overrides of container '{container}': {source}")]
    Overrides { container: String, source: serde_json::Error },
    #[error("invalid network interface '{id}': {what}")]
    Interface { id: String, what: &'static str },
    #[error("volume '{0}' has no usable configuration")]
    Volume(String),
}

fn invalid(member: &'static str, value: impl ToString) -> LoadError {
    LoadError::Value { member, value: value.to_string() }
}

/// The engine's form of a task.
pub fn task_spec(payload: TaskPayload) -> Result<TaskSpec, LoadError> {
    Ok(TaskSpec {
        key: TaskKey::new(&payload.arn),
        cluster_arn: payload.task_cluster_arn,
        family: payload.family,
        revision: payload.version,
        desired: match payload.desired_status {
            DesiredStatus::Running => Desired::Running,
            DesiredStatus::Stopped => Desired::Stopped,
        },
        containers: payload.containers.into_iter().map(container).collect::<Result<_, _>>()?,
        volumes: payload.volumes.into_iter().map(volume).collect::<Result<_, _>>()?,
        cpu_millis: payload.cpu.map(cpu_millis).transpose()?,
        memory: payload.memory.and_then(|mib| memory("memory", mib).transpose()).transpose()?,
        network_mode: match payload.network_mode.as_str() {
            "" | "bridge" => NetworkMode::Bridge,
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            "awsvpc" => NetworkMode::Awsvpc,
            other => return Err(invalid("networkMode", other)),
        },
        interface: match payload.network_mode.as_str() {
            "awsvpc" => payload.elastic_network_interfaces.first().map(interface).transpose()?,
            _ => None,
        },
        pid_mode: namespace("pidMode", &payload.pid_mode)?,
        ipc_mode: namespace("ipcMode", &payload.ipc_mode)?,
        launch_type: payload.launch_type,
        service_name: non_empty(payload.service_name),
        group: non_empty(payload.group),
        task_credentials: credentials_id(payload.role_credentials.as_ref()),
        execution_credentials: credentials_id(payload.execution_role_credentials.as_ref()),
        enable_fault_injection: payload.enable_fault_injection,
    })
}

/// The interface of a task, whose IPv4 address, gateway, MAC address and id have to be there (agent-protocol G12).
fn interface(own: &wire::ElasticNetworkInterface) -> Result<TaskInterface, LoadError> {
    let bad = |what: &'static str| LoadError::Interface { id: own.ec2_id.clone(), what };
    let address = own
        .ipv4_addresses
        .iter()
        .find(|address| address.primary)
        .or(own.ipv4_addresses.first())
        .and_then(|address| address.private_address.parse().ok())
        .ok_or_else(|| bad("no IPv4 address"))?;
    let gateway = own.subnet_gateway_ipv4_address.split_once('/');
    let gateway = gateway.and_then(|(gateway, prefix)| Some((gateway.parse().ok()?, prefix.parse().ok()?)));
    let (gateway, prefix) =
        gateway.filter(|(_, prefix)| *prefix <= 32).ok_or_else(|| bad("no gateway with a prefix"))?;
    if own.mac_address.is_empty() || own.ec2_id.is_empty() {
        return Err(bad("no MAC address or no id"));
    }
    Ok(TaskInterface {
        attachment_arn: own.attachment_arn.clone(),
        id: own.ec2_id.clone(),
        mac: own.mac_address.clone(),
        address,
        gateway,
        prefix,
        private_dns_name: own.private_dns_name.clone(),
        name_servers: own.domain_name_servers.clone(),
        search_domains: own.domain_name.clone(),
    })
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn credentials_id(credentials: Option<&wire::RoleCredentials>) -> Option<CredentialsId> {
    let id = &credentials?.credentials_id.0;
    (!id.is_empty()).then(|| CredentialsId::new(id))
}

/// vCPU to thousandths, rounded up so that a small share does not become none.
fn cpu_millis(vcpu: f64) -> Result<u32, LoadError> {
    let millis = (vcpu * 1000.0).ceil();
    if (0.0..=1e9).contains(&millis) { Ok(millis as u32) } else { Err(invalid("cpu", vcpu)) }
}

/// MiB; zero is none.
fn memory(member: &'static str, mib: i64) -> Result<Option<MemoryMib>, LoadError> {
    let mib = u32::try_from(mib).map_err(|_| invalid(member, mib))?;
    Ok((mib > 0).then_some(MemoryMib(mib)))
}

fn namespace(member: &'static str, text: &str) -> Result<NamespaceMode, LoadError> {
    match text {
        "" => Ok(NamespaceMode::Private),
        "host" => Ok(NamespaceMode::Host),
        "task" => Ok(NamespaceMode::Task),
        "none" => Ok(NamespaceMode::None),
        other => Err(invalid(member, other)),
    }
}

fn name(text: &str) -> Result<ContainerName, LoadError> {
    ContainerName::parse(text).map_err(|source| LoadError::ContainerName { name: text.to_owned(), source })
}

fn container(payload: ContainerPayload) -> Result<ContainerDefinition, LoadError> {
    let overridden = overridden_command(&payload)?;
    let docker = payload.docker_config.unwrap_or_default();
    let tracks_health = payload.health_check_type.eq_ignore_ascii_case("docker");
    let health = match (tracks_health, has_health_check(&docker.config)) {
        (false, _) => HealthTracking::Off,
        (true, true) => HealthTracking::On,
        (true, false) => HealthTracking::Missing,
    };
    Ok(ContainerDefinition {
        name: name(&payload.name)?,
        role: ContainerRole::Ordinary,
        image: payload.image,
        essential: payload.essential,
        cpu: CpuUnits(u32::try_from(payload.cpu).map_err(|_| invalid("cpu", payload.cpu))?),
        memory: memory("memory", payload.memory)?,
        memory_reservation: memory_reservation(&docker.host_config),
        entry_point: payload.entry_point,
        command: overridden.or(payload.command),
        environment: Environment(payload.environment.0),
        environment_files: payload
            .environment_files
            .into_iter()
            .map(|file| EnvironmentFile { value: file.value, kind: file.kind })
            .collect(),
        secrets: payload.secrets.into_iter().map(secret).collect(),
        ports: payload.port_mappings.iter().map(port_mapping).collect::<Result<_, _>>()?,
        links: payload.links,
        mounts: payload
            .mount_points
            .into_iter()
            .map(|mount| MountPoint {
                volume: mount.source_volume,
                container_path: mount.container_path,
                read_only: mount.read_only,
            })
            .collect(),
        volumes_from: payload
            .volumes_from
            .into_iter()
            .map(|from| {
                Ok(VolumesFrom { container: name(&from.source_container)?, read_only: from.read_only })
            })
            .collect::<Result<_, LoadError>>()?,
        depends_on: payload.depends_on.iter().map(dependency).collect::<Result<_, _>>()?,
        start_timeout: seconds(payload.start_timeout),
        stop_timeout: seconds(payload.stop_timeout),
        restart_policy: payload.restart_policy.map(|policy| RestartPolicy {
            enabled: policy.enabled,
            ignored_exit_codes: policy.ignored_exit_codes,
            // The server fills in its default; agents have none (agent-protocol G10).
            attempt_period: seconds(policy.restart_attempt_period).unwrap_or_default(),
        }),
        health,
        registry_auth: registry_auth(payload.registry_authentication)?,
        arn: non_empty(payload.container_arn),
        docker_config: non_empty(docker.config).map(Opaque),
        docker_host_config: non_empty(docker.host_config).map(Opaque),
    })
}

fn seconds(seconds: Option<u32>) -> Option<Duration> {
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}

/// `overrides` of a container: JSON in a string, whose only key may be `command`.
fn overridden_command(payload: &ContainerPayload) -> Result<Option<Vec<String>>, LoadError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Overrides {
        #[serde(default)]
        command: Option<Vec<String>>,
    }
    if payload.overrides.is_empty() {
        return Ok(None);
    }
    let parsed: Option<Overrides> = serde_json::from_str(&payload.overrides)
        .map_err(|source| LoadError::Overrides { container: payload.name.clone(), source })?;
    Ok(parsed.and_then(|overrides| overrides.command))
}

/// True if the `config` text has a health check. A text that is no JSON has none; the runtime
/// will say what is wrong with it.
fn has_health_check(config: &str) -> bool {
    let config: Option<serde_json::Value> = serde_json::from_str(config).ok();
    config.is_some_and(|config| config.get("Healthcheck").is_some_and(|check| check.is_object()))
}

/// `MemoryReservation` of the `hostConfig` text, bytes rounded up to MiB.
fn memory_reservation(host_config: &str) -> Option<MemoryMib> {
    let host_config: serde_json::Value = serde_json::from_str(host_config).ok()?;
    let bytes = host_config.get("MemoryReservation")?.as_u64().filter(|bytes| *bytes > 0)?;
    u32::try_from(bytes.div_ceil(1 << 20)).ok().map(MemoryMib)
}

fn protocol(text: &str) -> Result<Protocol, LoadError> {
    match text {
        "" | "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        other => Err(invalid("protocol", other)),
    }
}

fn port_mapping(mapping: &wire::PortMapping) -> Result<PortMapping, LoadError> {
    let protocol = protocol(&mapping.protocol)?;
    let range = &mapping.container_port_range;
    if !range.is_empty() {
        let parsed = range.split_once('-').and_then(|(first, last)| {
            let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first > 0 && last >= first).then(|| (Port(first), (last - first).saturating_add(1)))
        });
        let (container_first, count) = parsed.ok_or_else(|| invalid("containerPortRange", range))?;
        return Ok(PortMapping { container_first, count, host: None, protocol, range: true });
    }
    let container = mapping.container_port.filter(|port| *port > 0);
    let container = container.ok_or_else(|| invalid("containerPort", 0))?;
    let host = mapping.host_port.filter(|port| *port > 0).map(Port);
    Ok(PortMapping { container_first: Port(container), count: 1, host, protocol, range: false })
}

fn dependency(depends_on: &wire::DependsOn) -> Result<Dependency, LoadError> {
    let condition = match depends_on.condition.to_ascii_uppercase().as_str() {
        "START" => Condition::Start,
        "COMPLETE" => Condition::Complete,
        "SUCCESS" => Condition::Success,
        "HEALTHY" => Condition::Healthy,
        other => return Err(invalid("condition", other)),
    };
    Ok(Dependency { on: name(&depends_on.container_name)?, condition })
}

fn secret(secret: wire::Secret) -> SecretReference {
    SecretReference {
        name: secret.name,
        value_from: secret.value_from,
        provider: secret.provider,
        region: secret.region,
        target: match secret.target.as_str() {
            "LOG_DRIVER" => SecretTarget::LogDriver,
            _ => SecretTarget::Environment,
        },
    }
}

fn registry_auth(auth: Option<wire::RegistryAuthentication>) -> Result<RegistryAuth, LoadError> {
    let Some(auth) = auth else { return Ok(RegistryAuth::Node) };
    match (auth.kind.as_str(), auth.ecr_auth_data, auth.asm_auth_data) {
        ("ecr", Some(ecr), _) => Ok(RegistryAuth::Ecr {
            registry_id: ecr.registry_id,
            region: ecr.region,
            endpoint_override: ecr.endpoint_override,
            use_execution_role: ecr.use_execution_role,
        }),
        ("asm", _, Some(asm)) => {
            Ok(RegistryAuth::Asm { parameter: asm.credentials_parameter, region: asm.region })
        }
        _ => Err(invalid("registryAuthentication", auth.kind)),
    }
}

fn volume(volume: wire::VolumePayload) -> Result<VolumeDefinition, LoadError> {
    let kind = if volume.kind.is_empty() { "host" } else { volume.kind.as_str() };
    let source =
        match (kind, volume.host, volume.docker_volume_configuration, volume.efs_volume_configuration) {
            ("host", host, ..) => match host.map(|host| host.source_path).and_then(non_empty) {
                Some(path) => VolumeSource::HostPath(path),
                None => VolumeSource::Anonymous,
            },
            ("docker", _, Some(docker), _) => VolumeSource::Docker(DockerVolume {
                shared: docker.scope == "shared",
                autoprovision: docker.autoprovision,
                driver: non_empty(docker.driver).unwrap_or_else(|| "local".to_owned()),
                driver_options: docker.driver_opts,
                labels: docker.labels,
            }),
            ("efs", _, _, Some(efs)) => {
                let authorization = efs.authorization_config.unwrap_or_default();
                VolumeSource::Efs(EfsVolume {
                    file_system_id: efs.file_system_id,
                    root_directory: non_empty(efs.root_directory).unwrap_or_else(|| "/".to_owned()),
                    transit_encryption: efs.transit_encryption == "ENABLED",
                    transit_encryption_port: efs.transit_encryption_port,
                    access_point_id: non_empty(authorization.access_point_id),
                    iam: authorization.iam == "ENABLED",
                })
            }
            _ => return Err(LoadError::Volume(volume.name)),
        };
    Ok(VolumeDefinition { name: volume.name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(task: &str) -> Result<TaskSpec, String> {
        let value = serde_json::from_str(task).expect("it is JSON");
        let payload = TaskPayload::decode(value).map_err(|error| error.to_string())?;
        task_spec(payload).map_err(|error| error.to_string())
    }

    fn with_container(members: &str) -> Result<TaskSpec, String> {
        load(&format!(
            r#"{{"arn": "arn:x:task/c/1", "desiredStatus": "RUNNING", "family": "web", "version": "3",
                "containers": [{{"name": "main", "image": "bb", "essential": true {members}}}]}}"#
        ))
    }

    #[test]
    fn a_small_task_loads() {
        let spec = with_container(r#", "cpu": 10, "memory": 64, "command": ["sleep", "60"]"#).expect("valid");
        assert_eq!((spec.family.as_str(), spec.revision.as_str()), ("web", "3"));
        assert_eq!(spec.key.id(), "1");
        let main = &spec.containers[0];
        assert_eq!((main.cpu, main.memory), (CpuUnits(10), Some(MemoryMib(64))));
        assert_eq!(main.command.as_deref(), Some(["sleep".to_owned(), "60".to_owned()].as_slice()));
        assert_eq!(main.health, HealthTracking::Off);
    }

    #[test]
    fn the_command_may_be_overridden_and_nothing_else() {
        let spec = with_container(r#", "command": ["a"], "overrides": "{\"command\":[\"b\"]}""#);
        assert_eq!(spec.expect("valid").containers[0].command, Some(vec!["b".to_owned()]));
        assert!(with_container(r#", "overrides": "{}""#).is_ok());
        let error = with_container(r#", "overrides": "{\"cpu\":1}""#).expect_err("cpu is not allowed");
        assert!(error.starts_with("invalid overrides of container 'main': unknown field `cpu`"), "{error}");
    }

    #[test]
    fn the_docker_texts_are_looked_into() {
        let spec = with_container(
            r#", "healthCheckType": "docker", "dockerConfig": {
                "config": "{\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"]}}",
                "hostConfig": "{\"MemoryReservation\":1048577}"}"#,
        )
        .expect("valid");
        assert_eq!(spec.containers[0].health, HealthTracking::On);
        assert_eq!(spec.containers[0].memory_reservation, Some(MemoryMib(2)));
        let spec = with_container(r#", "healthCheckType": "docker""#).expect("the engine refuses it");
        assert_eq!(spec.containers[0].health, HealthTracking::Missing);
    }

    #[test]
    fn ports_are_single_or_ranges() {
        let spec = with_container(
            r#", "portMappings": [{"containerPort": 80, "hostPort": 0}, {"containerPort": 53, "hostPort": 5353,
                "protocol": "udp"}, {"containerPortRange": "8000-8010", "protocol": "tcp"}]"#,
        )
        .expect("valid");
        let port = |container_first, count, host: Option<u16>, protocol, range| PortMapping {
            container_first: Port(container_first),
            count,
            host: host.map(Port),
            protocol,
            range,
        };
        assert_eq!(
            spec.containers[0].ports,
            [
                port(80, 1, None, Protocol::Tcp, false),
                port(53, 1, Some(5353), Protocol::Udp, false),
                port(8000, 11, None, Protocol::Tcp, true),
            ]
        );
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        for (members, expected) in [
            (r#", "cpu": -1"#, "invalid cpu '-1'"),
            (r#", "portMappings": [{"hostPort": 1}]"#, "invalid containerPort '0'"),
            (r#", "portMappings": [{"containerPortRange": "9-1"}]"#, "invalid containerPortRange '9-1'"),
            (r#", "dependsOn": [{"containerName": "b", "condition": "SOON"}]"#, "invalid condition 'SOON'"),
            (r#", "registryAuthentication": {"type": "magic"}"#, "invalid registryAuthentication 'magic'"),
            (r#", "volumesFrom": [{"sourceContainer": ""}]"#, "invalid container name '': the name is empty"),
        ] {
            assert_eq!(with_container(members).expect_err(members), expected);
        }
    }

    #[test]
    fn interfaces_are_read_in_awsvpc_mode() {
        let load = |mode: &str, interface: &str| {
            let interfaces = format!(r#""networkMode": "{mode}", "elasticNetworkInterfaces": [{interface}]"#);
            load(&format!(r#"{{"arn": "a/t", "desiredStatus": "RUNNING", {interfaces}}}"#))
        };
        let whole = r#"{"attachmentArn": "arn", "ec2Id": "eni-1", "macAddress": "02:00:00:00:00:aa", "index": 0,
            "ipv4Addresses": [{"privateAddress": "10.9.1.6", "primary": false},
                              {"privateAddress": "10.9.1.5", "primary": true}],
            "subnetGatewayIpv4Address": "10.9.0.1/16", "domainNameServers": ["10.9.0.2"],
            "domainName": ["ec2.internal"], "privateDnsName": "ip-10-9-1-5.ec2.internal"}"#;
        let interface = load("awsvpc", whole).expect("it loads").interface.expect("it has one");
        assert_eq!(interface.address.to_string(), "10.9.1.5", "the primary one");
        assert_eq!((interface.gateway.to_string().as_str(), interface.prefix), ("10.9.0.1", 16));
        assert_eq!(interface.name_servers, ["10.9.0.2"]);
        assert_eq!(load("bridge", whole).expect("it loads").interface, None);
        for (member, text) in [
            ("\"subnetGatewayIpv4Address\": \"10.9.0.1\"", "no gateway with a prefix"),
            ("\"subnetGatewayIpv4Address\": \"10.9.0.1/33\"", "no gateway with a prefix"),
            ("\"ipv4Addresses\": []", "no IPv4 address"),
            ("\"macAddress\": \"\"", "no MAC address or no id"),
        ] {
            let mut broken: serde_json::Value = serde_json::from_str(whole).expect("JSON");
            let patch: serde_json::Value = serde_json::from_str(&format!("{{{member}}}")).expect("JSON");
            for (key, value) in patch.as_object().expect("an object") {
                broken[key] = value.clone();
            }
            let error = load("awsvpc", &broken.to_string()).expect_err(text);
            assert_eq!(error, format!("invalid network interface 'eni-1': {text}"));
        }
    }

    #[test]
    fn volumes_follow_their_type() {
        let spec = load(
            r#"{"arn": "t", "desiredStatus": "RUNNING", "cpu": 0.25, "volumes": [
                {"name": "a", "host": {"sourcePath": "/srv"}}, {"name": "b", "type": "host", "host": {}},
                {"name": "c", "type": "docker", "dockerVolumeConfiguration": {"scope": "shared"}},
                {"name": "d", "type": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]}"#,
        )
        .expect("valid");
        assert_eq!(spec.cpu_millis, Some(250));
        assert_eq!(spec.volumes[0].source, VolumeSource::HostPath("/srv".into()));
        assert_eq!(spec.volumes[1].source, VolumeSource::Anonymous);
        assert!(
            matches!(&spec.volumes[2].source, VolumeSource::Docker(v) if v.shared && v.driver == "local")
        );
        assert!(matches!(&spec.volumes[3].source, VolumeSource::Efs(v) if v.root_directory == "/"));
        let unusable = load(r#"{"arn":"t","desiredStatus":"RUNNING","volumes":[{"name":"x","type":"efs"}]}"#);
        assert_eq!(unusable.expect_err("no configuration"), "volume 'x' has no usable configuration");
    }
}
