//! A server with a toy API.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use http_body_util::BodyExt;
use longshore_api::{
    Api, Body, BoxFuture, Call, Head, Intake, Message, Place, Refusal, Reply, Request, SocketHandler,
    Sockets, Text, Visit,
};
use longshore_base::{AccountId, Clock, Seed, Timestamp};
use longshore_front::{Config, Limits, Origin, Ready, Running, Services, Site, serve};
use longshore_identity::{AccessKey, Identity, Keyring, Mode, PrincipalKind};
use longshore_sigv4::Credentials;
use longshore_telemetry::Metrics;
use longshore_wire::route::{Binding, ServiceFacts};
use longshore_wire::{Protocol, ServiceSchema};
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

/// The longest body of `Put` and its like: longer than any that is whole.
pub const STREAM_BYTES_MAX: u64 = 4 << 20;

/// The longest body of `Small`.
pub const SMALL_BYTES_MAX: usize = 10;

const fn facts(
    name: &'static str,
    signing_name: &'static str,
    protocols: &'static [Protocol],
    bindings: &'static [Binding],
) -> ServiceFacts {
    let schema = ServiceSchema {
        signing_name,
        api_version: "2026-11-30",
        target_prefix: Some(name),
        xml_namespace: None,
        protocols,
        is_query_compatible: false,
    };
    let operations =
        &["Drop", "Echo", "Hang", "Much", "NotBuilt", "Open", "Panic", "Put", "PutOpen", "Small", "Stream"];
    let clock_minutes = match protocols {
        [Protocol::AwsJson11] => 5,
        _others => 15,
    };
    ServiceFacts { name, title: name, endpoint_prefix: name, schema, clock_minutes, operations, bindings }
}

/// One service for each way of calling: by a target, by a form, by a path; and one that nobody serves.
static TOY: ServiceFacts = facts("Toy", "ecs", &[Protocol::AwsJson11], &[]);
static FORMS: ServiceFacts = facts("Forms", "sts", &[Protocol::Query], &[]);
static PATHS: ServiceFacts = facts("Paths", "scheduler", &[Protocol::RestJson1], BINDINGS);
static BUCKETS: ServiceFacts = facts("Buckets", "s3", &[Protocol::RestXml], BINDINGS);
static ABSENT: ServiceFacts = facts("Absent", "ec2", &[Protocol::Ec2Query], &[]);

static CATALOG: &[&ServiceFacts] = &[&ABSENT, &FORMS];

static BINDINGS: &[Binding] = &[
    Binding { operation: "Echo", method: "PUT", uri: "/echo/{Text}", query: &[], headers: &[] },
    Binding { operation: "Put", method: "PUT", uri: "/put/{Key+}", query: &[], headers: &[] },
    Binding { operation: "PutOpen", method: "PUT", uri: "/public/{Key+}", query: &[], headers: &[] },
    Binding { operation: "Drop", method: "PUT", uri: "/drop/{Key}", query: &[], headers: &[] },
    Binding { operation: "Stream", method: "GET", uri: "/{Any}", query: &[], headers: &[] },
];

/// Answers `Echo` with its body and its caller and `Much` with a long text, waits in `Hang` until released,
/// panics in `Panic`, and lets `Stream` come in pieces.
struct Toy {
    facts: &'static ServiceFacts,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

impl Api for Toy {
    fn facts(&self) -> &'static ServiceFacts {
        self.facts
    }

    fn operations(&self) -> &'static [&'static str] {
        &["Drop", "Echo", "Hang", "Much", "Open", "Panic", "Put", "PutOpen", "Small", "Stream"]
    }

    fn body_bytes_max(&self, operation: &str) -> Option<usize> {
        (operation == "Small").then_some(SMALL_BYTES_MAX)
    }

    fn intake(&self, operation: &str) -> Intake {
        match operation {
            "Put" | "PutOpen" | "Drop" => Intake::Stream { bytes_max: STREAM_BYTES_MAX },
            _others => Intake::Whole,
        }
    }

    fn takes_unsigned(&self, operation: &str) -> bool {
        matches!(operation, "Open" | "PutOpen")
    }

    fn claims(&self, head: &Head) -> bool {
        self.facts.name == BUCKETS.name && head.path().starts_with("/public/")
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let protocol = request.protocol;
            let reply = |body: Body| Reply::new(200, protocol.content_type(), body);
            match request.operation {
                "Put" | "PutOpen" => {
                    self.entered.notify_one();
                    let (kind, path) = (request.call.principal.kind, request.call.head.path().to_owned());
                    match counted(request.body).await {
                        Ok((length, sum)) => reply(format!("{kind:?} {path} {length} {sum}").into()),
                        // The edge knows better what to say.
                        Err(_broken) => reply("broken".into()),
                    }
                }
                "Drop" => reply("taken nothing".into()),
                "Echo" | "Open" | "Small" => {
                    let Request { call, body, .. } = request.whole().await.expect("it is whole");
                    let (scope, body) = (&call.principal.scope, String::from_utf8_lossy(&body));
                    reply(format!("{} {} {body}", scope.account, scope.region).into())
                }
                "Much" => reply("x".repeat(MUCH_BYTES).into()),
                "Hang" => {
                    self.entered.notify_one();
                    self.release.notified().await;
                    reply("released".into())
                }
                "Panic" => panic!("on purpose: hush"),
                "Stream" => {
                    let pieces = ["one", "two"].map(|text| Ok(http_body::Frame::data(text.into())));
                    reply(Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(pieces))))
                }
                unknown => unreachable!("{unknown} is not built"),
            }
        })
    }
}

/// The length of a body that is taken piece by piece, and its checksum.
async fn counted(mut body: Body) -> Result<(usize, String), longshore_api::BodyError> {
    let (mut length, mut sum) = (0, "-".to_owned());
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(piece) => length += piece.len(),
            Err(trailers) => {
                let trailers = trailers.into_trailers().expect("it is no data");
                let values = trailers.values().map(|value| value.to_str().expect("text"));
                sum = values.collect::<Vec<_>>().join(",");
            }
        }
    }
    Ok((length, sum))
}

/// What is below `/v2/`: tells the length of what it was sent, takes nothing at `/v2/drop`, and panics at `/v2/panic`.
struct Depot;

impl Place for Depot {
    fn serves(&self, path: &str) -> bool {
        path.starts_with("/v2/")
    }

    fn answer(&self, visit: Visit) -> BoxFuture<'_, http::Response<Body>> {
        Box::pin(async move {
            match visit.head.path() {
                "/v2/drop" => http::Response::new("taken nothing".into()),
                "/v2/panic" => panic!("on purpose: hush"),
                path => http::Response::new(match counted(visit.body).await {
                    Ok((length, _)) => format!("{path} {length}").into(),
                    Err(error) => format!("broken: {error}").into(),
                }),
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
                    socket.send(Message::Text(Text::from(hello))).await.expect("the client listens");
                    while let Some(Ok(message)) = socket.next().await {
                        let Message::Text(text) = message else { continue };
                        assert!(text.as_str() != "panic", "on purpose");
                        if socket.send(Message::Text(text)).await.is_err() {
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
    /// How often an operation has succeeded, of whichever service.
    pub fn answered(&self, operation: &str) -> u64 {
        let name = format!(",operation=\"{operation}\",code=\"OK\"}} ");
        let text = self.metrics.encode();
        let counts = text.lines().filter(|line| line.starts_with("longshore_requests_total{"));
        let counts = counts.filter_map(|line| Some(line.split_once(name.as_str())?.1));
        counts.map(|count| count.parse::<u64>().expect("a count is a number")).sum()
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
        apis: [&TOY, &FORMS, &PATHS, &BUCKETS]
            .map(|facts| -> Arc<dyn Api> {
                Arc::new(Toy { facts, entered: entered.clone(), release: release.clone() })
            })
            .to_vec(),
        catalog: CATALOG,
        sockets: Some(Arc::new(EchoSockets)),
        places: vec![Arc::new(Depot)],
        identity: Arc::new(Identity::new(mode, keyring)),
        metrics: metrics.clone(),
        clock: clock.clone(),
        ready: ready.clone(),
    };
    let mut config = Config::new("127.0.0.1:0".parse().expect("an address"), Seed::new(1));
    config.limits = limits;
    config.tls = tls;
    config.site =
        Site::default().allow_host("ecs.example").allow_origin(Origin::of_url(FRONT_END).expect("a URL"));
    let (shutdown, signal) = oneshot::channel();
    let signal = async {
        let _ = signal.await;
    };
    let running = serve(config, services.clone(), signal).await.expect("a free port");
    let address = running.local_addr();
    Server { address, clock, ready, metrics, entered, release, shutdown, running, services }
}
