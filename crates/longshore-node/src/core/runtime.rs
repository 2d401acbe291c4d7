//! The engine's actions and what they wait for; reports; samples.

use longshore_engine::input::{OpError, OpErrorKind, SecretFailure};
use longshore_engine::journal::JournalChange;
use longshore_engine::spec::{ContainerKey, EnvironmentFile, RegistryAuth, TaskKey};
use longshore_engine::view::KnownStatus;
use longshore_engine::{Action, Input as EngineInput};

use super::reports::Outgoing;
use super::telemetry::key_of;
use super::{AGENT_LABEL, AgentCore, Effect, Gated, LogLine, Pending};
use crate::api::{ApiCall, ApiError, ReportFailure, state_change};
use crate::journal::Change;
use crate::secrets::{LoginPlan, Plan};
use longshore_sigv4::Credentials;

impl AgentCore {
    pub(super) fn engine_input(&mut self, input: EngineInput) {
        let watched = task_with_health(&input).cloned();
        self.engine.handle(self.now, input);
        while let Some(note) = self.engine.poll_note() {
            self.log(LogLine::Housekeeping(note));
        }
        if let Some(task) = watched {
            self.publish_health_change(&task);
        }
    }

    /// Takes the engine's next action; true if there was one.
    pub(super) fn step_engine(&mut self) -> bool {
        let Some(action) = self.engine.poll_action() else { return false };
        // About a task that this node does not have, the journal has nothing to say; and a disk that is full must not
        // keep such a report.
        let is_about_nothing =
            matches!(&action, Action::Report(report) if self.engine.task_view(&report.task).is_none());
        if action.needs_durable() && !is_about_nothing {
            // The control plane repeats a payload whose ack is late, but only after many seconds.
            let pressing = !matches!(action, Action::AckReady(_));
            self.gate.push(Gated::Action(Box::new(action)), pressing);
        } else {
            self.act(action);
        }
        true
    }

    /// Lets through what is durable; true if there was something.
    pub(super) fn step_gate(&mut self) -> bool {
        match self.gate.pop() {
            Some(Gated::Action(action)) => self.act(*action),
            Some(Gated::Manifest { manifest, candidates }) => self.manifest_stored(manifest, candidates),
            None => return false,
        }
        true
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Persist(changes) => {
                let changes = changes.into_iter().map(change).collect();
                self.write(changes);
            }
            Action::AckReady(task) => {
                if let Some(ack) = self.assignments.ready(&task) {
                    self.acknowledge(ack);
                }
            }
            Action::Report(report) => self.reports.push(report),
            Action::ResolveSecrets { op, container, secrets, environment_files } => {
                match self.who_fetches(&container, &environment_files) {
                    Ok(role) => {
                        let plan = Plan::new(secrets, self.config.is_pool());
                        self.effects.push_back(Effect::FetchSecrets { op, container, role, plan });
                    }
                    Err(failure) => {
                        let result = Err(failure);
                        self.engine_input(EngineInput::SecretsResolved { op, container, result });
                    }
                }
            }
            Action::TaskForgotten(task) => {
                self.credentials.forget(&task);
                self.metrics.forget(&task);
                self.health.forget(&task);
            }
            Action::CreateContainer { op, container, mut spec, timeout } => {
                spec.labels.insert(AGENT_LABEL.to_owned(), self.agent_id.clone());
                if let Some(driver) = self.config.awslogs
                    && driver.take_over(&mut spec)
                    && !std::mem::replace(&mut self.awslogs_told, true)
                {
                    let (task, name) = (container.task.clone(), container.name.clone());
                    self.log(LogLine::AwslogsKept { task, container: name, driver: driver.as_str() });
                }
                let action = Action::CreateContainer { op, container, spec, timeout };
                self.effects.push_back(Effect::Runtime(Box::new(action)));
            }
            Action::ResolveManifest { op, container, image, auth, timeout } => {
                match self.login(&container, &auth) {
                    Ok(login) => {
                        self.ask_registry(
                            Action::ResolveManifest { op, container, image, auth, timeout },
                            login,
                        );
                    }
                    Err(error) => {
                        let result = Err(error);
                        self.engine_input(EngineInput::ManifestResolved { op, container, result });
                    }
                }
            }
            Action::Pull { op, container, image, digest, auth, timeout, inactivity_timeout } => {
                match self.login(&container, &auth) {
                    Ok(login) => {
                        let action =
                            Action::Pull { op, container, image, digest, auth, timeout, inactivity_timeout };
                        self.ask_registry(action, login);
                    }
                    Err(error) => {
                        let result = Err(error);
                        self.engine_input(EngineInput::PullFinished { op, container, result });
                    }
                }
            }
            action @ (Action::InspectImage { .. }
            | Action::PrepareNetwork { .. }
            | Action::CreateCgroup { .. }
            | Action::RemoveCgroup { .. }
            | Action::CreateVolume { .. }
            | Action::RemoveVolume { .. }
            | Action::StartContainer { .. }
            | Action::StopContainer { .. }
            | Action::InspectContainer { .. }
            | Action::RemoveContainer { .. }
            | Action::ListImages { .. }
            | Action::RemoveImage { .. }) => self.effects.push_back(Effect::Runtime(Box::new(action))),
        }
    }

    fn ask_registry(&mut self, action: Action, login: Option<(Credentials, LoginPlan)>) {
        let action = Box::new(action);
        self.effects.push_back(match login {
            None => Effect::Runtime(action),
            Some((role, login)) => Effect::RuntimeAs { action, role, login },
        });
    }

    /// How a container's login at its registry is asked for, and with whose rights, if it is in a secret.
    fn login(
        &self,
        container: &ContainerKey,
        auth: &RegistryAuth,
    ) -> Result<Option<(Credentials, LoginPlan)>, OpError> {
        let (parameter, region) = match auth {
            RegistryAuth::Asm { parameter, region } => (parameter, region),
            RegistryAuth::Node | RegistryAuth::Ecr { .. } => return Ok(None),
        };
        match self.execution_role(container) {
            Ok(role) => Ok(Some((role, LoginPlan::new(parameter, region, self.config.is_pool())))),
            Err(SecretFailure::Failed(text)) => Err(OpError { kind: OpErrorKind::NoLogin, text }),
            // After a restart, until the control plane has sent them again: the engine tries again.
            Err(SecretFailure::NoCredentials) => Err(OpError {
                kind: OpErrorKind::Unavailable,
                text: "the credentials of the task's execution role have not come yet".to_owned(),
            }),
        }
    }

    /// The credentials with which the secrets of a container are asked for.
    fn who_fetches(
        &self,
        container: &ContainerKey,
        environment_files: &[EnvironmentFile],
    ) -> Result<Credentials, SecretFailure> {
        if let Some(file) = environment_files.first() {
            // Not announced as a capability, so that the scheduler should not send such a task.
            return Err(SecretFailure::Failed(format!(
                "ResourceInitializationError: unable to fetch environment file {}: this agent does not support environment \
                 files",
                file.value
            )));
        }
        self.execution_role(container)
    }

    fn execution_role(&self, container: &ContainerKey) -> Result<Credentials, SecretFailure> {
        let task = self.engine.task_view(&container.task);
        let Some(id) = task.and_then(|task| task.spec().execution_credentials.as_ref()) else {
            let text = "unable to pull secrets or registry auth: the task has no execution role, so that nobody may fetch \
                        its secrets";
            return Err(SecretFailure::Failed(format!("ResourceInitializationError: {text}")));
        };
        let stored = self.credentials.get(id.expose()).ok_or(SecretFailure::NoCredentials)?;
        Ok(stored.signing())
    }

    /// Sends reports, once there is an instance that they are about.
    pub(super) fn step_reports(&mut self) {
        if self.instance_arn.is_none() || self.stopping {
            return;
        }
        while let Some(outgoing) = self.reports.next(self.now) {
            let request = state_change(self.config.cluster_name(), &outgoing.report);
            let request = ApiCall::SubmitTaskStateChange(Box::new(request));
            self.call(request, Pending::Report(Box::new(outgoing)));
        }
    }

    pub(super) fn reported(&mut self, outgoing: Outgoing, result: Result<Vec<u8>, ApiError>) {
        let (task, id) = (outgoing.report.task.clone(), outgoing.report.id);
        let error = match result {
            Ok(_) => {
                self.reports.done();
                return self.engine_input(EngineInput::ReportAccepted { task, id });
            }
            Err(error) => error,
        };
        let status = outgoing.report.status.as_str();
        match error.on_report() {
            ReportFailure::Never => {
                self.reports.done();
                self.log(LogLine::ReportRefused { task: task.clone(), status, error });
                self.engine_input(EngineInput::ReportRefused { task, id });
            }
            ReportFailure::Refused => {
                self.log(LogLine::CallFailed { operation: "SubmitTaskStateChange", error });
                self.reports.refused(self.now, outgoing);
            }
            ReportFailure::ServerSide => {
                self.log(LogLine::CallFailed { operation: "SubmitTaskStateChange", error });
                self.reports.server_side(self.now, outgoing);
            }
        }
    }

    /// Asks for samples of what runs, while somebody listens.
    pub(super) fn step_samples(&mut self) {
        if !self.config.metrics || !self.telemetry_is_open() || self.sample_at > self.now || self.stopping {
            return;
        }
        self.sample_at = self.now + self.config.metrics_interval;
        let containers: Vec<_> = self
            .engine
            .tasks()
            .flat_map(|task| task.containers())
            .filter(|container| container.status() == KnownStatus::Running)
            .filter_map(|container| Some((key_of(container), container.runtime_id()?.clone())))
            .collect();
        if !containers.is_empty() {
            self.effects.push_back(Effect::Sample(containers));
        }
    }
}

fn change(change: JournalChange) -> Change {
    match change {
        JournalChange::Put(key, record) => {
            let text = serde_json::to_string(&record).expect("records have string keys and finite numbers");
            Change { key: key.to_string(), text: Some(text) }
        }
        JournalChange::Delete(key) => Change { key: key.to_string(), text: None },
    }
}

/// The task whose health an input may change.
fn task_with_health(input: &EngineInput) -> Option<&TaskKey> {
    match input {
        EngineInput::ContainerObserved { container, .. }
        | EngineInput::ContainerInspected { container, .. }
        | EngineInput::ContainerStarted { container, .. } => Some(&container.task),
        EngineInput::Assigned(_)
        | EngineInput::StopRequested { .. }
        | EngineInput::Dismissed
        | EngineInput::Unloadable { .. }
        | EngineInput::SecretsResolved { .. }
        | EngineInput::ImageInspected { .. }
        | EngineInput::ManifestResolved { .. }
        | EngineInput::PullFinished { .. }
        | EngineInput::NetworkPrepared { .. }
        | EngineInput::CgroupCreated { .. }
        | EngineInput::CgroupRemoved { .. }
        | EngineInput::VolumeCreated { .. }
        | EngineInput::VolumeRemoved { .. }
        | EngineInput::ContainerCreated { .. }
        | EngineInput::ContainerStopped { .. }
        | EngineInput::ContainerRemoved { .. }
        | EngineInput::ContainerVanished { .. }
        | EngineInput::ImagesListed { .. }
        | EngineInput::ImageRemoved { .. }
        | EngineInput::DiskMeasured(_)
        | EngineInput::Declined { .. }
        | EngineInput::ReportAccepted { .. }
        | EngineInput::ReportRefused { .. }
        | EngineInput::Restored { .. }
        | EngineInput::Tick => None,
    }
}
