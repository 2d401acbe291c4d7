//! The agents' sockets: one task per connection, around the sessions of `longshore-link`.
//!
//! A connection is woken with the tasks whose work changed, looks at what is wanted of them now, waits until that is
//! durable, and lets the session find the difference to what it has sent already. Now and then it looks at all.
//!
//! A connection's end, be it a panic, takes back what it noted ([`Presence`]): nobody stays connected by mistake.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use longshore_api::{BoxFuture, Call, Message, Refusal, Socket, SocketHandler, Sockets};
use longshore_base::{Seed, TaskId, Timestamp};
use longshore_link::server::{CloseReason, Input, Observation, Output, Session, Telemetry, TelemetryOutput};
use longshore_link::upgrade::{AcsQuery, Refusal as LinkRefusal, TcsQuery};
use longshore_state::Db;
use longshore_tables_ecs::{AgentHint, EcsTx, InstanceKey};
use longshore_telemetry::{Damper, Metrics};
use tokio::sync::{Notify, watch};

use crate::link::{self, Found, Look};

/// Where agents open their command channel, and where their telemetry channel.
pub const ACS_PATH: &str = "/acs/ws";
pub const TCS_PATH: &str = "/tcs/ws";

/// How often a connection compares everything with what it has told. Hints make that unnecessary; should one ever be
/// missing, it costs this much time.
const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(300);

/// How long a connection may take to say that the server goes away. One whose agent does not read is dropped.
const FAREWELL: Duration = Duration::from_millis(200);

/// Longest sleep of a connection that waits for nothing; its session's deadlines are sooner.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Why a connection has ended that this server did not close.
const CLOSED: &str = "the agent closed it";
const CUT: &str = "the connection broke";
const NOT_STORED: &str = "what it said could not be stored";
const SERVER_ENDS: &str = "the server ends";
const NO_TEXT: &str = "the agent sent what is no text";

/// How many connections of an agent the log tells, within which time, and of how many agents. A connection lasts for half
/// an hour.
const CONNECTIONS_TOLD: u32 = 5;
const TOLD_EVERY: Duration = Duration::from_secs(600);
const TOLD_KEYS_MAX: usize = 20_000;

/// What is repeated of an ARN that nobody knows.
const UNKNOWN_ARN_CHARACTERS_MAX: usize = 300;

/// All open command channels.
pub struct Hub {
    db: Arc<Db>,
    open: parking_lot::Mutex<BTreeMap<InstanceKey, Slot>>,
    generations: AtomicU64,
    /// How many instances are known to the state as connected.
    connected: watch::Sender<usize>,
    /// How many sockets are open, of both kinds.
    sockets: watch::Sender<usize>,
    /// The server goes away.
    closing: watch::Sender<bool>,
    metrics: Metrics,
    /// Which sockets the operator hears of, and which refusals: agents come again on their own, some without a pause.
    told: Damper<(InstanceKey, Channel)>,
    refused: Damper<IpAddr>,
}

/// An agent's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    Commands,
    Telemetry,
}

/// The newest connection of an instance.
struct Slot {
    generation: u64,
    door: Arc<Door>,
}

/// Where a connection is told to look again, and at what.
#[derive(Default)]
struct Door {
    wake: Notify,
    look: parking_lot::Mutex<Look>,
}

impl Slot {
    /// Without a task, the instance itself has changed, or a newer connection has entered.
    fn knock(&self, task: Option<TaskId>) {
        if let Some(task) = task {
            self.door.look.lock().also(task);
        }
        self.door.wake.notify_one();
    }
}

impl Hub {
    /// Makes the hub that `db` wakes.
    pub fn new(db: Arc<Db>, metrics: Metrics) -> Arc<Self> {
        let hub = Arc::new(Self {
            db: db.clone(),
            open: parking_lot::Mutex::default(),
            generations: AtomicU64::new(1),
            connected: watch::Sender::new(0),
            sockets: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            metrics,
            told: Damper::new(1, CONNECTIONS_TOLD, TOLD_EVERY, TOLD_KEYS_MAX),
            refused: Damper::new(1, CONNECTIONS_TOLD, TOLD_EVERY, TOLD_KEYS_MAX),
        });
        let waker = Arc::downgrade(&hub);
        db.on_hint(move |hints| {
            let Some(hub) = waker.upgrade() else { return };
            let open = hub.open.lock();
            for hint in hints {
                let (key, task) = match hint {
                    AgentHint::Instance(key) => (key, None),
                    AgentHint::Work(key, task) => (key, Some(*task)),
                };
                if let Some(slot) = open.get(key) {
                    slot.knock(task);
                }
            }
        });
        hub
    }

    /// How many instances tasks can be placed on as far as their connection is concerned.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.subscribe()
    }

    /// How many sockets are open, of both kinds.
    pub fn open_sockets(&self) -> watch::Receiver<usize> {
        self.sockets.subscribe()
    }

    /// Closes all sockets and takes no more. The agents come back after a pause, to whoever serves then.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Resolves when the server goes away.
    async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender is in `self`, so that this ends with true only.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Enters a connection as the newest of its instance; an older one finds out and closes.
    fn enter(&self, at: &InstanceKey) -> (u64, Arc<Door>) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let door = Arc::new(Door::default());
        let slot = Slot { generation, door: door.clone() };
        if let Some(older) = self.open.lock().insert(at.clone(), slot) {
            older.knock(None);
        }
        (generation, door)
    }

    fn is_newest(&self, at: &InstanceKey, generation: u64) -> bool {
        self.open.lock().get(at).is_some_and(|slot| slot.generation == generation)
    }

    fn now(&self) -> Timestamp {
        self.db.clock().now()
    }

    async fn serve_acs(self: Arc<Self>, at: InstanceKey, query: AcsQuery, socket: Socket) {
        let _open = Counted::one(&self.sockets);
        let (generation, door) = self.enter(&at);
        let mut presence = Presence { hub: &self, at: &at, generation, counted: None };
        let seed = Seed::new(generation.into());
        let opened = self.db.write(|tx| Ok::<_, ()>(link::connected(tx, &at, &query, seed))).await;
        let Ok(Ok(Some(connection))) = opened else { return };
        let told = self.tell(&at, Channel::Commands, &query.agent_version);
        let session = Session::new(self.now(), connection);
        let _counted = self.metrics.agent_connects();
        presence.counted = Some(Counted::one(&self.connected));
        let (mut sink, stream) = socket.split();
        let reason = tokio::select! {
            reason = self.converse(&at, generation, &door, session, &mut sink, stream) => reason,
            () = self.closed() => {
                take_leave(&mut sink).await;
                SERVER_ENDS
            }
        };
        if told {
            tracing::info!(instance = %at.instance, channel = ?Channel::Commands, reason, "agent disconnected");
        }
    }

    /// Tells the operator of a new connection, unless there are many. Says whether its end is to be told too.
    fn tell(&self, at: &InstanceKey, channel: Channel, agent_version: &str) -> bool {
        let Some(kept_back) = self.told.event(Instant::now(), (at.clone(), channel)) else { return false };
        let (cluster, instance) = (&at.cluster.cluster, at.instance);
        tracing::info!(%cluster, %instance, ?channel, agent = ?agent_version, kept_back, "agent connected");
        true
    }

    /// The connection is over. Unless a newer one has entered, the agent is gone.
    fn leave(&self, at: &InstanceKey, generation: u64) {
        let mut open = self.open.lock();
        if open.get(at).is_some_and(|slot| slot.generation == generation) {
            open.remove(at);
        }
        drop(open);
        // Looked at again inside the transaction: a new connection enters first and is noted after.
        let _ = self.db.submit(|tx| {
            if !self.open.lock().contains_key(at) {
                tx.set_connected(at, false);
            }
            Ok::<_, ()>(())
        });
    }

    /// Runs the session until either side ends it. Gives the reason in words for the operator.
    async fn converse(
        &self,
        at: &InstanceKey,
        generation: u64,
        door: &Door,
        mut session: Session,
        sink: &mut SplitSink<Socket, Message>,
        mut stream: SplitStream<Socket>,
    ) -> &'static str {
        let mut look = Some(Look::All);
        let mut look_at_all_at = self.now();
        loop {
            if let Some(look) = look.take() {
                match self.look(at, &look).await {
                    Some(found) => link::tell(&mut session, self.now(), &look, found),
                    None => session.handle(self.now(), Input::Close(CloseReason::Deregistered)),
                }
                if look == Look::All {
                    look_at_all_at = self.now() + LOOK_AT_ALL_EVERY;
                }
            }
            let mut sent = false;
            while let Some(output) = session.poll(&mut |arn| self.db.peek(|s| link::task_payload(s, at, arn)))
            {
                match output {
                    Output::Send(text) => {
                        sent = true;
                        if sink.feed(Message::Text(text.into())).await.is_err() {
                            return CUT;
                        }
                    }
                    Output::Close(reason) => {
                        let _ = sink.send(close(reason)).await;
                        return reason.text();
                    }
                    Output::CredentialsSettled => {
                        let settled = self
                            .db
                            .write(|tx| {
                                link::credentials_settled(tx, at);
                                Ok::<_, ()>(())
                            })
                            .await;
                        if settled.is_err() {
                            return NOT_STORED;
                        }
                    }
                    Output::Strays(tasks) => {
                        tracing::warn!(instance = %at.instance, count = tasks.len(), "told an agent to stop strays");
                    }
                    Output::Malformed(error) => {
                        tracing::warn!(instance = %at.instance, %error, "skipped a malformed message");
                    }
                    Output::HeartbeatSeen | Output::TaskAcked { .. } | Output::CredentialsAcked { .. } => {}
                }
            }
            if sent && sink.flush().await.is_err() {
                return CUT;
            }
            let now = self.now();
            let pause = session.deadline().map_or(IDLE_MAX, |deadline| deadline.since(now).min(IDLE_MAX));
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => session.handle(self.now(), Input::Received(text.as_str())),
                    Some(Ok(Message::Close { .. })) => return CLOSED,
                    Some(Err(_)) | None => return CUT,
                    // Commands are text; what else there is means nothing.
                    Some(Ok(Message::Binary(_))) => {}
                },
                () = door.wake.notified() => {
                    if !self.is_newest(at, generation) {
                        session.handle(self.now(), Input::Close(CloseReason::Superseded));
                        continue;
                    }
                    look = Some(std::mem::take(&mut *door.look.lock()));
                }
                () = tokio::time::sleep(pause) => {
                    session.handle(self.now(), Input::Tick);
                    if look_at_all_at <= self.now() {
                        look = Some(Look::All);
                    }
                }
            }
        }
    }

    /// What a look finds, once that is durable.
    async fn look(&self, at: &InstanceKey, look: &Look) -> Option<Found> {
        self.db.read(|state| link::look(state, at, look)).await.ok().flatten()
    }

    async fn serve_tcs(self: Arc<Self>, at: InstanceKey, query: TcsQuery, socket: Socket) {
        let _open = Counted::one(&self.sockets);
        let told = self.tell(&at, Channel::Telemetry, &query.agent_version);
        let (mut sink, stream) = socket.split();
        let reason = tokio::select! {
            reason = self.listen(&at, &mut sink, stream) => reason,
            () = self.closed() => {
                take_leave(&mut sink).await;
                SERVER_ENDS
            }
        };
        if told {
            tracing::info!(instance = %at.instance, channel = ?Channel::Telemetry, reason, "agent disconnected");
        }
    }

    /// Takes in what an agent observes until either side ends it. Gives the reason in words for the operator.
    async fn listen(
        &self,
        at: &InstanceKey,
        sink: &mut SplitSink<Socket, Message>,
        mut stream: SplitStream<Socket>,
    ) -> &'static str {
        let seed = Seed::new(self.generations.fetch_add(1, Ordering::Relaxed).into());
        let mut session = Telemetry::new(self.now(), seed);
        loop {
            while let Some(output) = session.poll() {
                match output {
                    TelemetryOutput::Send(text) => {
                        if sink.send(Message::Text(text.into())).await.is_err() {
                            return CUT;
                        }
                    }
                    TelemetryOutput::Observed(Observation::Health(published)) => {
                        for tasks in link::health_parts(&published.tasks) {
                            let taken = self.db.write(|tx| {
                                link::health(tx, at, tasks);
                                Ok::<_, ()>(())
                            });
                            if taken.await.is_err() {
                                return NOT_STORED;
                            }
                        }
                    }
                    TelemetryOutput::Observed(Observation::InstanceStatus(published)) => {
                        let now = self.now();
                        let taken = self
                            .db
                            .write(|tx| {
                                link::instance_health(tx, at, &published, now);
                                Ok::<_, ()>(())
                            })
                            .await;
                        if taken.is_err() {
                            return NOT_STORED;
                        }
                    }
                    // Nothing shows these yet (support/ecs.toml).
                    TelemetryOutput::Observed(Observation::Metrics(_)) => {}
                    TelemetryOutput::Malformed(error) => {
                        tracing::warn!(instance = %at.instance, %error, "skipped a malformed telemetry message");
                    }
                    TelemetryOutput::Close(reason) => {
                        let _ = sink.send(close(reason)).await;
                        return reason.text();
                    }
                }
            }
            let pause =
                session.deadline().map_or(IDLE_MAX, |deadline| deadline.since(self.now()).min(IDLE_MAX));
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => session.received(self.now(), text.as_str()),
                    Some(Ok(Message::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                        Ok(text) => session.received(self.now(), text),
                        Err(_) => return NO_TEXT,
                    },
                    Some(Ok(Message::Close { .. })) => return CLOSED,
                    Some(Err(_)) | None => return CUT,
                },
                () = tokio::time::sleep(pause) => session.tick(self.now()),
            }
        }
    }
}

/// One more, for as long as this lives.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn one(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A connection's place in the hub. Dropping it is how the connection leaves, also when its task panics or is dropped.
struct Presence<'a> {
    hub: &'a Hub,
    at: &'a InstanceKey,
    generation: u64,
    /// Among [`Hub::connected`], once it is.
    counted: Option<Counted<'a>>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.counted = None;
        self.hub.leave(self.at, self.generation);
    }
}

/// Tells the agent that the server goes away. It backs off, and comes back.
async fn take_leave(sink: &mut SplitSink<Socket, Message>) {
    let told = sink.send(close(CloseReason::Draining));
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

fn close(reason: CloseReason) -> Message {
    Message::Close { code: reason.code(), reason: reason.text().into() }
}

fn refusal(refusal: LinkRefusal) -> Refusal {
    let status = http::StatusCode::from_u16(refusal.http_status()).expect("a refusal has a valid status");
    Refusal { status, body: refusal.body().into() }
}

/// The hub as the front sees it.
pub struct AgentSockets(pub Arc<Hub>);

impl Sockets for AgentSockets {
    fn serves(&self, path: &str) -> bool {
        path == ACS_PATH || path == TCS_PATH
    }

    fn open<'a>(
        &'a self,
        call: Call,
        path: &'a str,
        query: Vec<(String, String)>,
    ) -> BoxFuture<'a, Result<SocketHandler, Refusal>> {
        let hub = self.0.clone();
        let acs = path == ACS_PATH;
        Box::pin(async move {
            if hub.is_closing() {
                return Err(refusal(LinkRefusal::NotServing));
            }
            let acs_query = AcsQuery::from_pairs(query.clone());
            let tcs_query = TcsQuery::from_pairs(query);
            let (arn, channel) = if acs {
                (&acs_query.container_instance_arn, Channel::Commands)
            } else {
                (&tcs_query.container_instance_arn, Channel::Telemetry)
            };
            let identified = hub.db.read(|state| link::identify(state, &call.principal.scope, arn)).await;
            let at = match identified.unwrap_or(Err(LinkRefusal::NotServing)) {
                Ok(at) => at,
                Err(reason) => {
                    if let Some(kept_back) = hub.refused.event(Instant::now(), call.source_ip) {
                        let instance: String = arn.chars().take(UNKNOWN_ARN_CHARACTERS_MAX).collect();
                        let peer = call.source_ip;
                        tracing::info!(%peer, ?instance, ?channel, %reason, kept_back, "an agent's socket was refused");
                    }
                    return Err(refusal(reason));
                }
            };
            let handler: SocketHandler = if acs {
                Box::new(move |socket| Box::pin(hub.serve_acs(at, acs_query, socket)))
            } else {
                Box::new(move |socket| Box::pin(hub.serve_tcs(at, tcs_query, socket)))
            };
            Ok(handler)
        })
    }
}
