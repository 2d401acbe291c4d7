//! What a seed stands for: the machines, the numbers, and the script of users and faults.
//!
//! A script is a list of [`Step`]s with their times, drawn before the run begins. Steps name things by small
//! numbers, which the run resolves against what is there then, so that any sublist of a script is a script again:
//! that is what makes shrinking possible.

use std::fmt;
use std::time::Duration;

use longshore_base::Seed;

use crate::chance::Chance;
use crate::draw;
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
    StartTask {
        machine: u8,
        image: Image,
    },
    /// Protects a task from scale-in, or ends that.
    Protect {
        pick: u32,
        on: bool,
    },
    /// Stops the newest deployment of a service and rolls it back.
    StopDeployment {
        service: u8,
    },
    /// Registers a new revision of an image's task definition.
    Register {
        image: Image,
    },
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
            | Step::StartTask { .. }
            | Step::Protect { .. }
            | Step::StopDeployment { .. }
            | Step::Register { .. }
            | Step::Describe { .. }
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
        let setup = draw::setup(&mut chance);
        let steps = draw::script(&mut chance, &setup);
        Self { seed, setup, steps }
    }

    /// Keeps the steps with these numbers.
    #[must_use]
    pub fn only(mut self, numbers: &[usize]) -> Self {
        self.steps.retain(|step| numbers.contains(&step.number));
        self
    }
}
