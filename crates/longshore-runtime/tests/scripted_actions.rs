//! The scripted runtime in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{ContainerName, Seed, Timestamp};
use longshore_engine::input::{Input, ObservedStatus, OpErrorKind};
use longshore_engine::spec::{
    ContainerKey, ContainerSpec, Environment, NetworkMode, NetworkPlace, RegistryAuth, RuntimeId, TaskKey,
};
use longshore_engine::{Action, OpId};
use longshore_runtime::port::{LABEL_CONTAINER, LABEL_TASK};
use longshore_runtime::scripted::{Faults, ImageScript, Operation, ScriptedRuntime};
use proptest::prelude::*;

const IMAGE: &str = "app:1";
const LIMIT: Duration = Duration::from_secs(240);

fn key() -> ContainerKey {
    ContainerKey {
        task: TaskKey::new("arn:aws:ecs:us-east-1:111122223333:task/c/1"),
        name: ContainerName::parse("main").expect("a valid name"),
    }
}

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: IMAGE.to_owned(),
        entry_point: None,
        command: None,
        environment: Environment::default(),
        environment_defaults: Environment::default(),
        cpu_shares: 2,
        memory_bytes: None,
        ports: Vec::new(),
        bind_address: None,
        binds: Vec::new(),
        volumes_from: Vec::new(),
        links: Vec::new(),
        labels: BTreeMap::from([
            (LABEL_TASK.to_owned(), key().task.arn().to_owned()),
            (LABEL_CONTAINER.to_owned(), "main".to_owned()),
        ]),
        network_mode: NetworkMode::Bridge,
        network: NetworkPlace::ByMode,
        pid_mode: None,
        ipc_mode: None,
        cgroup_parent: None,
        log_secrets: Vec::new(),
        stop_timeout: Duration::from_secs(30),
        docker_config: None,
        docker_host_config: None,
    }
}

/// A runtime and the clock of its test.
struct Bench {
    runtime: ScriptedRuntime,
    now: Timestamp,
    ops: u64,
}

impl Bench {
    fn new(script: ImageScript) -> Self {
        let mut runtime = ScriptedRuntime::new(Seed::new(7));
        runtime.world.script(IMAGE, script);
        Self { runtime, now: Timestamp::from_millis(1_000_000), ops: 0 }
    }

    fn begin(&mut self, action: impl FnOnce(OpId) -> Action) {
        self.ops += 1;
        self.runtime.perform(self.now, action(OpId(self.ops))).expect("a runtime's action");
    }

    /// Lets time pass until nothing is due any more.
    fn settle(&mut self) -> Vec<(Timestamp, Input)> {
        let mut heard = Vec::new();
        while let Some(at) = self.runtime.deadline() {
            self.now = self.now.max(at);
            heard.extend(self.runtime.advance(self.now));
        }
        heard
    }

    fn create(&mut self, name: &str) -> RuntimeId {
        let spec = Box::new(spec(name));
        self.begin(|op| Action::CreateContainer { op, container: key(), spec, timeout: LIMIT });
        match self.settle().pop() {
            Some((_, Input::ContainerCreated { result: Ok(id), .. })) => id,
            other => panic!("expected a container, not {other:?}"),
        }
    }

    fn start(&mut self, id: &RuntimeId) {
        let runtime_id = id.clone();
        self.begin(|op| Action::StartContainer { op, container: key(), runtime_id, timeout: LIMIT });
    }

    fn stop(&mut self, id: &RuntimeId, grace: Duration) {
        let runtime_id = id.clone();
        self.begin(|op| Action::StopContainer { op, container: key(), runtime_id, grace, timeout: LIMIT });
    }
}

/// Exit codes in order of being observed, with the time since `from`.
fn ends(heard: &[(Timestamp, Input)], from: Timestamp) -> Vec<(Duration, i32)> {
    let end = |(at, input): &(Timestamp, Input)| match input {
        Input::ContainerObserved { observation, .. } => match observation.status {
            ObservedStatus::Exited { exit_code, .. } => Some((at.since(from), exit_code)),
            ObservedStatus::Created | ObservedStatus::Running => None,
        },
        _ => None,
    };
    heard.iter().filter_map(end).collect()
}

#[test]
fn a_stop_ends_a_container_as_its_script_says() {
    let secs = Duration::from_secs;
    let check = |script: ImageScript, expected: (Duration, i32)| {
        let mut bench = Bench::new(script);
        let id = bench.create("c");
        bench.start(&id);
        bench.now = bench.now + secs(1);
        bench.runtime.advance(bench.now);
        let from = bench.now;
        bench.stop(&id, secs(30));
        let heard = bench.settle();
        let millis = Duration::from_millis(1);
        assert_eq!(ends(&heard, from), [(expected.0 + millis, expected.1)]);
        let Some((at, Input::ContainerStopped { result: Ok(Some(_)), .. })) = heard.last() else {
            panic!("the stop is answered last: {heard:?}")
        };
        assert_eq!(at.since(from), expected.0 + millis);
    };
    check(ImageScript::default(), (Duration::ZERO, 143));
    check(ImageScript { term_time: secs(5), term_exit_code: 0, ..ImageScript::default() }, (secs(5), 0));
    check(ImageScript { term_time: secs(50), ..ImageScript::default() }, (secs(30), 137));
    check(ImageScript { ignores_term: true, ..ImageScript::default() }, (secs(30), 137));
    // It would have left by itself before the SIGKILL: 1 s have passed, minus the 0.2 s of starting.
    let leaves = ImageScript { ignores_term: true, ..ImageScript::exits(Duration::from_millis(10_801), 5) };
    check(leaves, (secs(10), 5));
}

#[test]
fn a_stop_may_time_out_before_the_container_ends() {
    let mut bench = Bench::new(ImageScript { ignores_term: true, ..ImageScript::default() });
    let id = bench.create("c");
    bench.start(&id);
    bench.settle();
    let from = bench.now;
    bench.stop(&id, LIMIT * 2);
    let heard = bench.settle();
    let timed_out = heard.iter().find_map(|(at, input)| match input {
        Input::ContainerStopped { result: Err(error), .. } => Some((at.since(from), error.kind.clone())),
        _ => None,
    });
    assert_eq!(timed_out, Some((LIMIT, OpErrorKind::Timeout)));
    assert_eq!(ends(&heard, from), [(LIMIT * 2 + Duration::from_millis(1), 137)]);
}

#[test]
fn what_never_answers_times_out_with_the_agents_text() {
    let hangs = [Operation::Create].into();
    let mut bench = Bench::new(ImageScript { hangs, ..ImageScript::default() });
    let from = bench.now;
    let spec = Box::new(spec("c"));
    bench.begin(|op| Action::CreateContainer { op, container: key(), spec, timeout: LIMIT });
    let Some((at, Input::ContainerCreated { result: Err(error), .. })) = bench.settle().pop() else {
        panic!("the time-out is the answer")
    };
    assert_eq!((at.since(from), error.kind), (LIMIT, OpErrorKind::Timeout));
    assert_eq!(error.text, "Could not transition to created; timed out after waiting 4m0s");
}

#[test]
fn containers_outlive_their_agent() {
    let mut bench = Bench::new(ImageScript::exits(Duration::from_secs(60), 9));
    let id = bench.create("c");
    bench.start(&id);
    bench.runtime.agent_restarted(bench.now);
    let from = bench.now;
    bench.now = from + Duration::from_secs(1);
    let heard = bench.runtime.advance(bench.now);
    let answers = heard.iter().filter(|(_, input)| matches!(input, Input::ContainerStarted { .. }));
    assert_eq!(answers.count(), 0, "nobody hears the answer to the agent that is gone");
    let found = bench.runtime.found();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].observation.status, ObservedStatus::Running, "the effect came all the same");
    assert_eq!(bench.runtime.world.starts("c"), 1);
    assert_eq!(ends(&bench.settle(), from).len(), 1);
}

#[test]
fn after_an_interruption_everything_is_listed() {
    let mut bench = Bench::new(ImageScript::default());
    let id = bench.create("c");
    bench.start(&id);
    bench.settle();
    bench.runtime.world.interrupt(bench.now, Duration::from_secs(10), true);
    bench.start(&id);
    let heard = bench.settle();
    assert_eq!(ends(&heard, bench.now), [], "the end went unheard");
    let refused = |input: &Input| matches!(input, Input::ContainerStarted { result: Err(error), .. } if error.kind == OpErrorKind::Unavailable);
    assert!(heard.iter().any(|(_, input)| refused(input)));
    let Some((_, Input::Restored { containers })) = heard.last() else { panic!("a list: {heard:?}") };
    let status = &containers[0].observation.status;
    assert_eq!(*status, ObservedStatus::Exited { exit_code: 137, oom_killed: false, error: None });
}

#[test]
fn a_second_container_of_a_running_one_is_noticed() {
    let mut bench = Bench::new(ImageScript::default());
    let first = bench.create("c-1");
    bench.create("c-2");
    assert_eq!(bench.runtime.world.double_creates(), []);
    bench.start(&first);
    bench.settle();
    bench.create("c-3");
    assert_eq!(bench.runtime.world.double_creates(), [key()]);
}

#[test]
fn pulls_follow_the_registry() {
    let pull = |op| Action::Pull {
        op,
        container: key(),
        image: IMAGE.to_owned(),
        digest: None,
        auth: RegistryAuth::Node,
        timeout: LIMIT,
        inactivity_timeout: LIMIT,
    };
    let inspect = |op| Action::InspectImage { op, container: key(), image: IMAGE.to_owned() };
    let mut bench = Bench::new(ImageScript::remote(Duration::from_secs(3)));
    bench.begin(inspect);
    bench.begin(pull);
    bench.settle();
    bench.begin(inspect);
    let Some((_, Input::ImageInspected { result: Ok(image), .. })) = bench.settle().pop() else {
        panic!("present after the pull")
    };
    assert!(image.digest.is_some());
    let mut bench = Bench::new(ImageScript::remote(LIMIT + LIMIT));
    bench.begin(pull);
    let Some((_, Input::PullFinished { result: Err(error), .. })) = bench.settle().pop() else {
        panic!("too slow")
    };
    assert_eq!(error.kind, OpErrorKind::Timeout);
}

/// One random life: creates, starts, stops and removes at random times, with faults.
fn life(seed: u128, steps: &[(u8, u16)]) -> Vec<String> {
    let mut runtime = ScriptedRuntime::new(Seed::new(seed));
    let script = ImageScript { run_time: Some(Duration::from_secs(40)), ..ImageScript::default() };
    runtime.world.script(IMAGE, script);
    runtime.world.faults(Faults {
        slow: 100,
        slowness: Duration::from_secs(30),
        fail: 100,
        lose_answer: 100,
        lose_event: 100,
        die: 100,
        die_within: Duration::from_secs(5),
    });
    let mut now = Timestamp::from_millis(0);
    let mut log = Vec::new();
    let mut answered = 0;
    let hear = |runtime: &mut ScriptedRuntime, now, log: &mut Vec<String>| {
        let mut answers = 0;
        for (at, input) in runtime.advance(now) {
            let is_event = matches!(
                input,
                Input::ContainerObserved { .. } | Input::ContainerVanished { .. } | Input::Restored { .. }
            );
            answers += usize::from(!is_event);
            log.push(format!("{} {input:?}", at.as_millis()));
        }
        answers
    };
    for (at, (what, pause)) in steps.iter().enumerate() {
        let op = OpId(at as u64);
        let found = runtime.found();
        let id = found.get(usize::from(*what / 4) % found.len().max(1));
        let runtime_id = id.map_or(RuntimeId::new("none"), |found| found.observation.runtime_id.clone());
        let container = key();
        let action = match what % 4 {
            0 => Action::CreateContainer {
                op,
                container,
                spec: Box::new(spec(&format!("c-{at}"))),
                timeout: LIMIT,
            },
            1 => Action::StartContainer { op, container, runtime_id, timeout: LIMIT },
            2 => {
                let grace = Duration::from_secs(10);
                Action::StopContainer { op, container, runtime_id, grace, timeout: LIMIT }
            }
            _ => Action::RemoveContainer { op, container, runtime_id },
        };
        runtime.perform(now, action).expect("a runtime's action");
        now = now + Duration::from_millis(u64::from(*pause));
        answered += hear(&mut runtime, now, &mut log);
    }
    while let Some(at) = runtime.deadline() {
        now = now.max(at);
        answered += hear(&mut runtime, now, &mut log);
    }
    assert_eq!(answered, steps.len(), "every operation is answered exactly once");
    assert_eq!(runtime.world.running(), 0, "all of them end by themselves");
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equal_seeds_give_equal_lives(
        seed in any::<u128>(),
        steps in prop::collection::vec((any::<u8>(), 0_u16..5000), 1..40),
    ) {
        prop_assert_eq!(life(seed, &steps), life(seed, &steps));
    }
}
