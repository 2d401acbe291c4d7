//! Actions of the engine: what its owner has to do, and which input answers each.

use std::time::Duration;

use crate::journal::JournalChange;
use crate::report::TaskReport;
use crate::spec::{
    CgroupSpec, ContainerKey, ContainerSpec, EnvironmentFile, OpId, RegistryAuth, RuntimeId, SecretReference,
    TaskKey, TaskNetwork, VolumeCreate,
};

/// One thing to do.
///
/// Actions may run concurrently, with one rule: an action for which [`Action::needs_durable`] is
/// true starts only after every [`Action::Persist`] that came before it is durable. This is how a
/// task is acknowledged only once it survives a crash, its containers are started at most once, and none
/// is made under a name that a crash would forget.
///
/// Every action with an `op` is answered by exactly the input named in its comment, also when it
/// fails or times out. The engine keeps a longer time-out of its own against a shell that never
/// answers.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write to the journal, in order.
    Persist(Vec<JournalChange>),
    /// The task is taken over (and durable): its payload may be acknowledged.
    AckReady(TaskKey),
    /// Answered by `ReportAccepted` or `ReportRefused`.
    Report(TaskReport),

    /// Answered by `SecretsResolved`.
    ResolveSecrets {
        op: OpId,
        container: ContainerKey,
        secrets: Vec<SecretReference>,
        environment_files: Vec<EnvironmentFile>,
    },
    /// Looks for a local image; `NotFound` if there is none. Answered by `ImageInspected`.
    InspectImage { op: OpId, container: ContainerKey, image: String },
    /// Asks the registry for the digest of a tag. Answered by `ManifestResolved`.
    ResolveManifest {
        op: OpId,
        container: ContainerKey,
        image: String,
        auth: RegistryAuth,
        timeout: Duration,
    },
    /// Pulls an image, by `digest` if given (and then tags it as `image`). Answered by `PullFinished`.
    Pull {
        op: OpId,
        container: ContainerKey,
        image: String,
        digest: Option<String>,
        auth: RegistryAuth,
        timeout: Duration,
        /// Without any progress for this long, the pull has failed with `Timeout`.
        inactivity_timeout: Duration,
    },
    /// Creates what a pause container needs, unless it is there: its image and the network that it is put into.
    /// Answered by `NetworkPrepared`. Existing is fine.
    PrepareNetwork { op: OpId, container: ContainerKey, network: TaskNetwork, timeout: Duration },
    /// Answered by `CgroupCreated`. Existing is fine.
    CreateCgroup { op: OpId, task: TaskKey, spec: CgroupSpec },
    /// Answered by `CgroupRemoved`. Missing is fine.
    RemoveCgroup { op: OpId, task: TaskKey, parent: String },
    /// Answered by `VolumeCreated`; `volume` is the name within the task.
    CreateVolume { op: OpId, task: TaskKey, volume: String, spec: VolumeCreate, timeout: Duration },
    /// Answered by `VolumeRemoved`. Missing is fine.
    RemoveVolume { op: OpId, task: TaskKey, volume: String, name: String },
    /// Answered by `ContainerCreated`; a container of that name gives `NameInUse`.
    CreateContainer { op: OpId, container: ContainerKey, spec: Box<ContainerSpec>, timeout: Duration },
    /// Answered by `ContainerStarted`.
    StartContainer { op: OpId, container: ContainerKey, runtime_id: RuntimeId, timeout: Duration },
    /// The stop signal, then SIGKILL after `grace`. Answered by `ContainerStopped`, at the latest after
    /// `timeout`; a container that has ended or is gone counts as stopped.
    StopContainer {
        op: OpId,
        container: ContainerKey,
        runtime_id: RuntimeId,
        grace: Duration,
        timeout: Duration,
    },
    /// Answered by `ContainerInspected`; `NotFound` if it is gone. `runtime_id` may be the container's
    /// name here and in `RemoveContainer`, if a creation was not answered.
    InspectContainer { op: OpId, container: ContainerKey, runtime_id: RuntimeId },
    /// Removes it by force, with its anonymous volumes. Answered by `ContainerRemoved`. Missing is fine.
    RemoveContainer { op: OpId, container: ContainerKey, runtime_id: RuntimeId },

    /// Answered by `ImagesListed`.
    ListImages { op: OpId },
    /// Removes one image by id or reference, without force. Answered by `ImageRemoved`.
    RemoveImage { op: OpId, image: String },
    /// The task is gone from the engine: forget its credentials, metadata and the like.
    TaskForgotten(TaskKey),
}

impl Action {
    /// True if every earlier `Persist` has to be durable before this is done.
    pub fn needs_durable(&self) -> bool {
        match self {
            Action::Report(report) => !report.holds_after_a_crash(),
            Action::AckReady(_)
            | Action::CreateContainer { .. }
            | Action::CreateVolume { .. }
            | Action::StartContainer { .. } => true,
            Action::Persist(_)
            | Action::ResolveSecrets { .. }
            | Action::InspectImage { .. }
            | Action::ResolveManifest { .. }
            | Action::Pull { .. }
            | Action::PrepareNetwork { .. }
            | Action::CreateCgroup { .. }
            | Action::RemoveCgroup { .. }
            | Action::RemoveVolume { .. }
            | Action::StopContainer { .. }
            | Action::InspectContainer { .. }
            | Action::RemoveContainer { .. }
            | Action::ListImages { .. }
            | Action::RemoveImage { .. }
            | Action::TaskForgotten(_) => false,
        }
    }
}
