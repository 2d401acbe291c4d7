//! What the agent answers to people on its machine (agent-protocol G16) and to the containers that it runs
//! (G17). Pure: the core and a path in, a status and a body out.
//!
//! Not served: statistics (`/stats`), tags, associations, the v2 and v3 metadata, task protection and fault
//! injection.

use std::borrow::Cow;
use std::collections::BTreeMap;

use longshore_base::{Cidr, Protocol, Timestamp};
use longshore_engine::input::HealthStatus;
use longshore_engine::network::TaskInterface;
use longshore_engine::spec::{CredentialsId, Desired, NetworkMode};
use longshore_engine::view::{ContainerView, KnownStatus, TaskView};
use longshore_engine::{LABEL_CLUSTER, LABEL_CONTAINER, LABEL_FAMILY, LABEL_REVISION, LABEL_TASK};
use serde::Serialize;
use serde_json::json;

use crate::core::{AGENT_HASH, AGENT_VERSION, AgentCore};

/// An HTTP answer with a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

fn answer(status: u16, body: &impl Serialize) -> Answer {
    let body = serde_json::to_string(body).expect("string keys and finite numbers always serialise");
    Answer { status, body }
}

/// The introspection server, usually on port 51678.
pub fn introspection(core: &AgentCore, path: &str, query: &str) -> Answer {
    match path {
        "/v1/metadata" => answer(
            200,
            &json!({
                "Cluster": core.config().cluster_name(),
                "ContainerInstanceArn": core.instance_arn(),
                "Version": format!("Amazon ECS Agent - v{AGENT_VERSION} ({AGENT_HASH})"),
            }),
        ),
        "/v1/tasks" => introspect_tasks(core, query),
        "/license" => answer(200, &"Apache-2.0"),
        _ => answer(200, &json!({"AvailableCommands": ["/v1/metadata", "/v1/tasks", "/license"]})),
    }
}

fn introspect_tasks(core: &AgentCore, query: &str) -> Answer {
    let parameter = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| longshore_sigv4::decode_component(value))
    };
    let one = |task: Option<TaskView<'_>>| match task {
        Some(task) => answer(200, &IntrospectedTask::of(task)),
        None => answer(404, &json!({})),
    };
    if let Some(arn) = parameter("taskarn") {
        one(core.engine().tasks().find(|task| task.key().arn() == arn))
    } else if let Some(id) = parameter("dockerid") {
        one(core.engine().container_by_runtime_id(&id).map(ContainerView::task))
    } else {
        let tasks: Vec<_> = core.engine().tasks().map(IntrospectedTask::of).collect();
        answer(200, &json!({"Tasks": tasks}))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IntrospectedTask<'a> {
    arn: &'a str,
    desired_status: &'static str,
    known_status: &'static str,
    family: &'a str,
    version: &'a str,
    containers: Vec<IntrospectedContainer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IntrospectedContainer<'a> {
    docker_id: &'a str,
    docker_name: &'a str,
    name: &'a str,
    image: &'a str,
    #[serde(rename = "ImageID")]
    image_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<NetworkInfo<'a>>,
}

impl<'a> IntrospectedTask<'a> {
    fn of(task: TaskView<'a>) -> Self {
        let containers = task.containers().map(|container| IntrospectedContainer {
            docker_id: container.runtime_id().map_or("", |id| id.as_str()),
            docker_name: container.runtime_name(),
            name: container.definition().name.as_str(),
            image: &container.definition().image,
            image_id: container.image_id().unwrap_or_default(),
            created_at: container.created_at().map(rfc3339),
            started_at: container.started_at().map(rfc3339),
            ports: ports(container, None),
            networks: networks(container),
        });
        Self {
            arn: task.key().arn(),
            desired_status: desired(task),
            known_status: task.status().reported().as_str(),
            family: &task.spec().family,
            version: &task.spec().revision,
            containers: containers.collect(),
        }
    }
}

/// The server for containers, behind `169.254.170.2`.
pub fn tasks(core: &AgentCore, path: &str, query: &str) -> Answer {
    if let Some(id) = path.strip_prefix("/v2/credentials/") {
        return credentials(core, id);
    }
    if path == "/v1/credentials" {
        let id = query.split('&').find_map(|pair| pair.strip_prefix("id="));
        return credentials(core, id.unwrap_or_default());
    }
    let Some(rest) = path.strip_prefix("/v4/") else {
        return answer(404, &"404 page not found");
    };
    let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(container) = core.engine().container_by_metadata_id(id) else {
        let text = format!("V4 metadata handler: unable to find the container with id {id}");
        return answer(404, &text);
    };
    match rest.trim_end_matches('/') {
        "" => answer(200, &ContainerMetadata::of(core, container)),
        "task" => answer(200, &TaskMetadata::of(core, container.task())),
        _ => answer(404, &"404 page not found"),
    }
}

fn credentials(core: &AgentCore, id: &str) -> Answer {
    let refused = |status: u16, code: &str, message: &str| {
        answer(status, &json!({"code": code, "message": message, "HTTPErrorCode": status}))
    };
    if id.is_empty() {
        return refused(400, "NoIdInRequest", "CredentialsV2Request: No ID in the request");
    }
    if let Some(stored) = core.credentials().get(id) {
        let credentials = &stored.credentials;
        return answer(
            200,
            &json!({
                "RoleArn": credentials.role_arn,
                "AccessKeyId": credentials.access_key_id,
                "SecretAccessKey": credentials.secret_access_key.0,
                "Token": credentials.session_token.0,
                "Expiration": credentials.expiration,
            }),
        );
    }
    // After a restart the ids are known from the journal, and the control plane sends the rest again.
    let is = |known: &Option<CredentialsId>| known.as_ref().is_some_and(|known| known.expose() == id);
    let is_expected = core
        .engine()
        .tasks()
        .any(|task| is(&task.spec().task_credentials) || is(&task.spec().execution_credentials));
    if is_expected {
        refused(503, "CredentialsUninitialized", "CredentialsV2Request: credentials are not yet there")
    } else {
        refused(400, "InvalidIdInRequest", "CredentialsV2Request: Credentials not found")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerMetadata<'a> {
    docker_id: &'a str,
    name: &'a str,
    docker_name: &'a str,
    image: &'a str,
    #[serde(rename = "ImageID")]
    image_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortInfo>,
    labels: BTreeMap<&'static str, &'a str>,
    desired_status: &'static str,
    known_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    limits: ContainerLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthInfo<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<VolumeInfo<'a>>,
    #[serde(rename = "ContainerARN", skip_serializing_if = "Option::is_none")]
    container_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<NetworkInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_count: Option<u32>,
}

/// CPU in units, memory in MiB.
#[derive(Serialize)]
struct ContainerLimits {
    #[serde(rename = "CPU")]
    cpu: u32,
    #[serde(rename = "Memory", skip_serializing_if = "Option::is_none")]
    memory: Option<u32>,
}

/// CPU in vCPU, memory in MiB.
#[derive(Serialize)]
struct TaskLimits {
    #[serde(rename = "CPU", skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    #[serde(rename = "Memory", skip_serializing_if = "Option::is_none")]
    memory: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PortInfo {
    container_port: u16,
    protocol: &'static str,
    host_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_ip: Option<&'static str>,
}

#[derive(Serialize)]
struct NetworkInfo<'a> {
    #[serde(rename = "NetworkMode")]
    network_mode: &'a str,
    #[serde(rename = "IPv4Addresses")]
    ipv4_addresses: Vec<Cow<'a, str>>,
    #[serde(rename = "IPv6Addresses", skip_serializing_if = "Vec::is_empty")]
    ipv6_addresses: Vec<&'a str>,
    #[serde(flatten)]
    interface: Option<InterfaceInfo<'a>>,
}

/// What more there is to say in awsvpc mode (agent-protocol G17).
#[derive(Serialize)]
struct InterfaceInfo<'a> {
    #[serde(rename = "AttachmentIndex")]
    index: u32,
    #[serde(rename = "MACAddress")]
    mac: &'a str,
    #[serde(rename = "IPv4SubnetCIDRBlock")]
    subnet: String,
    #[serde(rename = "DomainNameServers", skip_serializing_if = "<[_]>::is_empty")]
    name_servers: &'a [String],
    #[serde(rename = "DomainNameSearchList", skip_serializing_if = "<[_]>::is_empty")]
    search_domains: &'a [String],
    #[serde(rename = "PrivateDNSName", skip_serializing_if = "str::is_empty")]
    private_dns_name: &'a str,
    #[serde(rename = "SubnetGatewayIpv4Address")]
    gateway: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeInfo<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    docker_name: &'a str,
    source: &'a str,
    destination: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthInfo<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    output: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaskMetadata<'a> {
    cluster: &'a str,
    #[serde(rename = "TaskARN")]
    task_arn: &'a str,
    family: &'a str,
    revision: &'a str,
    desired_status: &'static str,
    known_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<TaskLimits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone: Option<&'a str>,
    launch_type: &'a str,
    containers: Vec<ContainerMetadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    fault_injection_enabled: bool,
}

impl<'a> ContainerMetadata<'a> {
    fn of(core: &'a AgentCore, container: ContainerView<'a>) -> Self {
        let definition = container.definition();
        let task = container.task();
        let has_policy = definition.restart_policy.as_ref().is_some_and(|policy| policy.enabled);
        let mounts = container.mounts().iter().map(|mount| VolumeInfo {
            docker_name: &mount.name,
            source: &mount.source,
            destination: &mount.destination,
        });
        Self {
            docker_id: container.runtime_id().map_or("", |id| id.as_str()),
            name: definition.name.as_str(),
            docker_name: container.runtime_name(),
            image: &definition.image,
            image_id: container.image_id().unwrap_or_default(),
            ports: ports(container, Some("0.0.0.0")),
            // The user's own labels are in a text that only the runtime reads.
            labels: BTreeMap::from([
                (LABEL_CLUSTER, task.spec().cluster_name(core.config().cluster_name())),
                (LABEL_CONTAINER, definition.name.as_str()),
                (LABEL_TASK, task.key().arn()),
                (LABEL_FAMILY, task.spec().family.as_str()),
                (LABEL_REVISION, task.spec().revision.as_str()),
            ]),
            desired_status: desired(task),
            known_status: container.status().as_str(),
            exit_code: container.exit_code(),
            limits: ContainerLimits {
                cpu: definition.cpu.0,
                memory: definition.memory.map(|memory| memory.0),
            },
            created_at: container.created_at().map(rfc3339),
            started_at: container.started_at().map(rfc3339),
            finished_at: container.finished_at().map(rfc3339),
            kind: "NORMAL",
            health: container.has_health_check().then(|| HealthInfo {
                status: health(container.health()),
                status_since: container.health_since().map(rfc3339),
                exit_code: container.health_exit_code(),
                output: container.health_output(),
            }),
            volumes: mounts.collect(),
            container_arn: definition.arn.as_deref(),
            networks: networks(container),
            restart_count: has_policy.then(|| container.restart_count()),
        }
    }
}

impl<'a> TaskMetadata<'a> {
    fn of(core: &'a AgentCore, task: TaskView<'a>) -> Self {
        let spec = task.spec();
        let limits = (spec.cpu_millis.is_some() || spec.memory.is_some()).then(|| TaskLimits {
            cpu: spec.cpu_millis.map(|millis| f64::from(millis) / 1000.0),
            memory: spec.memory.map(|memory| memory.0),
        });
        Self {
            cluster: spec.cluster_name(core.config().cluster_name()),
            task_arn: task.key().arn(),
            family: &spec.family,
            revision: &spec.revision,
            desired_status: desired(task),
            known_status: task.status().as_str(),
            limits,
            pull_started_at: task.pull_started_at().map(rfc3339),
            pull_stopped_at: task.pull_stopped_at().map(rfc3339),
            execution_stopped_at: task.execution_stopped_at().map(rfc3339),
            availability_zone: core.config().zone.as_deref(),
            launch_type: core.config().launch_type_shown(&spec.launch_type),
            // One that was not created yet has nothing to tell.
            containers: task
                .containers()
                .filter(|container| container.status() >= KnownStatus::Created)
                .map(|container| ContainerMetadata::of(core, container))
                .collect(),
            service_name: spec.service_name.as_deref(),
            fault_injection_enabled: spec.enable_fault_injection,
        }
    }
}

fn desired(task: TaskView<'_>) -> &'static str {
    match task.desired() {
        Desired::Running => "RUNNING",
        Desired::Stopped => "STOPPED",
    }
}

fn health(status: HealthStatus) -> &'static str {
    status.as_str()
}

fn ports(container: ContainerView<'_>, host_ip: Option<&'static str>) -> Vec<PortInfo> {
    let protocol = |protocol| match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    container
        .ports()
        .map(|port| PortInfo {
            container_port: port.container.0,
            protocol: protocol(port.protocol),
            host_port: port.host.0,
            host_ip,
        })
        .collect()
}

/// In host and none mode there is one network without an address. The official agent shows an empty text there
/// (agent-protocol G12).
fn networks(container: ContainerView<'_>) -> Vec<NetworkInfo<'_>> {
    match container.task().spec().network_mode {
        mode @ (NetworkMode::Host | NetworkMode::None) => vec![NetworkInfo {
            network_mode: mode.as_str(),
            ipv4_addresses: vec!["".into()],
            ipv6_addresses: Vec::new(),
            interface: None,
        }],
        NetworkMode::Awsvpc => container.task().spec().interface.iter().map(interface).collect(),
        NetworkMode::Bridge => container
            .networks()
            .iter()
            .map(|network| NetworkInfo {
                network_mode: &network.name,
                ipv4_addresses: network.ipv4.iter().map(|address| address.as_str().into()).collect(),
                ipv6_addresses: network.ipv6.iter().map(String::as_str).collect(),
                interface: None,
            })
            .collect(),
    }
}

/// All containers of a task have the one interface of its pause container.
fn interface(own: &TaskInterface) -> NetworkInfo<'_> {
    let gateway = format!("{}/{}", own.gateway, own.prefix);
    NetworkInfo {
        network_mode: NetworkMode::Awsvpc.as_str(),
        ipv4_addresses: vec![own.address.to_string().into()],
        ipv6_addresses: Vec::new(),
        interface: Some(InterfaceInfo {
            index: 0,
            mac: &own.mac,
            subnet: Cidr::of(own.gateway, own.prefix).map(|subnet| subnet.to_string()).unwrap_or_default(),
            name_servers: &own.name_servers,
            search_domains: &own.search_domains,
            private_dns_name: &own.private_dns_name,
            gateway,
        }),
    }
}

fn rfc3339(time: Timestamp) -> String {
    // Out of range only for times that no clock shows.
    jiff::Timestamp::from_millisecond(time.as_millis()).map(|time| time.to_string()).unwrap_or_default()
}
