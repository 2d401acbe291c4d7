//! The shell of the controllers: waits for hints and for times, and looks.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_base::Timestamp;
use longshore_domain::{InstanceStatus, ServiceStatus, TaskStatus};
use longshore_state::{Db, Inbox, Refused, Stopped, Tx};
use longshore_tables_ecs::{EcsState, Hint, ServiceKey};
use longshore_telemetry::Metrics;
use parking_lot::Mutex;

use crate::Settings;
use crate::{provisioning, service, upkeep};

/// How many looks may be under way to the disk before the driver waits for them. It bounds the
/// committer's queue, and lets requests in between.
const LOOKS_IN_FLIGHT_MAX: usize = 64;

/// When to look again at what one transaction could not hold. That is a defect, which time hardly mends; but it must
/// not keep the other keys waiting.
const TOO_LARGE_RETRY: Duration = Duration::from_secs(60);

/// When the driver did something last. It looks at the time at least every [`upkeep::SWEEP_EVERY`], so that silence
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

/// Keys with the time of their next look. Pure, so that a simulation can use it as well.
#[derive(Debug, Default)]
pub struct Agenda {
    at: BTreeMap<ServiceKey, Timestamp>,
    order: BTreeSet<(Timestamp, ServiceKey)>,
}

impl Agenda {
    /// Replaces the key's time; `None`: only a hint wakes it.
    pub fn set(&mut self, key: &ServiceKey, time: Option<Timestamp>) {
        if let Some(old) = self.at.remove(key) {
            self.order.remove(&(old, key.clone()));
        }
        if let Some(time) = time {
            self.at.insert(key.clone(), time);
            self.order.insert((time, key.clone()));
        }
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(time, _)| *time)
    }

    /// Takes the keys whose time has come.
    pub fn due(&mut self, now: Timestamp) -> Vec<ServiceKey> {
        let mut due = Vec::new();
        while self.order.first().is_some_and(|(time, _)| *time <= now) {
            if let Some((_, key)) = self.order.pop_first() {
                self.at.remove(&key);
                due.push(key);
            }
        }
        due
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
    /// Runs one look; `None` if it was too large for a transaction. Gives the sequence to wait for, too.
    fn look<T>(
        &self,
        what: &dyn fmt::Debug,
        f: impl FnOnce(&mut Tx<'_>) -> T,
    ) -> Result<Option<(T, u64)>, Stopped> {
        self.pulse.beat();
        match self.db.submit(|tx| Ok::<_, Infallible>(f(tx))) {
            Ok((Ok(seen), sequence)) => Ok(Some((seen, sequence))),
            Ok((Err(never), _)) => match never {},
            Err(Refused::TooLarge(exceeded)) => {
                tracing::error!(?what, %exceeded, "a look changes more than a commit takes; it was undone");
                Ok(None)
            }
            Err(Refused::Stopped(stopped)) => Err(stopped),
        }
    }
}

async fn drive(driver: &Driver, hints: &Inbox<Hint>) -> Result<Infallible, Stopped> {
    let Driver { db, settings, metrics, pulse } = driver;
    let mut agenda = Agenda::default();
    let mut sweep_at = db.clock().now();
    // Counted over all batches: a batch of few keys need not wait for the disk, and many of them must not pile up.
    let mut in_flight = InFlight::default();
    loop {
        pulse.beat();
        let now = db.clock().now();
        let wake_at = agenda.next().map_or(sweep_at, |next| next.min(sweep_at));
        let mut provisioning = Vec::new();
        let keys: BTreeSet<ServiceKey> = tokio::select! {
            hints = hints.next() => {
                let services = hints.into_iter().filter_map(|hint| match hint {
                    Hint::Service(key) => Some(key),
                    Hint::Provisioning(cluster) => {
                        provisioning.push(cluster);
                        None
                    }
                    // The sweep looks at definitions.
                    Hint::Definitions(_) => None,
                });
                services.collect()
            }
            () = tokio::time::sleep(until(now, wake_at)) => agenda.due(db.clock().now()).into_iter().collect(),
        };
        // Who waits longest is first: tasks of calls before those that services would start now.
        for cluster in provisioning {
            while let Some((true, sequence)) =
                driver.look(&cluster, |tx| provisioning::place(tx, &cluster))?
            {
                db.wait_durable(sequence).await?;
            }
        }
        metrics.set_reconcile_queue(keys.len());
        for key in keys {
            let (looked, sequence) = driver.look(&key, |tx| service::reconcile(tx, &key, settings))?.unzip();
            let next = looked.unwrap_or_else(|| Some(db.clock().now() + TOO_LARGE_RETRY));
            metrics.reconciled("service", if next.is_some() { "waiting" } else { "done" });
            agenda.set(&key, next);
            if let Some(sequence) = in_flight.add(sequence) {
                db.wait_durable(sequence).await?;
            }
        }
        if sweep_at <= db.clock().now() {
            let (more, sequence) = driver.look(&"upkeep", |tx| upkeep::sweep(tx, settings))?.unzip();
            let pause = if more == Some(true) { Duration::ZERO } else { upkeep::SWEEP_EVERY };
            metrics.reconciled("upkeep", if pause.is_zero() { "waiting" } else { "done" });
            count(db, metrics);
            sweep_at = db.clock().now() + pause;
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
