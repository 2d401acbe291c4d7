//! Joins scripted instances to a running control plane and launches tasks on them, telling every second how far it is.
//!
//! ```text
//! longshore server --data-dir DIR &
//! source DIR/env
//! cargo run --release -p longshore-crowd --example simulate [INSTANCES [TASKS]]
//! ```
//! Ends when all tasks have been reported as running, or with Ctrl-C.

use std::env::{VarError, var};

use longshore_base::Seed;
use longshore_crowd::{Launch, Options, Stats, simulate};
use longshore_sigv4::Credentials;
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number = |default: u64| numbers.next().map_or(Ok(default), |text| text.parse());
    let (instances, tasks) = (number(100)?, number(1_000)?);
    let setting = |name: &str| -> Result<String, VarError> { var(name) };
    let credentials = Credentials::new(setting("AWS_ACCESS_KEY_ID")?, setting("AWS_SECRET_ACCESS_KEY")?);
    let (endpoint, region) = (setting("AWS_ENDPOINT_URL")?, setting("AWS_REGION")?);
    let room = u32::try_from(tasks / instances.max(1) + 2)?;
    let options = Options {
        cpu: 16 * room,
        memory_mib: 64 * room,
        ..Options::new(endpoint, credentials, region, usize::try_from(instances)?, Seed::new(1))
    };
    let launch = Launch {
        cluster: "default".into(),
        family: "simulated".into(),
        tasks,
        cpu: 16,
        memory_mib: 64,
        connections: 32,
    };
    let (done, mut ended) = watch::channel(false);
    let mut last = None;
    let progress = |stats: &Stats| {
        show(stats, last.as_ref());
        last = Some(*stats);
        // The receiver lives as long as this function.
        let _ = done.send(stats.running_reported >= tasks);
    };
    let stop = async {
        tokio::select! {
            _ = ended.wait_for(|done| *done) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let stats = simulate(options, Some(launch), progress, stop).await?;
    println!("{stats:#?}");
    Ok(())
}

fn show(stats: &Stats, last: Option<&Stats>) {
    let rate = |now: u64, before: Option<u64>| now - before.unwrap_or(0);
    eprintln!(
        "{:>6.1} s  connected {}/{}  launched {} (+{})  taken {}  running {} (+{})  repeated {}  errors {}  {} MB",
        stats.elapsed.as_secs_f64(),
        stats.connected,
        stats.instances,
        stats.tasks_launched,
        rate(stats.tasks_launched, last.map(|last| last.tasks_launched)),
        stats.tasks_taken,
        stats.running_reported,
        rate(stats.running_reported, last.map(|last| last.running_reported)),
        stats.reports_repeated,
        stats.errors,
        stats.resident_bytes / 1_000_000,
    );
}
