//! A server with a toy API.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use longshore_base::{AccountId, Clock, Seed, Timestamp};
use longshore_front::{
    Api, BoxFuture, Call, Config, Limits, Origin, Ready, Refusal, Reply, Running, Services, Site,
    SocketHandler, Sockets, serve,
};
use longshore_identity::{AccessKey, Identity, Keyring, Mode, PrincipalKind};
use longshore_sigv4::Credentials;
use longshore_telemetry::Metrics;
use tokio::sync::{Notify, oneshot};

/// 2015-08-30T12:36:00Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);

/// How long a test waits for anything before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The origin whose pages are admitted.
pub const FRONT_END: &str = "http://localhost:5173";

pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub fn known() -> Credentials {
    Credentials::new("AKIAKNOWN", "secret")
}

/// The length of what `Much` answers.
pub const MUCH_BYTES: usize = 64 << 10;

/// Answers `Echo` with its body and its caller and `Much` with a long text, waits in `Hang` until released,
/// panics in `Panic`.
struct Toy {
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

impl Api for Toy {
    fn signing_name(&self) -> &str {
        "ecs"
    }

    fn target_prefix(&self) -> &str {
        "Toy"
    }

    fn call<'a>(&'a self, call: Call, operation: &'a str, body: Bytes) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            match operation {
                "Echo" => {
                    let scope = &call.principal.scope;
                    let body = String::from_utf8_lossy(&body);
                    Reply::json(format!("{} {} {body}", scope.account, scope.region))
                }
                "Much" => Reply::json("x".repeat(MUCH_BYTES)),
                "Hang" => {
                    self.entered.notify_one();
                    self.release.notified().await;
                    Reply::json("released")
                }
                "Panic" => panic!("on purpose: hush"),
                _unknown => Reply::json_error(StatusCode::NOT_FOUND, "UnknownOperationException", "{}"),
            }
        })
    }
}

/// Echoes what it hears on `/acs/ws`, panics at `panic`, and refuses who asks for `refuse`.
struct EchoSockets;

impl Sockets for EchoSockets {
    fn serves(&self, path: &str) -> bool {
        path == "/acs/ws"
    }

    fn open<'a>(
        &'a self,
        call: Call,
        _path: &'a str,
        query: Vec<(String, String)>,
    ) -> BoxFuture<'a, Result<SocketHandler, Refusal>> {
        Box::pin(async move {
            if query.iter().any(|(name, _)| name == "refuse") {
                let text = "the instance is gone";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "InactiveInstanceException", text));
            }
            let handler: SocketHandler = Box::new(move |mut socket| {
                Box::pin(async move {
                    let hello = format!("{} {query:?}", call.principal.scope.account);
                    socket.send(hello.into()).await.expect("the client listens");
                    while let Some(Ok(message)) = socket.next().await {
                        assert!(!message.to_text().is_ok_and(|text| text == "panic"), "on purpose");
                        if message.is_text() && socket.send(message).await.is_err() {
                            break;
                        }
                    }
                })
            });
            Ok(handler)
        })
    }
}

pub struct Server {
    pub address: std::net::SocketAddr,
    pub clock: Arc<ManualClock>,
    pub ready: Ready,
    pub metrics: Metrics,
    pub entered: Arc<Notify>,
    pub release: Arc<Notify>,
    pub shutdown: oneshot::Sender<()>,
    pub running: Running,
    pub services: Services,
}

pub fn limits() -> Limits {
    Limits { grace: Duration::from_secs(10), ..Limits::default() }
}

pub async fn start(mode: Mode, limits: Limits) -> Server {
    start_with(mode, limits, None).await
}

impl Server {
    /// How often an operation has succeeded.
    pub fn answered(&self, operation: &str) -> u64 {
        let name = format!("longshore_requests_total{{operation=\"{operation}\",code=\"OK\"}} ");
        let text = self.metrics.encode();
        let count = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
        count.map_or(0, |count| count.parse().expect("a count is a number"))
    }

    /// Waits until it is so.
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it becomes so in time");
    }

    /// Waits until so many connections are open.
    pub async fn counts_connections(&self, count: usize) {
        let line = format!("longshore_connections {count}\n");
        self.until(|server| server.metrics.encode().contains(&line)).await;
    }
}

pub async fn start_with(mode: Mode, limits: Limits, tls: Option<longshore_front::Tls>) -> Server {
    let keyring = Arc::new(Keyring::new());
    let account = AccountId::parse("111122223333").expect("twelve digits");
    keyring
        .add(AccessKey {
            credentials: known(),
            account,
            kind: PrincipalKind::User,
            name: "ada".into(),
            expires: None,
        })
        .expect("room for one");
    let clock = Arc::new(ManualClock(AtomicI64::new(NOW.as_millis())));
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (ready, metrics) = (Ready::new(), Metrics::new());
    let services = Services {
        apis: vec![Arc::new(Toy { entered: entered.clone(), release: release.clone() })],
        sockets: Some(Arc::new(EchoSockets)),
        identity: Arc::new(Identity::new(mode, keyring)),
        metrics: metrics.clone(),
        clock: clock.clone(),
        ready: ready.clone(),
    };
    let mut config = Config::new("127.0.0.1:0".parse().expect("an address"), Seed::new(1));
    config.limits = limits;
    config.tls = tls;
    config.site = Site::default().allow_origin(Origin::of_url(FRONT_END).expect("a URL"));
    let (shutdown, signal) = oneshot::channel();
    let signal = async {
        let _ = signal.await;
    };
    let running = serve(config, services.clone(), signal).await.expect("a free port");
    let address = running.local_addr();
    Server { address, clock, ready, metrics, entered, release, shutdown, running, services }
}
