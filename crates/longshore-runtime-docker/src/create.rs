//! From a container's specification to the request that creates it (agent-protocol G11).

use std::collections::{BTreeSet, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig,
    PortBinding as EngineBinding,
};
use longshore_engine::spec::{ContainerSpec, NetworkMode, NetworkPlace, PortBinding};
use longshore_runtime::{ErrorKind, RuntimeError};

use crate::overlay::lay_over;
use crate::turns::joins_network;

/// A request, and what it lets us know about the container without asking.
#[derive(Debug)]
pub(crate) struct Request {
    pub body: ContainerCreateBody,
    /// The bindings as they will be; `None` if the payload's `hostConfig` has a say in them, so that only
    /// the engine knows.
    pub ports: Option<Vec<PortBinding>>,
    pub has_health_check: bool,
    /// False if it is to share another container's network.
    pub joins_network: bool,
}

/// Builds the request. `image_sets` are the names of the variables that the image sets; it has
/// to be known only if the specification has defaults for the environment.
pub(crate) fn request(
    spec: &ContainerSpec,
    image_sets: Option<&BTreeSet<String>>,
) -> Result<Request, RuntimeError> {
    let mut body = ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entry_point.clone(),
        cmd: spec.command.clone(),
        env: Some(environment(spec, image_sets)),
        exposed_ports: exposed(&spec.ports),
        stop_timeout: i64::try_from(spec.stop_timeout.as_secs()).ok(),
        ..ContainerCreateBody::default()
    };
    if let Some(text) = &spec.docker_config {
        let decoded: ContainerCreateBody = lay_over(&body, &text.0).map_err(|error| {
            RuntimeError::new(ErrorKind::BadConfig, format!("Unable to decode given docker config: {error}"))
        })?;
        // The text is a `Config`; the creation request's other members are not its business.
        body = ContainerCreateBody { host_config: None, networking_config: None, ..decoded };
    }
    let labels = body.labels.get_or_insert_default();
    labels.extend(spec.labels.iter().map(|(key, value)| (key.clone(), value.clone())));

    let built = host_config(spec);
    let mut host = match &spec.docker_host_config {
        None => built.clone(),
        Some(text) => lay_over(&built, &text.0).map_err(|error| {
            RuntimeError::new(
                ErrorKind::BadHostConfig,
                format!("Unable to decode given host config: {error}"),
            )
        })?,
    };
    place(spec, &mut body, &mut host)?;
    if !spec.log_secrets.is_empty() {
        let options = host.log_config.get_or_insert_default().config.get_or_insert_default();
        options.extend(spec.log_secrets.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())));
    }
    let ports_are_ours =
        host.port_bindings == built.port_bindings && !host.publish_all_ports.unwrap_or_default();
    let has_ports = matches!(host.network_mode.as_deref(), Some("bridge" | "default"));
    let ports_are_ours = ports_are_ours || spec.network != NetworkPlace::ByMode;
    let ports = match (ports_are_ours, has_ports) {
        (true, true) => Some(spec.ports.clone()),
        // The engine accepts bindings in other modes, and ignores them.
        (true, false) => Some(Vec::new()),
        (false, _) => None,
    };
    let has_health_check = body
        .healthcheck
        .as_ref()
        .and_then(|check| check.test.as_ref())
        .is_some_and(|test| test.first().is_some_and(|word| word != "NONE"));
    let joins_network = joins_network(host.network_mode.as_deref().unwrap_or_default());
    body.host_config = Some(host);
    Ok(Request { body, ports, has_health_check, joins_network })
}

fn environment(spec: &ContainerSpec, image_sets: Option<&BTreeSet<String>>) -> Vec<String> {
    let set = &spec.environment.0;
    let defaults =
        spec.environment_defaults.0.iter().filter(|(name, _)| {
            !set.contains_key(*name) && !image_sets.is_some_and(|sets| sets.contains(*name))
        });
    set.iter().chain(defaults).map(|(name, value)| format!("{name}={value}")).collect()
}

/// `80/tcp`
fn engine_port(port: &PortBinding) -> String {
    format!("{}/{}", port.container, port.protocol.as_str())
}

fn exposed(ports: &[PortBinding]) -> Option<Vec<String>> {
    let ports: BTreeSet<String> = ports.iter().map(engine_port).collect();
    (!ports.is_empty()).then(|| ports.into_iter().collect())
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let mut bindings: HashMap<String, Option<Vec<EngineBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = EngineBinding {
            host_ip: spec.bind_address.map(|address| address.to_string()),
            host_port: Some(port.host.to_string()),
        };
        bindings.entry(engine_port(port)).or_default().get_or_insert_default().push(binding);
    }
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    HostConfig {
        cpu_shares: Some(i64::from(spec.cpu_shares)),
        memory: spec.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        binds: some(&spec.binds),
        volumes_from: some(&spec.volumes_from),
        links: some(&spec.links),
        port_bindings: (!bindings.is_empty()).then_some(bindings),
        pid_mode: spec.pid_mode.clone(),
        ipc_mode: spec.ipc_mode.clone(),
        cgroup_parent: spec.cgroup_parent.clone(),
        ..HostConfig::default()
    }
}

/// Puts the container into its network.
fn place(
    spec: &ContainerSpec,
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
) -> Result<(), RuntimeError> {
    match &spec.network {
        NetworkPlace::ByMode => {
            if host.network_mode.is_none() {
                host.network_mode = Some(network_mode(spec.network_mode)?.to_owned());
            }
        }
        NetworkPlace::Own { network, interface } => {
            let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
            host.network_mode = Some(network.clone());
            host.dns = some(&interface.name_servers);
            host.dns_search = some(&interface.search_domains);
            // Engines keep 64 characters of a host name at most, and hosts have no dots in theirs.
            let name = interface.private_dns_name.split('.').next().filter(|name| !name.is_empty());
            body.hostname = name.map(str::to_owned);
            let endpoint = EndpointSettings {
                ipam_config: Some(EndpointIpamConfig {
                    ipv4_address: Some(interface.address.to_string()),
                    ..EndpointIpamConfig::default()
                }),
                mac_address: Some(interface.mac.clone()),
                ..EndpointSettings::default()
            };
            let endpoints = HashMap::from([(network.clone(), endpoint)]);
            body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
        }
        NetworkPlace::Shared(pause) => {
            host.network_mode = Some(format!("container:{pause}"));
            // The engine refuses all of these beside a name space that belongs to another container.
            host.port_bindings = None;
            host.publish_all_ports = None;
            host.links = None;
            host.dns = None;
            host.dns_search = None;
            host.dns_options = None;
            host.extra_hosts = None;
            body.hostname = None;
            body.domainname = None;
            body.exposed_ports = None;
            body.network_disabled = None;
        }
    }
    Ok(())
}

/// Docker's name of a task's network mode. The payload's `NetworkMode` comes before this.
fn network_mode(mode: NetworkMode) -> Result<&'static str, RuntimeError> {
    match mode {
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => Ok(mode.as_str()),
        NetworkMode::Awsvpc => Err(RuntimeError::new(
            ErrorKind::Refused,
            "network mode awsvpc needs a network name space to join, and the task has none on this instance",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use longshore_base::{Port, Protocol};
    use longshore_engine::spec::{Environment, Opaque, RuntimeId, SecretText, TaskInterface};
    use serde_json::{Value, json};

    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "ecs-web-1-main-0123456789abcdef0123".to_owned(),
            image: "longshore/web:1".to_owned(),
            entry_point: None,
            command: None,
            environment: Environment(BTreeMap::from([("A".to_owned(), "1".to_owned())])),
            environment_defaults: Environment::default(),
            cpu_shares: 2,
            memory_bytes: Some(64 << 20),
            ports: Vec::new(),
            bind_address: None,
            binds: Vec::new(),
            volumes_from: Vec::new(),
            links: Vec::new(),
            labels: BTreeMap::from([("l".to_owned(), "ours".to_owned())]),
            network_mode: NetworkMode::Bridge,
            network: NetworkPlace::ByMode,
            pid_mode: None,
            ipc_mode: None,
            cgroup_parent: None,
            log_secrets: Vec::new(),
            stop_timeout: Duration::from_secs(30),
            docker_config: None,
            docker_host_config: None,
        }
    }

    fn json_of(spec: &ContainerSpec) -> Value {
        serde_json::to_value(request(spec, None).expect("a valid specification").body).expect("serialisable")
    }

    #[test]
    fn the_smallest_request() {
        assert_eq!(
            json_of(&spec()),
            json!({
                "Image": "longshore/web:1", "Env": ["A=1"], "Labels": {"l": "ours"}, "StopTimeout": 30,
                "HostConfig": {"CpuShares": 2, "Memory": 67108864, "NetworkMode": "bridge"}
            })
        );
    }

    #[test]
    fn fields_reach_their_place() {
        let binding = |container, host, protocol| PortBinding {
            container: Port(container),
            host: Port(host),
            protocol,
        };
        let json = json_of(&ContainerSpec {
            entry_point: Some(vec!["/web".to_owned()]),
            command: Some(vec!["sleep".to_owned(), "1".to_owned()]),
            ports: vec![
                binding(80, 32768, Protocol::Tcp),
                binding(80, 32769, Protocol::Tcp),
                binding(53, 53, Protocol::Udp),
            ],
            binds: vec!["/srv:/data:ro".to_owned()],
            volumes_from: vec!["ecs-other:ro".to_owned()],
            links: vec!["ecs-db:db".to_owned()],
            pid_mode: Some("host".to_owned()),
            ipc_mode: Some("host".to_owned()),
            cgroup_parent: Some("/ecs/1".to_owned()),
            log_secrets: vec![("token".to_owned(), SecretText::new("s3cret"))],
            ..spec()
        });
        assert_eq!(json["Entrypoint"], json!(["/web"]));
        assert_eq!(json["Cmd"], json!(["sleep", "1"]));
        assert_eq!(json["ExposedPorts"], json!({"53/udp": {}, "80/tcp": {}}));
        let host = &json["HostConfig"];
        assert_eq!(host["PortBindings"]["80/tcp"], json!([{"HostPort": "32768"}, {"HostPort": "32769"}]));
        assert_eq!(host["PortBindings"]["53/udp"], json!([{"HostPort": "53"}]));
        assert_eq!(host["Binds"], json!(["/srv:/data:ro"]));
        assert_eq!(host["VolumesFrom"], json!(["ecs-other:ro"]));
        assert_eq!(host["Links"], json!(["ecs-db:db"]));
        assert_eq!((&host["PidMode"], &host["IpcMode"]), (&json!("host"), &json!("host")));
        assert_eq!(host["CgroupParent"], json!("/ecs/1"));
        assert_eq!(host["LogConfig"]["Config"], json!({"token": "s3cret"}));
    }

    /// Every row of the table in agent-protocol G7.
    #[test]
    fn the_payloads_texts_are_laid_over() {
        let config = json!({
            "Labels": {"l": "theirs", "mine": "1"}, "User": "nobody", "WorkingDir": "/tmp", "Hostname": "h",
            "OpenStdin": true, "Tty": true, "NetworkDisabled": true, "HostConfig": {"Privileged": true},
            "Healthcheck": {"Test": ["CMD", "x"], "Interval": 30000000000_i64, "Timeout": 5000000000_i64,
                            "StartPeriod": 1000000000_i64, "Retries": 3}
        });
        let host = json!({
            "NetworkMode": "host", "MemoryReservation": 1048576, "LogConfig": {"Type": "none", "Config": {}},
            "Privileged": true, "ReadonlyRootfs": true, "Dns": ["1.1.1.1"], "DnsSearch": ["x"],
            "ExtraHosts": ["a:1.2.3.4"], "SecurityOpt": ["no-new-privileges"],
            "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}], "CapAdd": ["SYS_PTRACE"], "CapDrop": ["ALL"],
            "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rw"}],
            "Init": true, "ShmSize": 67108864, "MemorySwap": 134217728, "MemorySwappiness": 60,
            "Tmpfs": {"/run": "size=64m"}, "Sysctls": {"net.core.somaxconn": "1024"}, "CpuShares": 512
        });
        let spec = ContainerSpec {
            docker_config: Some(Opaque(config.to_string())),
            docker_host_config: Some(Opaque(host.to_string())),
            ..spec()
        };
        let json = json_of(&spec);
        assert_eq!(json["Labels"], json!({"l": "ours", "mine": "1"}), "our labels win");
        for key in ["User", "WorkingDir", "Hostname", "OpenStdin", "Tty", "NetworkDisabled", "Healthcheck"] {
            assert_eq!(json[key], config[key], "{key}");
        }
        for (key, value) in host.as_object().expect("an object") {
            assert_eq!(&json["HostConfig"][key], value, "{key}");
        }
        assert_eq!(json["HostConfig"]["Memory"], json!(67108864), "what is absent stays as built");
        assert!(request(&spec, None).expect("valid").has_health_check);
    }

    #[test]
    fn undecodable_texts_are_told_apart_and_not_quoted() {
        let text = Some(Opaque(r#"{"User": ["hunter2"], "Privileged": "hunter2"}"#.to_owned()));
        let error =
            request(&ContainerSpec { docker_config: text.clone(), ..spec() }, None).expect_err("a list");
        assert_eq!(error.kind, ErrorKind::BadConfig);
        let error =
            request(&ContainerSpec { docker_host_config: text, ..spec() }, None).expect_err("a string");
        assert_eq!(error.kind, ErrorKind::BadHostConfig);
        assert!(error.text.starts_with("Unable to decode given host config: "), "{error}");
    }

    #[test]
    fn ports_are_known_unless_the_payload_binds_its_own() {
        let ports = vec![PortBinding { container: Port(80), host: Port(32768), protocol: Protocol::Tcp }];
        let known = |host: &str| {
            let spec = ContainerSpec {
                ports: ports.clone(),
                docker_host_config: Some(Opaque(host.to_owned())),
                ..spec()
            };
            request(&spec, None).expect("valid").ports
        };
        assert_eq!(known("{}"), Some(ports.clone()));
        assert_eq!(known(r#"{"NetworkMode": "host"}"#), Some(Vec::new()));
        assert_eq!(known(r#"{"PortBindings": {"81/tcp": [{"HostPort": "81"}]}}"#), None);
        assert_eq!(known(r#"{"PublishAllPorts": true}"#), None);
    }

    #[test]
    fn defaults_yield_to_the_definition_and_the_image() {
        let defaults =
            ["A", "B", "C"].map(|name| (name.to_owned(), "default".to_owned())).into_iter().collect();
        let spec = ContainerSpec { environment_defaults: Environment(defaults), ..spec() };
        let image = BTreeSet::from(["B".to_owned()]);
        let body = request(&spec, Some(&image)).expect("valid").body;
        assert_eq!(body.env, Some(vec!["A=1".to_owned(), "C=default".to_owned()]));
    }

    #[test]
    fn awsvpc_needs_a_name_space_from_the_payload() {
        let awsvpc = ContainerSpec { network_mode: NetworkMode::Awsvpc, ..spec() };
        assert_eq!(request(&awsvpc, None).expect_err("nothing to join").kind, ErrorKind::Refused);
        let joined = Some(Opaque(r#"{"NetworkMode": "container:x"}"#.to_owned()));
        assert!(request(&ContainerSpec { docker_host_config: joined, ..awsvpc }, None).is_ok());
    }

    #[test]
    fn a_pause_container_has_its_own_place() {
        let interface = TaskInterface {
            attachment_arn: String::new(),
            id: "eni-1".to_owned(),
            mac: "02:42:0a:09:00:05".to_owned(),
            address: Ipv4Addr::new(10, 9, 0, 5),
            gateway: Ipv4Addr::new(10, 9, 0, 1),
            prefix: 24,
            private_dns_name: "ip-10-9-0-5.ec2.internal".to_owned(),
            name_servers: vec!["10.9.0.2".to_owned()],
            search_domains: Vec::new(),
        };
        let network = NetworkPlace::Own { network: "tasks".to_owned(), interface };
        let json = json_of(&ContainerSpec { network_mode: NetworkMode::Awsvpc, network, ..spec() });
        assert_eq!(json["HostConfig"]["NetworkMode"], "tasks");
        assert_eq!(json["HostConfig"]["Dns"], json!(["10.9.0.2"]));
        assert_eq!(json["HostConfig"].get("DnsSearch"), None);
        assert_eq!(json["Hostname"], "ip-10-9-0-5");
        assert_eq!(
            json["NetworkingConfig"]["EndpointsConfig"],
            json!({"tasks": {"IPAMConfig": {"IPv4Address": "10.9.0.5"}, "MacAddress": "02:42:0a:09:00:05"}})
        );
    }

    #[test]
    fn who_shares_a_name_space_brings_nothing_of_the_network() {
        let config =
            json!({"Hostname": "h", "Domainname": "d", "User": "nobody", "ExposedPorts": {"80/tcp": {}}});
        let host = json!({
            "NetworkMode": "bridge", "Dns": ["1.1.1.1"], "DnsSearch": ["x"], "ExtraHosts": ["a:1.2.3.4"],
            "PortBindings": {"80/tcp": [{"HostPort": "80"}]}, "Privileged": true
        });
        let joined = ContainerSpec {
            network_mode: NetworkMode::Awsvpc,
            network: NetworkPlace::Shared(RuntimeId::new("abc")),
            ports: vec![PortBinding { container: Port(80), host: Port(80), protocol: Protocol::Tcp }],
            docker_config: Some(Opaque(config.to_string())),
            docker_host_config: Some(Opaque(host.to_string())),
            ..spec()
        };
        let json = json_of(&joined);
        assert_eq!(json["HostConfig"]["NetworkMode"], "container:abc");
        for key in ["Dns", "DnsSearch", "ExtraHosts", "PortBindings"] {
            assert_eq!(json["HostConfig"].get(key), None, "{key}");
        }
        for key in ["Hostname", "Domainname", "ExposedPorts", "NetworkingConfig"] {
            assert_eq!(json.get(key), None, "{key}");
        }
        assert_eq!((&json["User"], &json["HostConfig"]["Privileged"]), (&json!("nobody"), &json!(true)));
        assert_eq!(request(&joined, None).expect("valid").ports, Some(Vec::new()));
    }
}
