//! The agent as it runs: one loop that owns the core, and small tasks that do what it asks for.
//!
//! The loop never waits for anything but its inputs: every effect is handed to a task that sends its result back.
//! So the core is never shared, and there is no lock.

mod caller;
mod calls;
mod cgroup;
mod disk;
mod endpoint;
mod forward;
mod gateway;
mod log;
mod logins;
mod lookup;
mod network;
mod readings;
mod serve;
mod socket;
mod space;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use longshore_base::{Clock, Seed, Timestamp};
use longshore_client::{EndpointError, HttpClient};
use longshore_engine::Action;
use longshore_engine::input::SecretFailure;
use longshore_engine::spec::{ContainerKey, OpId, RuntimeId};
use longshore_runtime::{Executor, LabelFilter, Runtime, RuntimeEvent, RuntimeInfo, executor, limits};
use longshore_sigv4::Credentials;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::config::Config;
use crate::core::{AGENT_LABEL, AgentCore, CallId, Effect, ExitReason, Input, RestoreError, Socket};
use crate::journal::{Journal, JournalError};
use crate::secrets::Plan;

use calls::Calls;
pub use endpoint::{CredentialsEndpoint, EndpointUnavailable};
use gateway::{Gateway, Peers};
use logins::{NodeLogins, SecretLogin};
use lookup::Sources;
use readings::LastReadings;
use serve::Query;
use socket::Outgoing;

/// How many inputs may wait for the loop before whoever brings more has to wait. A burst of container events
/// is the largest that comes; each is some hundred bytes.
const INPUTS_MAX: usize = 1024;

/// How often a container runtime that does not answer yet is asked again at the start.
const RUNTIME_RETRY: Duration = Duration::from_secs(1);

/// What an agent needs from its process. Cheap to clone; several agents share them.
#[derive(Clone)]
pub struct Services {
    pub runtime: Arc<dyn Runtime>,
    pub http: HttpClient,
    /// The instance's key, where it is renewed while the agent runs; else it stays that of its configuration.
    pub keys: Option<watch::Receiver<Credentials>>,
    pub clock: Arc<dyn Clock>,
    /// Different for every agent and every start.
    pub seed: Seed,
    /// Where containers ask for the credentials of their roles. Without one, the agent takes no tasks with a role.
    pub credentials: Option<Arc<CredentialsEndpoint>>,
}

/// What the owner of an agent can watch while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub instance_arn: Option<String>,
    /// The ACS socket is open, so commands can arrive.
    pub connected: bool,
}

/// Why an agent could not begin.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("cannot open the agent's journal; check ECS_DATADIR")]
    Journal(#[source] JournalError),
    #[error("cannot call the control plane; check ECS_BACKEND_HOST")]
    Endpoint(#[from] EndpointError),
    #[error("cannot use the saved state")]
    Restore(#[source] RestoreError),
}

/// Runs one agent until `shutdown` resolves or the agent ends by itself. Containers go on running.
///
/// `status` is told every change, e.g. to wait until the instance is connected.
pub async fn run(
    mut config: Config,
    services: Services,
    status: watch::Sender<Status>,
    shutdown: impl Future<Output = ()>,
) -> Result<ExitReason, AgentError> {
    tokio::pin!(shutdown);
    let info = tokio::select! {
        info = runtime_info(&services.runtime) => info,
        () = &mut shutdown => return Ok(ExitReason::Stopped),
    };
    config.engine.task_cgroups = cgroup::choose(&config, &info);
    config.engine.task_network = tokio::select! {
        network = network::prepare(&config, &services.runtime, services.seed.of(u64::MAX)) => network,
        () = &mut shutdown => return Ok(ExitReason::Stopped),
    };
    config.task_role &= services.credentials.is_some();
    config.task_role_host_network &= config.task_role;
    config.engine.serves_credentials = config.task_role;
    let gateway = gateway::open(&config, &services.runtime).await;
    let credentials = match services.credentials.clone().filter(|_| config.task_role) {
        Some(endpoint) => Some((endpoint, gateway::peers(&config, &services.runtime).await)),
        None => None,
    };
    if let Some(gateway) = &gateway {
        config.engine.metadata_endpoint = Some(gateway.url.clone());
    }
    // A network that other agents share, or that the next process will look for, stays when this agent ends.
    let stays = config.shared_network.is_some() || config.data_dir.is_some();
    let network_to_remove =
        config.engine.task_network.as_ref().filter(|_| !stays).map(|own| own.name.clone());
    let runtime = services.runtime.clone();
    let journal = match config.data_dir.clone() {
        Some(directory) => {
            let opened = tokio::task::spawn_blocking(move || Journal::open(&directory)).await;
            let (journal, torn) = opened.expect("opening does not panic").map_err(AgentError::Journal)?;
            if torn > 0 {
                warn!(bytes = torn, "cut off what a crash left half-written in the journal");
            }
            Some(journal)
        }
        None => None,
    };
    let saved = journal.as_ref().map(|journal| journal.content().clone()).unwrap_or_default();
    let calls = Calls::new(&config, &services)?;
    let now = services.clock.now();
    let core = AgentCore::new(now, services.seed, config, info, &saved).map_err(AgentError::Restore)?;
    drop(saved);
    let reason = Shell::new(core, services, calls, journal, status).run(gateway, credentials, shutdown).await;
    if let Some(name) = network_to_remove {
        network::forget(&runtime, &name).await;
    }
    Ok(reason)
}

/// Asks until the runtime answers: an agent may be up before its engine.
async fn runtime_info(runtime: &Arc<dyn Runtime>) -> RuntimeInfo {
    let mut told = false;
    loop {
        match tokio::time::timeout(limits::INFO, runtime.info()).await {
            Ok(Ok(info)) => return info,
            Ok(Err(error)) if !told => warn!(%error, "the container runtime does not answer; waiting for it"),
            Err(_) if !told => warn!("the container runtime does not answer; waiting for it"),
            Ok(Err(_)) | Err(_) => {}
        }
        told = true;
        tokio::time::sleep(RUNTIME_RETRY).await;
    }
}

struct Shell {
    core: AgentCore,
    services: Services,
    calls: Calls,
    executor: Executor,
    inputs: mpsc::Sender<Input>,
    received: mpsc::Receiver<Input>,
    disk: Option<disk::Disk>,
    /// The current connection of each socket, by its number, and the way to its task.
    sockets: BTreeMap<Socket, (u64, mpsc::Sender<Outgoing>)>,
    status: watch::Sender<Status>,
    last_readings: Arc<LastReadings>,
    /// Everything that was spawned; ends with the shell.
    tasks: JoinSet<()>,
    /// The agent's name on every log line.
    name: String,
}

impl Shell {
    fn new(
        core: AgentCore,
        services: Services,
        calls: Calls,
        journal: Option<Journal>,
        status: watch::Sender<Status>,
    ) -> Self {
        let (inputs, received) = mpsc::channel(INPUTS_MAX);
        let config = core.config();
        let mut tasks = JoinSet::new();
        let disk = journal
            .map(|journal| disk::Disk::start(&mut tasks, journal, inputs.clone(), config.name.clone()));
        if config.engine.disk_marks.high > 0 && !core.runtime().root_directory.is_empty() {
            let (root, marks) = (core.runtime().root_directory.clone(), config.engine.disk_marks);
            tasks.spawn(space::watch(root.into(), marks, inputs.clone(), config.name.clone()));
        }
        let (logins, problem) = NodeLogins::read(config.engine_auth.as_ref());
        if let Some(problem) = problem {
            warn!(%problem, "ECS_ENGINE_AUTH_DATA is not used");
        }
        Self {
            calls,
            last_readings: Arc::default(),
            executor: Executor::new(services.runtime.clone(), Arc::new(logins)),
            name: config.name.clone(),
            core,
            services,
            inputs,
            received,
            disk,
            sockets: BTreeMap::new(),
            status,
            tasks,
        }
    }

    async fn run(
        mut self,
        gateway: Option<Gateway>,
        credentials: Option<(Arc<CredentialsEndpoint>, Peers)>,
        mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> ExitReason {
        self.watch_runtime();
        let (queries, mut asked) = mpsc::channel::<Query>(64);
        let listen = [self.core.config().introspection, self.core.config().metadata];
        for (address, surface) in
            listen.into_iter().zip([serve::Surface::Introspection, serve::Surface::Tasks])
        {
            if let Some(address) = address {
                self.tasks.spawn(serve::listen(address, surface, queries.clone(), self.name.clone()));
            }
        }
        if let Some(Gateway { listener, peers, url: _ }) = gateway {
            let (surface, name) = (serve::Surface::Tasks, self.name.clone());
            self.tasks.spawn(serve::accept(listener, Some(peers), surface, queries.clone(), name));
        }
        let _joined = credentials.map(|(endpoint, peers)| endpoint.join(queries.clone(), peers));
        let sources =
            Sources::new(self.services.runtime.clone(), self.calls.clone(), self.last_readings.clone());
        let mut stopping = false;
        loop {
            if let Some(reason) = self.carry_out() {
                return reason;
            }
            let sleep = tokio::time::sleep(self.until(self.core.deadline()));
            tokio::select! {
                () = &mut shutdown, if !stopping => {
                    stopping = true;
                    self.input(Input::Stop);
                }
                Some(input) = self.received.recv() => self.input(input),
                Some(query) = asked.recv() => query.answer(&self.core, &sources, &mut self.tasks),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        error!(agent = %self.name, %error, "a task of the agent panicked");
                        return ExitReason::Failed("a task of the agent panicked".to_owned());
                    }
                }
                () = sleep => self.input(Input::Tick),
            }
        }
    }

    /// The time until a deadline; an hour if there is none, which costs nothing.
    fn until(&self, deadline: Option<Timestamp>) -> Duration {
        deadline.map_or(Duration::from_secs(3600), |at| at.since(self.services.clock.now()))
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.services.clock.now(), input);
        let (arn, connected) = (self.core.instance_arn(), self.core.is_connected());
        self.status.send_if_modified(|told| {
            let changed = told.connected != connected || told.instance_arn.as_deref() != arn;
            if changed {
                *told = Status { instance_arn: arn.map(str::to_owned), connected };
            }
            changed
        });
    }

    /// Does everything that the core asks for. Gives the reason if that is to end.
    fn carry_out(&mut self) -> Option<ExitReason> {
        while let Some(effect) = self.core.poll() {
            match effect {
                Effect::Call { call, request } => self.call(call, request),
                Effect::Connect { socket, connection, endpoint, query } => {
                    let (outgoing, frames) = mpsc::channel(socket::OUTGOING_MAX);
                    self.sockets.insert(socket, (connection, outgoing));
                    self.tasks.spawn(socket::run(socket::Job {
                        socket,
                        connection,
                        endpoint,
                        query,
                        calls: self.calls.clone(),
                        frames,
                        inputs: self.inputs.clone(),
                    }));
                }
                Effect::Send { socket, connection, text } => {
                    self.send(socket, connection, Outgoing::Text(text));
                }
                Effect::End { socket, connection, ending } => {
                    self.send(socket, connection, Outgoing::End(ending));
                }
                Effect::Runtime(action) => self.act(self.executor.clone(), *action),
                Effect::RuntimeAs { action, role, login } => {
                    let login = SecretLogin::new(self.calls.of(role), login);
                    self.act(self.executor.with_logins(Arc::new(login)), *action);
                }
                Effect::Write { number, changes } => match &self.disk {
                    Some(disk) => disk.write(number, changes),
                    // Without a data directory nothing is promised beyond this process.
                    None => self.input(Input::Durable(number)),
                },
                Effect::CheckRuntime => self.check_runtime(),
                Effect::FetchSecrets { op, container, role, plan } => {
                    self.fetch_secrets(op, container, role, plan);
                }
                Effect::Sample(containers) => self.sample(containers),
                Effect::Log(line) => log::write(&self.name, &line),
                Effect::Exit(reason) => return Some(reason),
            }
        }
        if let Some(disk) = &self.disk {
            disk.press(self.core.pressing());
        }
        None
    }

    /// Asks for what containers are to be given, with the rights of their task's execution role.
    fn fetch_secrets(&mut self, op: OpId, container: ContainerKey, role: Credentials, plan: Plan) {
        let (calls, inputs) = (self.calls.of(role), self.inputs.clone());
        self.tasks.spawn(async move {
            let answers = join_all(plan.questions.iter().map(|question| calls.ask(question))).await;
            let result = plan.answer(answers).map_err(SecretFailure::Failed);
            let resolved = longshore_engine::Input::SecretsResolved { op, container, result };
            let _ = inputs.send(Input::Engine(Box::new(resolved))).await;
        });
    }

    /// Asks the runtime whether it answers.
    fn check_runtime(&mut self) {
        let (runtime, inputs) = (self.services.runtime.clone(), self.inputs.clone());
        self.tasks.spawn(async move {
            let answer = tokio::time::timeout(limits::PING, runtime.ping()).await;
            let is_well = matches!(answer, Ok(Ok(())));
            let _ = inputs.send(Input::RuntimeChecked { is_well }).await;
        });
    }

    /// Reads what these containers use, one after the other; those that cannot be read in time are left out.
    fn sample(&mut self, containers: Vec<(ContainerKey, RuntimeId)>) {
        let (runtime, inputs) = (self.services.runtime.clone(), self.inputs.clone());
        let last_readings = self.last_readings.clone();
        self.tasks.spawn(async move {
            let mut samples = Vec::with_capacity(containers.len());
            for (key, id) in containers {
                let reading = tokio::time::timeout(limits::STATS, runtime.container_stats(&id)).await;
                if let Ok(Ok(reading)) = reading {
                    last_readings.put(&id, reading.text, tokio::time::Instant::now());
                    samples.push((key, reading.sample));
                }
            }
            let _ = inputs.send(Input::Sampled(samples)).await;
        });
    }

    /// Calls the control plane's API.
    fn call(&mut self, call: CallId, request: crate::api::ApiCall) {
        let (calls, inputs) = (self.calls.clone(), self.inputs.clone());
        self.tasks.spawn(async move {
            let result = calls.call(request.operation(), request.body()).await;
            let _ = inputs.send(Input::Answered { call, result }).await;
        });
    }

    /// A socket that does not take its frames any more is given up; its task tells the core.
    fn send(&mut self, socket: Socket, connection: u64, outgoing: Outgoing) {
        if let Some((current, frames)) = self.sockets.get(&socket)
            && *current == connection
            && frames.try_send(outgoing).is_err()
        {
            self.sockets.remove(&socket);
        }
    }

    /// Does an engine's action: on the runtime, or on cgroups.
    fn act(&mut self, executor: Executor, action: Action) {
        let inputs = self.inputs.clone();
        let cgroups = cgroup::Cgroups {
            root: self.core.config().cgroup_path.clone(),
            version: self.core.config().engine.task_cgroups,
        };
        self.tasks.spawn(async move {
            let input = match executor.perform(action).await {
                Ok(input) => Some(input),
                Err(action) => cgroups.perform(*action).await,
            };
            if let Some(input) = input {
                let _ = inputs.send(Input::Engine(Box::new(input))).await;
            }
        });
    }

    /// Hands the runtime's events to the core, the list of containers first.
    fn watch_runtime(&mut self) {
        let filter = LabelFilter::new([format!("{AGENT_LABEL}={}", self.core.agent_id())]);
        let mut events = self.services.runtime.events(&filter);
        let (inputs, name) = (self.inputs.clone(), self.name.clone());
        self.tasks.spawn(async move {
            while let Some(event) = events.next().await {
                if let RuntimeEvent::Lost(error) = &event {
                    warn!(agent = %name, %error, "the container runtime does not answer");
                }
                let Some(input) = executor::input_of(event) else { continue };
                if inputs.send(Input::Engine(Box::new(input))).await.is_err() {
                    return;
                }
            }
            // Without events the agent would run on and see nothing; the loop ends with this task's panic.
            panic!("the container runtime's events have ended, which they never do");
        });
    }
}
