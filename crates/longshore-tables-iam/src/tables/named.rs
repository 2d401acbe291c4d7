//! Records with an id and a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::key::Id;
use crate::record::{Group, InstanceProfile, ManagedPolicy, Own, Role, User};

/// What has a name.
pub trait HasName {
    fn own(&self) -> &Own;
}

macro_rules! has_name {
    ($($record:ident,)*) => {$(
        impl HasName for $record {
            fn own(&self) -> &Own {
                &self.own
            }
        }
    )*};
}

has_name! { User, Group, Role, ManagedPolicy, InstanceProfile, }

/// All of one kind in an account, found by id and by name.
#[derive(Debug)]
pub struct Named<R> {
    records: BTreeMap<Id, Arc<R>>,
    /// Derived: the ids by name, in lower case.
    names: BTreeMap<String, Id>,
}

impl<R> Default for Named<R> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl<R: HasName> Named<R> {
    pub fn get(&self, id: &str) -> Option<&Arc<R>> {
        self.records.get(id)
    }

    /// The one of exactly this name.
    pub fn named(&self, name: &str) -> Option<&Arc<R>> {
        self.taken(name).filter(|record| *record.own().name == *name)
    }

    /// The one whose name leaves no room for this one: names differ by more than the case of their letters.
    pub fn taken(&self, name: &str) -> Option<&Arc<R>> {
        self.names.get(&fold(name)).and_then(|id| self.records.get(id))
    }

    /// All of them, by name.
    pub fn by_name(&self) -> impl Iterator<Item = &Arc<R>> {
        self.names.values().filter_map(|id| self.records.get(id))
    }

    /// Those whose name comes behind `after`, by name.
    pub fn after(&self, after: Option<&str>) -> impl Iterator<Item = &Arc<R>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |after| Excluded(fold(after)));
        self.names.range((from, Unbounded)).filter_map(|(_, id)| self.records.get(id))
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn records(&self) -> &BTreeMap<Id, Arc<R>> {
        &self.records
    }

    pub(super) fn names(&self) -> &BTreeMap<String, Id> {
        &self.names
    }

    pub(super) fn replace(&mut self, id: &Id, new: Option<Arc<R>>) -> Option<Arc<R>> {
        if let Some(old) = self.records.get(id) {
            let name = fold(&old.own().name);
            // Another may have taken the name meanwhile.
            if self.names.get(&name) == Some(id) {
                self.names.remove(&name);
            }
        }
        match new {
            Some(new) => {
                self.names.insert(fold(&new.own().name), id.clone());
                self.records.insert(id.clone(), new)
            }
            None => self.records.remove(id),
        }
    }
}

/// Names are of ASCII.
fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}
