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

    /// True if something pressing waits for this write.
    pub fn is_pressing(&self, number: u64) -> bool {
        number <= self.pressing
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
