//! Tasks that fail to start, crash or find no place: pauses, the circuit breaker, and what fills in meanwhile.

mod world;

use std::time::Duration;

use expect_test::expect;
use longshore_domain::status::{DesiredStatus, HealthStatus, RolloutState, TaskStatus};
use longshore_rollout::*;
use world::{World, deployment_id, revision_id, secs};

#[test]
fn a_crash_loop_is_slowed_down_and_told() {
    let mut world = World::running(1, 100, 200);
    let mut pauses = Vec::new();
    world.end(world.staying()[0], StoppedBecause::EssentialExited);
    world.round();
    world.run_all();
    for _ in 0..5 {
        world.now = world.now + secs(1);
        let id = world.staying()[0];
        world.end(id, StoppedBecause::EssentialExited);
        let plan = world.round();
        let open = plan.throttle.next_attempt.expect("a short life sets the next attempt");
        pauses.push(open.since(world.now).as_secs());
        if plan.starts.is_empty() {
            world.now = open;
            world.round();
        }
        world.run_all();
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8]);
    assert_eq!(world.primary().failed_tasks, 0, "the circuit breaker does not count what was RUNNING");
    let said = world.messages.iter().filter(|text| text.contains("unable to consistently start")).count();
    assert_eq!(said, 1, "{:?}", world.messages);
    // Until one lives.
    let over = world.round().next_look.expect("a look at whether it lives");
    assert_eq!(over, world.now + world.view.settings.short_life);
    world.now = over;
    assert_eq!(world.round().throttle.failures, 0);
}

/// Found by the simulation (seeds 4325, 5732 and 6556): each crash was healthy for a moment, and cost a task that served.
#[test]
fn a_crash_loop_does_not_wear_out_what_served_before() {
    let mut world = World::running(6, 50, 100);
    world.view.settings.settle_time = secs(1);
    let new = world.update();
    let mut stops = Vec::new();
    for lives in [0, 0].into_iter().chain([2; 18]) {
        world.now = world.now + world.view.settings.crash_max;
        for _ in 0..3 {
            stops.push(world.round().stops.len());
            world.finish_all();
        }
        world.run_all();
        world.now = world.now + secs(lives);
        stops.push(world.round().stops.len());
        for id in world.ids(|task| task.deployment == new) {
            world.end(id, StoppedBecause::EssentialExited);
        }
    }
    assert_eq!(stops.split_off(40), vec![0; 40], "{stops:?}");
    assert_eq!(world.healthy(), 3);
}

/// A crash loop that was COMPLETED in a lucky moment is updated or scaled in: what has settled of it is kept by the
/// minimum like any other. Found by the simulation (seed 5016800).
#[test]
fn the_minimum_keeps_what_has_settled_in_a_crash_loop() {
    // No room beside them, and no more of them than the minimum; as many more as go; all of them are too many.
    for (percents, desired, stops) in
        [((100, 200), 4, 0), ((50, 100), 4, 2), ((75, 100), 4, 1), ((100, 200), 3, 1)]
    {
        let mut world = World::running(4, percents.0, percents.1);
        world.view.settings.settle_time = secs(1);
        world.crash_loop(world.primary().id);
        let throttle = world.view.throttle.clone();
        world.now = world.now + secs(2);
        world.capacity = 4;
        if desired == 4 {
            world.update();
            world.view.fallback_throttle = throttle;
        } else {
            world.desire(desired);
            world.view.throttle = throttle;
        }
        assert_eq!(world.healthy(), 4);
        for _ in 0..3 {
            world.check_bounds(&world.plan());
            world.round();
        }
        let stopped = world.ids(|task| task.desired_status == DesiredStatus::Stopped).len();
        assert_eq!(stopped, stops, "{percents:?} {desired}: {}", world.picture());
    }
}

/// Found by the simulation (seed 6556): what had just been started to fill in made room for the next try, and so on.
#[test]
fn what_fills_in_does_not_make_room_for_the_next_try() {
    let mut world = World::running(2, 75, 150);
    world.view.settings.settle_time = secs(40);
    world.view.settings.crash_max = secs(5);
    let new = world.update();
    let mut stops = Vec::new();
    for _ in 0..40 {
        stops.push(world.round().stops.len());
        world.finish_all();
        world.run_all();
        world.now = world.now + secs(1);
        for id in world.ids(|task| task.deployment == new) {
            world.end(id, StoppedBecause::EssentialExited);
        }
        // Now and then one that served ends, too.
        if stops.len() % 10 == 0 {
            let id = world.ids(|task| task.deployment != new)[0];
            world.end(id, StoppedBecause::EssentialExited);
        }
        world.now = world.now + secs(4);
    }
    assert_eq!(stops, vec![0; 40]);
}

/// What fills in pauses after its own failures, and only after those: without a pause it would fail in a circle, and
/// without a time to try again it would stay away until something else happens.
#[test]
fn what_fills_in_is_slowed_down_by_its_own_failures() {
    for because in [StoppedBecause::EssentialExited, StoppedBecause::FailedToStart] {
        let mut world = World::running(2, 50, 200);
        let new = world.update();
        world.fail_starts(3);
        assert!(world.view.throttle.failures >= memory::FAILURES_NOTICED);
        // The predecessor does not work any more either.
        let end = world.now + secs(60);
        let mut tries = Vec::new();
        while world.now < end {
            for id in world.ids(|task| task.deployment != new) {
                if because == StoppedBecause::EssentialExited {
                    world.run(id);
                }
                world.end(id, because);
            }
            let plan = world.round();
            let fills_in = plan.starts.iter().filter(|start| start.deployment != new);
            if fills_in.count() > 0 {
                tries.push(world.now);
            }
            for id in world.ids(|task| task.deployment == new) {
                world.end(id, StoppedBecause::FailedToStart);
            }
            world.now = world.now + Duration::from_millis(100);
        }
        let expected = if because == StoppedBecause::FailedToStart { 3..6 } else { 4..9 };
        assert!(expected.contains(&tries.len()), "{because:?}: {} tries", tries.len());
        // Nothing but the time passes, and it is tried again.
        let plan = world.round();
        let look = plan.next_look.expect("a look at the end of the pause");
        assert!(plan.waiting_for.iter().any(|it| matches!(it, Waiting::Throttle { .. })));
        assert!(look < world.now + world.view.settings.throttle_max);
    }
}

/// It stayed at one old and two new tasks of three, for ever: the one that fills in was needed by its own count, although
/// the two healthy new tasks are all that the minimum asks for.
#[test]
fn what_fills_in_makes_room_once_the_new_tasks_are_enough() {
    let mut world = World::running(3, 50, 200);
    world.capacity = 3;
    let new = world.update();
    for id in world.staying().into_iter().take(2) {
        world.task_mut(id).deployment = new;
    }
    world.primary_mut().ever_running = true;
    world.view.throttle = Throttle {
        deployment: Some(new),
        failures: memory::FAILURES_NOTICED,
        last_failure: Some(world.now),
        next_attempt: Some(world.now),
    };
    assert_eq!(world.picture(), "o1n2");
    world.calm();
    assert_eq!((world.picture().as_str(), world.primary().rollout), ("n3", RolloutState::Completed));
}

#[test]
fn room_that_is_being_made_fails_no_deployment() {
    let mut world = World::running(2, 50, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: true };
    world.capacity = 2;
    world.update();
    // The old tasks take their time to stop, and every new look finds the cluster full.
    for _ in 0..2 {
        for _ in 0..8 {
            world.round();
            world.now = world.now + secs(5);
        }
        world.finish_all();
        world.round();
        world.run_all();
    }
    world.calm();
    assert_eq!(world.picture(), "n2");
    assert_eq!(world.primary().rollout, RolloutState::Completed);
    assert!(world.messages.iter().all(|text| !text.contains("rolling back")), "{:?}", world.messages);
}

#[test]
fn the_coming_and_going_of_others_fails_no_deployment() {
    let mut world = World::new(1, 100, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: false };
    world.capacity = 0;
    for _ in 0..100 {
        world.round();
        world.round();
        world.now = world.now + Duration::from_millis(20);
        for refusal in &mut world.view.refusals {
            refusal.capacity_changed = true;
        }
    }
    assert_eq!((world.primary().failed_tasks, world.primary().rollout), (1, RolloutState::InProgress));
    let said = world.messages.iter().filter(|text| text.contains("was unable to place")).count();
    assert_eq!(said, 1, "{:?}", world.messages);
    // But its own attempts do.
    for _ in 0..3 {
        world.now = world.now + secs(60);
        world.round();
    }
    world.round();
    assert_eq!(world.primary().rollout, RolloutState::Failed);
}

#[test]
fn failures_to_start_are_throttled_until_an_update() {
    let mut world = World::new(1, 100, 200);
    let mut pauses = Vec::new();
    for _ in 0..11 {
        world.round();
        let id = world.ids(|_| true)[0];
        world.end(id, StoppedBecause::FailedToStart);
        let plan = world.plan();
        let open = plan.throttle.next_attempt.expect("a failure sets the next attempt");
        pauses.push(open.since(world.now).as_secs());
        if plan.starts.is_empty() {
            world.apply(&plan);
            world.now = open;
        }
    }
    assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
    let told = world.messages.iter().filter(|it| it.contains("unable to consistently start")).count();
    assert_eq!(told, 1, "{:?}", world.messages);
    world.update();
    assert_eq!(world.plan().starts.len(), 1);
}

#[test]
fn a_running_neighbour_does_not_hide_failures() {
    let mut world = World::running(1, 100, 200);
    world.desire(2);
    for failures in 1..5 {
        world.round();
        let id = world.ids(|task| task.last_status == TaskStatus::Pending)[0];
        world.end(id, StoppedBecause::FailedToStart);
        let plan = world.plan();
        assert_eq!(plan.throttle.failures, failures);
        if plan.starts.is_empty() {
            world.apply(&plan);
            world.now = plan.throttle.next_attempt.expect("a pause");
        }
    }
    world.calm();
    assert_eq!(world.plan().throttle.failures, 0, "a task that runs ends it");
}

#[test]
fn tasks_that_fail_together_are_one_failure() {
    let mut world = World::new(8, 100, 200);
    world.round();
    for id in world.ids(|_| true) {
        world.end(id, StoppedBecause::FailedToStart);
    }
    assert_eq!(world.plan().throttle.failures, 1);
}

#[test]
fn the_circuit_breaker_rolls_back_to_the_last_completed() {
    let mut world = World::running(2, 100, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: true };
    let failed = world.update();
    world.fail_starts(4);
    let primary = world.primary();
    assert_ne!(primary.id, failed);
    assert_eq!(primary.revision, revision_id(1));
    assert_eq!(primary.rolled_back_from, Some(failed));
    let (status, reason) = &world.service_deployments[&failed];
    assert_eq!(*status, ServiceDeploymentStatus::RollbackInProgress);
    expect!["ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1000000000000000001."]
        .assert_eq(reason.as_deref().unwrap_or_default());
    world.calm();
    assert_eq!(world.service_deployments[&failed].0, ServiceDeploymentStatus::RollbackSuccessful);
    assert_eq!(world.primary().rollout, RolloutState::Completed);
    assert_eq!(world.view.deployments.len(), 1);
    world.messages.retain(|it| it.contains("deployment"));
    // The id of the rollback is drawn from the seed.
    let id = world.primary().id.to_string();
    world.messages.iter_mut().for_each(|it| *it = it.replace(&id, "ecs-svc/NEW"));
    world.messages_are(&expect![[r#"
        (service web) (deployment ecs-svc/1000000000000000004) deployment failed: tasks failed to start.
        (service web) rolling back to deployment ecs-svc/1000000000000000001.
        (service web) (deployment ecs-svc/NEW) deployment completed."#]]);
}

#[test]
fn without_rollback_the_failed_deployment_stays_and_the_old_one_serves() {
    let mut world = World::running(2, 100, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: false };
    let failed = world.update();
    world.fail_starts(4);
    world.calm();
    assert_eq!(world.primary().id, failed);
    assert_eq!(world.primary().rollout, RolloutState::Failed);
    assert_eq!(world.picture(), "o2");
    assert_eq!(world.service_deployments[&failed].0, ServiceDeploymentStatus::Stopped);
    // The old deployment still replaces what it loses.
    let id = world.staying()[0];
    world.end(id, StoppedBecause::EssentialExited);
    let plan = world.calm();
    assert_eq!(world.picture(), "o2");
    assert_eq!(plan.waiting_for, [Waiting::DeploymentFailed { deployment: failed }]);
    // The next update starts afresh.
    world.update();
    world.calm();
    assert_eq!(world.picture(), "n2");
    assert_eq!(world.primary().rollout, RolloutState::Completed);
}

#[test]
fn the_old_deployment_makes_no_room_for_itself() {
    let mut world = World::running(2, 0, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: false };
    let failed = world.update();
    world.fail_starts(4);
    world.calm();
    assert_eq!(world.picture(), "o2");
    world.capacity = 1;
    world.end(world.staying()[0], StoppedBecause::EssentialExited);
    for _ in 0..20 {
        let plan = world.round();
        assert_eq!(plan.stops, [], "what serves must not go for another like it");
        world.now = world.now.max(plan.next_look.unwrap_or(world.now));
    }
    assert_eq!(world.picture(), "o1");
    assert!(world.plan().waiting_for.contains(&Waiting::DeploymentFailed { deployment: failed }));
}

#[test]
fn the_first_deployment_has_nothing_to_roll_back_to() {
    let mut world = World::new(1, 100, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: true };
    world.fail_starts(6);
    let plan = world.plan();
    assert_eq!(world.primary().rollout, RolloutState::Failed);
    assert!(plan.starts.is_empty() && plan.new_deployment.is_none());
    assert_eq!(plan.waiting_for, [Waiting::DeploymentFailed { deployment: deployment_id(1) }]);
}

/// ecs-services E3 and E4: a FAILED deployment starts no tasks, and another desired count begins no new deployment.
#[test]
fn a_higher_count_revives_no_failed_deployment() {
    let mut world = World::new(1, 100, 200);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: true };
    world.fail_starts(6);
    world.desire(3);
    let plan = world.calm();
    assert_eq!((world.picture().as_str(), world.primary().rollout), ("none", RolloutState::Failed));
    let [Waiting::DeploymentFailed { deployment }] = plan.waiting_for[..] else {
        panic!("{:?}", plan.waiting_for)
    };
    assert_eq!(deployment, deployment_id(1));
    assert!(plan.waiting_for[0].to_string().contains("--force-new-deployment"), "{:?}", plan.waiting_for);
    world.update();
    world.calm();
    assert_eq!((world.picture().as_str(), world.primary().rollout), ("n3", RolloutState::Completed));
}

#[test]
fn failed_health_checks_trip_the_breaker_in_stage_two() {
    let mut world = World::running(1, 100, 200);
    world.checked = true;
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: true };
    let bad = world.update();
    for _ in 0..30 {
        world.round();
        world.finish_all();
        world.run_all();
        for id in world.ids(|task| task.deployment == bad) {
            world.task_mut(id).container_health = Some(HealthStatus::Unhealthy);
        }
        if world.primary().id != bad {
            break;
        }
    }
    assert_eq!(world.primary().rolled_back_from, Some(bad));
    assert!(world.messages.iter().any(|it| it.ends_with("failed container health checks.")));
}

#[test]
fn what_served_before_an_aborted_deployment_goes_on() {
    // Before the new tasks run, and when they do but the old ones are not gone yet.
    for running in [false, true] {
        let mut world = World::running(2, 100, 200);
        let before = world.staying();
        world.update();
        world.round();
        if running {
            world.run_all();
        }
        world.primary_mut().stop_requested = Some(StopType::Abort);
        world.calm();
        assert_eq!((world.picture().as_str(), world.staying()), ("o2", before));
        let shown: Vec<_> = world.view.deployments.iter().map(|it| (it.role, it.desired_count)).collect();
        assert_eq!(shown, [(DeploymentRole::Active, 2), (DeploymentRole::Primary, 2)]);
    }
}

#[test]
fn the_coming_and_going_of_others_fails_no_daemon() {
    let mut world = World::new(0, 0, 100);
    world.view.circuit_breaker = CircuitBreaker { enable: true, rollback: false };
    world.instances.truncate(1);
    world.list_instances();
    world.capacity = 0;
    for _ in 0..100 {
        world.round();
        world.round();
        world.now = world.now + Duration::from_millis(20);
        for refusal in &mut world.view.refusals {
            refusal.capacity_changed = true;
        }
    }
    assert_eq!((world.primary().failed_tasks, world.primary().rollout), (1, RolloutState::InProgress));
    let said = world.messages.iter().filter(|text| text.contains("was unable to place")).count();
    assert_eq!(said, 1, "{:?}", world.messages);
    // But its own attempts do.
    for _ in 0..3 {
        world.now = world.now + secs(60);
        world.round();
    }
    world.round();
    assert_eq!(world.primary().rollout, RolloutState::Failed);
}
