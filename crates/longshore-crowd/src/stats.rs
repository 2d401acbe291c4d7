//! Counters of a crowd: instances, connections, tasks and reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use longshore_telemetry::resident_bytes;

/// Counted by all instances at once.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) registered: AtomicU64,
    pub(crate) connected: AtomicU64,
    pub(crate) connections_lost: AtomicU64,
    pub(crate) heartbeats: AtomicU64,
    pub(crate) payloads: AtomicU64,
    pub(crate) tasks_taken: AtomicU64,
    pub(crate) tasks_present: AtomicU64,
    pub(crate) running_reported: AtomicU64,
    pub(crate) stopped_reported: AtomicU64,
    pub(crate) reports_repeated: AtomicU64,
    pub(crate) reports_dropped: AtomicU64,
    pub(crate) tasks_launched: AtomicU64,
    pub(crate) errors: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn subtract(counter: &AtomicU64, count: u64) {
    counter.fetch_sub(count, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn read(&self, instances: u64, begun: Instant) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            elapsed: begun.elapsed(),
            instances,
            registered: get(&self.registered),
            connected: get(&self.connected),
            connections_lost: get(&self.connections_lost),
            heartbeats: get(&self.heartbeats),
            payloads: get(&self.payloads),
            tasks_launched: get(&self.tasks_launched),
            tasks_taken: get(&self.tasks_taken),
            tasks_present: get(&self.tasks_present),
            running_reported: get(&self.running_reported),
            stopped_reported: get(&self.stopped_reported),
            reports_repeated: get(&self.reports_repeated),
            reports_dropped: get(&self.reports_dropped),
            errors: get(&self.errors),
            resident_bytes: resident_bytes(std::process::id()).unwrap_or(0),
        }
    }
}

/// A look at a crowd. Numbers count from its start, unless they say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    pub elapsed: Duration,
    /// How many there shall be.
    pub instances: u64,
    pub registered: u64,
    /// Command sockets that are open now.
    pub connected: u64,
    pub connections_lost: u64,
    pub heartbeats: u64,
    pub payloads: u64,
    /// By the crowd's own launch.
    pub tasks_launched: u64,
    /// Tasks that came in payloads, each counted once.
    pub tasks_taken: u64,
    /// Tasks that have not ended, now.
    pub tasks_present: u64,
    /// Reports that the server has answered with 200.
    pub running_reported: u64,
    pub stopped_reported: u64,
    /// Reports that had to be sent again.
    pub reports_repeated: u64,
    /// Reports that the server will never take.
    pub reports_dropped: u64,
    /// Messages that could not be understood, and calls that failed.
    pub errors: u64,
    /// Memory of this process.
    pub resident_bytes: u64,
}
