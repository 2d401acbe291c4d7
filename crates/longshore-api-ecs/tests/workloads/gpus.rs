//! Which GPUs a task has is its own for life.

use longshore_state::State;
use longshore_tables_ecs::{EcsState, EcsTx, record};
use serde_json::json;

use crate::world::{CLUSTER, World};

/// An instance with two GPUs, and a definition that needs one.
fn world() -> World {
    let (world, instances) = World::with_instances(1);
    set_gpus(&world, instances[0], &["gpu-a", "gpu-b"]);
    world.register(json!({
        "family": "learn",
        "containerDefinitions": [{
            "name": "main", "image": "busybox", "memory": 10,
            "resourceRequirements": [{"type": "GPU", "value": "1"}],
        }],
    }));
    world
}

/// Writes the GPUs of a task's record anew; `None` as before they were noted.
fn note_gpus(world: &World, arn: &str, gpus: Option<&[&str]>) {
    let at = world.at();
    let tasks = world.tasks();
    let task = tasks.iter().find(|task| arn.ends_with(&task.id.to_string())).expect("the task");
    let mut task = record::Task::clone(task);
    task.gpus = gpus.map(|gpus| Box::new(record::Gpus(gpus.iter().map(|&gpu| gpu.into()).collect())));
    let (done, _) = world
        .db
        .submit(|tx| {
            // Anew, as at a load: what a task has does not change while it has its place.
            tx.delete_task(&at, task.id);
            tx.put_task(&at, task);
            Ok::<_, ()>(())
        })
        .expect("the database is well");
    done.expect("nothing refuses it");
}

fn set_gpus(world: &World, instance: longshore_base::InstanceId, gpus: &[&str]) {
    let at = world.at();
    let (done, _) = world
        .db
        .submit(|tx| {
            let entry = tx.ecs().cluster(&at).and_then(|cluster| cluster.instance(instance));
            let mut record = record::Instance::clone(&entry.expect("the instance").record);
            record.gpus = gpus.iter().map(|&gpu| gpu.into()).collect();
            tx.put_instance(&at, record);
            Ok::<_, ()>(())
        })
        .expect("the database is well");
    done.expect("nothing refuses it");
}

/// The ids that DescribeTasks shows, and those that the agent is told.
fn gpus_of(world: &World, arn: &str) -> (String, Vec<String>) {
    let answer = world.ok("DescribeTasks", json!({"cluster": CLUSTER, "tasks": [arn]}));
    let shown = answer["tasks"][0]["containers"][0]["gpuIds"].to_string();
    let tasks = world.tasks();
    let task = tasks.iter().find(|task| arn.ends_with(&task.id.to_string())).expect("the task");
    let told = world.db.peek(|state| {
        longshore_controllers::payload::payload(
            state,
            &world.at(),
            task,
            world.now(),
            longshore_base::Seed::new(0),
        )
    });
    (shown, told.expect("a payload").associations.into_iter().map(|own| own.name).collect())
}

fn run(world: &World) -> String {
    let answer = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "learn"}));
    answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("not placed: {answer}")).to_owned()
}

#[test]
fn a_task_keeps_its_gpus_over_a_restart_and_a_registration() {
    let world = world();
    let (first, second) = (run(&world), run(&world));
    world.settle();
    let [a, b] = ["gpu-a", "gpu-b"].map(|gpu| (format!("[\"{gpu}\"]"), vec![gpu.to_owned()]));
    assert_eq!((gpus_of(&world, &first), gpus_of(&world, &second)), (a.clone(), b.clone()));
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": first}));
    world.settle();
    // `check` reads all records into new tables, as a restart does, and compares what is left of the instance.
    assert_eq!(world.db.peek(State::check), Vec::<String>::new());
    let instance = world.tasks()[0].instance.expect("it was placed");
    set_gpus(&world, instance, &["gpu-b", "gpu-a"]);
    assert_eq!(gpus_of(&world, &second), b);
    assert_eq!(world.db.peek(State::check), Vec::<String>::new());
    let third = run(&world);
    assert_eq!(gpus_of(&world, &third), a, "the one that is free");
    assert_eq!(gpus_of(&world, &first).0, a.0, "a task that has ended still shows what it had");
}

/// At a load it was taken to have the first that was free, which a later record may name; and a registration with another
/// list gave its GPU to the next task.
#[test]
fn a_task_from_before_gpus_were_noted_holds_as_many() {
    let world = world();
    let (first, second) = (run(&world), run(&world));
    world.settle();
    note_gpus(&world, &first, None);
    note_gpus(&world, &second, Some(&["gpu-a"]));
    let instance = world.tasks()[0].instance.expect("it was placed");
    for gpus in [&["gpu-a", "gpu-b"], &["gpu-b", "gpu-a"], &["gpu-c", "gpu-a"]] {
        set_gpus(&world, instance, gpus);
        assert_eq!(world.db.peek(State::check), Vec::<String>::new());
        let answer = world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "learn"}));
        assert_eq!(
            (&answer["tasks"], &answer["failures"][0]["reason"]),
            (&json!([]), &json!("RESOURCE:GPU"))
        );
    }
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": first}));
    world.settle();
    assert_eq!(gpus_of(&world, &run(&world)).1, ["gpu-c"]);
    world.check();
}
