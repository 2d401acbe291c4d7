//! What names tasks, containers, volumes, operations and reports.

use std::fmt;
use std::sync::Arc;

use longshore_base::ContainerName;
use serde::{Deserialize, Serialize};

/// A task on this node: its ARN, exactly as the control plane wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskKey(Arc<str>);

impl TaskKey {
    pub fn new(arn: &str) -> Self {
        Self(arn.into())
    }

    /// The whole ARN.
    pub fn arn(&self) -> &str {
        &self.0
    }

    /// The last part of the ARN, which names the task's cgroup and its journal records.
    pub fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container of a task. It names the same container for the whole life of the task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    pub task: TaskKey,
    pub name: ContainerName,
}

/// The runtime's own id of a container (64 hex digits on Docker).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuntimeId(Arc<str>);

impl RuntimeId {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id under which the node serves a role's credentials. It is the only secret of the
/// credentials URL, so it never prints; the journal keeps it because running containers have it
/// in their environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialsId(Arc<str>);

impl CredentialsId {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// For the credentials store and the container's environment only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CredentialsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsId(..)")
    }
}

/// A volume of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VolumeKey {
    pub task: TaskKey,
    /// The name within the task definition.
    pub name: String,
}

/// Names one operation of this process; its result carries it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Names one report of this process. The answer to a report carries it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId(pub u64);
