//! What the engine remembers about a task and its containers.
//!
//! Everything else is derived from these fields by [`crate::engine`]. Invariants: a phase only moves
//! forward (but a container that was never started may be created anew after a restart); a container
//! has at most one operation of its life under way; nothing follows an accepted STOPPED.

use std::time::Duration;

use longshore_base::{Seed, Timestamp};

use crate::create;
use crate::dependencies::Graph;
use crate::host::Needs;
use crate::input::{HealthStatus, LocalImage, ObservedMount, ObservedNetwork, OpError, ResolvedSecrets};
use crate::journal::{
    AssignmentRecord, ContainerProgress, DrawnContainer, HostPorts, JournalPhase, ProgressRecord,
};
use crate::network;
use crate::report::ReportedStatus;
use crate::settings::{Settings, TaskCgroups};
use crate::spec::{
    ContainerDefinition, ContainerRole, Desired, OpId, ReportId, RuntimeId, SecretVersion, TaskSpec,
    VolumeSource,
};

/// How far a container has come; a task is as far as the slowest of its containers (G10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownStatus {
    None,
    ManifestPulled,
    Pulled,
    Created,
    Running,
    Stopped,
}

impl KnownStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            KnownStatus::None => "NONE",
            KnownStatus::ManifestPulled => "MANIFEST_PULLED",
            KnownStatus::Pulled => "PULLED",
            KnownStatus::Created => "CREATED",
            KnownStatus::Running => "RUNNING",
            KnownStatus::Stopped => "STOPPED",
        }
    }

    /// What the server hears of it.
    pub fn reported(self) -> ReportedStatus {
        match self {
            KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created => {
                ReportedStatus::Pending
            }
            KnownStatus::Running => ReportedStatus::Running,
            KnownStatus::Stopped => ReportedStatus::Stopped,
        }
    }
}

/// An operation under way. `backstop` is when the engine stops believing that it will be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub id: OpId,
    pub kind: OpKind,
    pub asked_at: Timestamp,
    pub backstop: Timestamp,
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpKind {
    InspectImage,
    ResolveManifest,
    Pull,
    /// Image and network of the pause container.
    Prepare,
    Create,
    /// After `NameInUse`: which container has our name?
    Adopt,
    Start,
    /// After a start that failed or was not answered: did it start?
    VerifyStart,
    Stop,
    /// After a stop that returned without the end, or failed.
    VerifyStop,
    /// Stopping failed for good: remove by force.
    ForceRemove,
    /// A regular inspection of a running container.
    RegularInspect,
    /// Stops what should not run any more, though the container counts as stopped.
    Kill,
    /// Clean-up.
    Remove,
    /// The container never ran and another program has its host ports: it makes room for one with others.
    Discard,
}

/// The next step towards a local image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageStep {
    /// Behaviours `once` and `prefer-cached` look for a local image first.
    LookLocal,
    Manifest,
    Pull,
    /// The registry failed: is there a local image? If so, `sticky` stays as the container's reason (G8);
    /// otherwise the container ends with `failure`.
    Fallback {
        sticky: String,
        failure: String,
    },
    Done,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum SecretsState {
    #[default]
    NotNeeded,
    /// To be asked for, not before the given time.
    Wanted(Option<Timestamp>),
    Asked(SideOp),
    Resolved(ResolvedSecrets),
}

/// An operation outside a container's life: on a secret or a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SideOp {
    pub id: OpId,
    pub backstop: Timestamp,
}

/// A cgroup or a volume of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceState {
    /// Nothing to create.
    NotNeeded,
    Wanted,
    Creating(SideOp),
    Ready,
    Removing(SideOp),
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub phase: KnownStatus,
    pub op: Option<Op>,
    /// The next operation waits until then.
    pub retry_at: Option<Timestamp>,
    /// Tries of the present step.
    pub tries: u32,
    pub image: ImageStep,
    /// A local image was looked for before asking the registry.
    pub looked_local: bool,
    /// When the present image step gives up.
    pub image_until: Option<Timestamp>,
    pub secrets: SecretsState,
    pub local_image: Option<LocalImage>,
    pub image_digest: Option<String>,
    /// Of the secrets that it was created with, or is about to be.
    pub secret_versions: Vec<SecretVersion>,
    pub ports: Vec<HostPorts>,
    pub runtime_id: Option<RuntimeId>,
    /// The runtime was asked to create it, and may have done so even if it answered otherwise.
    pub create_asked: bool,
    /// Start was asked for at least once, so that the container must not be created again.
    pub start_asked: bool,
    /// Until then the runtime may still get to a start that an earlier process asked for: only a look that was asked
    /// for later tells that it did not.
    pub start_settles_at: Option<Timestamp>,
    /// Ended, and to be started again under its restart policy.
    pub restarting: bool,
    /// That start was asked for.
    pub restart_asked: bool,
    pub start_error: Option<OpError>,
    pub stop_since: Option<Timestamp>,
    pub stop_error: Option<OpError>,
    /// Counts as stopped, but something of it may still run.
    pub kill_wanted: bool,
    /// The runtime's start time of the latest run, which tells runs apart; `None` until an inspection told it.
    pub run: Option<Timestamp>,
    /// That of the latest run known to have ended.
    pub ended_run: Option<Timestamp>,
    pub created_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    /// When it first ran, once it has been started again.
    pub first_started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub exit_code: Option<i32>,
    pub reason: String,
    pub restart_count: u32,
    pub health: Health,
    pub networks: Vec<ObservedNetwork>,
    pub mounts: Vec<ObservedMount>,
    pub pid: Option<u32>,
    /// When it is inspected next although nothing was heard of it.
    pub inspect_at: Option<Timestamp>,
    /// The container that was created with host ports of another program; removed before another one is created.
    pub discard: Option<RuntimeId>,
    /// How often host ports were refused.
    pub port_tries: u32,
    pub reported: Option<ReportedStatus>,
    pub removed: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub status: HealthStatus,
    pub since: Option<Timestamp>,
    pub exit_code: Option<i32>,
    pub output: String,
}

impl Container {
    fn new(definition: &ContainerDefinition) -> Self {
        let secrets = if definition.secrets.is_empty() && definition.environment_files.is_empty() {
            SecretsState::NotNeeded
        } else {
            SecretsState::Wanted(None)
        };
        Self {
            phase: KnownStatus::None,
            op: None,
            retry_at: None,
            tries: 0,
            image: ImageStep::Manifest,
            looked_local: false,
            image_until: None,
            secrets,
            local_image: None,
            image_digest: None,
            secret_versions: Vec::new(),
            ports: Vec::new(),
            runtime_id: None,
            create_asked: false,
            start_asked: false,
            start_settles_at: None,
            restarting: false,
            restart_asked: false,
            start_error: None,
            stop_since: None,
            stop_error: None,
            kill_wanted: false,
            run: None,
            ended_run: None,
            created_at: None,
            started_at: None,
            first_started_at: None,
            finished_at: None,
            exit_code: None,
            reason: String::new(),
            restart_count: 0,
            health: Health::default(),
            networks: Vec::new(),
            mounts: Vec::new(),
            pid: None,
            inspect_at: None,
            discard: None,
            port_tries: 0,
            reported: None,
            removed: false,
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.phase == KnownStatus::Stopped
    }

    /// True once its process ran, whatever became of it.
    pub fn has_run(&self) -> bool {
        self.started_at.is_some()
    }

    /// True if a process of this container may exist.
    pub fn may_live(&self) -> bool {
        (self.start_asked && !self.is_stopped()) || self.kill_wanted
    }

    /// Something of this container, which counts as stopped, may run (again). A stop under way may have
    /// come before that, so its answer no longer counts.
    pub fn want_kill(&mut self) {
        if self.removed {
            return;
        }
        self.kill_wanted = true;
        // It runs now, so that another try need not wait for what the last one met.
        self.retry_at = None;
        self.op.take_if(|op| op.kind == OpKind::Kill);
    }

    fn journal_phase(&self) -> JournalPhase {
        match self.phase {
            KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Created => {
                if self.start_asked {
                    JournalPhase::StartAsked
                } else {
                    JournalPhase::Unstarted
                }
            }
            KnownStatus::Running => JournalPhase::Running,
            KnownStatus::Stopped => JournalPhase::Stopped,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// In the queue; `told` once the server heard why.
    Waiting {
        since: Timestamp,
        told: bool,
    },
    Held,
    Released,
}

/// The state of reporting (G8).
#[derive(Clone, Debug, Default)]
pub(crate) struct Reporting {
    /// The last status that the server accepted.
    pub accepted: Option<ReportedStatus>,
    pub in_flight: Option<InFlight>,
    /// Changes not yet sent, in order.
    pub changes: Vec<(usize, ReportedStatus)>,
    /// A resolved digest, or a reason to wait, to be told at once under PENDING.
    pub urgent: bool,
    pub waiting: Option<String>,
    pub flush_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub id: ReportId,
    pub status: ReportedStatus,
    pub changes: Vec<(usize, ReportedStatus)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleanup {
    NotDue,
    /// The containers go, then volumes and cgroup.
    Removing,
    /// Nothing is left; the engine forgets the task.
    Finished,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub spec: TaskSpec,
    pub needs: Needs,
    pub graph: Graph,
    pub arrival: u64,
    pub assigned_at: Timestamp,
    pub drawn: Vec<DrawnContainer>,
    pub volume_names: Vec<String>,
    pub desired: Desired,
    /// Why the task as a whole failed; empty if it did not.
    pub reason: String,
    pub admission: Admission,
    pub cgroup: ResourceState,
    pub volumes: Vec<ResourceState>,
    pub containers: Vec<Container>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub reporting: Reporting,
    pub cleanup: Cleanup,
    pub cleanup_at: Option<Timestamp>,
    /// What the journal has.
    pub stored: Option<ProgressRecord>,
    /// When to look at this task again without any input.
    pub wake: Option<Timestamp>,
}

impl Task {
    pub fn new(mut spec: TaskSpec, arrival: u64, now: Timestamp, seed: Seed, settings: &Settings) -> Self {
        network::add_pause(&mut spec);
        let drawn = spec
            .containers
            .iter()
            .enumerate()
            .map(|(n, c)| {
                let seed = seed.of(n as u64);
                DrawnContainer {
                    runtime_name: create::container_name(&spec, c.name.as_str(), seed),
                    metadata_id: longshore_base::Ids::new(seed).uuid(),
                }
            })
            .collect();
        let volumes = seed.of(u64::MAX);
        let volume_names = spec
            .volumes
            .iter()
            .enumerate()
            .map(|(n, v)| create::volume_name(&spec, &v.name, &v.source, volumes.of(n as u64)))
            .collect();
        let record = AssignmentRecord { spec, arrival, assigned_at: now, drawn, volume_names };
        Self::from_assignment(record, settings)
    }

    /// True for containers of the task definition, which is what the world hears of.
    pub fn is_ordinary(&self, index: usize) -> bool {
        match self.spec.containers[index].role {
            ContainerRole::Ordinary => true,
            ContainerRole::Pause => false,
        }
    }

    /// The states of the containers of the task definition.
    pub fn ordinary(&self) -> impl Iterator<Item = &Container> {
        let all = self.containers.iter().enumerate();
        all.filter(|(index, _)| self.is_ordinary(*index)).map(|(_, container)| container)
    }

    /// Notes a change of a container that is to be reported.
    pub fn note_change(&mut self, index: usize, status: ReportedStatus) {
        if self.is_ordinary(index) {
            self.reporting.changes.push((index, status));
        }
    }

    /// A task just as it was assigned, with no progress.
    pub fn from_assignment(record: AssignmentRecord, settings: &Settings) -> Self {
        let AssignmentRecord { spec, arrival, assigned_at, drawn, volume_names } = record;
        let volumes = spec
            .volumes
            .iter()
            .map(|v| match &v.source {
                VolumeSource::HostPath(_) => ResourceState::NotNeeded,
                VolumeSource::Anonymous | VolumeSource::Docker(_) | VolumeSource::Efs(_) => {
                    ResourceState::Wanted
                }
            })
            .collect();
        let cgroup = match settings.task_cgroups {
            TaskCgroups::Off => ResourceState::NotNeeded,
            TaskCgroups::V1 | TaskCgroups::V2 => ResourceState::Wanted,
        };
        let mut task = Self {
            needs: Needs::of(&spec),
            graph: Graph::unconnected(spec.containers.len()),
            arrival,
            assigned_at,
            drawn,
            volume_names,
            desired: Desired::Running,
            reason: String::new(),
            admission: Admission::Waiting { since: assigned_at, told: false },
            cgroup,
            volumes,
            containers: spec.containers.iter().map(Container::new).collect(),
            pull_started_at: None,
            pull_stopped_at: None,
            execution_stopped_at: None,
            stopped_at: None,
            reporting: Reporting::default(),
            cleanup: Cleanup::NotDue,
            cleanup_at: None,
            stored: None,
            wake: None,
            spec,
        };
        match crate::validate::check(&task.spec, settings) {
            Ok(graph) => task.graph = graph,
            Err(reason) => task.fail(reason),
        }
        task
    }

    pub fn assignment(&self) -> AssignmentRecord {
        AssignmentRecord {
            spec: self.spec.clone(),
            arrival: self.arrival,
            assigned_at: self.assigned_at,
            drawn: self.drawn.clone(),
            volume_names: self.volume_names.clone(),
        }
    }

    /// The task cannot go on, for a reason of its own. The first reason stays.
    pub fn fail(&mut self, reason: String) {
        if self.reason.is_empty() {
            self.reason = reason;
        }
        self.desired = Desired::Stopped;
    }

    pub fn is_stopping(&self) -> bool {
        self.desired == Desired::Stopped
    }

    /// That of the slowest container; a task without containers has stopped.
    pub fn status(&self) -> KnownStatus {
        self.containers.iter().map(|c| c.phase).min().unwrap_or(KnownStatus::Stopped)
    }

    pub fn is_stopped(&self) -> bool {
        self.status() == KnownStatus::Stopped
    }

    pub fn index_of(&self, container: &str) -> Option<usize> {
        self.spec.containers.iter().position(|c| c.name.as_str() == container)
    }

    /// Ends a container's life, once. What ran is noted as the end of execution if it was essential.
    pub fn mark_stopped(
        &mut self,
        index: usize,
        now: Timestamp,
        finished_at: Option<Timestamp>,
        exit_code: Option<i32>,
        reason: String,
    ) {
        let essential = self.spec.containers[index].essential;
        if self.containers[index].is_stopped() {
            return;
        }
        let is_ordinary = self.is_ordinary(index);
        if !is_ordinary && !self.is_stopping() {
            let why = network::ended(self.containers[index].has_run(), exit_code, &reason);
            self.fail(why);
        }
        let container = &mut self.containers[index];
        container.phase = KnownStatus::Stopped;
        container.op = None;
        container.retry_at = None;
        container.tries = 0;
        container.restarting = false;
        container.inspect_at = None;
        container.exit_code = exit_code;
        if container.has_run() {
            container.finished_at = Some(finished_at.unwrap_or(now));
        }
        if !reason.is_empty() {
            container.reason = reason;
        }
        let ended = container.finished_at;
        self.note_change(index, ReportedStatus::Stopped);
        if essential {
            if let Some(at) = ended.filter(|_| is_ordinary) {
                self.execution_stopped_at.get_or_insert(at);
            }
            self.desired = Desired::Stopped;
        }
    }

    /// The task's state as the journal keeps it.
    pub fn progress(&self) -> ProgressRecord {
        ProgressRecord {
            task: self.spec.key.clone(),
            desired: self.desired,
            reason: self.reason.clone(),
            admitted: self.admission == Admission::Held,
            volumes_created: self
                .spec
                .volumes
                .iter()
                .zip(&self.volumes)
                .filter(|(_, state)| **state == ResourceState::Ready)
                .map(|(volume, _)| volume.name.clone())
                .collect(),
            containers: self
                .spec
                .containers
                .iter()
                .zip(&self.containers)
                .map(|(definition, c)| ContainerProgress {
                    name: definition.name.clone(),
                    phase: c.journal_phase(),
                    runtime_id: c.runtime_id.clone(),
                    exit_code: c.exit_code,
                    reason: c.reason.clone(),
                    image_id: c.local_image.as_ref().map(|image| image.id.clone()),
                    image_digest: c.image_digest.clone(),
                    host_ports: c.ports.clone(),
                    restart_count: c.restart_count,
                    created_at: c.created_at,
                    started_at: c.started_at,
                    first_started_at: c.first_started_at,
                    finished_at: c.finished_at,
                    run: c.run,
                    reported: c.reported,
                    removed: c.removed,
                    discard: c.discard.clone(),
                    restart_asked: c.restart_asked,
                    secret_versions: c.secret_versions.clone(),
                })
                .collect(),
            reported: self.reporting.accepted,
            pull_started_at: self.pull_started_at,
            pull_stopped_at: self.pull_stopped_at,
            execution_stopped_at: self.execution_stopped_at,
            stopped_at: self.stopped_at,
        }
    }
}
