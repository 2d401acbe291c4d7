use std::collections::BTreeMap;

use longshore_base::{CpuUnits, InstanceId, MemoryMib, Port, Protocol, Seed, TaskId, Timestamp};

use super::*;
use crate::constraint::Constraint;
use crate::needs::{Pool, RequiredAttribute};
use crate::refusal::Reason;
use crate::request::{DefaultStrategy, Request, RequestSpec};
use crate::strategy::{Field, Resource, Strategy};
use crate::{Expression, ZONE_ATTRIBUTE};

/// The instance `i-<n>` with an even share of tasks to come: `zone`, CPU units and MiB.
fn instance(n: u128, zone: &str, cpu: u32, memory: u32) -> Instance {
    Instance {
        id: InstanceId::from_bits(n),
        ec2_instance_id: format!("i-{n}").into(),
        status: Status::Active,
        connected: true,
        launch: Launch::Ec2,
        capacity_provider: None,
        cpu: CpuUnits(cpu),
        memory: MemoryMib(memory),
        reserved_tcp: [22, 2375, 2376, 51678, 51679, 51680].map(Port).to_vec(),
        reserved_udp: Vec::new(),
        gpus: Vec::new(),
        interfaces: None,
        attributes: BTreeMap::from([(ZONE_ATTRIBUTE.into(), Some(zone.into()))]),
        agent_version: "1.70.0".into(),
        registered_at: Timestamp::from_millis(0),
    }
}

fn needs(cpu: u32, memory: u32) -> Needs {
    Needs { cpu: CpuUnits(cpu), memory: MemoryMib(memory), ..Needs::default() }
}

fn spec(cpu: u32, memory: u32) -> RequestSpec {
    RequestSpec { needs: needs(cpu, memory), group: "service:web".into(), ..RequestSpec::default() }
}

fn task(n: u128) -> TaskId {
    TaskId::from_bits(n)
}

/// Places `count` tasks and shows where they went, as `n` of `i-<n>`, sorted.
fn place(fleet: &mut Fleet, spec: &RequestSpec, count: u128) -> Vec<u128> {
    let request = Request::new(spec.clone());
    let mut placed = Vec::new();
    for n in 0..count {
        let Ok(id) = fleet.place_one(&request, Seed::new(n)) else { break };
        let next = TaskId::from_bits(1000 + fleet.traffic_total());
        fleet.occupy(id, next, &spec.needs, &spec.group).expect("placed with room");
        placed.push(id.bits());
    }
    placed.sort_unstable();
    placed
}

impl Fleet {
    fn traffic_total(&self) -> u128 {
        self.slots.iter().map(|slot| slot.tasks.len() as u128).sum()
    }
}

fn three_zones() -> Fleet {
    let mut fleet = Fleet::new();
    for (n, zone) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
        fleet.upsert(instance(n, zone, 2048, 4096));
    }
    fleet
}

/// ecs-engine D2, "Worked example".
#[test]
fn resources_are_accounted_as_ecs_does() {
    let mut fleet = Fleet::new();
    fleet.upsert(instance(1, "a", 2048, 3840));
    let id = InstanceId::from_bits(1);
    let web = Needs { ports: vec![(Port(8080), Protocol::Tcp)], ..needs(102, 50) };
    fleet.occupy(id, task(1), &web, "family:web").expect("fits");
    fleet.occupy(id, task(2), &needs(512, 1024), "family:job").expect("fits");
    let remaining = fleet.remaining(id).expect("is there");
    assert_eq!((remaining.cpu.0, remaining.memory.0), (1434, 2766));
    assert_eq!(remaining.ports_tcp, [22, 2375, 2376, 8080, 51678, 51679, 51680].map(Port));
    assert_eq!(remaining.ports_udp, []);
    let again = Request::new(RequestSpec { needs: web.clone(), ..RequestSpec::default() });
    assert_eq!(fleet.check(id, &again), Err(Reason::Ports));
    assert_eq!(fleet.occupy(id, task(3), &web, "family:web"), Err(OccupyError::Port(Port(8080))));
    let udp = Needs { ports: vec![(Port(8080), Protocol::Udp)], ..needs(0, 0) };
    assert_eq!(fleet.occupy(id, task(3), &udp, "family:web"), Ok(()), "UDP has ports of its own");
    fleet.vacate(id, task(1));
    assert_eq!(fleet.check(id, &again), Ok(()));
    assert_eq!(fleet.occupy(id, task(3), &web, "family:web"), Err(OccupyError::Twice(task(3))));
}

#[test]
fn nothing_is_promised_twice() {
    let mut fleet = Fleet::new();
    let mut gpus = instance(1, "a", 1024, 1000);
    gpus.gpus = vec!["gpu-a".into(), "gpu-b".into()];
    fleet.upsert(gpus);
    let id = InstanceId::from_bits(1);
    let short = |fleet: &mut Fleet, needs: &Needs| fleet.occupy(id, task(99), needs, "g").err();
    fleet.occupy(id, task(1), &Needs { gpus: 1, ..needs(1000, 900) }, "g").expect("fits");
    assert_eq!(
        short(&mut fleet, &needs(25, 1)),
        Some(OccupyError::Cpu { needed: CpuUnits(25), left: CpuUnits(24) })
    );
    assert_eq!(
        short(&mut fleet, &needs(24, 101)),
        Some(OccupyError::Memory { needed: MemoryMib(101), left: MemoryMib(100) })
    );
    let two = Needs { gpus: 2, ..needs(0, 0) };
    assert_eq!(short(&mut fleet, &two), Some(OccupyError::Gpus { needed: 2, left: 1 }));
    let twice = Needs { ports: vec![(Port(80), Protocol::Tcp); 2], ..needs(0, 0) };
    assert_eq!(short(&mut fleet, &twice), Some(OccupyError::Port(Port(80))));
    let many = Needs { ports: (1000..1095).map(|p| (Port(p), Protocol::Tcp)).collect(), ..needs(0, 0) };
    assert_eq!(short(&mut fleet, &many), Some(OccupyError::PortCount), "95 beside the 6 reserved");
    assert_eq!(fleet.gpus_of(id, task(1)), ["gpu-a".into()]);
    assert_eq!(fleet.remaining(id).expect("is there").gpus, ["gpu-b".into()]);
    assert_eq!(fleet.occupy(id, task(2), &needs(24, 100), "g"), Ok(()), "equal fits");
}

/// Tasks that were stored before it was noted which GPUs they have.
#[test]
fn a_task_of_unknown_gpus_gives_way_to_one_that_is_known() {
    let with = |gpus: &[&str]| {
        let mut instance = instance(1, "a", 1024, 1000);
        instance.gpus = gpus.iter().map(|&gpu| gpu.into()).collect();
        instance
    };
    let mut fleet = Fleet::new();
    fleet.upsert(with(&["gpu-a", "gpu-b", "gpu-c"]));
    let id = InstanceId::from_bits(1);
    let one = Needs { gpus: 1, ..needs(1, 1) };
    let (old, new) = (task(1), task(2));
    fleet.adopt(id, old, &one, "g", &[]).expect("is there");
    assert_eq!(fleet.gpus_of(id, old), ["gpu-a".into()]);
    fleet.adopt(id, new, &one, "g", &["gpu-a".into()]).expect("is there");
    let check = |fleet: &Fleet, of_old: &[&str], left: &[&str]| {
        let (has, is_left) = (fleet.gpus_of(id, old), fleet.remaining(id).expect("is there").gpus);
        assert_eq!(
            (has.iter().map(|gpu| &**gpu).collect::<Vec<_>>(), is_left.len()),
            (of_old.to_vec(), left.len())
        );
        assert!(is_left.iter().zip(left).all(|(is, expected)| **is == **expected), "{is_left:?}");
        assert_eq!(fleet.gpus_of(id, new), ["gpu-a".into()]);
    };
    check(&fleet, &["gpu-b"], &["gpu-c"]);
    // It registers again: in another order, with less, with others.
    for (gpus, of_old, left) in [
        (&["gpu-c", "gpu-b", "gpu-a"][..], &["gpu-b"][..], &["gpu-c"][..]),
        (&["gpu-a"], &[], &[]),
        (&["gpu-d", "gpu-a"], &["gpu-d"], &[]),
    ] {
        fleet.upsert(with(gpus));
        fleet.set_gpus(id, old, &[]);
        fleet.set_gpus(id, new, &["gpu-a".into()]);
        check(&fleet, of_old, left);
    }
}

/// What a task was given does not depend on the order in which tasks are entered.
#[test]
fn an_adopted_task_keeps_its_gpus() {
    let with = |gpus: &[&str]| {
        let mut instance = instance(1, "a", 1024, 1000);
        instance.gpus = gpus.iter().map(|&gpu| gpu.into()).collect();
        instance
    };
    let mut fleet = Fleet::new();
    fleet.upsert(with(&["gpu-a", "gpu-b", "gpu-c"]));
    let id = InstanceId::from_bits(1);
    let one = Needs { gpus: 1, ..needs(1, 1) };
    fleet.adopt(id, task(1), &one, "g", &["gpu-b".into()]).expect("is there");
    fleet.adopt(id, task(2), &one, "g", &["gpu-a".into()]).expect("is there");
    assert_eq!(fleet.gpus_of(id, task(1)), ["gpu-b".into()]);
    assert_eq!(fleet.remaining(id).expect("is there").gpus, ["gpu-c".into()]);
    fleet.occupy(id, task(3), &one, "g").expect("one is left");
    assert_eq!(fleet.gpus_of(id, task(3)), ["gpu-c".into()]);
    // It registers again, with the list in another order and one less.
    fleet.upsert(with(&["gpu-c", "gpu-b"]));
    for (n, gpu) in [(1, "gpu-b"), (2, "gpu-a"), (3, "gpu-c")] {
        fleet.set_gpus(id, task(n), &[gpu.into()]);
    }
    assert_eq!(fleet.gpus_of(id, task(1)), ["gpu-b".into()]);
    assert_eq!(fleet.gpus_of(id, task(2)), []);
    fleet.vacate(id, task(3));
    assert_eq!(fleet.remaining(id).expect("is there").gpus, ["gpu-c".into()]);
}

/// An instance that comes back smaller keeps its tasks, and a restart can tell so again.
#[test]
fn a_smaller_instance_is_full_rather_than_negative() {
    let mut fleet = Fleet::new();
    fleet.upsert(instance(1, "a", 1024, 1000));
    let id = InstanceId::from_bits(1);
    fleet.occupy(id, task(1), &needs(1000, 900), "g").expect("fits");
    fleet.upsert(instance(1, "a", 512, 500));
    let remaining = fleet.remaining(id).expect("is there");
    assert_eq!((remaining.cpu.0, remaining.memory.0), (0, 0));
    assert!(fleet.occupy(id, task(2), &needs(1, 1), "g").is_err());
    fleet.adopt(id, task(2), &needs(1, 1), "g", &[]).expect("exists already");
    fleet.vacate(id, task(1));
    assert_eq!(fleet.remaining(id).expect("is there").cpu, CpuUnits(511));
}

#[test]
fn three_tasks_on_three_equal_instances_are_one_each() {
    let mut fleet = Fleet::new();
    (1..=3).for_each(|n| fleet.upsert(instance(n, "a", 1024, 1024)));
    assert_eq!(place(&mut fleet, &spec(128, 128), 3), [1, 2, 3]);
}

#[test]
fn services_spread_over_zones_then_instances() {
    let placed = place(&mut three_zones(), &spec(128, 128), 6);
    assert_eq!(placed, [1, 2, 3, 3, 4, 4], "two per zone");
}

#[test]
fn tasks_without_strategy_go_where_most_memory_is_left() {
    let mut fleet = three_zones();
    fleet.upsert(instance(9, "a", 2048, 9000));
    let spec = RequestSpec { default: DefaultStrategy::Task, ..spec(128, 128) };
    assert_eq!(place(&mut fleet, &spec, 3), [3, 4, 9]);
}

#[test]
fn binpack_fills_one_instance_before_the_next() {
    let mut fleet = three_zones();
    let spec = RequestSpec { strategies: vec![Strategy::Binpack(Resource::Memory)], ..spec(512, 1024) };
    let placed = place(&mut fleet, &spec, 8);
    let mut distinct = placed.clone();
    distinct.dedup();
    assert_eq!((placed.len(), distinct.len()), (8, 2), "{placed:?}");
}

#[test]
fn distinct_instances_are_respected_until_a_task_is_told_to_stop() {
    let mut fleet = three_zones();
    let spec = RequestSpec { constraints: vec![Constraint::DistinctInstance], ..spec(128, 128) };
    assert_eq!(place(&mut fleet, &spec, 9), [1, 2, 3, 4]);
    let request = Request::new(spec.clone());
    let refusal = fleet.place_one(&request, Seed::new(0)).expect_err("all are taken");
    assert_eq!(refusal.count(&Reason::DistinctInstance), 4);
    let id = InstanceId::from_bits(3);
    let held = fleet.slots[2].tasks[0].task_bits();
    fleet.told_to_stop(id, TaskId::from_bits(held));
    assert_eq!(fleet.place_one(&request, Seed::new(0)), Ok(id));
    let other = Request::new(RequestSpec { group: "service:db".into(), ..spec });
    assert_eq!(fleet.best_candidates(&other).len(), 4, "groups do not see each other");
}

#[test]
fn pools_do_not_mix() {
    let mut fleet = three_zones();
    fleet.upsert(Instance { launch: Launch::External, ..instance(7, "a", 2048, 4096) });
    fleet.upsert(Instance { capacity_provider: Some("asg".into()), ..instance(8, "a", 2048, 4096) });
    let of = |pool| {
        let request = Request::new(RequestSpec { pool, ..spec(1, 1) });
        fleet.best_candidates(&request).iter().map(|id| id.bits()).collect::<Vec<_>>()
    };
    assert_eq!(of(Pool::Launch(Launch::Ec2)), [1, 2, 3, 4, 8]);
    assert_eq!(of(Pool::Launch(Launch::External)), [7]);
    assert_eq!(of(Pool::Provider("asg".into())), [8]);
    assert_eq!(of(Pool::Provider("none".into())), []);
}

#[test]
fn random_choices_are_even() {
    let mut fleet = Fleet::new();
    (0..100).for_each(|n| fleet.upsert(instance(n, "a", 1024, 1024)));
    // Five of a hundred are left: mostly too few to be hit by drawing any.
    (5..100).for_each(|n| fleet.set_connected(InstanceId::from_bits(n), false));
    let request = Request::new(RequestSpec { strategies: vec![Strategy::Random], ..spec(1, 1) });
    let mut hits = [0; 5];
    for n in 0..5000 {
        let id = fleet.place_one(&request, Seed::new(7).of(n)).expect("five are open");
        hits[id.bits() as usize] += 1;
    }
    assert!(hits.iter().all(|hits| (850..1150).contains(hits)), "{hits:?}");
}

#[test]
fn a_refusal_counts_and_explains() {
    let mut fleet = Fleet::new();
    let request = Request::new(spec(1024, 1000));
    let nobody = fleet.place_one(&request, Seed::new(0)).expect_err("there is no instance");
    assert!(nobody.no_instances());
    fleet.upsert(instance(1, "a", 512, 4096));
    fleet.upsert(instance(2, "a", 256, 4096));
    fleet.upsert(instance(0xabc, "a", 2048, 500));
    fleet.upsert(Instance { connected: false, ..instance(4, "a", 2048, 4096) });
    fleet.upsert(Instance { status: Status::Draining, ..instance(5, "a", 2048, 4096) });
    fleet.upsert(Instance { launch: Launch::External, ..instance(6, "a", 2048, 4096) });
    // Deregistered: still known, and nobody's candidate.
    fleet.upsert(Instance { status: Status::Closed, ..instance(7, "a", 2048, 4096) });
    assert_eq!((fleet.len(), fleet.open_len()), (7, 6));
    let refusal = fleet.place_one(&request, Seed::new(0)).expect_err("none fits");
    assert_eq!((refusal.instances, refusal.outside), (6, 1));
    assert_eq!(refusal.summary(), "1 x INACTIVE, 1 x AGENT, 2 x RESOURCE:CPU, 1 x RESOURCE:MEMORY");
    let failures: Vec<_> = refusal.failures().map(|(id, reason)| (id.bits(), reason.as_failure())).collect();
    assert_eq!(
        failures,
        [(1, "RESOURCE:CPU"), (2, "RESOURCE:CPU"), (0xabc, "RESOURCE:MEMORY"), (4, "AGENT")],
        "a DRAINING instance is counted, but is no candidate"
    );
    assert_eq!(refusal.closest(), Some((InstanceId::from_bits(0xabc), &Reason::Memory)));
}

#[test]
fn only_deregistered_instances_are_none() {
    let mut fleet = Fleet::new();
    fleet.upsert(Instance { status: Status::Closed, ..instance(1, "a", 2048, 4096) });
    let refusal = fleet.place_one(&Request::new(spec(1, 1)), Seed::new(0)).expect_err("it is gone");
    assert!(refusal.no_instances() && refusal.none_active());
    assert_eq!((refusal.instances, refusal.outside, refusal.failures().count()), (0, 0, 0));
}

#[test]
fn constraints_name_their_expression() {
    let fleet = three_zones();
    let expression = Expression::parse("attribute:stack == prod").expect("valid");
    let spec = RequestSpec { constraints: vec![Constraint::MemberOf(expression)], ..spec(1, 1) };
    let refusal = fleet.place_one(&Request::new(spec), Seed::new(0)).expect_err("none has the attribute");
    let (_, reason) = refusal.closest().expect("there are instances");
    assert_eq!(reason.as_failure(), "MemberOf placement constraint unsatisfied.");
    assert_eq!(refusal.ruled_out.len(), 1);
}

/// Full instances stay eligible for a daemon: the service wants a task there and says so.
#[test]
fn eligibility_ignores_resources() {
    let mut fleet = three_zones();
    fleet.set_status(InstanceId::from_bits(1), Status::Draining);
    let zone = Expression::parse("attribute:ecs.availability-zone in [a, b]").expect("valid");
    let calm = Expression::parse("runningTasksCount == 0").expect("valid");
    let constraints = vec![Constraint::MemberOf(zone), Constraint::MemberOf(calm)];
    let request = Request::new(RequestSpec { constraints, ..spec(9999, 9999) });
    let eligible = |fleet: &Fleet| fleet.eligible(&request).iter().map(|id| id.bits()).collect::<Vec<_>>();
    assert_eq!(eligible(&fleet), [2, 3]);
    let id = InstanceId::from_bits(3);
    fleet.occupy(id, task(1), &needs(1, 1), "g").expect("fits");
    fleet.set_running(id, task(1), true);
    assert_eq!(eligible(&fleet), [2]);
}

/// StartTask looks at one instance, and at neither pool nor constraints.
#[test]
fn a_named_instance_is_checked_step_by_step() {
    let mut fleet = three_zones();
    let never = Expression::parse("attribute:none exists").expect("valid");
    let required = vec![RequiredAttribute { name: "cap".into(), value: None }];
    let base = RequestSpec {
        constraints: vec![Constraint::MemberOf(never)],
        pool: Pool::Provider("other".into()),
        ..spec(1, 1)
    };
    let check = |fleet: &Fleet, n, spec: &RequestSpec| {
        fleet.check(InstanceId::from_bits(n), &Request::new(spec.clone())).err()
    };
    assert_eq!(check(&fleet, 1, &base), None);
    assert_eq!(check(&fleet, 77, &base), Some(Reason::Missing));
    let lacking = Some(Reason::Attribute(required.clone().into()));
    assert_eq!(check(&fleet, 1, &RequestSpec { required, ..base.clone() }), lacking);
    let zones = Some(vec!["c".into()]);
    assert_eq!(check(&fleet, 1, &RequestSpec { zones, ..base.clone() }), Some(Reason::Location));
    fleet.set_connected(InstanceId::from_bits(1), false);
    assert_eq!(check(&fleet, 1, &base), Some(Reason::Agent));
    fleet.set_status(InstanceId::from_bits(1), Status::Closed);
    assert_eq!(check(&fleet, 1, &base), Some(Reason::NotActive));
}

/// What nobody offers is named, and by whom the least is lacked, full or not.
#[test]
fn attributes_that_are_missing_are_told() {
    let mut fleet = Fleet::new();
    for (n, offered) in [(1, vec![]), (2, vec!["a"]), (3, vec!["a", "b"]), (4, vec!["a", "b"])] {
        let mut instance = instance(n, "a", 1000, 1000);
        instance.attributes.extend(offered.into_iter().map(|name| (name.into(), None)));
        fleet.upsert(instance);
    }
    let required = |names: &[&str]| -> Vec<RequiredAttribute> {
        names.iter().map(|name| RequiredAttribute { name: (*name).into(), value: None }).collect()
    };
    let request =
        |names: &[&str], cpu| Request::new(RequestSpec { required: required(names), ..spec(cpu, 1) });
    let lacks = |names: &[&str]| Reason::Attribute(required(names).into());

    let refusal = fleet.place_one(&request(&["a", "b", "c"], 1), Seed::new(1)).expect_err("nobody has c");
    let ruled: Vec<_> =
        refusal.ruled_out.iter().map(|ruled| (ruled.reason.clone(), ruled.instances)).collect();
    assert_eq!(ruled, [(lacks(&["a", "b", "c"]), 1), (lacks(&["b", "c"]), 1), (lacks(&["c"]), 2)]);
    assert_eq!(refusal.closest().map(|(_, reason)| reason.clone()), Some(lacks(&["c"])));

    // However full they are.
    let full = request(&["a", "c"], 1001);
    let refusal = fleet.place_one(&full, Seed::new(1)).expect_err("too large");
    assert_eq!(refusal.count(&Reason::Cpu), 4);
    assert_eq!(fleet.shortage(&full), Shortage::Lacking(required(&["c"])));
    assert_eq!(fleet.shortage(&request(&["b"], 1001)), Shortage::TooLarge);
    let elsewhere = RequestSpec { pool: Pool::Launch(Launch::Fargate), ..spec(1, 1) };
    assert_eq!(fleet.shortage(&Request::new(elsewhere)), Shortage::NoInstance);
}

/// Of room that is there nobody says that there is none: its agent is away.
#[test]
fn room_of_agents_that_are_away_is_not_lacking() {
    let mut fleet = Fleet::new();
    let ids = [1, 2, 3].map(InstanceId::from_bits);
    for (n, cpu, offered) in [(1, 1000, true), (2, 1000, true), (3, 4000, false)] {
        let mut instance = instance(n, "a", cpu, 1000);
        instance.attributes.extend(offered.then(|| ("a".into(), None)));
        fleet.upsert(instance);
    }
    let required = vec![RequiredAttribute { name: "a".into(), value: None }];
    let request = |cpu| Request::new(RequestSpec { required: required.clone(), ..spec(cpu, 1) });
    fleet.set_connected(ids[0], false);
    fleet.set_connected(ids[1], false);
    assert_eq!(fleet.shortage(&request(600)), Shortage::Away);
    assert_eq!(fleet.shortage(&request(2000)), Shortage::TooLarge, "what is large lacks an attribute");
    fleet.occupy(ids[0], task(1), &needs(500, 1), "g").expect("fits");
    fleet.set_connected(ids[0], true);
    assert_eq!(fleet.shortage(&request(600)), Shortage::Full { away: true });
    fleet.occupy(ids[1], task(2), &needs(500, 1), "g").expect("fits");
    assert_eq!(fleet.shortage(&request(600)), Shortage::Full { away: false });
    fleet.set_connected(ids[1], true);
    assert_eq!(fleet.shortage(&request(600)), Shortage::Full { away: false });
}

#[test]
fn spread_by_an_attribute_gives_its_absence_a_share() {
    let mut fleet = Fleet::new();
    for (n, rack) in [(1, Some("x")), (2, Some("y")), (3, None), (4, None)] {
        let mut instance = instance(n, "a", 2048, 4096);
        if let Some(rack) = rack {
            instance.attributes.insert("rack".into(), Some(rack.into()));
        }
        fleet.upsert(instance);
    }
    let strategies =
        vec![Strategy::Spread(Field::Attribute("rack".into())), Strategy::Spread(Field::Instance)];
    let placed = place(&mut fleet, &RequestSpec { strategies, ..spec(1, 1) }, 6);
    assert_eq!(placed, [1, 1, 2, 2, 3, 4]);
}
