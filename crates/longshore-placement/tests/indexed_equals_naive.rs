//! The indexed fleet against a model that keeps lists and looks at everything each time.
//!
//! After every change, both are asked the same question: which instances are best, or how many
//! does each reason rule out. The model shares no code with the index but the query language.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{CpuUnits, InstanceId, MemoryMib, Port, Protocol, Seed, TaskId, Timestamp};
use longshore_placement::query::Subject;
use longshore_placement::{
    Constraint, DefaultStrategy, Expression, Field, Fleet, Instance, Launch, Needs, Pool, Reason, Refusal,
    Request, RequestSpec, RequiredAttribute, Resource, Status, Strategy, ZONE_ATTRIBUTE,
};
use proptest::prelude::*;

struct Task {
    id: TaskId,
    needs: Needs,
    group: String,
    counts: bool,
    running: bool,
}

struct Node {
    instance: Instance,
    tasks: Vec<Task>,
}

impl Node {
    fn cpu_left(&self) -> u32 {
        self.instance.cpu.0.saturating_sub(self.tasks.iter().map(|t| t.needs.cpu.0).sum())
    }

    fn memory_left(&self) -> u32 {
        self.instance.memory.0.saturating_sub(self.tasks.iter().map(|t| t.needs.memory.0).sum())
    }

    fn ports(&self) -> BTreeSet<(Port, Protocol)> {
        let i = &self.instance;
        let reserved = i.reserved_tcp.iter().map(|&p| (p, Protocol::Tcp));
        let udp = i.reserved_udp.iter().map(|&p| (p, Protocol::Udp));
        reserved.chain(udp).chain(self.tasks.iter().flat_map(|t| t.needs.ports.iter().copied())).collect()
    }

    fn gpus_left(&self) -> usize {
        self.instance.gpus.len().saturating_sub(self.tasks.iter().map(|t| t.needs.gpus as usize).sum())
    }

    fn interfaces_left(&self) -> u32 {
        let used = self.tasks.iter().map(|t| t.needs.interfaces).sum();
        self.instance.interfaces.map_or(u32::MAX, |has| has.saturating_sub(used))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.instance.attributes.get(name).map(|value| value.as_deref().unwrap_or_default())
    }

    fn counting(&self, group: &str) -> usize {
        self.tasks.iter().filter(|task| task.counts && task.group == group).count()
    }

    fn is_open(&self) -> bool {
        self.instance.status != Status::Closed
    }

    fn in_pool(&self, pool: &Pool) -> bool {
        match pool {
            Pool::Launch(launch) => self.instance.launch == *launch,
            Pool::Provider(name) => self.instance.capacity_provider.as_ref() == Some(name),
        }
    }

    fn resources(&self, needs: &Needs) -> Option<Reason> {
        let used = self.ports();
        if needs.cpu.0 > self.cpu_left() {
            Some(Reason::Cpu)
        } else if needs.memory.0 > self.memory_left() {
            Some(Reason::Memory)
        } else if needs.ports.iter().any(|port| used.contains(port)) {
            Some(Reason::Ports)
        } else if needs.gpus as usize > self.gpus_left() {
            Some(Reason::Gpu)
        } else if needs.interfaces > self.interfaces_left() {
            Some(Reason::Interface)
        } else {
            None
        }
    }

    fn first_failure(&self, spec: &RequestSpec) -> Option<Reason> {
        if self.instance.status != Status::Active {
            return Some(Reason::NotActive);
        }
        if !self.instance.connected {
            return Some(Reason::Agent);
        }
        if let Some(short) = self.resources(&spec.needs) {
            return Some(short);
        }
        let has = |r: &RequiredAttribute| match &r.value {
            Some(value) => self.value(&r.name) == Some(value),
            None => self.value(&r.name).is_some(),
        };
        let lacking: Vec<_> = spec.required.iter().filter(|required| !has(required)).cloned().collect();
        if !lacking.is_empty() {
            return Some(Reason::Attribute(lacking.into()));
        }
        if let Some(zones) = &spec.zones
            && !self.value(ZONE_ATTRIBUTE).is_some_and(|zone| zones.iter().any(|z| **z == *zone))
        {
            return Some(Reason::Location);
        }
        spec.constraints.iter().find_map(|constraint| match constraint {
            Constraint::DistinctInstance => {
                (self.counting(&spec.group) > 0).then_some(Reason::DistinctInstance)
            }
            Constraint::MemberOf(e) => (!e.matches(self)).then(|| Reason::MemberOf(e.as_str().into())),
        })
    }
}

impl Subject for Node {
    fn agent_connected(&self) -> bool {
        self.instance.connected
    }
    fn agent_version(&self) -> &str {
        &self.instance.agent_version
    }
    fn ec2_instance_id(&self) -> &str {
        &self.instance.ec2_instance_id
    }
    fn registered_at(&self) -> Timestamp {
        self.instance.registered_at
    }
    fn running_tasks_count(&self) -> u32 {
        self.tasks.iter().filter(|task| task.running).count() as u32
    }
    fn attribute(&self, name: &str) -> Option<&str> {
        self.value(name)
    }
    fn any_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.tasks.iter().any(|task| test(&task.group))
    }
}

#[derive(Default)]
struct Model {
    nodes: BTreeMap<InstanceId, Node>,
}

impl Model {
    /// How many tasks of the group are where the node is, by one field.
    fn together(&self, node: &Node, field: &Field, group: &str) -> usize {
        match field {
            Field::Instance => node.counting(group),
            Field::Attribute(name) => {
                let same = self.nodes.values().filter(|other| other.value(name) == node.value(name));
                same.map(|other| other.counting(group)).sum()
            }
        }
    }

    fn best(&self, spec: &RequestSpec) -> Vec<InstanceId> {
        let fits = |node: &&Node| node.in_pool(&spec.pool) && node.first_failure(spec).is_none();
        let mut best: Vec<&Node> = self.nodes.values().filter(fits).collect();
        let mut keep = |score: &dyn Fn(&Node) -> i64| {
            let lowest = best.iter().map(|node| score(node)).min();
            best.retain(|node| Some(score(node)) == lowest);
        };
        let zone = Field::Attribute(ZONE_ATTRIBUTE.into());
        if spec.strategies.is_empty() {
            keep(&|node| self.together(node, &zone, &spec.group) as i64);
            match spec.default {
                DefaultStrategy::Service => keep(&|node| node.counting(&spec.group) as i64),
                DefaultStrategy::Task => keep(&|node| -i64::from(node.memory_left())),
            }
        }
        for strategy in &spec.strategies {
            match strategy {
                Strategy::Random => break,
                Strategy::Spread(field) => keep(&|node| self.together(node, field, &spec.group) as i64),
                Strategy::Binpack(Resource::Cpu) => keep(&|node| i64::from(node.cpu_left())),
                Strategy::Binpack(Resource::Memory) => keep(&|node| i64::from(node.memory_left())),
            }
        }
        best.iter().map(|node| node.instance.id).collect()
    }

    fn check_refusal(&self, spec: &RequestSpec, refusal: &Refusal) {
        let mut counts: BTreeMap<Reason, u32> = BTreeMap::new();
        let mut considered = BTreeMap::new();
        for node in self.nodes.values().filter(|node| node.is_open() && node.in_pool(&spec.pool)) {
            let reason = node.first_failure(spec).expect("the model has no candidate either");
            *counts.entry(reason.clone()).or_default() += 1;
            considered.insert(node.instance.id, reason);
        }
        let got: BTreeMap<Reason, u32> =
            refusal.ruled_out.iter().map(|ruled| (ruled.reason.clone(), ruled.instances)).collect();
        assert_eq!(got, counts, "reasons");
        let open = self.nodes.values().filter(|node| node.is_open()).count();
        assert_eq!(refusal.instances as usize, open, "instances");
        let sum = refusal.outside + refusal.ruled_out.iter().map(|ruled| ruled.instances).sum::<u32>();
        assert_eq!(sum, refusal.instances, "every instance is counted once");
        for ruled in &refusal.ruled_out {
            assert_eq!(considered.get(&ruled.example), Some(&ruled.reason), "example");
        }
        for (instance, reason) in refusal.failures() {
            assert_eq!(considered.get(&instance), Some(reason), "sample");
            assert_ne!(*reason, Reason::NotActive, "no candidate");
        }
        let candidates = considered.values().filter(|reason| **reason != Reason::NotActive).count();
        assert_eq!(refusal.failures().count(), candidates.min(longshore_placement::SAMPLE_MAX));
        assert!(!refusal.summary().is_empty());
    }
}

/// Draws what it is asked for from one number, so that proptest can shrink a list of numbers.
struct Draw {
    seed: Seed,
    drawn: u64,
}

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        self.seed.of(self.drawn).below(bound)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn instance(&mut self, id: InstanceId) -> Instance {
        let mut attributes: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
        if self.chance(90) {
            attributes.insert(ZONE_ATTRIBUTE.into(), Some(self.pick(&["a", "b", "c"]).into()));
        }
        if self.chance(60) {
            attributes.insert("rack".into(), Some(format!("r{}", self.below(200)).into()));
        }
        if self.chance(50) {
            attributes.insert("stack".into(), Some(self.pick(&["prod", "test"]).into()));
        }
        if self.chance(80) {
            attributes.insert("capability".into(), None);
        }
        Instance {
            id,
            ec2_instance_id: format!("i-{id}").into(),
            status: if self.chance(90) {
                Status::Active
            } else {
                self.pick(&[Status::Draining, Status::Closed])
            },
            connected: self.chance(90),
            launch: if self.chance(85) { Launch::Ec2 } else { Launch::External },
            capacity_provider: self.chance(20).then(|| self.pick(&["p", "q"]).into()),
            cpu: CpuUnits(self.pick(&[512, 1024, 2048, 1024 + 7])),
            memory: MemoryMib(self.pick(&[512, 1000, 2000]) + self.below(60) as u32),
            reserved_tcp: vec![Port(22), Port(self.pick(&[2375, 8080]))],
            reserved_udp: Vec::new(),
            gpus: (0..self.pick(&[0, 0, 2])).map(|n| format!("gpu-{n}").into()).collect(),
            interfaces: self.pick(&[None, Some(0), Some(2), Some(5)]),
            attributes,
            agent_version: self.pick(&["1.70.0", "1.9.3", ""]).into(),
            registered_at: Timestamp::from_millis(self.below(1000) as i64),
        }
    }

    fn needs(&mut self) -> Needs {
        let mut ports = Vec::new();
        if self.chance(15) {
            ports.push((Port(self.pick(&[80, 443, 8080])), self.pick(&[Protocol::Tcp, Protocol::Udp])));
        }
        Needs {
            cpu: CpuUnits(self.pick(&[0, 64, 128, 300])),
            memory: MemoryMib(self.pick(&[16, 100, 128, 400])),
            ports,
            gpus: u32::from(self.chance(5)),
            interfaces: u32::from(self.chance(15)),
        }
    }

    fn group(&mut self) -> String {
        self.pick(&["service:web", "service:db", "family:job"]).to_owned()
    }

    fn spec(&mut self) -> RequestSpec {
        const EXPRESSIONS: [&str; 8] = [
            "attribute:stack == prod",
            "not(attribute:stack == prod)",
            "attribute:ecs.availability-zone in [a, b] and agentVersion >= 1.10",
            "task:group == service:db",
            "not(task:group == service:db)",
            "attribute:stack exists and (runningTasksCount < 2 or task:group =~ family:.*)",
            "not(runningTasksCount > 1 and attribute:rack !exists)",
            "task:group not_in [service:web] or registeredAt < 1970-01-01T00:00:00.500Z",
        ];
        let mut constraints = Vec::new();
        if self.chance(20) {
            constraints.push(Constraint::DistinctInstance);
        }
        if self.chance(30) {
            let expression = Expression::parse(self.pick(&EXPRESSIONS)).expect("valid");
            constraints.push(Constraint::MemberOf(expression));
        }
        let rack = Field::Attribute("rack".into());
        let all = [
            Strategy::Random,
            Strategy::Spread(Field::zone()),
            Strategy::Spread(Field::zone()),
            Strategy::Spread(Field::Instance),
            Strategy::Spread(rack),
            Strategy::Spread(Field::Attribute("nobody-has-this".into())),
            Strategy::Binpack(Resource::Cpu),
            Strategy::Binpack(Resource::Memory),
        ];
        let mut required = Vec::new();
        if self.chance(30) {
            required.push(RequiredAttribute { name: "capability".into(), value: None });
        }
        if self.chance(10) {
            required.push(RequiredAttribute { name: "stack".into(), value: Some("test".into()) });
        }
        RequestSpec {
            needs: self.needs(),
            pool: match self.below(10) {
                0 => Pool::Launch(Launch::External),
                1 => Pool::Provider("p".into()),
                _ => Pool::default(),
            },
            required,
            zones: self.chance(20).then(|| vec!["b".into(), "c".into()]),
            constraints,
            strategies: (0..self.pick(&[0, 1, 2, 3])).map(|_| self.pick(&all)).collect(),
            default: self.pick(&[DefaultStrategy::Service, DefaultStrategy::Task]),
            group: self.group().into(),
        }
    }
}

/// Both sides, changed together and compared.
#[derive(Default)]
struct Pair {
    model: Model,
    fleet: Fleet,
    tasks: u128,
    ids: u128,
    requests: Vec<Request>,
}

impl Pair {
    fn step(&mut self, kind: u8, number: u64) {
        let mut draw = Draw { seed: Seed::new(u128::from(number)), drawn: 0 };
        match kind {
            0..=59 => self.place(&mut draw),
            60..=74 => self.end_a_task(&mut draw),
            75..=79 => self.tell_to_stop(&mut draw),
            80..=84 => self.set_running(&mut draw),
            85..=88 => self.add_instance(&mut draw),
            89..=91 => self.change_instance(&mut draw),
            92 => self.remove_instance(&mut draw),
            93..=97 => self.open_or_close(&mut draw),
            _ => self.occupy_anywhere(&mut draw),
        }
    }

    fn add_instance(&mut self, draw: &mut Draw) {
        self.ids += 1;
        let instance = draw.instance(InstanceId::from_bits(u128::from(draw.seed.bits()) << 64 | self.ids));
        self.fleet.upsert(instance.clone());
        self.model.nodes.insert(instance.id, Node { instance, tasks: Vec::new() });
    }

    fn some_instance(&self, draw: &mut Draw) -> Option<InstanceId> {
        let len = self.model.nodes.len();
        (len > 0).then(|| *self.model.nodes.keys().nth(draw.below(len)).expect("below its length"))
    }

    fn some_task(&self, draw: &mut Draw) -> Option<(InstanceId, usize)> {
        let with: Vec<&Node> = self.model.nodes.values().filter(|node| !node.tasks.is_empty()).collect();
        if with.is_empty() {
            return None;
        }
        let node = with[draw.below(with.len())];
        Some((node.instance.id, draw.below(node.tasks.len())))
    }

    fn change_instance(&mut self, draw: &mut Draw) {
        let Some(id) = self.some_instance(draw) else { return };
        let instance = draw.instance(id);
        self.fleet.upsert(instance.clone());
        self.node(id).instance = instance;
    }

    fn remove_instance(&mut self, draw: &mut Draw) {
        let Some(id) = self.some_instance(draw) else { return };
        self.fleet.remove(id);
        self.model.nodes.remove(&id);
    }

    fn open_or_close(&mut self, draw: &mut Draw) {
        let Some(id) = self.some_instance(draw) else { return };
        if draw.chance(50) {
            let connected = draw.chance(70);
            self.fleet.set_connected(id, connected);
            self.node(id).instance.connected = connected;
        } else {
            let status = draw.pick(&[Status::Active, Status::Active, Status::Draining, Status::Closed]);
            self.fleet.set_status(id, status);
            self.node(id).instance.status = status;
        }
    }

    fn node(&mut self, id: InstanceId) -> &mut Node {
        self.model.nodes.get_mut(&id).expect("instances are in both")
    }

    fn new_task(&mut self, needs: &Needs, group: &str) -> Task {
        self.tasks += 1;
        // Multiplied by an odd number, so that the order of ids is not that of creation.
        let id = TaskId::from_bits(self.tasks.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        Task { id, needs: needs.clone(), group: group.to_owned(), counts: true, running: false }
    }

    fn place(&mut self, draw: &mut Draw) {
        if self.requests.is_empty() || draw.chance(30) {
            self.requests.push(Request::new(draw.spec()));
        }
        let request = draw.pick(&self.requests);
        let spec = request.spec().clone();
        let best = self.model.best(&spec);
        assert_eq!(self.fleet.best_candidates(&request), best, "the best for {spec:?}");
        for node in self.model.nodes.values() {
            let id = node.instance.id;
            assert_eq!(self.fleet.check_all(id, &request).err(), node.first_failure(&spec), "{spec:?}");
        }
        let placed = self.fleet.place_one(&request, draw.seed);
        // A request built anew is the same question, and the same seed gives the same answer.
        assert_eq!(placed, self.fleet.place_one(&Request::new(spec.clone()), draw.seed));
        match placed {
            Ok(id) => {
                assert!(best.contains(&id));
                if spec.constraints.contains(&Constraint::DistinctInstance) {
                    assert_eq!(self.node(id).counting(&spec.group), 0);
                }
                let task = self.new_task(&spec.needs, &spec.group);
                self.fleet.occupy(id, task.id, &spec.needs, &spec.group).expect("placed with room");
                self.node(id).tasks.push(task);
            }
            Err(refusal) => {
                assert!(best.is_empty());
                self.model.check_refusal(&spec, &refusal);
            }
        }
    }

    fn occupy_anywhere(&mut self, draw: &mut Draw) {
        let Some(id) = self.some_instance(draw) else { return };
        let (needs, group) = (draw.needs(), draw.group());
        let task = self.new_task(&needs, &group);
        let short = self.node(id).resources(&needs);
        let occupied = self.fleet.occupy(id, task.id, &needs, &group);
        assert_eq!(occupied.is_err(), short.is_some(), "{occupied:?} against {short:?}");
        if occupied.is_ok() {
            self.node(id).tasks.push(task);
        }
    }

    fn end_a_task(&mut self, draw: &mut Draw) {
        let Some((id, at)) = self.some_task(draw) else { return };
        let task = self.node(id).tasks.remove(at);
        self.fleet.vacate(id, task.id);
        self.fleet.vacate(id, task.id); // does nothing more
    }

    fn tell_to_stop(&mut self, draw: &mut Draw) {
        let Some((id, at)) = self.some_task(draw) else { return };
        let task = &mut self.node(id).tasks[at];
        task.counts = false;
        let task = task.id;
        self.fleet.told_to_stop(id, task);
        self.fleet.told_to_stop(id, task); // does nothing more
    }

    fn set_running(&mut self, draw: &mut Draw) {
        let Some((id, at)) = self.some_task(draw) else { return };
        let task = &mut self.node(id).tasks[at];
        task.running = draw.chance(80);
        let (task, running) = (task.id, task.running);
        self.fleet.set_running(id, task, running);
    }

    /// What is left agrees, and is never exceeded but where an instance came back smaller.
    fn check_resources(&self) {
        assert_eq!(self.fleet.len(), self.model.nodes.len());
        for (&id, node) in &self.model.nodes {
            let remaining = self.fleet.remaining(id).expect("instances are in both");
            assert_eq!((remaining.cpu.0, remaining.memory.0), (node.cpu_left(), node.memory_left()));
            assert_eq!(remaining.gpus.len(), node.gpus_left());
            let of = |wanted| node.ports().into_iter().filter(move |p| p.1 == wanted).map(|p| p.0);
            assert_eq!(remaining.ports_tcp, of(Protocol::Tcp).collect::<Vec<_>>());
            assert_eq!(remaining.ports_udp, of(Protocol::Udp).collect::<Vec<_>>());
            let running = node.running_tasks_count() as usize;
            assert_eq!(self.fleet.task_counts(id), (node.tasks.len(), running));
        }
    }
}

fn steps(max: usize) -> impl proptest::strategy::Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0_u8..100, any::<u64>()), 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn few_instances(instances in 0_u64..8, steps in steps(120)) {
        let mut pair = Pair::default();
        (0..instances).for_each(|n| pair.step(85, n));
        steps.into_iter().for_each(|(kind, number)| pair.step(kind, number));
        pair.check_resources();
    }
}

/// Enough of everything that lists become bits, views are dropped and rebuilt, the logs forget,
/// and the order of remaining resources has more levels than are tried.
#[test]
fn many_instances_and_a_long_history() {
    let mut pair = Pair::default();
    let seed = Seed::new(20);
    for n in 0..330 {
        pair.step(85, seed.of(n).bits());
    }
    for n in 0..900 {
        let at = seed.of(1000 + n);
        pair.step(at.of(1).below(100) as u8, at.bits());
        if n % 50 == 0 {
            pair.requests.truncate(40);
            pair.check_resources();
            // A burst without questions between, which no view can follow step by step.
            (0..120).for_each(|m| pair.step(98, at.of(100 + m).bits()));
            (0..60).for_each(|m| pair.step(60, at.of(300 + m).bits()));
        }
    }
    pair.check_resources();
}
