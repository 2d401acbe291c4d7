//! How a scripted instance becomes a container instance (agent-protocol G3, G4).

use longshore_shapes_ecs::{
    Attribute, DiscoverPollEndpointRequest, DiscoverPollEndpointResponse, RegisterContainerInstanceRequest,
    RegisterContainerInstanceResponse, Resource,
};

use crate::crowd::Options;

/// Capabilities that an instance with a recent Docker registers, apart from API versions and log drivers
/// (agent-protocol G4).
const CAPABILITIES: [&str; 12] = [
    "ecs.capability.container-ordering",
    "ecs.capability.full-sync",
    "ecs.capability.network.container-port-range",
    "ecs.capability.container-restart-policy",
    "ecs.capability.efs",
    "com.amazonaws.ecs.capability.privileged-container",
    "com.amazonaws.ecs.capability.task-iam-role",
    "com.amazonaws.ecs.capability.task-iam-role-network-host",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.increased-task-cpu-limit",
    "ecs.capability.container-health-check",
    "ecs.capability.docker-plugin.local",
];

/// The versions of Docker's API that agents ever announce (agent-protocol G4).
const API_MINORS: [u32; 13] = [17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 29, 30, 32];
const LOG_DRIVERS: [&str; 3] = ["json-file", "none", "syslog"];
const RESERVED_PORTS: [&str; 5] = ["22", "2375", "2376", "51678", "51679"];

/// What instance number `index` registers with. A repetition with the same token registers no second instance.
pub(crate) fn registration(
    options: &Options,
    index: usize,
    client_token: String,
) -> RegisterContainerInstanceRequest {
    let flag = |name: String| Attribute { name: Some(name), ..Attribute::default() };
    let with = |name: &str, value: String| Attribute { value: Some(value), ..flag(name.to_owned()) };
    let mut attributes: Vec<Attribute> = CAPABILITIES.map(|name| flag(name.to_owned())).into();
    let prefix = "com.amazonaws.ecs.capability";
    attributes.extend(API_MINORS.map(|minor| flag(format!("{prefix}.docker-remote-api.1.{minor}"))));
    attributes.extend(LOG_DRIVERS.map(|driver| flag(format!("{prefix}.logging-driver.{driver}"))));
    attributes.push(with("ecs.os-type", "linux".into()));
    attributes.push(with("ecs.os-family", "LINUX".into()));
    attributes.push(with("ecs.cpu-architecture", "x86_64".into()));
    attributes
        .push(with("ecs.availability-zone", zone(options.client.signer().region(), options.zones, index)));
    RegisterContainerInstanceRequest {
        cluster: Some(options.cluster.clone()),
        client_token: Some(client_token),
        instance_identity_document: Some(String::new()),
        instance_identity_document_signature: Some(String::new()),
        total_resources: Some(vec![
            integer("CPU", options.cpu),
            integer("MEMORY", options.memory_mib),
            ports("PORTS", &RESERVED_PORTS),
            ports("PORTS_UDP", &[]),
        ]),
        attributes: Some(attributes),
        ..RegisterContainerInstanceRequest::default()
    }
}

fn resource(name: &str, kind: &str) -> Resource {
    Resource { name: Some(name.to_owned()), r#type: Some(kind.to_owned()), ..Resource::default() }
}

fn integer(name: &str, value: u32) -> Resource {
    let value = i32::try_from(value).unwrap_or(i32::MAX);
    Resource { integer_value: Some(value), ..resource(name, "INTEGER") }
}

fn ports(name: &str, ports: &[&str]) -> Resource {
    let ports = ports.iter().map(|port| (*port).to_owned()).collect();
    Resource { string_set_value: Some(ports), ..resource(name, "STRINGSET") }
}

/// The availability zone of instance number `index`: `us-east-1a`, `us-east-1b` ... in turn, `zones` of them.
fn zone(region: &str, zones: u8, index: usize) -> String {
    let letter = char::from(b'a' + (index % usize::from(zones.clamp(1, 26))) as u8);
    format!("{region}{letter}")
}

/// The ARN in the answer to a registration.
pub(crate) fn registered_arn(answer: RegisterContainerInstanceResponse) -> Option<String> {
    answer.container_instance?.container_instance_arn
}

pub(crate) fn discovery(cluster: &str, container_instance: &str) -> DiscoverPollEndpointRequest {
    DiscoverPollEndpointRequest {
        cluster: Some(cluster.to_owned()),
        container_instance: Some(container_instance.to_owned()),
    }
}

/// Where the two sockets are: that of ACS for commands, that of TCS for telemetry. `None` if the server named only one.
pub(crate) fn endpoints(answer: DiscoverPollEndpointResponse) -> Option<(String, String)> {
    Some((answer.endpoint?, answer.telemetry_endpoint?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_take_turns() {
        let zones: Vec<_> = (0..4).map(|index| zone("eu-west-1", 3, index)).collect();
        assert_eq!(zones, ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1a"]);
        assert_eq!(zone("r", 0, 7), "ra");
    }
}
