//! The container runtime through the Docker Engine API (Docker, and Podman's Docker socket).
//!
//! Start reading at [`DockerRuntime`]; `create` makes the request that creates a container, with the payload's two JSON
//! texts decoded over it; `events` follows the engine across interruptions; `last_known` is why starting a container
//! takes two calls and no more; `turns` is when the second is made.
//!
//! Invariants: one call of the port is one call of the engine on the path from RunTask to RUNNING;
//! engine texts are read in one place (`classify`); nothing is repeated here.
//!
//! Not known here: what a task is, which image policy holds, whose credentials these are.
//!
//! The client library logs request bodies at debug level through the `log` crate, environment
//! values included. Do not forward `log` records of `bollard` below `info`.

mod classify;
mod create;
mod events;
mod images;
mod last_known;
mod networks;
mod observe;
mod overlay;
mod pause;
mod stats;
mod system;
mod transport;
mod turns;
mod volumes;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptions, ListContainersOptions,
    RemoveContainerOptions, StopContainerOptions,
};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use longshore_engine::input::{FoundContainer, ListedImage, LocalImage, Observation, ObservedStatus};
use longshore_engine::spec::{ContainerSpec, RuntimeId, VolumeCreate};
use longshore_runtime::port::{Answer, NetworkInfo, NetworkRequest, PullRequest, VolumeInfo};
use longshore_runtime::{
    ErrorKind, LabelFilter, Reading, RegistryCredentials, Runtime, RuntimeError, RuntimeEvent, RuntimeInfo,
};
use tokio::task::JoinSet;

use crate::classify::{Call, refine};
use crate::last_known::LastKnown;
pub use crate::transport::{DockerHost, HostError};
use crate::turns::Turns;

/// How many containers are inspected at once when all are listed.
const INSPECTS_AT_ONCE: usize = 8;

/// A Docker engine. A cheap handle: clones share the connections and what is remembered.
#[derive(Clone)]
pub struct DockerRuntime {
    engine: Arc<Engine>,
}

struct Engine {
    docker: Docker,
    last_known: LastKnown,
    image_environments: images::Environments,
    /// Held while a network is looked for and made.
    networks: networks::OneAtATime,
    turns: Arc<Turns>,
    /// What tells `turns` of the engine; ends with this.
    following: OnceLock<JoinSet<()>>,
}

impl DockerRuntime {
    /// Uses the engine at `host`. Does not connect: an engine that is away gives `Unavailable` from
    /// each call until it is there.
    pub fn new(host: &DockerHost) -> Result<Self, HostError> {
        let engine = Engine {
            docker: transport::connect(host)?,
            last_known: LastKnown::default(),
            image_environments: images::Environments::default(),
            networks: networks::OneAtATime::default(),
            turns: Arc::default(),
            following: OnceLock::new(),
        };
        Ok(Self { engine: Arc::new(engine) })
    }

    /// The engine that `DOCKER_HOST` names, otherwise the one at the usual socket.
    pub fn from_env() -> Result<Self, HostError> {
        Self::new(&DockerHost::from_env()?)
    }
}

impl Engine {
    /// Listens to what the engine does with networks from now on, whoever asks first.
    fn follow_networks(&self) {
        self.following.get_or_init(|| {
            let mut following = JoinSet::new();
            following.spawn(turns::follow(self.docker.clone(), self.turns.clone()));
            following
        });
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<RuntimeId, RuntimeError> {
        let image_sets = if spec.environment_defaults.0.is_empty() {
            None
        } else {
            Some(self.image_environments.of(&self.docker, &spec.image).await?)
        };
        let request = create::request(spec, image_sets.as_deref())?;
        let options =
            CreateContainerOptions { name: Some(spec.name.clone()), ..CreateContainerOptions::default() };
        let created = self
            .docker
            .create_container(Some(options), request.body)
            .await
            .map_err(|error| refine(Call::Create, error))?;
        for warning in &created.warnings {
            tracing::debug!(container = spec.name, warning, "the engine warns about a new container");
        }
        let id = RuntimeId::new(&created.id);
        if let Some(ports) = request.ports {
            self.last_known.created(&id, ports, request.has_health_check, request.joins_network);
        }
        Ok(id)
    }

    async fn start(&self, id: &RuntimeId) -> Result<Observation, RuntimeError> {
        let turn = self.turns.take(id, self.last_known.joins_network(id)).await;
        self.last_known.starting(id);
        let call = turn.call(self.docker.start_container(id.as_str(), None));
        call.await.map_err(|error| refine(Call::Start, error))?;
        match self.last_known.started(id) {
            Some(observation) => Ok(observation),
            None => self.inspect(id).await,
        }
    }

    async fn stop(&self, id: &RuntimeId, grace: Duration) -> Result<Option<Observation>, RuntimeError> {
        // The engine counts whole seconds; a fraction must not become an immediate SIGKILL.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptions {
            t: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            ..StopContainerOptions::default()
        };
        self.docker
            .stop_container(id.as_str(), Some(options))
            .await
            .map_err(|error| refine(Call::Stop, error))?;
        match self.last_known.last(id) {
            Some(last)
                if last.started_at.is_some() && matches!(last.status, ObservedStatus::Exited { .. }) =>
            {
                Ok(Some(last))
            }
            // The end was not heard of yet. The inspection tells; if it cannot, the stop is done all the same.
            _ => Ok(self.inspect(id).await.ok()),
        }
    }

    async fn kill(&self, id: &RuntimeId, signal: &str) -> Result<(), RuntimeError> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.docker
            .kill_container(id.as_str(), Some(options))
            .await
            .map_err(|error| refine(Call::Kill, error))
    }

    async fn remove(&self, id: &RuntimeId) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptions { v: true, force: true, ..RemoveContainerOptions::default() };
        self.docker
            .remove_container(id.as_str(), Some(options))
            .await
            .map_err(|error| refine(Call::Remove, error))?;
        self.last_known.forget(id);
        Ok(())
    }

    async fn inspect(&self, id: &RuntimeId) -> Result<Observation, RuntimeError> {
        let response = self
            .docker
            .inspect_container(id.as_str(), None::<InspectContainerOptions>)
            .await
            .map_err(|error| refine(Call::Inspect, error))?;
        let observation = observe::observation(id, response);
        self.last_known.observed(&observation);
        Ok(observation)
    }

    async fn list(&self, filter: &LabelFilter) -> Result<Vec<FoundContainer>, RuntimeError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some([("label".to_owned(), filter.0.clone())].into()),
            ..ListContainersOptions::default()
        };
        let summaries =
            self.docker.list_containers(Some(options)).await.map_err(|error| refine(Call::List, error))?;
        let ours = summaries.into_iter().filter_map(observe::listed);
        let mut found: Vec<FoundContainer> = stream::iter(ours)
            .map(|listed| async move {
                match self.inspect(&listed.id).await {
                    Ok(observation) => Ok(Some(FoundContainer {
                        container: listed.container,
                        name: listed.name,
                        observation,
                    })),
                    // Removed between the two questions.
                    Err(RuntimeError { kind: ErrorKind::NotFound, .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .buffer_unordered(INSPECTS_AT_ONCE)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

impl Runtime for DockerRuntime {
    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let answer = self.engine.docker.ping().await;
            answer.map(drop).map_err(|error| refine(Call::Ask, error))
        })
    }

    fn info(&self) -> Answer<'_, RuntimeInfo> {
        Box::pin(system::info(&self.engine.docker))
    }

    fn image_inspect<'a>(&'a self, image: &'a str) -> Answer<'a, LocalImage> {
        Box::pin(images::inspect(&self.engine.docker, &self.engine.image_environments, image))
    }

    fn image_digest<'a>(
        &'a self,
        image: &'a str,
        credentials: Option<&'a RegistryCredentials>,
    ) -> Answer<'a, String> {
        Box::pin(images::digest(&self.engine.docker, image, credentials))
    }

    fn image_pull<'a>(&'a self, pull: PullRequest<'a>) -> Answer<'a, LocalImage> {
        Box::pin(images::pull(&self.engine.docker, &self.engine.image_environments, pull))
    }

    fn image_list(&self) -> Answer<'_, Vec<ListedImage>> {
        Box::pin(images::list(&self.engine.docker))
    }

    fn image_remove<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        Box::pin(images::remove(&self.engine.docker, &self.engine.image_environments, image))
    }

    fn container_create<'a>(&'a self, spec: &'a ContainerSpec) -> Answer<'a, RuntimeId> {
        Box::pin(self.engine.create(spec))
    }

    fn container_start<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Observation> {
        Box::pin(self.engine.start(id))
    }

    fn container_stop<'a>(&'a self, id: &'a RuntimeId, grace: Duration) -> Answer<'a, Option<Observation>> {
        Box::pin(self.engine.stop(id, grace))
    }

    fn container_kill<'a>(&'a self, id: &'a RuntimeId, signal: &'a str) -> Answer<'a, ()> {
        Box::pin(self.engine.kill(id, signal))
    }

    fn container_inspect<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Observation> {
        Box::pin(self.engine.inspect(id))
    }

    fn container_remove<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, ()> {
        Box::pin(self.engine.remove(id))
    }

    fn container_list<'a>(&'a self, filter: &'a LabelFilter) -> Answer<'a, Vec<FoundContainer>> {
        Box::pin(self.engine.list(filter))
    }

    fn container_readings<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, [String; 2]> {
        Box::pin(stats::readings(&self.engine.docker, id))
    }

    fn container_stats<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Reading> {
        Box::pin(stats::sample(&self.engine.docker, id))
    }

    fn volume_create<'a>(&'a self, spec: &'a VolumeCreate) -> Answer<'a, ()> {
        Box::pin(volumes::create(&self.engine.docker, spec))
    }

    fn volume_inspect<'a>(&'a self, name: &'a str) -> Answer<'a, VolumeInfo> {
        Box::pin(volumes::inspect(&self.engine.docker, name))
    }

    fn volume_remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(volumes::remove(&self.engine.docker, name))
    }

    fn pause_image(&self) -> Answer<'_, ()> {
        Box::pin(pause::ensure(&self.engine.docker))
    }

    fn network_create<'a>(&'a self, request: &'a NetworkRequest) -> Answer<'a, NetworkInfo> {
        Box::pin(networks::create(&self.engine.docker, &self.engine.networks, request))
    }

    fn network_inspect<'a>(&'a self, name: &'a str) -> Answer<'a, NetworkInfo> {
        Box::pin(networks::inspect(&self.engine.docker, name))
    }

    fn network_remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(networks::remove(&self.engine.docker, name))
    }

    fn events(&self, filter: &LabelFilter) -> BoxStream<'static, RuntimeEvent> {
        events::follow(Arc::clone(&self.engine), filter.clone()).boxed()
    }
}
