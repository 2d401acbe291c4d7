//! How long to wait before the next try.

use std::time::Duration;

use longshore_base::Seed;

/// Waits that grow by a factor with each failure, up to a limit, with jitter on top.
///
/// The jitter comes from a seed, so that a simulation repeats itself and a thousand agents do not.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    /// Growth per failure, in percent of the wait before: 150 is half as much again.
    growth_percent: u32,
    most: Duration,
    seed: Seed,
    wait: Option<Duration>,
    drawn: u64,
}

/// Jitter adds up to a fifth (agent-protocol G3, G5, G9).
const JITTER_PARTS: u32 = 5;

/// Longest wait before a reconnect that should be immediate. Without it, all agents of a control plane that
/// went away come back in the same millisecond.
const AT_ONCE_MAX: Duration = Duration::from_millis(200);

impl Backoff {
    pub fn new(seed: Seed, first: Duration, growth_percent: u32, most: Duration) -> Self {
        Self { first, growth_percent, most, seed, wait: None, drawn: 0 }
    }

    /// 250 ms × 1.5 to 2 min (agent-protocol G5).
    pub fn acs(seed: Seed) -> Self {
        Self::new(seed, Duration::from_millis(250), 150, Duration::from_secs(120))
    }

    /// 1 s × 2 to 1 min (agent-protocol G9).
    pub fn tcs(seed: Seed) -> Self {
        Self::new(seed, Duration::from_secs(1), 200, Duration::from_secs(60))
    }

    /// 3 s × 2 to 192 s (agent-protocol G3).
    pub fn registration(seed: Seed) -> Self {
        Self::new(seed, Duration::from_secs(3), 200, Duration::from_secs(192))
    }

    /// 1 s × 1.3 to 30 s: reports that were refused for now (agent-protocol G8).
    pub fn report(seed: Seed) -> Self {
        Self::new(seed, Duration::from_secs(1), 130, Duration::from_secs(30))
    }

    /// The wait after one more failure.
    pub fn fail(&mut self) -> Duration {
        let wait = match self.wait {
            None => self.first,
            Some(wait) => (wait * self.growth_percent / 100).min(self.most),
        };
        self.wait = Some(wait);
        wait + self.draw(wait / JITTER_PARTS)
    }

    /// The wait before a reconnect that needs none.
    pub fn at_once(&mut self) -> Duration {
        self.draw(AT_ONCE_MAX)
    }

    /// All is well again: the next failure waits as long as the first.
    pub fn reset(&mut self) {
        self.wait = None;
    }

    /// A random duration below `bound`.
    pub fn draw(&mut self, bound: Duration) -> Duration {
        self.drawn += 1;
        Duration::from_millis(self.seed.of(self.drawn).below(bound.as_millis() as usize) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_start_again() {
        let mut backoff = Backoff::acs(Seed::new(1));
        let mut base = Duration::from_millis(250);
        for _ in 0..40 {
            let wait = backoff.fail();
            assert!(wait >= base && wait <= base * 6 / 5, "{wait:?} for {base:?}");
            base = (base * 150 / 100).min(Duration::from_secs(120));
        }
        assert_eq!(base, Duration::from_secs(120));
        backoff.reset();
        assert!(backoff.fail() <= Duration::from_millis(300));
        assert!(backoff.at_once() < AT_ONCE_MAX);
    }

    #[test]
    fn different_seeds_wait_differently() {
        let first = |seed| Backoff::tcs(Seed::new(seed)).fail();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
