//! The agent without I/O: link, engine and API calls joined.
//!
//! [`AgentCore::handle`] takes one thing that happened, [`AgentCore::poll`] gives what to do, and
//! [`AgentCore::deadline`] says when to call `handle(now, Tick)` at the latest. The shell, or a simulation, does the
//! rest. A crash is nothing but dropping the core; [`AgentCore::new`] with what the journal held is the restart.
//!
//! What has to be durable first waits in a [`gate`]: acks of payloads, starts of containers, reports (but that a container
//! runs, which the next process sees for itself), the answer
//! to a manifest.

mod advice;
mod assignments;
mod credentials;
mod dismissal;
mod gate;
mod link;
mod metrics;
mod registration;
mod reports;
mod runtime;
mod telemetry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use longshore_base::{ContainerName, CpuUnits, Ids, MemoryMib, Port, Seed, Timestamp};
use longshore_engine::journal::JournalRecord;
use longshore_engine::spec::{ContainerKey, OpId, RuntimeId, TaskKey};
use longshore_engine::{Action, HostCapacity, TaskEngine};
use longshore_link::client::{self, Ending, Loss};
use longshore_link::message::{TaskIdentity, TaskManifest};
use longshore_link::upgrade::Refusal;
use longshore_runtime::{RuntimeInfo, StatsSample};
use longshore_sigv4::Credentials;

use crate::api::{ApiCall, ApiError};
use crate::config::Config;
use crate::journal::Change;
use crate::secrets::{LoginPlan, Plan};

pub use credentials::{CredentialStore, Stored};

use assignments::Assignments;
use dismissal::Leaving;
use gate::Gate;
use metrics::Metrics;
use registration::Phase;
use reports::{Outgoing, Reports};
use telemetry::{HealthTold, Publisher, RuntimeStatus};

/// The version that this agent tells. Servers, constraints (`agentVersion >= 1.60.0`) and tools compare it with minimum
/// versions of features, so it is that of the official agent whose protocol this one speaks (agent-protocol), not
/// ours: what a version promises is told by attributes, and [`AGENT_HASH`] says who this is (decision 18).
pub const AGENT_VERSION: &str = "1.105.1";
/// Tells the two apart, where people look.
pub const AGENT_HASH: &str = concat!("longshore-", env!("CARGO_PKG_VERSION"));

/// The label by which an agent finds its own containers, beside those of other agents on the same engine.
pub const AGENT_LABEL: &str = "longshore.agent";

/// Names of the agent's own records in the journal.
mod saved {
    pub const AGENT_ID: &str = "node/agent-id";
    pub const INSTANCE_ARN: &str = "node/container-instance-arn";
    pub const CLUSTER: &str = "node/cluster";
    pub const MANIFEST: &str = "node/manifest-number";
}

/// Names one call of this process; its answer carries it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Which of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Socket {
    /// ACS.
    Commands,
    /// TCS.
    Telemetry,
}

#[derive(Debug)]
pub enum SocketEvent {
    Opened,
    /// The upgrade failed; with the refusal if the answer named one.
    Refused(Option<Refusal>),
    Lost(Loss),
    Received(String),
}

#[derive(Debug)]
pub enum Input {
    /// What a call gave: the body of a 200 answer, or why there is none.
    Answered {
        call: CallId,
        result: Result<Vec<u8>, ApiError>,
    },
    /// Something about a socket; `connection` is that of [`Effect::Connect`]. News of older ones are ignored.
    Socket {
        socket: Socket,
        connection: u64,
        event: SocketEvent,
    },
    /// The result of an action, or an event of the runtime.
    Engine(Box<longshore_engine::Input>),
    /// Every [`Effect::Write`] up to this number is durable.
    Durable(u64),
    /// The journal cannot be written any more: the agent ends, because it cannot promise anything.
    JournalFailed(String),
    /// The disk of the journal is (no longer) full. What was written is durable, from a reserve; new tasks are
    /// declined meanwhile.
    JournalShort(bool),
    /// Answer to [`Effect::CheckRuntime`].
    RuntimeChecked {
        is_well: bool,
    },
    /// Answer to [`Effect::Sample`]; containers that gave none are left out.
    Sampled(Vec<(ContainerKey, StatsSample)>),
    /// End, but leave the containers running.
    Stop,
    Tick,
}

#[derive(Debug)]
pub enum Effect {
    /// Answered by [`Input::Answered`].
    Call {
        call: CallId,
        request: ApiCall,
    },
    /// Open a websocket at `endpoint` (as discovery gave it, with http or https) plus `/ws?query`.
    Connect {
        socket: Socket,
        connection: u64,
        endpoint: String,
        query: String,
    },
    /// A text frame. On TCS it is to be signed (agent-protocol G9).
    Send {
        socket: Socket,
        connection: u64,
        text: String,
    },
    End {
        socket: Socket,
        connection: u64,
        ending: Ending,
    },
    /// Never `Persist`, `AckReady`, `Report`, `ResolveSecrets` or `TaskForgotten`: those are done here.
    Runtime(Box<Action>),
    /// The same of an action that asks a registry, with the login in a secret that this role may read.
    RuntimeAs {
        action: Box<Action>,
        role: Credentials,
        login: LoginPlan,
    },
    /// Write to the journal, in order of the numbers. Answered by [`Input::Durable`].
    Write {
        number: u64,
        changes: Vec<Change>,
    },
    CheckRuntime,
    /// Ask the plan's questions with these credentials, and give the engine what it makes of the answers
    /// ([`longshore_engine::Input::SecretsResolved`]).
    FetchSecrets {
        op: OpId,
        container: ContainerKey,
        role: Credentials,
        plan: Plan,
    },
    /// One sample of each container.
    Sample(Vec<(ContainerKey, RuntimeId)>),
    Log(LogLine),
    /// The last effect.
    Exit(ExitReason),
}

/// Something that an operator should read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogLine {
    #[error("registered as {instance_arn}")]
    Registered { instance_arn: String },
    #[error(
        "{instance_arn} was deregistered; joining as a new container instance, and stopping the old one's tasks"
    )]
    JoinsAnew { instance_arn: String },
    #[error("{operation} failed, trying again: {error}")]
    CallFailed { operation: &'static str, error: ApiError },
    #[error(
        "this container instance was deregistered; stopping and removing what is left of its {tasks} tasks, which the control \
         plane counts as STOPPED"
    )]
    Dismissed { tasks: usize },
    #[error("the report {status} of {task} was refused for good: {error}")]
    ReportRefused { task: TaskKey, status: &'static str, error: ApiError },
    #[error("{socket:?} socket connected")]
    Connected { socket: Socket },
    #[error("{socket:?} socket refused: {refusal:?}")]
    Refused { socket: Socket, refusal: Option<Refusal> },
    #[error("{socket:?} socket lost: {loss:?}")]
    Lost { socket: Socket, loss: Loss },
    #[error("the control plane says: {0}")]
    ServerSays(String),
    #[error("a message was skipped: {0}")]
    Malformed(String),
    #[error("task {task} cannot be loaded: {cause}")]
    Unloadable { task: TaskKey, cause: String },
    #[error("the control plane stops {0}, which is not among the tasks that it wants here")]
    StopVerified(TaskKey),
    #[error("{0}")]
    Housekeeping(longshore_engine::note::Note),
    #[error("task {0} is declined: the agent's data directory is full")]
    Declined(TaskKey),
    #[error(
        "{container} of {task} has the log driver awslogs: the engine keeps its lines ({driver}, shown by `docker logs`), and CloudWatch \
         Logs gets none. This is said once; LONGSHORE_AWSLOGS_DRIVER=off turns it off"
    )]
    AwslogsKept { task: TaskKey, container: ContainerName, driver: &'static str },
    #[error("attachments are not supported; message {0} has no effect")]
    AttachmentIgnored(String),
}

/// Why the agent ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExitReason {
    #[error("asked to stop")]
    Stopped,
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Terminal(String),
}

impl ExitReason {
    /// What the process tells its supervisor (agent-protocol G2).
    pub fn code(&self) -> u8 {
        match self {
            ExitReason::Stopped => 0,
            ExitReason::Failed(_) => 1,
            ExitReason::Terminal(_) => 5,
        }
    }
}

/// The saved state does not fit.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(
        "the data directory belongs to cluster {saved}, and {configured} is configured: name {saved}, or another data directory"
    )]
    OtherCluster { saved: String, configured: String },
    #[error("the saved record {key} cannot be read")]
    Record { key: String, source: serde_json::Error },
}

/// What a call was made for.
#[derive(Debug)]
enum Pending {
    Register { sent: Vec<crate::capability::Attribute> },
    CreateCluster,
    Discover,
    Report(Box<Outgoing>),
}

/// What waits for the disk.
#[derive(Debug)]
enum Gated {
    Action(Box<Action>),
    Manifest { manifest: Box<TaskManifest>, candidates: Vec<TaskIdentity> },
}

/// One container instance.
#[derive(Debug)]
pub struct AgentCore {
    config: Config,
    runtime: RuntimeInfo,
    ids: Ids,
    seed: Seed,
    now: Timestamp,
    /// Value of [`AGENT_LABEL`].
    agent_id: String,
    instance_arn: Option<String>,
    phase: Phase,
    engine: TaskEngine,
    gate: Gate<Gated>,
    calls: BTreeMap<CallId, Pending>,
    next_call: u64,
    reports: Reports,
    assignments: Assignments,
    credentials: CredentialStore,
    commands: Option<client::Session>,
    telemetry: Option<client::Telemetry>,
    /// The latest connection of each socket.
    connections: BTreeMap<Socket, u64>,
    next_connection: u64,
    manifest_number: i64,
    /// New tasks are declined, because they could not be remembered.
    journal_short: bool,
    /// The log has said that `awslogs` is something else here.
    awslogs_told: bool,
    publisher: Option<Publisher>,
    runtime_status: RuntimeStatus,
    health: HealthTold,
    metrics: Metrics,
    sample_at: Timestamp,
    effects: VecDeque<Effect>,
    stopping: bool,
    leaving: Option<Leaving>,
    exited: bool,
}

/// MiB and CPU units that the instance offers, reservations deducted.
fn capacity(config: &Config, runtime: &RuntimeInfo) -> HostCapacity {
    let cpu = config.cpu.unwrap_or(runtime.cores.saturating_mul(1024));
    let total = u32::try_from(runtime.memory_bytes >> 20).unwrap_or(u32::MAX);
    let memory = config.memory_mib.unwrap_or(total).saturating_sub(config.reserved_memory_mib);
    let mut capacity = HostCapacity::new(CpuUnits(cpu), MemoryMib(memory));
    capacity.reserved_tcp.clone_from(&config.reserved_tcp);
    capacity.reserved_udp.clone_from(&config.reserved_udp);
    if let Some(range) = config.dynamic_ports {
        capacity.dynamic_ports = range;
    }
    capacity
}

/// Somewhere in the range, so that agents that share a machine seldom choose the same port.
fn first_port((first, last): (Port, Port), seed: Seed) -> Option<Port> {
    let offset = seed.below(usize::from(last.0.saturating_sub(first.0)) + 1);
    u16::try_from(offset).ok().and_then(|offset| first.0.checked_add(offset)).map(Port)
}

impl AgentCore {
    /// Starts, or starts again with what the journal held. `seed` must differ from earlier runs'.
    pub fn new(
        now: Timestamp,
        seed: Seed,
        config: Config,
        runtime: RuntimeInfo,
        saved: &BTreeMap<String, String>,
    ) -> Result<Self, RestoreError> {
        let text = |key: &str| saved.get(key).cloned();
        if let Some(cluster) = text(saved::CLUSTER)
            && cluster != config.cluster_name()
        {
            let configured = config.cluster_name().to_owned();
            return Err(RestoreError::OtherCluster { saved: cluster, configured });
        }
        let mut records: Vec<JournalRecord> = Vec::new();
        for (key, text) in saved.iter().filter(|(key, _)| !key.starts_with("node/")) {
            let record = serde_json::from_str(text)
                .map_err(|source| RestoreError::Record { key: key.clone(), source })?;
            records.push(record);
        }
        let mut settings = config.engine.clone();
        settings.cluster = config.cluster_name().to_owned();
        let mut ids = Ids::new(seed.of(1));
        let saved_id = text(saved::AGENT_ID);
        let is_new = saved_id.is_none();
        let agent_id = saved_id.unwrap_or_else(|| ids.uuid());
        let mut host = capacity(&config, &runtime);
        host.first_dynamic_port = first_port(host.dynamic_ports, seed.of(8));
        let engine = TaskEngine::restore(settings, host, seed.of(2), records, now);
        let mut core = Self {
            runtime,
            ids,
            seed,
            now,
            agent_id,
            instance_arn: text(saved::INSTANCE_ARN),
            phase: Phase::start(now, seed.of(3)),
            engine,
            gate: Gate::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            reports: Reports::new(seed.of(4)),
            assignments: Assignments::default(),
            credentials: CredentialStore::default(),
            commands: None,
            telemetry: None,
            connections: BTreeMap::new(),
            next_connection: 0,
            manifest_number: text(saved::MANIFEST).and_then(|text| text.parse().ok()).unwrap_or(0),
            journal_short: false,
            awslogs_told: false,
            publisher: None,
            runtime_status: RuntimeStatus::new(now),
            health: HealthTold::default(),
            metrics: Metrics::default(),
            sample_at: now,
            effects: VecDeque::new(),
            stopping: false,
            leaving: None,
            exited: false,
            config,
        };
        // Old ARNs write the same id in another way, and without the cluster.
        let id = |arn: &String| arn.rsplit('/').next().unwrap_or_default().replace('-', "");
        let both = core.config.instance_arn.as_ref().zip(core.instance_arn.as_ref());
        if both.is_some_and(|(own, saved)| id(own) != id(saved)) {
            core.join_anew();
        }
        if is_new {
            let id = core.agent_id.clone();
            core.write(vec![Change { key: saved::AGENT_ID.to_owned(), text: Some(id) }]);
        }
        Ok(core)
    }

    /// The value of [`AGENT_LABEL`] on this agent's containers.
    pub fn agent_id(&self) -> &str {
        &self.agent_id
    }

    /// What the container runtime told about itself at the start.
    pub fn runtime(&self) -> &RuntimeInfo {
        &self.runtime
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `None` before the registration.
    pub fn instance_arn(&self) -> Option<&str> {
        self.instance_arn.as_deref()
    }

    pub fn engine(&self) -> &TaskEngine {
        &self.engine
    }

    pub fn credentials(&self) -> &CredentialStore {
        &self.credentials
    }

    /// The last [`Effect::Write`] that more than an ack waits for: all up to it should be written at once. For others, the
    /// next one that is pressing is better waited for than a sync of the disk of their own. To be asked after every input:
    /// a write that was handed out may become pressing.
    pub fn pressing(&self) -> u64 {
        self.gate.pressing()
    }

    /// True while commands can arrive.
    pub fn is_connected(&self) -> bool {
        self.commands.as_ref().is_some_and(client::Session::is_open)
    }

    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        if self.exited {
            return;
        }
        match input {
            Input::Answered { call, result } => self.answered(call, result),
            Input::Socket { socket, connection, event } => {
                if self.connections.get(&socket) == Some(&connection) {
                    self.socket(socket, event);
                }
            }
            Input::Engine(input) => self.engine_input(*input),
            Input::Durable(number) => self.gate.durable(number),
            Input::JournalFailed(error) => self.exit(ExitReason::Failed(error)),
            Input::JournalShort(is_short) => self.journal_short = is_short,
            Input::RuntimeChecked { is_well } => self.runtime_checked(is_well),
            Input::Sampled(samples) => {
                for (container, sample) in samples {
                    self.metrics.add(container, sample);
                }
            }
            Input::Stop => self.stop(),
            Input::Tick => {}
        }
        self.settle();
    }

    /// The next thing to do. Effects may be carried out concurrently, but writes and the frames of one socket in order.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        if self.exited {
            return None;
        }
        let sample = (self.config.metrics && self.telemetry_is_open()).then_some(self.sample_at);
        // An agent that stops makes no more calls: their times pass without anything to do.
        let calls = !self.stopping;
        [
            self.engine.deadline(),
            self.phase.deadline().filter(|_| calls),
            self.reports.deadline().filter(|_| calls && self.instance_arn.is_some()),
            self.commands.as_ref().and_then(client::Session::deadline),
            self.telemetry.as_ref().and_then(client::Telemetry::deadline),
            sample.filter(|_| calls),
            self.leaving_until(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets every part take the steps that it can.
    fn settle(&mut self) {
        if self.engine.deadline().is_some_and(|at| at <= self.now) {
            self.engine_input(longshore_engine::Input::Tick);
        }
        self.step_registration();
        loop {
            let mut progress = self.step_engine();
            progress |= self.step_gate();
            progress |= self.step_commands();
            progress |= self.step_telemetry();
            if !progress {
                break;
            }
        }
        self.step_reports();
        self.step_samples();
        if self.stopping && self.gate.is_idle() {
            self.exit(ExitReason::Stopped);
        }
        self.step_leaving();
    }

    fn stop(&mut self) {
        self.stopping = true;
        if let Some(commands) = &mut self.commands {
            commands.handle(self.now, client::Input::Stop);
        }
        if let Some(telemetry) = &mut self.telemetry {
            telemetry.handle(self.now, client::TelemetryInput::Stop);
        }
    }

    fn exit(&mut self, reason: ExitReason) {
        if !self.exited {
            self.exited = true;
            self.effects.push_back(Effect::Exit(reason));
        }
    }

    fn log(&mut self, line: LogLine) {
        self.effects.push_back(Effect::Log(line));
    }

    fn write(&mut self, changes: Vec<Change>) {
        let number = self.gate.write();
        self.effects.push_back(Effect::Write { number, changes });
    }

    fn call(&mut self, request: ApiCall, pending: Pending) {
        self.next_call += 1;
        let call = CallId(self.next_call);
        self.calls.insert(call, pending);
        self.effects.push_back(Effect::Call { call, request });
    }

    fn answered(&mut self, call: CallId, result: Result<Vec<u8>, ApiError>) {
        match self.calls.remove(&call) {
            None => {}
            Some(Pending::Register { sent }) => self.registered(&sent, result),
            Some(Pending::CreateCluster) => self.cluster_created(result),
            Some(Pending::Discover) => self.discovered(result),
            Some(Pending::Report(outgoing)) => self.reported(*outgoing, result),
        }
    }

    fn telemetry_is_open(&self) -> bool {
        self.telemetry.as_ref().is_some_and(client::Telemetry::is_open)
    }
}

/// Ports as a registration lists them.
fn port_numbers(ports: &[Port]) -> impl Iterator<Item = u16> + '_ {
    ports.iter().map(|port| port.0)
}
