//! What a seed stands for: the machines, the numbers, and the script of users and faults.
//!
//! A script is a list of [`Step`]s with their times, drawn before the run begins. Steps name things by small
//! numbers, which the run resolves against what is there then, so that any sublist of a script is a script again:
//! that is what makes shrinking possible.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use longshore_base::Seed;

use crate::chance::Chance;
use crate::draw;
use crate::images::Image;

/// What a network or a disk takes that is no trouble to anybody.
pub(crate) const QUICK_MILLIS: (u64, u64) = (0, 2);

/// A run, complete: equal scenarios run equally.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub setup: Setup,
    pub steps: Vec<Timed>,
    /// How the setup differs from the one that was drawn, in order.
    pub simpler: Vec<Simpler>,
}

/// A setup made simpler, to see whether a failure needs what it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simpler {
    /// The network loses, delays and repeats nothing.
    Calm,
    /// Network and disks take two milliseconds at most.
    Quick,
    /// Only so many of the machines.
    Machines(usize),
}

impl fmt::Display for Simpler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Simpler::Calm => f.write_str("calm"),
            Simpler::Quick => f.write_str("quick"),
            Simpler::Machines(count) => write!(f, "machines={count}"),
        }
    }
}

impl FromStr for Simpler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("machines=").map(str::parse)) {
            ("calm", _) => Ok(Simpler::Calm),
            ("quick", _) => Ok(Simpler::Quick),
            (_, Some(Ok(count))) if count > 0 => Ok(Simpler::Machines(count)),
            _ => Err(format!("{text:?} is none of calm, quick, machines=N")),
        }
    }
}

/// One entry of a script.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Its place in the full script of the seed.
    pub number: usize,
    /// Counted from the beginning of the run.
    pub at: Duration,
    pub step: Step,
}

#[derive(Clone, Debug)]
pub struct Setup {
    /// At least one.
    pub clusters: Vec<ClusterSetup>,
    pub machines: Vec<MachineSetup>,
    /// Somebody asks for Fargate, whether a machine serves it or not.
    pub fargate: bool,
    /// Users and faults act until then.
    pub horizon: Duration,
    pub controllers: longshore_controllers::Settings,
    pub network: NetworkSetup,
    /// How long the server's disk takes for a group of commits, and an agent's for a write, in milliseconds.
    pub server_disk_millis: (u64, u64),
    pub agent_disk_millis: (u64, u64),
}

/// Where a cluster is. Services have the same names in all of them, so that a mix-up shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSetup {
    pub account: &'static str,
    pub region: &'static str,
    pub name: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct MachineSetup {
    /// Its place in [`Setup::clusters`]. A machine of the pool serves that cluster's region.
    pub cluster: u8,
    /// Of the Fargate pool, and of no cluster.
    pub pool: bool,
    pub cpu: u32,
    pub memory: u32,
    pub zone: u8,
    /// The capacity provider that it belongs to, if any.
    pub provider: Option<Provider>,
    /// Length of the prefix of its network for tasks in awsvpc mode: the longer, the fewer addresses there are.
    pub prefix: u8,
}

/// The capacity providers of every cluster that have machines of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    A,
    B,
}

impl Provider {
    pub const fn name(self) -> &'static str {
        match self {
            Provider::A => "cp-a",
            Provider::B => "cp-b",
        }
    }
}

/// A strategy over two providers; A has the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategySetup {
    pub base: u32,
    pub weight_a: u32,
    pub weight_b: u32,
}

/// What tasks are to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// Instances of the cluster.
    Ec2,
    /// Instances of the cluster, by both of its providers.
    Providers(StrategySetup),
    /// The pool.
    Fargate,
    /// The pool, by its two providers; FARGATE has the base.
    FargateProviders(StrategySetup),
}

impl Capacity {
    pub fn is_fargate(self) -> bool {
        match self {
            Capacity::Ec2 | Capacity::Providers(_) => false,
            Capacity::Fargate | Capacity::FargateProviders(_) => true,
        }
    }
}

/// What a user wants with the spare capacity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpareWish {
    Create,
    Update,
    Delete,
}

/// Where a service wants its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Binpack,
    SpreadInstances,
    /// Over the zones, and evened out again when that is possible.
    SpreadZones {
        rebalance: bool,
    },
    /// Each on an instance of its own.
    Distinct,
    Daemon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Off,
    /// Fails a deployment, and leaves it at that.
    Fail,
    Rollback,
}

/// A service as it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSetup {
    pub image: Image,
    /// With a fixed host port.
    pub ports: bool,
    pub desired: u32,
    pub percent: (u32, u32),
    pub breaker: Breaker,
    pub layout: Layout,
    /// The deployment controller is EXTERNAL: the script makes task sets, and only the count and the layout matter.
    pub external: bool,
    pub capacity: Capacity,
}

/// Shares are per thousand of HTTP calls.
#[derive(Clone, Copy, Debug)]
pub struct NetworkSetup {
    pub delay_millis: (u64, u64),
    /// The request never arrives.
    pub lose_request: u32,
    /// The server acts, and its answer is lost.
    pub lose_answer: u32,
    /// The caller gives up, and the request arrives afterwards.
    pub late_request: u32,
    /// The request arrives once more, up to half a minute later; nobody hears that answer.
    pub repeat_request: u32,
}

/// One thing that users or fate do. Machines, services and picks are taken modulo what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    CreateService {
        service: u8,
        setup: ServiceSetup,
    },
    /// For a service whose controller is EXTERNAL. Percents are those of the desired count.
    CreateSet {
        service: u8,
        image: Image,
        percent: u32,
        fargate: bool,
    },
    ScaleSet {
        service: u8,
        pick: u32,
        percent: u32,
    },
    PrimarySet {
        service: u8,
        pick: u32,
    },
    DeleteSet {
        service: u8,
        pick: u32,
        force: bool,
    },
    Scale {
        service: u8,
        desired: u32,
    },
    /// A new task definition, and perhaps another number in the same call.
    Roll {
        service: u8,
        image: Image,
        desired: Option<u32>,
    },
    /// Other bounds, perhaps in the middle of a roll.
    Percent {
        service: u8,
        percent: (u32, u32),
    },
    ForceDeployment {
        service: u8,
    },
    /// Other capacity providers for a service.
    Recapacity {
        service: u8,
        capacity: Capacity,
    },
    /// Which providers a cluster has, and its default strategy.
    PutProviders {
        cluster: u8,
        fargate: bool,
        spare: bool,
        default: Option<Capacity>,
    },
    /// Makes, changes or deletes a provider that no machine belongs to.
    SpareProvider {
        cluster: u8,
        wish: SpareWish,
    },
    DeleteService {
        service: u8,
        force: bool,
    },
    RunTask {
        cluster: u8,
        image: Image,
        count: u32,
        ports: bool,
        capacity: Capacity,
    },
    StopTask {
        pick: u32,
    },
    StartTask {
        machine: u8,
        image: Image,
    },
    /// Protects a task from scale-in, or ends that.
    Protect {
        pick: u32,
        on: bool,
    },
    /// Stops the newest deployment of a service, and rolls it back or leaves it.
    StopDeployment {
        service: u8,
        rollback: bool,
    },
    /// Registers a new revision of an image's task definition.
    Register {
        cluster: u8,
        image: Image,
    },
    /// Makes a role, which may have been there before.
    MakeRole {
        role: u8,
    },
    DeleteRole {
        role: u8,
    },
    /// Changes whether a role trusts ECS.
    TrustRole {
        role: u8,
        trusts: bool,
    },
    /// The operator makes a new data key.
    RotateKeys,
    /// Looks at some tasks.
    Describe {
        pick: u32,
    },
    Drain {
        machine: u8,
    },
    Activate {
        machine: u8,
    },
    /// The operator wants a machine of the pool back: it is drained, and FARGATE_SPOT tasks are interrupted.
    Reclaim {
        machine: u8,
    },
    Deregister {
        machine: u8,
        force: bool,
    },
    /// A request that has to fail, and to change nothing.
    BadRequest {
        kind: u8,
    },

    ServerCrash {
        down_millis: u32,
    },
    /// The server's disk refuses the next group of commits: the server ends, and recovers.
    ServerDiskFails {
        down_millis: u32,
    },
    AgentCrash {
        machine: u8,
        down_millis: u32,
    },
    /// The agent is killed just after it has asked for its `starts`th container start from now.
    AgentCrashSoon {
        machine: u8,
        starts: u8,
        down_millis: u32,
    },
    AgentStop {
        machine: u8,
        down_millis: u32,
    },
    /// Nothing gets through. Connections either hang and go on, or break on both ends.
    Partition {
        machine: u8,
        millis: u32,
        breaks: bool,
    },
    /// Its connections break, and that is all.
    Disconnect {
        machine: u8,
    },
    /// The agent is killed, and what it saved is gone; with `containers`, all that its engine knew as well.
    DiskWiped {
        machine: u8,
        down_millis: u32,
        containers: bool,
    },
    /// The whole machine restarts: its containers end, its agent comes back later.
    Reboot {
        machine: u8,
        down_millis: u32,
    },
    /// The machine's connections break, and the next manifest that it gets is one of before its newest task, as from a
    /// control plane that follows another one from behind.
    StaleManifest {
        machine: u8,
    },
    /// The machine is gone for good, and all that it ran.
    Vanish {
        machine: u8,
    },
    /// A new machine like it joins.
    Join {
        machine: u8,
    },
    ContainerDies {
        pick: u32,
        exit_code: i32,
    },
    PullsSlow {
        machine: u8,
        millis: u32,
    },
    /// Pulls that are begun are never answered.
    PullsHang {
        machine: u8,
        millis: u32,
    },
    PullsFail {
        machine: u8,
        millis: u32,
    },
    StartsFail {
        machine: u8,
        millis: u32,
    },
    EngineAway {
        machine: u8,
        millis: u32,
        reboot: bool,
    },
    /// Operations of its container engine fail, are slow, lose their answers; events get lost.
    EngineFlaky {
        machine: u8,
        millis: u32,
    },
    IgnoreTerm {
        machine: u8,
        millis: u32,
    },
    /// The clock of a machine, or of the server if there is no such machine, jumps.
    ClockJump {
        machine: u8,
        millis: i32,
    },
}

impl Step {
    /// Faults are dropped first when a script is shrunk.
    pub fn is_fault(&self) -> bool {
        match self {
            Step::CreateService { .. }
            | Step::Scale { .. }
            | Step::CreateSet { .. }
            | Step::ScaleSet { .. }
            | Step::PrimarySet { .. }
            | Step::DeleteSet { .. }
            | Step::Roll { .. }
            | Step::Percent { .. }
            | Step::ForceDeployment { .. }
            | Step::Recapacity { .. }
            | Step::PutProviders { .. }
            | Step::SpareProvider { .. }
            | Step::Reclaim { .. }
            | Step::DeleteService { .. }
            | Step::RunTask { .. }
            | Step::StopTask { .. }
            | Step::StartTask { .. }
            | Step::Protect { .. }
            | Step::StopDeployment { .. }
            | Step::Register { .. }
            | Step::MakeRole { .. }
            | Step::DeleteRole { .. }
            | Step::TrustRole { .. }
            | Step::RotateKeys
            | Step::Describe { .. }
            | Step::Drain { .. }
            | Step::Activate { .. }
            | Step::Deregister { .. }
            | Step::BadRequest { .. } => false,
            Step::ServerCrash { .. }
            | Step::ServerDiskFails { .. }
            | Step::DiskWiped { .. }
            | Step::Reboot { .. }
            | Step::StaleManifest { .. }
            | Step::PullsHang { .. }
            | Step::AgentCrash { .. }
            | Step::AgentCrashSoon { .. }
            | Step::AgentStop { .. }
            | Step::Partition { .. }
            | Step::Disconnect { .. }
            | Step::Vanish { .. }
            | Step::Join { .. }
            | Step::ContainerDies { .. }
            | Step::PullsSlow { .. }
            | Step::PullsFail { .. }
            | Step::StartsFail { .. }
            | Step::EngineAway { .. }
            | Step::EngineFlaky { .. }
            | Step::IgnoreTerm { .. }
            | Step::ClockJump { .. } => true,
        }
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3} at {:>8.3} s: {:?}", self.number, self.at.as_secs_f64(), self.step)
    }
}

impl Scenario {
    /// What the seed stands for.
    pub fn of(seed: u64) -> Self {
        let root = Seed::new(u128::from(seed)).of(0x10_0a_d5);
        let mut chance = Chance::new(root.of(1));
        let setup = draw::setup(&mut chance);
        let steps = draw::script(&mut chance, &setup);
        Self { seed, setup, steps, simpler: Vec::new() }
    }

    /// Makes the setup simpler; the script stays, and its numbers mean what is there then.
    #[must_use]
    pub fn made(mut self, simpler: Simpler) -> Self {
        let network = &mut self.setup.network;
        match simpler {
            Simpler::Calm => {
                (network.lose_request, network.lose_answer) = (0, 0);
                (network.late_request, network.repeat_request) = (0, 0);
            }
            Simpler::Quick => {
                network.delay_millis = QUICK_MILLIS;
                (self.setup.server_disk_millis, self.setup.agent_disk_millis) = (QUICK_MILLIS, QUICK_MILLIS);
            }
            Simpler::Machines(count) => self.setup.machines.truncate(count),
        }
        self.simpler.push(simpler);
        self
    }

    /// Keeps the steps with these numbers.
    #[must_use]
    pub fn only(mut self, numbers: &[usize]) -> Self {
        self.steps.retain(|step| numbers.contains(&step.number));
        self
    }
}
