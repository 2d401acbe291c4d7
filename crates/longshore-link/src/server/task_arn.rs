//! The ARNs of tasks in little memory: a server with a million tasks remembers each of them in a session.

use std::fmt;
use std::sync::Arc;

use longshore_base::TaskId;

/// A task's ARN. What it has in common with the ARNs of its neighbours is shared with them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TaskArn {
    /// An ARN of the current format: up to its last slash, and the id behind it as two words, because a `u128` would
    /// be aligned to sixteen.
    Split { prefix: Arc<str>, id: [u64; 2] },
    /// Any other text.
    Text(Arc<str>),
}

impl fmt::Display for TaskArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskArn::Split { prefix, id: [high, low] } => write!(f, "{prefix}{high:016x}{low:016x}"),
            TaskArn::Text(text) => f.write_str(text),
        }
    }
}

impl TaskArn {
    /// Whether this is the ARN of `task`, in either format: the text behind the last slash is the task's id.
    pub(super) fn is_of(&self, task: TaskId) -> bool {
        match self {
            TaskArn::Split { id, .. } => *id == words(task),
            TaskArn::Text(text) => {
                text.rsplit('/').next().and_then(|id| TaskId::parse(id).ok()) == Some(task)
            }
        }
    }
}

/// What stands before the ids in the ARNs of a session's tasks: one text for an instance, as its tasks are of one
/// cluster, and a few for an instance of the Fargate pool.
#[derive(Debug, Default)]
pub(super) struct Prefixes(Vec<Arc<str>>);

impl Prefixes {
    /// Takes an ARN in, with a new prefix if need be.
    pub(super) fn intern(&mut self, arn: &Arc<str>) -> TaskArn {
        let Some((prefix, id)) = split(arn) else { return TaskArn::Text(arn.clone()) };
        let prefix = self.find(prefix).cloned().unwrap_or_else(|| {
            // Prefixes that no ARN has any more are dropped when the next new one comes.
            self.0.retain(|prefix| Arc::strong_count(prefix) > 1);
            let prefix: Arc<str> = prefix.into();
            self.0.push(prefix.clone());
            prefix
        });
        TaskArn::Split { prefix, id }
    }

    /// The same for an ARN to search for. `None` if its prefix is unknown, so that no such task is here.
    pub(super) fn known(&self, arn: &str) -> Option<TaskArn> {
        match split(arn) {
            Some((prefix, id)) => Some(TaskArn::Split { prefix: self.find(prefix)?.clone(), id }),
            None => Some(TaskArn::Text(arn.into())),
        }
    }

    /// The ARNs of the current format that a task may have here.
    pub(super) fn candidates(&self, task: TaskId) -> impl Iterator<Item = TaskArn> {
        self.0.iter().map(move |prefix| TaskArn::Split { prefix: prefix.clone(), id: words(task) })
    }

    fn find(&self, prefix: &str) -> Option<&Arc<str>> {
        self.0.iter().find(|known| ***known == *prefix)
    }
}

/// The upper and the lower half of an id.
fn words(task: TaskId) -> [u64; 2] {
    [(task.bits() >> 64) as u64, task.bits() as u64]
}

/// Splits an ARN of the current format behind its last slash, where the id is 32 lower-case hex digits. `None` for any
/// other text.
fn split(arn: &str) -> Option<(&str, [u64; 2])> {
    let (prefix, id) = arn.split_at(arn.rfind('/')? + 1);
    let id = TaskId::parse(id).ok().filter(|_| id.len() == 32)?;
    Some((prefix, words(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_the_texts_that_they_were() {
        let mut prefixes = Prefixes::default();
        for arn in [
            "arn:aws:ecs:us-east-1:123456789012:task/c/0123456789abcdef0123456789abcdef",
            "arn:aws:ecs:us-east-1:123456789012:task/c/00000000000000000000000000000001",
            "arn:aws:ecs:us-east-1:123456789012:task/00000000-0000-0000-0000-000000000001",
            "arn:aws:ecs:us-east-1:123456789012:task/c/0123456789ABCDEF0123456789abcdef",
            "task/",
            "no slash",
            "",
        ] {
            let kept = prefixes.intern(&arn.into());
            assert_eq!(kept.to_string(), arn);
            assert_eq!(prefixes.known(arn), Some(kept), "{arn}");
        }
        assert_eq!(prefixes.0.len(), 1);
        assert_eq!(prefixes.known("arn:other/00000000000000000000000000000001"), None);
    }

    #[test]
    fn a_task_is_found_by_its_id_in_either_format() {
        let mut prefixes = Prefixes::default();
        let task = TaskId::from_bits(5);
        let arn = prefixes.intern(&format!("arn:task/c/{task}").into());
        assert!(arn.is_of(task) && !arn.is_of(TaskId::from_bits(6)));
        assert!(prefixes.candidates(task).any(|candidate| candidate == arn));
        assert!(prefixes.intern(&format!("arn:task/{}", task.uuid()).into()).is_of(task));
    }

    #[test]
    fn an_arn_takes_four_words() {
        assert_eq!(size_of::<TaskArn>(), 32);
    }
}
