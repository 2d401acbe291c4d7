//! The machine's clock and its source of chance, behind the ports that the layers below take.

use std::time::{SystemTime, UNIX_EPOCH};

use longshore_base::{Clock, Seed, Timestamp};
use longshore_state::db::SeedSource;

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug)]
pub struct SystemSeeds;

impl SeedSource for SystemSeeds {
    fn draw(&self) -> Seed {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random numbers");
        Seed::new(u128::from_ne_bytes(bytes))
    }
}
