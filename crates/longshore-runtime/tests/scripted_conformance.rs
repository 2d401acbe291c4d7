//! The scripted runtime passes the suite that real runtimes pass.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{Port, Seed};
use longshore_engine::input::HealthStatus;
use longshore_engine::spec::ContainerSpec;
use longshore_runtime::conformance::{self, Behaviour, Fixture};
use longshore_runtime::scripted::{ImageScript, ScriptedEngine};
use longshore_runtime::{ErrorKind, Runtime, RuntimeError};

struct Scripted(ScriptedEngine);

fn image(behaviour: Behaviour) -> String {
    format!("scripted/{behaviour:?}:1").to_lowercase()
}

impl Fixture for Scripted {
    fn runtime(&self) -> &dyn Runtime {
        &self.0
    }

    fn shape(&self, spec: &mut ContainerSpec, behaviour: Behaviour) {
        spec.image = image(behaviour);
    }

    fn run_id(&self) -> &str {
        "scripted"
    }

    fn free_port(&self) -> Port {
        Port(32768)
    }
}

#[tokio::test(start_paused = true)]
async fn conformance() {
    let soon = Duration::from_millis(500);
    let scripts = BTreeMap::from([
        (Behaviour::Runs, ImageScript::default()),
        (Behaviour::IgnoresTerm, ImageScript { ignores_term: true, ..ImageScript::default() }),
        (Behaviour::Exits, ImageScript::exits(Duration::ZERO, 3)),
        (Behaviour::OutOfMemory, ImageScript { out_of_memory: true, ..ImageScript::exits(soon, 137) }),
        (
            Behaviour::Healthy,
            ImageScript { health: vec![(soon, HealthStatus::Healthy)], ..ImageScript::default() },
        ),
        (
            Behaviour::Unhealthy,
            ImageScript { health: vec![(soon, HealthStatus::Unhealthy)], ..ImageScript::default() },
        ),
        (
            Behaviour::CannotStart,
            ImageScript {
                start_failure: Some(RuntimeError::new(ErrorKind::Refused, "exec: no such file")),
                ..ImageScript::default()
            },
        ),
    ]);
    let engine = ScriptedEngine::new(Seed::new(1));
    engine.with_world(|world, _| {
        world.fallback(None);
        for (behaviour, script) in scripts {
            world.script(&image(behaviour), script);
        }
    });
    conformance::run(&Scripted(engine)).await;
}
