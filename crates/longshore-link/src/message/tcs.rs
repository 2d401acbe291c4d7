//! The messages of the telemetry channel (agent-protocol G9).

use serde::{Deserialize, Serialize};

/// Members that every telemetry message begins with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishMetadata {
    pub cluster: String,
    pub container_instance: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message_id: String,
    /// Only in [`PublishInstanceStatus`], in place of `message_id`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// There is nothing to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<bool>,
    /// The last message of one round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fin: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishMetrics {
    pub metadata: PublishMetadata,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_metrics: Vec<TaskMetric>,
    /// Seconds since the epoch.
    pub timestamp: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskMetric {
    pub task_arn: String,
    pub task_definition_family: String,
    pub task_definition_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_metrics: Vec<ContainerMetric>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerMetric {
    pub container_name: String,
    /// Percent of one core, summed over cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_stats_set: Option<StatsSet>,
    /// MiB without page cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_stats_set: Option<StatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_stats_set: Option<NetworkStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_stats_set: Option<StorageStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_stats_set: Option<RestartStatsSet>,
}

/// The samples of one period, folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatsSet {
    pub min: f64,
    pub max: f64,
    pub sample_count: i64,
    pub sum: f64,
}

/// The same for unsigned 64-bit counters, of which JSON numbers of other programs hold 63 bits: the rest is
/// in the `overflow` members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CounterStatsSet {
    pub min: i64,
    pub max: i64,
    pub sample_count: i64,
    pub sum: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_min: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_max: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_sum: Option<i64>,
}

/// Cumulative counters, sampled. All containers of an `awsvpc` task carry the same set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkStatsSet {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_bytes: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_dropped: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_errors: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_packets: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_bytes: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_dropped: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_errors: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_packets: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_bytes_per_second: Option<StatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_bytes_per_second: Option<StatsSet>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageStatsSet {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_size_bytes: Option<CounterStatsSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_size_bytes: Option<CounterStatsSet>,
}

/// Only for containers with a restart policy, and the only place where restarts are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartStatsSet {
    pub restart_count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishHealth {
    pub metadata: PublishMetadata,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskHealth>,
    /// Seconds since the epoch.
    pub timestamp: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskHealth {
    pub task_arn: String,
    pub task_definition_family: String,
    pub task_definition_version: String,
    pub containers: Vec<ContainerHealth>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerHealth {
    pub container_name: String,
    pub health_status: HealthStatus,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_since: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    Healthy,
    Unhealthy,
    /// Also whatever a newer agent may say.
    #[default]
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishInstanceStatus {
    pub metadata: PublishMetadata,
    pub statuses: Vec<InstanceStatus>,
    /// Seconds since the epoch.
    pub timestamp: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InstanceStatus {
    /// `ContainerRuntime`.
    #[serde(rename = "type")]
    pub kind: String,
    pub status: InstanceStatusValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status_change: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceStatusValue {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "IMPAIRED")]
    Impaired,
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
    /// Also whatever a newer agent may say.
    #[default]
    #[serde(rename = "INITIALIZING", other)]
    Initializing,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AckPublishMetric {
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AckPublishHealth {
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AckPublishInstanceStatus {
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopTelemetrySession {
    pub message: String,
}
