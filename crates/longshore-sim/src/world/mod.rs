//! The simulated world: one control plane, machines, users, and the network between them.
//!
//! Everything happens in virtual time from one queue of events, ordered by time and then by when they
//! were made. The parts are the shipped ones; this module and its children stand in for sockets, disks, the clock
//! and chance, and nothing else.

mod capacity;
mod follower;
mod machine;
mod network;
mod roles;
mod rollouts;
mod script;
mod server;
mod sessions;
mod settle;
mod users;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use longshore_base::{AccountId, ClusterName, Region, Scope, Seed, Timestamp};
use longshore_node::core::SocketEvent;
use longshore_tables_ecs::ClusterKey;

use crate::chance::Chance;
use crate::scenario::{ClusterSetup, Scenario, Setup, Timed};
use machine::Machine;
use network::{Call, CallId, Pipe, PipeId, Reply};
use roles::Roles;
use server::Server;
pub(crate) use users::LAST_ARRIVAL;
use watch::Watch;

/// When every run begins.
const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
/// The most events at one instant; more means that two parts answer each other without end.
const EVENTS_AT_ONCE_MAX: u32 = 20_000;
/// How long everything may take to settle after the last fault. Longer than the longest pause of any part: a
/// connection that hangs is noticed within two minutes by either end, and an agent waits for up to two more.
const SETTLE_MAX: Duration = Duration::from_secs(20 * 60);
/// How often a run looks whether users have all that they need to begin.
const PREPARE_LOOK: Duration = Duration::from_millis(50);
/// How often a run that settles looks whether it has.
const SETTLE_LOOK: Duration = Duration::from_secs(5);

/// What goes from one part of the world to another, with a delay.
#[derive(Debug)]
enum Event {
    /// A step of the script.
    Step(usize),
    /// An HTTP request reaches the server.
    Request(CallId),
    /// Its answer reaches the caller.
    Answer {
        call: CallId,
        reply: Reply,
    },
    /// The caller waits no longer.
    GiveUp(CallId),
    /// A user tries again.
    Retry(users::Wish),
    /// The request for a websocket reaches the server.
    Upgrade {
        pipe: PipeId,
        query: String,
    },
    /// A frame, or the end of the connection.
    ToServer {
        pipe: PipeId,
        frame: Option<String>,
    },
    ToAgent {
        pipe: PipeId,
        event: SocketEvent,
    },
    /// The server's disk has written the group of commits.
    Committed {
        epoch: u32,
    },
    ServerUp,
    /// The server's controllers look at what they were hinted at.
    Look {
        epoch: u32,
    },
    Synced {
        machine: usize,
        incarnation: u64,
        upto: u64,
    },
    AgentUp {
        machine: usize,
    },
    /// An agent is killed, if it is still the same one.
    Kill {
        machine: usize,
        incarnation: u64,
        down: Duration,
    },
    Heal {
        machine: usize,
    },
    /// What a step did to a machine's container engine is over.
    Mend {
        machine: usize,
    },
    /// Containers ask for the credentials of their roles.
    Ask,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise; equal for equal mistakes, so that shrinking does not slip to another one.
    pub rule: &'static str,
    pub text: String,
    /// Counted from the beginning of the run.
    pub at: Duration,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {:.3} s): {}", self.rule, self.at.as_secs_f64(), self.text)
    }
}

/// What a run did, for people and for comparing two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub transactions: u64,
    pub tasks: u64,
    pub containers_started: u64,
    pub server_starts: u64,
    pub agent_starts: u64,
    pub answers: u64,
    pub refusals: u64,
    pub virtual_millis: u64,
    /// How often a container was given credentials.
    pub credentials_given: u64,
    /// How long they were good for when that was least, in seconds.
    pub least_left_secs: Option<u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.events += other.events;
        self.transactions += other.transactions;
        self.tasks += other.tasks;
        self.containers_started += other.containers_started;
        self.server_starts += other.server_starts;
        self.agent_starts += other.agent_starts;
        self.answers += other.answers;
        self.refusals += other.refusals;
        self.virtual_millis += other.virtual_millis;
        self.credentials_given += other.credentials_given;
        let least = [self.least_left_secs, other.least_left_secs];
        self.least_left_secs = least.into_iter().flatten().min();
    }
}

pub struct World {
    setup: Setup,
    steps: Vec<Timed>,
    now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Event>,
    queued: u64,
    seed: Seed,
    /// How many seeds secrets were made of.
    secrets: u64,
    /// One stream of chance for each part, so that they do not disturb each other.
    network: Chance,
    disks: Chance,
    users: Chance,
    seeds: Chance,
    clusters: Vec<ClusterKey>,
    /// What agents join and calls are about: the clusters, in their order, and after them the Fargate pools of their regions.
    places: Vec<ClusterKey>,
    server: Server,
    machines: Vec<Machine>,
    calls: BTreeMap<CallId, Call>,
    next_call: u64,
    pipes: BTreeMap<PipeId, Pipe>,
    next_pipe: u64,
    tokens: u64,
    watch: Watch,
    roles: Roles,
    violation: Option<Violation>,
    /// After the horizon: no more faults, and nothing gets lost.
    calm: bool,
    tally: Tally,
    log: Option<Vec<String>>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub tally: Tally,
    pub violation: Option<Violation>,
    /// What happened, if it was to be written down.
    pub log: Vec<String>,
}

/// Runs a scenario to its end, or to the first broken promise. A panic is one: no request and no message may crash a
/// part (design, promise 6).
pub fn run(scenario: &Scenario, with_log: bool) -> Outcome {
    let mut world = World::new(scenario, with_log);
    // The world is not used after a panic, but for telling what happened before.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.go())) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text");
        world.fail("panic", text.to_owned());
    }
    world.tally.virtual_millis = world.elapsed().as_millis() as u64;
    Outcome { tally: world.tally, violation: world.violation, log: world.log.unwrap_or_default() }
}

impl World {
    fn new(scenario: &Scenario, with_log: bool) -> Self {
        let seed = Seed::new(u128::from(scenario.seed)).of(0x5eed);
        let clusters: Vec<ClusterKey> = scenario.setup.clusters.iter().map(cluster_key).collect();
        let regions: BTreeSet<&Region> = clusters.iter().map(|own| &own.scope.region).collect();
        let pools = regions.into_iter().map(|region| ClusterKey::pool(region.clone()));
        let places = clusters.iter().cloned().chain(pools).collect();
        let mut world = Self {
            setup: scenario.setup.clone(),
            steps: scenario.steps.clone(),
            now: START,
            queue: BTreeMap::new(),
            queued: 0,
            seed,
            network: Chance::new(seed.of(1)),
            disks: Chance::new(seed.of(2)),
            users: Chance::new(seed.of(3)),
            seeds: Chance::new(seed.of(4)),
            secrets: 0,
            clusters,
            places,
            server: Server::new(),
            machines: Vec::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            pipes: BTreeMap::new(),
            next_pipe: 0,
            tokens: 0,
            watch: Watch::default(),
            roles: Roles::default(),
            violation: None,
            calm: false,
            tally: Tally::default(),
            log: with_log.then(Vec::new),
        };
        world.server_up();
        // An agent that finds no cluster of the name it was given ends for good (agent-protocol G3).
        world.calm = true;
        // Clusters name their capacity providers, which must be there before.
        for prepare in [World::prepare_account, World::prepare_clusters] {
            prepare(&mut world);
            while world.violation.is_none() && !world.is_prepared() {
                world.run_until(world.now + PREPARE_LOOK);
            }
        }
        world.calm = false;
        for index in 0..world.setup.machines.len() {
            let setup = world.setup.machines[index];
            world.add_machine(setup);
        }
        world.push(START + roles::ASKED_EVERY, Event::Ask);
        for (index, at) in world.steps.iter().map(|step| step.at).enumerate().collect::<Vec<_>>() {
            world.push(START + at, Event::Step(index));
        }
        world
    }

    fn go(&mut self) {
        let horizon = START + self.setup.horizon;
        self.run_until(horizon);
        self.calm_down();
        let end = horizon + SETTLE_MAX;
        let mut quiet = 0;
        while self.violation.is_none() {
            self.mend_roles();
            self.run_until(self.now + SETTLE_LOOK);
            let open = self.unsettled();
            self.note(|| format!("unsettled: {}", open.join("; ")));
            // Twice in a row, so that a moment between two events does not pass for an end.
            quiet = if open.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 {
                break;
            }
            if self.now >= end {
                self.fail("liveness", format!("not settled after {SETTLE_MAX:?}: {}", open.join("; ")));
            }
        }
        if self.violation.is_none() {
            self.check_everything();
        }
    }

    fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    fn push(&mut self, at: Timestamp, event: Event) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), event);
    }

    fn fail(&mut self, rule: &'static str, text: impl Into<String>) {
        let violation = Violation { rule, text: text.into(), at: self.elapsed() };
        self.note(|| format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    /// Writes a line down, if anybody wants to read it.
    fn note(&mut self, line: impl FnOnce() -> String) {
        let elapsed = self.elapsed();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>9.3} {}", elapsed.as_secs_f64(), line()));
        }
    }

    fn run_until(&mut self, end: Timestamp) {
        let mut at_once = 0;
        while self.violation.is_none() {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due = [queued, self.server_deadline(), self.machines_deadline()].into_iter().flatten().min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            let at = at.max(self.now);
            at_once = if at == self.now { at_once + 1 } else { 0 };
            if at_once > EVENTS_AT_ONCE_MAX {
                return self.fail("spinning", "parts of the world answer each other without end");
            }
            self.now = at;
            self.tally.events += 1;
            if queued == Some(at) || queued.is_some_and(|queued| queued < at) {
                if let Some((_, event)) = self.queue.pop_first() {
                    self.happen(event);
                }
            } else {
                self.advance_machines();
                self.advance_server();
            }
        }
        if self.violation.is_none() {
            self.now = self.now.max(end);
        }
    }

    fn happen(&mut self, event: Event) {
        let Some(event) = self.hold_if_cut(event) else { return };
        match event {
            Event::Step(index) => self.step(index),
            Event::Request(call) => self.request(call),
            Event::Answer { call, reply } => self.answer(call, reply),
            Event::GiveUp(call) => self.give_up(call),
            Event::Retry(wish) => self.wish(wish),
            Event::Upgrade { pipe, query } => self.upgrade(pipe, &query),
            Event::ToServer { pipe, frame } => self.server_hears(pipe, frame),
            Event::ToAgent { pipe, event } => self.agent_hears(pipe, event),
            Event::Committed { epoch } => self.committed(epoch),
            Event::ServerUp => self.server_up(),
            Event::Look { epoch } => self.look(epoch),
            Event::Synced { machine, incarnation, upto } => self.synced(machine, incarnation, upto),
            Event::AgentUp { machine } => self.agent_up(machine),
            Event::Kill { machine, incarnation, down } => {
                if self.machines[machine].incarnation == incarnation {
                    self.agent_crash(machine, down);
                }
            }
            Event::Heal { machine } => self.heal(machine),
            Event::Mend { machine } => self.mend(machine),
            Event::Ask => self.containers_ask(),
        }
    }
}

fn cluster_key(setup: &ClusterSetup) -> ClusterKey {
    let account = AccountId::parse(setup.account).expect("twelve digits");
    let region = Region::parse(setup.region).expect("a region");
    ClusterKey::new(Scope::new(account, region), ClusterName::parse(setup.name).expect("a name"))
}

/// A clock that may be wrong: milliseconds ahead of the world's time.
#[derive(Clone, Copy, Debug, Default)]
struct Skew(i64);

impl Skew {
    fn read(self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis() + self.0)
    }

    /// When the world's clock shows what this one calls `at`.
    fn when(self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.as_millis().saturating_sub(self.0))
    }
}
