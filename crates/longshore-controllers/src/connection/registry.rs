//! The newest connection of each instance, and what it has to look at.

use std::collections::BTreeMap;

use longshore_base::Seed;
use longshore_tables_ecs::{AgentHint, InstanceKey};

use crate::link::Look;

/// Numbers the connections of one process; a newer one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    /// Feeds the jitter of the connection's session.
    pub fn seed(self) -> Seed {
        Seed::new(self.0.into())
    }
}

/// What a connection that was woken finds.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// These tasks may have changed; with none, the instance itself.
    Work(Look),
    /// The instance has connected again.
    Superseded,
}

/// The newest connection of each instance. `W` is how that one is woken.
#[derive(Debug)]
pub struct Registry<W> {
    newest: BTreeMap<InstanceKey, Newest<W>>,
    generations: u64,
}

#[derive(Debug)]
struct Newest<W> {
    generation: Generation,
    /// What hints have named since the connection was woken last.
    look: Look,
    waker: W,
}

impl<W> Default for Registry<W> {
    fn default() -> Self {
        Self { newest: BTreeMap::new(), generations: 0 }
    }
}

impl<W> Registry<W> {
    /// A number for a connection that supersedes nobody: telemetry.
    pub fn generation(&mut self) -> Generation {
        self.generations += 1;
        Generation(self.generations)
    }

    /// Enters a connection as the newest of its instance. Gives back the older one, which is to be woken.
    pub fn enter(&mut self, at: &InstanceKey, waker: W) -> (Generation, Option<W>) {
        let generation = self.generation();
        let newest = Newest { generation, look: Look::default(), waker };
        let older = self.newest.insert(at.clone(), newest);
        (generation, older.map(|older| older.waker))
    }

    /// Keeps a hint for the connection that it concerns, and gives that one to be woken.
    pub fn hint(&mut self, hint: &AgentHint) -> Option<&W> {
        let (at, task) = match hint {
            AgentHint::Instance(at) => (at, None),
            AgentHint::Work(at, task) => (at, Some(*task)),
        };
        let newest = self.newest.get_mut(at)?;
        if let Some(task) = task {
            newest.look.also(task);
        }
        Some(&newest.waker)
    }

    /// What there is for a connection that was woken. It is not given again.
    pub fn news(&mut self, at: &InstanceKey, generation: Generation) -> News {
        match self.newest.get_mut(at).filter(|newest| newest.generation == generation) {
            Some(newest) => News::Work(std::mem::take(&mut newest.look)),
            None => News::Superseded,
        }
    }

    /// The connection is over. A newer one of its instance stays.
    ///
    /// Whoever leaves then writes down that the agent is gone, unless [`is_open`](Self::is_open) inside that very
    /// transaction: a connection enters first and is noted as connected after. That goes for one that was superseded,
    /// too. It may have been noted after the newer one had already left.
    pub fn leave(&mut self, at: &InstanceKey, generation: Generation) {
        if self.newest.get(at).is_some_and(|newest| newest.generation == generation) {
            self.newest.remove(at);
        }
    }

    /// Whether the instance has a connection, or is about to.
    pub fn is_open(&self, at: &InstanceKey) -> bool {
        self.newest.contains_key(at)
    }
}
