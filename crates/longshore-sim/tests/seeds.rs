//! A few hundred seeds, and what the simulation promises about itself.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_sim::images::Image;
use longshore_sim::scenario::{Capacity, MachineSetup, Simpler};
use longshore_sim::{Scenario, Step, Timed, report, run};

/// How many seeds `cargo test` runs. Many more are run by hand: `cargo run -p longshore-sim -- --seeds 20000`.
const SEEDS: u64 = 500;

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
fn a_setup_can_be_made_simpler() {
    let scenario = Scenario::of(3).made(Simpler::Calm).made(Simpler::Quick).made(Simpler::Machines(1));
    assert_eq!(scenario.setup.machines.len(), 1);
    assert!(report::command(&scenario).contains("--simpler calm,quick,machines=1"));
    assert_eq!(run(&scenario, false).violation, None);
}

/// What is never drawn is never checked: every kind of step, and every dimension of the setup, is there early.
#[test]
fn few_seeds_draw_everything() {
    let scenarios: Vec<Scenario> = (0..100).map(Scenario::of).collect();
    let kinds: BTreeSet<String> = scenarios
        .iter()
        .flat_map(|scenario| &scenario.steps)
        .map(|timed| format!("{:?}", timed.step).split(' ').next().unwrap_or_default().to_owned())
        .collect();
    // The names are part of what a failure prints, and of notes about old failures.
    let expected = [
        "Activate",
        "AgentCrash",
        "AgentCrashSoon",
        "AgentStop",
        "BadRequest",
        "ClockJump",
        "ContainerDies",
        "CreateService",
        "CreateSet",
        "DeleteRole",
        "DeleteService",
        "DeleteSet",
        "Deregister",
        "Describe",
        "Disconnect",
        "DiskWiped",
        "Drain",
        "EngineAway",
        "EngineFlaky",
        "ForceDeployment",
        "IgnoreTerm",
        "Join",
        "MakeRole",
        "Partition",
        "Percent",
        "PrimarySet",
        "Protect",
        "PullsFail",
        "PullsHang",
        "PullsSlow",
        "PutProviders",
        "Reboot",
        "Recapacity",
        "Reclaim",
        "Register",
        "Roll",
        "RotateKeys",
        "RunTask",
        "Scale",
        "ScaleSet",
        "ServerCrash",
        "ServerDiskFails",
        "SpareProvider",
        "StaleManifest",
        "StartTask",
        "StartsFail",
        "StopDeployment",
        "StopTask",
        "TrustRole",
        "Vanish",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let setups = || scenarios.iter().map(|scenario| &scenario.setup);
    assert!(setups().any(|setup| setup.clusters.len() > 1));
    assert!(setups().any(|setup| setup.machines.iter().any(|machine| machine.provider.is_some())));
    assert!(setups().any(|setup| setup.network.repeat_request > 0));
    assert!(setups().any(|setup| setup.machines.iter().any(|machine| machine.pool)));
    assert!(setups().any(|setup| setup.fargate && setup.machines.iter().all(|machine| !machine.pool)));
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

const MACHINE: MachineSetup =
    MachineSetup { cluster: 0, pool: false, cpu: 1024, memory: 1024, zone: 0, provider: None, prefix: 26 };

/// A container that starts in the very millisecond in which its agent goes or comes was not seen, so that the true
/// `startedAt` of its task was taken for a lie (seeds 5000938 and 5013673).
#[test]
fn a_start_is_seen_at_the_moment_at_which_its_agent_goes_or_comes() {
    let millis = Duration::from_millis;
    let mut scenario = Scenario::of(0).made(Simpler::Calm).made(Simpler::Quick);
    scenario.setup.machines = vec![MACHINE];
    scenario.setup.horizon = Duration::from_secs(60);
    let task =
        Step::RunTask { cluster: 0, image: Image::Web, count: 1, ports: false, capacity: Capacity::Ec2 };
    scenario.steps = vec![Timed { number: 0, at: Duration::from_secs(30), step: task }];
    let undisturbed = run(&scenario, true);
    assert_eq!(undisturbed.violation, None);
    let line =
        undisturbed.log.iter().find(|line| line.contains("engine: ContainerStarted")).expect("a start");
    let seconds: f64 = line.split_whitespace().next().and_then(|at| at.parse().ok()).expect("a time");
    let start = Duration::from_secs_f64(seconds);
    for (before, down_millis) in [(0, 5_000), (100, 100)] {
        let mut disturbed = scenario.clone();
        let kill = Step::AgentCrash { machine: 0, down_millis };
        disturbed.steps.push(Timed { number: 1, at: start - millis(before), step: kill });
        let outcome = run(&disturbed, false);
        assert_eq!(outcome.violation, None, "killed {before} ms before the start");
        assert_eq!(outcome.tally.containers_started, 1);
    }
}

/// Seven hours, for most of which there is no control plane (identity, acceptance 12): whoever renews the credentials of a
/// task's role finds some that are good for long enough. botocore asks again fifteen minutes before their end.
#[test]
fn roles_outlive_a_control_plane_that_is_away_for_hours() {
    const HOUR: u64 = 3600;
    let seconds = Duration::from_secs;
    for (seed, killed_at, down) in [(0, HOUR, 4 * HOUR + 1800), (1, 3 * HOUR - 600, 3 * HOUR)] {
        let mut scenario = Scenario::of(seed).made(Simpler::Calm);
        scenario.setup.machines = vec![MACHINE];
        scenario.setup.horizon = seconds(7 * HOUR);
        // Whoever is away for hours is not replaced.
        scenario.setup.controllers.instance_lost_after = None;
        let run_task =
            Step::RunTask { cluster: 0, image: Image::Vpc, count: 2, ports: false, capacity: Capacity::Ec2 };
        let kill = Step::ServerCrash { down_millis: u32::try_from(down * 1000).expect("few hours") };
        let steps = [
            (seconds(30), run_task),
            (seconds(2 * HOUR - 3600), Step::RotateKeys),
            (seconds(killed_at), kill),
        ];
        scenario.steps = { steps.into_iter().enumerate() }
            .map(|(number, (at, step))| Timed { number, at, step })
            .collect();
        let outcome = run(&scenario, false);
        assert_eq!(outcome.violation, None, "killed at {killed_at} s");
        let least = outcome.tally.least_left_secs.expect("containers have asked");
        assert!(least >= 15 * 60, "{least} s were left");
        assert!(outcome.tally.credentials_given > 2 * 7 * HOUR / 25, "{:?}", outcome.tally);
        assert_eq!(outcome.tally.server_starts, 2);
    }
}
