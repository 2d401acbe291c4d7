//! Sets of slots. A slot is the small number under which the fleet keeps an instance.

/// A dense set: one bit per slot. Ten thousand slots are 157 words, which intersect in well under a
/// tenth of a microsecond; that is why a large fleet costs hardly more than a small one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// An empty set with room for `slots`.
    pub(crate) fn empty(slots: usize) -> Self {
        Self { words: vec![0; slots.div_ceil(64)] }
    }

    /// All of `0..slots`.
    pub(crate) fn full(slots: usize) -> Self {
        let mut words = vec![!0; slots.div_ceil(64)];
        if let (Some(last), tail @ 1..) = (words.last_mut(), slots % 64) {
            *last = (1 << tail) - 1;
        }
        Self { words }
    }

    /// The positions of the values that pass.
    pub(crate) fn of<T>(values: &[T], passes: impl Fn(&T) -> bool) -> Self {
        let word = |values: &[T]| {
            values.iter().enumerate().fold(0, |word, (at, value)| word | (u64::from(passes(value)) << at))
        };
        Self { words: values.chunks(64).map(word).collect() }
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        let (word, bit) = split(slot);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// Grows as needed.
    pub(crate) fn insert(&mut self, slot: u32) {
        let (word, bit) = split(slot);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        let (word, bit) = split(slot);
        if let Some(w) = self.words.get_mut(word) {
            *w &= !bit;
        }
    }

    pub(crate) fn set(&mut self, slot: u32, present: bool) {
        if present { self.insert(slot) } else { self.remove(slot) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    pub(crate) fn len(&self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    pub(crate) fn copy_from(&mut self, other: &Bits) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }

    /// Keeps what `other` has too, unless that is nothing. Says whether it was something.
    pub(crate) fn narrow(&mut self, other: &Bits) -> bool {
        let any = self.words.iter().zip(&other.words).fold(0, |any, (a, b)| any | (a & b)) != 0;
        if any {
            self.intersect(other);
        }
        any
    }

    pub(crate) fn intersect(&mut self, other: &Bits) {
        self.words.truncate(other.words.len());
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= b;
        }
    }

    pub(crate) fn subtract(&mut self, other: &Bits) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= !b;
        }
    }

    pub(crate) fn unite(&mut self, other: &Bits) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a |= b;
        }
    }

    pub(crate) fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// In ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().filter(|&(_, &w)| w != 0).flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(at as u32 * 64 + bit)
            })
        })
    }

    /// The `n`th slot of the set, counted from zero.
    pub(crate) fn nth(&self, n: u32) -> Option<u32> {
        let mut left = n;
        for (at, &word) in self.words.iter().enumerate() {
            let here = word.count_ones();
            if left >= here {
                left -= here;
                continue;
            }
            let mut word = word;
            for _ in 0..left {
                word &= word - 1;
            }
            return Some(at as u32 * 64 + word.trailing_zeros());
        }
        None
    }
}

fn split(slot: u32) -> (usize, u64) {
    (slot as usize / 64, 1 << (slot % 64))
}

/// A set that is a list while it is small, and dense from there on. An attribute such as a rack
/// has many values with few instances each; a zone has few values with many.
#[derive(Clone, Debug)]
pub(crate) enum SlotSet {
    Few(Vec<u32>),
    Many(Bits, u32),
}

/// Where a list of four-byte slots takes about as much room as the bits of ten thousand.
const FEW_MAX: usize = 128;

impl Default for SlotSet {
    fn default() -> Self {
        SlotSet::Few(Vec::new())
    }
}

impl SlotSet {
    pub(crate) fn len(&self) -> usize {
        match self {
            SlotSet::Few(slots) => slots.len(),
            SlotSet::Many(_, len) => *len as usize,
        }
    }

    /// `slot` must not be in the set.
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
            SlotSet::Few(slots) if slots.len() < FEW_MAX => slots.push(slot),
            SlotSet::Few(slots) => {
                let mut bits = Bits::default();
                let len = slots.len() as u32 + 1;
                slots.drain(..).for_each(|slot| bits.insert(slot));
                bits.insert(slot);
                *self = SlotSet::Many(bits, len);
            }
            SlotSet::Many(bits, len) => {
                bits.insert(slot);
                *len += 1;
            }
        }
    }

    /// `slot` must be in the set. Becomes a list again only when it is half of what one may hold,
    /// so that a set at the limit does not change its form again and again.
    pub(crate) fn remove(&mut self, slot: u32) {
        match self {
            SlotSet::Few(slots) => {
                if let Some(at) = slots.iter().position(|&s| s == slot) {
                    slots.swap_remove(at);
                }
            }
            SlotSet::Many(bits, len) => {
                bits.remove(slot);
                *len -= 1;
                if (*len as usize) < FEW_MAX / 2 {
                    *self = SlotSet::Few(bits.iter().collect());
                }
            }
        }
    }

    /// Adds its members to `bits`.
    pub(crate) fn unite_into(&self, bits: &mut Bits) {
        match self {
            SlotSet::Few(slots) => slots.iter().for_each(|&slot| bits.insert(slot)),
            SlotSet::Many(members, _) => bits.unite(members),
        }
    }

    /// Takes its members out of `bits`.
    pub(crate) fn subtract_from(&self, bits: &mut Bits) {
        match self {
            SlotSet::Few(slots) => slots.iter().for_each(|&slot| bits.remove(slot)),
            SlotSet::Many(members, _) => bits.subtract(members),
        }
    }

    /// Narrows `bits` to the members it shares with this set, unless there are none.
    pub(crate) fn narrow_into(&self, bits: &mut Bits, scratch: &mut Bits) -> bool {
        match self {
            SlotSet::Few(slots) => {
                if !slots.iter().any(|&slot| bits.contains(slot)) {
                    return false;
                }
                scratch.words.clear();
                scratch.words.resize(bits.words.len(), 0);
                slots.iter().filter(|&&slot| bits.contains(slot)).for_each(|&slot| scratch.insert(slot));
                std::mem::swap(bits, scratch);
                true
            }
            SlotSet::Many(members, _) => bits.narrow(members),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_behave_like_a_set(members in proptest::collection::btree_set(0_u32..700, 0..200), others in proptest::collection::btree_set(0_u32..700, 0..200)) {
            let of = |set: &BTreeSet<u32>| { let mut bits = Bits::empty(0); set.iter().for_each(|&s| bits.insert(s)); bits };
            let (a, b) = (of(&members), of(&others));
            prop_assert_eq!(a.iter().collect::<Vec<_>>(), members.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(a.len() as usize, members.len());
            for (n, &slot) in members.iter().enumerate() {
                prop_assert_eq!(a.nth(n as u32), Some(slot));
            }
            prop_assert_eq!(a.nth(a.len()), None);
            let shared: Vec<u32> = members.intersection(&others).copied().collect();
            let mut narrowed = a.clone();
            prop_assert_eq!(narrowed.narrow(&b), !shared.is_empty());
            let expected = if shared.is_empty() { members.iter().copied().collect() } else { shared };
            prop_assert_eq!(narrowed.iter().collect::<Vec<_>>(), expected);
            let mut rest = a.clone();
            rest.subtract(&b);
            prop_assert_eq!(rest.iter().collect::<Vec<_>>(), members.difference(&others).copied().collect::<Vec<_>>());
        }

        #[test]
        fn slot_sets_change_their_form_unseen(steps in proptest::collection::vec((0_u32..400, any::<bool>()), 0..600)) {
            let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
            for (slot, add) in steps {
                if add && model.insert(slot) {
                    set.insert(slot);
                } else if !add && model.remove(&slot) {
                    set.remove(slot);
                }
                prop_assert_eq!(set.len(), model.len());
            }
            let mut bits = Bits::default();
            set.unite_into(&mut bits);
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            set.subtract_from(&mut bits);
            prop_assert!(bits.is_empty());
        }
    }

    #[test]
    fn full_is_exactly_its_slots() {
        for slots in [0, 1, 63, 64, 65, 128, 200] {
            assert_eq!(Bits::full(slots).len() as usize, slots);
            assert_eq!(Bits::full(slots).iter().count(), slots);
        }
    }
}
