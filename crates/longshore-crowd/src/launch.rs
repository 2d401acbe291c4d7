//! Tasks for a crowd: a task definition, and RunTask until there are enough.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::http::{Caller, Connection};
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
    #[error("the connection to the control plane broke")]
    Transport(#[from] std::io::Error),
    #[error("{operation} was refused: {code} (HTTP {status})")]
    Refused { operation: &'static str, status: u16, code: String },
    #[error("no instance has room for another task: {reason}")]
    Full { reason: String },
}

#[derive(Deserialize)]
struct Ran {
    #[serde(default)]
    tasks: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    reason: String,
}

impl Launch {
    /// Launches them all, and counts in `counters` as it goes.
    pub(crate) async fn run(&self, caller: &Caller, counters: &Counters) -> Result<(), LaunchError> {
        let definition = json!({
            "family": self.family,
            "containerDefinitions": [{
                "name": "main", "image": "scripted", "cpu": self.cpu, "memory": self.memory_mib,
            }],
        });
        let mut connection = Connection::open(&caller.endpoint.authority).await?;
        call(&mut connection, caller, "RegisterTaskDefinition", definition.to_string().as_bytes()).await?;
        let left = AtomicU64::new(self.tasks);
        let clients = (0..self.connections.max(1)).map(|_| self.client(caller, &left, counters));
        futures_util::future::try_join_all(clients).await.map(|_| ())
    }

    async fn client(
        &self,
        caller: &Caller,
        left: &AtomicU64,
        counters: &Counters,
    ) -> Result<(), LaunchError> {
        let mut connection = Connection::open(&caller.endpoint.authority).await?;
        let mut full = 0;
        while let Some(count) = take(left) {
            let body = json!({"cluster": self.cluster, "taskDefinition": self.family, "count": count});
            let answer = call(&mut connection, caller, "RunTask", body.to_string().as_bytes()).await?;
            let ran: Ran = serde_json::from_slice(&answer).map_err(std::io::Error::from)?;
            let placed = ran.tasks.len() as u64;
            add(&counters.tasks_launched, placed);
            left.fetch_add(count - placed, Ordering::Relaxed);
            full = if placed == 0 { full + 1 } else { 0 };
            if full == FULL_MAX {
                let reason = ran.failures.into_iter().next().map(|failure| failure.reason);
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
pub(crate) async fn create_cluster(caller: &Caller, name: &str) -> Result<(), LaunchError> {
    let mut connection = Connection::open(&caller.endpoint.authority).await?;
    let body = json!({"clusterName": name}).to_string();
    call(&mut connection, caller, "CreateCluster", body.as_bytes()).await.map(|_| ())
}

/// Takes up to a call's worth from what is left.
fn take(left: &AtomicU64) -> Option<u64> {
    let taken = |left: u64| Some(left - left.min(COUNT_MAX));
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).unwrap_or(0);
    Some(before.min(COUNT_MAX)).filter(|count| *count > 0)
}

async fn call(
    connection: &mut Connection,
    caller: &Caller,
    operation: &'static str,
    body: &[u8],
) -> Result<Vec<u8>, LaunchError> {
    let answer = connection.call(&caller.request(operation, body, crate::now())).await?;
    match answer.is_success() {
        true => Ok(answer.body.to_vec()),
        false => Err(LaunchError::Refused { operation, status: answer.status, code: answer.error_code() }),
    }
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
