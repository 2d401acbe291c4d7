//! How a scripted instance becomes a container instance (agent-protocol G3, G4).

use serde::{Deserialize, Serialize};

use crate::crowd::Options;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registration<'a> {
    cluster: &'a str,
    client_token: String,
    instance_identity_document: &'static str,
    instance_identity_document_signature: &'static str,
    total_resources: Vec<Resource>,
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    integer_value: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_set_value: Option<Vec<&'static str>>,
}

#[derive(Serialize)]
struct Attribute {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// What an instance with a recent Docker announces, apart from the minimum API versions and the log drivers.
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

/// The body of RegisterContainerInstance.
pub(crate) fn registration(options: &Options, index: usize, client_token: String) -> String {
    let flag = |name: String| Attribute { name, value: None };
    let with = |name: &str, value: String| Attribute { name: name.to_owned(), value: Some(value) };
    let mut attributes: Vec<Attribute> = CAPABILITIES.map(|name| flag(name.to_owned())).into();
    let prefix = "com.amazonaws.ecs.capability";
    attributes.extend(API_MINORS.map(|minor| flag(format!("{prefix}.docker-remote-api.1.{minor}"))));
    attributes.extend(LOG_DRIVERS.map(|driver| flag(format!("{prefix}.logging-driver.{driver}"))));
    attributes.push(with("ecs.os-type", "linux".into()));
    attributes.push(with("ecs.os-family", "LINUX".into()));
    attributes.push(with("ecs.cpu-architecture", "x86_64".into()));
    attributes.push(with("ecs.availability-zone", zone(&options.region, options.zones, index)));
    let integer =
        |name, value| Resource { name, kind: "INTEGER", integer_value: Some(value), string_set_value: None };
    let ports = |name, ports: &[&'static str]| Resource {
        name,
        kind: "STRINGSET",
        integer_value: None,
        string_set_value: Some(ports.to_vec()),
    };
    let request = Registration {
        cluster: &options.cluster,
        client_token,
        instance_identity_document: "",
        instance_identity_document_signature: "",
        total_resources: vec![
            integer("CPU", options.cpu),
            integer("MEMORY", options.memory_mib),
            ports("PORTS", &RESERVED_PORTS),
            ports("PORTS_UDP", &[]),
        ],
        attributes,
    };
    json(&request)
}

/// `us-east-1a`, `us-east-1b` ... in turn.
fn zone(region: &str, zones: u8, index: usize) -> String {
    let letter = char::from(b'a' + (index % usize::from(zones.clamp(1, 26))) as u8);
    format!("{region}{letter}")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registered {
    container_instance: RegisteredInstance,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisteredInstance {
    container_instance_arn: String,
}

/// The ARN in the answer to a registration.
pub(crate) fn registered_arn(answer: &[u8]) -> Option<String> {
    let registered: Registered = serde_json::from_slice(answer).ok()?;
    Some(registered.container_instance.container_instance_arn)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovery<'a> {
    cluster: &'a str,
    container_instance: &'a str,
    zone_id: &'static str,
}

pub(crate) fn discovery(cluster: &str, container_instance: &str) -> String {
    json(&Discovery { cluster, container_instance, zone_id: "" })
}

/// Where the sockets are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    pub endpoint: String,
    pub telemetry_endpoint: String,
}

pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("string keys and finite numbers always serialise")
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
