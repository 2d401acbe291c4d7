//! The core with the real engine and the real server session, a scripted runtime and a disk that can
//! be held or crash, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_engine::input::{HealthStatus, ResolvedSecret, ResolvedSecrets, SecretFailure};
use longshore_engine::spec::{SecretTarget, SecretText, SecretVersion};
use longshore_link::message::{
    AsmAuthData, ContainerPayload, DesiredStatus, DockerConfig, FromAgent, FromTelemetry,
    InstanceStatusValue, RegistryAuthentication, RoleCredentials, Secret, TaskPayload,
};

use longshore_link::server;
use longshore_link::upgrade::Refusal;

use longshore_runtime::scripted::{ImageScript, ScriptedRuntime};

use super::*;
use crate::secrets::Question;
use crate::surface::{self, Asked, Reply};

mod chance;
mod dismissal;
mod registration;
mod tasks;
mod telemetry;

const CLUSTER: &str = "arn:aws:ecs:us-east-1:111122223333:cluster/c";

const INSTANCE: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/c/1";

fn config(pairs: &[(&str, &str)]) -> Config {
    let all = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("ECS_CLUSTER", "c")];
    let pairs = all.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::read(pairs, None).expect("valid").0
}

fn runtime_info() -> RuntimeInfo {
    RuntimeInfo {
        cores: 4,
        memory_bytes: 8 << 30,
        api_version: (1, 41),
        version: "20.10".into(),
        architecture: "x86_64".into(),
        ..RuntimeInfo::default()
    }
}

/// What the control plane heard of a task, in order: `RUNNING`, `STOPPED(reason)`.
type Heard = BTreeMap<String, Vec<String>>;

struct Rig {
    now: Timestamp,
    start: u32,
    core: AgentCore,
    runtime: ScriptedRuntime,
    /// Durable, and written but not yet durable.
    disk: BTreeMap<String, String>,
    written: Vec<(u64, Vec<Change>)>,
    /// Whether each write so far was pressing.
    pressing: Vec<bool>,
    /// Writes become durable at once; otherwise only by [`Rig::sync`].
    syncs: bool,
    /// No connection can be made, and no call gets an answer.
    cut_off: bool,
    session: Option<server::Session>,
    /// The connections that the core believes in.
    commands: u64,
    telemetry: u64,
    epoch: u32,
    owes_credentials: bool,
    /// What becomes of secrets that are asked for.
    secrets: Result<ResolvedSecrets, String>,
    /// Who asked for secrets, and what.
    fetched: Vec<(String, Vec<Question>)>,
    desired: BTreeMap<Arc<str>, (DesiredStatus, bool)>,
    payloads: BTreeMap<Arc<str>, TaskPayload>,
    heard: Heard,
    acked: BTreeSet<String>,
    published: Vec<FromTelemetry>,
    /// What a look at the container runtime finds.
    is_runtime_well: bool,
    calls: Vec<String>,
    exit: Option<ExitReason>,
    /// Overrides the answer to calls of an operation.
    answers: BTreeMap<&'static str, Result<String, ApiError>>,
    /// The instances that agents know of themselves are deregistered.
    refuses_known: bool,
    /// That was so long ago that nobody knows of it.
    unknown: bool,
    /// The instance is deregistered, and its sockets are refused for that.
    refuses_sockets: bool,
}

impl Rig {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(pairs: &[(&str, &str)]) -> Self {
        let now = Timestamp::from_millis(1_795_210_000_000);
        let saved = BTreeMap::new();
        let core = AgentCore::new(now, Seed::new(1), config(pairs), runtime_info(), &saved);
        let mut runtime = ScriptedRuntime::new(Seed::new(7));
        runtime.world.script("bb", ImageScript::default());
        Self {
            now,
            start: 1,
            core: core.expect("nothing is saved"),
            runtime,
            disk: saved,
            written: Vec::new(),
            pressing: Vec::new(),
            syncs: true,
            cut_off: false,
            session: None,
            commands: 0,
            telemetry: 0,
            epoch: 0,
            owes_credentials: false,
            secrets: Ok(ResolvedSecrets::default()),
            fetched: Vec::new(),
            desired: BTreeMap::new(),
            payloads: BTreeMap::new(),
            heard: Heard::new(),
            acked: BTreeSet::new(),
            published: Vec::new(),
            is_runtime_well: true,
            calls: Vec::new(),
            exit: None,
            answers: BTreeMap::new(),
            refuses_known: false,
            unknown: false,
            refuses_sockets: false,
        }
    }

    /// A rig that is registered and connected.
    fn connected() -> Self {
        let mut rig = Self::new();
        rig.begin();
        assert!(rig.core.is_connected());
        rig
    }

    fn begin(&mut self) {
        self.input(Input::Engine(Box::new(longshore_engine::Input::Restored {
            containers: self.runtime.found(),
        })));
        self.run(Duration::from_secs(2));
    }

    fn payload(name: &str, image: &str) -> TaskPayload {
        TaskPayload {
            family: "web".into(),
            version: "1".into(),
            containers: vec![ContainerPayload {
                name: "main".into(),
                image: image.into(),
                essential: true,
                cpu: 10,
                memory: 16,
                docker_config: Some(DockerConfig::default()),
                ..ContainerPayload::default()
            }],
            role_credentials: Some(RoleCredentials {
                credentials_id: format!("credentials-{name}").into(),
                access_key_id: format!("ASIA{name}"),
                ..RoleCredentials::default()
            }),
            ..TaskPayload::run(&Self::arn(name), CLUSTER)
        }
    }

    fn arn(name: &str) -> String {
        format!("arn:aws:ecs:us-east-1:111122223333:task/c/{name}")
    }

    fn place(&mut self, name: &str, payload: TaskPayload) {
        let task: Arc<str> = Self::arn(name).into();
        self.payloads.insert(task.clone(), payload);
        self.desired.insert(task.clone(), (DesiredStatus::Running, false));
        self.tell(task);
    }

    fn stop(&mut self, name: &str) {
        let task: Arc<str> = Self::arn(name).into();
        if self.desired.contains_key(&task) {
            self.desired.insert(task.clone(), (DesiredStatus::Stopped, false));
            self.tell(task);
        }
    }

    fn tell(&mut self, task: Arc<str>) {
        let (want, confirmed) = self.desired[&task];
        if let Some(session) = &mut self.session {
            let changed = server::DesiredTask { task, want, confirmed };
            session.handle(self.now, server::Input::Changed(vec![changed]));
        }
        self.settle();
    }

    fn heard(&self, name: &str) -> Vec<&str> {
        self.heard.get(&Self::arn(name)).into_iter().flatten().map(String::as_str).collect()
    }

    fn starts(&self) -> u32 {
        self.runtime.world.all_starts().values().sum()
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        self.settle();
    }

    fn sync(&mut self) {
        let mut last = 0;
        for (number, changes) in self.written.drain(..) {
            last = number;
            for change in changes {
                match change.text {
                    Some(text) => self.disk.insert(change.key, text),
                    None => self.disk.remove(&change.key),
                };
            }
        }
        if last > 0 {
            self.input(Input::Durable(last));
        }
    }

    fn crash(&mut self) {
        self.written.clear();
        self.session = None;
        self.runtime.agent_restarted(self.now);
        self.start += 1;
        let config = self.core.config().clone();
        let seed = Seed::new(self.start.into());
        let core = AgentCore::new(self.now, seed, config, runtime_info(), &self.disk);
        self.core = core.expect("what was saved can be read");
    }

    fn cut(&mut self) {
        self.session = None;
        for (socket, connection) in [(Socket::Commands, self.commands), (Socket::Telemetry, self.telemetry)] {
            let event = SocketEvent::Lost(Loss::Broken);
            self.core.handle(self.now, Input::Socket { socket, connection, event });
        }
        self.settle();
    }

    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.settle();
        loop {
            let session = self.session.as_ref().and_then(server::Session::deadline);
            let next = [session, self.core.deadline(), self.runtime.deadline()].into_iter().flatten().min();
            match next {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
            for (_, input) in self.runtime.advance(self.now) {
                self.core.handle(self.now, Input::Engine(Box::new(input)));
            }
            if let Some(session) = &mut self.session {
                session.handle(self.now, server::Input::Tick);
            }
            self.core.handle(self.now, Input::Tick);
            self.settle();
        }
        self.now = until;
    }

    fn settle(&mut self) {
        loop {
            let mut acted = false;
            while let Some(effect) = self.core.poll() {
                acted = true;
                self.effect(effect);
            }
            if self.syncs && !self.written.is_empty() {
                self.sync();
            }
            acted |= self.poll_session();
            if !acted {
                return;
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Call { call, request } => {
                self.calls.push(format!("{} {}", request.operation(), request.body()));
                if !self.cut_off {
                    let result = self.answer(&request);
                    self.core.handle(self.now, Input::Answered { call, result });
                } else {
                    let result = Err(ApiError::Transport("cut off".into()));
                    self.core.handle(self.now, Input::Answered { call, result });
                }
            }
            Effect::Connect { socket, connection, endpoint, query } => {
                let event = match (self.cut_off, self.refuses_sockets) {
                    (true, _) => SocketEvent::Refused(None),
                    (false, true) => SocketEvent::Refused(Some(Refusal::InactiveInstance)),
                    (false, false) => SocketEvent::Opened,
                };
                match socket {
                    Socket::Commands => {
                        assert_eq!(endpoint, "http://acs");
                        self.commands = connection;
                        if matches!(event, SocketEvent::Opened) {
                            self.accept(&query);
                        }
                    }
                    Socket::Telemetry => {
                        assert_eq!(endpoint, "http://tcs");
                        self.telemetry = connection;
                    }
                }
                self.core.handle(self.now, Input::Socket { socket, connection, event });
            }
            Effect::Send { socket: Socket::Commands, connection, text } => {
                assert_eq!(connection, self.commands);
                if let FromAgent::Ack(ack) = FromAgent::decode(&text).expect("it is ours") {
                    self.acked.insert(ack.message_id);
                }
                if let Some(session) = &mut self.session {
                    session.handle(self.now, server::Input::Received(&text));
                }
            }
            Effect::Send { socket: Socket::Telemetry, connection, text } => {
                assert_eq!(connection, self.telemetry);
                self.published.push(FromTelemetry::decode(&text).expect("it is ours"));
            }
            Effect::End { socket: Socket::Commands, .. } => self.session = None,
            Effect::End { socket: Socket::Telemetry, .. } => {}
            Effect::Runtime(action) => {
                self.runtime.perform(self.now, *action).expect("it is for the runtime");
            }
            Effect::RuntimeAs { action, role, login } => {
                self.fetched.push((role.access_key_id.clone(), vec![login.question]));
                self.runtime.perform(self.now, *action).expect("it is for the runtime");
            }
            Effect::Write { number, changes } => {
                self.pressing.push(number <= self.core.pressing());
                self.written.push((number, changes));
            }
            Effect::CheckRuntime => {
                let is_well = self.is_runtime_well;
                self.core.handle(self.now, Input::RuntimeChecked { is_well });
            }
            Effect::FetchSecrets { op, container, role, plan } => {
                let (result, asked) = (self.secrets.clone(), plan.questions.clone());
                self.fetched.push((role.access_key_id.clone(), asked));
                let result = result.map_err(SecretFailure::Failed);
                let resolved = longshore_engine::Input::SecretsResolved { op, container, result };
                self.core.handle(self.now, Input::Engine(Box::new(resolved)));
            }
            Effect::Sample(containers) => {
                let samples = containers
                    .into_iter()
                    .filter_map(|(key, id)| Some((key, self.runtime.world.stats(self.now, &id).ok()?)))
                    .collect();
                self.core.handle(self.now, Input::Sampled(samples));
            }
            Effect::Log(_) => {}
            Effect::Exit(reason) => self.exit = Some(reason),
        }
    }

    fn answer(&mut self, request: &ApiCall) -> Result<Vec<u8>, ApiError> {
        if let Some(answer) = self.answers.get(request.operation()) {
            return answer.clone().map(String::into_bytes);
        }
        let answer = match request {
            ApiCall::RegisterContainerInstance(known)
                if self.refuses_known && known.container_instance_arn.is_some() =>
            {
                return Err(if self.unknown { forgotten() } else { deregistered() });
            }
            ApiCall::RegisterContainerInstance(_) => {
                let sent: serde_json::Value = serde_json::from_str(&request.body()).expect("JSON");
                serde_json::json!({"containerInstance": {
                    "containerInstanceArn": INSTANCE, "attributes": sent["attributes"]}})
            }
            ApiCall::DiscoverPollEndpoint(_) => {
                serde_json::json!({"endpoint": "http://acs", "telemetryEndpoint": "http://tcs"})
            }
            ApiCall::CreateCluster(_) => serde_json::json!({}),
            ApiCall::SubmitTaskStateChange(change) => {
                let text = |member: &Option<String>| member.clone().expect("the agent says it");
                self.reported(&text(&change.task), &text(&change.status), &text(&change.reason));
                serde_json::json!({"acknowledgment": "ok"})
            }
        };
        Ok(answer.to_string().into_bytes())
    }

    fn reported(&mut self, task: &str, status: &str, reason: &str) {
        let text = if reason.is_empty() { status.to_owned() } else { format!("{status}({reason})") };
        self.heard.entry(task.to_owned()).or_default().push(text);
        if status == "STOPPED" {
            self.desired.remove(task);
            if let Some(session) = &mut self.session {
                session.handle(self.now, server::Input::Removed(task.into()));
            }
        }
    }

    fn accept(&mut self, query: &str) {
        let query = longshore_link::upgrade::AcsQuery::parse(query);
        assert_eq!((query.container_instance_arn.as_str(), query.cluster.as_str()), (INSTANCE, "c"));
        self.epoch += 1;
        self.owes_credentials |= query.send_credentials;
        let mut session = server::Session::new(
            self.now,
            server::Connection {
                instance_arn: INSTANCE.into(),
                cluster_arn: CLUSTER.into(),
                send_credentials: self.owes_credentials,
                first_number: server::first_number(self.epoch),
                seed: Seed::new(3),
            },
        );
        let all = self.desired.iter().map(|(task, (want, confirmed))| server::DesiredTask {
            task: task.clone(),
            want: *want,
            confirmed: *confirmed,
        });
        session.handle(self.now, server::Input::Desired(all.collect()));
        self.session = Some(session);
    }

    fn poll_session(&mut self) -> bool {
        let mut acted = false;
        while let Some(session) = &mut self.session {
            let payloads = &self.payloads;
            let Some(output) = session.poll(&mut |task| payloads.get(task).cloned()) else { break };
            acted = true;
            match output {
                server::Output::Send(text) => {
                    let event = SocketEvent::Received(text);
                    let (socket, connection) = (Socket::Commands, self.commands);
                    self.core.handle(self.now, Input::Socket { socket, connection, event });
                }
                server::Output::TaskAcked { task, want } => {
                    if let Some(entry) = self.desired.get_mut(&task)
                        && entry.0 == want
                    {
                        entry.1 = true;
                    }
                }
                server::Output::CredentialsSettled => self.owes_credentials = false,
                server::Output::Malformed(error) => panic!("{error}"),
                server::Output::HeartbeatSeen
                | server::Output::CredentialsAcked { .. }
                | server::Output::Strays(_) => {}
                server::Output::Close(reason) => panic!("{reason:?}"),
            }
        }
        acted
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn refused(message: &str) -> ApiError {
    ApiError::Service { status: 400, code: "ClientException".into(), message: message.into() }
}

fn deregistered() -> ApiError {
    refused("The referenced container instance was inactive.")
}

fn forgotten() -> ApiError {
    refused("The referenced container instance was not found.")
}
