//! The recent past of a store, and watches on it.
//!
//! [`History`] is what an in-process backend needs: it keeps the last changes in memory, within
//! bounds, and serves any number of watches from them. A watch pulls, so a slow one costs
//! nothing but its place in history: when that is gone it is told to scan again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::commit::{Op, Revision};
use crate::error::WatchError;

/// How many revisions a [`History`] keeps at most.
///
/// A watch that is served within 100 ms stays within it at 20,000 commits a second.
pub const HISTORY_REVISIONS_MAX: usize = 2048;

/// How many bytes of keys and values a [`History`] keeps at most.
///
/// A burst leaves this much memory behind, so it stays small against the 30 MB of an idle control plane. Any commit
/// fits in.
pub const HISTORY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a commit did to one key.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    Put {
        key: Bytes,
        value: Bytes,
    },
    /// The key had a value and lost it.
    Deleted {
        key: Bytes,
    },
}

impl Change {
    pub fn key(&self) -> &Bytes {
        match self {
            Change::Put { key, .. } | Change::Deleted { key } => key,
        }
    }
}

impl From<&Op> for Change {
    fn from(op: &Op) -> Self {
        match op {
            Op::Put { key, value } => Change::Put { key: key.clone(), value: value.clone() },
            Op::Delete { key } => Change::Deleted { key: key.clone() },
        }
    }
}

/// Values can hold secrets, so only their length is shown.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Put { key, value } => {
                f.debug_struct("Put").field("key", key).field("value_bytes", &value.len()).finish()
            }
            Change::Deleted { key } => f.debug_struct("Deleted").field("key", key).finish(),
        }
    }
}

/// Everything that the commits of one revision changed, in the order of their operations (for a watch: below its
/// prefix).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub revision: Revision,
    pub changes: Vec<Change>,
}

/// Where a [`Watch`] comes from; one implementation per kind of backend.
pub trait WatchSource: Send {
    /// The next update, waiting for it at most `wait`; `None` if there was none by then.
    fn next(&mut self, wait: Duration) -> Result<Option<Update>, WatchError>;
}

/// A stream of updates in the order of their revisions, none left out.
pub struct Watch(Box<dyn WatchSource>);

impl Watch {
    pub fn new(source: impl WatchSource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The next update, waiting for it at most `wait`; `None` if there was none by then.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Update>, WatchError> {
        self.0.next(wait)
    }

    /// The next update if it is there already. Simulations call this one: it never blocks.
    pub fn try_next(&mut self) -> Result<Option<Update>, WatchError> {
        self.0.next(Duration::ZERO)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

#[derive(Debug)]
struct Past {
    /// In the order of their revisions.
    updates: VecDeque<Arc<Update>>,
    bytes: usize,
    /// Every update from here on is in `updates`.
    oldest: Revision,
}

#[derive(Debug)]
struct Shared {
    past: Mutex<Past>,
    grown: Condvar,
}

/// The last updates of a store. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct History(Arc<Shared>);

impl History {
    /// A history that knows nothing up to and including `at`.
    pub fn starting_after(at: Revision) -> Self {
        let past = Past { updates: VecDeque::new(), bytes: 0, oldest: at.next() };
        Self(Arc::new(Shared { past: Mutex::new(past), grown: Condvar::new() }))
    }

    /// Adds durable updates, in the order of their revisions, and wakes the watches.
    pub fn append(&self, updates: impl IntoIterator<Item = Update>) {
        let mut past = self.0.past.lock();
        for update in updates {
            past.bytes += update_bytes(&update);
            past.updates.push_back(Arc::new(update));
            while past.updates.len() > HISTORY_REVISIONS_MAX || past.bytes > HISTORY_BYTES_MAX {
                let Some(gone) = past.updates.pop_front() else { break };
                past.bytes -= update_bytes(&gone);
                past.oldest = gone.revision.next();
            }
        }
        drop(past);
        self.0.grown.notify_all();
    }

    /// See [`crate::Store::watch`].
    pub fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError> {
        let oldest = self.0.past.lock().oldest;
        // Nothing happened at zero, so a new store still has its whole history.
        let from = from.max(Revision::ZERO.next());
        if from < oldest {
            return Err(WatchError::Compacted { oldest });
        }
        let prefix = Bytes::copy_from_slice(prefix);
        Ok(Watch::new(HistoryWatch { history: self.clone(), prefix, from }))
    }
}

fn update_bytes(update: &Update) -> usize {
    let change_bytes = |change: &Change| match change {
        Change::Put { key, value } => key.len() + value.len(),
        Change::Deleted { key } => key.len(),
    };
    update.changes.iter().map(change_bytes).sum()
}

struct HistoryWatch {
    history: History,
    prefix: Bytes,
    /// The revision that is looked at next.
    from: Revision,
}

impl WatchSource for HistoryWatch {
    fn next(&mut self, wait: Duration) -> Result<Option<Update>, WatchError> {
        let deadline = Instant::now().checked_add(wait);
        let mut past = self.history.0.past.lock();
        loop {
            if self.from < past.oldest {
                return Err(WatchError::Compacted { oldest: past.oldest });
            }
            let seen = past.updates.partition_point(|update| update.revision < self.from);
            for update in past.updates.range(seen..) {
                self.from = update.revision.next();
                let below = |change: &&Change| change.key().starts_with(&self.prefix);
                let changes: Vec<Change> = update.changes.iter().filter(below).cloned().collect();
                if !changes.is_empty() {
                    return Ok(Some(Update { revision: update.revision, changes }));
                }
            }
            if wait.is_zero() {
                return Ok(None);
            }
            match deadline {
                Some(deadline) if self.history.0.grown.wait_until(&mut past, deadline).timed_out() => {
                    return Ok(None);
                }
                Some(_) => {}
                None => self.history.0.grown.wait(&mut past),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(revision: u64, value_bytes: usize) -> Update {
        let change = Change::Put { key: Bytes::from_static(b"k"), value: Bytes::from(vec![0; value_bytes]) };
        Update { revision: Revision::new(revision), changes: vec![change] }
    }

    #[test]
    fn an_update_larger_than_the_history_leaves_none_behind() {
        let history = History::starting_after(Revision::new(6));
        let mut watch = history.watch(b"", Revision::new(7)).expect("now");
        history.append([update(7, 10), update(9, HISTORY_BYTES_MAX + 1)]);
        let missed = watch.try_next();
        assert!(matches!(missed, Err(WatchError::Compacted { oldest }) if oldest == Revision::new(10)));
        let mut watch = history.watch(b"", Revision::new(10)).expect("now");
        history.append([update(12, 0)]);
        let next = watch.try_next().expect("kept").expect("there");
        assert_eq!(next.revision, Revision::new(12));
        assert_eq!(watch.try_next().expect("kept"), None);
    }

    #[test]
    fn a_watch_ends_its_wait_at_the_deadline() {
        let history = History::starting_after(Revision::ZERO);
        let mut watch = history.watch(b"", Revision::ZERO).expect("new");
        assert_eq!(watch.next(Duration::from_millis(5)).expect("kept"), None);
    }
}
