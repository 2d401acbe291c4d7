//! Prints how many tasks are placed per second, by strategy and size of the fleet.
//!
//! `cargo run --release -p longshore-placement --example placement-bench`. One thread; each
//! placement is a decision and the update that it leads to. Budgets: at 10,000 instances 100,000/s
//! must be reached, 1,000,000/s is the aim (design.md, 6).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use longshore_base::{CpuUnits, InstanceId, MemoryMib, Port, Seed, TaskId, Timestamp};
use longshore_placement::{
    Constraint, DefaultStrategy, Expression, Fleet, Instance, Launch, Needs, Request, RequestSpec,
    RequiredAttribute, Status, Strategy, ZONE_ATTRIBUTE,
};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Per strategy and size.
const TIME: Duration = Duration::from_millis(500);
/// Capabilities that an agent registers, and of which a task definition requires some.
const CAPABILITIES: usize = 40;
/// Room for about sixty tasks of the size below.
const TASKS_PER_INSTANCE: usize = 60;

fn fleet(size: usize) -> Fleet {
    let mut fleet = Fleet::new();
    for n in 0..size {
        let mut attributes = BTreeMap::from([
            (ZONE_ATTRIBUTE.into(), Some(["a", "b", "c"][n % 3].into())),
            ("stack".into(), Some(["prod", "test"][n % 2].into())),
            ("rack".into(), Some(format!("r{}", n % (size / 4 + 1)).into())),
        ]);
        (0..CAPABILITIES).for_each(|c| {
            attributes.insert(format!("ecs.capability.{c}").into(), None);
        });
        fleet.upsert(Instance {
            id: InstanceId::from_bits(n as u128),
            ec2_instance_id: format!("i-{n}").into(),
            status: Status::Active,
            connected: true,
            launch: Launch::Ec2,
            capacity_provider: None,
            cpu: CpuUnits(8192 + 128 * (n as u32 % 5)),
            memory: MemoryMib(16_384 + 64 * (n as u32 % 7)),
            reserved_tcp: vec![Port(22)],
            reserved_udp: Vec::new(),
            gpus: Vec::new(),
            interfaces: None,
            attributes,
            agent_version: "1.70.0".into(),
            registered_at: Timestamp::from_millis(0),
        });
    }
    fleet
}

fn spec() -> RequestSpec {
    let required = (0..12)
        .map(|c| RequiredAttribute { name: format!("ecs.capability.{c}").into(), value: None })
        .collect();
    RequestSpec {
        needs: Needs { cpu: CpuUnits(128), memory: MemoryMib(256), ..Needs::default() },
        required,
        group: "service:web".into(),
        ..RequestSpec::default()
    }
}

/// Places until 95 % are full, then replaces: one stop, one placement.
fn run(fleet: &mut Fleet, size: usize, request: &Request) -> (usize, Duration) {
    let full = size * TASKS_PER_INSTANCE * 95 / 100;
    let mut placed = std::collections::VecDeque::new();
    let (begin, mut count) = (Instant::now(), 0);
    let spec = request.spec();
    while begin.elapsed() < TIME {
        for _ in 0..100 {
            if placed.len() >= full
                && let Some((id, task)) = placed.pop_front()
            {
                fleet.vacate(id, task);
            }
            let seed = Seed::new(5).of(count as u64);
            let Ok(id) = fleet.place_one(request, seed) else {
                // A constraint can leave less room than the fleet has.
                if let Some((id, task)) = placed.pop_front() {
                    fleet.vacate(id, task);
                }
                continue;
            };
            let task = TaskId::from_bits(u128::from(seed.bits()) << 64 | count as u128);
            if fleet.occupy(id, task, &spec.needs, &spec.group).is_ok() {
                placed.push_back((id, task));
                count += 1;
            }
        }
    }
    (count, begin.elapsed())
}

fn main() {
    let strategies = |pairs: &[(&'static str, Option<&'static str>)]| {
        Strategy::parse_all(pairs.iter().copied()).expect("valid strategies")
    };
    let with = |pairs: &[(&'static str, Option<&'static str>)]| RequestSpec {
        strategies: strategies(pairs),
        ..spec()
    };
    let zone = Some("attribute:ecs.availability-zone");
    let member = |text| Constraint::MemberOf(Expression::parse(text).expect("a valid expression"));
    let cases = [
        ("default of services", spec()),
        ("default of tasks", RequestSpec { default: DefaultStrategy::Task, ..spec() }),
        ("random", with(&[("random", None)])),
        ("spread zone", with(&[("spread", zone)])),
        ("spread host", with(&[("spread", Some("host"))])),
        ("spread zone, host", with(&[("spread", zone), ("spread", Some("host"))])),
        ("spread rack (size/4 values)", with(&[("spread", Some("attribute:rack"))])),
        ("binpack memory", with(&[("binpack", Some("memory"))])),
        ("binpack cpu", with(&[("binpack", Some("cpu"))])),
        ("spread zone, binpack memory", with(&[("spread", zone), ("binpack", Some("memory"))])),
        (
            "memberOf stack == prod, zone",
            RequestSpec { constraints: vec![member("attribute:stack == prod")], ..with(&[("spread", zone)]) },
        ),
        (
            "not(task:group == service:db)",
            RequestSpec { constraints: vec![member("not(task:group == service:db)")], ..spec() },
        ),
    ];
    println!(
        "{:32} {:>12} {:>12} {:>12}   tasks placed per second",
        "instances", SIZES[0], SIZES[1], SIZES[2]
    );
    for (name, spec) in cases {
        let request = Request::new(spec);
        let rates = SIZES.map(|size| {
            let (count, took) = run(&mut fleet(size), size, &request);
            (count as f64 / took.as_secs_f64()) as u64
        });
        println!("{name:32} {:>12} {:>12} {:>12}", rates[0], rates[1], rates[2]);
    }
    refusals();
}

/// A service that cannot be placed asks again and again; that must not be dear.
fn refusals() {
    let fleet = fleet(10_000);
    let too_large = Needs { cpu: CpuUnits(50_000), ..Needs::default() };
    let request = Request::new(RequestSpec { needs: too_large, ..spec() });
    let (begin, mut count) = (Instant::now(), 0_u32);
    while begin.elapsed() < TIME {
        assert!(fleet.place_one(&request, Seed::new(1)).is_err());
        count += 1;
    }
    println!(
        "{:32} {:>38}   per second",
        "refusals",
        (f64::from(count) / begin.elapsed().as_secs_f64()) as u64
    );
}
