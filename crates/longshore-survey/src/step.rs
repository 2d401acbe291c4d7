//! A task, a service or an instance before and after a change: what may not have changed, or not in this way.

use longshore_domain::{DesiredStatus, InstanceStatus, ServiceStatus};

use crate::view::{Instance, Service, Task};
use crate::{Note, Rule};

/// A task only moves forward, keeps what it has shown, and raises its version with each change.
pub fn task(before: &Task, after: &Task) -> Vec<Note> {
    let subject = format!("task {}", after.id);
    let mut notes = Vec::new();
    let mut note = |rule, text: String| notes.push(Note::new(rule, &subject, text));
    if after.last_status < before.last_status {
        note(Rule::Forward, format!("went from {} back to {}", before.last_status, after.last_status));
    }
    if before.desired_status == DesiredStatus::Stopped && after.desired_status == DesiredStatus::Running {
        note(Rule::Forward, "was to stop and is to run again".into());
    }
    if before.last_status.is_stopped() && differs_when_stopped(before, after) {
        note(Rule::Forward, "changed after it was STOPPED".into());
    }
    if before.stop_code.is_some() && before.stop_code != after.stop_code {
        note(Rule::Ending, format!("stops for {:?} and then for {:?}", before.stop_code, after.stop_code));
    }
    if before.instance.is_some() && before.instance != after.instance {
        note(Rule::Forward, "moved to another instance".into());
    }
    if before.needs != after.needs {
        note(Rule::Capacity, "changed what it holds".into());
    }
    if after.version <= before.version {
        note(Rule::Forward, format!("has version {} after {}", after.version, before.version));
    }
    for (what, old, new) in [
        ("startedAt", before.started_at, after.started_at),
        ("stoppingAt", before.stopping_at, after.stopping_at),
        ("stoppedAt", before.stopped_at, after.stopped_at),
    ] {
        if old.is_some() && old != new {
            note(Rule::Times, format!("changed its {what}"));
        }
    }
    for (old, new) in before.containers.iter().zip(&after.containers) {
        if new.last_status < old.last_status {
            let text =
                format!("container {} went from {} back to {}", old.name, old.last_status, new.last_status);
            note(Rule::Forward, text);
        }
        if old.exit_code.is_some() && old.exit_code != new.exit_code {
            note(Rule::Forward, format!("container {} changed its exit code", old.name));
        }
    }
    notes
}

fn differs_when_stopped(before: &Task, after: &Task) -> bool {
    before.stop_code != after.stop_code
        || before.stopped_reason != after.stopped_reason
        || before.stopped_at != after.stopped_at
        || before.containers != after.containers
}

/// INACTIVE is final.
pub fn service(before: &Service, after: &Service) -> Vec<Note> {
    let back = match (before.status, after.status) {
        (ServiceStatus::Active, _) | (_, ServiceStatus::Inactive) => false,
        (ServiceStatus::Draining, ServiceStatus::Draining) => false,
        // A service that was deleted may be created again under its name, once it is INACTIVE.
        (ServiceStatus::Inactive, ServiceStatus::Active) => false,
        (ServiceStatus::Draining, ServiceStatus::Active)
        | (ServiceStatus::Inactive, ServiceStatus::Draining) => true,
    };
    let subject = format!("service {}", after.name);
    let text = format!("went from {} back to {}", before.status, after.status);
    back.then(|| Note::new(Rule::Forward, subject, text)).into_iter().collect()
}

/// A deregistered instance does not come back under its id.
pub fn instance(before: &Instance, after: &Instance) -> Vec<Note> {
    let back = before.status == InstanceStatus::Inactive && after.status != InstanceStatus::Inactive;
    let subject = format!("instance {}", after.id);
    let text = format!("went from {} back to {}", before.status, after.status);
    back.then(|| Note::new(Rule::Forward, subject, text)).into_iter().collect()
}
