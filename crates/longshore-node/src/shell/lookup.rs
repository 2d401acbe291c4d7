//! What containers ask that the agent does not know by itself: the engine or the control plane is asked for them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use longshore_engine::spec::RuntimeId;
use longshore_runtime::{Runtime, limits};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::calls::Calls;
use super::readings::LastReadings;
use crate::api::{ApiError, Inquiry};
use crate::surface::{self, Answer, Lookup, Sampled};

/// How long a container waits for the control plane at most. Its client has a limit of its own, which is seldom longer.
const INQUIRY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many containers are read at once. A reading may be a second of the engine's work, and any container may ask for
/// those of its whole task, as often as it likes.
const READINGS_MAX: usize = 32;

/// Whom to ask. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sources {
    runtime: Arc<dyn Runtime>,
    calls: Calls,
    last_readings: Arc<LastReadings>,
    readings: Arc<Semaphore>,
}

impl Sources {
    pub fn new(runtime: Arc<dyn Runtime>, calls: Calls, last_readings: Arc<LastReadings>) -> Self {
        Self { runtime, calls, last_readings, readings: Arc::new(Semaphore::new(READINGS_MAX)) }
    }

    pub async fn find(&self, lookup: Lookup) -> Answer {
        match lookup {
            Lookup::Stats { containers, of_task } => {
                let readings = join_all(containers.iter().map(|container| self.readings(container))).await;
                surface::stats_answer(containers, of_task, readings)
            }
            Lookup::Tags { mut document, questions } => {
                let answers = join_all(questions.iter().map(|(_, asked)| ask(&self.calls, asked))).await;
                for ((member, asked), answer) in questions.iter().zip(answers) {
                    surface::add_tags(&mut document, member, asked, answer);
                }
                Answer { status: 200, body: document.to_string() }
            }
            Lookup::Addresses { containers, peer, answers } => {
                let (granted, refused) = *answers;
                if self.one_has(&containers, peer).await { granted } else { refused }
            }
            Lookup::Protection { task, inquiry, role } => {
                let answer = match role {
                    Some(role) => ask(&self.calls.of(role), &inquiry).await,
                    None => ask(&self.calls, &inquiry).await,
                };
                surface::protection_answer(&task, &inquiry, answer)
            }
        }
    }

    /// Whether the engine says of one of these containers that it has this address.
    async fn one_has(&self, containers: &[RuntimeId], peer: IpAddr) -> bool {
        for id in containers {
            let asked = tokio::time::timeout(limits::INSPECT, self.runtime.container_inspect(id)).await;
            let Ok(Ok(found)) = asked else { continue };
            let mut addresses = found.networks.iter().flat_map(|network| &network.ipv4);
            if addresses.any(|own| own.parse() == Ok(peer)) {
                return true;
            }
        }
        false
    }

    async fn readings(&self, container: &Sampled) -> surface::Readings {
        if !container.is_running {
            return (None, None);
        }
        let network = async {
            match &container.network_of {
                Some(id) => self.read(id).await,
                None => None,
            }
        };
        join(self.read(&container.id), network).await
    }

    /// What was read before and what is read now; without the former, which a container has ten seconds after its
    /// start, two readings of now.
    async fn read(&self, id: &RuntimeId) -> Option<[String; 2]> {
        let _turn = self.readings.acquire().await.ok()?;
        let now = Instant::now();
        match self.last_readings.before(id, now) {
            Some(before) => {
                let reading =
                    tokio::time::timeout(limits::STATS, self.runtime.container_stats(id)).await.ok()?.ok()?;
                self.last_readings.put(id, reading.text.clone(), now);
                Some([before, reading.text])
            }
            None => {
                let asked = self.runtime.container_readings(id);
                let readings = tokio::time::timeout(limits::STATS, asked).await.ok()?.ok()?;
                self.last_readings.put(id, readings[1].clone(), Instant::now());
                Some(readings)
            }
        }
    }
}

async fn ask(calls: &Calls, inquiry: &Inquiry) -> Result<Vec<u8>, ApiError> {
    let answer = tokio::time::timeout(INQUIRY_TIMEOUT, calls.call(inquiry.operation(), inquiry.body())).await;
    answer.unwrap_or_else(|_| Err(ApiError::Transport("timed out".to_owned())))
}
