//! What the instance shall run, compared with what it was last told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Timestamp;

use super::session::DesiredTask;
use crate::limits::{PAYLOADS_IN_FLIGHT_MAX, RESEND_AFTER, RESEND_AFTER_MAX};
use crate::message::DesiredStatus;

/// How far the agent is known to follow what is wanted of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// To be sent as soon as there is room.
    Due,
    /// Unanswered, and to be sent again at `again_at`. Only the first sending holds one of the
    /// [`PAYLOADS_IN_FLIGHT_MAX`] places: a task that the agent never acks must not keep others out.
    Sent {
        again_at: Timestamp,
        holds_place: bool,
    },
    Confirmed,
}

#[derive(Debug)]
struct Entry {
    want: DesiredStatus,
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
    tasks: BTreeMap<Arc<str>, Entry>,
    /// What is due, stops before starts (they free what the starts need), then in order of arrival.
    due: BTreeSet<(Rank, u64, Arc<str>)>,
    /// When to send again.
    waiting: BTreeSet<(Timestamp, Arc<str>)>,
    /// Who is meant by the id of a message.
    ids: BTreeMap<i64, Arc<str>>,
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
        let Some(entry) = self.tasks.get_mut(&task) else {
            self.arrivals += 1;
            let entry = Entry {
                want,
                progress: Progress::Confirmed,
                order: self.arrivals,
                id: None,
                sent: 0,
                needs_credentials: needs_credentials && want == DesiredStatus::Running,
            };
            let is_due = !confirmed || entry.needs_credentials;
            self.owing += usize::from(entry.needs_credentials);
            self.tasks.insert(task.clone(), entry);
            if is_due {
                self.progress(&task, Progress::Due);
            }
            return;
        };
        match (entry.want, want) {
            (DesiredStatus::Running, DesiredStatus::Stopped) => {
                // Leave the old queue under the old rank, then join the new one.
                self.progress(&task, Progress::Confirmed);
                let entry = self.tasks.get_mut(&task).expect("it was found above");
                entry.want = DesiredStatus::Stopped;
                entry.sent = 0;
                self.owing -= usize::from(std::mem::take(&mut entry.needs_credentials));
                if let Some(id) = entry.id.take() {
                    self.ids.remove(&id);
                }
                if !confirmed {
                    self.progress(&task, Progress::Due);
                }
            }
            (DesiredStatus::Stopped, DesiredStatus::Running) => {}
            (DesiredStatus::Running, DesiredStatus::Running)
            | (DesiredStatus::Stopped, DesiredStatus::Stopped) => {
                if confirmed && !entry.needs_credentials {
                    self.confirm(&task);
                }
            }
        }
    }

    /// Forgets a task: it has stopped, or it was never for this instance.
    pub fn remove(&mut self, task: &str) {
        let Some((task, _)) = self.tasks.get_key_value(task) else { return };
        let task = task.clone();
        self.confirm(&task);
        if let Some(entry) = self.tasks.remove(&task) {
            self.owing -= usize::from(entry.needs_credentials);
        }
    }

    /// Forgets every task that `keep` does not name.
    pub fn retain(&mut self, keep: &BTreeSet<Arc<str>>) {
        let gone: Vec<_> = self.tasks.keys().filter(|task| !keep.contains(*task)).cloned().collect();
        for task in gone {
            self.remove(&task);
        }
    }

    pub fn want(&self, task: &str) -> Option<DesiredStatus> {
        self.tasks.get(task).map(|entry| entry.want)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, DesiredStatus)> {
        self.tasks.iter().map(|(task, entry)| (task, entry.want))
    }

    /// True while a new agent process lacks the credentials of some task.
    pub fn owes_credentials(&self) -> bool {
        self.owing > 0
    }

    /// The next task to tell the agent about, and its message id if it had one before. A start waits
    /// while too much is unanswered; a stop does not.
    pub fn next_due(&self) -> Option<(Arc<str>, DesiredStatus, Option<i64>)> {
        let (rank, _, task) = self.due.first()?;
        if *rank == Rank::Start && self.in_flight >= PAYLOADS_IN_FLIGHT_MAX {
            return None;
        }
        let entry = self.tasks.get(task).expect("what is due is known");
        Some((task.clone(), entry.want, entry.id))
    }

    /// `task` was sent under the message id `id`.
    pub fn sent(&mut self, now: Timestamp, task: &Arc<str>, id: i64) {
        let Some(entry) = self.tasks.get_mut(task) else { return };
        let doublings = entry.sent.min(16);
        let wait = (RESEND_AFTER * 2_u32.pow(doublings)).min(RESEND_AFTER_MAX);
        entry.id = Some(id);
        entry.sent = entry.sent.saturating_add(1);
        let holds_place = entry.sent == 1;
        self.ids.insert(id, task.clone());
        self.progress(task, Progress::Sent { again_at: now + wait, holds_place });
    }

    /// Takes a task out of the queue without an answer, for `wait`.
    pub fn postpone(&mut self, now: Timestamp, task: &Arc<str>, wait: Duration) {
        self.progress(task, Progress::Sent { again_at: now + wait, holds_place: false });
    }

    /// An ack with the message id `id` has come. Gives the task that it confirms.
    pub fn acked(&mut self, id: i64) -> Option<(Arc<str>, DesiredStatus)> {
        let task = self.ids.get(&id)?.clone();
        let entry = self.tasks.get_mut(&task)?;
        self.owing -= usize::from(std::mem::take(&mut entry.needs_credentials));
        let want = entry.want;
        self.confirm(&task);
        Some((task, want))
    }

    /// Puts back into the queue what was not answered in time.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, task)) = self.waiting.first() {
            if *at > now {
                break;
            }
            let task = task.clone();
            self.arrivals += 1;
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.order = self.arrivals;
            }
            self.progress(&task, Progress::Due);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _)| *at)
    }

    fn confirm(&mut self, task: &Arc<str>) {
        self.progress(task, Progress::Confirmed);
        if let Some(entry) = self.tasks.get_mut(task)
            && let Some(id) = entry.id.take()
        {
            self.ids.remove(&id);
        }
    }

    /// Moves a task between the queues; the only place that touches them.
    fn progress(&mut self, task: &Arc<str>, to: Progress) {
        let Some(entry) = self.tasks.get_mut(task) else { return };
        match entry.progress {
            Progress::Due => {
                self.due.remove(&(rank(entry.want), entry.order, task.clone()));
            }
            Progress::Sent { again_at, holds_place } => {
                self.waiting.remove(&(again_at, task.clone()));
                self.in_flight -= usize::from(holds_place);
            }
            Progress::Confirmed => {}
        }
        entry.progress = to;
        match to {
            Progress::Due => {
                self.due.insert((rank(entry.want), entry.order, task.clone()));
            }
            Progress::Sent { again_at, holds_place } => {
                self.waiting.insert((again_at, task.clone()));
                self.in_flight += usize::from(holds_place);
            }
            Progress::Confirmed => {}
        }
    }
}
