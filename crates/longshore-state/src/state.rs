//! The state in memory: the tables of every domain, found by their types.

use std::any::{Any, TypeId};
use std::sync::Arc;

use longshore_base::Timestamp;

use crate::domain::{Domains, Keep, Slot, Tables};
use crate::hint::Hints;
use crate::record::Record;
use crate::sharing::Sharing;

/// The tables of all domains, changed by transactions alone.
#[derive(Debug)]
pub struct State {
    /// In the order of the list of domains. A dozen: looking through them is quicker than hashing.
    slots: Vec<Slot>,
    domains: Domains,
    sharing: Sharing,
    pub(crate) sequence: u64,
    loaded_at: Timestamp,
    /// Transactions keep the stored time ([`crate::Moment`]).
    pub(crate) leads: bool,
}

impl State {
    /// An empty state with the tables of these domains.
    pub fn new(domains: &Domains, now: Timestamp) -> Self {
        Self {
            slots: domains.slots(now),
            domains: domains.clone(),
            sharing: Sharing::default(),
            sequence: 0,
            loaded_at: now,
            leads: false,
        }
    }

    /// The tables of a domain.
    ///
    /// # Panics
    /// If the domain is not in the list that the state was made with.
    pub fn of<T: Tables>(&self) -> &T {
        let slot = self.slots.iter().find(|slot| slot.id == TypeId::of::<T>());
        let tables: Option<&dyn Any> = slot.map(|slot| &*slot.tables as &dyn Any);
        tables.and_then(<dyn Any>::downcast_ref).unwrap_or_else(|| not_listed::<T>())
    }

    pub(crate) fn of_mut<T: Tables>(&mut self) -> &mut T {
        let slot = self.slots.iter_mut().find(|slot| slot.id == TypeId::of::<T>());
        let tables: Option<&mut dyn Any> = slot.map(|slot| &mut *slot.tables as &mut dyn Any);
        tables.and_then(<dyn Any>::downcast_mut).unwrap_or_else(|| not_listed::<T>())
    }

    /// Puts or removes one record; see [`Keep::replace`].
    pub(crate) fn enter<R: Record>(
        &mut self,
        key: &R::Key,
        record: Option<Arc<R>>,
        hints: &mut Hints,
    ) -> Option<Arc<R>> {
        self.of_mut::<R::Tables>().replace(key, record, hints)
    }

    /// How many transactions have changed something.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When this process created the state.
    pub fn loaded_at(&self) -> Timestamp {
        self.loaded_at
    }

    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// Hints about everything in the state: what a listener begins with.
    pub fn all_hints(&self) -> Hints {
        let mut hints = Hints::new();
        self.slots.iter().for_each(|slot| slot.tables.all_hints(&mut hints));
        hints
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn sharing_mut(&mut self) -> &mut Sharing {
        &mut self.sharing
    }

    /// Called once, when all stored records have been entered. `sharing` is what their loading has shared.
    pub(crate) fn loaded(&mut self, sharing: Sharing) {
        self.sharing = sharing;
    }

    /// See [`crate::Tables::lead`].
    pub(crate) fn lead(&mut self, now: Timestamp) {
        self.leads = true;
        self.slots.iter_mut().for_each(|slot| slot.tables.lead(now));
    }
}

fn not_listed<T: Tables>() -> ! {
    panic!("the domain {} is not in the list that the state was made with", T::DOMAIN)
}
