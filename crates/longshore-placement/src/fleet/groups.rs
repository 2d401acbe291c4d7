//! How many tasks of which group are where.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    by_name: HashMap<Arc<str>, u32>,
    vacant: Vec<u32>,
}

#[derive(Debug)]
struct Group {
    name: Arc<str>,
    by_slot: BTreeMap<u32, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Not STOPPED.
    present: u32,
    /// Of these, not told to stop.
    counting: u32,
}

impl Groups {
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn name(&self, group: u32) -> &str {
        &self.groups[group as usize].name
    }

    /// Counts one task more of a group, which comes to be if need be. A number may be used again
    /// after its group was left by all: views of it then hold what a new group has, nothing.
    pub(super) fn join(&mut self, name: &str, slot: u32) -> u32 {
        let number = self.find(name).unwrap_or_else(|| {
            let group = Group { name: name.into(), by_slot: BTreeMap::new() };
            let name = group.name.clone();
            let number = match self.vacant.pop() {
                Some(number) => {
                    self.groups[number as usize] = group;
                    number
                }
                None => {
                    self.groups.push(group);
                    (self.groups.len() - 1) as u32
                }
            };
            self.by_name.insert(name, number);
            number
        });
        let count = self.groups[number as usize].by_slot.entry(slot).or_default();
        count.present += 1;
        count.counting += 1;
        number
    }

    pub(super) fn stop_counting(&mut self, group: u32, slot: u32) {
        if let Some(count) = self.groups[group as usize].by_slot.get_mut(&slot) {
            count.counting -= 1;
        }
    }

    /// Counts one task less, which `counted` unless it had been told to stop.
    pub(super) fn leave(&mut self, number: u32, slot: u32, counted: bool) {
        let group = &mut self.groups[number as usize];
        let Some(count) = group.by_slot.get_mut(&slot) else { return };
        count.present -= 1;
        count.counting -= u32::from(counted);
        if count.present == 0 {
            group.by_slot.remove(&slot);
            if group.by_slot.is_empty() {
                self.by_name.remove(&group.name);
                self.vacant.push(number);
            }
        }
    }

    pub(super) fn counting(&self, group: u32, slot: u32) -> u32 {
        self.groups[group as usize].by_slot.get(&slot).map_or(0, |count| count.counting)
    }

    /// The slots with tasks of a group that count, ascending.
    pub(super) fn counts(&self, group: u32) -> impl Iterator<Item = (u32, u32)> {
        let by_slot = &self.groups[group as usize].by_slot;
        by_slot.iter().map(|(&slot, count)| (slot, count.counting)).filter(|&(_, counting)| counting > 0)
    }

    /// The slots with tasks of a group that are not STOPPED, ascending.
    pub(super) fn present(&self, group: u32) -> impl Iterator<Item = u32> {
        self.groups[group as usize].by_slot.keys().copied()
    }

    /// On how many slots a group has tasks.
    pub(super) fn slots_len(&self, group: u32) -> usize {
        self.groups[group as usize].by_slot.len()
    }

    /// The groups that have tasks.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, u32)> {
        self.groups
            .iter()
            .enumerate()
            .filter(|(_, group)| !group.by_slot.is_empty())
            .map(|(number, group)| (&*group.name, number as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_and_go_with_their_tasks() {
        let mut groups = Groups::default();
        let web = groups.join("service:web", 3);
        assert_eq!(groups.join("service:web", 3), web);
        groups.stop_counting(web, 3);
        assert_eq!(groups.counting(web, 3), 1);
        assert_eq!(groups.present(web).collect::<Vec<_>>(), [3]);
        groups.leave(web, 3, true);
        assert_eq!(groups.counts(web).count(), 0);
        assert_eq!(groups.present(web).count(), 1, "one was told to stop and has not");
        groups.leave(web, 3, false);
        assert_eq!(groups.find("service:web"), None);
        assert_eq!(groups.join("service:db", 1), web, "the number is used again");
        assert_eq!(groups.find("service:db"), Some(web));
        assert_eq!(groups.named().collect::<Vec<_>>(), [("service:db", web)]);
    }
}
