//! `longshore-sim`: one seed again, or many seeds.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use longshore_sim::scenario::Simpler;
use longshore_sim::shrink::shrink;
use longshore_sim::{Scenario, Tally, report, run};

/// Runs whole clusters in virtual time and checks every promise.
#[derive(Debug, Parser)]
struct Args {
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Of its script, only these steps: numbers separated by commas, or `none`.
    #[arg(long, requires = "seed")]
    steps: Option<String>,
    /// Make its setup simpler: `calm`, `quick`, `machines=N`, separated by commas.
    #[arg(long, requires = "seed", value_delimiter = ',')]
    simpler: Vec<Simpler>,
    /// Print everything that happens.
    #[arg(long, requires = "seed")]
    log: bool,
    /// Run so many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// At a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
    /// The most runs that shrinking a failure may take.
    #[arg(long, default_value_t = 150)]
    shrink_runs: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.seed {
        Some(seed) => one(&args, seed),
        None => many(&args),
    }
}

fn one(args: &Args, seed: u64) -> ExitCode {
    let mut scenario = Scenario::of(seed);
    if let Some(steps) = &args.steps {
        let numbers: Vec<usize> = steps.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        scenario = scenario.only(&numbers);
    }
    for &simpler in &args.simpler {
        scenario = scenario.made(simpler);
    }
    let outcome = run(&scenario, args.log);
    for line in &outcome.log {
        println!("{line}");
    }
    match outcome.violation {
        None => {
            eprintln!("seed {seed}: all promises kept; {:?}", outcome.tally);
            ExitCode::SUCCESS
        }
        Some(violation) if args.steps.is_some() || args.log => {
            eprint!("{}", report::failure(&scenario, &violation));
            ExitCode::FAILURE
        }
        Some(violation) => {
            let shrunk = shrink(&scenario, violation, args.shrink_runs);
            eprint!("{}", report::failure(&shrunk.scenario, &shrunk.violation));
            ExitCode::FAILURE
        }
    }
}

fn many(args: &Args) -> ExitCode {
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let results = Mutex::new((Tally::default(), 0_u64, Vec::new()));
    let started = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..args.jobs.max(1) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let scenario = Scenario::of(seed);
                    let outcome = run(&scenario, false);
                    let failed = outcome.violation.map(|violation| {
                        let shrunk = shrink(&scenario, violation, args.shrink_runs);
                        eprint!("{}", report::failure(&shrunk.scenario, &shrunk.violation));
                        let steps = (shrunk.scenario.steps.len(), scenario.steps.len());
                        (shrunk.violation.rule, steps)
                    });
                    if failed.is_some() && !args.keep_going {
                        next.store(end, Ordering::Relaxed);
                    }
                    let mut results = results.lock().expect("nobody panics with the lock");
                    results.0.add(&outcome.tally);
                    results.1 += 1;
                    results.2.extend(failed.map(|(rule, steps)| (seed, rule, steps)));
                    if results.1 % 100 == 0 {
                        eprintln!("{} of {} seeds, {} failed", results.1, args.seeds, results.2.len());
                    }
                }
            });
        }
    });
    let (tally, runs, mut failed) = results.into_inner().expect("nobody panics with the lock");
    failed.sort_unstable();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{runs} seeds, {} failed, {seconds:.1} s: {} events, {} transactions, {} tasks, {} containers started, \
         {} server starts, {} agent starts, {:.1} virtual hours",
        failed.len(),
        tally.events,
        tally.transactions,
        tally.tasks,
        tally.containers_started,
        tally.server_starts,
        tally.agent_starts,
        tally.virtual_millis as f64 / 3_600_000.0,
    );
    for (seed, rule, (left, all)) in &failed {
        println!("  seed {seed}: {rule}, {left} of {all} steps");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
