//! The task as the agent receives it (agent-protocol G7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::acs::Attachment;
use super::{MessageError, drop_nulls};
use crate::redacted::Redacted;

/// What the server wants of a task. It never goes back from `Stopped` to `Running`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DesiredStatus {
    Running,
    Stopped,
}

/// A task to run or to stop.
///
/// Rules for whoever fills it, so that the official agent takes it (agent-protocol G7, G20): `overrides` of
/// a container has no key but `command`; `docker_config.config` has no `Env`; no `port_mappings` with
/// `awsvpc`; Docker's network mode is in `docker_config.host_config`; `cpu` is in vCPU; `credentials_id` is unique per
/// task and role; `launch_type` is not `FARGATE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPayload {
    pub arn: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_cluster_arn: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// The revision, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    pub desired_status: DesiredStatus,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerPayload>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumePayload>,
    /// The task's limit in **vCPU**, e.g. 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// The task's limit in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<i64>,
    /// JSON in a string. Not used by agents, but always sent: `{}`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub overrides: String,
    /// `awsvpc`, `bridge`, `host` or `none`; absent means bridge.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network_mode: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elastic_network_interfaces: Vec<ElasticNetworkInterface>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_credentials: Option<RoleCredentials>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role_credentials: Option<RoleCredentials>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pid_mode: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ipc_mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_configuration: Option<ProxyConfiguration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub associations: Vec<Association>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub launch_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub enable_fault_injection: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl TaskPayload {
    /// A task that shall stop: the ARN is enough for agents (agent-protocol G6).
    pub fn stop(arn: &str, cluster_arn: &str) -> Self {
        Self { desired_status: DesiredStatus::Stopped, ..Self::run(arn, cluster_arn) }
    }

    /// A task that shall run, with everything else still to be filled in.
    pub fn run(arn: &str, cluster_arn: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            task_cluster_arn: cluster_arn.to_owned(),
            family: String::new(),
            version: String::new(),
            desired_status: DesiredStatus::Running,
            containers: Vec::new(),
            volumes: Vec::new(),
            cpu: None,
            memory: None,
            overrides: "{}".to_owned(),
            network_mode: String::new(),
            elastic_network_interfaces: Vec::new(),
            role_credentials: None,
            execution_role_credentials: None,
            pid_mode: String::new(),
            ipc_mode: String::new(),
            proxy_configuration: None,
            associations: Vec::new(),
            launch_type: String::new(),
            service_name: String::new(),
            group: String::new(),
            enable_fault_injection: false,
            attachments: Vec::new(),
        }
    }

    /// Decodes one item of a payload's list.
    pub fn decode(mut value: serde_json::Value) -> Result<Self, MessageError> {
        drop_nulls(&mut value);
        serde_json::from_value(value).map_err(|source| MessageError::Body { kind: "task".to_owned(), source })
    }
}

/// Credentials of one role for one task. Everything that could be used is redacted in `Debug`, the id too:
/// it is the secret part of the URL at which containers fetch them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleCredentials {
    /// Unique per task and role. A random UUID.
    pub credentials_id: Redacted<String>,
    pub role_arn: String,
    pub access_key_id: String,
    pub secret_access_key: Redacted<String>,
    pub session_token: Redacted<String>,
    /// RFC 3339, e.g. `2026-12-01T00:00:00Z`.
    pub expiration: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub credential_scope: String,
}

impl RoleCredentials {
    /// They say where a container will find its credentials, and hold none: the role could not be assumed.
    pub fn are_announced_only(&self) -> bool {
        self.access_key_id.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPayload {
    pub name: String,
    pub image: String,
    pub essential: bool,
    /// CPU units: shares.
    pub cpu: i64,
    /// Hard limit in MiB; 0 is none.
    pub memory: i64,
    /// Absent: the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<Vec<String>>,
    /// Absent: the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "environment_is_empty")]
    pub environment: Redacted<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment_files: Vec<EnvironmentFile>,
    /// JSON in a string. The only key that agents understand is `command`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub overrides: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<PortMapping>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mount_points: Vec<MountPoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<VolumeFrom>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependsOn>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<u32>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// `docker` turns health tracking on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_check_type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_authentication: Option<RegistryAuthentication>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub logs_auth_strategy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firelens_configuration: Option<FirelensConfiguration>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_agents: Vec<ManagedAgent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credential_specs: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_config: Option<DockerConfig>,
}

fn environment_is_empty(environment: &Redacted<BTreeMap<String, String>>) -> bool {
    environment.0.is_empty()
}

/// Two JSON texts that agents decode over what they made themselves (agent-protocol G7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerConfig {
    /// The engine API version of the texts: `1.18`.
    pub version: String,
    /// Docker's container `Config`. Never with `Env`.
    pub config: String,
    /// Docker's `HostConfig`.
    pub host_config: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentFile {
    pub value: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// One port, or a range in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortMapping {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_port: Option<u16>,
    /// 0 or absent: the agent chooses one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// `8000-8010`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_port_range: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MountPoint {
    pub source_volume: String,
    pub container_path: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeFrom {
    pub source_container: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependsOn {
    pub container_name: String,
    /// `START`, `COMPLETE`, `SUCCESS` or `HEALTHY`.
    pub condition: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartPolicy {
    pub enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_exit_codes: Vec<i32>,
    /// Seconds that a container has to have run before it may be started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_attempt_period: Option<u32>,
}

/// Where a secret comes from and goes to; never the secret itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    pub name: String,
    pub value_from: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_path: String,
    /// `ENVIRONMENT_VARIABLE`, `MOUNT_POINT` or `BOOTSTRAP`.
    #[serde(rename = "type")]
    pub kind: String,
    pub region: String,
    /// `ssm` or `asm`.
    pub provider: String,
    /// `CONTAINER` or `LOG_DRIVER`; absent is the former.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryAuthentication {
    /// `ecr` or `asm`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecr_auth_data: Option<EcrAuthData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asm_auth_data: Option<AsmAuthData>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EcrAuthData {
    pub registry_id: String,
    pub region: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint_override: String,
    pub use_execution_role: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AsmAuthData {
    pub credentials_parameter: String,
    pub region: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirelensConfiguration {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagedAgent {
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumePayload {
    pub name: String,
    /// `host`, `docker` or `efs`; absent with `host` present means host.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostVolume>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_volume_configuration: Option<DockerVolume>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efs_volume_configuration: Option<EfsVolume>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostVolume {
    /// Empty: a volume of the task.
    pub source_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerVolume {
    /// `task` or `shared`.
    pub scope: String,
    pub autoprovision: bool,
    pub driver: String,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EfsVolume {
    pub file_system_id: String,
    pub root_directory: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub transit_encryption: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit_encryption_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_config: Option<EfsAuthorization>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EfsAuthorization {
    pub access_point_id: String,
    pub iam: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfiguration {
    #[serde(rename = "type")]
    pub kind: String,
    pub container_name: String,
    pub properties: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Association {
    pub name: String,
    /// `gpu` or `elastic-inference`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<AssociationContent>,
    pub containers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AssociationContent {
    pub encoding: String,
    pub value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameValue {
    pub name: String,
    pub value: String,
}

/// The interface of an `awsvpc` task (agent-protocol G12).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ElasticNetworkInterface {
    pub attachment_arn: String,
    pub ec2_id: String,
    pub mac_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub index: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv4_addresses: Vec<Ipv4Address>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6_addresses: Vec<Ipv6Address>,
    /// `ip/prefix`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subnet_gateway_ipv4_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subnet_gateway_ipv6_address: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domain_name_servers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domain_name: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub private_dns_name: String,
    /// `default` or `vlan`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface_association_protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_vlan_properties: Option<VlanProperties>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ipv4Address {
    pub private_address: String,
    pub primary: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipv6Address {
    pub address: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VlanProperties {
    pub vlan_id: String,
    pub trunk_interface_mac_address: String,
}
