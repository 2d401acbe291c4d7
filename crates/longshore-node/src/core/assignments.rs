//! Which message is acknowledged when which task is safe.

use std::collections::{BTreeMap, VecDeque};

use longshore_engine::spec::TaskKey;
use longshore_link::message::Ack;

/// Payloads that wait for their tasks. The engine says once for every assignment and every stop, in
/// order, that the task is taken over; that may be for a payload or for nobody (a verified stop).
#[derive(Debug, Default)]
pub(super) struct Assignments {
    payloads: BTreeMap<u64, Payload>,
    expected: BTreeMap<TaskKey, VecDeque<Option<u64>>>,
    last: u64,
}

#[derive(Debug)]
struct Payload {
    ack: Ack,
    missing: usize,
}

impl Assignments {
    /// A payload whose tasks were all understood. Gives the ack back at once if there is none.
    pub fn payload(&mut self, ack: Ack, tasks: &[TaskKey]) -> Option<Ack> {
        if tasks.is_empty() {
            return Some(ack);
        }
        self.last += 1;
        self.payloads.insert(self.last, Payload { ack, missing: tasks.len() });
        for task in tasks {
            self.expected.entry(task.clone()).or_default().push_back(Some(self.last));
        }
        None
    }

    /// The engine will speak of this task without anybody waiting: a verified stop, or a task of a payload
    /// that is not acknowledged because of another one.
    pub fn nobody(&mut self, task: &TaskKey) {
        self.expected.entry(task.clone()).or_default().push_back(None);
    }

    /// The engine says that a task is taken over, and it is durable. Gives the ack that was waiting for it.
    pub fn ready(&mut self, task: &TaskKey) -> Option<Ack> {
        let queue = self.expected.get_mut(task)?;
        let payload = queue.pop_front().flatten();
        if queue.is_empty() {
            self.expected.remove(task);
        }
        let number = payload?;
        let waiting = self.payloads.get_mut(&number)?;
        waiting.missing -= 1;
        if waiting.missing > 0 {
            return None;
        }
        self.payloads.remove(&number).map(|payload| payload.ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(id: &str) -> Ack {
        Ack { cluster: String::new(), container_instance: String::new(), message_id: id.to_owned() }
    }

    #[test]
    fn a_payload_waits_for_all_its_tasks() {
        let mut assignments = Assignments::default();
        let (a, b) = (TaskKey::new("a"), TaskKey::new("b"));
        assert_eq!(assignments.payload(ack("0"), &[]), Some(ack("0")));
        assert_eq!(assignments.payload(ack("1"), &[a.clone(), b.clone()]), None);
        assert_eq!(assignments.ready(&a), None);
        assert_eq!(assignments.ready(&b), Some(ack("1")));
        assert_eq!(assignments.ready(&b), None);
    }

    #[test]
    fn a_stop_is_not_acknowledged_for_the_start_before_it() {
        let mut assignments = Assignments::default();
        let task = TaskKey::new("a");
        assignments.payload(ack("start"), std::slice::from_ref(&task));
        assignments.nobody(&task);
        assignments.payload(ack("stop"), std::slice::from_ref(&task));
        assert_eq!(assignments.ready(&task), Some(ack("start")));
        assert_eq!(assignments.ready(&task), None);
        assert_eq!(assignments.ready(&task), Some(ack("stop")));
    }
}
