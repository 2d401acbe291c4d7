//! Thousands of scripted container instances in one process, over real sockets to a real control plane.
//!
//! They register, discover their endpoint, hold a command socket each, acknowledge payloads, answer heartbeats
//! and report RUNNING and STOPPED as the official agent does, but run no containers: what they would do is a
//! [`Script`]. Operators find out with them how much a control plane carries before they build it; the
//! benchmarks do the same.
//!
//! Start at [`Crowd`], which runs until it is stopped, or at [`simulate`], which also launches tasks. [`instance`] is
//! what one instance does, without I/O. Their calls go through `longshore-client`, as those of the real agent.
//!
//! Invariants:
//! - The two ends of the link are the ones of the real agent ([`longshore_link::client`]): nothing is skipped
//!   that a server could notice, except for telemetry, which is a choice.
//! - Reports of one task leave in order, and each is repeated until the server has taken it.
//!
//! It does not know how a control plane works inside, and never ships in the path of a real task.

pub mod crowd;
pub mod instance;
mod launch;
mod payload;
mod pool;
mod registration;
mod socket;
mod stats;

use std::future::Future;
use std::time::Duration;

use longshore_base::{Clock, Timestamp};
use longshore_client::SystemClock;

pub use crowd::{Crowd, Options};
pub use instance::Script;
pub use launch::{Launch, LaunchError};
pub use longshore_telemetry::resident_bytes;
pub use stats::Stats;

/// How often [`simulate`] tells how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Creates the cluster if there is none, connects all instances, launches tasks if `launch` says so, and goes on until `stop` resolves.
///
/// `progress` is called every second. A crowd that cannot connect keeps trying, as agents do; only a launch
/// that the server refuses ends it early.
pub async fn simulate(
    options: Options,
    launch: Option<Launch>,
    mut progress: impl FnMut(&Stats),
    stop: impl Future<Output = ()>,
) -> Result<Stats, SimulateError> {
    let client = options.client.clone();
    launch::create_cluster(&client, &options.cluster).await.map_err(LaunchError::from)?;
    let crowd = Crowd::start(options);
    let work = async {
        crowd.connected().await;
        if let Some(launch) = launch {
            launch.run(&client, crowd.counters()).await?;
        }
        std::future::pending::<Result<(), SimulateError>>().await
    };
    let ticks = async {
        let mut every = tokio::time::interval(PROGRESS_EVERY);
        loop {
            every.tick().await;
            progress(&crowd.stats());
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = ticks => Ok(()),
        () = stop => Ok(()),
    };
    let stats = crowd.stats();
    crowd.stop().await;
    result.map(|()| stats)
}

#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error("failed to make a cluster or to launch tasks")]
    Launch(#[from] LaunchError),
}

/// The machine's time.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}
