//! Where records are kept in memory: one [`Tables`] for each domain, and the list of all of them.
//!
//! A program makes the list once ([`Domains`]) and hands it to whatever makes a [`crate::State`]. What the kernel does
//! with records of any kind goes through the list; what a domain does with its own is typed.

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use longshore_base::Timestamp;

use crate::codec::CodecError;
use crate::hint::Hints;
use crate::level::LevelTables;
use crate::load::{Run, RunOf};
use crate::record::{Kind, Record, read_parts};
use crate::records::Records;
use crate::state::State;

/// The records of one domain in memory, with every index over them.
pub trait Tables: fmt::Debug + Send + Sync + Sized + 'static {
    /// The first part of each key, unique in a program: `ecs`.
    const DOMAIN: &'static str;

    /// Empty tables, in a process that began at `now`.
    fn new(now: Timestamp) -> Self;

    /// The kinds of records that these tables keep.
    fn kinds() -> Kinds<Self>;

    /// Enters every record into `records`.
    fn records(&self, records: &mut Records);

    /// What is derived here and differs from `fresh`, in words. The records of both are equal, and those of `fresh` have
    /// just been entered.
    fn compare(&self, fresh: &Self) -> Vec<String>;

    /// Everything that anybody may have to look at: what listeners begin with.
    fn all_hints(&self, hints: &mut Hints);

    /// From now on this process writes: all that was stored has been entered, and what comes is news. What is kept
    /// beside the records begins here, too; what others could see before they lost the lead, nobody saw.
    fn lead(&mut self, now: Timestamp) {
        let _ = now;
    }
}

/// Tables that keep the records of a kind.
///
/// The only place where such a record changes. The same function serves transactions, their roll-back, the loading of a
/// store and a follower.
pub trait Keep<R: Record>: Tables {
    /// Puts the record, or with `None` removes it, keeps all indexes in step, and gives back what was there. What should
    /// be looked at again because of it goes into `hints`.
    fn replace(&mut self, key: &R::Key, record: Option<Arc<R>>, hints: &mut Hints) -> Option<Arc<R>>;
}

/// The kinds of one domain.
#[derive(Debug)]
pub struct Kinds<T> {
    entries: Vec<KindEntry>,
    tables: PhantomData<fn() -> T>,
}

impl<T: Tables> Default for Kinds<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), tables: PhantomData }
    }
}

impl<T: Tables> Kinds<T> {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with<R: Record<Tables = T>>(mut self) -> Self {
        self.entries.push(KindEntry::of::<R>());
        self
    }
}

/// What the kernel does with a kind that it meets in a store.
#[derive(Clone, Copy)]
pub(crate) struct KindEntry {
    pub domain: &'static str,
    pub kind: Kind,
    id: TypeId,
    /// Takes records of this kind that are read.
    pub run: fn() -> Box<dyn Run>,
    /// Enters what another process wrote, or removed, under the key with these parts.
    pub follow: Follow,
}

/// Takes the whole key, its parts, and the stored bytes.
pub(crate) type Follow = fn(&mut State, &str, &str, Option<&[u8]>, &mut Hints) -> Result<(), CodecError>;

impl fmt::Debug for KindEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.kind.name)
    }
}

impl KindEntry {
    fn of<R: Record>() -> Self {
        Self {
            domain: R::Tables::DOMAIN,
            kind: R::KIND,
            id: TypeId::of::<R>(),
            run: || Box::new(RunOf::<R>::default()),
            follow: follow::<R>,
        }
    }

    /// What follows the kind's name in a key of this kind.
    pub fn parts<'a>(&self, text: &'a str) -> Option<&'a str> {
        let parts = text.strip_prefix(self.domain)?.strip_prefix('/')?.strip_prefix(self.kind.name)?;
        (parts.is_empty() || parts.starts_with('/')).then_some(parts)
    }

    fn place(&self) -> (&'static str, &'static str) {
        (self.domain, self.kind.name)
    }
}

fn follow<R: Record>(
    state: &mut State,
    text: &str,
    parts: &str,
    stored: Option<&[u8]>,
    hints: &mut Hints,
) -> Result<(), CodecError> {
    let key = read_parts::<R>(parts).ok_or_else(|| CodecError::UnknownKey(text.to_owned()))?;
    let record = match stored {
        Some(stored) => {
            let mut record: R = crate::record::decode(text, stored)?;
            record.share(state.sharing_mut());
            Some(Arc::new(record))
        }
        None => None,
    };
    state.enter::<R>(&key, record, hints);
    Ok(())
}

/// The domains of a program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Domains(Arc<List>);

#[derive(Clone, Debug)]
struct List {
    program: &'static str,
    slots: Vec<fn(Timestamp) -> Slot>,
    /// In the order of their names.
    kinds: Vec<KindEntry>,
}

impl Domains {
    /// None yet. `program` is how the store says who wrote it, to whoever is too old to read it: name and version.
    pub fn new(program: &'static str) -> Self {
        Self(Arc::new(List { program, slots: Vec::new(), kinds: Vec::new() })).with::<LevelTables>()
    }

    /// # Panics
    /// If a domain or one of its kinds is there already.
    #[must_use]
    pub fn with<T: Tables>(mut self) -> Self {
        let list = Arc::make_mut(&mut self.0);
        assert!(list.kinds.iter().all(|kind| kind.domain != T::DOMAIN), "{} is listed twice", T::DOMAIN);
        list.slots.push(|now| Slot { id: TypeId::of::<T>(), tables: Box::new(T::new(now)) });
        list.kinds.extend(T::kinds().entries);
        list.kinds.sort_by_key(KindEntry::place);
        let twice = list.kinds.windows(2).find(|two| two[0].place() == two[1].place());
        assert!(twice.is_none(), "{twice:?}: two kinds have one name");
        self
    }

    pub fn program(&self) -> &'static str {
        self.0.program
    }

    /// The level of the program: that of its newest layout.
    pub fn level(&self) -> u8 {
        self.0.kinds.iter().map(|entry| entry.kind.level).max().unwrap_or(0)
    }

    /// Domain and name of each kind, in the order in which they are loaded.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.0.kinds.iter().map(|entry| (entry.domain, entry.kind))
    }

    pub(crate) fn slots(&self, now: Timestamp) -> Vec<Slot> {
        self.0.slots.iter().map(|make| make(now)).collect()
    }

    pub(crate) fn knows<R: Record>(&self) -> bool {
        self.0.kinds.iter().any(|entry| entry.id == TypeId::of::<R>())
    }

    /// The kind of the record that this key names, and the key's parts.
    pub(crate) fn kind_of<'a>(&self, text: &'a str) -> Option<(&KindEntry, &'a str)> {
        let mut parts = text.splitn(3, '/');
        let place = (parts.next()?, parts.next()?);
        let at = self.0.kinds.binary_search_by(|entry| (entry.domain, entry.kind.name).cmp(&place)).ok()?;
        let entry = &self.0.kinds[at];
        Some((entry, entry.parts(text)?))
    }
}

/// The tables of one domain in a state.
#[derive(Debug)]
pub(crate) struct Slot {
    pub id: TypeId,
    pub tables: Box<dyn AnyTables>,
}

/// Tables of any domain.
pub(crate) trait AnyTables: Any + fmt::Debug + Send + Sync {
    fn records(&self, records: &mut Records);
    /// `fresh` is of the same domain.
    fn compare(&self, fresh: &dyn AnyTables) -> Vec<String>;
    fn all_hints(&self, hints: &mut Hints);
    fn lead(&mut self, now: Timestamp);
}

impl<T: Tables> AnyTables for T {
    fn records(&self, records: &mut Records) {
        Tables::records(self, records);
    }

    fn compare(&self, fresh: &dyn AnyTables) -> Vec<String> {
        let fresh: &dyn Any = fresh;
        Tables::compare(self, fresh.downcast_ref().expect("equal slots are of one domain"))
    }

    fn all_hints(&self, hints: &mut Hints) {
        Tables::all_hints(self, hints);
    }

    fn lead(&mut self, now: Timestamp) {
        Tables::lead(self, now);
    }
}
