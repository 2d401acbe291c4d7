//! What a seed stands for: the machines, the numbers, and the script of users and faults.
//!
//! A script is a list of [`Step`]s with their times, drawn before the run begins. Steps name things by small
//! numbers, which the run resolves against what is there then, so that any sublist of a script is a script again:
//! that is what makes shrinking possible.

use std::fmt;
use std::time::Duration;

use longshore_base::Seed;

use crate::chance::Chance;
use crate::images::Image;

/// A run, complete: equal scenarios run equally.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub setup: Setup,
    pub steps: Vec<Timed>,
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
    pub machines: Vec<MachineSetup>,
    /// Users and faults act until then.
    pub horizon: Duration,
    pub controllers: longshore_controllers::Settings,
    pub network: NetworkSetup,
    /// How long the server's disk takes for a group of commits, and an agent's for a write, in milliseconds.
    pub server_disk_millis: (u64, u64),
    pub agent_disk_millis: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
pub struct MachineSetup {
    pub cpu: u32,
    pub memory: u32,
    pub zone: u8,
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
}

/// One thing that users or fate do. Machines, services and picks are taken modulo what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    CreateService {
        service: u8,
        image: Image,
        ports: bool,
        desired: u32,
        percent: (u32, u32),
        breaker: bool,
        daemon: bool,
        spread: bool,
    },
    Scale {
        service: u8,
        desired: u32,
    },
    Roll {
        service: u8,
        image: Image,
    },
    ForceDeployment {
        service: u8,
    },
    DeleteService {
        service: u8,
        force: bool,
    },
    RunTask {
        image: Image,
        count: u32,
        ports: bool,
    },
    StopTask {
        pick: u32,
    },
    Drain {
        machine: u8,
    },
    Activate {
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
    AgentCrash {
        machine: u8,
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
            | Step::Roll { .. }
            | Step::ForceDeployment { .. }
            | Step::DeleteService { .. }
            | Step::RunTask { .. }
            | Step::StopTask { .. }
            | Step::Drain { .. }
            | Step::Activate { .. }
            | Step::Deregister { .. }
            | Step::BadRequest { .. } => false,
            Step::ServerCrash { .. }
            | Step::AgentCrash { .. }
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
        let setup = Setup::draw(&mut chance);
        let steps = script(&mut chance, &setup);
        Self { seed, setup, steps }
    }

    /// Keeps the steps with these numbers.
    #[must_use]
    pub fn only(mut self, numbers: &[usize]) -> Self {
        self.steps.retain(|step| numbers.contains(&step.number));
        self
    }
}

impl Setup {
    fn draw(chance: &mut Chance) -> Self {
        let count = chance.between(1, 5);
        let machines = (0..count)
            .map(|n| MachineSetup {
                cpu: *chance.pick(&[1024, 2048, 4096]),
                memory: *chance.pick(&[1024, 2048, 4096]),
                zone: (n % 3) as u8,
            })
            .collect();
        let fast = chance.per_mille(500);
        let controllers = longshore_controllers::Settings {
            rollout: longshore_rollout::Settings {
                settle_time: chance.millis(200, 5000),
                throttle_first: Duration::from_secs(1),
                throttle_max: Duration::from_secs(20),
                refusal_first: Duration::from_secs(1),
                refusal_max: Duration::from_secs(20),
                ..longshore_rollout::Settings::default()
            },
            stopped_task_retention: Duration::from_secs(*chance.pick(&[60, 600, 3600])),
            inactive_retention: Duration::from_secs(*chance.pick(&[60, 600, 3600])),
            instance_lost_after: Some(Duration::from_secs(*chance.pick(&[20, 120]))),
            ..longshore_controllers::Settings::default()
        };
        let calm = chance.per_mille(300);
        Self {
            machines,
            horizon: Duration::from_secs(chance.between(60, 300)),
            controllers,
            network: NetworkSetup {
                delay_millis: if fast { (0, 2) } else { (1, chance.between(10, 300)) },
                lose_request: if calm { 0 } else { 20 },
                lose_answer: if calm { 0 } else { 30 },
                late_request: if calm { 0 } else { 20 },
            },
            server_disk_millis: if fast { (0, 2) } else { (1, chance.between(2, 200)) },
            agent_disk_millis: if fast { (0, 2) } else { (1, chance.between(2, 200)) },
        }
    }
}

/// How many services a script talks about.
const SERVICES: usize = 4;

fn script(chance: &mut Chance, setup: &Setup) -> Vec<Timed> {
    let horizon = setup.horizon.as_millis() as u64;
    let users = chance.between(4, 24);
    // Every fifth script has no faults at all: what fails there is simpler to understand.
    let faults = if chance.per_mille(200) { 0 } else { chance.between(1, 20) };
    let mut steps: Vec<(Duration, Step)> = Vec::new();
    for n in 0..chance.between(1, SERVICES as u64) {
        let at = chance.millis(0, horizon / 4);
        let step = create_service(chance, n as u8);
        steps.push((at, step));
    }
    for _ in 0..users {
        steps.push((chance.millis(500, horizon), user_step(chance)));
    }
    for _ in 0..faults {
        steps.push((chance.millis(500, horizon), fault(chance)));
    }
    steps.sort_by_key(|(at, _)| *at);
    steps.into_iter().enumerate().map(|(number, (at, step))| Timed { number, at, step }).collect()
}

fn create_service(chance: &mut Chance, service: u8) -> Step {
    Step::CreateService {
        service,
        image: Image::draw(chance),
        ports: chance.per_mille(150),
        desired: chance.between(0, 8) as u32,
        percent: *chance.pick(&[
            (100, 200),
            (50, 100),
            (50, 200),
            (0, 100),
            (75, 150),
            (100, 150),
            (100, 100),
            (60, 125),
        ]),
        breaker: chance.per_mille(300),
        daemon: chance.per_mille(120),
        spread: chance.per_mille(500),
    }
}

fn service(chance: &mut Chance) -> u8 {
    chance.below(SERVICES) as u8
}

fn user_step(chance: &mut Chance) -> Step {
    let machine = chance.below(8) as u8;
    match chance.below(24) {
        0..=3 => Step::Scale { service: service(chance), desired: chance.between(0, 10) as u32 },
        4..=7 => Step::Roll { service: service(chance), image: Image::draw(chance) },
        8 => Step::ForceDeployment { service: service(chance) },
        9 => Step::DeleteService { service: service(chance), force: chance.per_mille(700) },
        10..=13 => Step::RunTask {
            image: Image::draw(chance),
            count: chance.between(1, 5) as u32,
            ports: chance.per_mille(100),
        },
        14..=16 => Step::StopTask { pick: chance.below(1000) as u32 },
        17 => Step::Drain { machine },
        18 => Step::Activate { machine },
        19 => Step::Deregister { machine, force: chance.per_mille(500) },
        20 | 21 => Step::BadRequest { kind: chance.below(8) as u8 },
        _ => {
            let service = service(chance);
            create_service(chance, service)
        }
    }
}

fn fault(chance: &mut Chance) -> Step {
    let machine = chance.below(8) as u8;
    let millis = chance.between(100, 40_000) as u32;
    let down_millis = chance.between(0, 15_000) as u32;
    match chance.below(32) {
        0..=3 => Step::ServerCrash { down_millis },
        4..=7 => Step::AgentCrash { machine, down_millis },
        8 => Step::AgentStop { machine, down_millis },
        9..=12 => Step::Partition {
            machine,
            millis: chance.between(100, 150_000) as u32,
            breaks: chance.per_mille(500),
        },
        13 | 14 => Step::Disconnect { machine },
        15 => Step::Vanish { machine },
        16 => Step::Join { machine },
        17..=20 => Step::ContainerDies {
            pick: chance.below(1000) as u32,
            exit_code: *chance.pick(&[0, 1, 137, 139]),
        },
        21 => Step::PullsSlow { machine, millis },
        22 => Step::PullsFail { machine, millis },
        23 => Step::StartsFail { machine, millis },
        24 | 25 => Step::EngineAway { machine, millis, reboot: chance.per_mille(300) },
        26..=28 => Step::EngineFlaky { machine, millis },
        29 => Step::IgnoreTerm { machine, millis },
        _ => Step::ClockJump { machine, millis: chance.between(0, 4000) as i32 - 2000 },
    }
}
