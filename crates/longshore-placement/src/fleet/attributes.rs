//! Attributes of instances, as numbers, with the slots that have each value.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::bits::{Bits, SlotSet};

/// A name and its value on one instance, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValueRef {
    pub(super) name: u32,
    pub(super) value: u32,
}

/// Names and values are forgotten with the last instance that has them.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    names: Vec<Name>,
    by_name: HashMap<Arc<str>, u32>,
    vacant: Vec<u32>,
}

#[derive(Debug, Default)]
struct Name {
    text: Arc<str>,
    values: Vec<Value>,
    by_text: HashMap<Arc<str>, u32>,
    vacant: Vec<u32>,
    /// Instances with the attribute, whatever its value.
    present: SlotSet,
}

#[derive(Debug, Default)]
struct Value {
    text: Arc<str>,
    slots: SlotSet,
}

impl Attributes {
    /// The numbers of names and values, sorted. New ones live until [`Attributes::replace`] finds
    /// that no instance has them.
    pub(super) fn intern(&mut self, attributes: &BTreeMap<Arc<str>, Option<Arc<str>>>) -> Vec<ValueRef> {
        let mut refs: Vec<ValueRef> = attributes
            .iter()
            .map(|(name, value)| self.intern_one(name, value.as_deref().unwrap_or_default()))
            .collect();
        refs.sort_unstable();
        refs
    }

    fn intern_one(&mut self, name: &Arc<str>, value: &str) -> ValueRef {
        let number = match self.by_name.get(name) {
            Some(&number) => number,
            None => {
                let number = self.vacant.pop().unwrap_or_else(|| {
                    self.names.push(Name::default());
                    (self.names.len() - 1) as u32
                });
                self.names[number as usize].text = name.clone();
                self.by_name.insert(name.clone(), number);
                number
            }
        };
        ValueRef { name: number, value: self.names[number as usize].intern(value) }
    }

    /// Moves a slot from what it had to what it has.
    pub(super) fn replace(&mut self, slot: u32, old: &[ValueRef], new: &[ValueRef]) {
        for added in new.iter().filter(|r| old.binary_search(r).is_err()) {
            let name = &mut self.names[added.name as usize];
            name.values[added.value as usize].slots.insert(slot);
            if !has_name(old, added.name) {
                name.present.insert(slot);
            }
        }
        for gone in old.iter().filter(|r| new.binary_search(r).is_err()) {
            let name = &mut self.names[gone.name as usize];
            if !has_name(new, gone.name) {
                name.present.remove(slot);
            }
            name.leave(gone.value, slot);
            if name.present.len() == 0 {
                self.by_name.remove(&name.text);
                *name = Name::default();
                self.vacant.push(gone.name);
            }
        }
    }

    pub(super) fn name(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The value of `name` among an instance's attributes.
    pub(super) fn value(&self, of: &[ValueRef], name: &str) -> Option<&str> {
        let number = self.name(name)?;
        let value = find(of, number)?;
        Some(&self.names[number as usize].values[value as usize].text)
    }

    /// The instances with the attribute, of that value if one is given.
    pub(super) fn slots(&self, name: &str, value: Option<&str>) -> Option<&SlotSet> {
        let name = &self.names[self.name(name)? as usize];
        match value {
            None => Some(&name.present),
            Some(value) => name.by_text.get(value).map(|&value| &name.values[value as usize].slots),
        }
    }

    /// The same as bits, for `slots` slots.
    pub(super) fn bits(&self, name: &str, value: Option<&str>, slots: usize) -> Bits {
        let mut bits = Bits::empty(slots);
        if let Some(set) = self.slots(name, value) {
            set.unite_into(&mut bits);
        }
        bits
    }

    /// The instances with an attribute, by its number.
    pub(super) fn present(&self, name: u32) -> &SlotSet {
        &self.names[name as usize].present
    }

    /// The instances with a value, by its number.
    pub(super) fn slots_of(&self, name: u32, value: u32) -> &SlotSet {
        &self.names[name as usize].values[value as usize].slots
    }

    /// An upper bound of the numbers of values of a name.
    pub(super) fn values_len(&self, name: u32) -> usize {
        self.names[name as usize].values.len()
    }
}

/// The number of the value of `name`.
pub(super) fn find(of: &[ValueRef], name: u32) -> Option<u32> {
    of.binary_search_by_key(&name, |r| r.name).ok().map(|at| of[at].value)
}

fn has_name(of: &[ValueRef], name: u32) -> bool {
    find(of, name).is_some()
}

impl Name {
    fn intern(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.by_text.get(text) {
            return number;
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.values.push(Value::default());
            (self.values.len() - 1) as u32
        });
        let text: Arc<str> = text.into();
        self.values[number as usize].text = text.clone();
        self.by_text.insert(text, number);
        number
    }

    fn leave(&mut self, value: u32, slot: u32) {
        let entry = &mut self.values[value as usize];
        entry.slots.remove(slot);
        if entry.slots.len() == 0 {
            self.by_text.remove(&entry.text);
            *entry = Value::default();
            self.vacant.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, Option<Arc<str>>> {
        pairs.iter().map(|&(name, value)| (name.into(), (!value.is_empty()).then(|| value.into()))).collect()
    }

    #[test]
    fn values_know_their_slots_and_are_forgotten_with_the_last() {
        let mut all = Attributes::default();
        let a = all.intern(&attributes(&[("zone", "a"), ("cap", "")]));
        all.replace(0, &[], &a);
        let b = all.intern(&attributes(&[("zone", "b"), ("cap", "")]));
        all.replace(1, &[], &b);
        let slots = |all: &Attributes, name, value| all.bits(name, value, 2).iter().collect::<Vec<_>>();
        assert_eq!(slots(&all, "zone", None), [0, 1]);
        assert_eq!(slots(&all, "zone", Some("b")), [1]);
        assert_eq!(slots(&all, "cap", Some("")), [0, 1]);
        let moved = all.intern(&attributes(&[("zone", "a")]));
        all.replace(1, &b, &moved);
        assert_eq!(slots(&all, "zone", Some("a")), [0, 1]);
        assert_eq!(slots(&all, "zone", Some("b")), []);
        assert_eq!(slots(&all, "cap", None), [0]);
        all.replace(0, &a, &[]);
        all.replace(1, &moved, &[]);
        assert_eq!(all.by_name.len(), 0);
        assert_eq!(all.name("zone"), None);
    }
}
