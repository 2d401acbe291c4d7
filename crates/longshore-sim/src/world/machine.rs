//! A machine: its container engine, its disk, and an agent that comes and goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use longshore_base::{Cidr, TaskId, Timestamp};
use longshore_engine::Action;
use longshore_engine::spec::TaskNetwork;
use longshore_link::client::Loss;
use longshore_link::upgrade::Refusal;
use longshore_node::config::Config;
use longshore_node::core::{AgentCore, Effect, ExitReason, Input, Socket, SocketEvent};
use longshore_node::journal::Change;
use longshore_runtime::RuntimeInfo;
use longshore_runtime::port::{LabelFilter, NetworkInfo};
use longshore_runtime::scripted::{Faults, ImageScript, ScriptedRuntime};
use longshore_tables_ecs::ClusterKey;

use super::network::{Caller, PipeId};
use super::{Event, START, Skew, World, watch};
use crate::images::{self, Image};
use crate::scenario::MachineSetup;

/// Where the dynamic host ports begin.
const FIRST_DYNAMIC_PORT: u32 = 40_000;
/// How long a supervisor waits before it starts an agent again that ended by itself.
const SUPERVISOR_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Machine {
    pub setup: MachineSetup,
    /// What its agents join, by its number in the world's places.
    pub place: usize,
    pub config: Config,
    pub docker: ScriptedRuntime,
    /// Until when its container engine does not answer.
    pub engine_away_until: Option<Timestamp>,
    /// What is durable of the agent's journal.
    disk: BTreeMap<String, String>,
    /// How its clock differs from the world's.
    pub skew: Skew,
    /// Until when its network carries nothing.
    pub cut_until: Option<Timestamp>,
    /// When it carried something again.
    pub healed_at: Timestamp,
    /// What the network carries when it does so again.
    pub held: Vec<Event>,
    /// Goes up whenever an agent begins or ends: what an earlier one waited for is nothing to this one.
    pub incarnation: u64,
    pub agent: Option<Agent>,
    /// When the process of the agent began that there is, or was.
    pub agent_since: Timestamp,
    /// False once it has vanished.
    pub alive: bool,
    /// An agent is to be started, at the latest then.
    pub starts_at: Option<Timestamp>,
    /// Its ARN as a container instance, as its agents have known it.
    pub instance: Option<String>,
    /// The agent has given up for good.
    pub given_up: Option<ExitReason>,
    /// It was told that its instance is INACTIVE.
    pub was_dismissed: bool,
    /// Tasks of which no agent knows any more, because its disk was wiped. Nobody may touch them.
    pub orphans: BTreeSet<TaskId>,
    /// Its agent is killed after so many more starts, and is down so long.
    pub dies_after: Option<(u8, Duration)>,
    /// The next manifest that it gets leaves a task out.
    pub stale_manifest: bool,
}

/// A running agent.
pub(super) struct Agent {
    pub core: AgentCore,
    /// Written, in order, and not durable.
    written: VecDeque<(u64, Vec<Change>)>,
    /// The disk is at work, up to this number.
    syncing: Option<u64>,
    pipes: BTreeMap<Socket, PipeId>,
}

impl Agent {
    /// The connection that it has for commands, or is opening.
    pub fn commands(&self) -> Option<PipeId> {
        self.pipes.get(&Socket::Commands).copied()
    }
}

fn info(setup: MachineSetup) -> RuntimeInfo {
    RuntimeInfo {
        name: "scripted".into(),
        version: "20.10".into(),
        api_version: (1, 41),
        cores: setup.cpu / 1024,
        memory_bytes: u64::from(setup.memory) << 20,
        operating_system: "linux".into(),
        architecture: "x86_64".into(),
        ..RuntimeInfo::default()
    }
}

fn config(setup: MachineSetup, at: &ClusterKey, name: usize) -> Config {
    let attributes = match setup.provider {
        Some(provider) => format!(r#"{{"longshore.capacity-provider": "{}"}}"#, provider.name()),
        None => "{}".to_owned(),
    };
    // Just enough for as many tasks as fit, with two ports each, so that the search for a free one comes round soon.
    let ports = 2 * (setup.memory / images::MEMORY_LEAST) + 2;
    let ports = format!("{FIRST_DYNAMIC_PORT}-{}", FIRST_DYNAMIC_PORT + ports - 1);
    let pairs = [
        ("ECS_DYNAMIC_HOST_PORT_RANGE", ports),
        ("AWS_ACCESS_KEY_ID", at.scope.account.to_string()),
        ("AWS_DEFAULT_REGION", at.scope.region.to_string()),
        ("ECS_INSTANCE_ATTRIBUTES", attributes),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("ECS_CLUSTER", at.cluster.to_string()),
        ("ECS_DATADIR", "/data".to_owned()),
        ("ECS_DISABLE_METRICS", "false".to_owned()),
        ("ECS_ENABLE_TASK_ENI", "true".to_owned()),
        ("LONGSHORE_AGENT_NAME", format!("m{name}")),
        ("LONGSHORE_AVAILABILITY_ZONE", format!("{}{}", at.scope.region, char::from(b'a' + setup.zone))),
    ];
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
    let mut config = Config::read(pairs, None).expect("these are valid").0;
    config.engine.task_network = network(&config, subnet(setup));
    // What the agent's shell sets where it has the address for it.
    config.engine.serves_credentials = config.task_role;
    config
}

/// The network of a machine for tasks in awsvpc mode. Its first address is its gateway.
pub(super) fn subnet(setup: MachineSetup) -> Cidr {
    Cidr::of(Ipv4Addr::new(10, 9, 0, 0), setup.prefix).expect("setups have a valid prefix")
}

/// What the agent's shell would have made.
fn network(config: &Config, subnet: Cidr) -> Option<TaskNetwork> {
    let request = longshore_node::network::request(config, longshore_base::Seed::new(0))?;
    longshore_node::network::share(config, request, NetworkInfo { subnet, gateway: subnet.nth(1)? })
}

/// Whether an agent learns by this that somebody has deregistered its instance.
fn is_dismissal(input: &Input) -> bool {
    if let Input::Socket { event: SocketEvent::Refused(Some(refusal)), .. } = input {
        return *refusal == Refusal::InactiveInstance;
    }
    matches!(input, Input::Answered { result: Err(error), .. } if error.is_deregistered())
}

impl Machine {
    fn new(
        setup: MachineSetup,
        (place, at): (usize, &ClusterKey),
        name: usize,
        seed: longshore_base::Seed,
    ) -> Self {
        let mut docker = ScriptedRuntime::new(seed);
        docker.world.fallback(None);
        let mut machine = Self {
            setup,
            place,
            config: config(setup, at, name),
            docker,
            engine_away_until: None,
            disk: BTreeMap::new(),
            skew: Skew::default(),
            cut_until: None,
            healed_at: START,
            held: Vec::new(),
            incarnation: 0,
            agent: None,
            agent_since: START,
            alive: true,
            starts_at: None,
            instance: None,
            given_up: None,
            was_dismissed: false,
            orphans: BTreeSet::new(),
            dies_after: None,
            stale_manifest: false,
        };
        machine.images(|_| {});
        machine
    }

    /// Sets how its images behave from now on; what was pulled stays.
    pub fn images(&mut self, change: impl Fn(&mut ImageScript)) {
        for (name, mut script) in Image::ALL.into_iter().flat_map(Image::scripts) {
            script.present = self.docker.world.image_inspect(name).is_ok();
            change(&mut script);
            self.docker.world.script(name, script);
        }
    }

    pub fn is_engine_away(&self, now: Timestamp) -> bool {
        self.engine_away_until.is_some_and(|until| now < until)
    }

    fn deadline(&self) -> Option<Timestamp> {
        if !self.alive {
            return None;
        }
        let agent = self.agent.as_ref().and_then(|agent| agent.core.deadline());
        [self.docker.deadline(), agent.map(|at| self.skew.when(at))].into_iter().flatten().min()
    }
}

impl World {
    pub(super) fn add_machine(&mut self, setup: MachineSetup) {
        let index = self.machines.len();
        let seed = self.seed.of(1000 + index as u64);
        let place = self.place_of(setup);
        self.machines.push(Machine::new(setup, (place, &self.places[place]), index, seed));
        self.note(|| format!("m{index} joins: {setup:?}"));
        self.start_agent_in(index, Duration::ZERO);
    }

    fn place_of(&self, setup: MachineSetup) -> usize {
        let cluster = usize::from(setup.cluster);
        if !setup.pool {
            return cluster;
        }
        let pool = ClusterKey::pool(self.clusters[cluster].scope.region.clone());
        self.places.iter().position(|place| *place == pool).expect("each region has its pool")
    }

    pub(super) fn machines_deadline(&self) -> Option<Timestamp> {
        self.machines.iter().filter_map(Machine::deadline).min()
    }

    pub(super) fn advance_machines(&mut self) {
        for index in 0..self.machines.len() {
            if self.machines[index].deadline().is_some_and(|at| at <= self.now) {
                self.advance_engine(index);
                if self.machines[index].agent.is_some() {
                    self.agent_input(index, Input::Tick);
                }
            }
        }
    }

    fn advance_engine(&mut self, index: usize) {
        let inputs = self.machines[index].docker.advance(self.now);
        for (_, input) in inputs {
            self.note(|| format!("m{index} engine: {input:?}"));
            self.agent_input(index, Input::Engine(Box::new(input)));
        }
        self.watch_engine(index);
    }

    pub(super) fn agent_input(&mut self, index: usize, input: Input) {
        let machine = &mut self.machines[index];
        let now = machine.skew.read(self.now);
        let Some(agent) = &mut machine.agent else { return };
        machine.was_dismissed |= is_dismissal(&input);
        agent.core.handle(now, input);
        if let Some(arn) = agent.core.instance_arn()
            && machine.instance.as_deref() != Some(arn)
        {
            machine.instance = Some(arn.to_owned());
        }
        self.carry_out(index);
    }

    fn carry_out(&mut self, index: usize) {
        while let Some(effect) = self.machines[index].agent.as_mut().and_then(|agent| agent.core.poll()) {
            self.effect(index, effect);
        }
    }

    fn effect(&mut self, index: usize, effect: Effect) {
        let machine = &mut self.machines[index];
        let Some(agent) = &mut machine.agent else { return };
        match effect {
            Effect::Call { call, request } => {
                let caller = Caller::Agent { machine: index, incarnation: machine.incarnation, call };
                self.call(caller, request.operation(), request.body());
            }
            Effect::Connect { socket, connection, endpoint: _, query } => {
                let pipe = self.open_pipe(index, socket, connection, query);
                if let Some(agent) = &mut self.machines[index].agent {
                    agent.pipes.insert(socket, pipe);
                }
            }
            Effect::Send { socket, connection: _, text } => {
                if let Some(&pipe) = agent.pipes.get(&socket) {
                    self.note(|| format!("m{index} says {socket:?} {text}"));
                    self.send_up(pipe, Some(text));
                }
            }
            Effect::End { socket, .. } => {
                if let Some(pipe) = agent.pipes.remove(&socket) {
                    self.send_up(pipe, None);
                }
            }
            Effect::Runtime(action) => {
                self.note(|| format!("m{index} does {action:?}"));
                self.watch_action(index, &action);
                if matches!(*action, Action::StartContainer { .. }) {
                    self.count_down(index);
                }
                let performed = self.machines[index].docker.perform(self.now, *action);
                if let Err(action) = performed {
                    self.fail("agent", format!("m{index} hands out an action that is its own: {action:?}"));
                }
            }
            Effect::Write { number, changes } => {
                agent.written.push_back((number, changes));
                self.sync(index);
            }
            Effect::CheckRuntime => {
                let is_well = !machine.is_engine_away(self.now);
                self.agent_input(index, Input::RuntimeChecked { is_well });
            }
            // No scenario has secrets.
            Effect::FetchSecrets { plan, .. } => {
                self.fail("agent", format!("m{index} asks for secrets: {:?}", plan.questions));
            }
            Effect::RuntimeAs { login, .. } => {
                self.fail("agent", format!("m{index} asks for a login: {:?}", login.question));
            }
            Effect::Sample(containers) => {
                let world = &machine.docker.world;
                let sample = |(key, id)| Some((key, world.stats(self.now, &id).ok()?));
                let samples = containers.into_iter().filter_map(sample).collect();
                self.agent_input(index, Input::Sampled(samples));
            }
            Effect::Log(line) => self.note(|| format!("m{index} logs: {line}")),
            Effect::Exit(reason) => self.agent_exits(index, reason),
        }
    }

    /// A step wants the agent dead shortly after one of its starts: so a write that the start should have waited for may be
    /// lost.
    fn count_down(&mut self, index: usize) {
        let Some((starts, down)) = self.machines[index].dies_after else { return };
        let left = starts.saturating_sub(1);
        self.machines[index].dies_after = (left > 0).then_some((left, down));
        if left == 0 {
            let incarnation = self.machines[index].incarnation;
            let at = self.now + self.disks.millis(0, 20);
            self.push(at, Event::Kill { machine: index, incarnation, down });
        }
    }

    /// Takes the agent away from its machine, if there is one. What its container engine was asked for happens all the
    /// same, with nobody to hear of it but the checks: now, if it is due at this very moment.
    fn take_agent(&mut self, index: usize) -> Option<Agent> {
        let machine = &mut self.machines[index];
        let agent = machine.agent.take()?;
        machine.docker.agent_restarted(self.now);
        self.watch_engine(index);
        Some(agent)
    }

    /// Lets the disk work on everything that was written meanwhile.
    fn sync(&mut self, index: usize) {
        let (low, high) = self.setup.agent_disk_millis;
        let machine = &mut self.machines[index];
        let incarnation = machine.incarnation;
        let Some(agent) = &mut machine.agent else { return };
        if agent.syncing.is_none()
            && let Some(&(upto, _)) = agent.written.back()
        {
            agent.syncing = Some(upto);
            let at = self.now + self.disks.millis(low, high);
            self.push(at, Event::Synced { machine: index, incarnation, upto });
        }
    }

    pub(super) fn synced(&mut self, index: usize, incarnation: u64, upto: u64) {
        let machine = &mut self.machines[index];
        let Some(agent) = machine.agent.as_mut().filter(|_| machine.incarnation == incarnation) else {
            return;
        };
        agent.syncing = None;
        while let Some((number, changes)) = agent.written.pop_front() {
            if number > upto {
                agent.written.push_front((number, changes));
                break;
            }
            store(&mut machine.disk, changes);
        }
        self.agent_input(index, Input::Durable(upto));
        self.sync(index);
    }

    /// kill -9. What the disk was at work on may be there or not, in order; containers live on.
    pub(super) fn agent_crash(&mut self, index: usize, down: Duration) {
        if !self.machines[index].alive {
            return;
        }
        if let Some(mut agent) = self.take_agent(index) {
            let machine = &mut self.machines[index];
            let under_way = agent
                .written
                .iter()
                .filter(|(number, _)| agent.syncing.is_some_and(|upto| *number <= upto))
                .count();
            for _ in 0..self.disks.below(under_way + 1) {
                if let Some((_, changes)) = agent.written.pop_front() {
                    store(&mut machine.disk, changes);
                }
            }
            self.note(|| format!("m{index}'s agent is killed"));
            for pipe in agent.pipes.into_values() {
                self.send_up(pipe, None);
            }
        }
        self.machines[index].incarnation += 1;
        self.start_agent_in(index, down);
    }

    fn agent_exits(&mut self, index: usize, reason: ExitReason) {
        self.note(|| format!("m{index}'s agent ends: {reason:?}"));
        let Some(agent) = self.take_agent(index) else { return };
        let machine = &mut self.machines[index];
        machine.incarnation += 1;
        for (_, changes) in agent.written {
            store(&mut machine.disk, changes);
        }
        for pipe in agent.pipes.into_values() {
            self.send_up(pipe, None);
        }
        match reason {
            // The step that asked for it also starts it again, perhaps at a time when it was still writing its journal.
            ExitReason::Stopped => {
                if let Some(at) = self.machines[index].starts_at {
                    self.push(at.max(self.now), Event::AgentUp { machine: index });
                }
            }
            ExitReason::Failed(_) => self.start_agent_in(index, SUPERVISOR_PAUSE),
            ExitReason::Terminal(_) => self.machines[index].given_up = Some(reason),
        }
    }

    pub(super) fn start_agent_in(&mut self, index: usize, pause: Duration) {
        let at = self.now + pause;
        let machine = &mut self.machines[index];
        machine.starts_at = Some(machine.starts_at.map_or(at, |other| other.min(at)));
        self.push(at, Event::AgentUp { machine: index });
    }

    pub(super) fn agent_up(&mut self, index: usize) {
        let seed = self.seeds.seed();
        let now = self.now;
        let machine = &mut self.machines[index];
        if !machine.alive || machine.agent.is_some() || machine.starts_at.is_none_or(|at| at > now) {
            return;
        }
        // An agent waits for its container engine before it does anything.
        if let Some(until) = machine.engine_away_until.filter(|until| now < *until) {
            machine.starts_at = Some(until);
            return self.push(until, Event::AgentUp { machine: index });
        }
        machine.starts_at = None;
        machine.incarnation += 1;
        // What became of the earlier agent's actions: this one learns it from the containers that it finds.
        drop(machine.docker.advance(now));
        self.watch_engine(index);
        let machine = &mut self.machines[index];
        let clock = machine.skew.read(now);
        let core = AgentCore::new(clock, seed, machine.config.clone(), info(machine.setup), &machine.disk);
        let core = match core {
            Ok(core) => core,
            Err(error) => return self.fail("agent", format!("m{index} cannot read what it saved: {error}")),
        };
        let agent = Agent { core, written: VecDeque::new(), syncing: None, pipes: BTreeMap::new() };
        machine.agent = Some(agent);
        machine.agent_since = now;
        let containers = machine.docker.found();
        self.tally.agent_starts += 1;
        self.note(|| format!("m{index}'s agent starts and finds {} containers", containers.len()));
        self.agent_input(index, Input::Engine(Box::new(longshore_engine::Input::Restored { containers })));
    }

    /// The agent is killed, and finds nothing of what it saved: it has to join as a new instance.
    pub(super) fn wipe_disk(&mut self, index: usize, down: Duration, containers: bool) {
        if !self.machines[index].alive {
            return;
        }
        self.agent_crash(index, down);
        let now = self.now;
        // What its engine was asked for may still happen, so that looking at its containers is not enough.
        let made = self.tasks_made_on(index);
        let machine = &mut self.machines[index];
        machine.disk.clear();
        machine.given_up = None;
        machine.was_dismissed = false;
        machine.orphans.extend(made);
        if containers {
            machine.docker.world.interrupt(now, Duration::ZERO, true);
        }
        self.note(|| format!("m{index}'s disk is wiped"));
    }

    /// Power fails: the containers end with the agent.
    pub(super) fn reboot(&mut self, index: usize, down: Duration) {
        if !self.machines[index].alive {
            return;
        }
        self.agent_crash(index, down);
        self.note(|| format!("m{index} reboots"));
        self.machines[index].docker.world.interrupt(self.now, Duration::ZERO, true);
    }

    /// Somebody ends what no agent knows any more.
    pub(super) fn end_orphans(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        for found in machine.docker.world.list(&LabelFilter::default()) {
            if watch::task_of(&found.container).is_some_and(|id| machine.orphans.contains(&id)) {
                machine.docker.world.kill_from_outside(self.now, &found.observation.runtime_id, 137);
            }
        }
    }

    /// Ends in an orderly way, and comes back.
    pub(super) fn agent_stop(&mut self, index: usize, down: Duration) {
        self.agent_input(index, Input::Stop);
        self.start_agent_in(index, down + Duration::from_secs(1));
    }

    pub(super) fn vanish(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if !machine.alive {
            return;
        }
        machine.alive = false;
        machine.agent = None;
        machine.incarnation += 1;
        // Nobody is left to close its connections: the other end has to find out.
        machine.cut_until = Some(Timestamp::MAX);
        machine.held.clear();
        self.note(|| format!("m{index} vanishes"));
    }

    /// The container engine behaves again.
    pub(super) fn mend(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.images(|_| {});
        machine.docker.world.faults(Faults::default());
    }

    /// The agent's connections break; it opens new ones by itself.
    pub(super) fn disconnect(&mut self, index: usize) {
        self.break_pipes(index);
    }

    pub(super) fn lose_pipe(&mut self, pipe: PipeId) {
        self.send_down(pipe, SocketEvent::Lost(Loss::Broken));
    }
}

fn store(disk: &mut BTreeMap<String, String>, changes: Vec<Change>) {
    for change in changes {
        match change.text {
            Some(text) => disk.insert(change.key, text),
            None => disk.remove(&change.key),
        };
    }
}
