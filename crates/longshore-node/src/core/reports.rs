//! Reports on their way to the control plane (agent-protocol G8).
//!
//! The engine hands out one report per task at a time and waits for its answer, so their order is its
//! doing. Here is only how many are sent at once and when a failed one is tried again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use longshore_base::{Seed, Timestamp};
use longshore_engine::report::TaskReport;
use longshore_link::client::Backoff;

/// How many reports may be under way at once (agent-protocol G8).
const IN_FLIGHT_MAX: usize = 10;

#[derive(Debug)]
pub(super) struct Outgoing {
    pub report: TaskReport,
    refused: Option<Backoff>,
    server_side: Option<Backoff>,
}

#[derive(Debug)]
pub(super) struct Reports {
    seed: Seed,
    ready: VecDeque<Outgoing>,
    later: BTreeMap<(Timestamp, u64), Outgoing>,
    in_flight: usize,
    drawn: u64,
}

impl Reports {
    pub fn new(seed: Seed) -> Self {
        Self { seed, ready: VecDeque::new(), later: BTreeMap::new(), in_flight: 0, drawn: 0 }
    }

    pub fn push(&mut self, report: TaskReport) {
        self.ready.push_back(Outgoing { report, refused: None, server_side: None });
    }

    /// The next report to send, if there is room for one.
    pub fn next(&mut self, now: Timestamp) -> Option<Outgoing> {
        while let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now
        {
            self.ready.push_back(entry.remove());
        }
        if self.in_flight >= IN_FLIGHT_MAX {
            return None;
        }
        let outgoing = self.ready.pop_front()?;
        self.in_flight += 1;
        Some(outgoing)
    }

    /// It was accepted, or never will be.
    pub fn done(&mut self) {
        self.in_flight -= 1;
    }

    /// It was refused for now: 1 s × 1.3 to 30 s.
    pub fn refused(&mut self, now: Timestamp, mut outgoing: Outgoing) {
        let seed = self.draw();
        let wait = outgoing.refused.get_or_insert_with(|| Backoff::report(seed)).fail();
        self.again(now + wait, outgoing);
    }

    /// The server has trouble: 100 ms × 2 to 30 s. The official agent tries thirteen times within five
    /// minutes and then every five minutes; after a fail-over nobody wants to wait for that.
    pub fn server_side(&mut self, now: Timestamp, mut outgoing: Outgoing) {
        let seed = self.draw();
        let new = || Backoff::new(seed, Duration::from_millis(100), 200, Duration::from_secs(30));
        let wait = outgoing.server_side.get_or_insert_with(new).fail();
        self.again(now + wait, outgoing);
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    fn draw(&mut self) -> Seed {
        self.drawn += 1;
        self.seed.of(self.drawn)
    }

    fn again(&mut self, at: Timestamp, outgoing: Outgoing) {
        self.in_flight -= 1;
        self.drawn += 1;
        self.later.insert((at, self.drawn), outgoing);
    }
}
