//! The names of tasks, kept small: a server with a million tasks remembers each of them in a session.

use std::fmt;
use std::sync::Arc;

use longshore_base::TaskId;

/// A task's ARN, taken apart: what it has in common with its neighbours is shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// An ARN of the current format: up to its last slash, and the id behind it as two words, because a `u128` would
    /// be aligned to sixteen.
    Long { place: Arc<str>, id: [u64; 2] },
    /// Any other text.
    Text(Arc<str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Long { place, id: [high, low] } => write!(f, "{place}{high:016x}{low:016x}"),
            Name::Text(text) => f.write_str(text),
        }
    }
}

impl Name {
    /// The text behind the last slash names the task within its account and region.
    pub(super) fn is_of(&self, task: TaskId) -> bool {
        match self {
            Name::Long { id, .. } => *id == words(task),
            Name::Text(text) => text.rsplit('/').next().and_then(|id| TaskId::parse(id).ok()) == Some(task),
        }
    }
}

/// What the names of a session's tasks have in common: the tasks of an instance are of one cluster, those of a pool's
/// of a few.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Arc<str>>);

impl Places {
    /// The name that `arn` is kept as.
    pub(super) fn name(&mut self, arn: &Arc<str>) -> Name {
        let Some((place, id)) = split(arn) else { return Name::Text(arn.clone()) };
        let place = self.find(place).cloned().unwrap_or_else(|| {
            // Of places that have come and gone only those before the next new one are kept.
            self.0.retain(|place| Arc::strong_count(place) > 1);
            let place: Arc<str> = place.into();
            self.0.push(place.clone());
            place
        });
        Name::Long { place, id }
    }

    /// The name of `arn` if any task could be kept under it.
    pub(super) fn known(&self, arn: &str) -> Option<Name> {
        match split(arn) {
            Some((place, id)) => Some(Name::Long { place: self.find(place)?.clone(), id }),
            None => Some(Name::Text(arn.into())),
        }
    }

    /// The names of the current format that a task may have.
    pub(super) fn names(&self, task: TaskId) -> impl Iterator<Item = Name> {
        self.0.iter().map(move |place| Name::Long { place: place.clone(), id: words(task) })
    }

    fn find(&self, place: &str) -> Option<&Arc<str>> {
        self.0.iter().find(|known| ***known == *place)
    }
}

fn words(task: TaskId) -> [u64; 2] {
    [(task.bits() >> 64) as u64, task.bits() as u64]
}

/// Takes an ARN apart whose end is an id as it is written today: 32 lower-case hex digits.
fn split(arn: &str) -> Option<(&str, [u64; 2])> {
    let (place, id) = arn.split_at(arn.rfind('/')? + 1);
    let id = TaskId::parse(id).ok().filter(|_| id.len() == 32)?;
    Some((place, words(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_texts_that_they_were() {
        let mut places = Places::default();
        for arn in [
            "arn:aws:ecs:us-east-1:123456789012:task/c/0123456789abcdef0123456789abcdef",
            "arn:aws:ecs:us-east-1:123456789012:task/c/00000000000000000000000000000001",
            "arn:aws:ecs:us-east-1:123456789012:task/00000000-0000-0000-0000-000000000001",
            "arn:aws:ecs:us-east-1:123456789012:task/c/0123456789ABCDEF0123456789abcdef",
            "task/",
            "no slash",
            "",
        ] {
            let name = places.name(&arn.into());
            assert_eq!(name.to_string(), arn);
            assert_eq!(places.known(arn), Some(name), "{arn}");
        }
        assert_eq!(places.0.len(), 1);
        assert_eq!(places.known("arn:other/00000000000000000000000000000001"), None);
    }

    #[test]
    fn a_task_is_found_by_its_id_in_either_format() {
        let mut places = Places::default();
        let task = TaskId::from_bits(5);
        let long = places.name(&format!("arn:task/c/{task}").into());
        assert!(long.is_of(task) && !long.is_of(TaskId::from_bits(6)));
        assert!(places.names(task).any(|name| name == long));
        assert!(places.name(&format!("arn:task/{}", task.uuid()).into()).is_of(task));
    }

    #[test]
    fn a_name_takes_four_words() {
        assert_eq!(size_of::<Name>(), 32);
    }
}
