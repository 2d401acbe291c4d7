//! Signed requests per second through the front alone, with an API that does nothing. Bytes are written and read by
//! hand, so that the client takes as little as it can of the machine that it shares with the server.
//!
//! `cargo run --release -p longshore-front --example load [connections] [seconds]` measures, client and
//! server sharing the machine. `... --example load serve` serves until interrupted, for a try
//! with a real SDK (`AKIAKNOWN` / `secret`, any region).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use longshore_api::{Api, Body, BoxFuture, Reply, Request};
use longshore_base::{AccountId, Seed};
use longshore_client::{Client, HttpClient, SystemClock};
use longshore_front::{Config, Ready, Services, serve};
use longshore_identity::{AccessKey, Identity, Keyring, Mode, PrincipalKind};
use longshore_sigv4::Credentials;
use longshore_telemetry::Metrics;
use longshore_wire::route::ServiceFacts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Nothing;

impl Api for Nothing {
    fn facts(&self) -> &'static ServiceFacts {
        &longshore_catalog::ECS
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        let body = Body::from(&br#"{"clusterArns":[]}"#[..]);
        Box::pin(async move { Reply::new(200, request.protocol.content_type(), body) })
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let credentials = Credentials::new("AKIAKNOWN", "secret");
        let keyring = Arc::new(Keyring::new());
        keyring
            .add(AccessKey {
                credentials: credentials.clone(),
                account: AccountId::parse("111122223333").expect("twelve digits"),
                kind: PrincipalKind::Root,
                name: String::new(),
                expires: None,
            })
            .expect("room for one");
        let services = Services {
            apis: vec![Arc::new(Nothing)],
            catalog: longshore_catalog::ALL,
            sockets: None,
            places: Vec::new(),
            identity: Arc::new(Identity::new(Mode::Strict, keyring)),
            metrics: Metrics::new(),
            clock: Arc::new(SystemClock),
            ready: Ready::new(),
        };
        let config = Config::new("127.0.0.1:0".parse().expect("an address"), Seed::new(1));
        let running = serve(config, services, std::future::pending()).await.expect("a free port");
        let address = running.local_addr();
        if first.as_deref() == Some("serve") {
            println!("http://{address}");
            running.ended().await;
            return;
        }
        let number = |text: Option<String>, default| {
            text.map_or(default, |text| text.parse().expect("a whole number"))
        };
        let (connections, seconds) = (number(first, 16), number(args.next(), 5));
        measure(address, &credentials, connections, Duration::from_secs(seconds)).await;
    });
}

async fn measure(address: SocketAddr, credentials: &Credentials, connections: u64, span: Duration) {
    // One signature for all: the server verifies it every time, the client signs it once.
    let request: Arc<[u8]> = request(address, credentials).into();
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + span;
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (request, done) = (request.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the server listens");
            stream.set_nodelay(true).expect("a TCP socket");
            let mut buffer = vec![0; 4096];
            let mut took = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                stream.write_all(&request).await.expect("the server reads");
                let read = stream.read(&mut buffer).await.expect("an answer");
                assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "{:?}", &buffer[..read]);
                took.push(began.elapsed());
                done.fetch_add(1, Ordering::Relaxed);
            }
            took
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("no client fails"));
    }
    all.sort_unstable();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
    let rate = done.load(Ordering::Relaxed) as f64 / span.as_secs_f64();
    println!("{connections} connections: {rate:.0}/s, p50 {:?}, p99 {:?}", at(0.5), at(0.99));
}

fn request(address: SocketAddr, credentials: &Credentials) -> Vec<u8> {
    let endpoint = format!("http://{address}");
    let clock = Arc::new(SystemClock);
    let client = Client::new(HttpClient::default(), &endpoint, credentials.clone(), "us-east-1", clock);
    let client = client.expect("an address");
    client.signed_json("ecs", "AmazonEC2ContainerServiceV20141113.ListClusters", "{}").bytes()
}
