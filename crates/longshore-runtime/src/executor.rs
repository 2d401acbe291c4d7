//! From the engine's actions to calls of a runtime, and back to the engine's inputs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use longshore_engine::Action;
use longshore_engine::input::{Input, OpError};
use longshore_engine::spec::{ContainerKey, RegistryAuth, TaskNetwork};

use crate::error::{ErrorKind, RuntimeError};
use crate::limits::{self, duration_text};
use crate::port::{NetworkRequest, RegistryCredentials, Runtime, RuntimeEvent};
use crate::questions::ImageQuestions;

/// Turns what a container says about its registry into a login (agent-protocol G13).
///
/// The node implements it: it holds the roles' credentials and the configuration.
pub trait RegistryLogins: Send + Sync + 'static {
    /// `None` pulls anonymously. A failure is the failure of the pull, with `NoLogin` as its kind if the credentials
    /// cannot be had.
    fn login<'a>(
        &'a self,
        container: &'a ContainerKey,
        image: &'a str,
        auth: &'a RegistryAuth,
    ) -> BoxFuture<'a, Result<Option<RegistryCredentials>, RuntimeError>>;
}

/// Pulls everything anonymously, and says so when a container asks for more.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLogins;

impl RegistryLogins for NoLogins {
    fn login<'a>(
        &'a self,
        _container: &'a ContainerKey,
        image: &'a str,
        auth: &'a RegistryAuth,
    ) -> BoxFuture<'a, Result<Option<RegistryCredentials>, RuntimeError>> {
        let answer = match auth {
            RegistryAuth::Node => Ok(None),
            RegistryAuth::Ecr { .. } | RegistryAuth::Asm { .. } => Err(RuntimeError::new(
                ErrorKind::NoLogin,
                format!("no source of registry credentials is configured for image {image}"),
            )),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// The network of an action, as the port is asked for it.
pub(crate) fn request_of(network: TaskNetwork) -> NetworkRequest {
    NetworkRequest { name: network.name, subnet: Some(network.subnet), owner: network.owner }
}

/// Performs the actions that concern the runtime. A cheap handle.
#[derive(Clone)]
pub struct Executor {
    runtime: Arc<dyn Runtime>,
    logins: Arc<dyn RegistryLogins>,
    images: Arc<ImageQuestions>,
}

impl Executor {
    pub fn new(runtime: Arc<dyn Runtime>, logins: Arc<dyn RegistryLogins>) -> Self {
        let images = Arc::new(ImageQuestions::new(runtime.clone()));
        Self { runtime, logins, images }
    }

    /// The same runtime, for an action whose logins come from elsewhere: from the role of one task.
    pub fn with_logins(&self, logins: Arc<dyn RegistryLogins>) -> Self {
        Self { logins, ..self.clone() }
    }

    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Does one thing and gives the input that answers it, within the action's limit of time or
    /// that of [`limits`]. Actions that are not the runtime's (journal, reports, secrets,
    /// cgroups) come back untouched as `Err`. Calls may run concurrently.
    pub async fn perform(&self, action: Action) -> Result<Input, Box<Action>> {
        Ok(match action {
            Action::InspectImage { op, container, image } => {
                let call = self.images.look(&image);
                let result = limited("inspect image", limits::IMAGE_INSPECT, call).await;
                Input::ImageInspected { op, container, result }
            }
            Action::ResolveManifest { op, container, image, auth, timeout } => {
                let result = limited("resolve manifest", timeout, async {
                    let login = self.logins.login(&container, &image, &auth).await?;
                    self.images.digest(&image, login).await
                })
                .await;
                Input::ManifestResolved { op, container, result }
            }
            Action::Pull { op, container, image, digest, auth, timeout, inactivity_timeout } => {
                let result = limited("transition to pulled", timeout, async {
                    let login = self.logins.login(&container, &image, &auth).await?;
                    self.images.pull(&image, digest.as_deref(), login, inactivity_timeout).await
                })
                .await;
                Input::PullFinished { op, container, result }
            }
            Action::PrepareNetwork { op, container, network, timeout } => {
                let result = limited("prepare the task's network", timeout, async {
                    self.runtime.pause_image().await?;
                    let request = request_of(network);
                    self.runtime.network_create(&request).await.map(drop)
                })
                .await;
                Input::NetworkPrepared { op, container, result }
            }
            Action::CreateVolume { op, task, volume, spec, timeout } => {
                let result = limited("create volume", timeout, self.runtime.volume_create(&spec)).await;
                Input::VolumeCreated { op, task, volume, result }
            }
            Action::RemoveVolume { op, task, volume, name } => {
                let call = self.runtime.volume_remove(&name);
                let result = missing_is_fine(limited("remove volume", limits::VOLUME, call).await);
                Input::VolumeRemoved { op, task, volume, result }
            }
            Action::CreateContainer { op, container, spec, timeout } => {
                let call = self.runtime.container_create(&spec);
                let result = limited("transition to created", timeout, call).await;
                Input::ContainerCreated { op, container, result }
            }
            Action::StartContainer { op, container, runtime_id, timeout } => {
                let call = self.runtime.container_start(&runtime_id);
                let result = limited("transition to running", timeout, call).await;
                Input::ContainerStarted { op, container, result }
            }
            Action::StopContainer { op, container, runtime_id, grace, timeout } => {
                let call = self.runtime.container_stop(&runtime_id, grace);
                let result = match limited("transition to stopped", timeout, call).await {
                    Err(error) if is_missing(&error) => Ok(None),
                    result => result,
                };
                Input::ContainerStopped { op, container, result }
            }
            Action::InspectContainer { op, container, runtime_id } => {
                let call = self.runtime.container_inspect(&runtime_id);
                let result = limited("inspect container", limits::INSPECT, call).await;
                Input::ContainerInspected { op, container, result }
            }
            Action::RemoveContainer { op, container, runtime_id } => {
                let call = self.runtime.container_remove(&runtime_id);
                let result = missing_is_fine(limited("remove container", limits::REMOVE, call).await);
                Input::ContainerRemoved { op, container, result }
            }
            Action::ListImages { op } => {
                let result = limited("list images", limits::LIST, self.runtime.image_list()).await;
                Input::ImagesListed { op, result }
            }
            Action::RemoveImage { op, image } => {
                let call = self.runtime.image_remove(&image);
                let result = limited("remove image", limits::IMAGE_REMOVE, call).await;
                Input::ImageRemoved { op, result }
            }
            Action::Persist(_)
            | Action::AckReady(_)
            | Action::Report(_)
            | Action::ResolveSecrets { .. }
            | Action::CreateCgroup { .. }
            | Action::RemoveCgroup { .. }
            | Action::TaskForgotten(_) => return Err(Box::new(action)),
        })
    }
}

/// The input that an event is for the engine; `None` for the news that the runtime is away.
pub fn input_of(event: RuntimeEvent) -> Option<Input> {
    match event {
        RuntimeEvent::Observed { container, observation } => {
            Some(Input::ContainerObserved { container, observation })
        }
        RuntimeEvent::Vanished { container, runtime_id } => {
            Some(Input::ContainerVanished { container, runtime_id })
        }
        RuntimeEvent::Resynced(containers) => Some(Input::Restored { containers }),
        RuntimeEvent::Lost(_) => None,
    }
}

/// Waits for a call no longer than `limit`. The text of a time-out is the agent's
/// (`Could not transition to created; timed out after waiting 4m0s`, ecs-engine D3).
async fn limited<T>(
    what: &str,
    limit: Duration,
    call: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, OpError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(OpError::from),
        Err(_) => Err(timed_out(what, limit).into()),
    }
}

/// The error of a call that took longer than it may.
pub(crate) fn timed_out(what: &str, limit: Duration) -> RuntimeError {
    let text = format!("Could not {what}; timed out after waiting {}", duration_text(limit));
    RuntimeError::new(ErrorKind::Timeout, text)
}

fn is_missing(error: &OpError) -> bool {
    error.kind == longshore_engine::input::OpErrorKind::NotFound
}

fn missing_is_fine(result: Result<(), OpError>) -> Result<(), OpError> {
    match result {
        Err(error) if is_missing(&error) => Ok(()),
        result => result,
    }
}
