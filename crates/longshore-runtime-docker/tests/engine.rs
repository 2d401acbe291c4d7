//! Against a real engine, if one answers: the conformance suite, and what only Docker does.
//!
//! Needs the images of `scripts/make-test-images`. Where there is no engine or no image, each test says that it is
//! skipped and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use longshore_base::{Port, Protocol};
use longshore_engine::input::{Observation, ObservedStatus};
use longshore_engine::spec::{ContainerSpec, Environment, NetworkMode, NetworkPlace, Opaque, PortBinding};
use longshore_runtime::conformance::{self, Behaviour, Fixture};
use longshore_runtime::port::{LABEL_CONTAINER, LABEL_TASK, PullRequest};
use longshore_runtime::{ErrorKind, LabelFilter, Runtime, RuntimeEvent};
use longshore_runtime_docker::{DockerHost, DockerRuntime};

const WEB: &str = "longshore/web:1";
const LABEL_RUN: &str = "longshore.test-run";

/// One test's view of the engine. What carries its label is removed at the end.
struct Engine {
    docker: DockerRuntime,
    run: String,
    ports: AtomicU16,
}

/// `None`, and a line that says why, if there is nothing to test against.
async fn engine(test: &str) -> Option<Engine> {
    let docker = match DockerRuntime::from_env() {
        Ok(docker) => docker,
        Err(error) => {
            println!("SKIPPED {test}: {error}");
            return None;
        }
    };
    if let Err(error) = docker.ping().await {
        println!("SKIPPED {test}: no Docker engine answers: {error}");
        return None;
    }
    if let Err(error) = docker.image_inspect(WEB).await {
        println!("SKIPPED {test}: {error} (run scripts/make-test-images)");
        return None;
    }
    let run = format!("{test}-{}", std::process::id());
    Some(Engine { docker, run, ports: AtomicU16::new(0) })
}

impl Engine {
    fn filter(&self) -> LabelFilter {
        LabelFilter::new([format!("{LABEL_RUN}={}", self.run)])
    }

    fn spec(&self, name: &str, command: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: format!("ecs-test-1-{name}-{}", self.run),
            image: WEB.to_owned(),
            entry_point: None,
            command: Some(command.iter().map(|&word| word.to_owned()).collect()),
            environment: Environment::default(),
            environment_defaults: Environment::default(),
            cpu_shares: 2,
            memory_bytes: Some(64 << 20),
            ports: Vec::new(),
            bind_address: None,
            binds: Vec::new(),
            volumes_from: Vec::new(),
            links: Vec::new(),
            labels: BTreeMap::from([
                (LABEL_TASK.to_owned(), format!("arn:aws:ecs:us-east-1:111122223333:task/c/{}", self.run)),
                (LABEL_CONTAINER.to_owned(), name.to_owned()),
                (LABEL_RUN.to_owned(), self.run.clone()),
            ]),
            network_mode: NetworkMode::None,
            network: NetworkPlace::ByMode,
            pid_mode: None,
            ipc_mode: None,
            cgroup_parent: None,
            log_secrets: Vec::new(),
            stop_timeout: Duration::from_secs(30),
            docker_config: None,
            docker_host_config: None,
        }
    }

    async fn clean(&self) {
        for found in self.docker.container_list(&self.filter()).await.expect("a list to clean up") {
            self.docker.container_remove(&found.observation.runtime_id).await.expect("removed");
        }
    }

    /// Runs a container to its end, and gives the observation of that end.
    async fn run(&self, spec: &ContainerSpec) -> Observation {
        let mut events = self.docker.events(&self.filter());
        let id = self.docker.container_create(spec).await.expect("created");
        self.docker.container_start(&id).await.expect("started");
        loop {
            let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await;
            if let RuntimeEvent::Observed { observation, .. } = event.expect("in time").expect("endless")
                && observation.runtime_id == id
                && matches!(observation.status, ObservedStatus::Exited { .. })
            {
                return observation;
            }
        }
    }
}

impl Fixture for Engine {
    fn runtime(&self) -> &dyn Runtime {
        &self.docker
    }

    fn shape(&self, spec: &mut ContainerSpec, behaviour: Behaviour) {
        let words = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
        let health = |command: &str| {
            Some(Opaque(format!(
                r#"{{"Healthcheck": {{"Test": ["CMD", "/web", "exit", "{command}"],
                    "Interval": 200000000, "Timeout": 5000000000, "Retries": 1}}}}"#
            )))
        };
        spec.image = WEB.to_owned();
        spec.command = words(&["sleep", "600"]);
        match behaviour {
            Behaviour::Runs => {}
            Behaviour::IgnoresTerm => {
                spec.environment.0.insert("IGNORE_TERM".to_owned(), "1".to_owned());
            }
            Behaviour::Exits => spec.command = words(&["exit", "3"]),
            Behaviour::OutOfMemory => {
                spec.memory_bytes = Some(8 << 20);
                spec.docker_host_config = Some(Opaque(format!(r#"{{"MemorySwap": {}}}"#, 8 << 20)));
                spec.command = words(&["allocate", "64"]);
            }
            Behaviour::Healthy => spec.docker_config = health("0"),
            Behaviour::Unhealthy => spec.docker_config = health("1"),
            Behaviour::CannotStart => {
                spec.entry_point = words(&["/no-such-program"]);
            }
        }
    }

    fn run_id(&self) -> &str {
        &self.run
    }

    fn free_port(&self) -> Port {
        // Below the ephemeral range, and different for test processes that run at the same time.
        let base = 20_000 + u16::try_from(std::process::id() % 1000).unwrap_or(0) * 10;
        Port(base + self.ports.fetch_add(1, Ordering::Relaxed) % 10)
    }
}

#[tokio::test]
async fn conformance() {
    let Some(engine) = engine("conformance").await else { return };
    conformance::run(&engine).await;
}

#[tokio::test]
async fn environment_and_texts_reach_the_container() {
    let Some(engine) = engine("environment").await else { return };
    let check = |environment: &[(&str, &str)], defaults: &[(&str, &str)], url: &str| {
        let map = |pairs: &[(&str, &str)]| {
            Environment(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        ContainerSpec {
            environment: map(environment),
            environment_defaults: map(defaults),
            docker_config: Some(Opaque(r#"{"Hostname": "named"}"#.to_owned())),
            ..engine.spec("env", &["env-is", url])
        }
    };
    // The image sets VERSION, so a default must not replace it.
    for (environment, defaults, expectation) in [
        (&[("A", "b c")][..], &[][..], "A=b c"),
        (&[][..], &[("AWS_REGION", "eu-x-1")][..], "AWS_REGION=eu-x-1"),
        (&[][..], &[("VERSION", "default")][..], "VERSION=1"),
        (&[][..], &[][..], "HOSTNAME=named"),
    ] {
        let end = engine.run(&check(environment, defaults, expectation)).await;
        assert_eq!(
            end.status,
            ObservedStatus::Exited { exit_code: 0, oom_killed: false, error: None },
            "{expectation}"
        );
        engine.clean().await;
    }
}

#[tokio::test]
async fn a_published_port_answers() {
    let Some(engine) = engine("port").await else { return };
    let host = engine.free_port();
    let spec = ContainerSpec {
        ports: vec![PortBinding { container: Port(8080), host, protocol: Protocol::Tcp }],
        network_mode: NetworkMode::Bridge,
        command: None,
        ..engine.spec("web", &[])
    };
    let id = engine.docker.container_create(&spec).await.expect("created");
    let started = engine.docker.container_start(&id).await.expect("started");
    assert_eq!(started.ports, spec.ports);
    let connected = tokio::time::timeout(Duration::from_secs(10), async {
        while tokio::net::TcpStream::connect(("127.0.0.1", host.0)).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    connected.await.expect("the port is reachable");
    engine.clean().await;
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_unavailable() {
    let Some(engine) = engine("registry").await else { return };
    let image = "127.0.0.1:1/longshore/none:1";
    let error = engine.docker.image_pull(PullRequest::of(image)).await.expect_err("nobody listens");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let error = engine.docker.image_digest(image, None).await.expect_err("nobody listens");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_unavailable_and_found_again() {
    let Some(engine) = engine("away").await else { return };
    let directory = std::env::temp_dir().join(format!("longshore-away-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the socket");
    let socket = directory.join("docker.sock");
    let away = DockerRuntime::new(&DockerHost::Unix(socket.clone())).expect("no connection is made yet");
    let error = away.ping().await.expect_err("nobody listens");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");

    let mut events = away.events(&engine.filter());
    let lost = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("in time");
    assert!(matches!(lost, Some(RuntimeEvent::Lost(_))), "{lost:?}");
    // The engine comes up: a link to the real one's socket is as good as a new engine.
    if let Ok(DockerHost::Unix(real)) = DockerHost::from_env() {
        std::os::unix::fs::symlink(real, &socket).expect("linked");
        let back = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("in time");
        assert_eq!(back, Some(RuntimeEvent::Resynced(Vec::new())));
    }
    std::fs::remove_dir_all(&directory).expect("removed");
}
