//! A rate limit for lines of the log that a peer could otherwise cause as often as it likes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says which events are worth a line of the log, and counts the others.
///
/// The events of a key are counted from 1 in each period, and those with the numbers `first` to `last` are to be
/// logged; with each comes how many were not logged since the one before. Keys come from outside, so only `keys_max`
/// are remembered at a time: while all of these had an event within the period, events of further keys are not logged.
#[derive(Debug)]
pub struct Damper<K> {
    first: u32,
    last: u32,
    period: Duration,
    keys_max: usize,
    counts: Mutex<BTreeMap<K, Count>>,
}

#[derive(Debug)]
struct Count {
    /// When the period began.
    since: Instant,
    /// Of this period.
    events: u32,
    /// Not logged since the last that was.
    kept_back: u32,
}

impl<K: Ord> Damper<K> {
    /// Lets the events `first` to `last` of each `period` be logged, of at most `keys_max` keys.
    pub fn new(first: u32, last: u32, period: Duration, keys_max: usize) -> Self {
        Self { first, last, period, keys_max, counts: Mutex::default() }
    }

    /// An event of `key`. `Some` if it is to be logged, with how many were not since the last that was.
    pub fn event(&self, now: Instant, key: K) -> Option<u32> {
        // A count is whole at any time, so a panic elsewhere leaves nothing broken.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |count: &Count| now.saturating_duration_since(count.since) >= self.period;
        if counts.len() >= self.keys_max && !counts.contains_key(&key) {
            counts.retain(|_, count| !is_over(count));
            if counts.len() >= self.keys_max {
                return None;
            }
        }
        let count = counts.entry(key).or_insert(Count { since: now, events: 0, kept_back: 0 });
        if is_over(count) {
            *count = Count { since: now, events: 0, kept_back: count.kept_back };
        }
        count.events = count.events.saturating_add(1);
        if (self.first..=self.last).contains(&count.events) {
            return Some(std::mem::take(&mut count.kept_back));
        }
        count.kept_back = count.kept_back.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_ones_are_told_and_the_rest_is_counted() {
        let (damper, start) = (Damper::new(1, 2, MINUTE, 9), Instant::now());
        let told = |at: u64, key| damper.event(start + Duration::from_secs(at), key);
        assert_eq!([told(0, "a"), told(1, "a"), told(2, "a"), told(3, "a")], [Some(0), Some(0), None, None]);
        assert_eq!(told(4, "b"), Some(0), "every key has a count of its own");
        assert_eq!(
            [told(60, "a"), told(61, "a")],
            [Some(2), Some(0)],
            "the next period begins with what was not told"
        );
    }

    #[test]
    fn what_happens_once_or_twice_is_not_told() {
        let (damper, start) = (Damper::new(3, 3, MINUTE, 9), Instant::now());
        let told = |at: u64| damper.event(start + Duration::from_secs(at), ());
        assert_eq!([told(0), told(1), told(2), told(3)], [None, None, Some(2), None]);
        assert_eq!(
            [told(60), told(61), told(200)],
            [None, None, None],
            "the count begins anew with a period"
        );
    }

    #[test]
    fn only_so_many_keys_are_remembered() {
        let (damper, start) = (Damper::new(1, 1, MINUTE, 2), Instant::now());
        let told = |at: u64, key| damper.event(start + Duration::from_secs(at), key);
        assert_eq!([told(0, 1), told(30, 2), told(31, 3)], [Some(0), Some(0), None]);
        assert_eq!([told(61, 3), told(62, 4)], [Some(0), None], "the oldest made room for one");
    }
}
