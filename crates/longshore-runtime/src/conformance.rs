//! What every runtime has to do, as one suite.
//!
//! An implementation's tests give a [`Fixture`] and call [`run`]; the suite leaves nothing behind.
//! Times are generous limits for waiting, never pauses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use longshore_base::{Cidr, ContainerName, Port, Protocol};
use longshore_engine::input::{HealthStatus, Observation, ObservedStatus};
use longshore_engine::network::PAUSE_IMAGE;
use longshore_engine::spec::{
    ContainerKey, ContainerSpec, Environment, NetworkMode, NetworkPlace, PortBinding, RuntimeId,
    TaskInterface, TaskKey, VolumeCreate, VolumeMode,
};

use crate::error::{ErrorKind, RuntimeError};
use crate::port::{
    LABEL_CONTAINER, LABEL_TASK, LabelFilter, NetworkInfo, NetworkRequest, PullRequest, Runtime, RuntimeEvent,
};

/// Longest wait for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// A grace that no test waits out.
const LONG_GRACE: Duration = Duration::from_secs(20);
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// What a container of the suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Runs until it is stopped, and leaves on SIGTERM.
    Runs,
    /// Runs, and only SIGKILL ends it.
    IgnoresTerm,
    /// Ends by itself at once, with code 3.
    Exits,
    /// Takes more memory than it may.
    OutOfMemory,
    /// Runs, and its health check says healthy, soon.
    Healthy,
    /// Runs, and its health check says unhealthy, soon.
    Unhealthy,
    /// Its program does not exist: starting it fails.
    CannotStart,
}

/// A runtime to be tested.
pub trait Fixture {
    fn runtime(&self) -> &dyn Runtime;

    /// Makes a specification do this; the image has to be present.
    fn shape(&self, spec: &mut ContainerSpec, behaviour: Behaviour);

    /// Differs between runs that may share an engine: part of names and labels.
    fn run_id(&self) -> &str;

    /// A host port that nobody uses.
    fn free_port(&self) -> Port;
}

/// Runs the whole suite, and removes what it made also when it fails.
pub async fn run(fixture: &dyn Fixture) {
    let suite = Suite { fixture, filter: LabelFilter::new([format!("{LABEL_RUN}={}", fixture.run_id())]) };
    let outcome = std::panic::AssertUnwindSafe(suite.all());
    let outcome = futures_util::FutureExt::catch_unwind(outcome).await;
    suite.clean().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

const LABEL_RUN: &str = "longshore.test-run";

struct Suite<'a> {
    fixture: &'a dyn Fixture,
    filter: LabelFilter,
}

impl Suite<'_> {
    async fn all(&self) {
        self.answers().await;
        self.life_of_a_container().await;
        self.ends_by_itself().await;
        self.stubborn_container_is_killed().await;
        self.restart_in_place().await;
        self.memory_runs_out().await;
        self.health_is_heard().await;
        self.start_fails().await;
        self.names_and_images_are_checked().await;
        self.what_is_missing_is_not_found().await;
        self.ports_are_bound_once().await;
        self.volumes().await;
        self.images().await;
        self.networks().await;
    }

    fn runtime(&self) -> &dyn Runtime {
        self.fixture.runtime()
    }

    fn spec(&self, name: &str, behaviour: Behaviour) -> ContainerSpec {
        let run = self.fixture.run_id();
        let labels = BTreeMap::from([
            (LABEL_TASK.to_owned(), task(run).arn().to_owned()),
            (LABEL_CONTAINER.to_owned(), name.to_owned()),
            (LABEL_RUN.to_owned(), run.to_owned()),
        ]);
        let mut spec = ContainerSpec {
            name: format!("ecs-conformance-1-{name}-{run}"),
            image: String::new(),
            entry_point: None,
            command: None,
            environment: Environment::default(),
            environment_defaults: Environment::default(),
            cpu_shares: 2,
            memory_bytes: Some(32 << 20),
            ports: Vec::new(),
            bind_address: None,
            binds: Vec::new(),
            volumes_from: Vec::new(),
            links: Vec::new(),
            labels,
            network_mode: NetworkMode::None,
            network: NetworkPlace::ByMode,
            pid_mode: None,
            ipc_mode: None,
            cgroup_parent: None,
            log_secrets: Vec::new(),
            stop_timeout: Duration::from_secs(30),
            docker_config: None,
            docker_host_config: None,
        };
        self.fixture.shape(&mut spec, behaviour);
        spec
    }

    async fn create(&self, spec: &ContainerSpec) -> RuntimeId {
        expect("create", self.runtime().container_create(spec).await)
    }

    async fn start(&self, id: &RuntimeId) -> Observation {
        expect("start", self.runtime().container_start(id).await)
    }

    async fn remove(&self, id: &RuntimeId) {
        expect("remove", self.runtime().container_remove(id).await);
    }

    async fn inspect(&self, id: &RuntimeId) -> Observation {
        expect("inspect", self.runtime().container_inspect(id).await)
    }

    /// Subscribes, and takes the list that comes first.
    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let mut events = self.runtime().events(&self.filter);
        match next(&mut events).await {
            RuntimeEvent::Resynced(_) => events,
            other => panic!("the first event is a list of what there is, not {other:?}"),
        }
    }

    async fn answers(&self) {
        expect("ping", self.runtime().ping().await);
        let info = expect("info", self.runtime().info().await);
        assert!(info.cores > 0 && info.memory_bytes > 0, "{info:?}");
        assert!(!info.name.is_empty() && info.api_version >= (1, 21), "{info:?}");
    }

    async fn life_of_a_container(&self) {
        let mut events = self.events().await;
        let spec = self.spec("life", Behaviour::Runs);
        let id = self.create(&spec).await;
        assert_eq!(self.inspect(&id).await.status, ObservedStatus::Created);
        let started = self.start(&id).await;
        assert_eq!(started.status, ObservedStatus::Running);
        let seen = observed(&mut events, &id, |seen| seen.status == ObservedStatus::Running).await;
        assert!(seen.pid.is_some(), "the full picture follows as an event");
        assert!(seen.started_at.is_some(), "and with it the runtime's own time of the start");
        assert!(started.started_at.is_none_or(|time| Some(time) == seen.started_at), "nobody guesses it");
        assert_eq!(self.start(&id).await.status, ObservedStatus::Running, "starting twice changes nothing");

        let found = expect("list", self.runtime().container_list(&self.filter).await);
        let [found] = found.as_slice() else { panic!("one container, not {found:?}") };
        assert_eq!(found.container, key(self.fixture.run_id(), "life"));
        assert_eq!((&found.name, &found.observation.runtime_id), (&spec.name, &id));
        let others = LabelFilter::new([format!("{LABEL_RUN}=another")]);
        assert_eq!(expect("list", self.runtime().container_list(&others).await), []);

        let stats = expect("stats", self.runtime().container_stats(&id).await);
        assert!(stats.sample.read_at.is_some() && stats.sample.system_cpu_nanos > 0, "{stats:?}");
        assert!(
            stats.text.contains("\"memory_stats\":{") && stats.text.contains("system_cpu_usage"),
            "{stats:?}"
        );
        let readings = expect("readings", self.runtime().container_readings(&id).await);
        assert!(readings.iter().all(|reading| reading.contains("\"memory_stats\":{")), "{readings:?}");

        let stopped = expect("stop", self.runtime().container_stop(&id, LONG_GRACE).await);
        let stopped = stopped.expect("a last look");
        assert!(matches!(stopped.status, ObservedStatus::Exited { oom_killed: false, .. }), "{stopped:?}");
        let seen = observed(&mut events, &id, has_ended).await;
        assert!(seen.finished_at.is_some());
        expect("stop again", self.runtime().container_stop(&id, LONG_GRACE).await);
        self.remove(&id).await;
        vanished(&mut events, &id).await;
    }

    async fn ends_by_itself(&self) {
        let mut events = self.events().await;
        let id = self.create(&self.spec("exits", Behaviour::Exits)).await;
        self.start(&id).await;
        let seen = observed(&mut events, &id, has_ended).await;
        assert_eq!(seen.status, exited(3));
        let inspected = self.inspect(&id).await;
        assert_eq!(inspected.status, exited(3));
        assert!(inspected.started_at.is_some() && inspected.finished_at.is_some());
        // Who subscribes later finds it in the list.
        let mut late = self.runtime().events(&self.filter);
        match next(&mut late).await {
            RuntimeEvent::Resynced(found) => {
                assert!(found.iter().any(|found| found.observation.status == exited(3)), "{found:?}");
            }
            other => panic!("a list, not {other:?}"),
        }
        self.remove(&id).await;
    }

    async fn stubborn_container_is_killed(&self) {
        let id = self.create(&self.spec("stubborn", Behaviour::IgnoresTerm)).await;
        self.start(&id).await;
        expect("stop", self.runtime().container_stop(&id, SHORT_GRACE).await);
        assert_eq!(self.inspect(&id).await.status, exited(137));
        self.start(&id).await;
        let mut events = self.events().await;
        expect("kill", self.runtime().container_kill(&id, "SIGKILL").await);
        let seen = observed(&mut events, &id, has_ended).await;
        assert_eq!(seen.status, exited(137));
        self.remove(&id).await;
    }

    async fn restart_in_place(&self) {
        let mut events = self.events().await;
        let id = self.create(&self.spec("again", Behaviour::Exits)).await;
        for _ in 0..2 {
            self.start(&id).await;
            let seen = observed(&mut events, &id, has_ended).await;
            assert_eq!(seen.status, exited(3));
        }
        self.remove(&id).await;
    }

    async fn memory_runs_out(&self) {
        let mut events = self.events().await;
        let id = self.create(&self.spec("memory", Behaviour::OutOfMemory)).await;
        self.start(&id).await;
        // The reason may be known only a moment after the end.
        let reason = ObservedStatus::Exited { exit_code: 137, oom_killed: true, error: None };
        observed(&mut events, &id, |seen| seen.status == reason).await;
        self.remove(&id).await;
    }

    async fn health_is_heard(&self) {
        for (behaviour, expected) in
            [(Behaviour::Healthy, HealthStatus::Healthy), (Behaviour::Unhealthy, HealthStatus::Unhealthy)]
        {
            let mut events = self.events().await;
            let id = self.create(&self.spec("health", behaviour)).await;
            let started = self.start(&id).await;
            assert_eq!(started.health.map(|health| health.status), Some(HealthStatus::Unknown));
            let is_expected =
                |seen: &Observation| seen.health.as_ref().is_some_and(|health| health.status == expected);
            let seen = observed(&mut events, &id, is_expected).await;
            let failed = seen.health.and_then(|health| health.exit_code).is_some_and(|code| code != 0);
            assert_eq!(failed, expected == HealthStatus::Unhealthy);
            self.remove(&id).await;
        }
    }

    async fn start_fails(&self) {
        let id = self.create(&self.spec("broken", Behaviour::CannotStart)).await;
        let error = self.runtime().container_start(&id).await.expect_err("nothing to run");
        assert!(!error.text.is_empty());
        let status = self.inspect(&id).await.status;
        assert!(!matches!(status, ObservedStatus::Running), "{status:?}");
        self.remove(&id).await;
    }

    async fn names_and_images_are_checked(&self) {
        let spec = self.spec("name", Behaviour::Runs);
        let id = self.create(&spec).await;
        let error = self.runtime().container_create(&spec).await.expect_err("the name is taken");
        assert_eq!(error.kind, ErrorKind::NameInUse(Some(id.clone())));
        let by_name = RuntimeId::new(&spec.name);
        assert_eq!(self.inspect(&by_name).await.runtime_id, id);
        self.remove(&by_name).await;
        let missing = ContainerSpec { image: MISSING_IMAGE.to_owned(), ..spec };
        let error = self.runtime().container_create(&missing).await.expect_err("there is no such image");
        assert_eq!(error.kind, ErrorKind::ImageMissing, "{error}");
    }

    async fn what_is_missing_is_not_found(&self) {
        let nobody = RuntimeId::new(&"0".repeat(64));
        let runtime = self.runtime();
        let kinds = [
            runtime.container_inspect(&nobody).await.map(drop),
            runtime.container_start(&nobody).await.map(drop),
            runtime.container_stop(&nobody, SHORT_GRACE).await.map(drop),
            runtime.container_kill(&nobody, "SIGKILL").await,
            runtime.container_remove(&nobody).await,
            runtime.container_stats(&nobody).await.map(drop),
            runtime.container_readings(&nobody).await.map(drop),
            runtime.volume_inspect("longshore-no-such-volume").await.map(drop),
            runtime.image_remove(MISSING_IMAGE).await,
        ];
        for (at, result) in kinds.into_iter().enumerate() {
            assert_eq!(result.map_err(|error| error.kind), Err(ErrorKind::NotFound), "call {at}");
        }
        let error = runtime.image_inspect(MISSING_IMAGE).await.expect_err("there is no such image");
        assert_eq!(error.kind, ErrorKind::ImageMissing);
    }

    async fn ports_are_bound_once(&self) {
        let binding =
            PortBinding { container: Port(80), host: self.fixture.free_port(), protocol: Protocol::Tcp };
        let bound = |name| {
            let spec = self.spec(name, Behaviour::Runs);
            ContainerSpec { ports: vec![binding], network_mode: NetworkMode::Bridge, ..spec }
        };
        let first = self.create(&bound("port-1")).await;
        assert_eq!(self.start(&first).await.ports, [binding]);
        let inspected = self.inspect(&first).await;
        assert_eq!(inspected.ports, [binding]);
        assert!(inspected.networks.iter().any(|network| network.ipv4.is_some()), "{inspected:?}");
        let second = self.create(&bound("port-2")).await;
        let error = self.runtime().container_start(&second).await.expect_err("the port is taken");
        assert!(matches!(error.kind, ErrorKind::PortTaken(_)), "{error}");
        self.remove(&first).await;
        self.remove(&second).await;
    }

    async fn volumes(&self) {
        let runtime = self.runtime();
        let name = format!("longshore-conformance-{}", self.fixture.run_id());
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let spec = |mode| VolumeCreate {
            name: name.clone(),
            driver: "local".to_owned(),
            options: BTreeMap::new(),
            labels: labels.clone(),
            mode,
        };
        let error = runtime.volume_create(&spec(VolumeMode::MustExist)).await.expect_err("not made yet");
        assert_eq!(error.kind, ErrorKind::NotFound);
        expect("create volume", runtime.volume_create(&spec(VolumeMode::Create)).await);
        expect("create volume again", runtime.volume_create(&spec(VolumeMode::Create)).await);
        expect("look at volume", runtime.volume_create(&spec(VolumeMode::MustExist)).await);
        let info = expect("inspect volume", runtime.volume_inspect(&name).await);
        assert_eq!((info.driver.as_str(), &info.labels), ("local", &labels));
        expect("remove volume", runtime.volume_remove(&name).await);
        let error = runtime.volume_remove(&name).await.expect_err("it is gone");
        assert_eq!(error.kind, ErrorKind::NotFound);
    }

    async fn images(&self) {
        let runtime = self.runtime();
        let spec = self.spec("image", Behaviour::Runs);
        let image = expect("inspect image", runtime.image_inspect(&spec.image).await);
        assert!(image.id.starts_with("sha256:") && image.size_bytes > 0, "{image:?}");
        let id = self.create(&spec).await;
        let listed = expect("list images", runtime.image_list().await);
        let listed = listed.iter().find(|listed| listed.references.contains(&spec.image)).expect("listed");
        assert_eq!((&listed.id, listed.in_use), (&image.id, true));
        self.remove(&id).await;
        let error = runtime.image_pull(PullRequest::of(MISSING_IMAGE)).await.expect_err("nobody has it");
        assert!(!error.text.is_empty());
    }

    /// A pause container has the address that it is given, others share it, and an address is one container's.
    async fn networks(&self) {
        let runtime = self.runtime();
        expect("make the pause image", runtime.pause_image().await);
        expect("find the pause image", runtime.pause_image().await);
        let name = format!("longshore-conformance-{}", self.fixture.run_id());
        let request = NetworkRequest { name: name.clone(), subnet: None, owner: "conformance".to_owned() };
        let info = expect("create network", runtime.network_create(&request).await);
        assert!(info.subnet.contains(info.gateway), "{info:?}");
        assert_eq!(expect("find network", runtime.network_create(&request).await), info);
        let same = NetworkRequest { subnet: Some(info.subnet), ..request.clone() };
        assert_eq!(expect("find network", runtime.network_create(&same).await), info);
        let other = NetworkRequest { subnet: Cidr::of(Ipv4Addr::new(10, 213, 78, 0), 24), ..request };
        let error = runtime.network_create(&other).await.expect_err("it has another subnet");
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");

        let address = info.subnet.nth(77).expect("a network chosen by the runtime is large");
        let pause = |container: &str| ContainerSpec {
            image: PAUSE_IMAGE.to_owned(),
            entry_point: None,
            command: None,
            network_mode: NetworkMode::Awsvpc,
            network: NetworkPlace::Own { network: name.clone(), interface: interface(info, address) },
            ..self.spec(container, Behaviour::Runs)
        };
        let first = self.create(&pause("pause-1")).await;
        self.start(&first).await;
        let joined = ContainerSpec {
            network_mode: NetworkMode::Awsvpc,
            network: NetworkPlace::Shared(first.clone()),
            ..self.spec("joined", Behaviour::Runs)
        };
        let joined = self.create(&joined).await;
        self.start(&joined).await;
        let second = self.create(&pause("pause-2")).await;
        runtime.container_start(&second).await.expect_err("the address is taken");
        let error = runtime.network_remove(&name).await.expect_err("a container is in it");
        assert_ne!(error.kind, ErrorKind::NotFound, "{error}");
        // SIGTERM means nothing to the first process of a container that has no handler for it.
        expect("stop", runtime.container_stop(&joined, SHORT_GRACE).await);
        expect("stop", runtime.container_stop(&first, Duration::ZERO).await);
        assert_eq!(self.inspect(&first).await.status, exited(137));
        // The address is free as soon as its container has ended.
        self.start(&second).await;
        expect("stop", runtime.container_stop(&second, Duration::ZERO).await);
        for id in [first, joined, second] {
            self.remove(&id).await;
        }
        expect("remove network", runtime.network_remove(&name).await);
        let error = runtime.network_remove(&name).await.expect_err("it is gone");
        assert_eq!(error.kind, ErrorKind::NotFound);
    }

    async fn clean(&self) {
        let Ok(left) = self.runtime().container_list(&self.filter).await else { return };
        for found in left {
            // Best effort: the suite's own failure is what counts.
            let _ = self.runtime().container_remove(&found.observation.runtime_id).await;
        }
    }
}

/// A registry on a port that nobody serves, so that asking for it fails at once.
const MISSING_IMAGE: &str = "127.0.0.1:1/longshore/no-such-image:1";

fn task(run: &str) -> TaskKey {
    TaskKey::new(&format!("arn:aws:ecs:us-east-1:111122223333:task/conformance/{run}"))
}

fn interface(info: NetworkInfo, address: Ipv4Addr) -> TaskInterface {
    let [a, b, c, d] = address.octets();
    TaskInterface {
        attachment_arn: String::new(),
        id: "eni-1".to_owned(),
        mac: format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"),
        address,
        gateway: info.gateway,
        prefix: info.subnet.prefix(),
        private_dns_name: "conformance.internal".to_owned(),
        name_servers: Vec::new(),
        search_domains: Vec::new(),
    }
}

fn key(run: &str, name: &str) -> ContainerKey {
    ContainerKey { task: task(run), name: ContainerName::parse(name).expect("the suite's names are valid") }
}

fn exited(exit_code: i32) -> ObservedStatus {
    ObservedStatus::Exited { exit_code, oom_killed: false, error: None }
}

fn has_ended(seen: &Observation) -> bool {
    matches!(seen.status, ObservedStatus::Exited { .. })
}

fn expect<T>(what: &str, result: Result<T, RuntimeError>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {:?}: {error}", error.kind))
}

async fn next(events: &mut BoxStream<'static, RuntimeEvent>) -> RuntimeEvent {
    tokio::time::timeout(PATIENCE, events.next())
        .await
        .expect("an event in time")
        .expect("a stream of events does not end")
}

/// Waits until a container is seen in a certain state.
async fn observed(
    events: &mut BoxStream<'static, RuntimeEvent>,
    id: &RuntimeId,
    is_it: impl Fn(&Observation) -> bool,
) -> Observation {
    loop {
        if let RuntimeEvent::Observed { observation, .. } = next(events).await
            && observation.runtime_id == *id
            && is_it(&observation)
        {
            return observation;
        }
    }
}

async fn vanished(events: &mut BoxStream<'static, RuntimeEvent>, id: &RuntimeId) {
    loop {
        if let RuntimeEvent::Vanished { runtime_id, .. } = next(events).await
            && runtime_id == *id
        {
            return;
        }
    }
}
