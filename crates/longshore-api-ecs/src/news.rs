//! What the operator's log says of container instances that come and go: one line each, at `info`.
//!
//! Callers cause these lines, so each kind has a bound ([`Damper`]), and their words are cut and quoted. What a request
//! brings else, attributes and tags and identity documents, is not repeated.

use std::time::{Duration, Instant};

use longshore_base::AccountId;
use longshore_shapes_ecs::*;
use longshore_telemetry::Damper;
use longshore_wire::ModeledError;

use crate::Caller;

const PERIOD: Duration = Duration::from_secs(600);
/// A cluster whose machines all start at once has this many; an agent that ends and starts again without its state has
/// a few hundred.
const OF_A_CLUSTER: u32 = 1000;
const CLUSTERS_MAX: usize = 1000;
/// An agent asks once when it starts, and every twelve hours.
const DISCOVERIES_OF_AN_INSTANCE: u32 = 3;
const INSTANCES_MAX: usize = 10_000;
/// What is repeated of a caller's word. ARNs and names are shorter.
const CHARACTERS_MAX: usize = 300;

/// A cluster as the caller names it.
type Cluster = (AccountId, String);

pub(crate) struct News {
    joined: Damper<Cluster>,
    refused: Damper<Cluster>,
    left: Damper<Cluster>,
    discoveries: Damper<String>,
}

/// What is told of a registration, taken before it is carried out.
#[derive(Clone)]
pub(crate) struct Joining {
    cluster: String,
    known_before: bool,
    /// Official agents tell it later, when they open their socket.
    agent_version: Option<String>,
}

impl Joining {
    pub(crate) fn of(input: &RegisterContainerInstanceRequest) -> Self {
        let version = input.version_info.as_ref().and_then(|info| info.agent_version.as_deref());
        Self {
            cluster: word(input.cluster.as_deref().unwrap_or("default")),
            known_before: input.container_instance_arn.as_deref().is_some_and(|arn| !arn.is_empty()),
            agent_version: version.filter(|version| !version.is_empty()).map(word),
        }
    }
}

impl News {
    pub(crate) fn new() -> Self {
        Self {
            joined: Damper::new(1, OF_A_CLUSTER, PERIOD, CLUSTERS_MAX),
            refused: Damper::new(1, 10, PERIOD, CLUSTERS_MAX),
            left: Damper::new(1, OF_A_CLUSTER, PERIOD, CLUSTERS_MAX),
            discoveries: Damper::new(1, DISCOVERIES_OF_AN_INSTANCE, PERIOD, INSTANCES_MAX),
        }
    }

    pub(crate) fn registered(
        &self,
        caller: &Caller,
        joining: Joining,
        result: &Result<RegisterContainerInstanceResponse, RegisterContainerInstanceError>,
    ) {
        let Joining { cluster, known_before, agent_version } = joining;
        let key = (caller.scope.account, cluster.clone());
        match result {
            Ok(answer) => {
                let Some(kept_back) = self.joined.event(Instant::now(), key) else { return };
                let instance = answer.container_instance.as_ref();
                let instance = instance.and_then(|shape| shape.container_instance_arn.as_deref());
                let text = if known_before { "registered again" } else { "registered" };
                tracing::info!(instance, agent_version, kept_back, "a container instance has {text}");
            }
            Err(error) => {
                let Some(kept_back) = self.refused.event(Instant::now(), key) else { return };
                let (account, code, reason) = (caller.scope.account, error.code(), error.message());
                let text = "a container instance was refused";
                tracing::info!(%account, ?cluster, agent_version, code, reason, kept_back, "{text}");
            }
        }
    }

    pub(crate) fn deregistered(&self, caller: &Caller, answer: &DeregisterContainerInstanceResponse) {
        let Some(instance) = &answer.container_instance else { return };
        let instance = instance.container_instance_arn.as_deref().unwrap_or_default();
        let cluster = instance.rsplit_once('/').map_or("", |(cluster, _id)| cluster);
        let key = (caller.scope.account, cluster.to_owned());
        let Some(kept_back) = self.left.event(Instant::now(), key) else { return };
        tracing::info!(instance, by = &*caller.principal, kept_back, "a container instance was deregistered");
    }

    pub(crate) fn discovered(&self, instance: Option<&str>, answer: &DiscoverPollEndpointResponse) {
        let instance = word(instance.unwrap_or_default());
        let Some(kept_back) = self.discoveries.event(Instant::now(), instance.clone()) else { return };
        let commands = answer.endpoint.as_deref();
        let telemetry = answer.telemetry_endpoint.as_deref();
        tracing::info!(?instance, commands, telemetry, kept_back, "an agent asked where its sockets are");
    }
}

fn word(text: &str) -> String {
    text.chars().take(CHARACTERS_MAX).collect()
}
