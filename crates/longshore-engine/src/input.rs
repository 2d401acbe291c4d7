//! Inputs of the engine: what the control plane asks, what the runtime answers or observes, and the time.

use longshore_base::{ContainerName, Port, Timestamp};

use crate::pressure::DiskUsage;
use crate::spec::{
    ContainerKey, OpId, PortBinding, ReportId, RuntimeId, SecretTarget, SecretText, SecretVersion, TaskKey,
    TaskSpec,
};

/// One thing that happened. Results carry the [`OpId`] of their action; a result whose operation is
/// no longer under way changes nothing, except that a container created too late is removed and one
/// that was or may have been started too late is stopped. Duplicates and reordering are harmless.
#[derive(Clone, Debug)]
pub enum Input {
    /// A payload's task with desired status RUNNING. Known tasks are acknowledged again, no more.
    Assigned(Box<TaskSpec>),
    /// A payload's task with desired status STOPPED, or a verified stop of a manifest. `containers`
    /// are those that the message named, for the answer about an unknown task (G6).
    StopRequested {
        task: TaskKey,
        containers: Vec<ContainerName>,
    },
    /// A task of a payload that could not be parsed: reported STOPPED with
    /// `UnrecogniedTaskError: Error loading task - <cause>`.
    Unloadable {
        task: TaskKey,
        cause: String,
    },

    /// A new task that this node cannot take over now: reported STOPPED with this reason. Nothing of it is
    /// remembered.
    Declined {
        task: TaskKey,
        reason: String,
    },

    /// The node's instance is gone for good, and with it every task that the control plane knew of here: all end,
    /// nobody is told, and what is left of them goes at once.
    Dismissed,

    SecretsResolved {
        op: OpId,
        container: ContainerKey,
        result: Result<ResolvedSecrets, SecretFailure>,
    },
    ImageInspected {
        op: OpId,
        container: ContainerKey,
        result: Result<LocalImage, OpError>,
    },
    ManifestResolved {
        op: OpId,
        container: ContainerKey,
        result: Result<String, OpError>,
    },
    PullFinished {
        op: OpId,
        container: ContainerKey,
        result: Result<LocalImage, OpError>,
    },
    NetworkPrepared {
        op: OpId,
        container: ContainerKey,
        result: Result<(), OpError>,
    },
    CgroupCreated {
        op: OpId,
        task: TaskKey,
        result: Result<(), OpError>,
    },
    CgroupRemoved {
        op: OpId,
        task: TaskKey,
        result: Result<(), OpError>,
    },
    VolumeCreated {
        op: OpId,
        task: TaskKey,
        volume: String,
        result: Result<(), OpError>,
    },
    VolumeRemoved {
        op: OpId,
        task: TaskKey,
        volume: String,
        result: Result<(), OpError>,
    },
    ContainerCreated {
        op: OpId,
        container: ContainerKey,
        result: Result<RuntimeId, OpError>,
    },
    /// The result of starting, with a first observation of the container.
    ContainerStarted {
        op: OpId,
        container: ContainerKey,
        result: Result<Observation, OpError>,
    },
    /// The stop call returned. The end itself is an observation; success may carry it at once.
    ContainerStopped {
        op: OpId,
        container: ContainerKey,
        result: Result<Option<Observation>, OpError>,
    },
    ContainerInspected {
        op: OpId,
        container: ContainerKey,
        result: Result<Observation, OpError>,
    },
    ContainerRemoved {
        op: OpId,
        container: ContainerKey,
        result: Result<(), OpError>,
    },

    /// The runtime saw a container in some state: from its event stream, or looking by itself.
    /// A snapshot, so that a lost event is made up for by the next.
    ContainerObserved {
        container: ContainerKey,
        observation: Observation,
    },
    /// The runtime no longer has the container (`destroy` event).
    ContainerVanished {
        container: ContainerKey,
        runtime_id: RuntimeId,
    },

    /// Answer to [`crate::Action::ListImages`].
    ImagesListed {
        op: OpId,
        result: Result<Vec<ListedImage>, OpError>,
    },
    ImageRemoved {
        op: OpId,
        result: Result<(), OpError>,
    },
    /// How full the disk is that images and containers are on.
    DiskMeasured(DiskUsage),

    ReportAccepted {
        task: TaskKey,
        id: ReportId,
    },
    /// The server will never accept this report (`InvalidParameterException`): counted as sent.
    ReportRefused {
        task: TaskKey,
        id: ReportId,
    },

    /// All containers that carry this node's labels, once after [`crate::TaskEngine::restore`] and before anything
    /// else is acted upon; may be repeated whenever the runtime's event stream was interrupted.
    Restored {
        containers: Vec<FoundContainer>,
    },
    Tick,
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct OpError {
    pub kind: OpErrorKind,
    /// The runtime's text, without secrets; it goes into reasons that users see.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpErrorKind {
    /// No such image, container or volume.
    NotFound,
    /// A container of that name exists; its id if the runtime told.
    NameInUse(Option<RuntimeId>),
    /// The call took longer than its limit.
    Timeout,
    /// The registry wants (other) credentials.
    Denied,
    /// The credentials that the definition names for the registry could not be had. The text is the whole reason.
    NoLogin,
    /// The runtime or the registry cannot be reached just now: worth another try.
    Unavailable,
    /// The request was understood and refused; another try gives the same.
    Refused,
    /// The `config` text could not be decoded.
    BadConfig,
    /// The `hostConfig` text could not be decoded.
    BadHostConfig,
    /// Another program has a host port; which one, if the runtime told.
    PortTaken(Option<Port>),
    /// The runtime's disk is full.
    NoSpace,
    /// Anything else.
    Other,
}

/// An image that the runtime has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalImage {
    /// `sha256:...` of the image's configuration.
    pub id: String,
    /// Digest of its manifest, if it came from a registry.
    pub digest: Option<String>,
    pub size_bytes: u64,
}

/// An image in the runtime's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    pub id: String,
    /// Tags and digests by which it is known.
    pub references: Vec<String>,
    pub size_bytes: u64,
    pub created_at: Option<Timestamp>,
    /// True if any container, ours or not, still uses it.
    pub in_use: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSecret {
    pub name: String,
    pub target: SecretTarget,
    pub value: SecretText,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedSecrets {
    pub secrets: Vec<ResolvedSecret>,
    /// As far as the answers told them.
    pub versions: Vec<SecretVersion>,
    /// Variables of the environment files, in the order of the files.
    pub from_files: Vec<(String, SecretText)>,
}

/// Why secrets or environment files could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFailure {
    /// The execution role's credentials have not arrived: looked at again each minute (G7).
    NoCredentials,
    /// The text goes into the task's reason.
    Failed(String),
}

/// How a container is right now.
///
/// `started_at` tells the runs of a container apart, so it must be the runtime's own start time
/// (`State.StartedAt`), the same for every observation of one run, or absent; never an event's time, nor that
/// of an answer. The answer to a start may lack it: the first observation that has it then dates that run,
/// which makes no restart. An inspection of a container that ran has it. An event without it should
/// be followed by an inspection: between two runs an end of unknown start is taken to be outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub runtime_id: RuntimeId,
    pub status: ObservedStatus,
    pub created_at: Option<Timestamp>,
    /// Of the latest start.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub pid: Option<u32>,
    pub image_id: Option<String>,
    pub ports: Vec<PortBinding>,
    pub networks: Vec<ObservedNetwork>,
    /// `None` if the container has no health check.
    pub health: Option<ObservedHealth>,
    pub mounts: Vec<ObservedMount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedStatus {
    /// Created, never started.
    Created,
    /// Includes paused.
    Running,
    Exited {
        exit_code: i32,
        oom_killed: bool,
        /// The runtime's own error text, if the end was its fault.
        error: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedNetwork {
    pub name: String,
    pub ipv4: Option<String>,
    pub ipv6: Option<String>,
    pub mac: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedMount {
    /// Volume name; empty for binds.
    pub name: String,
    pub source: String,
    pub destination: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedHealth {
    pub status: HealthStatus,
    pub exit_code: Option<i32>,
    pub output: String,
}

/// Docker's `starting` is `Unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Unknown => "UNKNOWN",
            HealthStatus::Healthy => "HEALTHY",
            HealthStatus::Unhealthy => "UNHEALTHY",
        }
    }
}

/// A container found by its labels (`com.amazonaws.ecs.task-arn`, `...container-name`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundContainer {
    pub container: ContainerKey,
    /// The runtime's name, without a leading slash.
    pub name: String,
    pub observation: Observation,
}
