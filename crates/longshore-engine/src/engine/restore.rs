//! After a restart: from journal and containers back to where the tasks are (agent-protocol G15).
//!
//! The rule that nothing is started twice rests on the journal: "start was asked for" is durable
//! before the start. So a container that was never asked to start may be created again if it is
//! missing; one that was asked and is missing has run and vanished; one that was asked and has not run
//! is given time, because the runtime may still have the request of the process that died.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{Seed, Timestamp};

use crate::input::{FoundContainer, LocalImage, ObservedStatus, OpError, OpErrorKind};
use crate::journal::{ContainerProgress, JournalPhase, JournalRecord, ProgressRecord};
use crate::report::ReportedStatus;
use crate::settings::{HostCapacity, Settings};
use crate::spec::{ContainerKey, TaskKey};
use crate::task::{Admission, Container, ImageStep, KnownStatus, OpKind, ResourceState, Task};

use super::{TaskEngine, ask, observe};

/// How long a runtime may take to get to a start that was asked for by a process which has died since. No runtime can
/// be asked to start a container only if it has not run, so this is waited out.
const START_SETTLES: Duration = Duration::from_secs(10);

impl TaskEngine {
    /// An engine as the journal left it. It takes tasks and stops in, but does nothing else until
    /// [`crate::Input::Restored`] tells which containers exist. `seed` must differ from earlier runs'.
    pub fn restore(
        settings: Settings,
        host: HostCapacity,
        seed: Seed,
        records: impl IntoIterator<Item = JournalRecord>,
        now: Timestamp,
    ) -> Self {
        let mut engine = Self::new(settings, host, seed);
        engine.cx.now = now;
        engine.restoring = true;
        let mut progress: BTreeMap<TaskKey, ProgressRecord> = BTreeMap::new();
        for record in records {
            match record {
                JournalRecord::Assignment(assignment) => {
                    engine.next_arrival = engine.next_arrival.max(assignment.arrival);
                    let task = Task::from_assignment(*assignment, &engine.cx.settings);
                    engine.tasks.insert(task.spec.key.clone(), task);
                }
                JournalRecord::Progress(record) => {
                    progress.insert(record.task.clone(), record);
                }
                JournalRecord::Image(image) => engine.cx.images.restore(image),
            }
        }
        for (key, record) in progress {
            let Some(task) = engine.tasks.get_mut(&key) else { continue };
            apply(task, record);
            if task.admission == Admission::Held {
                let ports = task.containers.iter().flat_map(|c| &c.ports);
                engine.cx.ledger.readmit(&key, &task.needs, ports);
            }
        }
        engine
    }

    /// The runtime told which containers exist. The first time ends the restore; later ones make up for
    /// lost events.
    pub(super) fn found(&mut self, containers: Vec<FoundContainer>) -> Vec<TaskKey> {
        let first = std::mem::take(&mut self.restoring);
        let mut by_key: BTreeMap<ContainerKey, Vec<FoundContainer>> = BTreeMap::new();
        for container in containers {
            by_key.entry(container.container.clone()).or_default().push(container);
        }
        let keys: Vec<TaskKey> = self.tasks.keys().cloned().collect();
        for key in &keys {
            let Some(task) = self.tasks.get_mut(key) else { continue };
            for index in 0..task.containers.len() {
                let found = by_key.remove(&ask::key_of(task, index)).unwrap_or_default();
                let name = &task.drawn[index].runtime_name;
                let ours = found.into_iter().find(|f| f.name == *name);
                let container = &mut task.containers[index];
                match ours {
                    Some(ours) if container.discard.as_ref() == Some(&ours.observation.runtime_id) => {
                        if container.is_stopped() {
                            container.runtime_id = container.discard.take();
                        } else if first {
                            container.phase = KnownStatus::Created;
                            container.image = ImageStep::Done;
                        }
                    }
                    Some(ours) => {
                        adopt(&mut task.containers[index], &ours, first);
                        observe::observed(task, index, &ours.observation, &mut self.cx);
                        if first {
                            settle(&mut task.containers[index], self.cx.now);
                        }
                    }
                    None => missing(task, index, first, &mut self.cx),
                }
            }
            if first {
                match task.admission {
                    Admission::Waiting { .. } => {
                        self.queue.insert((task.arrival, key.clone()));
                        self.queue_stale = true;
                    }
                    Admission::Held | Admission::Released => {}
                }
            }
        }
        keys
    }
}

/// A container of ours is there: learn its id, if a crash came between creation and journal.
fn adopt(container: &mut Container, found: &FoundContainer, first: bool) {
    if !first || container.removed {
        return;
    }
    if container.is_stopped() {
        // Given up as stopped while it could not be: the list is fresh, so it runs for sure.
        container.kill_wanted = found.observation.status == ObservedStatus::Running;
        container.runtime_id = Some(found.observation.runtime_id.clone());
        return;
    }
    container.runtime_id = Some(found.observation.runtime_id.clone());
    if container.phase < KnownStatus::Created {
        container.phase = KnownStatus::Created;
        container.image = ImageStep::Done;
    }
    match found.observation.status {
        ObservedStatus::Created => {}
        ObservedStatus::Running | ObservedStatus::Exited { .. } => container.start_asked = true,
    }
}

/// A start that an earlier process asked for has not happened, and may yet: asking again at once could run the
/// container twice.
fn settle(container: &mut Container, now: Timestamp) {
    let asked = match container.phase {
        KnownStatus::Created => container.start_asked,
        KnownStatus::Running => container.restarting && container.restart_asked,
        KnownStatus::None | KnownStatus::ManifestPulled | KnownStatus::Pulled | KnownStatus::Stopped => false,
    };
    if asked {
        container.start_settles_at = Some(now + START_SETTLES);
        container.start_error = Some(OpError {
            kind: OpErrorKind::Unavailable,
            text: "the agent restarted while the container was being started".to_owned(),
        });
    }
}

fn missing(task: &mut Task, index: usize, first: bool, cx: &mut super::Cx) {
    let container = &mut task.containers[index];
    if first {
        container.discard = None;
    }
    if container.runtime_id.is_none() && !container.start_asked {
        return;
    }
    if !first {
        // The list may be older than the container: ask for this one.
        if container.op.is_none() && !container.is_stopped() {
            ask::inspect(task, index, OpKind::RegularInspect, cx);
        }
        return;
    }
    if container.start_asked || container.is_stopped() {
        observe::note_removed(task, index, cx);
    } else {
        container.runtime_id = None;
        container.created_at = None;
        container.phase = KnownStatus::None;
    }
}

fn apply(task: &mut Task, record: ProgressRecord) {
    task.desired = task.desired.max(record.desired);
    if task.reason.is_empty() {
        task.reason.clone_from(&record.reason);
    }
    if record.admitted {
        task.admission = Admission::Held;
    }
    task.pull_started_at = record.pull_started_at;
    task.pull_stopped_at = record.pull_stopped_at;
    task.execution_stopped_at = record.execution_stopped_at;
    task.stopped_at = record.stopped_at;
    task.reporting.accepted = record.reported;
    for (index, definition) in task.spec.volumes.iter().enumerate() {
        if record.volumes_created.contains(&definition.name) {
            task.volumes[index] = ResourceState::Ready;
        }
    }
    let any_created = record.containers.iter().any(|c| c.runtime_id.is_some());
    if any_created && task.cgroup == ResourceState::Wanted {
        task.cgroup = ResourceState::Ready;
    }
    for progress in &record.containers {
        let Some(index) = task.index_of(progress.name.as_str()) else { continue };
        apply_container(&mut task.containers[index], progress);
        // What happened before the restart and was not accepted yet is told again.
        let container = &task.containers[index];
        let status = container.phase.reported();
        if status > ReportedStatus::Pending && container.reported < Some(status) {
            task.note_change(index, status);
        }
    }
    task.stored = Some(record);
}

fn apply_container(container: &mut Container, progress: &ContainerProgress) {
    container.runtime_id.clone_from(&progress.runtime_id);
    container.exit_code = progress.exit_code;
    container.reason.clone_from(&progress.reason);
    container.image_digest.clone_from(&progress.image_digest);
    container.secret_versions.clone_from(&progress.secret_versions);
    container.local_image = progress.image_id.clone().map(|id| LocalImage {
        id,
        digest: progress.image_digest.clone(),
        size_bytes: 0,
    });
    container.ports.clone_from(&progress.host_ports);
    container.restart_count = progress.restart_count;
    container.created_at = progress.created_at;
    container.started_at = progress.started_at;
    container.first_started_at = progress.first_started_at;
    container.finished_at = progress.finished_at;
    container.run = progress.run;
    container.reported = progress.reported;
    container.removed = progress.removed;
    container.discard.clone_from(&progress.discard);
    container.restart_asked = progress.restart_asked;
    match progress.phase {
        JournalPhase::Unstarted => {
            if container.runtime_id.is_some() {
                container.phase = KnownStatus::Created;
                container.image = ImageStep::Done;
            }
        }
        JournalPhase::StartAsked => {
            container.phase = KnownStatus::Created;
            container.image = ImageStep::Done;
            container.start_asked = true;
        }
        JournalPhase::Running => {
            container.phase = KnownStatus::Running;
            container.image = ImageStep::Done;
            container.start_asked = true;
            // An end that was followed by a restart is told again by the inspection of the container.
            container.exit_code = None;
        }
        JournalPhase::Stopped => {
            container.phase = KnownStatus::Stopped;
            container.start_asked = container.started_at.is_some();
            container.ended_run = container.run;
        }
    }
}
