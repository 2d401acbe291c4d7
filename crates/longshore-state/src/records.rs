//! Records of all kinds beside each other: all that there are, or those that a transaction changed.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::sync::Arc;

use longshore_store::limits::ENTRY_OVERHEAD_BYTES;
use longshore_store::{KEY_BYTES_MAX, LimitExceeded, Op};

use crate::domain::Tables;
use crate::hint::Hints;
use crate::record::{self, Record};
use crate::state::State;

const OWN_TYPE: &str = "records are kept under their own type";

/// Records by kind and key. Equal states have equal ones.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// In the order of the kinds' names.
    kinds: Vec<Box<dyn AnyMap>>,
}

trait AnyMap: Any + fmt::Debug + Send + Sync {
    fn id(&self) -> TypeId;
    fn domain(&self) -> &'static str;
    fn name(&self) -> &'static str;
    fn len(&self) -> usize;
    fn enter(&self, state: &mut State, hints: &mut Hints);
    fn ops(&self, ops: &mut Vec<Op>);
    /// What differs in `other`, which is of the same kind if it is there.
    fn differences(&self, other: Option<&dyn AnyMap>, found: &mut dyn FnMut(String));
    fn copy(&self) -> Box<dyn AnyMap>;
}

impl Clone for Box<dyn AnyMap> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

#[derive(Debug)]
struct Map<R: Record>(BTreeMap<R::Key, Arc<R>>);

impl<R: Record> AnyMap for Map<R> {
    fn id(&self) -> TypeId {
        TypeId::of::<R>()
    }

    fn domain(&self) -> &'static str {
        R::Tables::DOMAIN
    }

    fn name(&self) -> &'static str {
        R::KIND.name
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn enter(&self, state: &mut State, hints: &mut Hints) {
        for (key, record) in &self.0 {
            state.enter::<R>(key, Some(record.clone()), hints);
        }
    }

    fn ops(&self, ops: &mut Vec<Op>) {
        let put = |(key, record): (&R::Key, &Arc<R>)| {
            Op::put(record::key_text::<R>(key), record::encode(&**record))
        };
        ops.extend(self.0.iter().map(put));
    }

    fn differences(&self, other: Option<&dyn AnyMap>, found: &mut dyn FnMut(String)) {
        let other = other.map(|other| {
            let other: &dyn Any = other;
            &other.downcast_ref::<Self>().expect(OWN_TYPE).0
        });
        for (key, own) in &self.0 {
            match other.and_then(|other| other.get(key)) {
                None => found(format!("{} is missing", record::key_text::<R>(key))),
                Some(theirs) if Arc::ptr_eq(own, theirs) || own == theirs => {}
                Some(theirs) => {
                    found(format!("{} is {theirs:?} and not {own:?}", record::key_text::<R>(key)));
                }
            }
        }
        for key in other.into_iter().flat_map(BTreeMap::keys).filter(|key| !self.0.contains_key(key)) {
            found(format!("{} is too much", record::key_text::<R>(key)));
        }
    }

    fn copy(&self) -> Box<dyn AnyMap> {
        Box::new(Self(self.0.clone()))
    }
}

impl Records {
    pub fn new() -> Self {
        Self::default()
    }

    fn map<R: Record>(&self) -> Option<&BTreeMap<R::Key, Arc<R>>> {
        let map: &dyn Any = &**self.kinds.iter().find(|map| map.id() == TypeId::of::<R>())?;
        Some(&map.downcast_ref::<Map<R>>().expect(OWN_TYPE).0)
    }

    fn map_mut<R: Record>(&mut self) -> &mut BTreeMap<R::Key, Arc<R>> {
        let place = (R::Tables::DOMAIN, R::KIND.name);
        let at = match self.kinds.binary_search_by(|map| (map.domain(), map.name()).cmp(&place)) {
            Ok(at) => at,
            Err(at) => {
                self.kinds.insert(at, Box::new(Map::<R>(BTreeMap::new())));
                at
            }
        };
        let map: &mut dyn Any = &mut *self.kinds[at];
        &mut map.downcast_mut::<Map<R>>().expect(OWN_TYPE).0
    }

    pub fn insert<R: Record>(&mut self, key: R::Key, record: Arc<R>) -> Option<Arc<R>> {
        self.map_mut::<R>().insert(key, record)
    }

    pub fn get<R: Record>(&self, key: &R::Key) -> Option<&Arc<R>> {
        self.map::<R>()?.get(key)
    }

    /// The records of a kind, in the order of their keys.
    pub fn of<R: Record>(&self) -> impl Iterator<Item = (&R::Key, &Arc<R>)> {
        self.map::<R>().into_iter().flatten()
    }

    /// Those from a key on.
    pub fn from<'a, R: Record>(
        &'a self,
        first: &R::Key,
    ) -> impl Iterator<Item = (&'a R::Key, &'a Arc<R>)> + use<'a, R> {
        self.map::<R>().map(|map| map.range(first..)).into_iter().flatten()
    }

    pub fn len(&self) -> usize {
        self.kinds.iter().map(|map| map.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Domain and name of each kind that was ever here, and how many records it has.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, usize)> {
        self.kinds.iter().map(|map| (map.domain(), map.name(), map.len()))
    }

    /// Does what a transaction did.
    pub fn apply(&mut self, changes: &Changes) {
        changes.logs.iter().for_each(|log| log.apply(self));
    }

    /// What `other` has in another way, in words.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |text| found.push(text);
        for own in &self.kinds {
            own.differences(other.kind(own.id()), &mut note);
        }
        for theirs in other.kinds.iter().filter(|theirs| self.kind(theirs.id()).is_none()) {
            theirs.differences(None, &mut |text| note(text.replace("is missing", "is too much")));
        }
        found
    }

    fn kind(&self, id: TypeId) -> Option<&dyn AnyMap> {
        self.kinds.iter().find(|map| map.id() == id).map(|map| &**map)
    }

    /// As operations that put each of them into a store.
    pub fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::with_capacity(self.len());
        self.kinds.iter().for_each(|map| map.ops(&mut ops));
        ops
    }

    pub(crate) fn enter(&self, state: &mut State, hints: &mut Hints) {
        self.kinds.iter().for_each(|map| map.enter(state, hints));
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.differences(other).is_empty()
    }
}

/// What a transaction changed: for each record that it touched, what it is now.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// A transaction touches a few kinds.
    logs: Vec<Box<dyn AnyLog>>,
    len: usize,
    /// What a commit of these takes, once that was asked.
    weighed: usize,
}

trait AnyLog: Any + fmt::Debug + Send + Sync {
    fn id(&self) -> TypeId;
    fn bytes(&self) -> Result<usize, LimitExceeded>;
    fn ops(&self, ops: &mut Vec<Op>);
    fn apply(&self, records: &mut Records);
    fn copy(&self) -> Box<dyn AnyLog>;
}

impl Clone for Box<dyn AnyLog> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

#[derive(Debug)]
struct Log<R: Record>(BTreeMap<R::Key, Option<Arc<R>>>);

impl<R: Record> AnyLog for Log<R> {
    fn id(&self) -> TypeId {
        TypeId::of::<R>()
    }

    fn bytes(&self) -> Result<usize, LimitExceeded> {
        let mut bytes = 0;
        for (key, record) in &self.0 {
            let key_bytes = record::key_len::<R>(key);
            if key_bytes > KEY_BYTES_MAX {
                return Err(LimitExceeded::KeyBytes { bytes: key_bytes });
            }
            let record = record.as_ref().map_or(0, |record| record::encoded_len(&**record));
            bytes += key_bytes + record + ENTRY_OVERHEAD_BYTES;
        }
        Ok(bytes)
    }

    fn ops(&self, ops: &mut Vec<Op>) {
        ops.extend(self.0.iter().map(|(key, record)| {
            let key = record::key_text::<R>(key);
            match record {
                Some(record) => Op::put(key, record::encode(&**record)),
                None => Op::delete(key),
            }
        }));
    }

    fn apply(&self, records: &mut Records) {
        let map = records.map_mut::<R>();
        for (key, record) in &self.0 {
            match record {
                Some(record) => map.insert(key.clone(), record.clone()),
                None => map.remove(key),
            };
        }
    }

    fn copy(&self) -> Box<dyn AnyLog> {
        Box::new(Self(self.0.clone()))
    }
}

impl Changes {
    fn log<R: Record>(&self) -> Option<&BTreeMap<R::Key, Option<Arc<R>>>> {
        let log: &dyn Any = &**self.logs.iter().find(|log| log.id() == TypeId::of::<R>())?;
        Some(&log.downcast_ref::<Log<R>>().expect(OWN_TYPE).0)
    }

    /// Notes what a record is now. True if it is the first of its kind.
    pub(crate) fn note<R: Record>(&mut self, key: R::Key, record: Option<Arc<R>>) -> bool {
        let known = self.logs.iter().position(|log| log.id() == TypeId::of::<R>());
        let at = known.unwrap_or_else(|| {
            self.logs.push(Box::new(Log::<R>(BTreeMap::new())));
            self.logs.len() - 1
        });
        let log: &mut dyn Any = &mut *self.logs[at];
        let log = &mut log.downcast_mut::<Log<R>>().expect(OWN_TYPE).0;
        match log.entry(key) {
            btree_map::Entry::Occupied(mut entry) => {
                entry.insert(record);
            }
            btree_map::Entry::Vacant(entry) => {
                entry.insert(record);
                self.len += 1;
            }
        }
        known.is_none()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The changed records of a kind: `None` for one that was removed.
    pub fn of<R: Record>(&self) -> impl Iterator<Item = (&R::Key, Option<&Arc<R>>)> {
        self.log::<R>().into_iter().flatten().map(|(key, record)| (key, record.as_ref()))
    }

    /// What became of a record: `None` if it was not changed, `Some(None)` if it was removed.
    pub fn get<R: Record>(&self, key: &R::Key) -> Option<Option<&Arc<R>>> {
        self.log::<R>()?.get(key).map(Option::as_ref)
    }

    /// True if a record of the kind was changed.
    pub fn touches<R: Record>(&self) -> bool {
        self.log::<R>().is_some()
    }

    /// As operations of the store.
    pub fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::with_capacity(self.len);
        self.logs.iter().for_each(|log| log.ops(&mut ops));
        ops
    }

    /// The bytes that a commit of these takes, or the first key that is too long. That is long work, and done once.
    pub(crate) fn weigh(&mut self) -> Result<usize, LimitExceeded> {
        self.weighed = 0;
        for log in &self.logs {
            self.weighed += log.bytes()?;
        }
        Ok(self.weighed)
    }

    /// What [`Changes::weigh`] gave.
    pub(crate) fn weighed(&self) -> usize {
        self.weighed
    }
}
