//! Hints: what controllers and connections should look at again.
//!
//! Each domain has hint types of its own, one for each kind of listener; the kernel carries them without understanding
//! them. A hint names something, it says nothing about it: whoever takes it looks at what is so *now*. So hints may be
//! merged, repeated or lost to a crash, and [`crate::Tables::all_hints`] replaces all that were.

use std::any::{Any, TypeId};
use std::collections::BTreeSet;
use std::fmt::Debug;

/// Something to look at again.
pub trait Hint: Ord + Clone + Debug + Send + Sync + 'static {}

impl<T: Ord + Clone + Debug + Send + Sync + 'static> Hint for T {}

/// Hints of any types, each once.
#[derive(Debug, Default)]
pub struct Hints {
    /// One set a type; a transaction has two or three.
    sets: Vec<(TypeId, Box<dyn Set>)>,
    is_deaf: bool,
}

trait Set: Any + Debug + Send + Sync {
    fn is_empty(&self) -> bool;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<H: Hint> Set for BTreeSet<H> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

const OWN_TYPE: &str = "a set is kept under the type of its hints";

impl Hints {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what it is told: for records that change nothing, as when a store is loaded.
    pub(crate) fn deaf() -> Self {
        Self { sets: Vec::new(), is_deaf: true }
    }

    pub fn insert<H: Hint>(&mut self, hint: H) {
        if let Some(set) = self.set_mut::<H>() {
            set.insert(hint);
        }
    }

    pub fn extend<H: Hint>(&mut self, hints: impl IntoIterator<Item = H>) {
        if let Some(set) = self.set_mut::<H>() {
            set.extend(hints);
        }
    }

    /// The hints of one type; `None` if there are none.
    pub fn of<H: Hint>(&self) -> Option<&BTreeSet<H>> {
        let (_, set) = self.sets.iter().find(|(id, _)| *id == TypeId::of::<H>())?;
        Some(set.as_any().downcast_ref().expect(OWN_TYPE))
    }

    /// Takes the hints of one type out.
    pub fn take<H: Hint>(&mut self) -> BTreeSet<H> {
        self.set_mut().map(std::mem::take).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|(_, set)| set.is_empty())
    }

    fn set_mut<H: Hint>(&mut self) -> Option<&mut BTreeSet<H>> {
        if self.is_deaf {
            return None;
        }
        let id = TypeId::of::<H>();
        let at = self.sets.iter().position(|(own, _)| *own == id).unwrap_or_else(|| {
            self.sets.push((id, Box::new(BTreeSet::<H>::new())));
            self.sets.len() - 1
        });
        Some(self.sets[at].1.as_any_mut().downcast_mut().expect(OWN_TYPE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_of_different_types_do_not_meet() {
        let mut hints = Hints::new();
        assert!(hints.is_empty());
        hints.extend([2_u8, 1, 2]);
        hints.insert("text");
        assert_eq!(hints.of::<u8>(), Some(&BTreeSet::from([1, 2])));
        assert_eq!(hints.of::<u16>(), None);
        assert_eq!(hints.take::<u8>(), BTreeSet::from([1, 2]));
        assert_eq!(hints.take::<&str>(), BTreeSet::from(["text"]));
        assert!(hints.is_empty());
        let mut deaf = Hints::deaf();
        deaf.insert(1_u8);
        assert!(deaf.is_empty());
    }
}
