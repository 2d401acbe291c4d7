//! What waits for the disk.

use std::collections::VecDeque;

/// Holds things back until everything that was written before them is durable.
#[derive(Debug)]
pub(super) struct Gate<T> {
    written: u64,
    durable: u64,
    /// The last write that something pressing waits for.
    pressing: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Gate<T> {
    pub fn new() -> Self {
        Self { written: 0, durable: 0, pressing: 0, waiting: VecDeque::new() }
    }

    /// The number of a write that is about to be made.
    pub fn write(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    /// Every write up to this number is durable.
    pub fn durable(&mut self, number: u64) {
        self.durable = self.durable.max(number);
    }

    /// Lets `thing` through after what has been written so far, and after everything that waits already. A container
    /// waits for what is `pressing`.
    pub fn push(&mut self, thing: T, pressing: bool) {
        if pressing {
            self.pressing = self.written;
        }
        self.waiting.push_back((self.written, thing));
    }

    /// The last write that something pressing waits for. It may have been made long before that was known.
    pub fn pressing(&self) -> u64 {
        self.pressing
    }

    pub fn pop(&mut self) -> Option<T> {
        match self.waiting.front() {
            Some((number, _)) if *number <= self.durable => self.waiting.pop_front().map(|(_, thing)| thing),
            Some(_) | None => None,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.durable >= self.written && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_was_made_may_become_pressing() {
        let mut gate = Gate::new();
        let number = gate.write();
        gate.push("ack", false);
        assert!(gate.pressing() < number, "an ack can wait");
        gate.push("create", true);
        assert_eq!(gate.pressing(), number, "and what else waits for it cannot");
    }
}
