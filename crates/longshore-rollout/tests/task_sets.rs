//! Whatever happens to the task sets of a service, each keeps to its own bounds, none starts or stops
//! a task of another, and all come to rest at their shares.

mod world;

use longshore_base::DeploymentId;
use longshore_domain::status::{DesiredStatus, HealthStatus, TaskStatus};
use longshore_rollout::bounds::scaled;
use longshore_rollout::*;
use proptest::prelude::*;
use world::{World, deployment_id, secs};

/// One thing that happens. `n` picks the task, the set or the instance.
#[derive(Clone, Debug)]
enum Step {
    Plan,
    Run(usize),
    Finish(usize),
    Crash(usize),
    CrashLoop(usize),
    FailToStart(usize),
    Sicken(usize),
    Drain(usize, bool),
    Lose(usize),
    Protect(usize),
    Desire(u32),
    Create(u32),
    Scale(usize, u32),
    Primary(usize),
    Delete(usize),
    Capacity(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let n = 0..64_usize;
    let scale = prop_oneof![Just(0), Just(10_000), 0..=10_000_u32];
    prop_oneof![
        12 => Just(Step::Plan),
        8 => n.clone().prop_map(Step::Run),
        6 => n.clone().prop_map(Step::Finish),
        2 => n.clone().prop_map(Step::Crash),
        1 => n.clone().prop_map(Step::CrashLoop),
        2 => n.clone().prop_map(Step::FailToStart),
        2 => n.clone().prop_map(Step::Sicken),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, draining)| Step::Drain(n, draining)),
        1 => n.clone().prop_map(Step::Lose),
        1 => n.clone().prop_map(Step::Protect),
        1 => (0..9_u32).prop_map(Step::Desire),
        2 => scale.clone().prop_map(Step::Create),
        3 => (n.clone(), scale).prop_map(|(n, scale)| Step::Scale(n, scale)),
        1 => n.clone().prop_map(Step::Primary),
        1 => n.prop_map(Step::Delete),
        1 => (0..20_usize).prop_map(Step::Capacity),
        5 => (1..50_u64).prop_map(Step::Pass),
    ]
}

fn sets(world: &World) -> &[TaskSetView] {
    match &world.view.scheduling {
        Scheduling::TaskSets { sets } => sets,
        other => panic!("not made of task sets: {other:?}"),
    }
}

fn sets_mut(world: &mut World) -> &mut Vec<TaskSetView> {
    match &mut world.view.scheduling {
        Scheduling::TaskSets { sets } => sets,
        other => panic!("not made of task sets: {other:?}"),
    }
}

fn live(set: &TaskSetView) -> bool {
    set.status != TaskSetStatus::Draining
}

/// The id of the `n`th set that satisfies `keep`.
fn nth_set(world: &World, n: usize, keep: impl Fn(&TaskSetView) -> bool) -> Option<DeploymentId> {
    let kept: Vec<_> = sets(world).iter().filter(|set| keep(set)).map(|set| set.id).collect();
    if kept.is_empty() { None } else { Some(kept[n % kept.len()]) }
}

fn nth(of: &[longshore_base::TaskId], n: usize) -> Option<longshore_base::TaskId> {
    if of.is_empty() { None } else { Some(of[n % of.len()]) }
}

fn set_mut(world: &mut World, id: DeploymentId) -> &mut TaskSetView {
    sets_mut(world).iter_mut().find(|set| set.id == id).expect("a listed set")
}

fn take(world: &mut World, step: &Step, created: &mut u64) {
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
        Step::CrashLoop(n) => {
            if let Some(id) = nth_set(world, n, live) {
                world.crash_loop(id);
            }
        }
        Step::FailToStart(n) => {
            if let Some(id) = nth(&world.ids(|task| alive(task) && !runs(task)), n) {
                world.end(id, StoppedBecause::FailedToStart);
            }
        }
        Step::Sicken(n) => {
            if let Some(id) = nth(&world.ids(|task| runs(task) && task.container_health.is_some()), n) {
                world.task_mut(id).container_health = Some(HealthStatus::Unhealthy);
            }
        }
        Step::Drain(n, draining) => world.drain(n % 3, draining),
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
        Step::Create(scale) => {
            if sets(world).iter().filter(|set| live(set)).count() < 3 {
                *created += 1;
                let id = deployment_id(1_000 + *created);
                sets_mut(world).push(TaskSetView {
                    id,
                    status: TaskSetStatus::Active,
                    scale_basis_points: scale,
                    computed_desired_count: 0,
                    stability: Stability::Stabilizing,
                    throttle: Throttle { deployment: Some(id), ..Throttle::default() },
                });
            }
        }
        Step::Scale(n, scale) => {
            if let Some(id) = nth_set(world, n, live) {
                let set = set_mut(world, id);
                set.scale_basis_points = scale;
                set.stability = Stability::Stabilizing;
            }
        }
        Step::Primary(n) => {
            if let Some(id) = nth_set(world, n, live) {
                for set in sets_mut(world).iter_mut().filter(|set| live(set)) {
                    set.status = TaskSetStatus::Active;
                }
                set_mut(world, id).status = TaskSetStatus::Primary;
            }
        }
        Step::Delete(n) => {
            if let Some(id) = nth_set(world, n, live) {
                set_mut(world, id).status = TaskSetStatus::Draining;
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

fn plan_and_check(world: &mut World) {
    let plan = world.plan();
    assert_eq!(plan, world.plan(), "equal arguments give equal plans");
    for set in sets(world).to_vec() {
        check_set(world, &plan, &set);
    }
    assert!(plan.next_look.is_none_or(|look| look >= world.now));
    for id in &plan.removed_task_sets {
        assert!(world.ids(|task| task.deployment == *id).is_empty(), "a set goes with its last task");
    }
    world.apply(&plan);
    let again = world.plan();
    let refused = world.view.refusals.iter().any(|refusal| refusal.at == world.now);
    if !plan.starts.is_empty() && !refused {
        assert!(again.starts.is_empty(), "planned twice: {:?} after {:?}", again.starts, plan.starts);
    }
}

/// The promise for one set: what the plan does never breaks its bounds.
fn check_set(world: &World, plan: &Plan, set: &TaskSetView) {
    let mine: Vec<_> = world.view.tasks.iter().filter(|task| task.deployment == set.id).collect();
    let starts = plan.starts.iter().filter(|start| start.deployment == set.id);
    let starts: u32 = starts.map(|start| start.count).sum();
    let stops = || plan.stops.iter().filter_map(|stop| mine.iter().find(|task| task.id == stop.task));
    for task in stops() {
        assert_eq!(task.desired_status, DesiredStatus::Running, "a task is stopped once");
    }
    if !live(set) {
        assert_eq!(starts, 0, "a deleted set starts nothing");
        return;
    }
    let desired = scaled(world.view.desired_count, set.scale_basis_points);
    let bounds = Bounds::new(desired, world.view.minimum_healthy_percent, world.view.maximum_percent);
    let total = mine.len() as u32 + starts;
    assert!(starts == 0 || total <= bounds.max, "{total} tasks, at most {} allowed", bounds.max);
    let staying = mine.iter().filter(|task| task.desired_status == DesiredStatus::Running).count();
    let staying = staying as u32 + starts - stops().count() as u32;
    let mut healthy = mine.iter().filter(|task| world.is_healthy(task)).count() as u32;
    for task in stops() {
        if world.is_healthy(task) {
            healthy -= 1;
            assert!(healthy >= bounds.min, "{healthy} healthy, at least {} needed", bounds.min);
        }
        let protected = task.protected_until.is_some_and(|until| until > world.now);
        let excused = task.container_health == Some(HealthStatus::Unhealthy) || task.host == Host::Lost;
        assert!(!protected || excused, "a protected task is stopped");
    }
    // Scale-in goes to the share at once, unless something holds tasks back, and never below it but for
    // tasks that serve no more.
    let changed = plan.task_sets.iter().find(|change| change.id == set.id);
    let stable = changed.map_or(set.stability, |change| change.stability) == Stability::SteadyState;
    if stable {
        assert_eq!(staying, desired, "a stable set has its share");
    }
}

/// Once faults stop, every set has its share, or the plan says why not.
fn check_calm(world: &mut World) {
    world.capacity = usize::MAX;
    for n in 0..3 {
        world.drain(n, false);
    }
    for task in &mut world.view.tasks {
        task.container_health = task.container_health.map(|_| HealthStatus::Healthy);
        task.protected_until = None;
        if task.host == Host::Draining {
            task.host = Host::Up;
        }
    }
    let plan = world.calm();
    for set in sets(world) {
        let count = world.ids(|task| task.deployment == set.id).len() as u32;
        let desired = scaled(world.view.desired_count, set.scale_basis_points);
        assert!(live(set), "{set:?} is still there: {:?}", plan.waiting_for);
        assert_eq!((count, set.stability), (desired, Stability::SteadyState), "{:?}", plan.waiting_for);
        assert_eq!(set.computed_desired_count, desired, "told");
    }
    let known = |task: &TaskView| sets(world).iter().any(|set| set.id == task.deployment);
    assert!(world.ids(|task| !known(task)).is_empty(), "tasks of sets that are gone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn sets_keep_to_their_bounds_and_come_to_rest(
        desired in 0..8_u32,
        checked in any::<bool>(),
        settle in prop_oneof![Just(0), Just(2), Just(40)],
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let mut world = World::new(desired, 100, 200);
        world.checked = checked;
        world.view.settings.settle_time = secs(settle);
        world.view.deployments.clear();
        world.view.scheduling = Scheduling::TaskSets { sets: Vec::new() };
        let mut created = 0;
        for step in &steps {
            take(&mut world, step, &mut created);
        }
        check_calm(&mut world);
    }
}

/// A world of two sets at rest.
fn two_sets(desired: u32) -> World {
    let mut world = World::new(desired, 100, 200);
    world.view.deployments.clear();
    world.view.scheduling = Scheduling::TaskSets { sets: Vec::new() };
    let mut created = 0;
    take(&mut world, &Step::Create(10_000), &mut created);
    take(&mut world, &Step::Create(10_000), &mut created);
    world.calm();
    assert!(sets(&world).iter().all(|set| set.stability == Stability::SteadyState));
    world
}

#[test]
fn scale_in_takes_tasks_of_its_set_only() {
    let mut world = two_sets(4);
    let (one, other) = (sets(&world)[0].id, sets(&world)[1].id);
    set_mut(&mut world, one).scale_basis_points = 2_500;
    let plan = world.round();
    let owner = |id| world.view.tasks.iter().find(|task| task.id == id).map(|task| task.deployment);
    assert_eq!(plan.stops.len(), 3);
    assert!(plan.stops.iter().all(|stop| owner(stop.task) == Some(one)), "{:?}", plan.stops);
    world.calm();
    assert_eq!(world.ids(|task| task.deployment == other).len(), 4);
}

#[test]
fn a_set_of_fresh_tasks_is_stable_before_they_have_settled() {
    let mut world = World::new(2, 100, 200);
    world.view.deployments.clear();
    world.view.scheduling = Scheduling::TaskSets { sets: Vec::new() };
    take(&mut world, &Step::Create(10_000), &mut 0);
    world.round();
    world.run_all();
    world.round();
    assert_eq!(sets(&world)[0].stability, Stability::SteadyState);
}

#[test]
fn a_throttled_set_leaves_the_others_alone() {
    let mut world = two_sets(1);
    let (bad, good) = (sets(&world)[0].id, sets(&world)[1].id);
    let of = |world: &World, id| world.ids(|task| task.deployment == id);
    let task = of(&world, bad)[0];
    world.end(task, StoppedBecause::User);
    for _ in 0..3 {
        world.round();
        for id in of(&world, bad) {
            world.end(id, StoppedBecause::FailedToStart);
        }
        world.now = world.now + secs(5);
    }
    let task = of(&world, good)[0];
    world.end(task, StoppedBecause::EssentialExited);
    let plan = world.round();
    assert_eq!(plan.starts.iter().map(|start| start.deployment).collect::<Vec<_>>(), [good]);
    assert!(plan.waiting_for.iter().any(|waiting| matches!(waiting, Waiting::Throttle { .. })));
}

/// As with a deployment (decision 24): each crash was healthy for a moment, and a task left its DRAINING instance for it.
#[test]
fn a_crash_loop_does_not_wear_out_what_served_before_in_its_set() {
    let mut world = two_sets(3);
    world.view.settings.settle_time = secs(1);
    let id = sets(&world)[0].id;
    let served = world.ids(|task| task.deployment == id);
    let fresh = |world: &World| world.ids(|task| task.deployment == id && !served.contains(&task.id));
    let draining = world.task_mut(served[0]).instance;
    let n = world.instances.iter().position(|it| Some(it.id) == draining).expect("an instance of the world");
    world.drain(n, true);
    for lives in [0, 0].into_iter().chain([2; 10]) {
        world.now = world.now + world.view.settings.crash_max;
        world.round();
        world.run_all();
        world.now = world.now + secs(lives);
        world.round();
        for task in fresh(&world) {
            world.end(task, StoppedBecause::EssentialExited);
        }
        world.finish_all();
        world.round();
    }
    assert!(set_mut(&mut world, id).throttle.failures > memory::FAILURES_NOTICED);
    assert_eq!(world.ids(|task| served.contains(&task.id)), served);
    // One that lives takes its place.
    world.calm();
    assert_eq!(world.ids(|task| task.instance == draining), []);
}
