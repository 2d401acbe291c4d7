//! The messages of the command channel (agent-protocol G6).

use serde::{Deserialize, Serialize};

use super::task::{DesiredStatus, ElasticNetworkInterface, NameValue, RoleCredentials};

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Server to agent, every half minute; answered by [`HeartbeatAck`]. Also sent on TCS, there without answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message_id: String,
    pub healthy: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAck {
    pub message_id: String,
}

/// Tasks to run or to stop. `T` is `Arc<TaskPayload>` at the server, a JSON value at the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadMessage<T> {
    pub message_id: String,
    pub cluster_arn: String,
    pub container_instance_arn: String,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generated_at: i64,
    /// Raises the number below which the agent ignores manifests.
    #[serde(default)]
    pub seq_num: i64,
    #[serde(default = "Vec::new")]
    pub tasks: Vec<T>,
}

/// A task in a manifest or in the verification of stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskIdentity {
    pub task_arn: String,
    #[serde(default)]
    pub task_cluster_arn: String,
    pub desired_status: DesiredStatus,
}

/// Which tasks the server believes to be on the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskManifest {
    pub message_id: String,
    pub cluster_arn: String,
    pub container_instance_arn: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generated_at: i64,
    /// Must be greater than every number that the agent has seen, or the manifest is ignored.
    pub timeline: i64,
    #[serde(default)]
    pub tasks: Vec<TaskIdentity>,
}

/// Agent to server: tasks it runs which the manifest did not list. `message_id` is the manifest's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopVerification {
    pub message_id: String,
    #[serde(default)]
    pub stop_candidates: Vec<TaskIdentity>,
}

/// Which of the candidates shall stop. `message_id` is the manifest's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopVerificationAck {
    pub message_id: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generated_at: i64,
    #[serde(default)]
    pub stop_tasks: Vec<TaskIdentity>,
}

/// The agent has taken a message over. `cluster` and `container_instance` echo the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ack {
    #[serde(default)]
    pub cluster: String,
    #[serde(default)]
    pub container_instance: String,
    pub message_id: String,
}

/// The agent refuses a message. Agents send it for updates only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nack {
    #[serde(default)]
    pub cluster: String,
    #[serde(default)]
    pub container_instance: String,
    pub message_id: String,
    #[serde(default)]
    pub reason: String,
}

/// Which of a task's two roles credentials are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RoleType {
    TaskApplication,
    TaskExecution,
}

/// Fresh credentials for a task that is already there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleCredentialsMessage {
    pub message_id: String,
    pub task_arn: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_cluster_arn: String,
    pub role_type: RoleType,
    pub role_credentials: RoleCredentials,
}

/// Credentials have arrived, in a payload or on their own. `message_id` is that message's.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleCredentialsAck {
    pub message_id: String,
    /// The secret part of the credentials' URL, so `Debug` does not show it.
    pub credentials_id: String,
    #[serde(default)]
    pub expiration: String,
}

impl std::fmt::Debug for RoleCredentialsAck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleCredentialsAck")
            .field("message_id", &self.message_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachTaskInterfaces {
    pub message_id: String,
    pub cluster_arn: String,
    pub container_instance_arn: String,
    pub task_arn: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_cluster_arn: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generated_at: i64,
    pub wait_timeout_ms: i64,
    pub elastic_network_interfaces: Vec<ElasticNetworkInterface>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachInstanceInterfaces {
    pub message_id: String,
    pub cluster_arn: String,
    pub container_instance_arn: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generated_at: i64,
    pub wait_timeout_ms: i64,
    pub elastic_network_interfaces: Vec<ElasticNetworkInterface>,
}

/// A volume or another resource that will appear on the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmAttachment {
    pub message_id: String,
    pub cluster_arn: String,
    pub container_instance_arn: String,
    pub task_arn: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_cluster_arn: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generated_at: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_timeout_ms: i64,
    pub attachment: Attachment,
}

/// A resource attached to a task: `amazonebs`, `serviceconnectdetail`, `s3files`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    #[serde(default)]
    pub attachment_arn: String,
    #[serde(default)]
    pub attachment_type: String,
    #[serde(default)]
    pub attachment_properties: Vec<NameValue>,
}

/// Where a new version of the agent is, and its SHA-256 in hex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateInfo {
    #[serde(default)]
    pub location: String,
    #[serde(default)]
    pub signature: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageUpdate {
    pub message_id: String,
    #[serde(default)]
    pub cluster_arn: String,
    #[serde(default)]
    pub container_instance_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_info: Option<UpdateInfo>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerformUpdate {
    pub message_id: String,
    #[serde(default)]
    pub cluster_arn: String,
    #[serde(default)]
    pub container_instance_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_info: Option<UpdateInfo>,
}

/// Text for the agent's log. The socket's close does the work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorText {
    pub message: String,
}

/// Text for the agent's log. The socket's close does the work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloseText {
    pub message: String,
}
