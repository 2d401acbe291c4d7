//! Which times, reasons and containers a task has to have in each status.

use longshore_domain::{ContainerStatus, DesiredStatus, TaskStatus};

use crate::view::Task;
use crate::{Note, Rule};

pub(crate) fn check(task: &Task, notes: &mut Vec<Note>) {
    let subject = format!("task {}", task.id);
    let mut note = |rule, text: String| notes.push(Note::new(rule, &subject, text));
    if task.last_status >= TaskStatus::Running
        && task.last_status != TaskStatus::Stopped
        && task.started_at.is_none()
    {
        note(Rule::Times, format!("is {} and was never started", task.last_status));
    }
    if task.desired_status == DesiredStatus::Stopped {
        if task.stopping_at.is_none() {
            note(Rule::Times, "shall stop, since nobody knows when".into());
        }
        if task.stop_code.is_none() || task.stopped_reason.as_deref().is_none_or(str::is_empty) {
            let text =
                format!("stops without a code and a reason: {:?}, {:?}", task.stop_code, task.stopped_reason);
            note(Rule::Ending, text);
        }
    } else if task.stop_code.is_some() {
        note(Rule::Ending, "has a stop code and shall run".into());
    }
    if task.last_status.is_stopped() {
        if task.desired_status == DesiredStatus::Running {
            note(Rule::Ending, "is STOPPED and shall run".into());
        }
        if task.stopped_at.is_none() {
            note(Rule::Times, "is STOPPED, since nobody knows when".into());
        }
        for container in task.containers.iter().filter(|own| own.last_status != ContainerStatus::Stopped) {
            note(
                Rule::Ending,
                format!("is STOPPED, and its container {} is {}", container.name, container.last_status),
            );
        }
    } else {
        if task.stopped_at.is_some() {
            note(Rule::Times, format!("has an end and is {}", task.last_status));
        }
        if !task.definition_known {
            note(Rule::Reference, "runs a task definition that is gone".into());
        }
    }
}
