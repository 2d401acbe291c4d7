//! What is published: health, metrics, the state of the instance.

use super::*;

#[test]
fn a_changed_health_is_told_at_once() {
    let mut rig = Rig::connected();
    rig.runtime.world.script(
        "sick",
        ImageScript {
            health: vec![(5 * SECOND, HealthStatus::Healthy), (30 * SECOND, HealthStatus::Unhealthy)],
            ..ImageScript::default()
        },
    );
    let mut payload = Rig::payload("a", "sick");
    payload.containers[0].health_check_type = "docker".into();
    payload.containers[0].docker_config = Some(DockerConfig {
        version: "1.18".into(),
        config: r#"{"Healthcheck":{"Test":["CMD","true"]}}"#.into(),
        host_config: "{}".into(),
    });
    rig.place("a", payload);
    rig.run(60 * SECOND);
    let times = |wanted| {
        rig.published.iter().find_map(|message| match message {
            FromTelemetry::Health(health) => {
                let container = &health.tasks[0].containers[0];
                (container.health_status == wanted)
                    .then(|| health.timestamp - container.status_since.expect("it is known"))
            }
            _ => None,
        })
    };
    for status in
        [longshore_link::message::HealthStatus::Healthy, longshore_link::message::HealthStatus::Unhealthy]
    {
        let late = times(status).expect("it was published");
        assert!(late < 0.5, "{status:?} was told {late} s late");
    }
}

#[test]
fn a_runtime_that_goes_away_is_told_within_a_round() {
    let mut rig = Rig::connected();
    rig.run(30 * SECOND);
    for (is_well, wanted) in [(false, InstanceStatusValue::Impaired), (true, InstanceStatusValue::Ok)] {
        rig.published.clear();
        rig.is_runtime_well = is_well;
        rig.run(20 * SECOND);
        let last = rig.published.iter().rev().find_map(|message| match message {
            FromTelemetry::InstanceStatus(status) => Some(status.statuses[0].status),
            _ => None,
        });
        assert_eq!(last, Some(wanted));
    }
}

#[test]
fn telemetry_comes_every_twenty_seconds() {
    let mut rig = Rig::connected();
    let is_idle = rig.published.iter().any(|message| match message {
        FromTelemetry::Metrics(metrics) => metrics.metadata.idle == Some(true),
        _ => false,
    });
    assert!(is_idle, "the first message comes at once");
    rig.place("a", Rig::payload("a", "bb"));
    rig.published.clear();
    rig.run(60 * SECOND);
    let statuses = rig.published.iter().filter(|m| matches!(m, FromTelemetry::InstanceStatus(_))).count();
    assert_eq!(statuses, 3);
    let metrics = rig.published.iter().rev().find_map(|message| match message {
        FromTelemetry::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    let task = &metrics.expect("published").task_metrics[0];
    assert_eq!(task.task_arn, Rig::arn("a"));
    assert!(task.container_metrics[0].memory_stats_set.is_some_and(|set| set.sample_count >= 2));
}
