//! A stream of chance: every draw of a run comes from one of these, and all of them from one seed.

use std::time::Duration;

use longshore_base::Seed;

#[derive(Clone, Debug)]
pub struct Chance {
    seed: Seed,
    drawn: u64,
}

impl Chance {
    pub fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next independent seed.
    pub fn seed(&mut self) -> Seed {
        self.drawn += 1;
        self.seed.of(self.drawn)
    }

    /// A number in `0..bound`; zero when `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.seed().below(bound)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = usize::try_from(high.saturating_sub(low)).unwrap_or(usize::MAX - 1);
        low + self.below(span + 1) as u64
    }

    /// True in `share` of a thousand cases.
    pub fn per_mille(&mut self, share: u32) -> bool {
        self.below(1000) < share as usize
    }

    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
