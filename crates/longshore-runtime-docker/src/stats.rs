//! Reads one sample of what a container uses from the engine's statistics.

use bollard::Docker;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;
use longshore_engine::spec::RuntimeId;
use longshore_runtime::port::{NetworkSample, Reading};
use longshore_runtime::{ErrorKind, RuntimeError, StatsSample};

use crate::classify::{Call, refine};
use crate::observe;

/// Asks for a single reading. Without `one_shot` the engine would take two, a second apart.
pub(crate) async fn sample(docker: &Docker, id: &RuntimeId) -> Result<Reading, RuntimeError> {
    let options = StatsOptions { stream: false, one_shot: true };
    let mut readings = Box::pin(docker.stats(id.as_str(), Some(options)));
    match readings.next().await {
        Some(Ok(reading)) => {
            let text = serde_json::to_string(&reading).unwrap_or_default();
            Ok(Reading { sample: read(reading), text })
        }
        Some(Err(error)) => Err(refine(Call::Stats, error)),
        None => Err(RuntimeError::new(ErrorKind::NotFound, "the container engine gave no statistics")),
    }
}

/// Follows the engine's readings, which come each second, for the first two. A container that does not run has one,
/// without anything in it.
pub(crate) async fn readings(docker: &Docker, id: &RuntimeId) -> Result<[String; 2], RuntimeError> {
    let options = StatsOptions { stream: true, one_shot: false };
    let mut readings = Box::pin(docker.stats(id.as_str(), Some(options)));
    let none = || RuntimeError::new(ErrorKind::NotFound, "the container engine gave no statistics");
    let mut next = async || -> Result<String, RuntimeError> {
        let reading = readings.next().await.ok_or_else(none)?.map_err(|error| refine(Call::Stats, error))?;
        // Of a container that has ended.
        if reading.cpu_stats.as_ref().is_none_or(|cpu| cpu.system_cpu_usage.is_none()) {
            return Err(none());
        }
        serde_json::to_string(&reading).map_err(|_| none())
    };
    Ok([next().await?, next().await?])
}

fn read(reading: ContainerStatsResponse) -> StatsSample {
    let cpu = reading.cpu_stats.unwrap_or_default();
    let memory = reading.memory_stats.unwrap_or_default();
    let details = memory.stats.unwrap_or_default();
    // What can be dropped at once: the name differs between cgroup versions 1 and 2.
    let cache = details.get("total_inactive_file").or(details.get("inactive_file")).copied().unwrap_or(0);
    let blocks = reading.blkio_stats.and_then(|stats| stats.io_service_bytes_recursive).unwrap_or_default();
    let block_sum = |operation: &str| {
        blocks
            .iter()
            .filter(|entry| entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(operation)))
            .filter_map(|entry| entry.value)
            .sum()
    };
    let networks = reading.networks.unwrap_or_default().into_iter().map(|(name, network)| {
        let sample = NetworkSample {
            rx_bytes: network.rx_bytes.unwrap_or(0),
            rx_packets: network.rx_packets.unwrap_or(0),
            rx_errors: network.rx_errors.unwrap_or(0),
            rx_dropped: network.rx_dropped.unwrap_or(0),
            tx_bytes: network.tx_bytes.unwrap_or(0),
            tx_packets: network.tx_packets.unwrap_or(0),
            tx_errors: network.tx_errors.unwrap_or(0),
            tx_dropped: network.tx_dropped.unwrap_or(0),
        };
        (name, sample)
    });
    StatsSample {
        read_at: reading.read.as_deref().and_then(observe::time),
        cpu_nanos: cpu.cpu_usage.and_then(|usage| usage.total_usage).unwrap_or(0),
        system_cpu_nanos: cpu.system_cpu_usage.unwrap_or(0),
        online_cpus: cpu.online_cpus.unwrap_or(0),
        memory_bytes: memory.usage.unwrap_or(0).saturating_sub(cache),
        memory_limit_bytes: memory.limit,
        pids: reading.pids_stats.and_then(|pids| pids.current),
        block_read_bytes: block_sum("read"),
        block_write_bytes: block_sum("write"),
        networks: networks.collect(),
    }
}
