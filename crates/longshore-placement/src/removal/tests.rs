use longshore_base::Seed;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::needs::{Launch, Needs, Status};
use crate::{DefaultStrategy, Instance, Request, RequestSpec};

/// A running, healthy task created at second `n`, on `instance` in `zone`.
fn task(n: u64, zone: &str, instance: u64) -> Removable {
    Removable {
        task: TaskId::from_bits(n.into()),
        instance: Some(InstanceId::from_bits(instance.into())),
        zone: Some(zone.into()),
        running: true,
        healthy: true,
        draining: false,
        protected: false,
        created_at: Timestamp::from_millis(n as i64 * 1000),
        cpu: CpuUnits(100),
        memory: MemoryMib(100),
    }
}

#[track_caller]
fn check(tasks: &[Removable], count: usize, strategies: &[(&str, Option<&str>)], expected: &[u128]) {
    let strategies = Strategy::parse_all(strategies.iter().copied()).expect("valid");
    let chosen: Vec<u128> = choose(tasks, count, &strategies, None).iter().map(|id| id.bits()).collect();
    assert_eq!(chosen, expected);
}

const ZONE: Option<&str> = Some("attribute:ecs.availability-zone");

#[test]
fn the_fullest_zone_and_in_it_the_fullest_instance_go_first() {
    let tasks = [task(1, "a", 1), task(2, "a", 2), task(3, "a", 2), task(4, "b", 3), task(5, "b", 3)];
    check(&tasks, 1, &[], &[3]);
    // Then two and two: the instance with two has priority, then the newest.
    check(&tasks, 3, &[], &[3, 5, 2]);
    check(&tasks, 9, &[], &[3, 5, 2, 4, 1]);
    check(&tasks, 0, &[], &[]);
}

#[test]
fn those_that_serve_least_go_first() {
    let mut tasks = vec![task(1, "a", 1), task(2, "a", 1), task(3, "a", 1), task(4, "a", 1), task(5, "b", 2)];
    tasks[4].running = false;
    tasks[3].healthy = false;
    tasks[0].draining = true;
    check(&tasks, 4, &[], &[5, 4, 1, 3]);
}

#[test]
fn protected_tasks_stay_but_count() {
    let mut tasks = vec![task(1, "a", 1), task(2, "a", 2), task(3, "a", 3), task(4, "b", 4)];
    tasks[1].protected = true;
    tasks[2].protected = true;
    check(&tasks, 1, &[], &[1]);
    check(&tasks, 4, &[], &[1, 4]);
}

#[test]
fn random_means_the_newest() {
    let tasks = [task(1, "a", 1), task(2, "b", 1), task(3, "c", 1)];
    check(&tasks, 2, &[("random", None)], &[3, 2]);
    check(&tasks, 1, &[("random", None), ("spread", ZONE)], &[3]);
}

#[test]
fn spread_over_instances_ignores_zones() {
    let tasks = [task(1, "a", 1), task(2, "a", 2), task(3, "a", 3), task(4, "b", 4), task(5, "b", 4)];
    check(&tasks, 1, &[("spread", Some("host"))], &[5]);
    check(&tasks, 1, &[("spread", ZONE)], &[3]);
}

fn fleet(instances: &[(u64, u32)]) -> Fleet {
    let mut fleet = Fleet::new();
    for &(n, memory) in instances {
        fleet.upsert(Instance {
            id: InstanceId::from_bits(n.into()),
            ec2_instance_id: "i-1".into(),
            status: Status::Active,
            connected: true,
            launch: Launch::Ec2,
            capacity_provider: None,
            cpu: CpuUnits(100_000),
            memory: MemoryMib(memory),
            reserved_tcp: Vec::new(),
            reserved_udp: Vec::new(),
            gpus: Vec::new(),
            interfaces: None,
            attributes: [
                (ZONE_ATTRIBUTE.into(), Some(["a", "b", "c"][n as usize % 3].into())),
                ("rack".into(), Some(["x", "y"][n as usize % 2].into())),
            ]
            .into(),
            agent_version: "".into(),
            registered_at: Timestamp::from_millis(0),
        });
    }
    fleet
}

/// The emptiest instance is emptied first, so that it can go.
#[test]
fn binpack_stops_where_most_is_left() {
    let fleet = fleet(&[(1, 1000), (2, 5000), (3, 3000)]);
    let tasks = [task(1, "a", 1), task(2, "a", 2), task(3, "a", 2), task(4, "a", 3)];
    let chain = [Strategy::Binpack(Resource::Memory)];
    let chosen: Vec<u128> = choose(&tasks, 3, &chain, Some(&fleet)).iter().map(|id| id.bits()).collect();
    assert_eq!(chosen, [3, 2, 4]);
}

#[test]
fn other_attributes_are_read_from_the_fleet() {
    let fleet = fleet(&[(1, 1000), (2, 1000), (3, 1000)]);
    let tasks = [task(1, "a", 1), task(2, "a", 2), task(3, "a", 3)];
    let chain = [Strategy::Spread(Field::Attribute("rack".into()))];
    let chosen = choose(&tasks, 1, &chain, Some(&fleet));
    assert_eq!(chosen, [TaskId::from_bits(3)], "rack y has two");
}

/// Chooses by looking at every task each time.
fn naive(tasks: &[Removable], count: usize, strategies: &[Strategy], fleet: &Fleet) -> Vec<TaskId> {
    let default = [Strategy::Spread(Field::zone()), Strategy::Spread(Field::Instance)];
    let strategies = if strategies.is_empty() { &default } else { strategies };
    let mut left: Vec<&Removable> = tasks.iter().collect();
    let mut freed: BTreeMap<InstanceId, (i64, i64)> = BTreeMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let score = |task: &Removable| {
            let id = task.instance.expect("all are placed");
            let mut score: Vec<i64> = Vec::new();
            for strategy in strategies {
                let remaining = fleet.remaining(id).expect("is there");
                let (cpu, memory) = freed.get(&id).copied().unwrap_or_default();
                score.push(match strategy {
                    Strategy::Random => break,
                    Strategy::Spread(Field::Instance) => {
                        left.iter().filter(|other| other.instance == task.instance).count() as i64
                    }
                    Strategy::Spread(Field::Attribute(name)) => {
                        let of = |t: &Removable| value_of(t, name, Some(fleet)).map(str::to_owned);
                        left.iter().filter(|other| of(other) == of(task)).count() as i64
                    }
                    Strategy::Binpack(Resource::Cpu) => i64::from(remaining.cpu.0 + task.cpu.0) + cpu,
                    Strategy::Binpack(Resource::Memory) => {
                        i64::from(remaining.memory.0 + task.memory.0) + memory
                    }
                });
            }
            let last = (!task.running, !task.healthy, task.draining);
            (last, score, task.created_at, task.task)
        };
        let Some(best) = left.iter().filter(|task| !task.protected).max_by_key(|task| score(task)) else {
            break;
        };
        let best = *best;
        let freed = freed.entry(best.instance.expect("all are placed")).or_default();
        *freed = (freed.0 + i64::from(best.cpu.0), freed.1 + i64::from(best.memory.0));
        chosen.push(best.task);
        left.retain(|task| task.task != best.task);
    }
    chosen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn choosing_equals_looking_at_every_task(
        seeds in prop::collection::vec(any::<u64>(), 0..30),
        chain in prop::collection::vec(0_usize..6, 0..4),
        count in 0_usize..32,
    ) {
        let fleet = fleet(&[(0, 500), (1, 1000), (2, 1000), (3, 3000), (4, 900), (5, 1000)]);
        let steps = [
            Strategy::Random,
            Strategy::Spread(Field::zone()),
            Strategy::Spread(Field::Instance),
            Strategy::Spread(Field::Attribute("rack".into())),
            Strategy::Binpack(Resource::Cpu),
            Strategy::Binpack(Resource::Memory),
        ];
        let strategies: Vec<Strategy> = chain.into_iter().map(|at| steps[at].clone()).collect();
        let tasks: Vec<Removable> = seeds.iter().enumerate().map(|(n, &seed)| {
            let seed = Seed::new(seed.into());
            let on = seed.of(1).below(6) as u64;
            Removable {
                running: seed.of(2).below(5) > 0,
                healthy: seed.of(3).below(5) > 0,
                draining: seed.of(4).below(5) == 0,
                protected: seed.of(5).below(5) == 0,
                created_at: Timestamp::from_millis(seed.of(6).below(4) as i64),
                cpu: CpuUnits(100 * seed.of(7).below(3) as u32),
                memory: MemoryMib(100 * seed.of(8).below(3) as u32),
                ..task(n as u64, ["a", "b", "c"][on as usize % 3], on)
            }
        }).collect();
        let chosen = choose(&tasks, count, &strategies, Some(&fleet));
        prop_assert_eq!(&chosen, &naive(&tasks, count, &strategies, &fleet));
        let free = tasks.iter().filter(|task| !task.protected).count();
        prop_assert_eq!(chosen.len(), count.min(free));
        for id in chosen {
            prop_assert!(tasks.iter().any(|task| task.task == id && !task.protected));
        }
    }
}

/// Places five thousand tasks as a service does, and takes half of them away: zones and
/// instances are as even afterwards as before.
#[test]
fn what_was_placed_evenly_stays_even() {
    let fleet_of: Vec<(u64, u32)> = (0..999).map(|n| (n, 100_000)).collect();
    let mut fleet = fleet(&fleet_of);
    let spec = RequestSpec {
        needs: Needs { cpu: CpuUnits(1), memory: MemoryMib(1), ..Needs::default() },
        default: DefaultStrategy::Service,
        group: "service:web".into(),
        ..RequestSpec::default()
    };
    let request = Request::new(spec.clone());
    let mut tasks = Vec::new();
    for n in 0..5000_u64 {
        let id = fleet.place_one(&request, Seed::new(n.into())).expect("there is room");
        let zone = fleet.attribute(id, ZONE_ATTRIBUTE).expect("all have a zone").to_owned();
        let placed = Removable { instance: Some(id), ..task(n, &zone, 0) };
        fleet.occupy(id, placed.task, &spec.needs, &spec.group).expect("placed with room");
        tasks.push(placed);
    }
    let gone: BTreeSet<TaskId> = choose(&tasks, 2500, &[], Some(&fleet)).into_iter().collect();
    assert_eq!(gone.len(), 2500);
    let mut zones: BTreeMap<&str, u32> = BTreeMap::new();
    let mut instances: BTreeMap<InstanceId, u32> =
        fleet_of.iter().map(|&(n, _)| (InstanceId::from_bits(n.into()), 0)).collect();
    for task in tasks.iter().filter(|task| !gone.contains(&task.task)) {
        *zones.entry(task.zone.as_deref().expect("all have a zone")).or_default() += 1;
        *instances.entry(task.instance.expect("all are placed")).or_default() += 1;
    }
    let apart = |counts: Vec<u32>| counts.iter().max().zip(counts.iter().min()).map(|(max, min)| max - min);
    assert!(apart(zones.values().copied().collect()) <= Some(1), "{zones:?}");
    assert!(apart(instances.values().copied().collect()) <= Some(1), "{instances:?}");
}
