//! The records that the shell stores durably for the engine, so that they outlive the process. Not how they are stored:
//! that is `longshore-node`'s journal.
//!
//! A task has two records: what was assigned (written once, before the acknowledgement) and how far
//! it has come (small, rewritten). Images have one each, for `ECS_IMAGE_PULL_BEHAVIOR=once` and clean-up.

use longshore_base::{ContainerName, Port, Protocol, Timestamp};
use serde::{Deserialize, Serialize};

use crate::report::ReportedStatus;
use crate::spec::{Desired, RuntimeId, SecretVersion, TaskKey, TaskSpec};

/// One change of the journal. The changes of one [`crate::Action::Persist`] are written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalChange {
    Put(JournalKey, Box<JournalRecord>),
    Delete(JournalKey),
}

/// Names a record. `Display` gives the text to store it under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JournalKey {
    Assignment(TaskKey),
    Progress(TaskKey),
    Image(String),
}

impl std::fmt::Display for JournalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JournalKey::Assignment(task) => write!(f, "assignment/{task}"),
            JournalKey::Progress(task) => write!(f, "progress/{task}"),
            JournalKey::Image(reference) => write!(f, "image/{reference}"),
        }
    }
}

/// A stored record. It has to be stored in a form with member names, such as JSON, so that members may be added with
/// `#[serde(default)]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalRecord {
    Assignment(Box<AssignmentRecord>),
    Progress(ProgressRecord),
    Image(ImageRecord),
}

/// What was assigned, and what the engine chose for it then. Written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRecord {
    pub spec: TaskSpec,
    /// Position in arrival order, which the resource queue keeps across restarts.
    pub arrival: u64,
    pub assigned_at: Timestamp,
    /// For each container of `spec`, in its order.
    pub drawn: Vec<DrawnContainer>,
    /// For each volume of `spec`, in its order: the runtime's name, empty for host paths.
    pub volume_names: Vec<String>,
}

/// What the engine chose for a container when it was assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawnContainer {
    /// The runtime's name for the container.
    pub runtime_name: String,
    /// The UUID in its metadata URLs.
    pub metadata_id: String,
}

/// How far a task has come. Rewritten with every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRecord {
    pub task: TaskKey,
    pub desired: Desired,
    /// The reason that the task as a whole failed for, if it did.
    pub reason: String,
    /// True once the task holds its share of the host; its ports are in `host_ports` of the containers then.
    pub admitted: bool,
    /// Names within the task definition.
    pub volumes_created: Vec<String>,
    pub containers: Vec<ContainerProgress>,
    /// The last status that the server accepted.
    pub reported: Option<ReportedStatus>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerProgress {
    pub name: ContainerName,
    pub phase: JournalPhase,
    pub runtime_id: Option<RuntimeId>,
    pub exit_code: Option<i32>,
    pub reason: String,
    pub image_id: Option<String>,
    pub image_digest: Option<String>,
    pub host_ports: Vec<HostPorts>,
    pub restart_count: u32,
    pub created_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// The runtime's own start time of the latest run, if known; `started_at` may be the engine's guess.
    /// Absent in records of version 0.1.0: the next inspection then tells it.
    #[serde(default)]
    pub run: Option<Timestamp>,
    /// The last status of this container that the server accepted.
    pub reported: Option<ReportedStatus>,
    /// The runtime no longer has it.
    pub removed: bool,
    /// A container that could not start on its host ports. It has to be removed before one with others is created.
    /// Absent in records of version 0.1.0.
    #[serde(default)]
    pub discard: Option<RuntimeId>,
    /// The run that ended is to be followed by another, and start has been asked for. Absent in records of version
    /// 0.1.0.
    #[serde(default)]
    pub restart_asked: bool,
    /// When it first ran, if it has been started again since. Absent in records of version 0.1.0.
    #[serde(default)]
    pub first_started_at: Option<Timestamp>,
    /// Absent in records of version 0.1.0.
    #[serde(default)]
    pub secret_versions: Vec<SecretVersion>,
}

/// The host ports chosen for one port mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPorts {
    pub container_first: Port,
    pub host_first: Port,
    pub count: u16,
    pub protocol: Protocol,
    pub range: bool,
}

/// The phases of a container that a restart has to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JournalPhase {
    /// Not started, and nobody has been asked to start it: may be created (again).
    Unstarted,
    /// Start has been asked for: if the container is not there now, it ran and vanished.
    StartAsked,
    Running,
    Stopped,
}

/// An image that this node pulled or used. What clean-up of images goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// As a task definition names it, such as `nginx:1`.
    pub reference: String,
    pub id: String,
    /// True if this agent pulled it; with the pull behaviour `once` it is then not pulled again.
    pub pulled: bool,
    pub first_seen_at: Timestamp,
    pub last_used_at: Timestamp,
}
