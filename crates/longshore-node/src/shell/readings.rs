//! The last reading of each container, so that the next one has something to be compared with.
//!
//! A container that asks for statistics wants rates, and these need two readings. The engine gives two a second apart,
//! and the caller would have to wait that long. The agent reads every container each ten seconds anyway: that reading
//! is kept here, and one more reading, which takes the engine no time, makes the pair (agent-protocol G17; the official
//! agent follows the engine's stream for every container instead).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use longshore_engine::spec::RuntimeId;
use tokio::time::Instant;

/// An older reading says nothing about the present.
const AGE_MAX: Duration = Duration::from_secs(300);

/// Closer together, a rate is noise: an engine updates its own counters about as often.
const AGE_LEAST: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct LastReadings {
    readings: Mutex<BTreeMap<RuntimeId, (Instant, String)>>,
}

impl LastReadings {
    /// Keeps a reading, and forgets those of containers that nobody has read for long.
    pub fn put(&self, id: &RuntimeId, text: String, now: Instant) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        readings.retain(|_, (at, _)| now.duration_since(*at) <= AGE_MAX);
        readings.insert(id.clone(), (now, text));
    }

    /// What a reading of `now` can be compared with.
    pub fn before(&self, id: &RuntimeId, now: Instant) -> Option<String> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, text) = readings.get(id)?;
        (AGE_LEAST..=AGE_MAX).contains(&now.duration_since(*at)).then(|| text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_serves_while_it_says_something_of_now() {
        let (last_readings, start) = (LastReadings::default(), Instant::now());
        let (a, b) = (RuntimeId::new("a"), RuntimeId::new("b"));
        last_readings.put(&a, "1".into(), start);
        let at = |secs: f64| start + Duration::from_secs_f64(secs);
        assert_eq!(last_readings.before(&a, at(0.1)), None, "too close");
        assert_eq!(last_readings.before(&a, at(10.0)).as_deref(), Some("1"));
        assert_eq!(last_readings.before(&b, at(10.0)), None);
        last_readings.put(&a, "2".into(), at(10.0));
        assert_eq!(last_readings.before(&a, at(20.0)).as_deref(), Some("2"));
        assert_eq!(last_readings.before(&a, at(311.0)), None, "too old");
        last_readings.put(&b, "3".into(), at(311.0));
        assert_eq!(last_readings.readings.lock().expect("nobody panicked").len(), 1, "and forgotten");
    }
}
