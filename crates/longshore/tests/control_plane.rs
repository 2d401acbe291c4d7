//! A control plane in this process, over a machine that this test has in hand.

use std::backtrace::Backtrace;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use longshore::args::{Args, Command, ServerOptions};
use longshore::control_plane::ControlPlane;
use longshore::machine::Machine;
use longshore::server;
use longshore_api_ecs::{Caller, Ecs, Settings};
use longshore_base::{AccountId, Clock, Region, Scope, Seed, Timestamp};
use longshore_client::HttpClient;
use longshore_front::Ended;
use longshore_node::{Config, Services, Status};
use longshore_runtime::scripted::{ScriptedEngine, World};
use longshore_service::{Cx, carry_out};
use longshore_shapes_ecs::{
    ContainerDefinition, CreateClusterRequest, CreateServiceRequest, RegisterTaskDefinitionRequest, ops,
};
use longshore_state::State;
use longshore_store::{
    Commit, Conflict, Entry, EntryRef, FencingToken, KeyRange, Lost, Page, Revision, Sight, Store,
    StoreError, Watch, WatchError,
};
use longshore_tables_ecs::{AgentHint, EcsState, Hint, InstanceKey};
use parking_lot::{Condvar, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that panics once in whoever's stack of calls leads through the file.
struct Trap {
    inner: Arc<dyn Clock>,
    file: Mutex<Option<&'static str>>,
}

impl Trap {
    fn set(&self, file: Option<&'static str>) {
        *self.file.lock() = file;
    }
}

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        let wanted = *self.file.lock();
        if let Some(file) = wanted
            && Backtrace::force_capture().to_string().contains(file)
        {
            self.set(None);
            panic!("on purpose, in {file}");
        }
        self.inner.now()
    }
}

#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, is_closed: bool) {
        *self.is_closed.lock() = is_closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        self.changed.wait_while(&mut self.is_closed.lock(), |is_closed| *is_closed);
    }
}

/// A store that writes only while its gate is open.
struct Gated {
    inner: Arc<dyn Store>,
    gate: Arc<Gate>,
}

impl Store for Gated {
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        self.gate.pass();
        self.inner.commit(group)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }

    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError> {
        self.inner.range(range, limit, after)
    }

    fn scan(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Revision, StoreError> {
        self.inner.scan(range, visit)
    }

    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError> {
        self.inner.watch(prefix, from)
    }

    fn sight(&self) -> Result<Sight, StoreError> {
        self.inner.sight()
    }

    fn take(&self, seen: &Sight, claim: &[u8]) -> Result<Result<FencingToken, Lost>, StoreError> {
        self.inner.take(seen, claim)
    }

    fn beat(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        self.inner.beat(token)
    }

    fn resign(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        self.inner.resign(token)
    }
}

struct Hands {
    plane: ControlPlane,
    trap: Arc<Trap>,
    gate: Arc<Gate>,
}

async fn start() -> Hands {
    let Machine { clock, seeds, open_store, domains } = Machine::this();
    let trap = Arc::new(Trap { inner: clock, file: Mutex::new(None) });
    let gate = Arc::new(Gate::default());
    let behind = gate.clone();
    let machine = Machine {
        clock: trap.clone(),
        seeds,
        open_store: Box::new(|dir| Ok(Arc::new(Gated { inner: open_store(dir)?, gate: behind }))),
        domains,
    };
    let plane = server::start(&options(), machine).await.expect("it starts");
    Hands { plane, trap, gate }
}

fn options() -> ServerOptions {
    let words = ["longshore", "server", "--listen", "127.0.0.1:0", "--ephemeral"];
    match Args::parse_from(words).command {
        Command::Server(options) => options,
        other => panic!("not a server: {other:?}"),
    }
}

/// An agent over scripted containers, with both its sockets.
struct Agent {
    status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Agent {
    fn start(plane: &ControlPlane) -> Self {
        let pairs = [
            ("ECS_CLUSTER", "c"),
            ("ECS_BACKEND_HOST", plane.endpoint.as_str()),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", plane.operator.access_key_id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", plane.operator.secret.reveal()),
            ("LONGSHORE_INTROSPECTION_PORT", "off"),
            ("LONGSHORE_METADATA_PORT", "off"),
        ];
        let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let (config, _) = Config::read(pairs, None).expect("valid");
        let Machine { clock, .. } = Machine::this();
        let engine = ScriptedEngine::over(World::new(Seed::new(5)), clock.now());
        let services = Services {
            runtime: Arc::new(engine),
            http: HttpClient::default(),
            clock,
            seed: Seed::new(7),
            keys: None,
            credentials: None,
        };
        let (told, status) = watch::channel(Status::default());
        let (stop, mut stopping) = watch::channel(false);
        let task = tokio::spawn(async move {
            let asked = async move {
                let _ = stopping.wait_for(|stopping| *stopping).await;
            };
            longshore_node::run(config, services, told, asked).await.expect("it could start");
        });
        Self { status, stop, task }
    }

    async fn connected(&mut self) {
        within(self.status.wait_for(|status| status.connected)).await.expect("it runs");
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        within(self.task).await.expect("it does not panic");
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Status and body of a GET.
async fn get(plane: &ControlPlane, path: &str) -> (String, String) {
    let authority = plane.endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).expect("a status").to_owned(), body.to_owned())
}

/// Waits until `/readyz` or `/metrics` says it.
async fn until_said(plane: &ControlPlane, path: &str, text: &str) -> String {
    within(async {
        loop {
            let (status, body) = get(plane, path).await;
            if body.contains(text) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

fn scope() -> Scope {
    let account = AccountId::parse(longshore_identity::DEFAULT_ACCOUNT).expect("twelve digits");
    Scope::new(account, Region::parse("us-east-1").expect("a region"))
}

/// The only instance, and whether the tables show its agent connected.
fn instance(state: &State) -> Option<(InstanceKey, bool, u32)> {
    let (name, cluster) = state.ecs().realm(&scope())?.clusters().next()?;
    let (&id, entry) = cluster.instances().iter().next()?;
    let at = longshore_tables_ecs::ClusterKey::new(scope(), name.clone()).instance(id);
    Some((at, entry.connection.open, entry.record.link_epoch))
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_do_not_hold_up_the_end() {
    let Hands { plane, .. } = start().await;
    plane.ensure_cluster("c", "us-east-1").await.expect("a cluster");
    let mut agent = Agent::start(&plane);
    agent.connected().await;
    // The command socket, and the one for telemetry.
    within(plane.hub.open_sockets().wait_for(|open| *open == 2)).await.expect("the hub is there");
    // The grace period is ten seconds; then whoever is left would be cut.
    assert_eq!(plane.stop().await, Ended::Drained);
    within(agent.status.wait_for(|status| !status.connected)).await.expect("it runs on");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_connection_disconnects_its_instance() {
    let Hands { plane, trap, .. } = start().await;
    plane.ensure_cluster("c", "us-east-1").await.expect("a cluster");
    let mut agent = Agent::start(&plane);
    agent.connected().await;
    let mut connected = plane.hub.connected();
    within(connected.wait_for(|count| *count == 1)).await.expect("the hub is there");
    let (at, is_open, epoch) = plane.db.peek(instance).expect("the instance");
    assert!(is_open);
    let has_come_back = |state: &State| instance(state).is_some_and(|(_, open, now)| now > epoch && open);
    within(async {
        while !plane.db.peek(has_come_back) {
            // The telemetry socket may have been the one that fell in.
            trap.set(Some("longshore-hub/src/commands.rs"));
            let hinted = plane.db.write(|tx| {
                tx.hint(AgentHint::Instance(at.clone()));
                Ok::<_, ()>(())
            });
            hinted.await.expect("all is well").expect("it does not fail");
            let _ = tokio::time::timeout(Duration::from_secs(2), async {
                while !plane.db.peek(has_come_back) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
    })
    .await;
    trap.set(None);
    // It is not counted twice.
    within(connected.wait_for(|count| *count == 1)).await.expect("the hub is there");
    assert_eq!(get(&plane, "/readyz").await.0, "200", "one connection is not the server");
    agent.stop().await;
    within(connected.wait_for(|count| *count == 0)).await.expect("the hub is there");
    within(plane.hub.open_sockets().wait_for(|open| *open == 0)).await.expect("the hub is there");
    assert!(!plane.db.peek(instance).expect("the instance").1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_controllers_ends_the_control_plane() {
    let Hands { plane, trap, .. } = start().await;
    trap.set(Some("src/driver.rs"));
    let error = within(plane.failed()).await;
    let text = format!("{error:#}");
    assert!(text.contains("start it again") && text.contains("controllers have ended"), "{text}");
    let (status, body) = get(&plane, "/readyz").await;
    assert_eq!(status, "503", "{body}");
    assert!(body.contains("\ncontrollers: have ended"), "{body}");
    assert_eq!(get(&plane, "/healthz").await.0, "200", "the process lives, until it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_command_ends_the_control_plane() {
    let Hands { plane, .. } = start().await;
    let db = plane.db.clone();
    let panicked = tokio::spawn(async move {
        let _ = db.submit(|tx| -> Result<(), ()> {
            tx.hint(Hint::Definitions(scope()));
            panic!("on purpose")
        });
    });
    assert!(panicked.await.is_err());
    let error = within(plane.failed()).await;
    assert!(format!("{error:#}").contains("a transaction panicked: on purpose"), "{error:#}");
    let (status, body) = get(&plane, "/readyz").await;
    assert_eq!(status, "503");
    assert!(body.contains("\nstore: a transaction panicked\n"), "{body}");
}

/// A batch of few services is looked at as a whole, whatever the disk does meanwhile. A disk that does not come back
/// shows in `/readyz`.
#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_do_not_wait_for_the_disk_after_each_look() {
    let Hands { plane, gate, .. } = start().await;
    assert_eq!(until_said(&plane, "/readyz", "store: ok\ncontrollers: ok\nagents: ok").await, "200");
    // Now and then they clear away, and do wait then; if that is just now, it is tried again.
    let mut is_seen = false;
    for round in 0..10 {
        gate.set(true);
        create_services(&plane, &format!("c{round}"));
        let looked_at = tokio::time::timeout(Duration::from_secs(4), async {
            while plane.db.peek(|state| refused(state, &format!("c{round}"))) < 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        is_seen = looked_at.await.is_ok();
        assert!(plane.db.writing_for().is_some(), "the disk is still busy");
        if is_seen {
            break;
        }
        gate.set(false);
    }
    assert!(is_seen, "they look at one service, and wait for the disk");
    assert_eq!(until_said(&plane, "/readyz", "store: has been writing for").await, "503");
    gate.set(false);
    assert_eq!(until_said(&plane, "/readyz", "store: ok").await, "200");
    plane.stop().await;
}

/// How many services of the cluster have been looked at: there is no instance, so each is refused a place.
fn refused(state: &State, cluster: &str) -> usize {
    let cluster = state.ecs().realm(&scope()).and_then(|realm| realm.cluster(cluster)).expect("the cluster");
    cluster.services().filter(|(service, _)| !service.memory.refusals.is_empty()).count()
}

/// A cluster with five services, in one transaction that nobody waits for.
fn create_services(plane: &ControlPlane, cluster: &str) {
    let caller = Caller::new(scope(), "arn:aws:iam::000000000000:root");
    let api = Ecs::new(Settings::default());
    let (made, _) = plane
        .db
        .submit(|tx| {
            let cx = Cx { api: &api, caller: &caller, now: tx.now };
            let name = || Some(cluster.to_owned());
            let request = CreateClusterRequest { cluster_name: name(), ..Default::default() };
            carry_out::<_, ops::CreateCluster>(tx, &cx, request).expect("a cluster");
            let container = ContainerDefinition {
                name: Some("main".to_owned()),
                image: Some("busybox".to_owned()),
                memory: Some(10),
                ..Default::default()
            };
            let definition = RegisterTaskDefinitionRequest {
                family: name(),
                container_definitions: Some(vec![container]),
                ..Default::default()
            };
            carry_out::<_, ops::RegisterTaskDefinition>(tx, &cx, definition).expect("a definition");
            for n in 0..5 {
                let service = CreateServiceRequest {
                    cluster: name(),
                    service_name: Some(format!("s{n}")),
                    task_definition: name(),
                    desired_count: Some(1),
                    ..Default::default()
                };
                carry_out::<_, ops::CreateService>(tx, &cx, service).expect("a service");
            }
            Ok::<_, ()>(())
        })
        .expect("all is well");
    made.expect("it does not fail");
}
