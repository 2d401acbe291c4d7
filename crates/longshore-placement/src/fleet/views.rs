//! What makes placement quick: sets and orders of slots that are kept while the same things are
//! asked again, and caught up from the fleet's logs.
//!
//! Every view is a function of the fleet. It is bounded in number, forgotten when others are used
//! more recently, and rebuilt when too much has changed to catch up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attributes::find;
use super::log::Seen;
use super::{Fleet, Traffic};
use crate::ZONE_ATTRIBUTE;
use crate::bits::{Bits, SlotSet};
use crate::query::{GroupTest, Node, Ordering, Predicate, TextTest};
use crate::request::{Request, RequestSpec, expressions};
use crate::strategy::{Field, Resource};
use crate::{Constraint, Expression};

// How many views of each kind are kept. At ten thousand instances a set takes 1.3 kB, a view of
// levels a few of them, an order 120 kB: together below 2 MB.
const FILTERS_MAX: usize = 128;
const FITS_MAX: usize = 256;
const LEVELS_MAX: usize = 256;
const EXPRESSIONS_MAX: usize = 128;

/// How many levels of remaining resource are tried before looking at each candidate instead.
const ORDER_STEPS_MAX: usize = 24;

#[derive(Debug)]
pub(super) struct Views {
    filters: Recent<u64, FilterView>,
    fits: Recent<u64, FitView>,
    levels: Recent<(u32, Field), LevelView>,
    expressions: Recent<(Arc<str>, u32), ExpressionView>,
    cpu: OrderView,
    memory: OrderView,
    /// Working space, so that a placement allocates nothing.
    pub(super) candidates: Bits,
    scratch: Bits,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            filters: Recent::new(FILTERS_MAX),
            fits: Recent::new(FITS_MAX),
            levels: Recent::new(LEVELS_MAX),
            expressions: Recent::new(EXPRESSIONS_MAX),
            cpu: OrderView::default(),
            memory: OrderView::default(),
            candidates: Bits::default(),
            scratch: Bits::default(),
        }
    }
}

impl Views {
    /// The instances that pass everything about a request which does not change while tasks come
    /// and go: its pool, attributes, zones, and static expressions. Whatever their status.
    pub(super) fn filter(&mut self, fleet: &Fleet, request: &Request) -> &Bits {
        let fresh = match self.filters.get_mut(&request.filter_hash) {
            Some(view) => view.is_of(request.shared_spec()) && view.catch_up(fleet),
            None => false,
        };
        if !fresh {
            let mut bits = fleet.filter_bits(request.spec());
            for expression in expressions(request.spec()).filter(|e| e.is_static()) {
                bits.intersect(&self.expression(fleet, expression));
            }
            let spec = request.shared_spec().clone();
            self.filters.put(request.filter_hash, FilterView { spec, bits, seen: fleet.changes.end() });
        }
        &self.filters.get(&request.filter_hash).expect("known or just put").bits
    }

    /// The instances that pass the filter, are open for tasks, and have what the request needs.
    pub(super) fn fit(&mut self, fleet: &Fleet, request: &Request) -> &Bits {
        let fresh = match self.fits.get_mut(&request.fit_hash) {
            Some(view) => view.is_of(request.shared_spec()) && view.catch_up(fleet),
            None => false,
        };
        if !fresh {
            self.filter(fleet, request);
            let filter = &self.filters.get(&request.filter_hash).expect("filtered above").bits;
            let bits = fleet.fit_bits(filter, request.spec());
            let spec = request.shared_spec().clone();
            let (changes, traffic) = (fleet.changes.end(), fleet.traffic.end());
            self.fits.put(request.fit_hash, FitView { spec, bits, changes, traffic });
        }
        &self.fits.get(&request.fit_hash).expect("known or just put").bits
    }

    /// Keeps of `candidates` those with the fewest tasks of the group by `field`.
    pub(super) fn spread(&mut self, fleet: &Fleet, group: u32, field: &Field, candidates: &mut Bits) {
        let levels = &self.level_view(fleet, group, field).levels;
        let narrowed = levels.iter().any(|level| candidates.narrow(&level.bits));
        debug_assert!(narrowed || candidates.is_empty(), "every slot is on a level");
    }

    /// Takes out of `candidates` the instances with a task of the group that counts.
    pub(super) fn distinct(&mut self, fleet: &Fleet, group: u32, candidates: &mut Bits) {
        match self.level_view(fleet, group, &Field::Instance).levels.first() {
            Some(level) if level.count == 0 => candidates.intersect(&level.bits),
            Some(_) | None => *candidates = Bits::default(),
        }
    }

    fn level_view(&mut self, fleet: &Fleet, group: u32, field: &Field) -> &LevelView {
        let key = (group, field.clone());
        let fresh = self.levels.get_mut(&key).is_some_and(|view| view.catch_up(fleet, group));
        if !fresh {
            self.levels.put(key.clone(), LevelView::build(fleet, group, field));
        }
        self.levels.get(&key).expect("known or just put")
    }

    /// Keeps of `candidates` those with the least of `resource` left, `at_least` or more.
    pub(super) fn least(&mut self, fleet: &Fleet, resource: Resource, at_least: u32, candidates: &mut Bits) {
        let column = fleet.left.of(resource);
        let order = match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.memory,
        };
        order.catch_up(fleet, column);
        for (_, set) in order.levels.range(at_least..).take(ORDER_STEPS_MAX) {
            if set.narrow_into(candidates, &mut self.scratch) {
                return;
            }
        }
        keep_best(candidates, column, std::cmp::Reverse);
    }

    /// Keeps of `candidates` those with the most of `resource` left.
    pub(super) fn most(&mut self, fleet: &Fleet, resource: Resource, candidates: &mut Bits) {
        let column = fleet.left.of(resource);
        let order = match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.memory,
        };
        order.catch_up(fleet, column);
        for (_, set) in order.levels.iter().rev().take(ORDER_STEPS_MAX) {
            if set.narrow_into(candidates, &mut self.scratch) {
                return;
            }
        }
        keep_best(candidates, column, |left| left);
    }

    /// The slots whose instance satisfies an expression. What it says of vacant slots is undefined.
    pub(super) fn expression(&mut self, fleet: &Fleet, expression: &Expression) -> Bits {
        let mut number = 0;
        self.node(fleet, expression.text(), expression.root(), &mut number)
    }

    /// `number` numbers the nodes of a text as they are visited, so that each static part of an
    /// expression is remembered under a name of its own.
    fn node(&mut self, fleet: &Fleet, text: &Arc<str>, node: &Node, number: &mut u32) -> Bits {
        *number += 1;
        if node.is_static() {
            return self.static_node(fleet, text, node, *number);
        }
        match node {
            Node::Or(parts) => parts.iter().fold(Bits::empty(fleet.slots.len()), |mut any, part| {
                any.unite(&self.node(fleet, text, part, number));
                any
            }),
            Node::And(parts) => parts.iter().fold(Bits::full(fleet.slots.len()), |mut all, part| {
                all.intersect(&self.node(fleet, text, part, number));
                all
            }),
            Node::Not(inner) => {
                let mut rest = Bits::full(fleet.slots.len());
                rest.subtract(&self.node(fleet, text, inner, number));
                rest
            }
            Node::Predicate(Predicate::RunningTasksCount(ordering, count)) => {
                running(fleet, *ordering, *count)
            }
            Node::Predicate(Predicate::Group(test)) => with_group(fleet, test),
            Node::Predicate(
                Predicate::AgentConnected(_)
                | Predicate::AgentVersion(..)
                | Predicate::Ec2InstanceId(_)
                | Predicate::RegisteredAt(..)
                | Predicate::AttributeExists { .. }
                | Predicate::AttributeText { .. }
                | Predicate::AttributeOrder { .. },
            ) => self.static_node(fleet, text, node, *number),
        }
    }

    fn static_node(&mut self, fleet: &Fleet, text: &Arc<str>, node: &Node, number: u32) -> Bits {
        let key = (text.clone(), number);
        let holds = |slot| fleet.slot_subject(slot).is_some_and(|subject| node.matches(&subject));
        if let Some(view) = self.expressions.get_mut(&key)
            && let Some(changed) = fleet.changes.since(view.seen)
        {
            changed.iter().for_each(|&slot| view.bits.set(slot, holds(slot)));
            view.seen = fleet.changes.end();
            return view.bits.clone();
        }
        let mut bits = Bits::empty(fleet.slots.len());
        fleet.live.iter().filter(|&slot| holds(slot)).for_each(|slot| bits.insert(slot));
        self.expressions.put(key, ExpressionView { bits: bits.clone(), seen: fleet.changes.end() });
        bits
    }
}

fn running(fleet: &Fleet, ordering: Ordering, count: u64) -> Bits {
    let mut bits = Bits::empty(fleet.slots.len());
    fleet
        .live
        .iter()
        .filter(|&slot| ordering.holds(u64::from(fleet.slots[slot as usize].running).cmp(&count)))
        .for_each(|slot| bits.insert(slot));
    bits
}

fn with_group(fleet: &Fleet, test: &GroupTest) -> Bits {
    let mut bits = Bits::empty(fleet.slots.len());
    let mut add = |group| fleet.groups.present(group).for_each(|slot| bits.insert(slot));
    match test {
        TextTest::In { values, negated: false } => {
            values.iter().filter_map(|name| fleet.groups.find(name)).for_each(&mut add);
        }
        TextTest::In { negated: true, .. } | TextTest::Pattern { .. } => {
            fleet.groups.named().filter(|(name, _)| test.matches(name)).for_each(|(_, group)| add(group));
        }
    }
    bits
}

/// Keeps the candidates whose value in `column` ranks highest.
fn keep_best<K: Ord>(candidates: &mut Bits, column: &[u32], rank: impl Fn(u32) -> K) {
    let value = |slot: u32| column[slot as usize];
    let Some(best) = candidates.iter().map(value).max_by_key(|&left| rank(left)) else { return };
    let mut kept = Bits::empty(column.len());
    candidates.iter().filter(|&slot| value(slot) == best).for_each(|slot| kept.insert(slot));
    *candidates = kept;
}

impl super::Columns {
    pub(super) fn of(&self, resource: Resource) -> &[u32] {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
        }
    }
}

impl Fleet {
    /// Pool, attributes and zones; expressions are the caller's.
    fn filter_bits(&self, spec: &RequestSpec) -> Bits {
        let mut bits = self.pools.bits(&spec.pool);
        bits.intersect(&self.required_bits(spec));
        bits.intersect(&self.zone_bits(spec));
        bits
    }

    pub(super) fn required_bits(&self, spec: &RequestSpec) -> Bits {
        let mut bits = Bits::full(self.slots.len());
        for required in &spec.required {
            bits.intersect(&self.attributes.bits(
                &required.name,
                required.value.as_deref(),
                self.slots.len(),
            ));
        }
        bits
    }

    pub(super) fn zone_bits(&self, spec: &RequestSpec) -> Bits {
        let Some(zones) = &spec.zones else { return Bits::full(self.slots.len()) };
        let mut bits = Bits::empty(self.slots.len());
        for zone in zones {
            if let Some(slots) = self.attributes.slots(ZONE_ATTRIBUTE, Some(zone)) {
                slots.unite_into(&mut bits);
            }
        }
        bits
    }

    /// What [`Fleet::filter_bits`] and the static expressions say of one slot.
    fn passes_filter(&self, slot: u32, spec: &RequestSpec) -> bool {
        let Some(subject) = self.slot_subject(slot) else { return false };
        self.pools.contains(&spec.pool, slot)
            && self.has_required(slot, spec)
            && self.in_zones(slot, spec)
            && expressions(spec).filter(|e| e.is_static()).all(|e| e.matches(&subject))
    }

    /// Of `filter`, the open instances with room.
    fn fit_bits(&self, filter: &Bits, spec: &RequestSpec) -> Bits {
        let mut bits = filter.clone();
        bits.intersect(&self.active);
        bits.intersect(&self.connected);
        bits.intersect(&at_least(&self.left.cpu, spec.needs.cpu.0));
        bits.intersect(&at_least(&self.left.memory, spec.needs.memory.0));
        if !spec.needs.ports.is_empty() || spec.needs.gpus > 0 || spec.needs.interfaces > 0 {
            let full: Vec<u32> =
                bits.iter().filter(|&slot| self.room_for(slot, &spec.needs).is_err()).collect();
            full.into_iter().for_each(|slot| bits.remove(slot));
        }
        bits
    }
}

/// The slots whose value is `need` or more.
pub(super) fn at_least(column: &[u32], need: u32) -> Bits {
    Bits::of(column, |&left| left >= need)
}

/// Views by key, of which the most recently used are kept.
#[derive(Debug)]
struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    used: u64,
    max: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    fn new(max: usize) -> Self {
        Self { entries: BTreeMap::new(), used: 0, max }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, view)| view)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.used += 1;
        self.entries.get_mut(key).map(|(used, view)| {
            *used = self.used;
            view
        })
    }

    fn put(&mut self, key: K, view: V) {
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.used += 1;
        self.entries.insert(key, (self.used, view));
    }
}

#[derive(Debug)]
struct FilterView {
    spec: Arc<RequestSpec>,
    bits: Bits,
    seen: Seen,
}

impl FilterView {
    /// Hashes can collide, and then the view is of another request.
    fn is_of(&self, spec: &Arc<RequestSpec>) -> bool {
        Arc::ptr_eq(&self.spec, spec) || same_filter(&self.spec, spec)
    }

    /// Says whether it could; otherwise building anew is quicker.
    fn catch_up(&mut self, fleet: &Fleet) -> bool {
        let Some(changed) = fleet.changes.since(self.seen) else { return false };
        if changed.len() > 64 {
            return false;
        }
        changed.iter().for_each(|&slot| self.bits.set(slot, fleet.passes_filter(slot, &self.spec)));
        self.seen = fleet.changes.end();
        true
    }
}

fn same_filter(a: &RequestSpec, b: &RequestSpec) -> bool {
    let fixed = |spec: &RequestSpec| -> Vec<Constraint> {
        let fixed = expressions(spec).filter(|e| e.is_static());
        fixed.cloned().map(Constraint::MemberOf).collect()
    };
    a.pool == b.pool && a.required == b.required && a.zones == b.zones && fixed(a) == fixed(b)
}

#[derive(Debug)]
struct FitView {
    spec: Arc<RequestSpec>,
    bits: Bits,
    changes: Seen,
    traffic: Seen,
}

impl FitView {
    fn is_of(&mut self, spec: &Arc<RequestSpec>) -> bool {
        if Arc::ptr_eq(&self.spec, spec) {
            return true;
        }
        let same = self.spec.needs == spec.needs && same_filter(&self.spec, spec);
        if same {
            self.spec = spec.clone(); // the next comparison is one of pointers
        }
        same
    }

    /// Says whether it could; otherwise building anew is quicker.
    fn catch_up(&mut self, fleet: &Fleet) -> bool {
        let (Some(changed), Some(traffic)) =
            (fleet.changes.since(self.changes), fleet.traffic.since(self.traffic))
        else {
            return false;
        };
        // A slot costs some ten times more here than when all are compared as columns.
        if changed.len() + traffic.len() > 64 + fleet.slots.len() / 8 {
            return false;
        }
        for &slot in changed {
            let passes = fleet.passes_filter(slot, &self.spec);
            self.bits.set(slot, passes && fleet.is_open_for(slot, &self.spec));
        }
        for entry in traffic {
            // A slot that is in passed the filter when it came in; one that is out may have been
            // out for the filter's sake.
            if self.bits.contains(entry.slot) {
                if !fleet.is_open_for(entry.slot, &self.spec) {
                    self.bits.remove(entry.slot);
                }
            } else if fleet.is_open_for(entry.slot, &self.spec) && fleet.passes_filter(entry.slot, &self.spec)
            {
                self.bits.insert(entry.slot);
            }
        }
        (self.changes, self.traffic) = (fleet.changes.end(), fleet.traffic.end());
        true
    }
}

impl Fleet {
    fn is_open_for(&self, slot: u32, spec: &RequestSpec) -> bool {
        self.active.contains(slot)
            && self.connected.contains(slot)
            && self.room_for(slot, &spec.needs).is_ok()
    }
}

#[derive(Debug)]
struct ExpressionView {
    bits: Bits,
    seen: Seen,
}

/// The slots by how many tasks of one group there are with the same value of one field.
#[derive(Debug)]
struct LevelView {
    /// Ascending by count; every slot is on one level.
    levels: Vec<Level>,
    by: Values,
    layout: u64,
    seen: Seen,
}

#[derive(Debug)]
struct Level {
    count: u32,
    bits: Bits,
    /// How many values are on this level; an empty level goes.
    values: usize,
}

#[derive(Debug)]
enum Values {
    /// Each slot is a value of its own.
    Slots,
    /// How many tasks there are with each value of the attribute, by the value's number.
    Attribute { name: u32, counts: Vec<u32>, absent: u32 },
    /// No instance has the attribute: one value for all.
    NoneHas,
}

impl LevelView {
    fn build(fleet: &Fleet, group: u32, field: &Field) -> Self {
        let slots = fleet.slots.len();
        let mut levels = BTreeMap::new();
        let by = match field {
            Field::Instance => {
                let mut zero = Bits::full(slots);
                let mut zero_values = slots;
                for (slot, count) in fleet.groups.counts(group) {
                    zero.remove(slot);
                    zero_values -= 1;
                    let level: &mut Level = levels.entry(count).or_insert_with(|| Level::empty(count, slots));
                    level.bits.insert(slot);
                    level.values += 1;
                }
                if zero_values > 0 {
                    levels.insert(0, Level { count: 0, bits: zero, values: zero_values });
                }
                Values::Slots
            }
            Field::Attribute(name) => match fleet.attributes.name(name) {
                Some(name) => {
                    let mut counts = vec![0; fleet.attributes.values_len(name)];
                    let mut absent = 0;
                    for (slot, count) in fleet.groups.counts(group) {
                        match fleet.value_of(slot, name) {
                            Some(value) => counts[value as usize] += count,
                            None => absent += count,
                        }
                    }
                    // All begin at zero; the values with tasks move up.
                    let mut zero = Level { count: 0, bits: Bits::full(slots), values: counts.len() + 1 };
                    let mut without = Bits::full(slots);
                    if absent > 0 {
                        fleet.attributes.present(name).subtract_from(&mut without);
                        zero.bits.subtract(&without);
                        zero.values -= 1;
                        levels.insert(absent, Level { count: absent, bits: without, values: 1 });
                    }
                    for (value, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
                        let members = fleet.attributes.slots_of(name, value as u32);
                        members.subtract_from(&mut zero.bits);
                        zero.values -= 1;
                        let level = levels.entry(count).or_insert_with(|| Level::empty(count, slots));
                        members.unite_into(&mut level.bits);
                        level.values += 1;
                    }
                    if zero.values > 0 {
                        levels.insert(0, zero);
                    }
                    Values::Attribute { name, counts, absent }
                }
                None => {
                    levels.insert(0, Level { count: 0, bits: Bits::full(slots), values: 1 });
                    Values::NoneHas
                }
            },
        };
        let levels = levels.into_values().collect();
        Self { levels, by, layout: fleet.layout, seen: fleet.traffic.end() }
    }

    /// Says whether it could; otherwise it has to be built anew.
    fn catch_up(&mut self, fleet: &Fleet, group: u32) -> bool {
        if self.layout != fleet.layout {
            return false;
        }
        let Some(traffic) = fleet.traffic.since(self.seen) else { return false };
        if traffic.len() > 64 + fleet.slots.len() / 8 + fleet.groups.slots_len(group) {
            return false;
        }
        for entry in traffic.iter().filter(|entry| entry.group == group && entry.counting != 0) {
            self.apply(fleet, entry);
        }
        self.seen = fleet.traffic.end();
        true
    }

    fn apply(&mut self, fleet: &Fleet, entry: &Traffic) {
        let slots = fleet.slots.len();
        match &mut self.by {
            Values::Slots => {
                let from = self.levels.iter().find(|level| level.bits.contains(entry.slot));
                let Some(from) = from.map(|level| level.count) else { return };
                let mut member = SlotSet::default();
                member.insert(entry.slot);
                self.shift(from, from.saturating_add_signed(entry.counting), &member, slots);
            }
            Values::Attribute { name, counts, absent } => {
                let name = *name;
                match fleet.value_of(entry.slot, name) {
                    Some(value) => {
                        let count = &mut counts[value as usize];
                        let from = *count;
                        *count = count.saturating_add_signed(entry.counting);
                        let to = *count;
                        self.shift(from, to, fleet.attributes.slots_of(name, value), slots);
                    }
                    None => {
                        let from = *absent;
                        *absent = absent.saturating_add_signed(entry.counting);
                        let to = *absent;
                        let mut without = Bits::full(slots);
                        fleet.attributes.present(name).subtract_from(&mut without);
                        let len = without.len();
                        self.shift(from, to, &SlotSet::Many(without, len), slots);
                    }
                }
            }
            Values::NoneHas => {}
        }
    }

    /// Moves one value, which `members` have, from one level to another.
    fn shift(&mut self, from: u32, to: u32, members: &SlotSet, slots: usize) {
        if let Ok(at) = self.levels.binary_search_by_key(&from, |level| level.count) {
            let level = &mut self.levels[at];
            level.values -= 1;
            if level.values == 0 {
                self.levels.remove(at);
            } else {
                members.subtract_from(&mut level.bits);
            }
        }
        let at = match self.levels.binary_search_by_key(&to, |level| level.count) {
            Ok(at) => at,
            Err(at) => {
                self.levels.insert(at, Level::empty(to, slots));
                at
            }
        };
        members.unite_into(&mut self.levels[at].bits);
        self.levels[at].values += 1;
    }
}

impl Level {
    fn empty(count: u32, slots: usize) -> Self {
        Self { count, bits: Bits::empty(slots), values: 0 }
    }
}

impl Fleet {
    /// The number of a slot's value of an attribute.
    fn value_of(&self, slot: u32, name: u32) -> Option<u32> {
        find(&self.slots[slot as usize].instance.as_deref()?.attributes, name)
    }
}

/// The slots by how much of one resource is left of them.
#[derive(Debug, Default)]
struct OrderView {
    levels: BTreeMap<u32, SlotSet>,
    /// On which level each slot is.
    known: Vec<u32>,
    changes: Seen,
    traffic: Seen,
}

impl OrderView {
    fn catch_up(&mut self, fleet: &Fleet, column: &[u32]) {
        for &left in &column[self.known.len()..] {
            let slot = self.known.len() as u32;
            self.known.push(left);
            self.levels.entry(left).or_default().insert(slot);
        }
        match (fleet.changes.since(self.changes), fleet.traffic.since(self.traffic)) {
            (Some(changes), Some(traffic)) if changes.len() + traffic.len() < column.len() + 64 => {
                changes.iter().for_each(|&slot| self.apply(slot, column));
                traffic.iter().for_each(|entry| self.apply(entry.slot, column));
            }
            (_, _) => (0..column.len() as u32).for_each(|slot| self.apply(slot, column)),
        }
        (self.changes, self.traffic) = (fleet.changes.end(), fleet.traffic.end());
    }

    fn apply(&mut self, slot: u32, column: &[u32]) {
        let (from, to) = (self.known[slot as usize], column[slot as usize]);
        if from == to {
            return;
        }
        self.known[slot as usize] = to;
        if let Some(set) = self.levels.get_mut(&from) {
            set.remove(slot);
            if set.len() == 0 {
                self.levels.remove(&from);
            }
        }
        self.levels.entry(to).or_default().insert(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_view_goes() {
        let mut recent: Recent<u32, char> = Recent::new(2);
        recent.put(1, 'a');
        recent.put(2, 'b');
        assert_eq!(recent.get_mut(&1).copied(), Some('a'));
        recent.put(3, 'c');
        assert_eq!((recent.get(&1), recent.get(&2), recent.get(&3)), (Some(&'a'), None, Some(&'c')));
        recent.put(3, 'd');
        assert_eq!((recent.get(&1), recent.get(&3)), (Some(&'a'), Some(&'d')));
    }
}
