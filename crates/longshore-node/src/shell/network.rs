//! Making the network for tasks in awsvpc mode, before the agent registers what it has.

use std::sync::Arc;
use std::time::Duration;

use longshore_base::Seed;
use longshore_engine::spec::TaskNetwork;
use longshore_runtime::{Runtime, RuntimeError};
use tracing::warn;

use crate::config::Config;
use crate::network;

/// An engine that needs longer than this to make a network has other troubles.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent's part of the network. Without one the agent runs all the same, and takes no tasks in awsvpc mode.
pub(super) async fn prepare(
    config: &Config,
    runtime: &Arc<dyn Runtime>,
    chance: Seed,
) -> Option<TaskNetwork> {
    let request = network::request(config, chance)?;
    let made = async {
        runtime.pause_image().await?;
        let info = runtime.network_create(&request).await?;
        Ok::<_, RuntimeError>(network::share(config, request.clone(), info))
    };
    let agent = &config.name;
    match tokio::time::timeout(PATIENCE, made).await {
        Ok(Ok(Some(network))) => return Some(network),
        Ok(Ok(None)) => warn!(
            %agent, network = request.name,
            "the network is too small for its agents; set LONGSHORE_TASK_NETWORK to a larger one. No tasks in awsvpc mode"
        ),
        Ok(Err(error)) => warn!(
            %agent, network = request.name, %error,
            "cannot make the network for tasks (docker network prune makes room; LONGSHORE_TASK_NETWORK names a subnet). No tasks in awsvpc mode"
        ),
        Err(_) => warn!(
            %agent, network = request.name,
            "the container engine does not make the network for tasks in time. No tasks in awsvpc mode"
        ),
    }
    None
}

/// Takes the network of an agent that keeps nothing away again. A network that is in use stays.
pub(super) async fn forget(runtime: &Arc<dyn Runtime>, network: &str) {
    let _ = tokio::time::timeout(PATIENCE, runtime.network_remove(network)).await;
}
