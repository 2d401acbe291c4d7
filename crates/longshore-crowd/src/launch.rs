//! Tasks for a crowd: a task definition, and RunTask until there are enough.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_client::{CallError, Client};
use longshore_shapes_ecs::{
    ContainerDefinition, CreateClusterRequest, RegisterTaskDefinitionRequest, RunTaskRequest, ops,
};

use crate::stats::{Counters, add};

/// The most copies of one RunTask.
const COUNT_MAX: u64 = 10;

/// How long a launch waits when nothing could be placed; instances may still be on their way.
const FULL_WAIT: Duration = Duration::from_millis(200);

/// How many answers in a row that place nothing end the launch.
const FULL_MAX: u32 = 100;

/// How many tasks to launch, and how large each is.
#[derive(Clone, Debug)]
pub struct Launch {
    pub cluster: String,
    pub family: String,
    pub tasks: u64,
    pub cpu: u32,
    pub memory_mib: u32,
    /// Clients that launch at the same time.
    pub connections: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("no instance has room for another task: {reason}")]
    Full { reason: String },
}

impl Launch {
    /// Launches them all, and counts in `counters` as it goes.
    pub(crate) async fn run(&self, client: &Client, counters: &Counters) -> Result<(), LaunchError> {
        let size = |value: u32| Some(i32::try_from(value).unwrap_or(i32::MAX));
        let container = ContainerDefinition {
            name: Some("main".to_owned()),
            image: Some("scripted".to_owned()),
            cpu: size(self.cpu),
            memory: size(self.memory_mib),
            ..ContainerDefinition::default()
        };
        let definition = RegisterTaskDefinitionRequest {
            family: Some(self.family.clone()),
            container_definitions: Some(vec![container]),
            ..RegisterTaskDefinitionRequest::default()
        };
        client.call::<ops::RegisterTaskDefinition>(&definition).await?;
        let left = AtomicU64::new(self.tasks);
        let clients = (0..self.connections.max(1)).map(|_| self.client(client, &left, counters));
        futures_util::future::try_join_all(clients).await.map(|_| ())
    }

    async fn client(
        &self,
        client: &Client,
        left: &AtomicU64,
        counters: &Counters,
    ) -> Result<(), LaunchError> {
        let mut full = 0;
        while let Some(count) = take(left) {
            let request = RunTaskRequest {
                cluster: Some(self.cluster.clone()),
                task_definition: Some(self.family.clone()),
                count: i32::try_from(count).ok(),
                ..RunTaskRequest::default()
            };
            let ran = client.call::<ops::RunTask>(&request).await?;
            let placed = ran.tasks.map_or(0, |tasks| tasks.len()) as u64;
            add(&counters.tasks_launched, placed);
            left.fetch_add(count - placed, Ordering::Relaxed);
            full = if placed == 0 { full + 1 } else { 0 };
            if full == FULL_MAX {
                let reason = ran.failures.into_iter().flatten().next().and_then(|failure| failure.reason);
                return Err(LaunchError::Full { reason: reason.unwrap_or_default() });
            }
            if placed == 0 {
                tokio::time::sleep(FULL_WAIT).await;
            }
        }
        Ok(())
    }
}

/// Instances can only join a cluster that exists. One that does already stays as it is.
pub(crate) async fn create_cluster(client: &Client, name: &str) -> Result<(), CallError> {
    let request =
        CreateClusterRequest { cluster_name: Some(name.to_owned()), ..CreateClusterRequest::default() };
    client.call::<ops::CreateCluster>(&request).await.map(|_| ())
}

/// Takes up to a call's worth from what is left.
fn take(left: &AtomicU64) -> Option<u64> {
    let taken = |left: u64| Some(left - left.min(COUNT_MAX));
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).unwrap_or(0);
    Some(before.min(COUNT_MAX)).filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_ten_at_a_time() {
        let left = AtomicU64::new(23);
        let taken: Vec<_> = std::iter::from_fn(|| take(&left)).collect();
        assert_eq!(taken, [10, 10, 3]);
    }
}
