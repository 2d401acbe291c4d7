//! The backend that forgets when it is dropped: for tests, simulations and `up --ephemeral`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::commit::{Commit, Op, Revision};
use crate::error::{Conflict, StoreError, WatchError};
use crate::history::{Change, History, Update, Watch};
use crate::lead::{FencingToken, LeadTable, Lost, Sight};
use crate::limits;
use crate::range::{Entry, EntryRef, KeyBounds, KeyRange, Page};
use crate::store::Store;

#[derive(Clone)]
struct Versioned {
    value: Bytes,
    modified: Revision,
}

struct State {
    /// Shared with scans and forks, and copied by the first write after one of them began.
    entries: Arc<BTreeMap<Bytes, Versioned>>,
    revision: Revision,
    lead: LeadTable,
}

/// A store in memory. Deterministic: equal calls give equal answers, revisions rise by one and
/// tokens too. What is committed counts as durable at once; a simulated crash is [`MemoryStore::fork`].
pub struct MemoryStore {
    state: Mutex<State>,
    history: History,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::from_parts(Arc::default(), Revision::ZERO, LeadTable::default())
    }

    /// An independent store with all that is durable now: what a process would find that crashed
    /// and starts again. Nobody leads and the history is gone, as after opening an embedded store;
    /// revisions and tokens go on from where they were.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state.lock();
        let lead = LeadTable::resume(state.lead.last_token());
        Self::from_parts(Arc::clone(&state.entries), state.revision, lead)
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn from_parts(entries: Arc<BTreeMap<Bytes, Versioned>>, revision: Revision, lead: LeadTable) -> Self {
        let history = History::starting_after(revision);
        Self { state: Mutex::new(State { entries, revision, lead }), history }
    }
}

impl State {
    /// Applies one commit; what it changed, or `None` if that is nothing.
    fn apply(&mut self, commit: &Commit) -> Result<Option<Update>, Conflict> {
        self.judge(commit)?;
        if commit.ops.is_empty() {
            return Ok(None);
        }
        let revision = self.revision.next();
        let entries = Arc::make_mut(&mut self.entries);
        let mut changes = Vec::with_capacity(commit.ops.len());
        for op in &commit.ops {
            match op {
                Op::Put { key, value } => {
                    entries.insert(key.clone(), Versioned { value: value.clone(), modified: revision });
                    changes.push(Change::from(op));
                }
                Op::Delete { key } => {
                    if entries.remove(key).is_some() {
                        changes.push(Change::from(op));
                    }
                }
            }
        }
        if changes.is_empty() {
            return Ok(None);
        }
        self.revision = revision;
        Ok(Some(Update { revision, changes }))
    }

    fn judge(&self, commit: &Commit) -> Result<(), Conflict> {
        if let Some(token) = commit.fence
            && !self.lead.in_force(token)
        {
            return Err(Conflict::Fenced(token));
        }
        for condition in &commit.conditions {
            let modified = self.entries.get(condition.key()).map(|found| found.modified);
            if !condition.holds(modified) {
                return Err(Conflict::Condition { condition: condition.clone(), modified });
            }
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        for (commit, candidate) in group.iter().enumerate() {
            limits::check(candidate).map_err(|source| StoreError::Limit { commit, source })?;
        }
        let mut updates = Vec::new();
        let mut state = self.state.lock();
        let outcomes = group
            .iter()
            .map(|commit| {
                let update = state.apply(commit)?;
                let revision = state.revision;
                updates.extend(update);
                Ok(revision)
            })
            .collect();
        // Under the lock, so that updates reach the history in the order of their revisions.
        self.history.append(updates);
        drop(state);
        Ok(outcomes)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let state = self.state.lock();
        Ok(state.entries.get_key_value(key).map(|(key, found)| Entry {
            key: key.clone(),
            value: found.value.clone(),
            modified: found.modified,
        }))
    }

    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError> {
        let state = self.state.lock();
        let mut page = Page { entries: Vec::new(), more: false, revision: state.revision };
        let Some(bounds) = range.bounds_after(after) else { return Ok(page) };
        for (key, found) in state.entries.range::<[u8], KeyBounds<'_>>(bounds) {
            if page.entries.len() == limit {
                page.more = true;
                break;
            }
            page.entries.push(Entry {
                key: key.clone(),
                value: found.value.clone(),
                modified: found.modified,
            });
        }
        Ok(page)
    }

    fn scan(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Revision, StoreError> {
        let (entries, revision) = {
            let state = self.state.lock();
            (Arc::clone(&state.entries), state.revision)
        };
        let Some(bounds) = range.bounds_after(None) else { return Ok(revision) };
        for (key, found) in entries.range::<[u8], KeyBounds<'_>>(bounds) {
            let entry = EntryRef { key, value: &found.value, modified: found.modified };
            if visit(entry).is_break() {
                break;
            }
        }
        Ok(revision)
    }

    fn revision(&self) -> Revision {
        self.state.lock().revision
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError> {
        self.history.watch(prefix, from)
    }

    fn sight(&self) -> Result<Sight, StoreError> {
        let state = self.state.lock();
        Ok(state.lead.sight(state.revision.get()))
    }

    fn take(&self, seen: &Sight, claim: &[u8]) -> Result<Result<FencingToken, Lost>, StoreError> {
        let mut state = self.state.lock();
        let revision = state.revision.get();
        Ok(state.lead.take(revision, seen, claim))
    }

    fn beat(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        let mut state = self.state.lock();
        let revision = state.revision.get();
        Ok(state.lead.beat(revision, token))
    }

    fn resign(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        let mut state = self.state.lock();
        let revision = state.revision.get();
        Ok(state.lead.resign(revision, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Subject};

    /// Keeps the concrete store beside the handle that a case gets, to be able to fork it.
    #[derive(Default)]
    struct Memory(Arc<MemoryStore>);

    impl Subject for Memory {
        fn empty(&mut self) -> Arc<dyn Store> {
            self.0 = Arc::default();
            self.0.clone()
        }

        fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
            drop(store);
            self.0 = Arc::new(self.0.fork());
            self.0.clone()
        }
    }

    #[test]
    fn keeps_the_contract() {
        conformance::run(&mut Memory::default());
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let put = |key: &'static str| [Commit::new(vec![Op::put(key, "")])];
        let store = MemoryStore::new();
        store.commit(&put("both")).expect("memory takes it");
        let fork = store.fork();
        store.commit(&put("store")).expect("memory takes it");
        fork.commit(&put("fork")).expect("memory takes it");
        assert!(fork.get(b"both").expect("memory").is_some());
        assert!(fork.get(b"store").expect("memory").is_none());
        assert!(store.get(b"fork").expect("memory").is_none());
        assert_eq!((store.len(), fork.len()), (2, 2));
    }
}
