//! The controllers' shell. Everywhere else they are called by hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use longshore_controllers::driver::{self, Pulse};
use longshore_state::Stopped;
use longshore_tables_ecs::EcsState;
use longshore_telemetry::Metrics;
use serde_json::json;

use crate::world::{CLUSTER, World};

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it happens in time") })
}

async fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_service_gets_its_tasks() {
    let (world, _) = World::with_instances(1);
    world.register_plain("web", 10, 10);
    let metrics = Metrics::new();
    let run = || driver::run(world.db.clone(), Default::default(), metrics.clone(), Pulse::default());
    let create = |name: &str| {
        let body = json!({
            "cluster": CLUSTER, "serviceName": name, "taskDefinition": "web", "desiredCount": 2,
        });
        world.ok("CreateService", body);
    };
    let pending = || {
        let counted =
            world.db.peek(|state| state.ecs().cluster(&world.at()).map(|cluster| cluster.pending()));
        counted.expect("the cluster")
    };
    // One that is there before it runs, and one that comes after it was made and before its first turn.
    create("early");
    let first = run();
    create("late");
    assert_eq!(pending(), 0, "nobody has looked yet");
    block_on(async {
        tokio::select! {
            stopped = first => panic!("{stopped}"),
            () = until(|| pending() == 4) => {}
        }
    });
    // Dropped, it looks at nothing more; the next one begins with everything, and counts it.
    create("later");
    assert_eq!(pending(), 4);
    let counted = |line: &str| metrics.encode().lines().any(|own| own == line);
    block_on(async {
        tokio::select! {
            stopped = run() => panic!("{stopped}"),
            () = until(|| counted(r#"longshore_tasks{status="PENDING"} 6"#)) => {}
        }
    });
    assert!(counted(r#"longshore_services{status="ACTIVE"} 3"#), "{}", metrics.encode());
    assert!(counted(r#"longshore_container_instances{status="ACTIVE"} 1"#), "{}", metrics.encode());
    world.check();
}

#[test]
fn it_ends_with_the_database_and_says_why() {
    let (world, _) = World::with_instances(1);
    let run = driver::run(world.db.clone(), Default::default(), Metrics::new(), Pulse::default());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = world.db.submit(|_| -> Result<(), ()> { panic!("on purpose") });
    }));
    assert!(panicked.is_err());
    let stopped = block_on(run);
    assert!(matches!(&stopped, Stopped::Panicked(why) if why.contains("on purpose")), "{stopped}");
}
