//! Heads with parts of their own: secrets and parameters with their versions, keys with their materials.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::key::Whole;
use crate::record::{KmsKey, Parameter, Secret};

/// What has parts.
pub trait Head {
    /// What tells it from others that had its name.
    fn birth(&self) -> Arc<str>;
}

impl Head for Secret {
    fn birth(&self) -> Arc<str> {
        self.birth.clone()
    }
}

impl Head for Parameter {
    fn birth(&self) -> Arc<str> {
        self.birth.clone()
    }
}

impl Head for KmsKey {
    fn birth(&self) -> Arc<str> {
        "".into()
    }
}

/// All heads of a kind, by name, and their parts.
#[derive(Debug)]
pub struct Parted<H, K, P> {
    heads: BTreeMap<Arc<str>, Arc<H>>,
    parts: BTreeMap<Whole, BTreeMap<K, Arc<P>>>,
    /// Derived: heads that are gone and have left parts.
    orphans: BTreeSet<Whole>,
}

impl<H, K, P> Default for Parted<H, K, P> {
    fn default() -> Self {
        Self { heads: BTreeMap::new(), parts: BTreeMap::new(), orphans: BTreeSet::new() }
    }
}

impl<H: Head, K: Ord + Clone, P> Parted<H, K, P> {
    pub fn get(&self, name: &str) -> Option<&Arc<H>> {
        self.heads.get(name)
    }

    /// The name as it is kept, with the head.
    pub fn entry(&self, name: &str) -> Option<(&Arc<str>, &Arc<H>)> {
        self.heads.get_key_value(name)
    }

    /// All heads, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<H>)> {
        self.heads.iter()
    }

    /// The heads whose name begins with this, by name.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<H>)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.heads.range::<str, _>(from).take_while(move |(name, _)| name.starts_with(prefix))
    }

    pub fn len(&self) -> usize {
        self.heads.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.parts.is_empty()
    }

    pub fn part(&self, of: &Whole, key: &K) -> Option<&Arc<P>> {
        self.parts.get(of)?.get(key)
    }

    /// The parts of a head, in the order of their keys.
    pub fn parts<'a>(
        &'a self,
        of: &Whole,
    ) -> impl DoubleEndedIterator<Item = (&'a K, &'a Arc<P>)> + use<'a, H, K, P> {
        self.parts.get(of).into_iter().flatten()
    }

    pub fn count_parts(&self, of: &Whole) -> usize {
        self.parts.get(of).map_or(0, BTreeMap::len)
    }

    /// Heads that are gone and have left parts.
    pub fn orphans(&self) -> &BTreeSet<Whole> {
        &self.orphans
    }

    /// All parts, with what they are of.
    pub fn all_parts(&self) -> impl Iterator<Item = (&Whole, &K, &Arc<P>)> {
        self.parts.iter().flat_map(|(of, own)| own.iter().map(move |(key, part)| (of, key, part)))
    }

    pub(super) fn replace_head(&mut self, name: &Arc<str>, new: Option<Arc<H>>) -> Option<Arc<H>> {
        let births = [self.heads.get(name).map(|old| old.birth()), new.as_ref().map(|new| new.birth())];
        let old = match new {
            Some(new) => self.heads.insert(name.clone(), new),
            None => self.heads.remove(name),
        };
        for birth in births.into_iter().flatten() {
            self.settle(&Whole { name: name.clone(), birth });
        }
        old
    }

    pub(super) fn replace_part(&mut self, of: &Whole, key: &K, new: Option<Arc<P>>) -> Option<Arc<P>> {
        let own = self.parts.entry(of.clone()).or_default();
        let old = match new {
            Some(new) => own.insert(key.clone(), new),
            None => own.remove(key),
        };
        if own.is_empty() {
            self.parts.remove(of);
        }
        self.settle(of);
        old
    }

    /// Whether a head has left parts.
    fn settle(&mut self, of: &Whole) {
        let has_head = self.heads.get(&of.name).is_some_and(|head| head.birth() == of.birth);
        if !has_head && self.parts.contains_key(of) {
            self.orphans.insert(of.clone());
        } else {
            self.orphans.remove(of);
        }
    }
}
