//! A few hundred seeds, and what the simulation promises about itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_sim::{Scenario, report, run};

/// How many seeds `cargo test` runs. Many more are run by hand: `cargo run -p longshore-sim -- --seeds 20000`.
const SEEDS: u64 = 200;

#[test]
fn every_seed_keeps_every_promise() {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let scenario = Scenario::of(seed);
                    if let Some(violation) = run(&scenario, false).violation {
                        let text = report::failure(&scenario, &violation);
                        failures.lock().expect("nobody panics with the lock").push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics with the lock");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn equal_seeds_run_equally() {
    for seed in 0..5 {
        let scenario = Scenario::of(seed);
        let (one, other) = (run(&scenario, true), run(&scenario, true));
        assert_eq!(one.tally, other.tally, "seed {seed}");
        assert_eq!(one.log, other.log, "seed {seed}");
    }
}

#[test]
fn any_sublist_of_a_script_is_a_script() {
    let scenario = Scenario::of(7);
    let odd: Vec<usize> =
        scenario.steps.iter().map(|step| step.number).filter(|number| number % 2 == 1).collect();
    let part = scenario.only(&odd);
    assert_eq!(part.steps.iter().map(|step| step.number).collect::<Vec<_>>(), odd);
    assert_eq!(run(&part, false).violation, None);
}
