//! Single stories: what happens to a service, and what it does and says.

mod world;

use expect_test::expect;
use longshore_domain::status::{HealthStatus, RolloutState, ServiceStatus, StopCode, TaskStatus};
use longshore_rollout::*;
use world::{World, deployment_id, instance_id, revision_id, secs};

#[test]
fn a_new_service_says_started_completed_steady() {
    let mut world = World::new(1, 100, 200);
    let last = world.calm();
    world.messages_are(&expect![[r#"
        (service web) has started 1 tasks: (task 00000000000000000000000000000002).
        (service web) (deployment ecs-svc/1000000000000000001) deployment completed.
        (service web) has reached a steady state."#]]);
    assert_eq!(last.waiting_for, []);
    let (status, _) = &world.service_deployments[&deployment_id(1)];
    assert_eq!(*status, ServiceDeploymentStatus::Successful);
    assert_eq!(world.view.last_completed.map(|last| last.revision), Some(revision_id(1)));
}

#[test]
fn an_update_says_started_stopped_completed_steady() {
    let mut world = World::running(2, 100, 200);
    world.update();
    world.calm();
    world.messages_are(&expect![[r#"
        (service web) has started 2 tasks: (task 00000000000000000000000000000005) (task 00000000000000000000000000000006).
        (service web) has stopped 2 running tasks: (task 00000000000000000000000000000002) (task 00000000000000000000000000000003).
        (service web) (deployment ecs-svc/1000000000000000004) deployment completed.
        (service web) has reached a steady state."#]]);
    assert_eq!(world.view.deployments.len(), 1);
}

#[test]
fn an_empty_service_is_complete_at_once() {
    let mut world = World::new(0, 100, 200);
    world.round();
    assert_eq!(world.primary().rollout, RolloutState::Completed);
}

#[test]
fn steady_is_repeated_after_six_hours_only() {
    let mut world = World::running(1, 100, 200);
    let quiet = world.round();
    assert_eq!(quiet.events, []);
    let look = quiet.next_look.expect("a look at the repetition");
    world.now = look;
    assert_eq!(world.round().events, [ServiceEvent::SteadyState]);
}

#[test]
fn a_task_that_ended_after_a_while_is_replaced_at_once_however_often() {
    let mut world = World::running(1, 100, 200);
    for _ in 0..20 {
        world.now = world.now + world.view.settings.short_life;
        let id = world.staying()[0];
        world.end(id, StoppedBecause::EssentialExited);
        assert_eq!(world.round().starts.len(), 1);
        world.run_all();
    }
    assert_eq!(world.primary().failed_tasks, 0);
}

#[test]
fn an_alarm_ends_a_deployment_unless_it_rang_before() {
    for (ignored, fails) in [(false, true), (true, false)] {
        let mut world = World::running(1, 100, 200);
        world.view.alarms = Alarms { enable: true, rollback: true, triggered: vec!["errors".into()] };
        let id = world.update();
        world.primary_mut().alarms_ignored = ignored;
        world.round();
        assert_eq!(world.primary().rolled_back_from == Some(id), fails);
    }
}

#[test]
fn the_bake_time_keeps_a_deployment_in_progress() {
    let mut world = World::running(1, 100, 200);
    world.view.bake_time = secs(300);
    world.update();
    for _ in 0..6 {
        world.round();
        world.finish_all();
        world.run_all();
        world.now = world.now + secs(40);
    }
    assert_eq!(world.picture(), "n1");
    assert_eq!(world.primary().rollout, RolloutState::InProgress);
    assert_eq!(world.view.deployments.len(), 2, "the old one stays listed for a rollback");
    let waiting = world.plan().waiting_for;
    assert!(matches!(waiting[..], [Waiting::BakeTime { .. }]), "{waiting:?}");
    world.now = world.plan().next_look.expect("the end of the bake time");
    world.round();
    assert_eq!(world.primary().rollout, RolloutState::Completed);
    assert_eq!(world.view.deployments.len(), 1);
}

#[test]
fn a_stopped_service_deployment_aborts_or_rolls_back() {
    use ServiceDeploymentStatus as Status;
    for (stop, status) in
        [(StopType::Abort, Status::Stopped), (StopType::Rollback, Status::RollbackSuccessful)]
    {
        let mut world = World::running(2, 100, 200);
        let id = world.update();
        world.round();
        world.primary_mut().stop_requested = Some(stop);
        world.calm();
        assert_eq!(world.service_deployments[&id].0, status);
        assert_eq!(world.healthy(), 2);
    }
}

#[test]
fn a_newer_deployment_supersedes() {
    let mut world = World::running(2, 100, 200);
    let first = world.update();
    world.round();
    let second = world.update();
    world.calm();
    assert_eq!(world.picture(), "n2");
    let (status, reason) = &world.service_deployments[&first];
    assert_eq!(*status, ServiceDeploymentStatus::Stopped);
    assert!(reason.as_ref().is_some_and(|it| it.contains(&second.to_string())), "{reason:?}");
    assert_eq!(world.service_deployments[&second].0, ServiceDeploymentStatus::Successful);
}

#[test]
fn scale_in_keeps_the_zones_balanced() {
    let mut world = World::running(6, 100, 200);
    world.desire(3);
    let plan = world.round();
    assert_eq!(plan.stops.len(), 3);
    let stop = &plan.stops[0];
    assert_eq!(stop.reason.code(), StopCode::ServiceSchedulerInitiated);
    expect!["Scaling activity initiated by (deployment ecs-svc/1000000000000000001)"]
        .assert_eq(&stop.reason.text("web", None));
    world.calm();
    let mut zones: Vec<_> = world.view.tasks.iter().map(|task| task.zone.clone()).collect();
    zones.sort();
    zones.dedup();
    assert_eq!(zones.len(), 3);
}

#[test]
fn an_unhealthy_task_is_replaced_first_where_there_is_room() {
    let mut world = World::new(2, 100, 200);
    world.checked = true;
    world.calm();
    let id = world.staying()[0];
    world.task_mut(id).container_health = Some(HealthStatus::Unhealthy);
    let plan = world.round();
    assert_eq!((plan.starts.len(), plan.stops.len()), (1, 0));
    world.calm();
    assert_eq!(world.healthy(), 2);
    assert_eq!(world.stopped_for[&id].text("web", None), "Task failed container health checks");
}

#[test]
fn without_room_unhealthy_tasks_go_one_after_the_other() {
    let mut world = World::new(3, 100, 100);
    world.checked = true;
    world.calm();
    for id in world.staying() {
        world.task_mut(id).container_health = Some(HealthStatus::Unhealthy);
    }
    assert_eq!(world.round().stops.len(), 1);
    assert_eq!(world.round().stops.len(), 0, "the first has not stopped yet");
    world.finish_all();
    assert_eq!(world.round().starts.len(), 1);
    assert_eq!(world.round().stops.len(), 0, "its replacement does not run yet");
    world.run_all();
    assert_eq!(world.round().stops.len(), 1);
}

#[test]
fn unhealthy_results_do_not_count_within_the_grace_period() {
    let mut world = World::new(1, 100, 200);
    world.checked = true;
    world.view.grace_period = secs(60);
    world.round();
    world.run_all();
    let id = world.staying()[0];
    world.task_mut(id).container_health = Some(HealthStatus::Unhealthy);
    let plan = world.plan();
    assert!(plan.stops.is_empty() && plan.starts.is_empty());
    assert_eq!(plan.next_look, Some(world.now + secs(60)));
    world.now = world.now + secs(60);
    assert_eq!(world.plan().starts.len(), 1);
}

#[test]
fn a_deployment_that_waits_for_protected_tasks_says_so() {
    let mut world = World::running(2, 100, 200);
    let id = world.staying()[0];
    world.task_mut(id).protected_until = Some(world.now + secs(3600));
    world.messages.clear();
    world.update();
    let blocked = world.calm();
    assert_eq!(world.picture(), "o1n2");
    assert!(blocked.memory.said.contains_key(&memory::Topic::Protection));
    let said = world.messages.iter().filter(|text| text.contains("The number of protected tasks")).count();
    assert_eq!(said, 1, "{:?}", world.messages);
    world.task_mut(id).protected_until = None;
    world.calm();
    assert_eq!((world.picture().as_str(), world.primary().rollout), ("n2", RolloutState::Completed));
}

#[test]
fn protected_tasks_are_not_scaled_in_until_protection_ends() {
    let mut world = World::running(3, 100, 200);
    let until = world.now + secs(60);
    for id in world.staying() {
        world.task_mut(id).protected_until = Some(until);
    }
    world.desire(1);
    let plan = world.round();
    assert!(plan.stops.is_empty());
    assert_eq!(plan.next_look, Some(until));
    expect!["(service web) was unable to reach steady state because task set (ecs-svc/1000000000000000001) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks"]
        .assert_eq(&world.messages.join("\n"));
    world.now = until;
    assert_eq!(world.round().stops.len(), 2);
}

#[test]
fn a_fixed_port_makes_room_as_far_as_the_minimum_allows() {
    let mut world = World::running(1, 0, 200);
    world.capacity = 1;
    world.update();
    world.round();
    assert_eq!(world.picture(), "o1");
    let plan = world.round();
    assert_eq!(plan.stops.len(), 1, "{:?}", plan.waiting_for);
    world.calm();
    assert_eq!(world.picture(), "n1");
    assert!(world.messages.iter().any(|it| it.contains("was unable to place a task because")));
}

#[test]
fn zero_desired_tasks_stop_everything() {
    let mut world = World::running(3, 100, 100);
    world.desire(0);
    assert_eq!(world.round().stops.len(), 3);
    world.calm();
    assert_eq!(world.view.tasks.len(), 0);
}

#[test]
fn a_deleted_service_becomes_inactive_when_its_tasks_are_gone() {
    let mut world = World::running(2, 100, 200);
    let id = world.staying()[0];
    world.task_mut(id).protected_until = Some(world.now + secs(600));
    world.view.status = ServiceStatus::Draining;
    let plan = world.round();
    assert_eq!(plan.stops.len(), 2, "deletion does not mind protection");
    assert!(!plan.becomes_inactive);
    for id in world.ids(|_| true) {
        world.task_mut(id).last_status = TaskStatus::Stopping;
    }
    world.round();
    assert_eq!(world.view.status, ServiceStatus::Inactive);
    assert_eq!(world.view.deployments, []);
    assert_eq!(world.plan().next_look, None);
}

#[test]
fn zones_are_evened_out_by_starting_first() {
    let mut world = World::new(4, 100, 200);
    world.instances[1].draining = true;
    world.instances[2].draining = true;
    world.calm();
    world.instances[1].draining = false;
    world.instances[2].draining = false;
    world.messages.clear();
    world.list_zones();
    world.view.zone_rebalancing = true;
    for _ in 0..40 {
        let plan = world.round();
        world.check_bounds(&world.plan());
        assert!(world.healthy() >= 4);
        world.run_all();
        world.finish_all();
        if plan.starts.is_empty() && plan.stops.is_empty() {
            world.now = world.now + secs(40);
        }
    }
    let count = |zone: &str| world.ids(|task| task.zone.as_deref() == Some(zone)).len();
    let mut counts = [count("z1"), count("z2"), count("z3")];
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2]);
    world.messages.retain(|it| it.contains("AZ"));
    world.messages_are(&expect![[r#"
            (service web) is not AZ balanced with 4 tasks in z1, 0 in z2, and 0 in z3. AZ Rebalancing in progress.
            (service web) has started 1 tasks in z2 to AZ Rebalance: 00000000000000000000000000000006.
            (service web) has stopped 1 running tasks in z1 due to AZ rebalancing: 00000000000000000000000000000005
            (service web) is not AZ balanced with 3 tasks in z1, 1 in z2, and 0 in z3. AZ Rebalancing in progress.
            (service web) has started 1 tasks in z3 to AZ Rebalance: 00000000000000000000000000000007.
            (service web) has stopped 1 running tasks in z1 due to AZ rebalancing: 00000000000000000000000000000004
            (service web) is AZ balanced with 2 tasks in z1, 1 tasks in z2, and 1 tasks in z3."#]]);
}

#[test]
fn a_large_service_starts_in_rounds() {
    let mut world = World::new(250, 100, 200);
    let starts: Vec<u32> =
        (0..4).map(|_| world.round().starts.iter().map(|start| start.count).sum()).collect();
    assert_eq!(starts, [100, 100, 50, 0]);
}

fn task_set(n: u64, percent: u32) -> TaskSetView {
    TaskSetView {
        id: deployment_id(n),
        status: TaskSetStatus::Active,
        scale_basis_points: percent * 100,
        computed_desired_count: 0,
        stability: Stability::Stabilizing,
        throttle: Throttle::default(),
    }
}

#[test]
fn task_sets_hold_their_share_each() {
    let mut world = World::new(10, 100, 200);
    world.view.deployments.clear();
    world.view.scheduling = Scheduling::TaskSets { sets: vec![task_set(50, 100), task_set(51, 25)] };
    world.calm_sets();
    let count = |world: &World, n| world.ids(|task| task.deployment == deployment_id(n)).len();
    assert_eq!((count(&world, 50), count(&world, 51)), (10, 3));
    let Scheduling::TaskSets { sets } = &mut world.view.scheduling else { unreachable!("set above") };
    assert!(sets.iter().all(|set| set.stability == Stability::SteadyState));
    sets[0].status = TaskSetStatus::Draining;
    world.calm_sets();
    assert_eq!((count(&world, 50), count(&world, 51)), (0, 3));
    let Scheduling::TaskSets { sets } = &world.view.scheduling else { unreachable!("set above") };
    assert_eq!(sets.len(), 1);
    assert!(
        world.messages.contains(
            &"(service web) has updated computedDesiredCount for taskSet ecs-svc/1000000000000000051 to 3."
                .to_owned()
        )
    );
}

fn daemon(min: u32) -> World {
    let mut world = World::new(0, min, 100);
    world.view.scheduling = Scheduling::Daemon { instances: Vec::new() };
    world.list_instances();
    world.calm();
    world
}

#[test]
fn a_daemon_has_one_task_on_each_instance() {
    let mut world = daemon(0);
    assert_eq!(world.plan().daemon_desired_count, Some(3));
    let mut on: Vec<_> = world.view.tasks.iter().filter_map(|task| task.instance).collect();
    on.sort_unstable();
    assert_eq!(on, [instance_id(1), instance_id(2), instance_id(3)]);
    world.drain(0, true);
    world.list_instances();
    world.calm();
    assert_eq!(world.view.tasks.len(), 2, "not replaced elsewhere");
}

#[test]
fn a_daemon_update_keeps_its_minimum() {
    for (min, at_once) in [(0, 3), (50, 1), (67, 0), (66, 1)] {
        let mut world = daemon(min);
        world.update();
        let plan = world.round();
        assert_eq!(plan.stops.len(), at_once, "minimumHealthyPercent {min}");
        assert_eq!(plan.starts.len(), 0, "the old task must be STOPPED first");
        world.calm();
        let expected = if at_once > 0 { "n3" } else { "o3" };
        assert_eq!(world.picture(), expected);
    }
}

#[test]
fn a_daemon_task_leaves_an_instance_that_no_longer_fits() {
    let mut world = daemon(0);
    let Scheduling::Daemon { instances } = &mut world.view.scheduling else { unreachable!("a daemon") };
    instances[0].eligible = false;
    let plan = world.round();
    assert_eq!(plan.stops.len(), 1);
    assert!(matches!(plan.stops[0].reason, StopReason::ConstraintViolated(_)));
}

#[test]
fn a_full_instance_makes_a_daemon_wait() {
    let mut world = daemon(0);
    let id = world.view.tasks[0].instance.expect("placed");
    let task = world.view.tasks[0].id;
    world.end(task, StoppedBecause::EssentialExited);
    let Scheduling::Daemon { instances } = &mut world.view.scheduling else { unreachable!("a daemon") };
    let full = PlacementRefusal::Closest { instance: id, miss: ClosestMiss::Cpu };
    for instance in instances.iter_mut().filter(|it| it.id == id) {
        instance.refusal = Some(full.clone());
    }
    let plan = world.round();
    assert_eq!(plan.waiting_for, [Waiting::InstanceFull { instance: id, reason: full }]);
    assert_eq!(plan.events.len(), 1);
}

#[test]
fn a_daemon_pauses_after_a_refusal_that_nobody_expected() {
    let mut world = daemon(0);
    let id = world.view.tasks[0].instance.expect("placed");
    let task = world.view.tasks[0].id;
    world.end(task, StoppedBecause::EssentialExited);
    let reason = PlacementRefusal::Closest { instance: id, miss: ClosestMiss::Memory };
    let deployment = world.view.deployments[0].id;
    world.view.refusals.push(longshore_rollout::Refusal {
        deployment,
        at: world.now,
        attempts: 1,
        uncounted: 1,
        reason,
        room_may_help: true,
        capacity_changed: false,
    });
    let plan = world.round();
    assert!(plan.starts.is_empty(), "{:?}", plan.starts);
    assert!(plan.next_look.is_some_and(|at| at > world.now));
}
