//! Time that never falls, neither when a clock is set back nor when another process takes over.
//!
//! What is stored says when it was done, and what waits does so until a stored time. So a leader must not begin before
//! the time at which the last one wrote (ha M4), and nobody may go back in its own. A clock that is behind is not followed
//! at once, and time does not stand still until then either: it runs half as fast until the clock has caught up, so that
//! whatever waits takes twice as long at most.

use std::sync::Arc;

use longshore_base::{Clock, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::domain::Keep;
use crate::hint::Hints;
use crate::key::{KeyReader, KeyWriter, RecordKey};
use crate::level::LevelTables;
use crate::record::{Kind, Record};

/// How far the stored time may be behind that of the last transaction, in milliseconds.
const TOLD_EVERY_MILLIS: i64 = 60_000;

/// What [`Moment`] takes in a commit at most, with its key.
pub(crate) const MOMENT_BYTES: usize = 256;

/// How late it was when something was last written, to the minute. Goes with a transaction that changes something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub at: Timestamp,
}

/// There is one moment, of the whole store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MomentKey;

impl RecordKey for MomentKey {
    fn write(&self, _key: &mut KeyWriter<'_>) {}

    fn read(_key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self)
    }
}

impl Record for Moment {
    type Key = MomentKey;
    type Tables = LevelTables;
    const KIND: Kind = Kind { name: "moment", level: 1 };
}

impl Keep<Moment> for LevelTables {
    fn replace(&mut self, _: &MomentKey, record: Option<Arc<Moment>>, _: &mut Hints) -> Option<Arc<Moment>> {
        std::mem::replace(&mut self.moment, record)
    }
}

/// True if the stored time has to be written anew.
pub(crate) fn is_old(stored: Option<&Moment>, now: Timestamp) -> bool {
    stored.is_none_or(|moment| now.as_millis() - moment.at.as_millis() >= TOLD_EVERY_MILLIS)
}

/// The time of a leader, read from a clock that may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteadyTime {
    /// The clock when it was read last, and what was made of it.
    clock: Timestamp,
    now: Timestamp,
    /// The same when the clock was last found behind: from there on time runs half as fast.
    from: (Timestamp, Timestamp),
}

impl SteadyTime {
    /// Begins while the clock shows `clock`, not before `least`.
    pub fn new(clock: Timestamp, least: Timestamp) -> Self {
        let now = clock.max(least);
        Self { clock, now, from: (clock, now) }
    }

    /// What time it is when the clock shows `clock`.
    pub fn read(&mut self, clock: Timestamp) -> Timestamp {
        if clock < self.clock {
            self.from = (clock, self.now);
        }
        self.clock = clock;
        let (clock_then, then) = self.from;
        let gone = clock.as_millis() - clock_then.as_millis();
        let slow = Timestamp::from_millis(then.as_millis() + gone / 2);
        self.now = self.now.max(clock).max(slow);
        self.now
    }

    /// What the clock shows when it is `at`, if it is not set again before.
    pub fn clock_at(&self, at: Timestamp) -> Timestamp {
        let (clock_then, then) = self.from;
        let gone = at.as_millis().saturating_sub(then.as_millis()).saturating_mul(2);
        at.min(Timestamp::from_millis(clock_then.as_millis().saturating_add(gone)))
    }
}

/// A clock that never falls.
pub(crate) struct SteadyClock {
    clock: Arc<dyn Clock>,
    time: Mutex<SteadyTime>,
}

impl SteadyClock {
    pub fn new(clock: Arc<dyn Clock>, time: SteadyTime) -> Self {
        Self { clock, time: Mutex::new(time) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        // The clock is read under the lock: two who read it apart could be heard in the wrong order.
        let mut time = self.time.lock();
        time.read(self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_clock_that_goes_on_is_the_time() {
        let mut time = SteadyTime::new(at(100), at(40));
        for seconds in [100, 101, 500, 500] {
            assert_eq!(time.read(at(seconds)), at(seconds));
            assert_eq!(time.clock_at(at(seconds + 7)), at(seconds + 7));
        }
    }

    #[test]
    fn a_new_leader_begins_where_the_last_one_was_and_loses_its_lead_slowly() {
        let mut time = SteadyTime::new(at(100), at(160));
        let read = [100, 102, 160, 219, 220, 221].map(|clock| time.read(at(clock)).as_millis());
        assert_eq!(read, [160_000, 161_000, 190_000, 219_500, 220_000, 221_000]);
    }

    #[test]
    fn a_clock_that_is_set_back_never_takes_time_back() {
        let mut time = SteadyTime::new(at(1000), at(0));
        let mut last = time.read(at(1000));
        for clock in [900, 910, 700, 701, 2000, 1999, 2000, 5000, 0, 1, 2] {
            let now = time.read(at(clock));
            assert!(now >= last && now >= at(clock), "{clock}");
            last = now;
        }
    }

    /// Whoever sleeps until then finds that it is.
    #[test]
    fn a_time_is_reached_when_the_clock_shows_what_was_foretold() {
        let mut time = SteadyTime::new(at(100), at(160));
        for ahead in [0, 1, 59, 60, 61, 1000] {
            let goal = at(160 + ahead);
            let mut later = time;
            assert!(later.read(time.clock_at(goal)) >= goal, "{ahead}");
        }
        time.read(at(90));
        let goal = at(163);
        let clock = time.clock_at(goal);
        assert!(time.read(clock) >= goal);
    }
}
