//! Checks a whole snapshot of a control plane against every invariant, and says what is wrong.
//!
//! Start reading at [`survey`]; [`view`] is what it looks at, [`Note`] what it says. [`step`] checks a
//! pair of snapshots of one thing, before and after a change.
//!
//! Everything here is computed from the snapshot alone, with the plainest arithmetic there is, so that it shares no
//! mistake with the indexes and the planners that it checks. It does not know where the snapshot comes
//! from, repairs nothing, and is far too slow for a request.

pub mod capacity;
pub mod lifecycle;
pub mod membership;
pub mod step;
pub mod view;

use std::fmt;

pub use view::{Cluster, Container, Deployment, Instance, Service, Snapshot, Task};

/// A promise that a snapshot can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An instance is never promised more than it has (design, promise 3).
    Capacity,
    /// Statuses move forward only (ecs-engine D3).
    Forward,
    /// A STOPPED task says how and why (design, promise 5).
    Ending,
    /// Times are there when the status says so, and in order.
    Times,
    /// What a record names exists.
    Reference,
    /// No task that has not stopped is on an instance that was deregistered. Where an instance has more tasks than one
    /// commit takes, this does not hold between the commits; the control plane's next sweep stops the rest.
    Deregistration,
    /// The shape of a service: one PRIMARY deployment, tasks of known deployments.
    Service,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    pub rule: Rule,
    /// What it is about: `task 01ab...`, `instance 7f...`, `service web`.
    pub subject: String,
    pub text: String,
}

impl Note {
    pub(crate) fn new(rule: Rule, subject: impl fmt::Display, text: impl Into<String>) -> Self {
        Self { rule, subject: subject.to_string(), text: text.into() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.rule, self.subject, self.text)
    }
}

/// Everything that is wrong with a snapshot; empty when all is well.
pub fn survey(snapshot: &Snapshot) -> Vec<Note> {
    let mut notes = Vec::new();
    capacity::check(snapshot, &mut notes);
    for cluster in &snapshot.clusters {
        membership::check(cluster, &snapshot.pool, &mut notes);
        for task in &cluster.tasks {
            lifecycle::check(task, &mut notes);
        }
    }
    notes
}
