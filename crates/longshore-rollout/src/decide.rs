//! From a view to a plan: which rules apply.

use longshore_base::{Seed, Timestamp};

use crate::outcome::Plan;
use crate::view::ServiceView;
use crate::waiting::Waiting;

pub(crate) fn plan(view: &ServiceView, _now: Timestamp, _seed: Seed) -> Plan {
    // The rules follow; until then a service waits, and says so.
    Plan {
        throttle: view.throttle.clone(),
        memory: view.memory.clone(),
        waiting_for: vec![Waiting::NoDeployment],
        ..Plan::default()
    }
}
