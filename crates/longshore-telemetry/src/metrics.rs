//! The metrics of a process: their names, and the calls that count.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    service: &'static str,
    operation: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    service: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DenialLabels {
    action: String,
    /// `denied`, or `reported` where the call went on.
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    outcome: &'static str,
}

/// The resident memory of a process in bytes; `None` if it is gone, or where there is no `/proc`.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How a request ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    Ok,
    /// With this error code of the service model.
    Error(&'static str),
}

/// The metrics of one process. Clones count into the same registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    panics: Counter,
    denials: Family<DenialLabels, Counter>,
    commits: Counter,
    committed_commands: Counter,
    commit_seconds: Histogram,
    revision: Gauge,
    agents: Gauge,
    tasks: Family<StatusLabels, Gauge>,
    services: Family<StatusLabels, Gauge>,
    instances: Family<StatusLabels, Gauge>,
    reconciles: Family<ReconcileLabels, Counter>,
    queue: Gauge,
    resident: Gauge,
}

/// From 100 microseconds to 1.6 seconds in steps of two: the budgets of design 6 lie inside.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            panics: Counter::default(),
            denials: Family::default(),
            commits: Counter::default(),
            committed_commands: Counter::default(),
            commit_seconds: latency(),
            revision: Gauge::default(),
            agents: Gauge::default(),
            tasks: Family::default(),
            services: Family::default(),
            instances: Family::default(),
            reconciles: Family::default(),
            queue: Gauge::default(),
            resident: Gauge::default(),
        };
        let mut r = Registry::with_prefix("longshore");
        let m = &metrics;
        r.register(
            "requests",
            "API requests by service, operation and error code (OK if none)",
            m.requests.clone(),
        );
        r.register_with_unit(
            "request_duration",
            "Time from a request's last byte to its answer",
            Unit::Seconds,
            m.request_seconds.clone(),
        );
        r.register("requests_in_flight", "API requests being answered", m.in_flight.clone());
        r.register("connections", "Open connections, idle ones and sockets included", m.connections.clone());
        r.register("panics", "Handlers that panicked; each is a defect", m.panics.clone());
        r.register("iam_denials", "What policies did not allow, by action", m.denials.clone());
        r.register("store_commits", "Batches made durable", m.commits.clone());
        r.register("store_commands", "Commands in these batches", m.committed_commands.clone());
        r.register_with_unit(
            "store_commit_duration",
            "Time to make a batch durable",
            Unit::Seconds,
            m.commit_seconds.clone(),
        );
        r.register("store_revision", "The last durable revision", m.revision.clone());
        r.register("connected_agents", "Agents with an open command socket", m.agents.clone());
        r.register("tasks", "Tasks by last status", m.tasks.clone());
        r.register("services", "Services by status", m.services.clone());
        r.register("container_instances", "Container instances by status", m.instances.clone());
        r.register("reconciles", "Runs of a controller by outcome", m.reconciles.clone());
        r.register("reconcile_queue", "Keys that wait for a controller", m.queue.clone());
        let resident = metrics.resident.clone();
        r.register_with_unit(
            "resident_memory",
            "Memory of this process that is in use",
            Unit::Bytes,
            resident,
        );
        metrics.registry = Arc::new(r);
        metrics
    }
}

impl Metrics {
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry as text, for `/metrics`.
    pub fn encode(&self) -> String {
        let resident = resident_bytes(std::process::id()).unwrap_or(0);
        self.resident.set(i64::try_from(resident).unwrap_or(i64::MAX));
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a String does not fail");
        out
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn request_begins(&self) -> InFlight {
        InFlight::new(&self.in_flight)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection_opens(&self) -> InFlight {
        InFlight::new(&self.connections)
    }

    /// Counts an agent as connected until the guard is dropped.
    pub fn agent_connects(&self) -> InFlight {
        InFlight::new(&self.agents)
    }

    /// Counts an answered request. All names are those of the service models, so that no client can add labels. `took` is the time from the request's last byte to its answer.
    pub fn request_ends(
        &self,
        service: &'static str,
        operation: &'static str,
        end: RequestEnd,
        took: Duration,
    ) {
        let code = match end {
            RequestEnd::Ok => "OK",
            RequestEnd::Error(code) => code,
        };
        self.request_seconds
            .get_or_create(&OperationLabels { service, operation })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { service, operation, code }).inc();
    }

    /// Counts a handler that panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts what policies did not allow. `action` has to be one that an operation of ours asks for.
    pub fn denied(&self, action: &str, is_enforced: bool) {
        let outcome = if is_enforced { "denied" } else { "reported" };
        self.denials.get_or_create(&DenialLabels { action: action.to_owned(), outcome }).inc();
    }

    /// Counts one durable batch of `commands`, after which the store is at `revision`.
    pub fn committed(&self, commands: u64, revision: u64, took: Duration) {
        self.commits.inc();
        self.committed_commands.inc_by(commands);
        self.commit_seconds.observe(took.as_secs_f64());
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
    }

    /// How many tasks there are with this last status.
    pub fn set_tasks(&self, status: &'static str, count: usize) {
        set(&self.tasks, status, count);
    }

    /// How many services there are with this status.
    pub fn set_services(&self, status: &'static str, count: usize) {
        set(&self.services, status, count);
    }

    /// How many container instances there are with this status.
    pub fn set_instances(&self, status: &'static str, count: usize) {
        set(&self.instances, status, count);
    }

    /// Counts one run of a controller; `outcome` is a word such as `done`, `waiting` or `failed`.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str) {
        self.reconciles.get_or_create(&ReconcileLabels { controller, outcome }).inc();
    }

    /// How many keys wait for a controller.
    pub fn set_reconcile_queue(&self, keys: usize) {
        self.queue.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }
}

fn set(family: &Family<StatusLabels, Gauge>, status: &'static str, count: usize) {
    family.get_or_create(&StatusLabels { status }).set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Counts one more in a gauge until it is dropped.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        let guard = clone.request_begins();
        clone.request_ends("ecs", "RunTask", RequestEnd::Ok, Duration::from_millis(2));
        clone.request_ends("ecs", "RunTask", RequestEnd::Error("ClientException"), Duration::from_millis(2));
        clone.committed(3, 7, Duration::from_micros(300));
        clone.set_tasks("RUNNING", 5);
        clone.reconciled("service", "done");
        let text = metrics.encode();
        for line in [
            "longshore_requests_total{service=\"ecs\",operation=\"RunTask\",code=\"OK\"} 1",
            "longshore_requests_total{service=\"ecs\",operation=\"RunTask\",code=\"ClientException\"} 1",
            "longshore_request_duration_seconds_count{service=\"ecs\",operation=\"RunTask\"} 2",
            "longshore_requests_in_flight 1",
            "longshore_store_commands_total 3",
            "longshore_store_revision 7",
            "longshore_tasks{status=\"RUNNING\"} 5",
            "longshore_reconciles_total{controller=\"service\",outcome=\"done\"} 1",
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
        }
        drop(guard);
        assert!(metrics.encode().contains("longshore_requests_in_flight 0"));
    }
}
