//! The shell around one scripted instance: its registration, its sockets, its sleeps.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use longshore_base::{Ids, Seed, Timestamp};
use longshore_client::{Client, Endpoint, Stream};
use longshore_link::client::{
    Backoff, Ending, Input, Loss, Output, Session, Telemetry, TelemetryInput, TelemetryOutput,
};
use longshore_link::message::{Ack, Named, PayloadMessage, PublishMetadata, PublishMetrics, join_signed};
use longshore_link::upgrade::{AcsQuery, Refusal, TcsQuery};
use longshore_shapes_ecs::SIGNING_NAME;
use longshore_sigv4::ToSign;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::crowd::Options;
use crate::instance::Instance;
use crate::pool::Pool;
use crate::registration::{discovery, endpoints, registered_arn, registration};
use crate::stats::{Counters, add, subtract};

const AGENT_VERSION: &str = "1.105.1";
const AGENT_HASH: &str = "scripted";
const DOCKER_VERSION: &str = "20.10.24";

/// As long as the official agent waits for a handshake (agent-protocol G5).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Most messages are below a kilobyte; ten thousand connections shall not hold a buffer for the largest.
const READ_BUFFER_BYTES: usize = 4096;

pub(crate) struct Shared {
    pub options: Options,
    pub pool: Pool,
    pub counters: Arc<Counters>,
    /// Handshakes under way.
    pub connecting: Semaphore,
}

type Socket = WebSocketStream<Box<dyn Stream>>;

pub(crate) struct Agent {
    shared: Arc<Shared>,
    index: usize,
    seed: Seed,
}

impl Agent {
    pub fn new(shared: Arc<Shared>, index: usize) -> Self {
        let seed = shared.options.seed.of(1 + index as u64);
        Self { shared, index, seed }
    }

    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        tokio::select! {
            () = self.live() => {}
            // An error means that the crowd was dropped, which stops it as well.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    async fn live(self) {
        let (arn, endpoints) = self.join().await;
        add(&self.shared.counters.registered, 1);
        let commands = Commands::new(&self, &arn, endpoints.0);
        if self.shared.options.telemetry {
            let telemetry = publish(&self, &arn, endpoints.1);
            tokio::join!(commands.run(), telemetry);
        } else {
            commands.run().await;
        }
    }

    /// Registers the instance and discovers its endpoints; tries again until both succeed.
    async fn join(&self) -> (String, (Endpoint, Endpoint)) {
        let mut backoff = Backoff::registration(self.seed.of(0));
        let token = Ids::new(self.seed.of(1)).uuid();
        loop {
            if let Some(joined) = self.try_join(&token).await {
                return joined;
            }
            tokio::time::sleep(backoff.fail()).await;
        }
    }

    async fn try_join(&self, token: &str) -> Option<(String, (Endpoint, Endpoint))> {
        let Shared { options, pool, .. } = &*self.shared;
        let request = registration(options, self.index, token.to_owned());
        let arn = registered_arn(pool.register(self.index, request).await?)?;
        let request = discovery(&options.cluster, &arn);
        let (commands, telemetry) = endpoints(pool.discover(self.index, request).await?)?;
        let commands = Endpoint::parse(&commands).ok()?;
        let telemetry = Endpoint::parse(&telemetry).ok()?;
        Some((arn, (commands, telemetry)))
    }
}

/// One instance and its command socket.
struct Commands<'a> {
    agent: &'a Agent,
    arn: &'a str,
    endpoint: Endpoint,
    session: Session,
    instance: Instance,
    socket: Option<Socket>,
}

impl<'a> Commands<'a> {
    fn new(agent: &'a Agent, arn: &'a str, endpoint: Endpoint) -> Self {
        let options = &agent.shared.options;
        Self {
            agent,
            arn,
            endpoint,
            session: Session::new(crate::now(), agent.seed.of(2), 0),
            instance: Instance::new(options.cluster.as_str().into(), options.script, agent.seed.of(3)),
            socket: None,
        }
    }

    async fn run(mut self) {
        loop {
            self.act().await;
            let deadline = [self.session.deadline(), self.instance.deadline()].into_iter().flatten().min();
            tokio::select! {
                frame = next(&mut self.socket) => self.received(frame),
                () = sleep_until(deadline) => self.session.handle(crate::now(), Input::Tick),
            }
        }
    }

    /// Does all that session and instance want done by now.
    async fn act(&mut self) {
        loop {
            if let Some(output) = self.session.poll() {
                self.perform(output).await;
            } else if let Some(report) = self.instance.poll(crate::now()) {
                let Shared { pool, counters, .. } = &*self.agent.shared;
                let is_running = report.status.as_deref() == Some("RUNNING");
                let has_ended_here =
                    report.containers.as_ref().is_some_and(|containers| !containers.is_empty());
                if !is_running && has_ended_here {
                    subtract(&counters.tasks_present, 1);
                }
                pool.report(self.agent.index, report, is_running).await;
            } else {
                return;
            }
        }
    }

    async fn perform(&mut self, output: Output) {
        let counters = &self.agent.shared.counters;
        match output {
            Output::Connect { send_credentials } => self.connect(send_credentials).await,
            Output::Send(text) => {
                if let Some(socket) = &mut self.socket
                    && socket.send(Message::text(text)).await.is_err()
                {
                    self.lost(Loss::Broken);
                }
            }
            Output::End(ending) => {
                if let Some(mut socket) = self.socket.take() {
                    subtract(&counters.connected, 1);
                    close(&mut socket, ending).await;
                }
            }
            Output::CheckRuntime => add(&counters.heartbeats, 1),
            Output::Payload(payload) => self.take(payload),
            Output::Manifest(manifest) => {
                let candidates = self.instance.unlisted(&manifest);
                self.session.handle(crate::now(), Input::ManifestStored { manifest, candidates });
            }
            Output::StopTasks(tasks) => {
                for task in tasks {
                    self.instance.stop(crate::now(), &task.task_arn);
                }
            }
            // Scripted tasks use no credentials; an agent that does not know the task stays silent as well.
            Output::Credentials(_) | Output::AttachmentIgnored { .. } | Output::ServerSays(_) => {}
            Output::Malformed(_) => add(&counters.errors, 1),
        }
    }

    fn take(&mut self, payload: PayloadMessage<Value>) {
        let now = crate::now();
        let counters = &self.agent.shared.counters;
        let before = self.instance.task_count();
        let mut understood = true;
        for task in payload.tasks {
            understood &= self.instance.assign(now, task);
        }
        let taken = (self.instance.task_count() - before) as u64;
        add(&counters.payloads, 1);
        add(&counters.tasks_taken, taken);
        add(&counters.tasks_present, taken);
        if understood {
            self.session.handle(
                now,
                Input::Acknowledge(Ack {
                    cluster: payload.cluster_arn,
                    container_instance: payload.container_instance_arn,
                    message_id: payload.message_id,
                }),
            );
        } else {
            add(&counters.errors, 1);
        }
    }

    async fn connect(&mut self, send_credentials: bool) {
        let Shared { options, connecting, counters, .. } = &*self.agent.shared;
        let query = AcsQuery {
            cluster: options.cluster.clone(),
            container_instance_arn: self.arn.to_owned(),
            agent_version: AGENT_VERSION.into(),
            agent_hash: AGENT_HASH.into(),
            docker_version: DOCKER_VERSION.into(),
            send_credentials,
        };
        match open(&options.client, &self.endpoint, &query.encode(), connecting).await {
            Ok(socket) => {
                self.socket = Some(socket);
                add(&counters.connected, 1);
                self.session.handle(crate::now(), Input::Opened);
            }
            Err(refusal) => {
                add(&counters.errors, 1);
                self.session.handle(crate::now(), Input::Refused(refusal));
            }
        }
    }

    fn received(&mut self, frame: Frame) {
        match frame {
            Frame::Text(text) => self.session.handle(crate::now(), Input::Received(&text)),
            Frame::Nothing => {}
            Frame::Lost(loss) => self.lost(loss),
        }
    }

    fn lost(&mut self, loss: Loss) {
        if self.socket.take().is_some() {
            let counters = &self.agent.shared.counters;
            subtract(&counters.connected, 1);
            add(&counters.connections_lost, 1);
            self.session.handle(crate::now(), Input::Lost(loss));
        }
    }
}

/// The telemetry socket: it says that there is nothing to tell, as with `ECS_DISABLE_METRICS`.
async fn publish(agent: &Agent, arn: &str, endpoint: Endpoint) {
    let Shared { options, connecting, counters, .. } = &*agent.shared;
    let mut session = Telemetry::new(crate::now(), agent.seed.of(4));
    let mut ids = Ids::new(agent.seed.of(5));
    let mut socket: Option<Socket> = None;
    let query = TcsQuery {
        cluster: options.cluster.clone(),
        container_instance_arn: arn.to_owned(),
        agent_version: AGENT_VERSION.into(),
        agent_hash: AGENT_HASH.into(),
        docker_version: DOCKER_VERSION.into(),
    }
    .encode();
    loop {
        while let Some(output) = session.poll() {
            match output {
                TelemetryOutput::Connect => {
                    match open(&options.client, &endpoint, &query, connecting).await {
                        Ok(opened) => {
                            socket = Some(opened);
                            session.handle(crate::now(), TelemetryInput::Opened);
                        }
                        Err(refusal) => session.handle(crate::now(), TelemetryInput::Refused(refusal)),
                    }
                }
                TelemetryOutput::Send(body) => {
                    let signed = signed(&options.client, &endpoint, &query, body.as_bytes());
                    let lines = signed.iter().map(|(name, value)| (*name, value.as_str()));
                    let text = join_signed(lines.chain([("Host", endpoint.authority.as_str())]), &body);
                    if let Some(open) = &mut socket
                        && open.send(Message::text(text)).await.is_err()
                    {
                        socket = None;
                        session.handle(crate::now(), TelemetryInput::Lost(Loss::Broken));
                    }
                }
                TelemetryOutput::End(ending) => {
                    if let Some(mut socket) = socket.take() {
                        close(&mut socket, ending).await;
                    }
                }
                TelemetryOutput::Round => {
                    let idle = idle_metrics(&options.cluster, arn, ids.uuid(), crate::now());
                    session.handle(crate::now(), TelemetryInput::Publish(idle));
                }
                TelemetryOutput::Malformed(_) => add(&counters.errors, 1),
            }
        }
        tokio::select! {
            frame = next(&mut socket) => match frame {
                Frame::Text(text) => session.handle(crate::now(), TelemetryInput::Received(&text)),
                Frame::Nothing => {}
                Frame::Lost(loss) => {
                    socket = None;
                    session.handle(crate::now(), TelemetryInput::Lost(loss));
                }
            },
            () = sleep_until(session.deadline()) => session.handle(crate::now(), TelemetryInput::Tick),
        }
    }
}

fn idle_metrics(cluster: &str, arn: &str, message_id: String, now: Timestamp) -> String {
    PublishMetrics {
        metadata: PublishMetadata {
            cluster: cluster.to_owned(),
            container_instance: arn.to_owned(),
            message_id,
            request_id: String::new(),
            idle: Some(true),
            fin: Some(true),
        },
        task_metrics: Vec::new(),
        timestamp: now.as_seconds_f64(),
    }
    .frame()
}

/// Opens one of the two sockets; the error is what the server has said, if it is known.
async fn open(
    client: &Client,
    endpoint: &Endpoint,
    query: &str,
    connecting: &Semaphore,
) -> Result<Socket, Option<Refusal>> {
    let _permit = connecting.acquire().await.map_err(|_| None)?;
    let scheme = if endpoint.origin.is_tls { "wss" } else { "ws" };
    let mut request = http::Request::builder()
        .uri(format!("{scheme}://{}{}?{query}", endpoint.authority, path(endpoint)))
        .header("host", &endpoint.authority)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key());
    for (name, value) in signed(client, endpoint, query, b"") {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|_| None)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let shake = async {
        let stream = client.http().connect(&endpoint.origin).await.map_err(std::io::Error::other)?;
        client_async_with_config(request, stream, Some(config)).await
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, shake).await {
        Ok(Ok((socket, _answer))) => Ok(socket),
        Ok(Err(Error::Http(answer))) => Err(answer.body().as_deref().and_then(Refusal::parse)),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}

/// What is appended to an endpoint for a socket (agent-protocol G2).
fn path(endpoint: &Endpoint) -> String {
    format!("{}/ws", endpoint.path)
}

/// The headers that sign the upgrade of an agent's socket (agent-protocol G5), or a message on it (G9).
fn signed(client: &Client, endpoint: &Endpoint, query: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    let headers = [("host", endpoint.authority.as_str())];
    let to_sign = ToSign { method: "GET", path: &path(endpoint), query, headers: &headers, body };
    client.signer().sign(SIGNING_NAME, &to_sign)
}

async fn close(socket: &mut Socket, ending: Ending) {
    match ending {
        Ending::Drop => {}
        Ending::Close(reason) => {
            let frame = CloseFrame { code: 1000.into(), reason: reason.into() };
            // It is over either way.
            let _ = socket.close(Some(frame)).await;
        }
    }
}

enum Frame {
    Text(String),
    Nothing,
    Lost(Loss),
}

/// The next frame; never, while there is no socket.
async fn next(socket: &mut Option<Socket>) -> Frame {
    let Some(socket) = socket else { return std::future::pending().await };
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Frame::Text(text.to_string()),
        Some(Ok(Message::Close(frame))) => {
            Frame::Lost(Loss::Closed(frame.map_or(1005, |frame| u16::from(frame.code))))
        }
        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
            Frame::Nothing
        }
        Some(Err(_)) | None => Frame::Lost(Loss::Broken),
    }
}

async fn sleep_until(deadline: Option<Timestamp>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.since(crate::now())).await,
        None => std::future::pending().await,
    }
}
