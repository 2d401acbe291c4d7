//! Random interleavings: results late, twice and out of order, failures, exits, crashes at any point.
//! After every step the promises must hold; in the end everything stops and is cleaned up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use longshore_base::{Port, Protocol, Timestamp};
use longshore_engine::input::{HealthStatus, Observation, OpError, OpErrorKind};
use longshore_engine::report::ReportedStatus;
use longshore_engine::spec::{ContainerKey, RuntimeId, TaskKey};
use longshore_engine::view::KnownStatus;
use longshore_engine::{Action, Input, Settings};
use proptest::prelude::*;

use crate::world::{World, key, look, network, seconds, task, with_error};

const TASKS: [&[&str]; 6] = [
    &["app port=80 cpu=300 mem=300", "side optional dep=app:START"],
    &["app dep=init:SUCCESS port=8080:80 cpu=400 mem=400", "init optional"],
    &["app dep=db:HEALTHY mem=500", "db health startTimeout=20 stop=2"],
    &["app port=8080:80 restart=30 mem=600"],
    &["a optional port=90+3", "b optional link=a", "c optional from=b"],
    &["awsvpc", "app dep=side:START", "side optional"],
];

#[derive(Clone, Debug)]
enum Step {
    Assign(usize),
    Stop(usize),
    /// Does one of the actions that may be done now.
    Act(usize),
    /// Does one, but its result is a failure.
    ActFails(usize, usize),
    /// Delivers one of the results that wait.
    Deliver(usize),
    /// Delivers an earlier input once more.
    Repeat(usize),
    Exit(usize, i32),
    Health(usize, bool),
    Vanish(usize),
    Pass(u64),
    /// The process dies. Starts that it has asked for may still be done afterwards.
    Crash(bool),
    /// The runtime gets to a start that a dead process asked for.
    Orphan,
    Relist,
}

/// How long the runtime takes at most to get to what a dead process asked for.
const ORPHANS_DONE: u64 = 9;

fn step() -> impl Strategy<Value = Step> {
    let n = any::<prop::sample::Index>().prop_map(|i| i.index(1000)).boxed();
    prop_oneof![
        2 => (0..TASKS.len()).prop_map(Step::Assign),
        1 => (0..TASKS.len()).prop_map(Step::Stop),
        24 => n.clone().prop_map(Step::Act),
        2 => (n.clone(), 0_usize..7).prop_map(|(n, kind)| Step::ActFails(n, kind)),
        24 => n.clone().prop_map(Step::Deliver),
        3 => n.clone().prop_map(Step::Repeat),
        3 => (n.clone(), 0..3).prop_map(|(n, code)| Step::Exit(n, code)),
        2 => (n.clone(), any::<bool>()).prop_map(|(n, ok)| Step::Health(n, ok)),
        1 => n.prop_map(Step::Vanish),
        3 => (1_u64..90).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Crash),
        1 => Just(Step::Orphan),
        1 => Just(Step::Relist),
    ]
}

struct Chaos {
    world: World,
    /// Not yet durable, in order, with the actions that came after.
    todo: VecDeque<Action>,
    inbox: Vec<Input>,
    /// Starts asked for by processes that died, with when the runtime gets to them at the latest.
    orphans: VecDeque<(Timestamp, Action)>,
    seen: Vec<Input>,
    assigned: BTreeSet<TaskKey>,
    statuses: BTreeMap<ContainerKey, KnownStatus>,
    /// The last report that the control plane took, per task.
    told: BTreeMap<TaskKey, ReportedStatus>,
    in_flight: BTreeMap<TaskKey, usize>,
    /// Tasks that were told to stop.
    stops: BTreeSet<TaskKey>,
    /// Tasks that this process reported STOPPED.
    ended: BTreeSet<TaskKey>,
}

impl Chaos {
    fn new(terse_starts: bool) -> Self {
        let mut world = World::new(Settings { task_network: Some(network()), ..Settings::default() });
        world.terse_starts = terse_starts;
        world.local_images.insert("app".to_owned());
        Self {
            world,
            todo: VecDeque::new(),
            inbox: Vec::new(),
            orphans: VecDeque::new(),
            seen: Vec::new(),
            assigned: BTreeSet::new(),
            statuses: BTreeMap::new(),
            told: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            stops: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    fn input(&mut self, input: Input) {
        self.seen.push(input.clone());
        self.world.input(input);
        while let Some(action) = self.world.engine.poll_action() {
            if let Action::Report(report) = &action
                && self.world.engine.task_view(&report.task).is_some()
            {
                let under_way = self.in_flight.entry(report.task.clone()).or_default();
                *under_way += 1;
                assert_eq!(*under_way, 1, "two reports of a task under way");
            }
            self.todo.push_back(action);
        }
        self.check();
    }

    /// Those that may be done now: everything, but nothing that relies on a `Persist` before it.
    fn ready(&self) -> Vec<usize> {
        let mut behind_persist = false;
        self.todo
            .iter()
            .enumerate()
            .filter(|(_, action)| {
                let is_persist = matches!(action, Action::Persist(_));
                let ok = !behind_persist || !(is_persist || action.needs_durable());
                behind_persist |= is_persist;
                ok
            })
            .map(|(at, _)| at)
            .collect()
    }

    fn act(&mut self, n: usize, fails: Option<OpErrorKind>) {
        let ready = self.ready();
        if ready.is_empty() {
            return;
        }
        let action = self.todo.remove(ready[n % ready.len()]).expect("in range");
        if let Action::Report(report) = &action {
            let before = self.told.get(&report.task).copied();
            assert!(before <= Some(report.status), "{before:?} then {report:?}");
            if report.status == ReportedStatus::Stopped {
                // A process that died before it knew of the answer may repeat it.
                assert!(self.ended.insert(report.task.clone()), "after STOPPED: {report:?}");
            }
            if report.status == ReportedStatus::Stopped
                && !self.stops.contains(&report.task)
                && let Some(task) = self.world.engine.task_view(&report.task)
            {
                let explained = !task.reason().is_empty()
                    || task.containers().any(|c| c.exit_code().is_some() || !c.reason().is_empty());
                assert!(explained, "STOPPED without a reason: {report:?}");
            }
            self.told.insert(report.task.clone(), report.status);
        }
        if let Some(input) = self.world.perform(action) {
            self.inbox.push(match fails {
                Some(kind) => with_error(input, OpError { kind, text: "chaos".to_owned() }),
                None => input,
            });
        }
        self.check();
    }

    fn deliver(&mut self, n: usize) {
        if self.inbox.is_empty() {
            return;
        }
        let input = self.inbox.swap_remove(n % self.inbox.len());
        if let Input::ReportAccepted { task, .. } = &input {
            self.in_flight.remove(task);
        }
        self.input(input);
    }

    /// Nobody hears the answer, but the events.
    fn orphan(&mut self) {
        let Some((_, action)) = self.orphans.pop_front() else { return };
        let Action::StartContainer { runtime_id, .. } = &action else { return };
        let id = runtime_id.as_str().to_owned();
        let starts = |world: &World| world.fakes.get(&id).map_or(0, |fake| fake.starts);
        let before = starts(&self.world);
        let _ = self.world.perform(action);
        if starts(&self.world) > before {
            self.observe(&id);
        }
        self.check();
    }

    fn fake(&self, n: usize) -> Option<String> {
        let ids: Vec<&String> = self.world.fakes.keys().collect();
        (!ids.is_empty()).then(|| ids[n % ids.len()].clone())
    }

    fn observe(&mut self, id: &str) {
        if let Some(fake) = self.world.fakes.get(id) {
            let mut observation: Observation = look(id, fake);
            observation.started_at.take_if(|_| self.world.terse_starts);
            self.inbox.push(Input::ContainerObserved { container: fake.key.clone(), observation });
        }
    }

    fn take(&mut self, step: Step) {
        let now = self.world.now;
        match step {
            Step::Assign(n) => {
                let spec = task(&format!("t{n}"), TASKS[n]);
                // A control plane does not assign what it knows to have stopped.
                if self.told.get(&spec.key) != Some(&ReportedStatus::Stopped) {
                    self.assigned.insert(spec.key.clone());
                    self.input(Input::Assigned(Box::new(spec)));
                }
            }
            Step::Stop(n) => {
                let task = key(&format!("t{n}"));
                if self.assigned.contains(&task) && self.world.engine.task_view(&task).is_some() {
                    self.stops.insert(task.clone());
                    self.input(Input::StopRequested { task, containers: Vec::new() });
                }
            }
            Step::Act(n) => self.act(n, None),
            Step::ActFails(n, kind) => {
                use OpErrorKind as K;
                let kinds = [
                    K::Unavailable,
                    K::Timeout,
                    K::Other,
                    K::Denied,
                    K::Refused,
                    K::PortTaken(None),
                    K::NoSpace,
                ];
                self.act(n, Some(kinds[kind].clone()));
            }
            Step::Deliver(n) => self.deliver(n),
            Step::Repeat(n) => {
                if !self.seen.is_empty() {
                    let input = self.seen[n % self.seen.len()].clone();
                    // Lists are fresh by their contract; assignments and stops are repeated above.
                    let repeatable = !matches!(
                        input,
                        Input::Restored { .. } | Input::Assigned(_) | Input::StopRequested { .. }
                    );
                    if repeatable {
                        self.input(input);
                    }
                }
            }
            Step::Exit(n, code) => {
                if let Some(id) = self.fake(n) {
                    self.world.fakes.get_mut(&id).expect("there").end(now, code, false);
                    self.observe(&id);
                }
            }
            Step::Health(n, ok) => {
                if let Some(id) = self.fake(n) {
                    let health = if ok { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
                    self.world.fakes.get_mut(&id).expect("there").health = Some(health);
                    self.observe(&id);
                }
            }
            Step::Vanish(n) => {
                if let Some(id) = self.fake(n) {
                    let fake = self.world.fakes.remove(&id).expect("there");
                    let runtime_id = RuntimeId::new(&id);
                    self.inbox.push(Input::ContainerVanished { container: fake.key, runtime_id });
                }
            }
            Step::Pass(secs) => {
                while self.orphans.front().is_some_and(|(until, _)| *until <= now + seconds(secs)) {
                    self.orphan();
                }
                self.world.now = now + seconds(secs);
                self.input(Input::Tick);
            }
            Step::Orphan => self.orphan(),
            Step::Crash(had_asked) => {
                if had_asked {
                    let until = now + seconds(ORPHANS_DONE);
                    let starts = self.ready().into_iter().filter_map(|at| match &self.todo[at] {
                        action @ Action::StartContainer { .. } => Some((until, action.clone())),
                        _ => None,
                    });
                    self.orphans.extend(starts.collect::<Vec<_>>());
                }
                self.todo.clear();
                self.inbox.clear();
                self.seen.clear();
                self.statuses.clear();
                self.in_flight.clear();
                self.ended.clear();
                self.world.crash();
                let containers = self.world.list();
                self.input(Input::Restored { containers });
                // The control plane repeats what was not acknowledged.
                for n in 0..TASKS.len() {
                    if self.assigned.contains(&key(&format!("t{n}"))) {
                        self.take(Step::Assign(n));
                    }
                }
            }
            Step::Relist => {
                let containers = self.world.list();
                self.input(Input::Restored { containers });
            }
        }
    }

    fn check(&mut self) {
        let engine = &self.world.engine;
        let mut live: BTreeMap<&ContainerKey, u32> = BTreeMap::new();
        let mut starts: BTreeMap<&ContainerKey, u32> = BTreeMap::new();
        let mut ports: BTreeSet<(Port, Protocol)> = BTreeSet::new();
        let mut memory: BTreeMap<&TaskKey, u32> = BTreeMap::new();
        for fake in self.world.fakes.values() {
            *starts.entry(&fake.key).or_default() += fake.starts;
            if !fake.lives() {
                continue;
            }
            *live.entry(&fake.key).or_default() += 1;
            for port in &fake.spec.ports {
                assert!(ports.insert((port.host, port.protocol)), "port {port:?} bound twice");
            }
            let all = TASKS.iter().enumerate().find(|(n, _)| fake.key.task == key(&format!("t{n}"))).map(
                |(_, lines)| task("x", lines).containers.iter().map(|c| c.memory.map_or(0, |m| m.0)).sum(),
            );
            memory.insert(&fake.key.task, all.unwrap_or(0));
        }
        assert!(live.values().all(|n| *n == 1), "two live containers: {live:?}");
        for task in engine.tasks() {
            for container in task.containers() {
                let name = container.definition().name.clone();
                let key = ContainerKey { task: task.key().clone(), name };
                if let Some(n) = starts.get(&key) {
                    let counted = container.restart_count();
                    assert!(counted < (*n).max(1), "{key:?}: {n} starts, {counted} counted as restarts");
                }
            }
        }
        for (container, n) in starts {
            let may_restart = container.task == key("t3");
            assert!(may_restart || n <= 1, "{container:?} started {n} times");
        }
        assert!(memory.values().sum::<u32>() <= self.world.host.memory.0, "memory over-committed");
        let held = engine.host_use();
        assert!(held.memory <= self.world.host.memory && held.cpu <= self.world.host.cpu);
        for container in engine.tasks().flat_map(|t| t.containers()) {
            let key = ContainerKey {
                task: container.task().key().clone(),
                name: container.definition().name.clone(),
            };
            let before = self.statuses.insert(key.clone(), container.status());
            assert!(before <= Some(container.status()), "{key:?} went back from {before:?}");
        }
    }

    /// Everything works again: do and deliver all there is, keeping deadlines, for `secs`.
    fn calm(&mut self, secs: u64) {
        while !self.orphans.is_empty() {
            self.orphan();
        }
        let until = self.world.now + seconds(secs);
        loop {
            while !self.todo.is_empty() || !self.inbox.is_empty() {
                self.act(0, None);
                self.deliver(0);
            }
            let Some(at) = self.world.engine.deadline().filter(|at| *at <= until) else { break };
            self.world.now = at;
            self.input(Input::Tick);
        }
        self.world.now = until;
        self.input(Input::Tick);
    }
}

/// Takes the steps, stops everything and sees that it ends and nothing is left.
fn live_through(steps: &[Step], terse_starts: bool) -> Result<(), TestCaseError> {
    let mut chaos = Chaos::new(terse_starts);
    for step in steps {
        chaos.take(step.clone());
    }
    for task in chaos.assigned.clone() {
        if chaos.told.get(&task) != Some(&ReportedStatus::Stopped) {
            chaos.stops.insert(task.clone());
            chaos.input(Input::StopRequested { task, containers: Vec::new() });
        }
    }
    chaos.calm(3600);
    for task in &chaos.assigned {
        prop_assert_eq!(chaos.told.get(task), Some(&ReportedStatus::Stopped), "{}", task);
    }
    let live = chaos.world.fakes.values().find(|fake| fake.lives());
    prop_assert!(live.is_none(), "lives on: {live:?}\n{}", chaos.world.log.join("\n"));
    chaos.calm(4 * 3600);
    prop_assert_eq!(chaos.world.engine.tasks().count(), 0);
    prop_assert!(chaos.world.fakes.is_empty(), "left: {:?}", chaos.world.fakes.keys());
    prop_assert!(chaos.world.journal.keys().all(|key| key.starts_with("image/")));
    prop_assert_eq!(chaos.world.engine.host_use(), Default::default());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_whatever_happens(steps in prop::collection::vec(step(), 1..250)) {
        live_through(&steps, false)?;
        // The same with answers to starts, and events, that do not tell the time of the start.
        live_through(&steps, true)?;
    }
}
