//! Any calls in any order: a refused one changes nothing, no instance is promised more than it has, and
//! the indexes stay right.

use longshore_tables_ecs::EcsState;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Call(&'static str, Value),
    /// About the set at this place, of those of `x0` and `x1`.
    Set(&'static str, usize, Value),
    /// Of the tasks, the one at this place.
    Stop(usize),
    ReportRunning(usize),
    ReportStopped(usize),
    Connect(usize, bool),
    Reconcile,
}

fn family() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["small", "large", "port", "nope", "small:2", "small:x"])
}

fn step() -> impl Strategy<Value = Step> {
    let run = (family(), 0..12_i32, prop::option::of(0..3_u8)).prop_map(|(family, count, token)| {
        let token = token.map(|n| format!("t{n}"));
        Step::Call(
            "RunTask",
            json!({
                "cluster": CLUSTER, "taskDefinition": family, "count": count, "clientToken": token,
            }),
        )
    });
    let create = (family(), -1..6_i32, 0..3_u8, any::<bool>()).prop_map(|(family, count, name, daemon)| {
        Step::Call(
            "CreateService",
            json!({
                "cluster": CLUSTER, "serviceName": format!("s{name}"), "taskDefinition": family,
                "desiredCount": if daemon { Value::Null } else { json!(count) },
                "schedulingStrategy": if daemon { "DAEMON" } else { "REPLICA" },
            }),
        )
    });
    let update = (0..3_u8, prop::option::of(family()), prop::option::of(-1..6_i32), any::<bool>());
    let update = update.prop_map(|(name, family, count, force)| {
        Step::Call(
            "UpdateService",
            json!({
                "cluster": CLUSTER, "service": format!("s{name}"), "taskDefinition": family,
                "desiredCount": count, "forceNewDeployment": force,
            }),
        )
    });
    let delete = (0..3_u8, any::<bool>()).prop_map(|(name, force)| {
        Step::Call(
            "DeleteService",
            json!({
                "cluster": CLUSTER, "service": format!("s{name}"), "force": force,
            }),
        )
    });
    let external = (-1..6_i32, 0..2_u8).prop_map(|(count, name)| {
        Step::Call(
            "CreateService",
            json!({
                "cluster": CLUSTER, "serviceName": format!("x{name}"), "desiredCount": count,
                "deploymentController": {"type": "EXTERNAL"},
            }),
        )
    });
    let set = (family(), 0..2_u8, -10..120_i32).prop_map(|(family, name, scale)| {
        Step::Call(
            "CreateTaskSet",
            json!({
                "cluster": CLUSTER, "service": format!("x{name}"), "taskDefinition": family,
                "scale": {"value": scale, "unit": "PERCENT"},
            }),
        )
    });
    let rescale = (0..2_u8, -1..6_i32).prop_map(|(name, count)| {
        Step::Call(
            "UpdateService",
            json!({"cluster": CLUSTER, "service": format!("x{name}"), "desiredCount": count}),
        )
    });
    let end = (0..2_u8, any::<bool>()).prop_map(|(name, force)| {
        Step::Call(
            "DeleteService",
            json!({"cluster": CLUSTER, "service": format!("x{name}"), "force": force}),
        )
    });
    let of_set = prop_oneof![
        3 => (-10..120_i32).prop_map(|scale| ("UpdateTaskSet", json!({"scale": {"value": scale}}))),
        2 => Just(("UpdateServicePrimaryTaskSet", json!({}))),
        1 => any::<bool>().prop_map(|force| ("DeleteTaskSet", json!({"force": force}))),
    ];
    let of_set = (of_set, any::<prop::sample::Index>())
        .prop_map(|((operation, input), at)| Step::Set(operation, at.index(16), input));
    prop_oneof![
        2 => external,
        2 => set,
        3 => of_set,
        1 => rescale,
        1 => end,
        3 => run,
        2 => create,
        2 => update,
        1 => delete,
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Stop(at.index(64))),
        3 => any::<prop::sample::Index>().prop_map(|at| Step::ReportRunning(at.index(64))),
        3 => any::<prop::sample::Index>().prop_map(|at| Step::ReportStopped(at.index(64))),
        1 => (0..3_usize, any::<bool>()).prop_map(|(at, open)| Step::Connect(at, open)),
        3 => Just(Step::Reconcile),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_whatever_is_called(steps in prop::collection::vec(step(), 1..40)) {
        let (world, instances) = World::with_instances(3);
        world.register_plain("small", 100, 100);
        world.register_plain("large", 700, 300);
        world.register(json!({
            "family": "port",
            "containerDefinitions": [{
                "name": "main", "image": "busybox", "memory": 10,
                "portMappings": [{"containerPort": 80, "hostPort": 8080}],
            }],
        }));
        for step in steps {
            let tasks = world.tasks();
            let task = |at: usize| tasks.get(at % tasks.len().max(1));
            match &step {
                Step::Call(operation, input) => call(&world, operation, input),
                Step::Set(operation, at, input) => {
                    let sets: Vec<_> = task_sets(&world);
                    if let Some((service, id)) = sets.get(at % sets.len().max(1)) {
                        let mut input = input.clone();
                        input["cluster"] = json!(CLUSTER);
                        input["service"] = json!(service);
                        input["taskSet"] = json!(id);
                        if *operation == "UpdateServicePrimaryTaskSet" {
                            input["primaryTaskSet"] = input["taskSet"].take();
                        }
                        call(&world, operation, &input);
                    }
                }
                Step::Stop(at) => {
                    if let Some(task) = task(*at) {
                        let input = json!({"cluster": CLUSTER, "task": task.id.to_string()});
                        call(&world, "StopTask", &input);
                    }
                }
                Step::ReportRunning(at) => {
                    if let Some(task) = task(*at) {
                        world.report_running(task);
                    }
                }
                Step::ReportStopped(at) => {
                    if let Some(task) = task(*at) {
                        world.report_stopped(task, 1);
                    }
                }
                Step::Connect(at, open) => world.connect(instances[*at], *open),
                Step::Reconcile => world.reconcile(),
            }
            world.check();
        }
    }
}

/// Service and id of every set.
fn task_sets(world: &World) -> Vec<(String, String)> {
    let at = world.at();
    world.db.peek(|state| {
        let services = state.ecs().cluster(&at).expect("the cluster").services();
        let ids = services.flat_map(|(_, entry)| entry.task_sets().values());
        ids.map(|set| (set.service.to_string(), set.id.to_string())).collect()
    })
}

fn call(world: &World, operation: &str, input: &Value) {
    let records = || world.db.peek(|state| format!("{:?}", state.records()));
    let before = records();
    let (status, body) = world.call(operation, input);
    match status {
        200 => {}
        400 => assert_eq!(records(), before, "{operation} {input} was refused with {body}"),
        _ => panic!("{operation} {input}: {status} {body}"),
    }
}
