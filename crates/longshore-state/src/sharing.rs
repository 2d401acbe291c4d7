//! Values that many records have in common, each kept once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::record::{Instance, Origin, Task};

/// From so many values on it is worth looking which of them nobody has any more.
const SWEEP_LEN_MIN: usize = 1024;

/// What tasks and instances have in common with others. Only saves memory: nothing depends on who shares what.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    pub(crate) origins: Kept<Origin>,
    pub(crate) texts: Kept<str>,
}

impl Sharing {
    /// Gives an instance the texts that others have too: agents of one version tell the same capabilities.
    pub(crate) fn instance(&mut self, instance: &mut Instance) {
        let versions = [
            &mut instance.agent_version,
            &mut instance.agent_hash,
            &mut instance.docker_version,
            &mut instance.capacity_provider,
        ];
        for text in versions.into_iter().flatten() {
            *text = self.texts.share(text.clone());
        }
        for attribute in instance.agent_attributes.iter_mut().chain(&mut instance.user_attributes) {
            attribute.name = self.texts.share(attribute.name.clone());
            if let Some(value) = &mut attribute.value {
                *value = self.texts.share(value.clone());
            }
        }
    }

    /// Gives a task that was read from the store the values that others have too.
    pub(crate) fn task(&mut self, task: &mut Task) {
        task.origin = self.origins.share(task.origin.clone());
        let mut text = |text: &mut Arc<str>| *text = self.texts.share(text.clone());
        if let Some(zone) = &mut task.zone {
            text(zone);
        }
        for container in &mut task.containers {
            if let Some(digest) = &mut container.image_digest {
                text(digest);
            }
            for binding in &mut container.bindings {
                text(&mut binding.bind_ip);
            }
        }
    }
}

/// A set of shared values. One that is held by nobody else is forgotten some time.
#[derive(Debug)]
pub(crate) struct Kept<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many there may be before the next sweep: twice what the last one left, so that sweeping costs each new
    /// value the same.
    sweep_len: usize,
}

impl<T: ?Sized> Default for Kept<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_len: SWEEP_LEN_MIN }
    }
}

impl<T: ?Sized + Eq + Hash> Kept<T> {
    /// The value that is equal to this one and known already; else this one, known from now on.
    pub(crate) fn share(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(&*value) {
            return known.clone();
        }
        self.learn(value.clone());
        value
    }

    fn learn(&mut self, value: Arc<T>) {
        if self.known.len() >= self.sweep_len {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_len = SWEEP_LEN_MIN.max(2 * self.known.len());
        }
        self.known.insert(value);
    }
}

impl Kept<str> {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.learn(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_become_one() {
        let mut texts = Kept::<str>::default();
        let first = texts.text("eu-west-1a");
        assert!(Arc::ptr_eq(&first, &texts.text("eu-west-1a")));
        assert!(Arc::ptr_eq(&first, &texts.share("eu-west-1a".into())));
        assert!(!Arc::ptr_eq(&first, &texts.text("eu-west-1b")));
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut texts = Kept::<str>::default();
        let held: Vec<Arc<str>> = (0..10).map(|n| texts.text(&format!("held {n}"))).collect();
        for n in 0..100_000 {
            texts.text(&n.to_string());
            assert!(texts.known.len() <= SWEEP_LEN_MIN, "{}", texts.known.len());
        }
        for text in held {
            assert!(Arc::ptr_eq(&text, &texts.text(&String::from(&*text))));
        }
    }
}
