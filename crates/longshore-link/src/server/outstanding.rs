//! Which tasks the instance is to run, compared with what it was last told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{TaskId, Timestamp};

use super::session::DesiredTask;
use super::task_arn::{Prefixes, TaskArn};
use crate::limits::{PAYLOADS_IN_FLIGHT_MAX, RESEND_AFTER, RESEND_AFTER_MAX};
use crate::message::DesiredStatus;

/// How far the agent has been told what is wanted of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// To be sent as soon as there is room.
    Due,
    /// Unanswered, and to be sent again at `again_at`. Only the first sending holds one of the
    /// [`PAYLOADS_IN_FLIGHT_MAX`] prefixes: a task that the agent never acks must not keep others out.
    Sent { again_at: Timestamp, holds_place: bool },
}

/// What is known of a task. Nearly always only what is wanted of it, so the rest is apart.
#[derive(Debug)]
struct Entry {
    want: DesiredStatus,
    /// Absent once the agent is known to follow.
    open: Option<Box<Open>>,
}

/// What is to be told, or has been and not been answered.
#[derive(Debug)]
struct Open {
    progress: Progress,
    /// Position in the queue: the order of arrival, and behind the others when it is repeated.
    order: u64,
    /// The id under which the current want was first sent. Repetitions keep it, so that a late ack of
    /// an earlier copy counts.
    id: Option<i64>,
    /// How often the current want was sent on this connection.
    sent: u32,
    /// The agent's process is new: it needs the task's credentials even if it has the task, so only its own
    /// ack counts.
    needs_credentials: bool,
}

/// The tasks of one instance. Level-triggered: [`set`](Self::set) says what is wanted now, in any order and
/// as often as one likes.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    tasks: BTreeMap<TaskArn, Entry>,
    prefixes: Prefixes,
    /// What is due, stops before starts (they free what the starts need), then in order of arrival.
    due: BTreeSet<(Rank, u64, TaskArn)>,
    /// When to send again.
    waiting: BTreeSet<(Timestamp, TaskArn)>,
    /// Which task the message with this id was about.
    ids: BTreeMap<i64, TaskArn>,
    arrivals: u64,
    /// How many tasks hold a place.
    in_flight: usize,
    /// How many tasks need credentials.
    owing: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Stop,
    Start,
}

fn rank(want: DesiredStatus) -> Rank {
    match want {
        DesiredStatus::Stopped => Rank::Stop,
        DesiredStatus::Running => Rank::Start,
    }
}

impl Outstanding {
    /// Says what is wanted of one task.
    ///
    /// A task that was wanted stopped stays so: agents do not go back (agent-protocol G6).
    pub fn set(&mut self, desired: DesiredTask, needs_credentials: bool) {
        let DesiredTask { task, want, confirmed } = desired;
        let name = self.prefixes.intern(&task);
        let Some(known) = self.tasks.get(&name).map(|entry| entry.want) else {
            let needs_credentials = needs_credentials && want == DesiredStatus::Running;
            self.tasks.insert(name.clone(), Entry { want, open: None });
            if !confirmed || needs_credentials {
                self.open(name, needs_credentials);
            }
            return;
        };
        match (known, want) {
            (DesiredStatus::Running, DesiredStatus::Stopped) => {
                // Leave the old queue under the old rank, then join the new one.
                self.confirm(&name);
                if let Some(entry) = self.tasks.get_mut(&name) {
                    entry.want = DesiredStatus::Stopped;
                }
                if !confirmed {
                    self.open(name, false);
                }
            }
            (DesiredStatus::Stopped, DesiredStatus::Running) => {}
            (DesiredStatus::Running, DesiredStatus::Running)
            | (DesiredStatus::Stopped, DesiredStatus::Stopped) => {
                let owes = self.entry(&name).is_some_and(|open| open.needs_credentials);
                if confirmed && !owes {
                    self.confirm(&name);
                }
            }
        }
    }

    /// Forgets a task: it has stopped, or it was never for this instance.
    pub fn remove(&mut self, task: &str) {
        if let Some(name) = self.prefixes.known(task) {
            self.forget(&name);
        }
    }

    fn forget(&mut self, name: &TaskArn) {
        self.confirm(name);
        self.tasks.remove(name);
    }

    /// Forgets every task that `keep` does not name.
    pub fn retain(&mut self, keep: &BTreeSet<Arc<str>>) {
        let keep: BTreeSet<TaskArn> = keep.iter().filter_map(|task| self.prefixes.known(task)).collect();
        let gone: Vec<_> = self.tasks.keys().filter(|name| !keep.contains(*name)).cloned().collect();
        for name in gone {
            self.forget(&name);
        }
    }

    pub fn want(&self, task: &str) -> Option<DesiredStatus> {
        self.tasks.get(&self.prefixes.known(task)?).map(|entry| entry.want)
    }

    /// The ARN of a task that is known.
    pub fn arn(&self, task: TaskId) -> Option<String> {
        let found = self.prefixes.candidates(task).find(|name| self.tasks.contains_key(name));
        // ARNs of the old format are in order behind all others.
        let old = || self.tasks.keys().rev().take_while(|name| matches!(name, TaskArn::Text(_)));
        found.or_else(|| old().find(|name| name.is_of(task)).cloned()).map(|name| name.to_string())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TaskArn, DesiredStatus)> {
        self.tasks.iter().map(|(name, entry)| (name, entry.want))
    }

    /// True while a new agent process lacks the credentials of some task.
    pub fn owes_credentials(&self) -> bool {
        self.owing > 0
    }

    /// The next task to tell the agent about, and its message id if it had one before. A start waits
    /// while too much is unanswered; a stop does not.
    pub fn next_due(&self) -> Option<(TaskArn, DesiredStatus, Option<i64>)> {
        let (rank, _, name) = self.due.first()?;
        if *rank == Rank::Start && self.in_flight >= PAYLOADS_IN_FLIGHT_MAX {
            return None;
        }
        let entry = self.tasks.get(name).expect("what is due is known");
        Some((name.clone(), entry.want, entry.open.as_ref().and_then(|open| open.id)))
    }

    /// `name` was sent under the message id `id`.
    pub fn sent(&mut self, now: Timestamp, name: &TaskArn, id: i64) {
        let Some(open) = self.entry_mut(name) else { return };
        let doublings = open.sent.min(16);
        let wait = (RESEND_AFTER * 2_u32.pow(doublings)).min(RESEND_AFTER_MAX);
        open.id = Some(id);
        open.sent = open.sent.saturating_add(1);
        let holds_place = open.sent == 1;
        self.ids.insert(id, name.clone());
        self.progress(name, Some(Progress::Sent { again_at: now + wait, holds_place }));
    }

    /// Takes a task out of the queue without an answer, for `wait`.
    pub fn postpone(&mut self, now: Timestamp, name: &TaskArn, wait: Duration) {
        self.progress(name, Some(Progress::Sent { again_at: now + wait, holds_place: false }));
    }

    /// An ack with the message id `id` has come. Gives the task that it confirms.
    pub fn acked(&mut self, id: i64) -> Option<(Arc<str>, DesiredStatus)> {
        let name = self.ids.get(&id)?.clone();
        let want = self.tasks.get(&name)?.want;
        self.confirm(&name);
        Some((name.to_string().into(), want))
    }

    /// Puts back into the queue what was not answered in time.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, name)) = self.waiting.first() {
            if *at > now {
                break;
            }
            let name = name.clone();
            self.arrivals += 1;
            let order = self.arrivals;
            if let Some(open) = self.entry_mut(&name) {
                open.order = order;
            }
            self.progress(&name, Some(Progress::Due));
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _)| *at)
    }

    fn entry(&self, name: &TaskArn) -> Option<&Open> {
        self.tasks.get(name)?.open.as_deref()
    }

    fn entry_mut(&mut self, name: &TaskArn) -> Option<&mut Open> {
        self.tasks.get_mut(name)?.open.as_deref_mut()
    }

    /// The agent has to be told of a task that is known and not open.
    fn open(&mut self, name: TaskArn, needs_credentials: bool) {
        let Some(entry) = self.tasks.get_mut(&name) else { return };
        self.arrivals += 1;
        let order = self.arrivals;
        self.owing += usize::from(needs_credentials);
        self.due.insert((rank(entry.want), order, name));
        let open = Open { progress: Progress::Due, order, id: None, sent: 0, needs_credentials };
        entry.open = Some(Box::new(open));
    }

    /// The agent is known to follow what is wanted of a task, or nothing is any more.
    fn confirm(&mut self, name: &TaskArn) {
        self.progress(name, None);
    }

    /// Moves an open task between the queues, or out of them; the only place that takes it out of one.
    fn progress(&mut self, name: &TaskArn, to: Option<Progress>) {
        let Some(entry) = self.tasks.get_mut(name) else { return };
        let Some(open) = &mut entry.open else { return };
        match open.progress {
            Progress::Due => {
                self.due.remove(&(rank(entry.want), open.order, name.clone()));
            }
            Progress::Sent { again_at, holds_place } => {
                self.waiting.remove(&(again_at, name.clone()));
                self.in_flight -= usize::from(holds_place);
            }
        }
        match to {
            Some(Progress::Due) => {
                self.due.insert((rank(entry.want), open.order, name.clone()));
            }
            Some(Progress::Sent { again_at, holds_place }) => {
                self.waiting.insert((again_at, name.clone()));
                self.in_flight += usize::from(holds_place);
            }
            None => {}
        }
        match to {
            Some(progress) => open.progress = progress,
            None => {
                self.owing -= usize::from(open.needs_credentials);
                if let Some(id) = open.id {
                    self.ids.remove(&id);
                }
                entry.open = None;
            }
        }
    }
}
