//! A control plane of one process for tests: real sockets, verified signatures, the real server sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use longshore_base::{Clock, Seed, Timestamp};
use longshore_link::message::{TaskPayload, split_signed};
use longshore_link::server;
use longshore_link::upgrade::{AcsQuery, Refusal};
use longshore_sigv4::{CLOCK_SKEW, Presented, Secret};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

pub const SECRET: &str = "secret-of-the-instance";
pub const CLUSTER: &str = "arn:aws:ecs:us-east-1:111122223333:cluster/c";

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_millis(since.as_millis() as i64)
    }
}

/// What the control plane knows. Every change wakes the sockets and whoever waits.
#[derive(Default)]
pub struct Known {
    pub desired: Vec<server::DesiredTask>,
    pub payloads: BTreeMap<String, TaskPayload>,
    /// Per task, the statuses that were reported.
    pub reports: BTreeMap<String, Vec<Value>>,
    pub acked: Vec<String>,
    pub registrations: Vec<Value>,
    pub observed: usize,
    pub refusal: Option<Refusal>,
    /// What inquiries are answered, by operation.
    pub answers: BTreeMap<&'static str, (u16, Value)>,
    /// Operation, access key and body of each.
    pub inquiries: Vec<(String, String, Value)>,
    epoch: u32,
}

pub struct ControlPlane {
    pub address: SocketAddr,
    pub known: Arc<Mutex<Known>>,
    changed: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl ControlPlane {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let known = Arc::new(Mutex::new(Known::default()));
        let changed = watch::Sender::new(0);
        let (shared, sender) = (known.clone(), changed.clone());
        let accepting = tokio::spawn(async move {
            // Dropped with the task, so that aborting it closes every connection, as a crash does.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (known, changed) = (shared.clone(), sender.clone());
                connections.spawn(async move {
                    let service =
                        service_fn(move |request| serve(request, address, known.clone(), changed.clone()));
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                });
            }
        });
        Self { address, known, changed, accepting }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let result = change(&mut self.known.lock().expect("no test panics while it holds this"));
        self.changed.send_modify(|count| *count += 1);
        result
    }

    pub fn want(&self, payload: TaskPayload) {
        self.with(|known| {
            let task = Arc::from(payload.arn.as_str());
            let want = payload.desired_status;
            known.desired.retain(|desired| desired.task != task);
            known.desired.push(server::DesiredTask { task, want, confirmed: false });
            known.payloads.insert(payload.arn.clone(), payload);
        });
    }

    /// Waits until `look` gives something, at most ten seconds.
    pub async fn wait_for<T>(&self, what: &str, look: impl Fn(&Known) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(found) = look(&self.known.lock().expect("not poisoned")) {
                    return found;
                }
                changes.changed().await.expect("the sender lives as long as this");
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.unwrap_or_else(|_| panic!("no {what}"))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Verifies a signature; the secret is the same for every key.
fn verify(method: &str, path: &str, query: &str, headers: &[(String, String)], body: &[u8]) {
    let request = longshore_sigv4::Request { method, path, query, headers: &headers };
    let presented = Presented::parse(&request).expect("it is signed");
    assert_eq!(presented.service(), "ecs");
    presented.check_time(SystemClock.now(), CLOCK_SKEW).expect("it is signed now");
    let key = presented.signing_key(&Secret::new(SECRET));
    presented.verify(&request, &key, body).expect("the signature is right");
}

async fn serve(
    request: Request<Incoming>,
    address: SocketAddr,
    known: Arc<Mutex<Known>>,
    changed: watch::Sender<u64>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
        .collect();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let method = request.method().clone();
    if method == http::Method::GET {
        verify("GET", &path, &query, &headers, b"");
        return Ok(upgrade(request, &path, query, known, changed));
    }
    let target = request.headers()["x-amz-target"].to_str().expect("ASCII").to_owned();
    let authorization = request.headers()["authorization"].to_str().expect("ASCII");
    let key = authorization.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next());
    let key = key.expect("it names one").to_owned();
    let body = request.into_body().collect().await.expect("it comes whole").to_bytes();
    verify("POST", &path, &query, &headers, &body);
    let body: Value = serde_json::from_slice(&body).expect("it is JSON");
    let answer = {
        let mut known = known.lock().expect("not poisoned");
        match target.rsplit('.').next() {
            Some("RegisterContainerInstance") => {
                known.registrations.push(body.clone());
                let number = known.registrations.len();
                let arn = body["containerInstanceArn"].as_str().map_or_else(
                    || format!("arn:aws:ecs:us-east-1:111122223333:container-instance/c/{number}"),
                    str::to_owned,
                );
                json!({"containerInstance": {"containerInstanceArn": arn, "attributes": body["attributes"]}})
            }
            Some("DiscoverPollEndpoint") => json!({
                "endpoint": format!("http://{address}/acs"),
                "telemetryEndpoint": format!("http://{address}/tcs"),
            }),
            Some("SubmitTaskStateChange") => {
                let task = body["task"].as_str().expect("it names a task").to_owned();
                if body["status"] == "STOPPED" {
                    known.desired.retain(|desired| *desired.task != task);
                }
                known.reports.entry(task).or_default().push(body);
                json!({"acknowledgment": "ok"})
            }
            Some(operation @ ("GetTaskProtection" | "UpdateTaskProtection" | "ListTagsForResource")) => {
                let answer = known.answers.get(operation).cloned();
                known.inquiries.push((operation.to_owned(), key, body));
                match answer.expect("the test says what is answered") {
                    (200, answer) => answer,
                    (status, answer) => {
                        let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                        return Ok(response);
                    }
                }
            }
            other => panic!("nobody should call {other:?}"),
        }
    };
    changed.send_modify(|count| *count += 1);
    Ok(Response::new(Full::new(Bytes::from(answer.to_string()))))
}

fn upgrade(
    mut request: Request<Incoming>,
    path: &str,
    query: String,
    known: Arc<Mutex<Known>>,
    changed: watch::Sender<u64>,
) -> Response<Full<Bytes>> {
    if let Some(refusal) = known.lock().expect("not poisoned").refusal {
        let mut response = Response::new(Full::new(Bytes::from(refusal.body())));
        *response.status_mut() = StatusCode::from_u16(refusal.http_status()).expect("a status");
        return response;
    }
    let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
    let path = path.to_owned();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        // The default buffers are 128 KiB each way, which thousands of agents would make gigabytes.
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        match path.as_str() {
            "/acs/ws" => commands(socket, &query, known, changed).await,
            "/tcs/ws" => telemetry(socket, &query, known, changed).await,
            other => panic!("nobody should open {other}"),
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header("sec-websocket-accept", derive_accept_key(&key))
        .body(Full::default())
        .expect("it is complete")
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn commands(mut socket: Socket, query: &str, known: Arc<Mutex<Known>>, changed: watch::Sender<u64>) {
    let query = AcsQuery::parse(query);
    let mut changes = changed.subscribe();
    let mut session = {
        let mut known = known.lock().expect("not poisoned");
        known.epoch += 1;
        server::Session::new(
            SystemClock.now(),
            server::Connection {
                instance_arn: query.container_instance_arn.as_str().into(),
                cluster_arn: CLUSTER.into(),
                send_credentials: query.send_credentials,
                first_number: server::first_number(known.epoch),
                seed: Seed::new(1),
            },
        )
    };
    loop {
        let desired = known.lock().expect("not poisoned").desired.clone();
        session.handle(SystemClock.now(), server::Input::Desired(desired));
        loop {
            let output = {
                let known = known.lock().expect("not poisoned");
                session.poll(&mut |task| known.payloads.get(task).cloned())
            };
            match output {
                Some(server::Output::Send(text)) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                }
                Some(server::Output::TaskAcked { task, want }) => {
                    let mut known = known.lock().expect("not poisoned");
                    known.acked.push(format!("{want:?} {task}"));
                    drop(known);
                    changed.send_modify(|count| *count += 1);
                }
                Some(server::Output::Close(_)) => return,
                Some(_) => {}
                None => break,
            }
        }
        let deadline = session.deadline().map_or(Duration::from_secs(60), |at| at.since(SystemClock.now()));
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Message::Text(text))) => {
                    session.handle(SystemClock.now(), server::Input::Received(text.as_str()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            _ = changes.changed() => {}
            () = tokio::time::sleep(deadline) => session.handle(SystemClock.now(), server::Input::Tick),
        }
    }
}

async fn telemetry(mut socket: Socket, query: &str, known: Arc<Mutex<Known>>, changed: watch::Sender<u64>) {
    let mut session = server::Telemetry::new(SystemClock.now(), Seed::new(1));
    while let Some(Ok(frame)) = socket.next().await {
        let Message::Text(text) = frame else { continue };
        let signed = split_signed(text.as_str()).expect("it has a signature block");
        let headers: Vec<(String, String)> =
            signed.header_lines().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        verify("GET", "/tcs/ws", query, &headers, signed.body.as_bytes());
        session.received(SystemClock.now(), text.as_str());
        while let Some(output) = session.poll() {
            match output {
                server::TelemetryOutput::Send(text) => {
                    let _ = socket.send(Message::text(text)).await;
                }
                server::TelemetryOutput::Observed(_) => {
                    known.lock().expect("not poisoned").observed += 1;
                    changed.send_modify(|count| *count += 1);
                }
                output => panic!("{output:?}"),
            }
        }
    }
}
