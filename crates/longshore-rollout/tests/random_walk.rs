//! Whatever happens to a service, its plans keep to the bounds, repeat themselves, and lead to the
//! wanted state once nothing happens any more.

mod world;

use std::time::Duration;

use longshore_domain::status::{DesiredStatus, HealthStatus, RolloutState, TaskStatus};
use longshore_rollout::*;
use proptest::prelude::*;
use world::{World, secs};

/// One thing that happens. `n` picks the task or instance.
#[derive(Clone, Debug)]
enum Step {
    Plan,
    Run(usize),
    Finish(usize),
    Crash(usize),
    CrashLoop,
    FailToStart(usize),
    Sicken(usize),
    Recover(usize),
    Drain(usize),
    Undrain(usize),
    Lose(usize),
    Protect(usize),
    Desire(u32),
    Percents(u32, u32),
    Update,
    Stop(bool),
    Capacity(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let n = 0..64_usize;
    prop_oneof![
        12 => Just(Step::Plan),
        8 => n.clone().prop_map(Step::Run),
        6 => n.clone().prop_map(Step::Finish),
        2 => n.clone().prop_map(Step::Crash),
        1 => Just(Step::CrashLoop),
        3 => n.clone().prop_map(Step::FailToStart),
        2 => n.clone().prop_map(Step::Sicken),
        1 => n.clone().prop_map(Step::Recover),
        1 => n.clone().prop_map(Step::Drain),
        1 => n.clone().prop_map(Step::Undrain),
        1 => n.clone().prop_map(Step::Lose),
        1 => n.prop_map(Step::Protect),
        1 => (0..9_u32).prop_map(Step::Desire),
        1 => percents().prop_map(|(min, max)| Step::Percents(min, max)),
        1 => Just(Step::Update),
        1 => any::<bool>().prop_map(Step::Stop),
        1 => (0..20_usize).prop_map(Step::Capacity),
        5 => (1..50_u64).prop_map(Step::Pass),
    ]
}

fn percents() -> impl Strategy<Value = (u32, u32)> {
    (prop_oneof![Just(0), Just(50), Just(75), Just(100)], prop_oneof![Just(100), Just(125), Just(200)])
}

/// Shorter and longer than what counts as a short life.
fn settle_times() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(secs(0)), Just(secs(2)), Just(secs(40))]
}

fn nth<T: Copy>(of: &[T], n: usize) -> Option<T> {
    if of.is_empty() { None } else { Some(of[n % of.len()]) }
}

fn take(world: &mut World, step: &Step) {
    let alive = |task: &TaskView| task.desired_status == DesiredStatus::Running;
    let runs = |task: &TaskView| task.last_status == TaskStatus::Running;
    match *step {
        Step::Plan => plan_and_check(world),
        Step::Run(n) => {
            if let Some(id) = nth(&world.ids(|task| alive(task) && !runs(task)), n) {
                world.run(id);
            }
        }
        Step::Finish(n) => {
            if let Some(id) = nth(&world.ids(|task| !alive(task)), n) {
                world.finish(id);
            }
        }
        Step::Crash(n) => {
            if let Some(id) = nth(&world.ids(runs), n) {
                world.end(id, StoppedBecause::EssentialExited);
            }
        }
        Step::CrashLoop => world.crash_loop(world.primary().id),
        Step::FailToStart(n) => {
            if let Some(id) = nth(&world.ids(|task| alive(task) && !runs(task)), n) {
                world.end(id, StoppedBecause::FailedToStart);
            }
        }
        Step::Sicken(n) => health(world, n, HealthStatus::Unhealthy),
        Step::Recover(n) => health(world, n, HealthStatus::Healthy),
        Step::Drain(n) => world.drain(n % 3, true),
        Step::Undrain(n) => world.drain(n % 3, false),
        Step::Lose(n) => {
            if let Some(id) = nth(&world.ids(|_| true), n) {
                world.task_mut(id).host = Host::Lost;
            }
        }
        Step::Protect(n) => {
            if let Some(id) = nth(&world.ids(runs), n) {
                let until = world.now + secs(n as u64 * 10);
                world.task_mut(id).protected_until = Some(until);
            }
        }
        Step::Desire(desired) => world.desire(desired),
        Step::Percents(min, max) => {
            world.view.minimum_healthy_percent = min;
            world.view.maximum_percent = max;
        }
        Step::Update => {
            world.update();
        }
        Step::Stop(abort) => {
            let stop = if abort { StopType::Abort } else { StopType::Rollback };
            if world.primary().rollout == RolloutState::InProgress {
                world.primary_mut().stop_requested = Some(stop);
            }
        }
        Step::Capacity(tasks) => {
            world.capacity = tasks;
            for refusal in &mut world.view.refusals {
                refusal.capacity_changed = true;
            }
        }
        Step::Pass(seconds) => world.now = world.now + secs(seconds),
    }
}

fn health(world: &mut World, n: usize, health: HealthStatus) {
    let checked =
        |task: &TaskView| task.last_status == TaskStatus::Running && task.container_health.is_some();
    if let Some(id) = nth(&world.ids(checked), n) {
        world.task_mut(id).container_health = Some(health);
    }
}

fn plan_and_check(world: &mut World) {
    let plan = world.plan();
    assert_eq!(plan, world.plan(), "equal arguments give equal plans");
    world.check_bounds(&plan);
    assert!(plan.next_look.is_none_or(|look| look >= world.now));
    let before = world.view.tasks.len();
    world.apply(&plan);
    let again = world.plan();
    world.check_bounds(&again);
    // A rollback, a failure by refused placements and a move between zones do begin with it.
    let turns = again.deployments.iter().any(|change| change.rollout.is_some());
    // What was refused leaves its room to the deployment that fills in.
    let asked: u32 = plan.starts.iter().map(|start| start.count).sum();
    let refused = world.view.tasks.len() - before < asked as usize;
    if plan.new_deployment.is_none() && again.rebalancing.is_none() && !turns && !refused {
        assert!(again.starts.is_empty(), "planned twice: {:?} after {:?}", again.starts, plan.starts);
    }
}

/// Once faults stop: everything in place, or a reason why not.
fn check_calm(world: &mut World) {
    world.capacity = usize::MAX;
    for n in 0..3 {
        world.drain(n, false);
    }
    for task in &mut world.view.tasks {
        task.container_health = task.container_health.map(|_| HealthStatus::Healthy);
    }
    let plan = world.calm();
    let desired = world.view.desired_count;
    let primary = world.primary();
    let in_place = world.view.tasks.len() as u32 == desired
        && world.healthy() == desired
        && world.view.tasks.iter().all(|task| task.deployment == primary.id);
    assert!(in_place || !plan.waiting_for.is_empty(), "not in place and silent: {}", world.picture());
    let bounds = Bounds::new(desired, world.view.minimum_healthy_percent, world.view.maximum_percent);
    let movable = bounds.max > desired || bounds.min < desired;
    let failed = primary.rollout == RolloutState::Failed;
    let protected = world.view.tasks.iter().any(|task| task.protected_until > Some(world.now));
    if (movable || desired == 0) && !failed && !protected {
        assert!(in_place, "stays {} of {desired}: {:?}", world.picture(), plan.waiting_for);
        assert_eq!(world.primary().rollout, RolloutState::Completed);
        assert_eq!(world.view.deployments.len(), 1);
        assert_eq!(plan.waiting_for, []);
    }
    if movable && !failed && !protected {
        // With room elsewhere an instance can be drained, whatever has happened before.
        world.drain(0, true);
        world.calm();
        let id = world.instances[0].id;
        assert_eq!(world.ids(|task| task.instance == Some(id)), [], "left on a DRAINING instance");
        assert_eq!(world.healthy(), desired);
        world.drain(0, false);
    }
    let open: Vec<_> = world.service_deployments.values().filter(|(status, _)| !status.is_final()).collect();
    let unfinished = world.primary().rollout == RolloutState::InProgress;
    assert!(open.len() <= usize::from(unfinished), "{open:?}");
}

/// As many walks as `PROPTEST_CASES` says, or so many.
fn walks(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if asked { config.cases } else { cases }, ..config }
}

proptest! {
    #![proptest_config(walks(3000))]

    #[test]
    fn plans_keep_to_the_bounds_and_converge(
        desired in 0..9_u32,
        (min, max) in percents(),
        checked in any::<bool>(),
        breaker in any::<(bool, bool)>(),
        rebalancing in any::<bool>(),
        settle in settle_times(),
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let mut world = World::new(desired, min, max);
        world.checked = checked;
        world.view.circuit_breaker = CircuitBreaker { enable: breaker.0, rollback: breaker.1 };
        world.view.zone_rebalancing = rebalancing;
        world.view.settings.settle_time = settle;
        world.list_zones();
        for step in &steps {
            take(&mut world, step);
        }
        check_calm(&mut world);
    }
}

/// Tasks that a DAEMON has on one instance: never two that are meant to stay, and no start beside
/// a task that is not STOPPED.
fn check_daemon(world: &World, plan: &Plan) {
    let Scheduling::Daemon { instances } = &world.view.scheduling else { unreachable!("a daemon") };
    let desired = instances.iter().filter(|it| it.eligible && !it.draining).count() as u32;
    assert_eq!(plan.daemon_desired_count, Some(desired));
    let bounds = Bounds::new(desired, world.view.minimum_healthy_percent, 100);
    for start in &plan.starts {
        assert_eq!(world.ids(|task| task.instance == start.on), [], "one task per instance");
    }
    let mut healthy = world.healthy();
    for stop in &plan.stops {
        let stopped = world.view.tasks.iter().find(|task| task.id == stop.task).expect("a task");
        if world.is_healthy(stopped) {
            healthy -= 1;
            assert!(healthy >= bounds.min, "{healthy} healthy, at least {} needed", bounds.min);
        }
    }
}

proptest! {
    #![proptest_config(walks(1000))]

    #[test]
    fn daemons_keep_to_one_task_per_instance_and_converge(
        min in prop_oneof![Just(0), Just(34), Just(66)],
        settle in settle_times(),
        steps in prop::collection::vec(steps(), 1..100),
    ) {
        let mut world = World::new(0, min, 100);
        world.view.settings.settle_time = settle;
        world.list_instances();
        for step in &steps {
            match step {
                Step::Plan => {
                    let plan = world.plan();
                    check_daemon(&world, &plan);
                    world.apply(&plan);
                    check_daemon(&world, &world.plan());
                }
                Step::Desire(_) | Step::Percents(..) | Step::Capacity(_) | Step::Protect(_) => {}
                other => {
                    take(&mut world, other);
                    world.list_instances();
                }
            }
        }
        for n in 0..3 {
            world.drain(n, false);
        }
        world.list_instances();
        let plan = world.calm();
        if world.primary().rollout != RolloutState::Failed {
            assert_eq!(world.picture(), "n3", "{:?}", plan.waiting_for);
            assert_eq!(world.primary().rollout, RolloutState::Completed);
        } else {
            assert_ne!(plan.waiting_for, []);
        }
    }
}

/// A guard against quadratic work, not a benchmark: the bound is generous because tests run beside
/// others, on a build that is hardly optimised.
#[test]
fn five_thousand_tasks_are_planned_quickly() {
    let mut world = World::running(5000, 50, 200);
    let mut slowest = std::time::Duration::ZERO;
    let mut measure = |world: &World, what: &str| {
        let begin = std::time::Instant::now();
        let plan = world.plan();
        let took = begin.elapsed();
        eprintln!("{what}: {took:?}, {} stops", plan.stops.len());
        slowest = slowest.max(took);
    };
    measure(&world, "steady");
    world.update();
    measure(&world, "rolling");
    world.view.refusals.push(Refusal {
        deployment: world.primary().id,
        at: world.now,
        attempts: 1,
        uncounted: 1,
        reason: PlacementRefusal::NoInstances,
        room_may_help: true,
        capacity_changed: false,
    });
    measure(&world, "making room");
    world.desire(2000);
    measure(&world, "scale-in");
    assert!(slowest < std::time::Duration::from_millis(200), "{slowest:?}");
}
