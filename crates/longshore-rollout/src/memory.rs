//! What a service remembers between plans: pauses after failures, and messages already said.

use std::collections::BTreeMap;

use longshore_base::{DeploymentId, Timestamp};
use serde::{Deserialize, Serialize};

/// Failures to start, and the pause that they cause (ecs-services E2).
///
/// The default is a service without failures; every update of the service sets it back to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Whose failures these are. A new PRIMARY begins without any.
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
