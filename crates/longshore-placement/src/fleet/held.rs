//! What a task holds of its instance, kept small: there may be a million.

use std::collections::HashMap;
use std::sync::Arc;

use longshore_base::TaskId;

use crate::needs::Needs;

/// One task on an instance, in 32 bytes: the id as two words, because a `u128` would be aligned
/// to sixteen, and needs and group as numbers.
#[derive(Debug)]
pub(super) struct Held {
    task: [u64; 2],
    pub(super) group: u32,
    pub(super) needs: u32,
    /// Counts for `distinctInstance` and `spread`: it was not told to stop.
    pub(super) counts: bool,
    pub(super) running: bool,
    /// How many GPUs it has if nobody knows which; 0 if they were named.
    pub(super) any_gpus: u8,
    /// Absent for the many tasks without GPUs.
    gpus: Option<Box<u64>>,
}

impl Held {
    pub(super) fn new(task: TaskId, group: u32, needs: u32) -> Self {
        let bits = task.bits();
        Self {
            task: [(bits >> 64) as u64, bits as u64],
            group,
            needs,
            counts: true,
            running: false,
            any_gpus: 0,
            gpus: None,
        }
    }

    pub(super) fn task_bits(&self) -> u128 {
        (u128::from(self.task[0]) << 64) | u128::from(self.task[1])
    }

    pub(super) fn gpu_mask(&self) -> u64 {
        self.gpus.as_deref().copied().unwrap_or(0)
    }

    pub(super) fn set_gpu_mask(&mut self, gpus: u64) {
        self.gpus = (gpus != 0).then(|| Box::new(gpus));
    }
}

/// The distinct needs of the tasks. Copies of one task definition share an entry.
#[derive(Debug, Default)]
pub(super) struct NeedsTable {
    entries: Vec<(Arc<Needs>, u32)>,
    by_needs: HashMap<Arc<Needs>, u32>,
    vacant: Vec<u32>,
    /// The entry used last: copies come in a row.
    last: u32,
}

impl NeedsTable {
    pub(super) fn intern(&mut self, needs: &Needs) -> u32 {
        let known = match self.entries.get(self.last as usize) {
            Some((last, 1..)) if **last == *needs => Some(self.last),
            Some(_) | None => self.by_needs.get(needs).copied(),
        };
        let number = known.unwrap_or_else(|| {
            let needs = Arc::new(needs.clone());
            let number = self.vacant.pop().unwrap_or_else(|| {
                self.entries.push((needs.clone(), 0));
                (self.entries.len() - 1) as u32
            });
            self.entries[number as usize].0 = needs.clone();
            self.by_needs.insert(needs, number);
            number
        });
        self.entries[number as usize].1 += 1;
        self.last = number;
        number
    }

    pub(super) fn get(&self, number: u32) -> &Needs {
        &self.entries[number as usize].0
    }

    pub(super) fn release(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        entry.1 -= 1;
        if entry.1 == 0 {
            self.by_needs.remove(&entry.0);
            self.vacant.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_base::{CpuUnits, MemoryMib};

    use super::*;

    #[test]
    fn a_task_takes_forty_bytes_at_most() {
        assert!(size_of::<Held>() <= 40, "{}", size_of::<Held>());
    }

    #[test]
    fn equal_needs_share_an_entry_until_none_is_left() {
        let needs = |cpu| Needs { cpu: CpuUnits(cpu), memory: MemoryMib(1), ..Needs::default() };
        let mut table = NeedsTable::default();
        let (a, b) = (table.intern(&needs(1)), table.intern(&needs(2)));
        assert_eq!(table.intern(&needs(1)), a);
        table.release(a);
        assert_eq!(table.get(a), &needs(1));
        table.release(a);
        assert_eq!(table.intern(&needs(3)), a, "the number is used again");
        assert_eq!(table.intern(&needs(2)), b);
        assert_ne!(table.intern(&needs(1)), a);
    }
}
