//! Which GPUs of an instance its tasks have, as bits by their places in its list.

use std::sync::Arc;

use super::Slot;

impl Slot {
    /// The first free GPUs; fewer than asked for only if a task was adopted beyond them.
    fn free_gpus(&self, count: u32) -> u64 {
        let free = (0..self.gpus).filter(|at| self.gpus_used & (1 << at) == 0);
        free.take(count as usize).fold(0, |mask, at| mask | 1 << at)
    }

    /// The GPUs with these ids.
    pub(super) fn mask_of(&self, ids: &[Arc<str>]) -> u64 {
        let all = self.instance.as_deref().map(|instance| instance.gpus.as_slice()).unwrap_or_default();
        let wanted = all.iter().enumerate().filter(|(_, gpu)| ids.contains(gpu));
        wanted.fold(0, |mask, (at, _)| mask | 1 << at)
    }

    /// The instance's list of GPUs was `before`: tasks keep theirs, wherever they are in the list now.
    pub(super) fn follow_gpus(&mut self, before: &[Arc<str>]) {
        if self.instance.as_deref().is_some_and(|instance| instance.gpus == before) {
            return;
        }
        let now: Vec<u64> = before.iter().map(|gpu| self.mask_of(std::slice::from_ref(gpu))).collect();
        for held in &mut self.tasks {
            let mask = held.gpu_mask();
            let had = now.iter().enumerate().filter(|&(at, _)| mask & (1 << at) != 0);
            held.set_gpu_mask(had.fold(0, |mask, (_, now)| mask | now));
        }
        self.count_gpus();
    }

    /// Counts the GPUs in use. Tasks of which nobody knows the GPUs keep those that they were counted with, but give way
    /// to a task that is known to have one of them.
    pub(super) fn count_gpus(&mut self) {
        let named = self.tasks.iter().filter(|held| held.any_gpus == 0);
        self.gpus_used = named.fold(0, |mask, held| mask | held.gpu_mask());
        for held in self.tasks.iter_mut().filter(|held| held.any_gpus > 0) {
            let kept = held.gpu_mask() & !self.gpus_used;
            held.set_gpu_mask(kept);
            self.gpus_used |= kept;
        }
        for at in 0..self.tasks.len() {
            let held = &self.tasks[at];
            let (kept, wanted) = (held.gpu_mask(), u32::from(held.any_gpus));
            if kept.count_ones() < wanted {
                let more = self.free_gpus(wanted - kept.count_ones());
                self.gpus_used |= more;
                self.tasks[at].set_gpu_mask(kept | more);
            }
        }
    }
}
