//! The state machine: applies one input, then lets every task that it touched take all the steps
//! that it can.
//!
//! Level-triggered: an input only changes what is known, and [`advance`] derives the next operations
//! from that, so a lost, late or repeated event costs time and nothing else.

mod admission;
mod advance;
mod ask;
mod cleanup;
mod gate;
mod image_cycle;
mod observe;
mod outcome;
mod pause;
mod pressure;
mod pull;
mod reports;
mod restore;
mod start;
mod stop;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use longshore_base::{Seed, Timestamp};

use crate::action::Action;
use crate::host::Ledger;
use crate::images::Images;
use crate::input::Input;
use crate::journal::{JournalChange, JournalKey, JournalRecord};
use crate::note::Note;
use crate::pressure::Pressure;
use crate::report::{ReportedStatus, TaskReport};
use crate::settings::{HostCapacity, Settings};
use crate::spec::{ContainerKey, Desired, OpId, ReportId, TaskKey, TaskSpec};
use crate::task::{Op, OpKind, SideOp, Task};
use image_cycle::ImageCycle;
use outcome::Outcome;
use pressure::Relief;

/// How much later than an operation's own limit the engine stops waiting for its result.
const ANSWER_MARGIN: Duration = Duration::from_secs(30);

/// How many lines wait for a log that nobody reads.
const NOTES_MAX: usize = 256;

/// What the steps of a task share: settings, time, chance, and where effects go.
#[derive(Debug)]
pub(crate) struct Cx {
    pub settings: Settings,
    pub images: Images,
    pub ledger: Ledger,
    pub pressure: Pressure,
    /// The runtime said that its disk is full.
    no_space: bool,
    /// Nobody wants to hear of the tasks any more.
    dismissed: bool,
    notes: VecDeque<Note>,
    pub now: Timestamp,
    seed: Seed,
    draws: u64,
    next_op: u64,
    next_report: u64,
    effects: Vec<Action>,
    changes: Vec<JournalChange>,
}

impl Cx {
    fn emit(&mut self, action: Action) {
        self.effects.push(action);
    }

    fn note(&mut self, note: Note) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push_back(note);
        }
    }

    fn put(&mut self, key: JournalKey, record: JournalRecord) {
        self.changes.push(JournalChange::Put(key, Box::new(record)));
    }

    fn delete(&mut self, key: JournalKey) {
        self.changes.push(JournalChange::Delete(key));
    }

    fn draw(&mut self) -> Seed {
        self.draws += 1;
        self.seed.of(self.draws)
    }

    /// A duration in `0..=most`, in milliseconds.
    fn jitter(&mut self, most: Duration) -> Duration {
        let most = usize::try_from(most.as_millis()).unwrap_or(usize::MAX - 1);
        Duration::from_millis(self.draw().below(most + 1) as u64)
    }

    fn op_id(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    fn op(&mut self, kind: OpKind, timeout: Duration) -> Op {
        Op {
            id: self.op_id(),
            kind,
            timeout,
            asked_at: self.now,
            backstop: self.now + timeout + ANSWER_MARGIN,
        }
    }

    fn side_op(&mut self, timeout: Duration) -> SideOp {
        SideOp { id: self.op_id(), backstop: self.now + timeout + ANSWER_MARGIN }
    }

    fn report_id(&mut self) -> ReportId {
        self.next_report += 1;
        ReportId(self.next_report)
    }
}

/// One node's tasks. See the crate's documentation.
#[derive(Debug)]
pub struct TaskEngine {
    cx: Cx,
    tasks: BTreeMap<TaskKey, Task>,
    /// Every task's `wake`, soonest first.
    wakes: BTreeSet<(Timestamp, TaskKey)>,
    /// Tasks without their share of the host, in order of arrival.
    queue: BTreeSet<(u64, TaskKey)>,
    /// Something changed that may let a waiting task in.
    queue_stale: bool,
    next_arrival: u64,
    image_cycle: ImageCycle,
    relief: Relief,
    /// Restored from the journal, but not told yet which containers exist: nothing is done.
    restoring: bool,
    actions: VecDeque<Action>,
}

impl TaskEngine {
    /// An engine without tasks. `seed` feeds names, metadata ids and jitter.
    pub fn new(settings: Settings, host: HostCapacity, seed: Seed) -> Self {
        Self {
            cx: Cx {
                settings,
                images: Images::default(),
                ledger: Ledger::new(host),
                pressure: Pressure::default(),
                no_space: false,
                dismissed: false,
                notes: VecDeque::new(),
                now: Timestamp::MIN,
                seed,
                draws: 0,
                next_op: 0,
                next_report: 0,
                effects: Vec::new(),
                changes: Vec::new(),
            },
            tasks: BTreeMap::new(),
            wakes: BTreeSet::new(),
            queue: BTreeSet::new(),
            queue_stale: false,
            next_arrival: 0,
            image_cycle: ImageCycle::default(),
            relief: Relief::default(),
            restoring: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes in one thing that happened. `now` must not be earlier than in the call before; if the
    /// clock was set back, the engine's time stands still meanwhile.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.cx.now = self.cx.now.max(now);
        let touched = self.apply(input);
        if !self.restoring {
            for key in touched {
                self.advance(&key);
            }
            while let Some((at, key)) = self.wakes.first().cloned()
                && at <= self.cx.now
            {
                self.wakes.remove(&(at, key.clone()));
                self.advance(&key);
            }
            while std::mem::take(&mut self.queue_stale) {
                for key in self.admit_waiting() {
                    self.advance(&key);
                }
            }
            for key in self.relieve_if_full() {
                self.advance(&key);
            }
            self.step_images();
        }
        self.flush();
    }

    /// The next thing to do, in order; see [`Action`] for what may overlap.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next line for the log.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.cx.notes.pop_front()
    }

    /// When to call `handle(now, Tick)` at the latest if nothing else happens; always in the future
    /// of the last `handle`.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.restoring {
            return None;
        }
        let task = self.wakes.first().map(|(at, _)| *at);
        [task, self.image_cycle.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn task(&self, key: &TaskKey) -> Option<&Task> {
        self.tasks.get(key)
    }

    pub(crate) fn all_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.cx.ledger
    }

    /// Changes what is known; gives the tasks that are to be looked at.
    fn apply(&mut self, input: Input) -> Vec<TaskKey> {
        match input {
            Input::Assigned(spec) => self.assign(*spec),
            Input::StopRequested { task, containers } => self.request_stop(task, &containers),
            Input::Dismissed => self.dismiss(),
            Input::Unloadable { task, cause } => {
                if !self.tasks.contains_key(&task) {
                    let reason = format!("UnrecogniedTaskError: Error loading task - {cause}");
                    self.report_unknown(task, reason, Vec::new());
                }
                Vec::new()
            }
            Input::Declined { task, reason } => {
                if !self.tasks.contains_key(&task) {
                    self.report_unknown(task, reason, Vec::new());
                }
                Vec::new()
            }
            Input::SecretsResolved { op, container, result } => {
                self.with(container, |task, index, cx| outcome::secrets(task, index, op, result, cx.now))
            }
            Input::ImageInspected { op, container, result } => {
                self.finish(container, op, Outcome::Image(result))
            }
            Input::ManifestResolved { op, container, result } => {
                self.finish(container, op, Outcome::Manifest(result))
            }
            Input::PullFinished { op, container, result } => {
                self.finish(container, op, Outcome::Image(result))
            }
            Input::ContainerCreated { op, container, result } => {
                if let Ok(runtime_id) = &result
                    && !self.tasks.contains_key(&container.task)
                {
                    // Created after its task was forgotten: nobody else would remove it.
                    let action = Action::RemoveContainer {
                        op: self.cx.op_id(),
                        runtime_id: runtime_id.clone(),
                        container: container.clone(),
                    };
                    self.cx.emit(action);
                }
                self.finish(container, op, Outcome::Created(result))
            }
            Input::ContainerStarted { op, container, result } => {
                self.finish(container, op, Outcome::Started(result))
            }
            Input::ContainerStopped { op, container, result } => {
                self.finish(container, op, Outcome::Stopped(result))
            }
            Input::ContainerInspected { op, container, result } => {
                self.finish(container, op, Outcome::Inspected(result))
            }
            Input::ContainerRemoved { op, container, result } => {
                self.finish(container, op, Outcome::Removed(result))
            }
            Input::NetworkPrepared { op, container, result } => {
                self.finish(container, op, Outcome::Prepared(result))
            }
            Input::CgroupCreated { op, task, result } => {
                self.with_task(task, |task| outcome::cgroup_created(task, op, result))
            }
            Input::CgroupRemoved { op, task, result: _ } => {
                self.with_task(task, |task| outcome::cgroup_removed(task, op))
            }
            Input::VolumeCreated { op, task, volume, result } => {
                self.with_task(task, |task| outcome::volume_created(task, &volume, op, result))
            }
            Input::VolumeRemoved { op, task, volume, result: _ } => {
                self.with_task(task, |task| outcome::volume_removed(task, &volume, op))
            }
            Input::ContainerObserved { container, observation } => {
                self.with(container, |task, index, cx| observe::observed(task, index, &observation, cx))
            }
            Input::ContainerVanished { container, runtime_id } => {
                self.with(container, |task, index, cx| observe::vanished(task, index, &runtime_id, cx))
            }
            Input::ImagesListed { op, result } => {
                self.images_listed(op, result);
                Vec::new()
            }
            Input::ImageRemoved { op, result } => {
                self.image_removed(op, result);
                Vec::new()
            }
            Input::DiskMeasured(usage) => {
                self.disk_measured(usage);
                Vec::new()
            }
            Input::ReportAccepted { task, id } | Input::ReportRefused { task, id } => {
                self.with_task(task, |task| reports::answered(task, id))
            }
            Input::Restored { containers } => self.found(containers),
            Input::Tick => Vec::new(),
        }
    }

    fn assign(&mut self, spec: TaskSpec) -> Vec<TaskKey> {
        let key = spec.key.clone();
        match spec.desired {
            Desired::Stopped => {
                let names: Vec<_> = spec.containers.iter().map(|c| c.name.clone()).collect();
                return self.request_stop(key, &names);
            }
            Desired::Running => {}
        }
        self.cx.emit(Action::AckReady(key.clone()));
        if self.tasks.contains_key(&key) {
            return Vec::new();
        }
        let seed = self.cx.draw();
        self.next_arrival += 1;
        let task = Task::new(spec, self.next_arrival, self.cx.now, seed, &self.cx.settings);
        let record = JournalRecord::Assignment(Box::new(task.assignment()));
        self.cx.put(JournalKey::Assignment(key.clone()), record);
        self.store_progress(task);
        if !self.restoring {
            self.enqueue(&key);
        }
        vec![key]
    }

    /// Takes a new task in and journals it as it is, for the case that nothing is advanced now.
    fn store_progress(&mut self, mut task: Task) {
        let key = task.spec.key.clone();
        let progress = task.progress();
        self.cx.put(JournalKey::Progress(key.clone()), JournalRecord::Progress(progress.clone()));
        task.stored = Some(progress);
        self.tasks.insert(key, task);
    }

    fn request_stop(&mut self, key: TaskKey, containers: &[longshore_base::ContainerName]) -> Vec<TaskKey> {
        self.cx.emit(Action::AckReady(key.clone()));
        match self.tasks.get_mut(&key) {
            Some(task) => {
                task.desired = Desired::Stopped;
                if self.restoring {
                    self.store_if_changed(&key);
                }
                vec![key]
            }
            None => {
                let reason = if containers.is_empty() {
                    "TaskStateError: Agent could not progress task's state to stopped".to_owned()
                } else {
                    String::new()
                };
                let changes = containers.iter().map(|name| reports::never_here(name.clone())).collect();
                self.report_unknown(key, reason, changes);
                Vec::new()
            }
        }
    }

    fn dismiss(&mut self) -> Vec<TaskKey> {
        self.cx.dismissed = true;
        let keys: Vec<TaskKey> = self.tasks.keys().cloned().collect();
        for key in &keys {
            if let Some(task) = self.tasks.get_mut(key) {
                task.desired = Desired::Stopped;
            }
            if self.restoring {
                self.store_if_changed(key);
            }
        }
        keys
    }

    /// The one report about a task that is not here: it ended, as far as this node can tell.
    fn report_unknown(
        &mut self,
        task: TaskKey,
        reason: String,
        containers: Vec<crate::report::ContainerChange>,
    ) {
        let report = TaskReport {
            id: self.cx.report_id(),
            task,
            status: ReportedStatus::Stopped,
            reason: reports::limited(&reason),
            containers,
            pull_started_at: None,
            pull_stopped_at: None,
            execution_stopped_at: None,
        };
        self.cx.emit(Action::Report(report));
    }

    fn with(
        &mut self,
        container: ContainerKey,
        change: impl FnOnce(&mut Task, usize, &mut Cx),
    ) -> Vec<TaskKey> {
        let Some(task) = self.tasks.get_mut(&container.task) else { return Vec::new() };
        let Some(index) = task.index_of(container.name.as_str()) else { return Vec::new() };
        change(task, index, &mut self.cx);
        vec![container.task]
    }

    fn with_task(&mut self, key: TaskKey, change: impl FnOnce(&mut Task)) -> Vec<TaskKey> {
        let Some(task) = self.tasks.get_mut(&key) else { return Vec::new() };
        change(task);
        vec![key]
    }

    fn finish(&mut self, container: ContainerKey, op: OpId, outcome: Outcome) -> Vec<TaskKey> {
        self.with(container, |task, index, cx| outcome::finished(task, index, op, outcome, cx))
    }

    /// Lets a task take all the steps that it can, and does the bookkeeping after it.
    fn advance(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        if let Some(at) = task.wake.take() {
            self.wakes.remove(&(at, key.clone()));
        }
        advance::settle(task, &mut self.cx);
        if let Some(at) = task.wake {
            self.wakes.insert((at, key.clone()));
        }
        self.settle_share(key);
        if cleanup::is_finished(&self.tasks[key]) {
            self.forget(key);
        } else {
            self.store_if_changed(key);
        }
    }

    fn store_if_changed(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let progress = task.progress();
        if task.stored.as_ref() != Some(&progress) {
            task.stored = Some(progress.clone());
            self.cx.put(JournalKey::Progress(key.clone()), JournalRecord::Progress(progress));
        }
    }

    fn forget(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.remove(key) else { return };
        if let Some(at) = task.wake {
            self.wakes.remove(&(at, key.clone()));
        }
        self.cx.delete(JournalKey::Assignment(key.clone()));
        self.cx.delete(JournalKey::Progress(key.clone()));
        for definition in &task.spec.containers {
            if let Some(record) = self.cx.images.unused(&definition.image, self.cx.now) {
                let key = JournalKey::Image(record.reference.clone());
                self.cx.put(key, JournalRecord::Image(record));
            }
        }
        self.cx.emit(Action::TaskForgotten(key.clone()));
    }

    /// Hands out what this input caused: the journal first, because the rest relies on it.
    fn flush(&mut self) {
        let changes = std::mem::take(&mut self.cx.changes);
        if !changes.is_empty() {
            self.actions.push_back(Action::Persist(changes));
        }
        self.actions.extend(self.cx.effects.drain(..));
    }
}
