//! Task metadata in its versions (agent-protocol G17): version 4 is made, the older ones are version 4 with less in it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use longshore_base::{Cidr, FARGATE_POOL, Protocol, Timestamp};
use longshore_engine::input::HealthStatus;
use longshore_engine::spec::{Desired, NetworkMode, TaskInterface};
use longshore_engine::view::{ContainerView, KnownStatus, TaskView};
use longshore_engine::{LABEL_CLUSTER, LABEL_CONTAINER, LABEL_FAMILY, LABEL_REVISION, LABEL_TASK};
use longshore_shapes_ecs::{ListTagsForResourceRequest, ListTagsForResourceResponse, Tag};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::{self, ApiError, Inquiry};
use crate::awslogs;
use crate::core::AgentCore;

/// The version of the shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V3,
    V4,
}

pub(super) fn container(core: &AgentCore, version: Version, container: ContainerView<'_>) -> Value {
    let mut document = value(&ContainerMetadata::of(core, container));
    match version {
        Version::V2 | Version::V3 => age_container(&mut document),
        Version::V4 => {}
    }
    document
}

pub(super) fn task(core: &AgentCore, version: Version, task: TaskView<'_>) -> Value {
    let mut document = value(&TaskMetadata::of(core, task));
    match version {
        Version::V2 | Version::V3 => age_task(&mut document),
        Version::V4 => {}
    }
    document
}

fn value(shape: &impl Serialize) -> Value {
    serde_json::to_value(shape).expect("string keys and finite numbers always serialise")
}

fn remove(document: &mut Value, members: &[&str]) {
    if let Some(own) = document.as_object_mut() {
        own.retain(|member, _| !members.contains(&member.as_str()));
    }
}

fn items<'v>(document: &'v mut Value, member: &str) -> impl Iterator<Item = &'v mut Value> {
    document.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten()
}

/// What version 4 brought.
fn age_container(document: &mut Value) {
    remove(document, &["ContainerARN", "LogDriver", "LogOptions"]);
    items(document, "Ports").for_each(|port| remove(port, &["HostIp"]));
    for network in items(document, "Networks") {
        let kept = ["NetworkMode", "IPv4Addresses", "IPv6Addresses"];
        if let Some(own) = network.as_object_mut() {
            own.retain(|member, _| kept.contains(&member.as_str()));
        }
    }
}

fn age_task(document: &mut Value) {
    remove(document, &["LaunchType", "ServiceName", "FaultInjectionEnabled", "VPCID"]);
    items(document, "Containers").for_each(age_container);
}

/// What has to be asked of the control plane before the tags are in a task's document: each with the member that it
/// becomes.
pub(super) fn tag_questions(core: &AgentCore, task: TaskView<'_>) -> Vec<(&'static str, Inquiry)> {
    questions(core.config().cluster_name(), core.instance_arn(), task.key().arn())
}

fn questions(cluster: &str, instance: Option<&str>, task: &str) -> Vec<(&'static str, Inquiry)> {
    let of = |resource_arn: &str| {
        Inquiry::ListTagsForResource(ListTagsForResourceRequest {
            resource_arn: Some(resource_arn.to_owned()),
        })
    };
    // The pool's instances are nobody's whom it serves.
    let instance = instance.filter(|_| cluster != FARGATE_POOL);
    let instance = instance.map(|arn| ("ContainerInstanceTags", of(arn)));
    instance.into_iter().chain([("TaskTags", of(task))]).collect()
}

/// Adds tags to a task's document. The rest of it is worth having without them, so a question that failed becomes one
/// of its errors.
pub(super) fn add_tags(
    document: &mut Value,
    member: &'static str,
    inquiry: &Inquiry,
    answer: Result<Vec<u8>, ApiError>,
) {
    let tags = answer.and_then(|body| api::read::<ListTagsForResourceResponse>(&body));
    match tags.map(|answer| answer.tags.unwrap_or_default()) {
        Ok(tags) if tags.is_empty() => {}
        Ok(tags) => {
            let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
            document[member] = json!(tags.into_iter().map(pair).collect::<BTreeMap<_, _>>());
        }
        Err(error) => {
            let (status, code, message) = error.parts();
            let mut said = json!({
                "ErrorField": member, "ErrorCode": code, "ErrorMessage": message, "StatusCode": status,
            });
            if let Inquiry::ListTagsForResource(ListTagsForResourceRequest { resource_arn }) = inquiry {
                said["ResourceARN"] = json!(resource_arn);
            }
            match document.get_mut("Errors").and_then(Value::as_array_mut) {
                Some(errors) => errors.push(said),
                None => document["Errors"] = json!([said]),
            }
        }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    log_driver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_options: Option<Value>,
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
pub(super) struct PortInfo {
    container_port: u16,
    protocol: &'static str,
    host_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_ip: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct NetworkInfo<'a> {
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
        let log = definition.docker_host_config.as_ref().and_then(awslogs::log_config);
        let (log_driver, log_options) = log.unzip();
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
            log_driver,
            log_options: log_options.filter(|options| options.as_object().is_some_and(|own| !own.is_empty())),
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

pub(super) fn desired(task: TaskView<'_>) -> &'static str {
    match task.desired() {
        Desired::Running => "RUNNING",
        Desired::Stopped => "STOPPED",
    }
}

fn health(status: HealthStatus) -> &'static str {
    status.as_str()
}

pub(super) fn ports(container: ContainerView<'_>, host_ip: Option<&'static str>) -> Vec<PortInfo> {
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
pub(super) fn networks(container: ContainerView<'_>) -> Vec<NetworkInfo<'_>> {
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

pub(super) fn rfc3339(time: Timestamp) -> String {
    // Out of range only for times that no clock shows.
    jiff::Timestamp::from_millisecond(time.as_millis()).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_for_the_tags_of_the_pools_instances() {
        let members = |cluster: &str| {
            let questions = questions(cluster, Some("arn:i"), "arn:t").into_iter();
            questions.map(|(member, _)| member).collect::<Vec<_>>()
        };
        assert_eq!(members("main"), ["ContainerInstanceTags", "TaskTags"]);
        assert_eq!(members(FARGATE_POOL), ["TaskTags"]);
    }
}
