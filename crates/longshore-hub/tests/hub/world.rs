//! A control plane whose sockets are in memory, and agents that are played.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use http::{HeaderMap, Method, Uri};
use longshore_api::{
    Call, Head, Message, Principal, PrincipalKind, Refusal, RequestId, SocketError, Sockets,
};
use longshore_api_ecs::{Caller, Ecs, Settings};
use longshore_base::{AccountId, Clock, ClusterName, InstanceId, Region, Scope, Seed, Timestamp};
use longshore_hub::{ACS_PATH, AgentSockets, Hub, TCS_PATH};
use longshore_service::{Allow, Guard, Server};
use longshore_shapes_ecs::Operation::{self, CreateCluster, RegisterContainerInstance};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains};
use longshore_store::MemoryStore;
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTables, InstanceKey};
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::SecretsTables;
use longshore_telemetry::Metrics;
use longshore_wire::{Ask, Protocol};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What has a socket panic that reads it.
const PANIC: &[u8] = b"panic";

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it happens in time") })
}

/// It goes on by a millisecond at each look.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

struct CountingSeeds(AtomicU64);

impl SeedSource for CountingSeeds {
    fn draw(&self) -> Seed {
        Seed::new(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

fn scope() -> Scope {
    let account = AccountId::parse("123456789012").expect("an account");
    Scope::new(account, Region::parse("eu-west-1").expect("a region"))
}

pub struct World {
    pub db: Arc<Db>,
    pub hub: Arc<Hub>,
    sockets: AgentSockets,
    ecs: Server<Ecs>,
}

impl World {
    /// With the cluster `c`.
    pub async fn new() -> Self {
        Self::guarded(Arc::new(Allow)).await
    }

    pub async fn guarded(guard: Arc<dyn Guard>) -> Self {
        let clock = Arc::new(Ticking(AtomicI64::new(1_700_000_000_000)));
        let domains = Domains::new("test")
            .with::<Ec2Tables>()
            .with::<EcsTables>()
            .with::<IamTables>()
            .with::<SecretsTables>();
        let seeds = Arc::new(CountingSeeds(AtomicU64::new(1)));
        let db = Db::open(Arc::new(MemoryStore::new()), &domains, clock, seeds).expect("an empty store");
        let hub = Hub::new(db.clone(), Metrics::new());
        let ecs = Ecs::server(db.clone(), Settings::default());
        let world = Self { db, sockets: AgentSockets::new(hub.clone(), guard), hub, ecs };
        world.ok(CreateCluster, json!({"clusterName": "c"})).await;
        world
    }

    pub async fn ok(&self, operation: Operation, input: Value) -> Value {
        let caller = Caller::new(scope(), "arn:aws:iam::123456789012:root");
        let body = input.to_string();
        let ask = Ask::of_body(Protocol::AwsJson11, body.as_bytes());
        let reply = self.ecs.answer(operation.name(), &caller, &ask).await;
        let answer = serde_json::from_slice(&reply.body).expect("answers are JSON");
        assert_eq!(reply.status, 200, "{operation:?} {input}: {answer}");
        answer
    }

    /// Registers an instance, and gives its ARN.
    pub async fn instance(&self) -> String {
        let registration = json!({
            "cluster": "c",
            "totalResources": [
                {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
                {"name": "PORTS", "type": "STRINGSET", "stringSetValue": []},
                {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
            ],
            "attributes": [],
        });
        let answer = self.ok(RegisterContainerInstance, registration).await;
        answer["containerInstance"]["containerInstanceArn"].as_str().expect("an ARN").to_owned()
    }

    /// Whether the state has the agent as connected.
    pub fn is_connected(&self, instance: &str) -> bool {
        let at = key(instance);
        let connected = self.db.peek(|state| {
            let entry = state.ecs().cluster(&at.cluster)?.instance(at.instance)?;
            Some(entry.connection.open)
        });
        connected.expect("the instance is there")
    }

    pub fn counts(&self) -> (usize, usize) {
        (*self.hub.connected().borrow(), *self.hub.open_sockets().borrow())
    }

    pub async fn commands(&self, instance: &str) -> Agent {
        self.open(ACS_PATH, "containerInstanceArn", instance).await.expect("it is let in")
    }

    pub async fn telemetry(&self, instance: &str) -> Agent {
        self.open(TCS_PATH, "containerInstance", instance).await.expect("it is let in")
    }

    pub async fn refused(&self, instance: &str) -> Refusal {
        let opened = self.open(ACS_PATH, "containerInstanceArn", instance).await;
        opened.err().expect("it is refused")
    }

    /// Of both sockets.
    pub async fn both_refused(&self, instance: &str) -> [Refusal; 2] {
        let telemetry = self.open(TCS_PATH, "containerInstance", instance).await;
        [self.refused(instance).await, telemetry.err().expect("it is refused")]
    }

    /// What is remembered of connections that took the place of another: how many, and from where to where.
    pub fn takeovers(&self, instance: &str) -> (u32, String, String) {
        let at = key(instance);
        self.db.peek(|state| {
            let entry = state.ecs().cluster(&at.cluster).and_then(|cluster| cluster.instance(at.instance));
            let taken = &entry.expect("the instance is there").record.takeovers;
            (taken.count, taken.by.to_string(), taken.from.to_string())
        })
    }

    async fn open(&self, path: &str, parameter: &str, instance: &str) -> Result<Agent, Refusal> {
        let query = vec![(parameter.to_owned(), instance.to_owned())];
        let handler = self.sockets.open(self.call(), path, query).await?;
        let (to_server, from_agent) = unbounded_channel();
        let (to_agent, from_server) = unbounded_channel();
        let end = ServerEnd { from_agent, to_agent };
        Ok(Agent { to_server, from_server, served: tokio::spawn(handler(Box::pin(end))) })
    }

    fn call(&self) -> Call {
        let now = self.db.clock().now();
        let head = Head { method: Method::GET, uri: Uri::from_static("/"), headers: HeaderMap::new() };
        Call {
            principal: Principal {
                scope: scope(),
                access_key_id: "AKIDEXAMPLE".into(),
                arn: "arn:aws:iam::123456789012:root".into(),
                kind: PrincipalKind::Root,
                name: "".into(),
                id: None,
                session: None,
                service: "ecs".into(),
            },
            request_id: RequestId::new("00000000-0000-4000-8000-000000000000"),
            now,
            deadline: now + PATIENCE,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            head: Arc::new(head),
        }
    }
}

fn key(instance: &str) -> InstanceKey {
    let id = instance.rsplit('/').next().unwrap_or_default();
    let cluster = ClusterKey::new(scope(), ClusterName::parse("c").expect("a name"));
    cluster.instance(InstanceId::parse(id).expect("an ARN ends with the id"))
}

/// The server's end of a socket.
struct ServerEnd {
    from_agent: UnboundedReceiver<Message>,
    to_agent: UnboundedSender<Message>,
}

impl Stream for ServerEnd {
    type Item = Result<Message, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = std::task::ready!(self.from_agent.poll_recv(cx));
        assert!(!matches!(&message, Some(Message::Binary(bytes)) if bytes == PANIC), "on purpose");
        Poll::Ready(message.map(Ok))
    }
}

impl Sink<Message> for ServerEnd {
    type Error = SocketError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SocketError> {
        self.to_agent.send(message).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }
}

/// The agent's end, and the task that serves it.
pub struct Agent {
    to_server: UnboundedSender<Message>,
    from_server: UnboundedReceiver<Message>,
    served: JoinHandle<()>,
}

impl Agent {
    pub fn say(&self, text: impl Into<String>) {
        self.to_server.send(Message::Text(text.into().into())).expect("the server reads");
    }

    /// The next frame.
    pub async fn hears(&mut self) -> Value {
        match self.from_server.recv().await {
            Some(Message::Text(text)) => serde_json::from_str(text.as_str()).expect("a frame is JSON"),
            other => panic!("{other:?} is no frame"),
        }
    }

    /// Reads a heartbeat and a manifest: the server has looked at everything.
    pub async fn greeted(&mut self) {
        for expected in ["HeartbeatMessage", "TaskManifestMessage"] {
            assert_eq!(self.hears().await["type"], expected);
        }
    }

    /// Reads until the server closes, and waits for its end. Gives the code.
    pub async fn closed(mut self) -> u16 {
        let code = loop {
            match self.from_server.recv().await.expect("it says why") {
                Message::Close { code, .. } => break code,
                Message::Text(_) | Message::Binary(_) => {}
            }
        };
        self.served.await.expect("it ends in order");
        code
    }

    /// Closes, and waits for the server's end.
    pub async fn close(self) {
        self.to_server.send(Message::Close { code: 1000, reason: "".into() }).expect("the server reads");
        self.served.await.expect("it ends in order");
    }

    /// Goes away without a word.
    pub async fn cut(self) {
        drop((self.to_server, self.from_server));
        self.served.await.expect("it ends in order");
    }

    /// Has the server's task panic.
    pub async fn panic(self) {
        self.to_server.send(Message::Binary(PANIC.into())).expect("the server reads");
        assert!(self.served.await.expect_err("it panics").is_panic());
    }

    pub fn send_bytes(&self, bytes: &'static [u8]) {
        self.to_server.send(Message::Binary(bytes.into())).expect("the server reads");
    }

    /// Waits for the end of a connection that the server does not close in words.
    pub async fn dropped(self) {
        self.served.await.expect("it ends in order");
    }
}
