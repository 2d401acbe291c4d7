//! Both sockets: what they say to the agent, and what it answers.

use std::collections::BTreeSet;

use longshore_engine::Input as EngineInput;
use longshore_engine::spec::{Desired, TaskKey};
use longshore_link::client::{self, Ending, TelemetryInput, TelemetryOutput};
use longshore_link::message::{
    Ack, DesiredStatus, MessageError, PayloadMessage, RoleCredentials, RoleCredentialsAck,
    RoleCredentialsMessage, RoleType, TaskIdentity, TaskManifest, TaskPayload,
};
use longshore_link::upgrade::{AcsQuery, Refusal, TcsQuery};
use serde_json::Value;

use super::{AGENT_HASH, AGENT_VERSION, AgentCore, Effect, Gated, LogLine, Socket, SocketEvent, saved};
use crate::convert;
use crate::journal::Change;

/// Why a task is declined, for the person who wanted it.
const DATA_DIRECTORY_FULL: &str = "ResourceInitializationError: the agent cannot take the task over, because the disk of its \
                                   data directory (ECS_DATADIR) is full: free some space there";

/// One task of a payload after it was read.
enum Loaded {
    Run(Box<longshore_engine::spec::TaskSpec>),
    Stop {
        task: TaskKey,
        containers: Vec<longshore_base::ContainerName>,
    },
    Unloadable {
        task: TaskKey,
        cause: String,
    },
    /// Not even its ARN can be read.
    Nothing,
}

impl AgentCore {
    pub(super) fn socket(&mut self, socket: Socket, event: SocketEvent) {
        match &event {
            SocketEvent::Opened => {
                self.log(LogLine::Connected { socket });
                self.phase.connected();
            }
            SocketEvent::Refused(refusal) => {
                self.log(LogLine::Refused { socket, refusal: *refusal });
                self.phase.connection_failed();
                if *refusal == Some(Refusal::InactiveInstance) {
                    self.dismiss();
                }
            }
            SocketEvent::Lost(loss) => self.log(LogLine::Lost { socket, loss: *loss }),
            SocketEvent::Received(_) => {}
        }
        match socket {
            Socket::Commands => {
                let Some(session) = &mut self.commands else { return };
                let input = match &event {
                    SocketEvent::Opened => client::Input::Opened,
                    SocketEvent::Refused(refusal) => client::Input::Refused(*refusal),
                    SocketEvent::Lost(loss) => client::Input::Lost(*loss),
                    SocketEvent::Received(text) => client::Input::Received(text),
                };
                session.handle(self.now, input);
            }
            Socket::Telemetry => {
                let Some(session) = &mut self.telemetry else { return };
                let input = match &event {
                    SocketEvent::Opened => TelemetryInput::Opened,
                    SocketEvent::Refused(refusal) => TelemetryInput::Refused(*refusal),
                    SocketEvent::Lost(loss) => TelemetryInput::Lost(*loss),
                    SocketEvent::Received(text) => TelemetryInput::Received(text),
                };
                session.handle(self.now, input);
            }
        }
    }

    fn connect(&mut self, socket: Socket, query: String) {
        let Some(endpoints) = self.phase.endpoints() else { return };
        let endpoint = match socket {
            Socket::Commands => endpoints.endpoint.clone(),
            Socket::Telemetry => endpoints.telemetry_endpoint.clone(),
        };
        self.next_connection += 1;
        let connection = self.next_connection;
        self.connections.insert(socket, connection);
        self.effects.push_back(Effect::Connect { socket, connection, endpoint, query });
        self.refresh_discovery();
    }

    fn send(&mut self, socket: Socket, text: String) {
        if let Some(&connection) = self.connections.get(&socket) {
            self.effects.push_back(Effect::Send { socket, connection, text });
        }
    }

    fn end(&mut self, socket: Socket, ending: Ending) {
        if let Some(connection) = self.connections.remove(&socket) {
            self.effects.push_back(Effect::End { socket, connection, ending });
        }
    }

    /// Takes the next step of ACS; true if there was one.
    pub(super) fn step_commands(&mut self) -> bool {
        let Some(session) = &mut self.commands else { return false };
        session.handle(self.now, client::Input::Tick);
        let Some(output) = session.poll() else { return false };
        match output {
            client::Output::Connect { send_credentials } => {
                let query = AcsQuery {
                    cluster: self.config.cluster_name().to_owned(),
                    container_instance_arn: self.instance_arn.clone().unwrap_or_default(),
                    agent_version: AGENT_VERSION.to_owned(),
                    agent_hash: AGENT_HASH.to_owned(),
                    docker_version: self.runtime.version.clone(),
                    send_credentials,
                };
                self.connect(Socket::Commands, query.encode());
            }
            client::Output::Send(text) => self.send(Socket::Commands, text),
            client::Output::End(ending) => self.end(Socket::Commands, ending),
            client::Output::CheckRuntime => self.effects.push_back(Effect::CheckRuntime),
            client::Output::Payload(payload) => self.payload(payload),
            client::Output::Manifest(manifest) => self.manifest(manifest),
            client::Output::StopTasks(tasks) => {
                for TaskIdentity { task_arn, .. } in tasks {
                    let task = TaskKey::new(&task_arn);
                    // A task that is not here would be reported, and nobody asked about it.
                    if self.engine.task_view(&task).is_some() {
                        self.log(LogLine::StopVerified(task.clone()));
                        self.assignments.nobody(&task);
                        self.engine_input(EngineInput::StopRequested { task, containers: Vec::new() });
                    }
                }
            }
            client::Output::Credentials(message) => self.fresh_credentials(*message),
            client::Output::AttachmentIgnored { message_id } => {
                self.log(LogLine::AttachmentIgnored(message_id));
            }
            client::Output::ServerSays(text) => self.log(LogLine::ServerSays(text)),
            client::Output::Malformed(error) => self.malformed(&error),
        }
        true
    }

    fn malformed(&mut self, error: &MessageError) {
        // With its cause: which member it was is what one needs to know.
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        self.log(LogLine::Malformed(format!("{error}{cause}")));
    }

    fn acs(&mut self, input: client::Input<'_>) {
        if let Some(session) = &mut self.commands {
            session.handle(self.now, input);
        }
    }

    pub(super) fn acknowledge(&mut self, ack: Ack) {
        self.acs(client::Input::Acknowledge(ack));
    }

    pub(super) fn manifest_stored(&mut self, manifest: Box<TaskManifest>, candidates: Vec<TaskIdentity>) {
        self.acs(client::Input::ManifestStored { manifest, candidates });
    }

    /// Takes over what can be understood. The whole is acknowledged only if everything could (agent-protocol G6).
    fn payload(&mut self, payload: PayloadMessage<Value>) {
        let message_id = payload.message_id.clone();
        let ack = Ack {
            cluster: payload.cluster_arn,
            container_instance: payload.container_instance_arn,
            message_id: payload.message_id,
        };
        let mut loaded: Vec<Loaded> =
            payload.tasks.into_iter().map(|task| self.load(&message_id, task)).collect();
        // Stops first, because they free what the starts need.
        loaded.sort_by_key(|task| !matches!(task, Loaded::Stop { .. }));
        let is_understood = |task: &Loaded| match task {
            Loaded::Run(spec) => !self.must_decline(&spec.key),
            Loaded::Stop { .. } => true,
            Loaded::Unloadable { .. } | Loaded::Nothing => false,
        };
        let keys: Vec<TaskKey> = loaded
            .iter()
            .filter_map(|task| match task {
                Loaded::Run(spec) => Some(spec.key.clone()),
                Loaded::Stop { task, .. } => Some(task.clone()),
                Loaded::Unloadable { .. } | Loaded::Nothing => None,
            })
            .collect();
        let declined: BTreeSet<TaskKey> = loaded
            .iter()
            .filter_map(|task| match task {
                Loaded::Run(spec) if self.must_decline(&spec.key) => Some(spec.key.clone()),
                Loaded::Run(_) | Loaded::Stop { .. } | Loaded::Unloadable { .. } | Loaded::Nothing => None,
            })
            .collect();
        if loaded.iter().all(is_understood) {
            if let Some(ack) = self.assignments.payload(ack, &keys) {
                self.acknowledge(ack);
            }
        } else {
            keys.iter()
                .filter(|task| !declined.contains(task))
                .for_each(|task| self.assignments.nobody(task));
        }
        for task in loaded {
            match task {
                Loaded::Run(spec) if self.must_decline(&spec.key) => {
                    let task = spec.key;
                    self.log(LogLine::Declined(task.clone()));
                    // They came with the payload, and nothing else would remove them.
                    self.credentials.forget(&task);
                    let reason = DATA_DIRECTORY_FULL.to_owned();
                    self.engine_input(EngineInput::Declined { task, reason });
                }
                Loaded::Run(spec) => self.engine_input(EngineInput::Assigned(spec)),
                Loaded::Stop { task, containers } => {
                    self.engine_input(EngineInput::StopRequested { task, containers });
                }
                Loaded::Unloadable { task, cause } => {
                    self.log(LogLine::Unloadable { task: task.clone(), cause: cause.clone() });
                    self.engine_input(EngineInput::Unloadable { task, cause });
                }
                Loaded::Nothing => {}
            }
        }
    }

    /// True for a new task while the journal could not remember it. What is known already goes on.
    fn must_decline(&self, task: &TaskKey) -> bool {
        self.journal_short && self.engine.task_view(task).is_none()
    }

    fn load(&mut self, message_id: &str, task: Value) -> Loaded {
        let arn = task.get("arn").and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = TaskKey::new(&arn);
        let payload = match TaskPayload::decode(task) {
            Ok(payload) if !arn.is_empty() => payload,
            Ok(_) => return Loaded::Nothing,
            Err(error) => {
                self.malformed(&error);
                let cause = std::error::Error::source(&error).map_or(error.to_string(), |e| e.to_string());
                return if arn.is_empty() {
                    Loaded::Nothing
                } else {
                    Loaded::Unloadable { task: key, cause }
                };
            }
        };
        match payload.desired_status {
            DesiredStatus::Stopped => {
                let names = payload.containers.iter();
                let names = names.filter_map(|c| longshore_base::ContainerName::parse(&c.name).ok());
                Loaded::Stop { task: key, containers: names.collect() }
            }
            DesiredStatus::Running => {
                let credentials = [
                    (RoleType::TaskApplication, payload.role_credentials.clone()),
                    (RoleType::TaskExecution, payload.execution_role_credentials.clone()),
                ];
                match convert::task_spec(payload) {
                    Ok(spec) => {
                        for (role, credentials) in credentials {
                            if let Some(credentials) = credentials {
                                self.store_credentials(message_id, &key, role, credentials);
                            }
                        }
                        Loaded::Run(Box::new(spec))
                    }
                    Err(error) => Loaded::Unloadable { task: key, cause: error.to_string() },
                }
            }
        }
    }

    fn store_credentials(
        &mut self,
        message_id: &str,
        task: &TaskKey,
        role: RoleType,
        credentials: RoleCredentials,
    ) {
        // What only tells the id is followed by the rest when the role can be assumed.
        if credentials.credentials_id.0.is_empty() || credentials.are_announced_only() {
            return;
        }
        let ack = RoleCredentialsAck {
            message_id: message_id.to_owned(),
            credentials_id: credentials.credentials_id.0.clone(),
            expiration: credentials.expiration.clone(),
        };
        self.credentials.put(task, role, credentials);
        self.acs(client::Input::CredentialsStored(ack));
    }

    /// Unlike the official agent, credentials of a task that is not here are not kept: nothing would ever
    /// remove them (agent-protocol G20).
    fn fresh_credentials(&mut self, message: RoleCredentialsMessage) {
        let task = TaskKey::new(&message.task_arn);
        if self.engine.task_view(&task).is_some() {
            self.store_credentials(&message.message_id, &task, message.role_type, message.role_credentials);
        }
    }

    /// Compares the manifest with what runs here, and answers when its number is safe.
    fn manifest(&mut self, manifest: Box<TaskManifest>) {
        self.manifest_number = manifest.timeline;
        self.write(vec![Change {
            key: saved::MANIFEST.to_owned(),
            text: Some(manifest.timeline.to_string()),
        }]);
        let wanted: BTreeSet<&str> = manifest
            .tasks
            .iter()
            .filter(|task| task.desired_status == DesiredStatus::Running)
            .map(|task| task.task_arn.as_str())
            .collect();
        let candidates = self
            .engine
            .tasks()
            .filter(|task| task.desired() == Desired::Running && !wanted.contains(task.key().arn()))
            // What has ended by itself needs no stop.
            .filter(|task| task.status() != longshore_engine::view::KnownStatus::Stopped)
            .map(|task| TaskIdentity {
                task_arn: task.key().arn().to_owned(),
                task_cluster_arn: task.spec().cluster_arn.clone(),
                desired_status: DesiredStatus::Stopped,
            })
            .collect();
        self.gate.push(Gated::Manifest { manifest, candidates }, true);
    }

    /// Takes the next step of TCS; true if there was one.
    pub(super) fn step_telemetry(&mut self) -> bool {
        let Some(session) = &mut self.telemetry else { return false };
        session.handle(self.now, TelemetryInput::Tick);
        let Some(output) = session.poll() else { return false };
        match output {
            TelemetryOutput::Connect => {
                let query = TcsQuery {
                    cluster: self.config.cluster_name().to_owned(),
                    container_instance_arn: self.instance_arn.clone().unwrap_or_default(),
                    agent_version: AGENT_VERSION.to_owned(),
                    agent_hash: AGENT_HASH.to_owned(),
                    docker_version: self.runtime.version.clone(),
                };
                self.connect(Socket::Telemetry, query.encode());
            }
            TelemetryOutput::Send(text) => self.send(Socket::Telemetry, text),
            TelemetryOutput::End(ending) => self.end(Socket::Telemetry, ending),
            TelemetryOutput::Round => self.publish_round(),
            TelemetryOutput::Malformed(error) => self.malformed(&error),
        }
        true
    }

    /// A runtime that went away or came back is told at once, so that people see it within a round of the checks.
    pub(super) fn runtime_checked(&mut self, is_well: bool) {
        if !self.runtime_status.checked(self.now, is_well) {
            return;
        }
        // Without a connection the round after the next connect will tell.
        let Some(publisher) = self.publisher.as_ref().filter(|_| self.telemetry_is_open()) else { return };
        let frame = publisher.instance_status(self.now, &mut self.ids, &self.runtime_status);
        self.publish(frame);
    }

    fn publish_round(&mut self) {
        // Heartbeats ask for it as well, but rarely.
        self.effects.push_back(Effect::CheckRuntime);
        let Some(publisher) = &self.publisher else { return };
        let (now, ids, engine) = (self.now, &mut self.ids, &self.engine);
        let mut frames = publisher.metrics(now, ids, engine, &mut self.metrics);
        frames.extend(publisher.health(now, ids, engine.tasks()));
        frames.push(publisher.instance_status(now, ids, &self.runtime_status));
        for frame in frames {
            self.publish(frame);
        }
    }

    /// Tells a changed health at once: a control plane that waits for the next round replaces a broken task up to
    /// 20 s late.
    pub(super) fn publish_health_change(&mut self, task: &TaskKey) {
        let Some(view) = self.engine.task_view(task) else { return };
        if !self.health.has_changed(view) {
            return;
        }
        // Without a connection the round after the next connect will tell.
        let Some(publisher) = self.publisher.as_ref().filter(|_| self.telemetry_is_open()) else { return };
        for frame in publisher.health(self.now, &mut self.ids, std::iter::once(view)) {
            self.publish(frame);
        }
    }

    fn publish(&mut self, frame: String) {
        if let Some(session) = &mut self.telemetry {
            session.handle(self.now, TelemetryInput::Publish(frame));
        }
    }
}
