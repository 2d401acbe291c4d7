//! A runtime, a journal and a control plane that live in memory, and short texts for what happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use longshore_base::{Cidr, ContainerName, CpuUnits, MemoryMib, Port, Protocol, Seed, Timestamp};
use longshore_engine::input::{
    FoundContainer, HealthStatus, LocalImage, Observation, ObservedHealth, ObservedStatus, OpError,
    OpErrorKind, ResolvedSecrets,
};
use longshore_engine::journal::{JournalChange, JournalRecord};
use longshore_engine::report::{ReportedStatus, TaskReport};
use longshore_engine::spec::{
    Condition, ContainerDefinition, ContainerKey, ContainerRole, ContainerSpec, Dependency, Desired,
    Environment, HealthTracking, NetworkMode, NetworkPlace, PortMapping, RegistryAuth, RestartPolicy,
    RuntimeId, TaskInterface, TaskKey, TaskNetwork, TaskSpec, VolumesFrom,
};
use longshore_engine::{Action, HostCapacity, Input, Settings, TaskEngine};

/// One container of the scripted runtime.
#[derive(Clone, Debug)]
pub struct Fake {
    pub key: ContainerKey,
    pub spec: ContainerSpec,
    pub status: ObservedStatus,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub health: Option<HealthStatus>,
    pub starts: u32,
}

impl Fake {
    pub fn lives(&self) -> bool {
        self.status == ObservedStatus::Running
    }

    pub fn end(&mut self, now: Timestamp, exit_code: i32, oom_killed: bool) {
        if self.lives() {
            self.status = ObservedStatus::Exited { exit_code, oom_killed, error: None };
            self.finished_at = Some(now);
        }
    }
}

/// What the scripted runtime answers instead of doing it.
#[derive(Clone, Debug)]
pub enum Script {
    Fail(OpErrorKind, &'static str),
    /// Do it, but answer with this error.
    FailAfter(OpErrorKind, &'static str),
    /// Never answer.
    Silence,
}

pub struct World {
    pub engine: TaskEngine,
    pub settings: Settings,
    pub host: HostCapacity,
    pub now: Timestamp,
    pub journal: BTreeMap<String, JournalRecord>,
    pub fakes: BTreeMap<String, Fake>,
    pub local_images: BTreeSet<String>,
    pub scripts: BTreeMap<String, VecDeque<Script>>,
    pub reports: Vec<TaskReport>,
    pub accepted: BTreeMap<TaskKey, ReportedStatus>,
    pub log: Vec<String>,
    /// Answers to starts do not tell when, as those of a runtime that answers without an inspection.
    pub terse_starts: bool,
    /// The answer to the next operation of this name is kept here instead of being told.
    pub held: Option<(String, Option<Input>)>,
    created: u64,
    lives: u64,
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn key(id: &str) -> TaskKey {
    TaskKey::new(&format!("arn:aws:ecs:us-east-1:111122223333:task/c/{id}"))
}

pub fn host() -> HostCapacity {
    HostCapacity {
        dynamic_ports: (Port(32768), Port(32777)),
        ..HostCapacity::new(CpuUnits(1024), MemoryMib(1024))
    }
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let (host, now) = (host(), Timestamp::from_millis(1_800_000_000_000));
        Self {
            engine: TaskEngine::new(settings.clone(), host.clone(), Seed::new(1)),
            settings,
            host,
            now,
            journal: BTreeMap::new(),
            fakes: BTreeMap::new(),
            local_images: BTreeSet::new(),
            scripts: BTreeMap::new(),
            reports: Vec::new(),
            accepted: BTreeMap::new(),
            log: Vec::new(),
            terse_starts: false,
            held: None,
            created: 0,
            lives: 1,
        }
    }

    /// The next answers to operations named like `pull app`.
    pub fn script(&mut self, operation: &str, scripts: impl IntoIterator<Item = Script>) {
        self.scripts.entry(operation.to_owned()).or_default().extend(scripts);
    }

    pub fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        if let Some(at) = self.engine.deadline() {
            assert!(at > self.now, "a deadline in the past");
        }
    }

    /// Does everything that the engine wants, at once.
    pub fn run(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            if let Some(input) = self.perform(action) {
                self.input(input);
            }
        }
    }

    pub fn feed(&mut self, input: Input) {
        self.input(input);
        self.run();
    }

    /// Lets time pass, keeping every deadline.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.run();
        while let Some(at) = self.engine.deadline().filter(|at| *at <= until) {
            self.now = at;
            self.feed(Input::Tick);
        }
        self.now = until;
        self.feed(Input::Tick);
    }

    /// The process dies and starts again on the same journal and runtime.
    pub fn restart(&mut self) {
        self.crash();
        let containers = self.list();
        self.feed(Input::Restored { containers });
    }

    pub fn crash(&mut self) {
        self.lives += 1;
        self.engine = TaskEngine::restore(
            self.settings.clone(),
            self.host.clone(),
            Seed::new(u128::from(self.lives)),
            self.journal.values().cloned(),
            self.now,
        );
    }

    pub fn list(&self) -> Vec<FoundContainer> {
        self.fakes
            .iter()
            .map(|(id, fake)| FoundContainer {
                container: fake.key.clone(),
                name: fake.spec.name.clone(),
                observation: look(id, fake),
            })
            .collect()
    }

    pub fn fake_mut(&mut self, container: &str) -> (RuntimeId, &mut Fake) {
        let (id, fake) =
            self.fakes.iter_mut().find(|(_, f)| f.key.name.as_str() == container).expect("a container");
        (RuntimeId::new(id), fake)
    }

    /// A container's process ends, and the runtime says so.
    pub fn exit(&mut self, container: &str, exit_code: i32) {
        let now = self.now;
        let (id, fake) = self.fake_mut(container);
        fake.end(now, exit_code, false);
        let (container, observation) = (fake.key.clone(), look(id.as_str(), fake));
        self.feed(Input::ContainerObserved { container, observation });
    }

    pub fn health(&mut self, container: &str, health: HealthStatus) {
        let (id, fake) = self.fake_mut(container);
        fake.health = Some(health);
        let (container, observation) = (fake.key.clone(), look(id.as_str(), fake));
        self.feed(Input::ContainerObserved { container, observation });
    }

    pub fn stop(&mut self, task: &TaskKey) {
        self.feed(Input::StopRequested { task: task.clone(), containers: Vec::new() });
    }

    /// What happened since the last call, without journal and acknowledgements.
    pub fn news(&mut self) -> String {
        std::mem::take(&mut self.log).join("\n")
    }

    fn scripted(&mut self, operation: &str) -> Option<Script> {
        self.scripts.get_mut(operation).and_then(VecDeque::pop_front)
    }

    /// Does one action; gives what the engine hears of it.
    pub fn perform(&mut self, action: Action) -> Option<Input> {
        let (operation, input) = self.carry_out(action);
        let Some(operation) = operation else { return input };
        self.log.push(operation.clone());
        let name = operation.split(" grace=").next().unwrap_or(&operation).to_owned();
        if let Some((held, answer @ None)) = &mut self.held
            && *held == name
        {
            *answer = input;
            return None;
        }
        match self.scripted(&name) {
            None => input,
            Some(Script::Silence) => None,
            Some(Script::Fail(kind, text) | Script::FailAfter(kind, text)) => {
                let error = OpError { kind, text: text.to_owned() };
                input.map(|input| with_error(input, error))
            }
        }
    }

    fn skips(&self, operation: &str) -> bool {
        matches!(
            self.scripts.get(operation).and_then(|s| s.front()),
            Some(Script::Fail(..) | Script::Silence)
        )
    }

    fn carry_out(&mut self, action: Action) -> (Option<String>, Option<Input>) {
        let local = |image: &str| LocalImage { id: format!("sha256:{image}"), digest: None, size_bytes: 1 };
        let missing = |text: &str| OpError { kind: OpErrorKind::NotFound, text: text.to_owned() };
        match action {
            Action::Persist(changes) => {
                for change in changes {
                    match change {
                        JournalChange::Put(key, record) => {
                            self.journal.insert(key.to_string(), *record);
                        }
                        JournalChange::Delete(key) => {
                            self.journal.remove(&key.to_string());
                        }
                    }
                }
                (None, None)
            }
            Action::AckReady(_) => (None, None),
            Action::Report(report) => {
                self.log.push(show(&report));
                let (task, id) = (report.task.clone(), report.id);
                self.accepted.insert(task.clone(), report.status);
                self.reports.push(report);
                (None, Some(Input::ReportAccepted { task, id }))
            }
            Action::ResolveSecrets { op, container, .. } => {
                let result = Ok(ResolvedSecrets::default());
                (
                    Some(format!("secrets {}", container.name)),
                    Some(Input::SecretsResolved { op, container, result }),
                )
            }
            Action::InspectImage { op, container, image } => {
                let known = self.local_images.contains(&image);
                let result = if known { Ok(local(&image)) } else { Err(missing("No such image")) };
                (Some(format!("look {image}")), Some(Input::ImageInspected { op, container, result }))
            }
            Action::ResolveManifest { op, container, image, .. } => {
                let result = Ok(format!("sha256:digest-{image}"));
                (Some(format!("manifest {image}")), Some(Input::ManifestResolved { op, container, result }))
            }
            Action::Pull { op, container, image, .. } => {
                let name = format!("pull {image}");
                if !self.skips(&name) {
                    self.local_images.insert(image.clone());
                }
                let result = Ok(local(&image));
                (Some(name), Some(Input::PullFinished { op, container, result }))
            }
            Action::PrepareNetwork { op, container, network, .. } => (
                Some(format!("network {}", network.name)),
                Some(Input::NetworkPrepared { op, container, result: Ok(()) }),
            ),
            Action::CreateCgroup { op, task, spec } => (
                Some(format!("cgroup {}", spec.parent)),
                Some(Input::CgroupCreated { op, task, result: Ok(()) }),
            ),
            Action::RemoveCgroup { op, task, parent } => (
                Some(format!("remove cgroup {parent}")),
                Some(Input::CgroupRemoved { op, task, result: Ok(()) }),
            ),
            Action::CreateVolume { op, task, volume, .. } => (
                Some(format!("volume {volume}")),
                Some(Input::VolumeCreated { op, task, volume, result: Ok(()) }),
            ),
            Action::RemoveVolume { op, task, volume, .. } => (
                Some(format!("remove volume {volume}")),
                Some(Input::VolumeRemoved { op, task, volume, result: Ok(()) }),
            ),
            Action::CreateContainer { op, container, spec, .. } => {
                let name = format!("create {}", container.name);
                let result = self.create(&name, &container, *spec);
                (Some(name), Some(Input::ContainerCreated { op, container, result }))
            }
            Action::StartContainer { op, container, runtime_id, .. } => {
                let name = format!("start {}", container.name);
                let (now, skip) = (self.now, self.skips(&name));
                let homeless = self.is_homeless(&runtime_id);
                let result = match self.fakes.get_mut(runtime_id.as_str()) {
                    Some(_) if homeless => Err(OpError {
                        kind: OpErrorKind::Other,
                        text: "cannot join network of a non running container".to_owned(),
                    }),
                    Some(fake) => {
                        if !skip && !fake.lives() {
                            fake.status = ObservedStatus::Running;
                            fake.started_at = Some(now);
                            fake.finished_at = None;
                            fake.health = None;
                            fake.starts += 1;
                        }
                        let seen = look(runtime_id.as_str(), fake);
                        let started_at = seen.started_at.filter(|_| !self.terse_starts);
                        Ok(Observation { started_at, ..seen })
                    }
                    None => Err(missing("No such container")),
                };
                (Some(name), Some(Input::ContainerStarted { op, container, result }))
            }
            Action::StopContainer { op, container, runtime_id, grace, .. } => {
                let name = format!("stop {}", container.name);
                let (now, skip) = (self.now, self.skips(&name));
                let result = match self.fakes.get_mut(runtime_id.as_str()) {
                    Some(fake) => {
                        if !skip {
                            fake.end(now, 143, false);
                        }
                        Ok(Some(look(runtime_id.as_str(), fake)))
                    }
                    None => Err(missing("No such container")),
                };
                let shown = format!("{name} grace={}", grace.as_secs());
                (Some(shown), Some(Input::ContainerStopped { op, container, result }))
            }
            Action::InspectContainer { op, container, runtime_id } => {
                let found = self
                    .fakes
                    .iter()
                    .find(|(id, f)| **id == runtime_id.as_str() || f.spec.name == runtime_id.as_str());
                let result = found.map(|(id, f)| look(id, f)).ok_or_else(|| missing("No such container"));
                (
                    Some(format!("inspect {}", container.name)),
                    Some(Input::ContainerInspected { op, container, result }),
                )
            }
            Action::RemoveContainer { op, container, runtime_id } => {
                let name = format!("remove {}", container.name);
                if !self.skips(&name) {
                    let gone = runtime_id.as_str();
                    self.fakes.retain(|id, fake| id != gone && fake.spec.name != gone);
                }
                (Some(name), Some(Input::ContainerRemoved { op, container, result: Ok(()) }))
            }
            Action::ListImages { op } => (None, Some(Input::ImagesListed { op, result: Ok(Vec::new()) })),
            Action::RemoveImage { op, .. } => (None, Some(Input::ImageRemoved { op, result: Ok(()) })),
            Action::TaskForgotten(task) => (Some(format!("forget {}", task.id())), None),
        }
    }

    /// True if the container is to share a name space that is not there.
    fn is_homeless(&self, id: &RuntimeId) -> bool {
        match self.fakes.get(id.as_str()).map(|fake| &fake.spec.network) {
            Some(NetworkPlace::Shared(pause)) => !self.fakes.get(pause.as_str()).is_some_and(Fake::lives),
            Some(NetworkPlace::ByMode | NetworkPlace::Own { .. }) | None => false,
        }
    }

    fn create(
        &mut self,
        name: &str,
        container: &ContainerKey,
        spec: ContainerSpec,
    ) -> Result<RuntimeId, OpError> {
        if let Some((id, _)) = self.fakes.iter().find(|(_, f)| f.spec.name == spec.name) {
            let kind = OpErrorKind::NameInUse(Some(RuntimeId::new(id)));
            return Err(OpError { kind, text: "name in use".to_owned() });
        }
        self.created += 1;
        let id = format!("{:064x}", self.created);
        if !self.skips(name) {
            self.fakes.insert(
                id.clone(),
                Fake {
                    key: container.clone(),
                    spec,
                    status: ObservedStatus::Created,
                    started_at: None,
                    finished_at: None,
                    health: None,
                    starts: 0,
                },
            );
        }
        Ok(RuntimeId::new(&id))
    }
}

pub fn look(id: &str, fake: &Fake) -> Observation {
    Observation {
        runtime_id: RuntimeId::new(id),
        status: fake.status.clone(),
        created_at: None,
        started_at: fake.started_at,
        finished_at: fake.finished_at,
        pid: None,
        image_id: None,
        ports: Vec::new(),
        networks: Vec::new(),
        health: fake.health.map(|status| ObservedHealth { status, exit_code: None, output: String::new() }),
        mounts: Vec::new(),
    }
}

/// The same input with a failure for a result.
pub fn with_error(input: Input, error: OpError) -> Input {
    match input {
        Input::ImageInspected { op, container, .. } => {
            Input::ImageInspected { op, container, result: Err(error) }
        }
        Input::ManifestResolved { op, container, .. } => {
            Input::ManifestResolved { op, container, result: Err(error) }
        }
        Input::PullFinished { op, container, .. } => {
            Input::PullFinished { op, container, result: Err(error) }
        }
        Input::VolumeCreated { op, task, volume, .. } => {
            Input::VolumeCreated { op, task, volume, result: Err(error) }
        }
        Input::ContainerCreated { op, container, .. } => {
            Input::ContainerCreated { op, container, result: Err(error) }
        }
        Input::NetworkPrepared { op, container, .. } => {
            Input::NetworkPrepared { op, container, result: Err(error) }
        }
        Input::ContainerStarted { op, container, .. } => {
            Input::ContainerStarted { op, container, result: Err(error) }
        }
        Input::ContainerStopped { op, container, .. } => {
            Input::ContainerStopped { op, container, result: Err(error) }
        }
        Input::ContainerInspected { op, container, .. } => {
            Input::ContainerInspected { op, container, result: Err(error) }
        }
        Input::ContainerRemoved { op, container, .. } => {
            Input::ContainerRemoved { op, container, result: Err(error) }
        }
        other => other,
    }
}

/// `report RUNNING [app RUNNING exit=0 (reason)] (task reason)`.
fn show(report: &TaskReport) -> String {
    let containers: Vec<String> = report
        .containers
        .iter()
        .map(|c| {
            let exit = c.exit_code.map_or_else(String::new, |code| format!(" exit={code}"));
            let reason = if c.reason.is_empty() { String::new() } else { format!(" ({})", c.reason) };
            let ports: String = c.bindings.iter().map(|b| format!(" :{}", b.host_first)).collect();
            format!("{} {}{exit}{ports}{reason}", c.name, c.status.as_str())
        })
        .collect();
    let reason = if report.reason.is_empty() { String::new() } else { format!(" ({})", report.reason) };
    format!("report {} [{}]{reason}", report.status.as_str(), containers.join(", "))
}

/// A task from lines such as `app image=bb cpu=10 mem=64 optional port=80 port=8080:80 dep=db:HEALTHY
/// link=db from=db stop=5 startTimeout=10 restart=60 health`. With `awsvpc` as the first line, it is in that mode.
pub fn task(id: &str, containers: &[&str]) -> TaskSpec {
    if let ["awsvpc", containers @ ..] = containers {
        let mut spec = task(id, containers);
        spec.network_mode = NetworkMode::Awsvpc;
        spec.interface = Some(interface());
        return spec;
    }
    TaskSpec {
        key: key(id),
        cluster_arn: String::new(),
        family: "fam".to_owned(),
        revision: "1".to_owned(),
        desired: Desired::Running,
        containers: containers.iter().map(|line| container(line)).collect(),
        volumes: Vec::new(),
        cpu_millis: None,
        memory: None,
        network_mode: NetworkMode::Bridge,
        interface: None,
        pid_mode: Default::default(),
        ipc_mode: Default::default(),
        launch_type: "EC2".to_owned(),
        service_name: None,
        group: None,
        task_credentials: None,
        execution_credentials: None,
        enable_fault_injection: false,
    }
}

fn interface() -> TaskInterface {
    TaskInterface {
        attachment_arn: String::new(),
        id: "eni-1".to_owned(),
        mac: "02:42:0a:09:00:05".to_owned(),
        address: Ipv4Addr::new(10, 9, 0, 5),
        gateway: Ipv4Addr::new(10, 9, 0, 1),
        prefix: 24,
        private_dns_name: String::new(),
        name_servers: Vec::new(),
        search_domains: Vec::new(),
    }
}

pub fn network() -> TaskNetwork {
    let subnet = Cidr::of(Ipv4Addr::new(10, 9, 0, 0), 24).expect("a network");
    TaskNetwork {
        name: "tasks".to_owned(),
        subnet,
        gateway: Ipv4Addr::new(10, 9, 0, 1),
        range: subnet,
        owner: String::new(),
    }
}

pub fn name(text: &str) -> ContainerName {
    ContainerName::parse(text).expect("a valid name")
}

fn container(line: &str) -> ContainerDefinition {
    let mut words = line.split_whitespace();
    let own = words.next().expect("a name");
    let mut c = ContainerDefinition {
        name: name(own),
        role: ContainerRole::Ordinary,
        image: own.to_owned(),
        essential: true,
        cpu: CpuUnits(10),
        memory: Some(MemoryMib(64)),
        memory_reservation: None,
        entry_point: None,
        command: None,
        environment: Environment::default(),
        environment_files: Vec::new(),
        secrets: Vec::new(),
        ports: Vec::new(),
        links: Vec::new(),
        mounts: Vec::new(),
        volumes_from: Vec::new(),
        depends_on: Vec::new(),
        start_timeout: None,
        stop_timeout: None,
        restart_policy: None,
        health: HealthTracking::Off,
        registry_auth: RegistryAuth::Node,
        arn: None,
        docker_config: None,
        docker_host_config: None,
    };
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let port = |text: &str| Port(text.parse().expect("a port"));
    for word in words {
        let (word, value) = word.split_once('=').unwrap_or((word, ""));
        match word {
            "image" => c.image = value.to_owned(),
            "cpu" => c.cpu = CpuUnits(number(value)),
            "mem" => c.memory = Some(MemoryMib(number(value))),
            "optional" => c.essential = false,
            "port" => {
                let (host, container) =
                    value.split_once(':').map_or((None, value), |(h, c)| (Some(port(h)), c));
                let (first, count) = container
                    .split_once('+')
                    .map_or((container, 1), |(f, n)| (f, n.parse().expect("a count")));
                c.ports.push(PortMapping {
                    container_first: port(first),
                    count,
                    host,
                    protocol: Protocol::Tcp,
                    range: count > 1,
                });
            }
            "dep" => {
                let (on, condition) = value.split_once(':').expect("name:CONDITION");
                let condition = match condition {
                    "START" => Condition::Start,
                    "COMPLETE" => Condition::Complete,
                    "SUCCESS" => Condition::Success,
                    "HEALTHY" => Condition::Healthy,
                    other => panic!("no condition {other}"),
                };
                c.depends_on.push(Dependency { on: name(on), condition });
            }
            "link" => c.links.push(value.to_owned()),
            "from" => c.volumes_from.push(VolumesFrom { container: name(value), read_only: false }),
            "stop" => c.stop_timeout = Some(seconds(number(value).into())),
            "startTimeout" => c.start_timeout = Some(seconds(number(value).into())),
            "restart" => {
                c.restart_policy = Some(RestartPolicy {
                    enabled: true,
                    ignored_exit_codes: vec![99],
                    attempt_period: seconds(number(value).into()),
                });
            }
            "health" => c.health = HealthTracking::On,
            "nohealth" => c.health = HealthTracking::Missing,
            other => panic!("no word {other}"),
        }
    }
    c
}
