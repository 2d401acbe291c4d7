//! Tasks of payloads, as far as a scripted instance reads them (agent-protocol G7).

use std::sync::Arc;

use longshore_link::message::DesiredStatus;
use serde::Deserialize;

/// The part of a task in a payload that a scripted instance reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assigned {
    pub arn: Arc<str>,
    pub desired_status: DesiredStatus,
    #[serde(default)]
    pub containers: Vec<AssignedContainer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssignedContainer {
    pub name: Arc<str>,
    #[serde(default)]
    pub port_mappings: Vec<AssignedPort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssignedPort {
    pub container_port: Option<u16>,
    pub host_port: Option<u16>,
    pub protocol: Option<Arc<str>>,
}
