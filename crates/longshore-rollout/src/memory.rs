//! What a service remembers between plans: pauses after failures, and messages already said.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{DeploymentId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::ServiceEvent;
use crate::view::{ServiceView, Settings, StoppedBecause};

/// Failures to start, and the pause that they cause (ecs-services E2).
///
/// The default is a service without failures; every update of the service sets it back to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Whose failures these are: of the deployment that starts tasks. Another begins without any.
    pub deployment: Option<DeploymentId>,
    /// Attempts in a row in which a task stopped without having been RUNNING.
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
        let ran_since =
            view.tasks.iter().any(|task| current(task.deployment) && task.started_at.is_some_and(after_last))
                || view
                    .stopped
                    .iter()
                    .any(|task| current(task.deployment) && task.ever_running && after_last(task.created_at));
        if ran_since {
            next = Self { deployment: starting, ..Self::default() };
        }
        let failed = view.stopped.iter().any(|task| {
            let failed = match task.because {
                StoppedBecause::FailedToStart | StoppedBecause::EssentialExited => true,
                StoppedBecause::Unhealthy
                | StoppedBecause::User
                | StoppedBecause::InstanceLost
                | StoppedBecause::Scheduler => false,
            };
            let new_attempt = next.last_failure.is_none_or(|last| task.created_at >= last);
            failed && current(task.deployment) && !task.ever_running && new_attempt
        });
        if failed {
            next.failures = next.failures.saturating_add(1);
            next.last_failure = Some(now);
            next.next_attempt = Some(now + throttle_pause(next.failures, &view.settings));
        }
        next
    }

    /// The end of a pause that lasts at `now`.
    pub(crate) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.next_attempt.filter(|&at| at > now)
    }
}

/// The pause after so many failed attempts in a row: 0, 10, 20, 40 … 900 s with ECS's numbers.
pub fn throttle_pause(failures: u32, settings: &Settings) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        _ => doubled(settings.throttle_first, failures - FAILURES_NOTICED).min(settings.throttle_max),
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
