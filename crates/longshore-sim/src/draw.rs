//! Draws the setup and the script of a seed.

use std::time::Duration;

use crate::chance::Chance;
use crate::images::Image;
use crate::scenario::{
    Breaker, Capacity, ClusterSetup, Layout, MachineSetup, NetworkSetup, Provider, QUICK_MILLIS,
    ServiceSetup, Setup, SpareWish, Step, StrategySetup, Timed,
};

/// How many services a script talks about.
const SERVICES: usize = 4;

const fn cluster(account: &'static str, region: &'static str, name: &'static str) -> ClusterSetup {
    ClusterSetup { account, region, name }
}

/// What clusters a world may have: most have one.
const CLUSTERS: [&[ClusterSetup]; 4] = [
    &[cluster("111122223333", "us-east-1", "main")],
    &[cluster("111122223333", "us-east-1", "main"), cluster("444455556666", "us-east-1", "main")],
    &[cluster("111122223333", "us-east-1", "main"), cluster("111122223333", "eu-west-1", "main")],
    &[cluster("111122223333", "us-east-1", "main"), cluster("111122223333", "us-east-1", "second")],
];

pub(crate) fn setup(chance: &mut Chance) -> Setup {
    let big = chance.per_mille(80);
    let clusters = if chance.per_mille(700) { CLUSTERS[0] } else { *chance.pick(&CLUSTERS) };
    let least = clusters.len() as u64;
    let count = if big { chance.between(6, 12) } else { chance.between(least, 5) };
    let with_providers = chance.per_mille(400);
    let mut machines: Vec<MachineSetup> = (0..count)
        .map(|n| MachineSetup {
            cluster: (n % least) as u8,
            pool: false,
            provider: match chance.below(5) {
                0 | 1 if with_providers => Some(Provider::A),
                2 | 3 if with_providers => Some(Provider::B),
                _ => None,
            },
            cpu: *chance.pick(&[1024, 2048, 4096]),
            memory: *chance.pick(&[1024, 2048, 4096]),
            zone: (n % 3) as u8,
            prefix: prefix(chance),
        })
        .collect();
    let fargate = chance.per_mille(400);
    // Now and then nobody serves it, and those who ask have to be told.
    let pool = if fargate { *chance.pick(&[0, 1, 1, 2, 2, 3]) } else { 0 };
    for n in 0..pool {
        let setup = MachineSetup {
            cluster: (n % least) as u8,
            pool: true,
            provider: None,
            cpu: *chance.pick(&[1024, 2048, 4096]),
            memory: *chance.pick(&[2048, 4096]),
            zone: chance.below(3) as u8,
            prefix: prefix(chance),
        };
        // Anywhere among the others: a setup that is made simpler loses its last machines first.
        machines.insert(chance.below(machines.len() + 1), setup);
    }
    let fast = chance.per_mille(400);
    let calm = chance.per_mille(300);
    // Long runs reach what happens once in minutes: manifests, and connections that grow old.
    let long = chance.per_mille(40);
    Setup {
        clusters: clusters.to_vec(),
        machines,
        fargate,
        horizon: Duration::from_secs(if long { chance.between(1800, 7200) } else { chance.between(30, 240) }),
        controllers: controllers(chance),
        network: NetworkSetup {
            delay_millis: if fast { QUICK_MILLIS } else { (1, chance.between(10, 500)) },
            lose_request: if calm { 0 } else { chance.between(5, 60) as u32 },
            lose_answer: if calm { 0 } else { chance.between(5, 90) as u32 },
            late_request: if calm { 0 } else { chance.between(5, 60) as u32 },
            repeat_request: if calm { 0 } else { chance.between(5, 100) as u32 },
        },
        server_disk_millis: if fast { QUICK_MILLIS } else { (1, chance.between(2, 400)) },
        agent_disk_millis: if fast { QUICK_MILLIS } else { (1, chance.between(2, 800)) },
    }
}

/// Most networks have room for more tasks than fit the largest machine; some have five addresses, or thirteen.
fn prefix(chance: &mut Chance) -> u8 {
    *chance.pick(&[26, 26, 26, 29, 28])
}

fn controllers(chance: &mut Chance) -> longshore_controllers::Settings {
    longshore_controllers::Settings {
        rollout: longshore_rollout::Settings {
            settle_time: chance.millis(0, 5000),
            throttle_first: Duration::from_secs(1),
            throttle_max: Duration::from_secs(20),
            short_life: Duration::from_secs(1),
            crash_max: Duration::from_secs(5),
            refusal_first: Duration::from_secs(1),
            refusal_max: Duration::from_secs(20),
            ..longshore_rollout::Settings::default()
        },
        stopped_task_retention: Duration::from_secs(*chance.pick(&[15, 60, 3600])),
        // As with the hour of ECS, nobody repeats a call for longer.
        token_life_min: crate::world::LAST_ARRIVAL,
        // Likewise: what is gone is remembered until the last call that was under way meanwhile has arrived. A registration
        // that came later would make a deregistered instance anew.
        inactive_retention: Duration::from_secs(*chance.pick(&[15, 60, 3600]))
            .max(crate::world::LAST_ARRIVAL),
        instance_lost_after: Some(Duration::from_secs(*chance.pick(&[10, 30, 120]))),
        ..longshore_controllers::Settings::default()
    }
}

pub(crate) fn script(chance: &mut Chance, setup: &Setup) -> Vec<Timed> {
    let horizon = setup.horizon.as_millis() as u64;
    let fargate = setup.fargate;
    let users = chance.between(4, 30);
    // Every eighth script has no faults at all: what fails there is simpler to understand.
    let faults = if chance.per_mille(125) { 0 } else { chance.between(1, 40) };
    let mut steps: Vec<(Duration, Step)> = Vec::new();
    let services = chance.between(1, SERVICES as u64) as u8;
    for n in 0..services {
        let (at, create) = (chance.millis(0, horizon / 6), create_service(chance, n, fargate));
        steps.push((at, create));
        if matches!(create, Step::CreateService { setup: ServiceSetup { external: true, .. }, .. }) {
            steps.push((at + chance.millis(0, 3000), create_set(chance, n, fargate)));
            for _ in 0..chance.between(1, 8) {
                steps.push((at + chance.millis(500, horizon * 4 / 5), set_step(chance, n, fargate)));
            }
        }
    }
    for _ in 0..users {
        steps.push((chance.millis(500, horizon), user_step(chance, services, fargate)));
    }
    if fargate {
        for _ in 0..chance.between(0, 10) {
            steps.push((chance.millis(500, horizon), fargate_step(chance, services)));
        }
    }
    for n in 0..faults {
        // Half of them while something is under way that a user has asked for.
        let at = match n % 2 {
            0 => chance.millis(500, horizon),
            _ => steps[chance.below(steps.len())].0 + chance.millis(0, 4000),
        };
        steps.push((at.min(setup.horizon), fault(chance)));
    }
    // Of a stream of their own: they move nothing that was drawn before.
    roles(&mut Chance::new(chance.seed()), horizon, &mut steps);
    steps.sort_by_key(|(at, _)| *at);
    steps.into_iter().enumerate().map(|(number, (at, step))| Timed { number, at, step }).collect()
}

/// What happens to roles and to what their sessions are sealed with. Most roles that go come back.
fn roles(chance: &mut Chance, horizon: u64, steps: &mut Vec<(Duration, Step)>) {
    if chance.per_mille(400) {
        return;
    }
    for _ in 0..chance.between(1, 4) {
        let (role, at) = (chance.below(6) as u8, chance.millis(500, horizon));
        let back = at + chance.millis(0, 20_000);
        match chance.below(5) {
            0..=2 => {
                steps.push((at, Step::DeleteRole { role }));
                if chance.per_mille(800) {
                    steps.push((back, Step::MakeRole { role }));
                }
            }
            3 => {
                steps.push((at, Step::TrustRole { role, trusts: false }));
                if chance.per_mille(500) {
                    // A new process of an agent has to get what it lost.
                    let (machine, down_millis) = (chance.below(16) as u8, chance.between(0, 5000) as u32);
                    let crash = (at + chance.millis(0, 2000)).min(Duration::from_millis(horizon));
                    steps.push((crash, Step::AgentCrash { machine, down_millis }));
                }
                if chance.per_mille(700) {
                    steps.push((back, Step::TrustRole { role, trusts: true }));
                }
            }
            _ => steps.push((at, Step::RotateKeys)),
        }
    }
}

const PERCENTS: [(u32, u32); 9] =
    [(100, 200), (50, 100), (50, 200), (0, 100), (75, 150), (100, 150), (100, 100), (60, 125), (0, 200)];

fn create_service(chance: &mut Chance, service: u8, fargate: bool) -> Step {
    let many = chance.per_mille(100);
    let setup = ServiceSetup {
        image: Image::draw(chance),
        ports: chance.per_mille(150),
        desired: chance.between(0, if many { 30 } else { 8 }) as u32,
        percent: *chance.pick(&PERCENTS),
        breaker: *chance.pick(&[Breaker::Off, Breaker::Off, Breaker::Off, Breaker::Fail, Breaker::Rollback]),
        layout: match chance.below(16) {
            0 | 1 => Layout::Daemon,
            2 | 3 => Layout::Distinct,
            4..=7 => Layout::SpreadZones { rebalance: chance.per_mille(700) },
            8..=11 => Layout::SpreadInstances,
            _ => Layout::Binpack,
        },
        external: chance.per_mille(100),
        capacity: capacity(chance, fargate),
    };
    Step::CreateService { service, setup }
}

fn create_set(chance: &mut Chance, service: u8, fargate: bool) -> Step {
    Step::CreateSet {
        service,
        image: Image::draw(chance),
        percent: *chance.pick(&[0, 10, 50, 100, 100, 100]),
        fargate: fargate && chance.per_mille(400),
    }
}

fn set_step(chance: &mut Chance, service: u8, fargate: bool) -> Step {
    let pick = chance.below(1000) as u32;
    match chance.below(8) {
        0..=2 => create_set(chance, service, fargate),
        3 | 4 => Step::ScaleSet { service, pick, percent: *chance.pick(&[0, 25, 50, 100]) },
        5 => Step::PrimarySet { service, pick },
        _ => Step::DeleteSet { service, pick, force: chance.per_mille(600) },
    }
}

fn strategy(chance: &mut Chance) -> StrategySetup {
    StrategySetup {
        base: chance.between(0, 4) as u32,
        weight_a: chance.between(0, 3) as u32,
        weight_b: chance.between(1, 3) as u32,
    }
}

fn capacity(chance: &mut Chance, fargate: bool) -> Capacity {
    let strategy = strategy(chance);
    let on_pool = fargate && chance.per_mille(450);
    match (on_pool, chance.per_mille(if on_pool { 600 } else { 150 })) {
        (false, false) => Capacity::Ec2,
        (false, true) => Capacity::Providers(strategy),
        (true, false) => Capacity::Fargate,
        (true, true) => Capacity::FargateProviders(strategy),
    }
}

/// What users and the operator do about the pool and about capacity providers.
fn fargate_step(chance: &mut Chance, services: u8) -> Step {
    let cluster = chance.below(4) as u8;
    match chance.below(12) {
        0..=3 => Step::Reclaim { machine: chance.below(16) as u8 },
        4 => Step::Activate { machine: chance.below(16) as u8 },
        5..=7 => Step::RunTask {
            cluster,
            capacity: Capacity::FargateProviders(strategy(chance)),
            image: Image::draw(chance),
            count: chance.between(1, 10) as u32,
            ports: false,
        },
        8 => Step::Recapacity {
            service: chance.below(services.into()) as u8,
            capacity: capacity(chance, true),
        },
        9 => Step::SpareProvider {
            cluster,
            wish: *chance.pick(&[SpareWish::Create, SpareWish::Update, SpareWish::Delete]),
        },
        _ => Step::PutProviders {
            cluster,
            fargate: chance.per_mille(900),
            spare: chance.per_mille(300),
            default: chance.per_mille(300).then(|| capacity(chance, true)),
        },
    }
}

fn user_step(chance: &mut Chance, services: u8, fargate: bool) -> Step {
    let machine = chance.below(16) as u8;
    let pick = chance.below(1000) as u32;
    // Now and then one that is not there.
    let service = if chance.per_mille(30) { services } else { chance.below(services.into()) as u8 };
    match chance.below(42) {
        0..=6 => Step::Scale { service, desired: chance.between(0, 10) as u32 },
        7..=13 => Step::Roll {
            service,
            image: Image::draw(chance),
            desired: chance.per_mille(250).then_some(chance.between(0, 10) as u32),
        },
        14 | 15 => Step::ForceDeployment { service },
        16 => Step::DeleteService { service, force: chance.per_mille(700) },
        17..=21 => Step::RunTask {
            cluster: chance.below(4) as u8,
            capacity: capacity(chance, fargate),
            image: Image::draw(chance),
            count: if chance.per_mille(300) { 10 } else { chance.between(1, 4) as u32 },
            ports: chance.per_mille(100),
        },
        22..=24 => Step::StopTask { pick },
        25 => Step::StartTask { machine, image: Image::draw(chance) },
        26 => Step::Protect { pick, on: chance.per_mille(600) },
        27 => Step::StopDeployment { service, rollback: chance.per_mille(600) },
        28 => Step::Register { cluster: chance.below(4) as u8, image: Image::draw(chance) },
        29 | 30 => Step::Describe { pick },
        31 | 32 => Step::Drain { machine },
        33 | 34 => Step::Activate { machine },
        35 => Step::Deregister { machine, force: chance.per_mille(500) },
        36 | 37 => Step::BadRequest { kind: chance.below(16) as u8 },
        38 => Step::Percent { service, percent: *chance.pick(&PERCENTS) },
        _ => create_service(chance, service, fargate),
    }
}

fn fault(chance: &mut Chance) -> Step {
    let machine = chance.below(16) as u8;
    let millis = chance.between(100, 40_000) as u32;
    // Now and then somebody is away for longer than the server waits.
    let long = chance.per_mille(80);
    let down_millis = chance.between(0, if long { 300_000 } else { 15_000 }) as u32;
    match chance.below(42) {
        0..=3 => Step::ServerCrash { down_millis: down_millis % 15_000 },
        4..=7 => Step::AgentCrash { machine, down_millis },
        8 => Step::AgentStop { machine, down_millis },
        9..=12 => Step::Partition {
            machine,
            millis: chance.between(100, if long { 400_000 } else { 100_000 }) as u32,
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
        30 => Step::ClockJump { machine, millis: chance.between(0, 4000) as i32 - 2000 },
        31 => Step::ClockJump { machine, millis: chance.between(0, 1_200_000) as i32 - 600_000 },
        32 => Step::ServerDiskFails { down_millis: down_millis % 15_000 },
        33 | 34 => Step::DiskWiped { machine, down_millis, containers: chance.per_mille(500) },
        35 => Step::Reboot { machine, down_millis },
        36 | 37 => Step::StaleManifest { machine },
        38 => Step::PullsHang { machine, millis },
        39 | 40 => Step::AgentCrashSoon {
            machine,
            starts: chance.between(1, 4) as u8,
            down_millis: down_millis % 15_000,
        },
        _ => Step::Disconnect { machine },
    }
}
