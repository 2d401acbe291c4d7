//! The core with the real engine and the real server session, a scripted runtime and a disk that can
//! be held or crash, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_engine::input::HealthStatus;
use longshore_link::message::{
    ContainerPayload, DesiredStatus, DockerConfig, FromAgent, FromTelemetry, InstanceStatusValue,
    RoleCredentials, TaskPayload,
};
use longshore_link::server;
use longshore_runtime::scripted::{ImageScript, ScriptedRuntime};
use proptest::prelude::*;

use super::*;

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
                let event = if self.cut_off { SocketEvent::Refused(None) } else { SocketEvent::Opened };
                match socket {
                    Socket::Commands => {
                        assert_eq!(endpoint, "http://acs");
                        self.commands = connection;
                        if !self.cut_off {
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
            Effect::Write { number, changes } => {
                self.pressing.push(self.core.is_pressing(number));
                self.written.push((number, changes));
            }
            Effect::CheckRuntime => {
                let is_well = self.is_runtime_well;
                self.core.handle(self.now, Input::RuntimeChecked { is_well });
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
                return Err(deregistered());
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

#[test]
fn a_journal_without_space_declines_new_tasks_and_goes_on_with_the_others() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    rig.input(Input::JournalShort(true));
    rig.place("b", Rig::payload("b", "bb"));
    rig.run(SECOND);
    let told = rig.heard("b");
    assert!(told.len() == 1 && told[0].starts_with("STOPPED(ResourceInitializationError: "), "{told:?}");
    assert!(rig.core.credentials().get("credentials-b").is_none(), "nothing of it is kept");
    assert!(rig.disk.keys().all(|key| !key.ends_with("/b")));
    // Sent again, the task that is here is acknowledged again.
    rig.cut();
    rig.run(5 * SECOND);
    rig.stop("a");
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
    rig.input(Input::JournalShort(false));
    rig.place("c", Rig::payload("c", "bb"));
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("c").last(), Some(&"RUNNING"));
}

#[test]
fn a_task_is_declined_also_while_nothing_can_be_written() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    rig.syncs = false;
    rig.stop("a");
    rig.input(Input::JournalShort(true));
    rig.place("b", Rig::payload("b", "bb"));
    rig.run(5 * SECOND);
    assert!(rig.heard("b").last().is_some_and(|told| told.starts_with("STOPPED(")), "{:?}", rig.heard("b"));
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"), "its end is told when it is safe");
    assert_eq!(rig.runtime.world.running(), 0, "but it is stopped already");
    rig.syncs = true;
    rig.sync();
    rig.run(SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
}

#[test]
fn a_task_runs_and_stops() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    assert!(rig.desired[Rig::arn("a").as_str()].1, "the payload was acknowledged");
    let stored = rig.core.credentials().get("credentials-a").expect("they came with the payload");
    assert_eq!(stored.task.arn(), Rig::arn("a"));
    rig.stop("a");
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
    assert_eq!(rig.starts(), 1);
    rig.run(4 * 3600 * SECOND);
    assert!(rig.core.credentials().get("credentials-a").is_none(), "clean-up forgets them");
    assert_eq!(rig.core.engine().tasks().count(), 0);
}

#[test]
fn nothing_is_acknowledged_or_started_before_it_is_durable() {
    let mut rig = Rig::connected();
    rig.syncs = false;
    let before = rig.acked.len();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(10 * SECOND);
    assert_eq!((rig.acked.len(), rig.starts()), (before, 0));
    assert_eq!(rig.heard("a"), Vec::<&str>::new());
    rig.syncs = true;
    rig.sync();
    rig.run(2 * SECOND);
    assert_eq!((rig.acked.len(), rig.starts()), (before + 1, 1));
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
}

#[test]
fn that_a_container_runs_is_told_without_waiting_for_the_disk() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    while rig.starts() == 0 {
        rig.run(Duration::from_millis(1));
    }
    rig.syncs = false;
    rig.run(2 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    // What is told before it is written is true after a crash, too.
    rig.crash();
    rig.syncs = true;
    rig.begin();
    rig.run(60 * SECOND);
    assert_eq!(rig.starts(), 1);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    // That it has ended waits.
    rig.syncs = false;
    rig.stop("a");
    rig.run(60 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    rig.syncs = true;
    rig.sync();
    rig.run(2 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
}

#[test]
fn a_write_that_only_an_ack_waits_for_is_not_pressing() {
    let mut rig = Rig::connected();
    rig.pressing.clear();
    rig.syncs = false;
    rig.place("a", Rig::payload("a", "bb"));
    assert_eq!(rig.pressing, [false], "the image is looked for meanwhile");
    rig.syncs = true;
    rig.sync();
    rig.run(10 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    assert!(rig.pressing.iter().filter(|pressing| **pressing).count() >= 2, "the creation and the start");
}

#[test]
fn a_task_that_cannot_be_read_is_reported_and_not_acknowledged() {
    let mut rig = Rig::connected();
    let mut payload = Rig::payload("bad", "bb");
    payload.containers[0].overrides = r#"{"memory":1}"#.into();
    let before = rig.acked.len();
    rig.place("bad", payload);
    rig.run(SECOND);
    let heard = rig.heard("bad").join(" ");
    assert!(
        heard.starts_with(
            "STOPPED(UnrecogniedTaskError: Error loading task - invalid overrides of container 'main'"
        ),
        "{heard}"
    );
    assert_eq!(rig.acked.len(), before);
    rig.run(600 * SECOND);
    assert_eq!(rig.heard("bad").len(), 1, "said once; the server stops resending");
}

#[test]
fn a_crash_restarts_nothing_and_tells_what_happened_meanwhile() {
    let mut rig = Rig::connected();
    rig.runtime.world.script("short", ImageScript::exits(60 * SECOND, 3));
    rig.place("long", Rig::payload("long", "bb"));
    rig.place("short", Rig::payload("short", "short"));
    rig.run(5 * SECOND);
    assert_eq!(rig.starts(), 2);
    rig.crash();
    // The container ends while there is no agent.
    rig.now = rig.now + 120 * SECOND;
    rig.runtime.advance(rig.now);
    rig.begin();
    rig.run(5 * SECOND);
    assert_eq!(rig.starts(), 2, "a running container is not started again");
    assert_eq!(rig.heard("short").last(), Some(&"STOPPED"));
    assert_ne!(rig.heard("long").last(), Some(&"STOPPED"));
    assert!(rig.core.credentials().get("credentials-long").is_some(), "sent again to the new process");
    let registration = rig.calls.iter().rev().find(|call| call.starts_with("Register")).expect("again");
    assert!(registration.contains(INSTANCE), "it is the same instance: {registration}");
    rig.stop("long");
    rig.run(2 * SECOND);
    assert_eq!(rig.heard("long").last(), Some(&"STOPPED"));
}

#[test]
fn reports_survive_an_outage_in_order() {
    let mut rig = Rig::connected();
    rig.runtime.world.script("short", ImageScript::exits(20 * SECOND, 0));
    rig.place("a", Rig::payload("a", "short"));
    rig.settle();
    rig.cut_off = true;
    rig.run(300 * SECOND);
    assert_eq!(rig.heard("a"), Vec::<&str>::new());
    rig.cut_off = false;
    rig.run(60 * SECOND);
    let heard = rig.heard("a").join(" ");
    assert!(heard.ends_with("STOPPED") && heard.matches("STOPPED").count() == 1, "{heard}");
}

#[test]
fn a_report_that_can_never_be_accepted_is_dropped() {
    let mut rig = Rig::connected();
    let error = |code: &str| {
        let code = code.to_owned();
        Err(ApiError::Service { status: 400, code, message: String::new() })
    };
    rig.answers.insert("SubmitTaskStateChange", error("InvalidParameterException"));
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(10 * SECOND);
    let dropped = rig.calls.iter().filter(|call| call.starts_with("Submit")).count();
    rig.run(100 * SECOND);
    assert_eq!(rig.calls.iter().filter(|call| call.starts_with("Submit")).count(), dropped);
    rig.answers.insert("SubmitTaskStateChange", error("ClientException"));
    rig.stop("a");
    rig.run(300 * SECOND);
    let tries = rig.calls.iter().filter(|call| call.starts_with("Submit")).count() - dropped;
    assert!((10..40).contains(&tries), "1 s to 30 s apart for five minutes: {tries}");
}

#[test]
fn a_changed_health_is_told_at_once() {
    let mut rig = Rig::connected();
    rig.runtime.world.script(
        "sick",
        ImageScript {
            health: vec![(5 * SECOND, HealthStatus::Healthy), (30 * SECOND, HealthStatus::Unhealthy)],
            ..ImageScript::default()
        },
    );
    let mut payload = Rig::payload("a", "sick");
    payload.containers[0].health_check_type = "docker".into();
    payload.containers[0].docker_config = Some(DockerConfig {
        version: "1.18".into(),
        config: r#"{"Healthcheck":{"Test":["CMD","true"]}}"#.into(),
        host_config: "{}".into(),
    });
    rig.place("a", payload);
    rig.run(60 * SECOND);
    let times = |wanted| {
        rig.published.iter().find_map(|message| match message {
            FromTelemetry::Health(health) => {
                let container = &health.tasks[0].containers[0];
                (container.health_status == wanted)
                    .then(|| health.timestamp - container.status_since.expect("it is known"))
            }
            _ => None,
        })
    };
    for status in
        [longshore_link::message::HealthStatus::Healthy, longshore_link::message::HealthStatus::Unhealthy]
    {
        let late = times(status).expect("it was published");
        assert!(late < 0.5, "{status:?} was told {late} s late");
    }
}

#[test]
fn a_runtime_that_goes_away_is_told_within_a_round() {
    let mut rig = Rig::connected();
    rig.run(30 * SECOND);
    for (is_well, wanted) in [(false, InstanceStatusValue::Impaired), (true, InstanceStatusValue::Ok)] {
        rig.published.clear();
        rig.is_runtime_well = is_well;
        rig.run(20 * SECOND);
        let last = rig.published.iter().rev().find_map(|message| match message {
            FromTelemetry::InstanceStatus(status) => Some(status.statuses[0].status),
            _ => None,
        });
        assert_eq!(last, Some(wanted));
    }
}

#[test]
fn telemetry_comes_every_twenty_seconds() {
    let mut rig = Rig::connected();
    let is_idle = rig.published.iter().any(|message| match message {
        FromTelemetry::Metrics(metrics) => metrics.metadata.idle == Some(true),
        _ => false,
    });
    assert!(is_idle, "the first message comes at once");
    rig.place("a", Rig::payload("a", "bb"));
    rig.published.clear();
    rig.run(60 * SECOND);
    let statuses = rig.published.iter().filter(|m| matches!(m, FromTelemetry::InstanceStatus(_))).count();
    assert_eq!(statuses, 3);
    let metrics = rig.published.iter().rev().find_map(|message| match message {
        FromTelemetry::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    let task = &metrics.expect("published").task_metrics[0];
    assert_eq!(task.task_arn, Rig::arn("a"));
    assert!(task.container_metrics[0].memory_stats_set.is_some_and(|set| set.sample_count >= 2));
}

#[test]
fn a_task_that_nobody_wants_is_stopped_after_verification() {
    let mut rig = Rig::connected();
    rig.place("lost", Rig::payload("lost", "bb"));
    rig.place("kept", Rig::payload("kept", "bb"));
    rig.run(5 * SECOND);
    // The control plane has forgotten it.
    rig.desired.remove(Rig::arn("lost").as_str());
    rig.cut();
    rig.run(60 * SECOND);
    assert_eq!(rig.heard("lost").last(), Some(&"STOPPED"));
    assert_eq!(rig.heard("kept").last(), Some(&"RUNNING"));
}

#[test]
fn registration_may_end_the_agent() {
    let exit = |status, code: &str, message: &str| {
        let mut rig = Rig::new();
        let (code, message) = (code.to_owned(), message.to_owned());
        rig.answers.insert("RegisterContainerInstance", Err(ApiError::Service { status, code, message }));
        rig.run(2 * 3600 * SECOND);
        rig.exit.map(|reason| reason.code())
    };
    assert_eq!(exit(400, "ClientException", "no"), Some(5));
    assert_eq!(exit(400, "AccessDeniedException", "no"), Some(1));
    assert_eq!(exit(500, "ServerException", "no"), Some(1), "after an hour of tries");
    let mut rig = Rig::new();
    let answer =
        serde_json::json!({"containerInstance": {"containerInstanceArn": INSTANCE, "attributes": []}});
    rig.answers.insert("RegisterContainerInstance", Ok(answer.to_string()));
    rig.run(SECOND);
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "attributes did not come back");
}

fn deregistered() -> ApiError {
    ApiError::Service {
        status: 400,
        code: "ClientException".into(),
        message: "The referenced container instance was inactive.".into(),
    }
}

#[test]
fn a_deregistered_instance_joins_as_a_new_one_where_that_is_wanted() {
    const OLD: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/c/0";
    let mut rig = Rig::connected();
    rig.place("left", Rig::payload("left", "bb"));
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("left").last(), Some(&"RUNNING"));
    // Deregistered by force: nobody wants the task any more. Manifests of the new instance begin with low numbers.
    rig.desired.clear();
    rig.disk.insert(saved::INSTANCE_ARN.to_owned(), OLD.to_owned());
    rig.disk.insert(saved::MANIFEST.to_owned(), i64::MAX.to_string());
    rig.crash();
    rig.core.config.joins_anew = true;
    rig.refuses_known = true;
    rig.begin();
    assert_eq!(rig.exit, None);
    assert_eq!(rig.core.instance_arn(), Some(INSTANCE));
    assert_eq!(rig.disk[saved::INSTANCE_ARN], INSTANCE);
    rig.run(60 * SECOND);
    assert_eq!(rig.heard("left").last(), Some(&"STOPPED"), "unknown to the new instance");

    rig.disk.insert(saved::INSTANCE_ARN.to_owned(), OLD.to_owned());
    rig.crash();
    rig.core.config.joins_anew = false;
    rig.begin();
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "an agent of its own ends");
}

#[test]
fn a_failed_registration_says_what_to_do() {
    let said = |pairs: &[(&str, &str)], error: &ApiError| {
        let mut rig = Rig::with(pairs);
        rig.core.agent_id = "ID".to_owned();
        rig.answers.insert("RegisterContainerInstance", Err(error.clone()));
        rig.run(SECOND);
        rig.exit.map(|reason| reason.to_string()).unwrap_or_default()
    };
    assert_eq!(
        said(&[("ECS_DATADIR", "/var/lib/agent")], &deregistered()),
        "registration failed: ClientException (HTTP 400): The referenced container instance was inactive. \
         Somebody has deregistered this container instance. To join as a new one, move /var/lib/agent away; \
         `docker ps --all --filter label=longshore.agent=ID` shows what is left of its tasks."
    );
    let error = |code: &str, message: &str| ApiError::Service {
        status: 400,
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let cluster = said(&[], &error("ClientException", "Cluster not found."));
    assert!(cluster.contains("aws ecs create-cluster --cluster-name c"), "{cluster}");
    let key = said(&[], &error("InvalidSignatureException", "It does not match."));
    assert!(key.contains("AWS_SECRET_ACCESS_KEY"), "{key}");
}

#[test]
fn a_control_plane_that_is_not_there_yet_is_waited_for() {
    let mut rig = Rig::new();
    rig.cut_off = true;
    rig.run(24 * 3600 * SECOND);
    assert_eq!(rig.exit, None);
    rig.cut_off = false;
    rig.run(10 * SECOND);
    assert!(rig.core.is_connected());
}

#[test]
fn the_default_cluster_is_made() {
    let mut rig = Rig::with(&[("ECS_CLUSTER", "")]);
    rig.core = {
        let pairs = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let config = Config::read(pairs, None).expect("valid").0;
        let saved = BTreeMap::new();
        AgentCore::new(rig.now, Seed::new(1), config, runtime_info(), &saved).expect("nothing is saved")
    };
    let error = ApiError::Service {
        status: 400,
        code: "ClientException".into(),
        message: "Cluster not found.".into(),
    };
    rig.answers.insert("RegisterContainerInstance", Err(error));
    rig.core.handle(rig.now, Input::Tick);
    while let Some(effect) = rig.core.poll() {
        if matches!(&effect, Effect::Call { request: ApiCall::CreateCluster(_), .. }) {
            rig.answers.clear();
            rig.effect(effect);
            break;
        }
        rig.effect(effect);
    }
    let calls: Vec<_> = rig.calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(calls, ["RegisterContainerInstance", "CreateCluster"]);
}

#[test]
fn a_stop_waits_for_the_disk_and_for_no_call() {
    let mut rig = Rig::new();
    rig.cut_off = true;
    rig.begin();
    rig.syncs = false;
    rig.core.write(vec![Change { key: "node/test".into(), text: None }]);
    rig.input(Input::Stop);
    assert_eq!(rig.exit, None, "the journal is not durable");
    rig.now = rig.now + Duration::from_secs(60);
    rig.core.handle(rig.now, Input::Tick);
    assert!(rig.core.deadline().is_none_or(|at| at > rig.now), "a call that is never made must not be due");
    rig.sync();
    assert_eq!(rig.exit, Some(ExitReason::Stopped));
}

#[test]
fn a_stop_leaves_the_containers_running() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    rig.input(Input::Stop);
    assert_eq!(rig.exit, Some(ExitReason::Stopped));
    assert_eq!(rig.runtime.world.running(), 1);
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn state_of_another_cluster_is_refused() {
    let rig = Rig::connected();
    let other = config(&[("ECS_CLUSTER", "other")]);
    let error = AgentCore::new(rig.now, Seed::new(2), other, runtime_info(), &rig.disk);
    assert!(matches!(error, Err(RestoreError::OtherCluster { .. })));
}

#[derive(Clone, Debug)]
enum Step {
    Place,
    Stop(usize),
    Wait(u64),
    Crash,
    Cut,
    Outage(u64),
    /// The disk is slow for so long; then it has written everything, or the process has crashed.
    HoldDisk(u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Place),
        3 => (0..20_usize).prop_map(Step::Stop),
        5 => (1..5_000_u64).prop_map(Step::Wait),
        2 => Just(Step::Crash),
        1 => Just(Step::Cut),
        1 => (1..100_000_u64).prop_map(Step::Outage),
        2 => (1..3_000_u64, any::<bool>()).prop_map(|(millis, crash)| Step::HoldDisk(millis, crash)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Through crashes at any point, lost connections and slow disks: every task that is wanted runs, started once;
    /// every one that is not wanted ends and is reported so.
    #[test]
    fn every_task_ends_up_as_wanted(steps in prop::collection::vec(step(), 1..40)) {
        let mut rig = Rig::connected();
        let mut placed = 0_usize;
        for step in &steps {
            match step {
                Step::Place => {
                    let name = placed.to_string();
                    rig.place(&name, Rig::payload(&name, "bb"));
                    placed += 1;
                }
                Step::Stop(at) => rig.stop(&(at % placed.max(1)).to_string()),
                Step::Wait(millis) => rig.run(Duration::from_millis(*millis)),
                Step::Crash => {
                    rig.crash();
                    rig.begin();
                }
                Step::Cut => rig.cut(),
                Step::Outage(millis) => {
                    rig.cut_off = true;
                    rig.cut();
                    rig.run(Duration::from_millis(*millis));
                    rig.cut_off = false;
                }
                Step::HoldDisk(millis, crash) => {
                    rig.syncs = false;
                    let (name, next) = (placed.to_string(), Rig::payload(&placed.to_string(), "bb"));
                    rig.place(&name, next);
                    placed += 1;
                    rig.run(Duration::from_millis(*millis));
                    if *crash {
                        rig.crash();
                    }
                    rig.syncs = true;
                    if *crash {
                        rig.begin();
                    }
                    rig.settle();
                }
            }
        }
        rig.run(1800 * SECOND);
        for n in 0..placed {
            let name = n.to_string();
            let (heard, wanted) = (rig.heard(&name), rig.desired.get(Rig::arn(&name).as_str()));
            match wanted {
                Some((want, confirmed)) => {
                    prop_assert_eq!(*want, DesiredStatus::Running, "{} should have stopped: {:?}", name, heard);
                    prop_assert!(*confirmed);
                    prop_assert_eq!(heard.last(), Some(&"RUNNING"), "{}: {:?}", name, heard);
                }
                None => {
                    let last = heard.last().copied().unwrap_or_default();
                    prop_assert!(last.starts_with("STOPPED"), "{}: {:?}", name, heard);
                }
            }
        }
        prop_assert_eq!(rig.runtime.world.running(), rig.desired.len());
        for (container, starts) in rig.runtime.world.all_starts() {
            prop_assert!(*starts <= 1, "{} was started {} times", container, starts);
        }
        prop_assert!(rig.runtime.world.double_creates().is_empty());
        prop_assert_eq!(&rig.exit, &None);
    }
}
