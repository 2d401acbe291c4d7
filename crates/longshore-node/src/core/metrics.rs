//! From samples of what containers use to the statistics sets of TCS (agent-protocol G9).

use std::collections::BTreeMap;

use longshore_base::Timestamp;
use longshore_engine::spec::{ContainerKey, TaskKey};
use longshore_link::message::{
    ContainerMetric, CounterStatsSet, NetworkStatsSet, RestartStatsSet, StatsSet, StorageStatsSet,
};
use longshore_runtime::StatsSample;
use longshore_runtime::port::NetworkSample;

const MIB: f64 = (1 << 20) as f64;

/// The samples of one container since the last round.
#[derive(Debug, Default)]
struct Samples {
    last: Option<StatsSample>,
    cpu: StatsSet,
    memory: StatsSet,
    network: BTreeMap<Counter, CounterStatsSet>,
    rx_rate: StatsSet,
    tx_rate: StatsSet,
    read: CounterStatsSet,
    written: CounterStatsSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counter {
    RxBytes,
    RxDropped,
    RxErrors,
    RxPackets,
    TxBytes,
    TxDropped,
    TxErrors,
    TxPackets,
}

#[derive(Debug, Default)]
pub(super) struct Metrics {
    containers: BTreeMap<ContainerKey, Samples>,
}

fn add(set: &mut StatsSet, value: f64) {
    if !value.is_finite() {
        return;
    }
    set.min = if set.sample_count == 0 { value } else { set.min.min(value) };
    set.max = if set.sample_count == 0 { value } else { set.max.max(value) };
    set.sum += value;
    set.sample_count += 1;
}

fn count(set: &mut CounterStatsSet, value: u64) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    set.min = if set.sample_count == 0 { value } else { set.min.min(value) };
    set.max = set.max.max(value);
    set.sum = set.sum.saturating_add(value);
    set.sample_count += 1;
}

impl Metrics {
    pub fn add(&mut self, container: ContainerKey, sample: StatsSample) {
        self.containers.entry(container).or_default().add(sample);
    }

    pub fn forget(&mut self, task: &TaskKey) {
        self.containers.retain(|container, _| container.task != *task);
    }

    /// The sets of one container since the last round; `None` if there is no sample.
    pub fn take(&mut self, container: &ContainerKey, restarts: Option<u32>) -> Option<ContainerMetric> {
        let samples = self.containers.get_mut(container);
        let restart_stats_set = restarts.map(|count| RestartStatsSet { restart_count: count.into() });
        let Some(samples) = samples.filter(|samples| samples.memory.sample_count > 0) else {
            return restart_stats_set.is_some().then(|| ContainerMetric {
                container_name: container.name.to_string(),
                restart_stats_set,
                ..ContainerMetric::default()
            });
        };
        let last = samples.last.take();
        let taken = std::mem::replace(samples, Samples { last, ..Samples::default() });
        let of = |counter| taken.network.get(&counter).copied();
        let rate = |set: StatsSet| (set.sample_count > 0).then_some(set);
        let network = NetworkStatsSet {
            rx_bytes: of(Counter::RxBytes),
            rx_dropped: of(Counter::RxDropped),
            rx_errors: of(Counter::RxErrors),
            rx_packets: of(Counter::RxPackets),
            tx_bytes: of(Counter::TxBytes),
            tx_dropped: of(Counter::TxDropped),
            tx_errors: of(Counter::TxErrors),
            tx_packets: of(Counter::TxPackets),
            rx_bytes_per_second: rate(taken.rx_rate),
            tx_bytes_per_second: rate(taken.tx_rate),
        };
        Some(ContainerMetric {
            container_name: container.name.to_string(),
            cpu_stats_set: rate(taken.cpu),
            memory_stats_set: Some(taken.memory),
            network_stats_set: (!taken.network.is_empty()).then_some(network),
            storage_stats_set: Some(StorageStatsSet {
                read_size_bytes: Some(taken.read),
                write_size_bytes: Some(taken.written),
            }),
            restart_stats_set,
        })
    }
}

impl Samples {
    fn add(&mut self, sample: StatsSample) {
        // A counter that went back means a restarted container: there is no difference to the old one.
        let last = self.last.take().filter(|last| last.cpu_nanos <= sample.cpu_nanos);
        let elapsed = |last: &StatsSample, now: &StatsSample| -> Option<f64> {
            let seconds = now.read_at?.since(last.read_at?).as_secs_f64();
            (seconds > 0.0).then_some(seconds)
        };
        if let Some(last) = &last
            && let Some(seconds) = elapsed(last, &sample)
        {
            // 100 is one core busy; the first sample has no difference and is dropped.
            add(&mut self.cpu, (sample.cpu_nanos - last.cpu_nanos) as f64 / 1e9 / seconds * 100.0);
            if !sample.networks.is_empty() {
                let (before, after) = (total(last), total(&sample));
                let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
                add(&mut self.rx_rate, rate(before.rx_bytes, after.rx_bytes));
                add(&mut self.tx_rate, rate(before.tx_bytes, after.tx_bytes));
            }
        }
        // Whole MiB, as the agent counts them.
        add(&mut self.memory, (sample.memory_bytes as f64 / MIB).floor());
        count(&mut self.read, sample.block_read_bytes);
        count(&mut self.written, sample.block_write_bytes);
        if !sample.networks.is_empty() {
            let all = total(&sample);
            for (counter, value) in [
                (Counter::RxBytes, all.rx_bytes),
                (Counter::RxDropped, all.rx_dropped),
                (Counter::RxErrors, all.rx_errors),
                (Counter::RxPackets, all.rx_packets),
                (Counter::TxBytes, all.tx_bytes),
                (Counter::TxDropped, all.tx_dropped),
                (Counter::TxErrors, all.tx_errors),
                (Counter::TxPackets, all.tx_packets),
            ] {
                count(self.network.entry(counter).or_default(), value);
            }
        }
        self.last = Some(sample);
    }
}

fn total(sample: &StatsSample) -> NetworkSample {
    sample.networks.values().fold(NetworkSample::default(), |sum, one| NetworkSample {
        rx_bytes: sum.rx_bytes + one.rx_bytes,
        rx_packets: sum.rx_packets + one.rx_packets,
        rx_errors: sum.rx_errors + one.rx_errors,
        rx_dropped: sum.rx_dropped + one.rx_dropped,
        tx_bytes: sum.tx_bytes + one.tx_bytes,
        tx_packets: sum.tx_packets + one.tx_packets,
        tx_errors: sum.tx_errors + one.tx_errors,
        tx_dropped: sum.tx_dropped + one.tx_dropped,
    })
}

/// Seconds since the epoch, as TCS writes times.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_seconds_f64()
}

#[cfg(test)]
mod tests {
    use longshore_base::ContainerName;

    use super::*;

    #[test]
    fn sets_cover_the_samples_since_the_last_round() {
        let container =
            ContainerKey { task: TaskKey::new("t"), name: ContainerName::parse("main").expect("valid") };
        let sample = |second: i64, cpu_millis: u64, mib: u64, rx_bytes| StatsSample {
            read_at: Some(Timestamp::from_millis(second * 1000)),
            cpu_nanos: cpu_millis * 1_000_000,
            memory_bytes: mib << 20,
            networks: [("eth0".to_owned(), NetworkSample { rx_bytes, ..NetworkSample::default() })].into(),
            ..StatsSample::default()
        };
        let mut metrics = Metrics::default();
        metrics.add(container.clone(), sample(0, 0, 10, 0));
        metrics.add(container.clone(), sample(1, 500, 30, 100));
        metrics.add(container.clone(), sample(3, 2500, 20, 500));
        let metric = metrics.take(&container, Some(2)).expect("there are samples");
        let cpu = StatsSet { min: 50.0, max: 100.0, sample_count: 2, sum: 150.0 };
        assert_eq!(metric.cpu_stats_set, Some(cpu), "the first sample has no difference");
        let memory = StatsSet { min: 10.0, max: 30.0, sample_count: 3, sum: 60.0 };
        assert_eq!(metric.memory_stats_set, Some(memory));
        let network = metric.network_stats_set.expect("it has a network");
        assert_eq!(network.rx_bytes.map(|set| (set.min, set.max, set.sum)), Some((0, 500, 600)));
        assert_eq!(network.rx_bytes_per_second.map(|set| set.max), Some(200.0));
        assert_eq!(metric.restart_stats_set, Some(RestartStatsSet { restart_count: 2 }));
        assert_eq!(metrics.take(&container, None), None, "nothing since");
        metrics.add(container.clone(), sample(4, 2600, 20, 500));
        let metric = metrics.take(&container, None).expect("one more");
        assert_eq!(metric.cpu_stats_set.map(|set| set.sum.round()), Some(10.0), "it knows the sample before");
    }
}
