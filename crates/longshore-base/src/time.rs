//! Points in time, as the API shows them: milliseconds since the Unix epoch.

use std::fmt;
use std::num::NonZeroI64;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Milliseconds, because that is the precision of the numbers in ECS responses
/// (`1517730923.303`).
///
/// A record has many that are mostly absent, and there may be a million records; so `Option<Timestamp>` takes no
/// more than the number itself. The price is the first millisecond of `i64`, which reads as the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// The milliseconds, less one if they are not positive: that leaves zero out and keeps the order.
    NonZeroI64,
);

impl Timestamp {
    /// The earliest and the latest point that a deadline can name.
    pub const MIN: Timestamp = Timestamp(NonZeroI64::MIN);
    pub const MAX: Timestamp = Timestamp(NonZeroI64::MAX);

    pub const fn from_millis(millis: i64) -> Self {
        let stored = if millis > 0 { millis } else { millis.saturating_sub(1) };
        Self(NonZeroI64::new(stored).expect("it is above zero, or below by at least one"))
    }

    /// Takes the seconds of an AWS JSON number, rounding to the nearest millisecond.
    /// `None` for numbers that are not finite or too large to be a time.
    pub fn from_seconds_f64(seconds: f64) -> Option<Self> {
        let millis = (seconds * 1000.0).round();
        (millis.is_finite() && millis.abs() < 9.0e15).then_some(Self::from_millis(millis as i64))
    }

    pub const fn as_millis(self) -> i64 {
        let stored = self.0.get();
        if stored > 0 { stored } else { stored + 1 }
    }

    /// Seconds with a fraction, as awsJson writes a timestamp.
    pub fn as_seconds_f64(self) -> f64 {
        self.as_millis() as f64 / 1000.0
    }

    /// Time that has passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(earlier.as_millis()).max(0) as u64)
    }
}

/// The epoch.
impl Default for Timestamp {
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.as_millis()).finish()
    }
}

/// As the number of milliseconds.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_millis().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::from_millis)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, rhs: Duration) -> Timestamp {
        let millis = i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.as_millis().saturating_add(millis))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, rhs: Duration) -> Timestamp {
        let millis = i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.as_millis().saturating_sub(millis))
    }
}

/// Where a shell takes the time from. Programs read the machine's clock, simulations a virtual one;
/// decisions never see a clock, only a [`Timestamp`].
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_time_takes_no_more_than_a_time() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<i64>());
    }

    #[test]
    fn every_millisecond_but_the_first_is_kept_in_order() {
        let millis = [i64::MIN + 1, -1_000_000, -2, -1, 0, 1, 2, 1_000_000, i64::MAX];
        for pair in millis.windows(2) {
            assert!(Timestamp::from_millis(pair[0]) < Timestamp::from_millis(pair[1]), "{pair:?}");
        }
        for millis in millis {
            assert_eq!(Timestamp::from_millis(millis).as_millis(), millis);
        }
        assert_eq!(Timestamp::from_millis(i64::MIN), Timestamp::MIN);
        assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::default().as_millis(), 0);
    }

    #[test]
    fn seconds_round_to_milliseconds() {
        let t = Timestamp::from_seconds_f64(1517730923.303).expect("a sane time");
        assert_eq!(t.as_millis(), 1517730923303);
        assert_eq!(t.as_seconds_f64(), 1517730923.303);
        assert_eq!(Timestamp::from_seconds_f64(f64::NAN), None);
        assert_eq!(Timestamp::from_seconds_f64(1e300), None);
    }

    #[test]
    fn since_never_goes_below_zero() {
        let (a, b) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(b.since(a), Duration::from_millis(4));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
    }
}
