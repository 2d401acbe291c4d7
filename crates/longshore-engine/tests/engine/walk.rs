//! Random tasks and random orders of events against the plainest model of dependencies: at each moment exactly those containers run that may,
//! and a task ends exactly when an essential container of it cannot go on (agent-protocol G10; decision 29).

use longshore_engine::input::OpErrorKind;
use longshore_engine::report::ReportedStatus;
use longshore_engine::view::KnownStatus;
use proptest::prelude::*;

use crate::dependencies::{happens, world};
use crate::world::{Script, World, key};

const TIMEOUT: u64 = 10;
const RESTART: u64 = 60;
const IGNORED: i32 = 99;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Start,
    Complete,
    Success,
    Healthy,
}

#[derive(Clone, Debug)]
struct Own {
    essential: bool,
    start_timeout: bool,
    restarts: bool,
    /// Its creation fails.
    broken: bool,
    /// On containers that come earlier here; the definition may name them in any order.
    needs: Vec<(usize, On)>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    Runs {
        first: u64,
        latest: u64,
        healthy: bool,
    },
    /// Without a code if it vanished.
    Ended(Option<i32>),
    /// Never started, because of a dependency or of itself.
    Dead,
}

#[derive(Clone, Debug)]
enum Event {
    Health(usize, &'static str),
    Exit(usize, i32),
    Vanish(usize),
    Pass(u64),
    Crash,
}

struct Model {
    all: Vec<Own>,
    now: u64,
    /// An essential container cannot go on.
    over: bool,
    /// May have been started by the end, in whatever order the last things happened.
    allowed: Vec<bool>,
}

enum Answer {
    Go,
    Wait,
    Never,
}

impl Model {
    fn asks(&self, own: &Own) -> Answer {
        let mut wait = false;
        for &(on, condition) in &own.needs {
            let dependency = &self.all[on];
            let late = |first: u64| dependency.start_timeout && self.now >= first + TIMEOUT;
            match (condition, dependency.state) {
                (_, State::Dead) => return Answer::Never,
                (On::Start, State::Runs { .. } | State::Ended(_)) | (On::Complete, State::Ended(_)) => {}
                (On::Success, State::Ended(Some(0))) => {}
                (On::Healthy, State::Runs { healthy: true, .. }) => {}
                (On::Success | On::Healthy, State::Ended(_)) => return Answer::Never,
                (_, State::Runs { first, .. }) if late(first) => return Answer::Never,
                (_, State::Waits) | (On::Complete | On::Success | On::Healthy, State::Runs { .. }) => {
                    wait = true
                }
            }
        }
        if wait { Answer::Wait } else { Answer::Go }
    }

    /// Failures go down the line at once; then what may starts, and so on.
    fn settle(&mut self) {
        loop {
            let waiting = |model: &Self, n: usize| model.all[n].state == State::Waits;
            let all = 0..self.all.len();
            let dead =
                all.clone().find(|&n| waiting(self, n) && matches!(self.asks(&self.all[n]), Answer::Never));
            if let Some(n) = dead {
                self.all[n].state = State::Dead;
                self.over |= self.all[n].essential;
                continue;
            }
            let go =
                all.clone().filter(|&n| waiting(self, n) && matches!(self.asks(&self.all[n]), Answer::Go));
            let go: Vec<usize> = go.collect();
            if self.over || go.is_empty() {
                return;
            }
            for n in go {
                self.allowed[n] |= !self.all[n].broken;
                self.all[n].state = match self.all[n].broken {
                    true => State::Dead,
                    false => State::Runs { first: self.now, latest: self.now, healthy: false },
                };
                self.over |= self.all[n].broken && self.all[n].essential;
            }
        }
    }

    fn take(&mut self, event: &Event) {
        match *event {
            Event::Health(n, word) => {
                if let State::Runs { healthy, .. } = &mut self.all[n].state {
                    *healthy = word == "healthy";
                }
            }
            Event::Exit(n, code) => {
                let now = self.now;
                let own = &mut self.all[n];
                if let State::Runs { first, latest, .. } = own.state {
                    let again = own.restarts && code != IGNORED && now - latest >= RESTART;
                    own.state = match again {
                        true => State::Runs { first, latest: now, healthy: false },
                        false => State::Ended(Some(code)),
                    };
                    self.over |= !again && own.essential;
                }
            }
            Event::Vanish(n) => {
                self.all[n].state = State::Ended(None);
                self.over |= self.all[n].essential;
            }
            // Second by second: what is late is so at its time, and not when somebody looks.
            Event::Pass(seconds) => {
                for _ in 0..seconds {
                    self.now += 1;
                    self.settle();
                    if self.over {
                        return;
                    }
                }
            }
            Event::Crash => {}
        }
        self.settle();
    }

    fn lines(&self) -> Vec<String> {
        let line = |(n, own): (usize, &Own)| {
            let mut line = format!("c{n} health");
            for (word, on) in [
                (" optional".to_owned(), !own.essential),
                (format!(" startTimeout={TIMEOUT}"), own.start_timeout),
                (format!(" restart={RESTART}"), own.restarts),
            ] {
                line.push_str(if on { &word } else { "" });
            }
            for (on, condition) in &own.needs {
                line.push_str(&format!(" dep=c{on}:{}", format!("{condition:?}").to_uppercase()));
            }
            line
        };
        self.all.iter().enumerate().map(line).collect()
    }
}

fn own(n: usize) -> impl Strategy<Value = Own> {
    let needs = prop::collection::vec(
        (
            0..n.max(1),
            prop_oneof![
                Just(On::Start),
                Just(On::Complete),
                Just(On::Success),
                Just(On::Healthy),
                Just(On::Healthy)
            ],
        ),
        0..3,
    );
    let rarely = || prop::bool::weighted(0.1);
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3), rarely(), needs).prop_map(
        move |(essential, start_timeout, restarts, broken, needs)| Own {
            essential,
            start_timeout,
            restarts,
            broken,
            needs: if n == 0 { Vec::new() } else { needs },
            state: State::Waits,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let word = prop_oneof![Just("healthy"), Just("healthy"), Just("unhealthy"), Just("unknown")];
    let code = prop_oneof![Just(0), Just(0), Just(3), Just(IGNORED)];
    prop_oneof![
        4 => (0_usize..4, word).prop_map(|(n, word)| Event::Health(n, word)),
        2 => (0_usize..4, code).prop_map(|(n, code)| Event::Exit(n, code)),
        1 => (0_usize..4).prop_map(Event::Vanish),
        2 => (1_u64..12).prop_map(Event::Pass),
        1 => (55_u64..70).prop_map(Event::Pass),
        1 => Just(Event::Crash),
    ]
}

fn check(w: &World, model: &Model, story: &str) {
    let view = w.engine.task_view(&key("t1")).expect("the task");
    let of = |n: usize| {
        let name = format!("c{n}");
        view.containers().find(|own| own.definition().name.as_str() == name).expect("a container")
    };
    let stopped = w.reports.last().is_some_and(|report| report.status == ReportedStatus::Stopped);
    let nothing_left = model.all.iter().all(|own| matches!(own.state, State::Ended(_) | State::Dead));
    assert_eq!(stopped, model.over || nothing_left, "the task's end; {story}");
    for (n, own) in model.all.iter().enumerate() {
        let seen = of(n);
        if model.over {
            // The end may overtake what could have started in the same moment; nothing else ever starts.
            assert!(model.allowed[n] || seen.started_at().is_none(), "c{n} started; {story}");
            continue;
        }
        let expected = match own.state {
            State::Waits => seen.status() < KnownStatus::Running,
            State::Runs { .. } => seen.status() == KnownStatus::Running,
            State::Ended(code) => {
                seen.status() == KnownStatus::Stopped
                    && seen.exit_code() == code
                    && seen.started_at().is_some()
            }
            State::Dead => seen.status() == KnownStatus::Stopped && seen.started_at().is_none(),
        };
        assert!(expected, "c{n} is {:?}, {:?}; {story}", seen.status(), own.state);
    }
    let all_there = model.all.iter().all(|own| {
        let ran = matches!(own.state, State::Runs { .. } | State::Ended(_));
        ran || (own.state == State::Dead && !own.essential)
    });
    let told = w.reports.iter().any(|report| report.status == ReportedStatus::Running);
    if !model.over && !nothing_left {
        assert_eq!(told, all_there, "RUNNING was told; {story}");
    }
}

fn walk(mut all: Vec<Own>, turn: usize, events: &[Event]) {
    for n in 0..all.len() {
        // The API allows no condition on the end of an essential container.
        let needed = all.iter().flat_map(|own| own.needs.iter());
        let must_end = needed.clone().any(|&(on, of)| on == n && matches!(of, On::Complete | On::Success));
        all[n].essential &= !must_end;
    }
    if all.iter().all(|own| !own.essential) {
        let last = all.len() - 1; // nobody depends on it
        all[last].essential = true;
    }
    let allowed = vec![false; all.len()];
    let mut model = Model { all, now: 0, over: false, allowed };
    let mut lines = model.lines();
    let count = lines.len();
    lines.rotate_left(turn % count);
    let mut story = format!("{lines:#?}");
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut w = world(&lines);
    for (n, _) in model.all.iter().enumerate().filter(|(_, own)| own.broken) {
        w.script(&format!("create c{n}"), [Script::Fail(OpErrorKind::Other, "broken")]);
    }
    w.run();
    model.settle();
    check(&w, &model, &story);
    for event in events {
        let stopped = w.reports.last().is_some_and(|report| report.status == ReportedStatus::Stopped);
        if model.over || stopped {
            return;
        }
        let runs = |n: usize| matches!(model.all.get(n).map(|own| own.state), Some(State::Runs { .. }));
        match event {
            Event::Health(n, _) | Event::Exit(n, _) | Event::Vanish(n) if !runs(*n) => continue,
            Event::Health(n, word) => happens(&mut w, &format!("c{n}"), word),
            Event::Exit(n, code) => happens(&mut w, &format!("c{n}"), &format!("exit={code}")),
            Event::Vanish(n) => happens(&mut w, &format!("c{n}"), "vanish"),
            Event::Pass(seconds) => happens(&mut w, "", &seconds.to_string()),
            Event::Crash => happens(&mut w, "", "crash"),
        }
        story.push_str(&format!("\n{event:?}"));
        model.take(event);
        check(&w, &model, &story);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_may_run_runs(
        all in (2_usize..5).prop_flat_map(|count| (0..count).map(own).collect::<Vec<_>>()),
        turn in 0_usize..4,
        events in prop::collection::vec(event(), 0..14),
    ) {
        walk(all, turn, &events);
    }
}
