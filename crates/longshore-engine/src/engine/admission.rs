//! The queue in front of the host's resources.
//!
//! The official agent starts tasks strictly in arrival order, so that one task which does not fit
//! holds up all behind it (agent-protocol G10). Here a task that fits goes ahead (G20), but not for ever: once
//! the oldest waiting task has waited for [`PATIENCE`], what it needs is set aside for it, and others
//! pass only with what is left over. A task that can never fit sets nothing aside.

use std::time::Duration;

use crate::host::Needs;
use crate::spec::{Desired, TaskKey};
use crate::task::{Admission, Task};

use super::TaskEngine;

/// How long younger tasks may overtake the oldest one in the queue. Twice the time that stopping a
/// container takes by default, so that an ordinary replacement never reserves anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

impl TaskEngine {
    pub(super) fn enqueue(&mut self, key: &TaskKey) {
        if let Some(task) = self.tasks.get(key) {
            self.queue.insert((task.arrival, key.clone()));
            self.queue_stale = true;
        }
    }

    /// Gives their share to all tasks that may have it now, and returns these.
    pub(super) fn admit_waiting(&mut self) -> Vec<TaskKey> {
        self.cx.ledger.forget_foreign_ports(self.cx.now);
        let mut admitted = Vec::new();
        let mut claimed: Option<Needs> = None;
        for (arrival, key) in self.queue.clone() {
            let Some(task) = self.tasks.get_mut(&key) else {
                self.queue.remove(&(arrival, key));
                continue;
            };
            let Admission::Waiting { since, .. } = task.admission else {
                self.queue.remove(&(arrival, key));
                continue;
            };
            if let Some(lacking) = self.cx.ledger.shortage(&task.needs, claimed.as_ref()) {
                let hopeless = self.cx.ledger.is_hopeless(&task.needs);
                if claimed.is_none() && !hopeless && since + PATIENCE <= self.cx.now {
                    claimed = Some(task.needs.clone());
                }
                task.reporting.waiting = Some(format!("Waiting for host resources: {lacking}"));
                continue;
            }
            self.queue.remove(&(arrival, key.clone()));
            match self.cx.ledger.admit(&task.spec, &task.needs) {
                Ok(ports) => {
                    task.admission = Admission::Held;
                    for (container, ports) in task.containers.iter_mut().zip(ports) {
                        container.ports = ports;
                    }
                }
                Err(none) => {
                    let reason = format!(
                        "HostConfigError: error retrieving docker port map: {} contiguous host ports are unavailable",
                        none.count
                    );
                    task.mark_stopped(none.container, self.cx.now, None, None, reason);
                    task.desired = Desired::Stopped;
                }
            }
            task.reporting.waiting = None;
            admitted.push(key);
        }
        admitted
    }

    /// After a task took its steps: a stopping task leaves the queue, a stopped one gives back its
    /// share, unless something of it may still run.
    pub(super) fn settle_share(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        match task.admission {
            Admission::Waiting { .. } if task.is_stopping() => {
                task.admission = Admission::Released;
                self.queue.remove(&(task.arrival, key.clone()));
                self.queue_stale = true;
            }
            Admission::Held if is_over(task) => {
                task.admission = Admission::Released;
                self.cx.ledger.release(key);
                self.queue_stale = true;
            }
            Admission::Waiting { .. } | Admission::Held | Admission::Released => {}
        }
    }
}

fn is_over(task: &Task) -> bool {
    task.is_stopped() && !task.containers.iter().any(|c| c.kill_wanted)
}
