//! What a service remembers between plans: pauses after failures, and messages already said.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{DeploymentId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::ServiceEvent;
use crate::view::{ServiceView, Settings, StoppedBecause, StoppedTask, TaskView};

/// Failures to start, and the pause that they cause (ecs-services E2).
///
/// The default is a service without failures; every update of the service sets it back to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Whose failures these are: of the deployment that starts tasks. Another begins without any.
    pub deployment: Option<DeploymentId>,
    /// Attempts in a row in which a task stopped without having been RUNNING, or a moment after.
    pub failures: u32,
    pub last_failure: Option<Timestamp>,
    /// No task is started before this.
    pub next_attempt: Option<Timestamp>,
}

/// Situations that last, whose message is said when they begin and then rarely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Topic {
    Steady,
    Placement,
    Throttle,
    Bounds,
    Protection,
    ZoneBalance,
}

/// The last message on each lasting situation. A topic is forgotten when its situation ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMemory {
    pub said: BTreeMap<Topic, Said>,
}

/// A message and when it was said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub message: String,
    pub at: Timestamp,
}

/// Failed attempts in a row from which on a service is said to have a problem: the first one
/// that causes a pause.
pub const FAILURES_NOTICED: u32 = 2;

impl Throttle {
    /// Takes note of what happened since the last plan.
    ///
    /// The tasks of one attempt fail together, so they count once: a failure counts only if its
    /// task was created after the failure before it was noticed.
    pub(crate) fn observe(&self, view: &ServiceView, starting: Option<DeploymentId>, now: Timestamp) -> Self {
        let mut next = if self.deployment == starting { self.clone() } else { Self::default() };
        next.deployment = starting;
        let after_last = |at: Timestamp| next.last_failure.is_some_and(|last| at > last);
        let current = |id| starting.is_none_or(|starting| starting == id);
        let short_life = view.settings.short_life;
        let lives = |task: &TaskView| {
            task.started_at.is_some_and(|start| after_last(start) && now >= start + short_life)
        };
        let lived = |task: &StoppedTask| {
            task.ever_running && task.ran_for >= short_life && after_last(task.created_at)
        };
        let ran_since = view.tasks.iter().any(|task| current(task.deployment) && lives(task))
            || view.stopped.iter().any(|task| current(task.deployment) && lived(task));
        if ran_since {
            next = Self { deployment: starting, ..Self::default() };
        }
        let mut failed = view.stopped.iter().filter(|task| {
            let failed = match task.because {
                StoppedBecause::FailedToStart | StoppedBecause::EssentialExited => true,
                StoppedBecause::Unhealthy
                | StoppedBecause::Killed
                | StoppedBecause::User
                | StoppedBecause::InstanceLost
                | StoppedBecause::Scheduler => false,
            };
            let new_attempt = next.last_failure.is_none_or(|last| task.created_at >= last);
            let too_short = !task.ever_running || task.ran_for < short_life;
            failed && current(task.deployment) && too_short && new_attempt
        });
        if let Some(first) = failed.next() {
            let crashed = first.ever_running && failed.all(|task| task.ever_running);
            let failures = next.failures.saturating_add(1);
            let pause = match crashed {
                true => crash_pause(failures, &view.settings),
                false => throttle_pause(failures, &view.settings),
            };
            next.failures = failures;
            next.last_failure = Some(now);
            next.next_attempt = Some(now + pause);
        }
        next
    }

    /// When the first of the tasks that run now has run for long enough that the failures are over.
    pub(crate) fn over_at(&self, view: &ServiceView, now: Timestamp) -> Option<Timestamp> {
        let last = self.last_failure.filter(|_| self.failures > 0)?;
        let current = |task: &&TaskView| self.deployment.is_none_or(|starting| starting == task.deployment);
        let starts = view.tasks.iter().filter(current).filter_map(|task| task.started_at);
        let ends = starts.filter(|&start| start > last).map(|start| start + view.settings.short_life);
        ends.filter(|&end| end > now).min()
    }

    /// The end of a pause that lasts at `now`.
    pub(crate) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.next_attempt.filter(|&at| at > now)
    }
}

/// The pause after so many failed attempts in a row: 0, 10, 20, 40 … 900 s with ECS's numbers.
pub fn throttle_pause(failures: u32, settings: &Settings) -> Duration {
    pause(failures, settings.throttle_first, settings.throttle_max)
}

/// The same if the tasks were RUNNING for a moment: 0, 1, 2, 4 … 60 s.
pub fn crash_pause(failures: u32, settings: &Settings) -> Duration {
    pause(failures, settings.crash_first, settings.crash_max)
}

fn pause(failures: u32, first: Duration, max: Duration) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        _ => doubled(first, failures - FAILURES_NOTICED).min(max),
    }
}

/// The pause after so many attempts in a row that placement refused.
pub fn refusal_pause(attempts: u32, settings: &Settings) -> Duration {
    doubled(settings.refusal_first, attempts.saturating_sub(1)).min(settings.refusal_max)
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times.min(31)).unwrap_or(u32::MAX))
}

impl EventMemory {
    /// Says what is new among the situations that hold now.
    ///
    /// Returns the memory to keep, the events to write, and when the next repetition is due.
    pub(crate) fn settle(
        &self,
        situations: Vec<(Topic, ServiceEvent)>,
        view: &ServiceView,
        now: Timestamp,
    ) -> (Self, Vec<ServiceEvent>, Option<Timestamp>) {
        let mut next = Self::default();
        let mut events = Vec::new();
        let mut repeat = None;
        for (topic, event) in situations {
            let message = event.message(&view.name);
            let said = match self.said.get(&topic) {
                Some(said) if said.message == message && now < said.at + view.settings.repeat_after => {
                    said.clone()
                }
                Some(_) | None => {
                    events.push(event);
                    Said { message, at: now }
                }
            };
            let due = said.at + view.settings.repeat_after;
            repeat = Some(repeat.map_or(due, |at: Timestamp| at.min(due)));
            next.said.insert(topic, said);
        }
        (next, events, repeat)
    }
}
