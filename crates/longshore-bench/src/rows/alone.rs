//! Placement as a library: how many placement decisions a thread makes in a second, without a server around it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use longshore_base::{CpuUnits, InstanceId, MemoryMib, Port, Seed, TaskId, Timestamp};
use longshore_placement::{
    Constraint, Expression, Fleet, Instance, Launch, Needs, Request, RequestSpec, RequiredAttribute, Status,
    Strategy, ZONE_ATTRIBUTE,
};

use super::Bench;
use crate::table::{Bounds, Measured, number};

const INSTANCES: usize = 10_000;
/// How many tasks the fleet has when it counts as full: 57 on each instance that meets the constraint, which is half of
/// them. That is 95 % of the sixty or so that fit.
const TASKS_MAX: usize = INSTANCES / 2 * 57;

/// Placements per second with the slowest of the strategies; the others are in the note.
pub fn placement(bench: &Bench) -> anyhow::Result<(Measured, String)> {
    let time = bench.pick(Duration::from_secs(2), Duration::from_millis(300));
    let zone = Some("attribute:ecs.availability-zone");
    let cases = [
        ("service default", None),
        ("random", Some(vec![("random", None)])),
        ("spread zone", Some(vec![("spread", zone)])),
        ("spread zone, host", Some(vec![("spread", zone), ("spread", Some("host"))])),
        ("binpack memory", Some(vec![("binpack", Some("memory"))])),
        ("spread zone, binpack cpu", Some(vec![("spread", zone), ("binpack", Some("cpu"))])),
    ];
    let constraint = Constraint::MemberOf(Expression::parse("attribute:stack == prod")?);
    let mut rates = Vec::new();
    for (name, strategies) in cases {
        let mut spec = RequestSpec { constraints: vec![constraint.clone()], ..spec() };
        if let Some(pairs) = strategies {
            spec.strategies = Strategy::parse_all(pairs)?;
        }
        rates.push((name, rate(&mut fleet(), &Request::new(spec), time)));
    }
    let slowest = rates.iter().map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
    let shown: Vec<_> = rates.iter().map(|(name, rate)| format!("{name} {}/s", number(*rate))).collect();
    let measured = Measured {
        value: slowest,
        peer: None,
        unit: "/s",
        peer_name: "",
        bounds: Bounds::AtLeast { must: 100_000.0, reach: 1_000_000.0 },
    };
    let note = format!(
        "One thread, with a memberOf constraint that half of the instances meet; from empty to 95 % full, then one stop \
         for each placement. The slowest strategy counts: {}.",
        shown.join(", ")
    );
    Ok((measured, note))
}

/// Instances of 8 to 8.5 vCPU and 16 GiB in three zones, with forty capabilities each.
fn fleet() -> Fleet {
    let mut fleet = Fleet::new();
    for n in 0..INSTANCES {
        let mut attributes = BTreeMap::from([
            (ZONE_ATTRIBUTE.into(), Some(["a", "b", "c"][n % 3].into())),
            ("stack".into(), Some(["prod", "test"][n % 2].into())),
        ]);
        (0..40).for_each(|capability| {
            attributes.insert(format!("ecs.capability.{capability}").into(), None);
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

/// A task of 128 CPU units and 256 MiB that needs twelve capabilities.
fn spec() -> RequestSpec {
    let required = (0..12)
        .map(|n| RequiredAttribute { name: format!("ecs.capability.{n}").into(), value: None })
        .collect();
    RequestSpec {
        needs: Needs { cpu: CpuUnits(128), memory: MemoryMib(256), ..Needs::default() },
        required,
        group: "service:web".into(),
        ..RequestSpec::default()
    }
}

/// Placements per second of `time`. Once [`TASKS_MAX`] tasks are placed, or no room is left, the oldest task leaves for
/// each that comes.
fn rate(fleet: &mut Fleet, request: &Request, time: Duration) -> f64 {
    let mut placed = VecDeque::new();
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        for _ in 0..100 {
            if placed.len() >= TASKS_MAX
                && let Some((instance, task)) = placed.pop_front()
            {
                fleet.vacate(instance, task);
            }
            let seed = Seed::new(5).of(count);
            let Ok(instance) = fleet.place_one(request, seed) else {
                // The constraint leaves less room than the fleet has.
                if let Some((instance, task)) = placed.pop_front() {
                    fleet.vacate(instance, task);
                }
                continue;
            };
            let task = TaskId::from_bits(u128::from(seed.bits()) << 64 | u128::from(count));
            let spec = request.spec();
            if fleet.occupy(instance, task, &spec.needs, &spec.group).is_ok() {
                placed.push_back((instance, task));
                count += 1;
            }
        }
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
