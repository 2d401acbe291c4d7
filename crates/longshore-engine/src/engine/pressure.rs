//! Clean-up before its time, because the disk is full or nearly so.
//!
//! One step per measurement, the cheapest loss first: the containers of stopped tasks, oldest first, then unused
//! images, least recently used first. What runs, and what a task waits for, is never touched. A task's end must
//! have reached the control plane before its containers go, as always.

use std::time::Duration;

use longshore_base::Timestamp;

use crate::note::Note;
use crate::pressure::{DiskUsage, Turn};
use crate::report::ReportedStatus;
use crate::settings::PullBehavior;
use crate::spec::TaskKey;
use crate::task::{Cleanup, Task};

use super::TaskEngine;

/// How many stopped tasks lose their containers at once; the next measurement tells whether more have to.
const TASKS_AT_ONCE: usize = 5;
/// A full disk makes every pull and create fail; one line and one round of cleaning serves them all.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Relief {
    due: bool,
    no_space_at: Option<Timestamp>,
    /// It was said that nothing is left to clean up.
    is_helpless: bool,
}

impl TaskEngine {
    pub(super) fn disk_measured(&mut self, usage: DiskUsage) {
        let marks = self.cx.settings.disk_marks;
        let used = usage.used_percent();
        match self.cx.pressure.measured(usage, marks) {
            Turn::Began => self.cx.note(Note::DiskShort { used, high: marks.high, low: marks.low }),
            Turn::Ended => {
                self.relief.is_helpless = false;
                self.cx.note(Note::DiskRelieved { used });
            }
            Turn::None => {}
        }
        self.relief.due = self.cx.pressure.wanted_bytes(marks).is_some();
    }

    /// Takes one step if the disk is short of space; gives the tasks whose containers go.
    pub(super) fn relieve_if_full(&mut self) -> Vec<TaskKey> {
        let now = self.cx.now;
        if std::mem::take(&mut self.cx.no_space)
            && self.cx.settings.disk_marks.high > 0
            && self.relief.no_space_at.is_none_or(|at| at + NO_SPACE_PAUSE <= now)
        {
            self.relief.no_space_at = Some(now);
            self.relief.due = true;
            self.cx.note(Note::NoSpace);
        }
        if !std::mem::take(&mut self.relief.due) {
            return Vec::new();
        }
        let mut stopped: Vec<(Timestamp, TaskKey)> = self
            .tasks
            .values()
            .filter_map(|task| Some((removable_since(task)?, task.spec.key.clone())))
            .collect();
        stopped.sort_unstable();
        stopped.truncate(TASKS_AT_ONCE);
        for (_, key) in &stopped {
            if let Some(task) = self.tasks.get_mut(key) {
                task.cleanup_at = Some(now);
            }
            self.cx.note(Note::CleanedEarly { task: key.clone() });
        }
        if stopped.is_empty() {
            self.relieve_by_images();
        }
        stopped.into_iter().map(|(_, key)| key).collect()
    }

    fn relieve_by_images(&mut self) {
        let settings = &self.cx.settings;
        if settings.image_cleanup && settings.pull_behavior != PullBehavior::PreferCached {
            let bytes = self.cx.pressure.wanted_bytes(settings.disk_marks).unwrap_or(1);
            self.image_cycle.press(bytes);
        } else {
            self.nothing_to_clean();
        }
    }

    /// Says once that clean-up cannot help, unless it is still under way.
    pub(super) fn nothing_to_clean(&mut self) {
        let is_removing = self.tasks.values().any(|task| task.cleanup == Cleanup::Removing);
        if let Some(usage) = self.cx.pressure.usage()
            && !is_removing
            && !std::mem::replace(&mut self.relief.is_helpless, true)
        {
            self.cx.note(Note::NothingToClean { used: usage.used_percent() });
        }
    }
}

/// Since when a task is over, if its containers may go now but for their age.
fn removable_since(task: &Task) -> Option<Timestamp> {
    let told = task.reporting.accepted == Some(ReportedStatus::Stopped);
    (task.cleanup == Cleanup::NotDue && told).then_some(task.stopped_at).flatten()
}
