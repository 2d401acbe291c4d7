//! The machine's clock, for signatures.

use std::time::{SystemTime, UNIX_EPOCH};

use longshore_base::{Clock, Timestamp};

/// The system clock. A time before 1970 is given as 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
