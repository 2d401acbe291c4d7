//! The shell of the controllers: waits for hints and for times, and looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Timestamp;
use longshore_domain::{InstanceStatus, ServiceStatus, TaskStatus};
use longshore_state::{Db, Hint, ServiceKey, Stopped};
use longshore_telemetry::Metrics;

use crate::Settings;
use crate::{provisioning, service, upkeep};

/// How many looks may be under way to the disk before the driver waits for them. It bounds the
/// committer's queue, and lets requests in between.
const LOOKS_IN_FLIGHT_MAX: usize = 64;

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

/// Runs until the store refuses a write, and keeps `metrics` up to date. Drop the future to stop it.
pub async fn run(db: Arc<Db>, settings: Settings, metrics: Metrics) -> Stopped {
    let mut agenda = Agenda::default();
    let mut sweep_at = db.clock().now();
    loop {
        let now = db.clock().now();
        let wake_at = agenda.next().map_or(sweep_at, |next| next.min(sweep_at));
        let mut provisioning = Vec::new();
        let keys: BTreeSet<ServiceKey> = tokio::select! {
            hints = db.next_hints() => {
                let services = hints.into_iter().filter_map(|hint| match hint {
                    Hint::Service(key) => Some(key),
                    Hint::Provisioning(cluster) => {
                        provisioning.push(cluster);
                        None
                    }
                    // Definitions are looked at by the sweep; instances by the hub.
                    Hint::Instance(_) | Hint::Work(..) | Hint::Definitions(_) => None,
                });
                services.collect()
            }
            () = tokio::time::sleep(until(now, wake_at)) => agenda.due(db.clock().now()).into_iter().collect(),
        };
        // Who waits longest is first: tasks of calls before those that services would start now.
        for cluster in provisioning {
            loop {
                let (more, sequence) = db.submit(|tx| Ok::<_, ()>(provisioning::place(tx, &cluster)));
                if more != Ok(true) {
                    break;
                }
                if let Err(stopped) = db.wait_durable(sequence).await {
                    return stopped;
                }
            }
        }
        metrics.set_reconcile_queue(keys.len());
        for (count, key) in keys.into_iter().enumerate() {
            let (looked, sequence) = db.submit(|tx| Ok::<_, ()>(service::reconcile(tx, &key, &settings)));
            let next = looked.unwrap_or_default();
            metrics.reconciled("service", if next.is_some() { "waiting" } else { "done" });
            agenda.set(&key, next);
            if count % LOOKS_IN_FLIGHT_MAX == 0
                && let Err(stopped) = db.wait_durable(sequence).await
            {
                return stopped;
            }
        }
        if sweep_at <= db.clock().now() {
            let (more, sequence) = db.submit(|tx| Ok::<_, ()>(upkeep::sweep(tx, &settings)));
            let pause = if more == Ok(true) { Duration::ZERO } else { upkeep::SWEEP_EVERY };
            metrics.reconciled("upkeep", if pause.is_zero() { "waiting" } else { "done" });
            count(&db, &metrics);
            sweep_at = db.clock().now() + pause;
            if let Err(stopped) = db.wait_durable(sequence).await {
                return stopped;
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
        for (_, cluster) in state.realms().flat_map(|(_, realm)| realm.clusters()) {
            running += cluster.running();
            pending += cluster.pending();
            stopped += cluster.stopped().len();
            for (service, _) in cluster.services() {
                *services.entry(service.status).or_insert(0) += 1;
            }
        }
        let clusters = state.realms().flat_map(|(_, realm)| realm.clusters()).map(|(_, cluster)| cluster);
        for entry in
            clusters.chain(state.pools().map(|(_, pool)| pool)).flat_map(|own| own.instances().values())
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
