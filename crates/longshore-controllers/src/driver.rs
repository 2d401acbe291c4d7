//! The shell of the controllers: waits for hints and for times, and looks.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_base::Timestamp;
use longshore_domain::{InstanceStatus, ServiceStatus, TaskStatus};
use longshore_state::{Db, Inbox, Refused, Sequence, Stopped};
use longshore_tables_ecs::{EcsState, Hint};
use longshore_telemetry::Metrics;
use parking_lot::Mutex;

use crate::Settings;
use crate::schedule::{Job, Schedule, Seen};

/// How many looks may be under way to the disk before the driver waits for them. It bounds the
/// committer's queue, and lets requests in between.
const LOOKS_IN_FLIGHT_MAX: usize = 64;

/// When the driver did something last. It looks at the time at least every
/// [`crate::upkeep::SWEEP_EVERY`], so that silence
/// is a sign that it hangs.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    fn beat(&self) {
        *self.0.lock() = Instant::now();
    }

    pub fn silent_for(&self) -> Duration {
        self.0.lock().elapsed()
    }
}

/// How many looks are under way to the disk, and what to wait for before there are too many.
#[derive(Debug, Default)]
struct InFlight {
    looks: usize,
    last: Option<u64>,
}

impl InFlight {
    /// One more look: the sequence of what it changed, if it was done. Gives what is to be waited for now, if anything.
    fn add(&mut self, sequence: Option<u64>) -> Option<u64> {
        self.looks += 1;
        // One that was undone changed nothing; those before it are to be waited for all the same.
        self.last = sequence.or(self.last);
        if self.looks < LOOKS_IN_FLIGHT_MAX {
            return None;
        }
        self.looks = 0;
        self.last.take()
    }
}

/// Runs until the database stops, and keeps `metrics` and `pulse` up to date. Drop the future to stop it.
pub fn run(
    db: Arc<Db>,
    settings: Settings,
    metrics: Metrics,
    pulse: Pulse,
) -> impl Future<Output = Stopped> + Send + 'static {
    // At once, not when the future first gets its turn: until then, hints would find nobody.
    let hints = db.inbox();
    async move {
        match drive(&Driver { db, settings, metrics, pulse }, &hints).await {
            Ok(never) => match never {},
            Err(stopped) => stopped,
        }
    }
}

struct Driver {
    db: Arc<Db>,
    settings: Settings,
    metrics: Metrics,
    pulse: Pulse,
}

impl Driver {
    /// Runs one look, and again if it asks for that; gives the sequence of what it changed, `None` if it was undone.
    async fn look(&self, job: &Job, schedule: &mut Schedule) -> Result<Option<Sequence>, Stopped> {
        loop {
            self.pulse.beat();
            self.db.room().await?;
            let looked = match self.db.submit(|tx| Ok::<_, Infallible>(job.run(tx, &self.settings))) {
                Ok((Ok(seen), sequence)) => Some((seen, sequence)),
                Ok((Err(never), _)) => match never {},
                Err(Refused::TooLarge(exceeded)) => {
                    tracing::error!(?job, %exceeded, "a look changes more than a commit takes; it was undone");
                    None
                }
                Err(Refused::Stopped(stopped)) => return Err(stopped),
            };
            let (seen, sequence) = looked.unzip();
            let again = schedule.done(job, seen, self.db.clock().now());
            self.count(job, seen);
            match (again, sequence) {
                (true, Some(sequence)) => self.db.wait_durable(sequence).await?,
                (true, None) | (false, _) => return Ok(sequence),
            }
        }
    }

    fn count(&self, job: &Job, seen: Option<Seen>) {
        let waits = match (job, seen) {
            (Job::Place(_), _) => return,
            (Job::Reconcile(_), Some(Seen::Reconciled { next })) => next.is_some(),
            (Job::Reconcile(_), _) => true,
            (Job::Sweep, seen) => seen == Some(Seen::Swept { more: true }),
        };
        let what = if *job == Job::Sweep { "upkeep" } else { "service" };
        self.metrics.reconciled(what, if waits { "waiting" } else { "done" });
    }
}

async fn drive(driver: &Driver, hints: &Inbox<Hint>) -> Result<Infallible, Stopped> {
    let Driver { db, metrics, pulse, .. } = driver;
    let mut schedule = Schedule::new(db.clock().now());
    // Counted over all batches: a batch of few keys need not wait for the disk, and many of them must not pile up.
    let mut in_flight = InFlight::default();
    loop {
        pulse.beat();
        let pause = until(db.clock().now(), schedule.deadline());
        let jobs = tokio::select! {
            hints = hints.next() => Schedule::hinted(hints),
            () = tokio::time::sleep(pause) => schedule.due(db.clock().now()),
        };
        metrics.set_reconcile_queue(jobs.iter().filter(|job| matches!(job, Job::Reconcile(_))).count());
        for job in jobs {
            let sequence = driver.look(&job, &mut schedule).await?;
            if let Some(sequence) = in_flight.add(sequence) {
                db.wait_durable(sequence).await?;
            }
        }
        if let Some(sweep) = schedule.sweep(db.clock().now()) {
            let sequence = driver.look(&sweep, &mut schedule).await?;
            count(db, metrics);
            if let Some(sequence) = sequence {
                db.wait_durable(sequence).await?;
            }
        }
    }
}

/// Brings the gauges up to date.
fn count(db: &Db, metrics: &Metrics) {
    let (mut running, mut pending, mut stopped) = (0, 0, 0);
    let mut services = BTreeMap::new();
    let mut instances = BTreeMap::new();
    db.peek(|state| {
        for (_, cluster) in state.ecs().realms().flat_map(|(_, realm)| realm.clusters()) {
            running += cluster.running();
            pending += cluster.pending();
            stopped += cluster.stopped().len();
            for (service, _) in cluster.services() {
                *services.entry(service.status).or_insert(0) += 1;
            }
        }
        let clusters =
            state.ecs().realms().flat_map(|(_, realm)| realm.clusters()).map(|(_, cluster)| cluster);
        for entry in
            clusters.chain(state.ecs().pools().map(|(_, pool)| pool)).flat_map(|own| own.instances().values())
        {
            *instances.entry(entry.record.status).or_insert(0) += 1;
        }
    });
    for (status, count) in
        [(TaskStatus::Running, running), (TaskStatus::Pending, pending), (TaskStatus::Stopped, stopped)]
    {
        metrics.set_tasks(status.as_str(), count);
    }
    for status in ServiceStatus::ALL {
        metrics.set_services(status.as_str(), services.get(status).copied().unwrap_or(0));
    }
    for status in [InstanceStatus::Active, InstanceStatus::Draining, InstanceStatus::Inactive] {
        metrics.set_instances(status.as_str(), instances.get(&status).copied().unwrap_or(0));
    }
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    then.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_was_undone_does_not_hide_those_before_it() {
        let mut in_flight = InFlight::default();
        for sequence in 1..LOOKS_IN_FLIGHT_MAX as u64 {
            assert_eq!(in_flight.add(Some(sequence)), None);
        }
        assert_eq!(in_flight.add(None), Some(LOOKS_IN_FLIGHT_MAX as u64 - 1));
        // And it counts: the next wait is as many looks later.
        for _ in 1..LOOKS_IN_FLIGHT_MAX {
            assert_eq!(in_flight.add(Some(100)), None);
        }
        assert_eq!(in_flight.add(Some(101)), Some(101));
        // Nothing to wait for where all were undone.
        assert!((0..2 * LOOKS_IN_FLIGHT_MAX).all(|_| in_flight.add(None).is_none()));
    }
}
