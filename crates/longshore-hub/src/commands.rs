//! An agent's command channel (ACS): what `CommandChannel` says, done with a socket and the database.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use longshore_api::{Message, Socket};
use longshore_controllers::connection::{CommandChannel, Generation, Input, News, Output};
use longshore_controllers::link;
use longshore_link::upgrade::AcsQuery;
use longshore_state::Sequence;
use longshore_tables_ecs::InstanceKey;
use longshore_telemetry::InFlight;
use tokio::sync::Notify;

use crate::hub::{Channel, Counted, Hub, close, take_leave};
use crate::{CLOSED, CUT, IDLE_MAX, NOT_STORED, SERVER_ENDS};

impl Hub {
    pub(crate) async fn serve_acs(
        self: Arc<Self>,
        at: InstanceKey,
        query: AcsQuery,
        peer: IpAddr,
        socket: Socket,
    ) {
        let _open = Counted::one(&self.sockets);
        let mut presence = Presence::enter(&self, &at, &query, peer);
        let mut channel = CommandChannel::new(self.now());
        let (mut sink, stream) = socket.split();
        let reason = tokio::select! {
            reason = converse(&mut presence, &mut channel, &mut sink, stream) => reason,
            () = self.closed() => {
                channel.handle(self.now(), Input::Draining);
                // It has nothing more to say than that, so that no payload is asked for.
                if let Some(Output::Close(reason)) = channel.poll(&mut |_| None) {
                    take_leave(&mut sink, reason).await;
                }
                SERVER_ENDS
            }
        };
        if presence.told {
            tracing::info!(instance = %at.instance, channel = ?Channel::Commands, reason, "agent disconnected");
        }
    }
}

/// How a connection is woken, and where it comes from.
#[derive(Clone)]
pub(crate) struct Waker {
    pub woken: Arc<Notify>,
    peer: IpAddr,
}

/// A connection's place in the hub. Dropping it is how the connection leaves, also when its task panics or is dropped.
struct Presence<'a> {
    hub: &'a Hub,
    at: &'a InstanceKey,
    query: &'a AcsQuery,
    generation: Generation,
    waker: Waker,
    /// Where the connection comes from that it has taken the place of, if there was one.
    taken_from: Option<IpAddr>,
    /// Among [`Hub::connected`] and in the metrics, once it is, and until its end has been noted: whoever waits for
    /// that may stop the server then.
    counted: Option<(Counted<'a>, InFlight)>,
    /// The operator was told that it has come, and is to be told of its end.
    told: bool,
}

impl<'a> Presence<'a> {
    /// Enters the connection as the newest of its instance; an older one finds out and closes.
    fn enter(hub: &'a Hub, at: &'a InstanceKey, query: &'a AcsQuery, peer: IpAddr) -> Self {
        let waker = Waker { woken: Arc::new(Notify::new()), peer };
        let (generation, older) = hub.registry.lock().enter(at, waker.clone());
        if let Some(older) = &older {
            older.woken.notify_one();
            if let Some(kept_back) = hub.taken_over.event(Instant::now(), at.clone()) {
                let (cluster, instance) = (&at.cluster.cluster, at.instance);
                let (by, from) = (peer, older.peer);
                let text = "a second connection has taken an instance's command channel";
                tracing::warn!(%cluster, %instance, %by, %from, kept_back, "{text}");
            }
        }
        let taken_from = older.map(|older| older.peer);
        Self { hub, at, query, generation, waker, taken_from, counted: None, told: false }
    }

    fn news(&self) -> News {
        self.hub.registry.lock().news(self.at, self.generation)
    }

    /// Notes the agent as connected. `None` if that could not be stored.
    async fn write_connected(&mut self) -> Option<Input<'static>> {
        let Self { hub, at, query, generation, taken_from, .. } = *self;
        let (seed, peer) = (generation.seed(), self.waker.peer);
        let connected = hub.db.write(|tx| {
            let connection = link::connected(tx, at, query, seed);
            if let Some(from) = taken_from {
                link::taken_over(tx, at, peer, from);
            }
            Ok::<_, ()>(connection)
        });
        let Ok(Ok(connection)) = connected.await else { return None };
        if connection.is_some() {
            self.told = hub.tell(at, Channel::Commands, &query.agent_version);
            self.counted = Some((Counted::one(&hub.connected), hub.metrics.agent_connects()));
        }
        Some(Input::Connected(connection))
    }

    async fn write_settled(&self) -> Option<Input<'static>> {
        let settled = self.hub.db.write(|tx| {
            link::credentials_settled(tx, self.at);
            Ok::<_, ()>(())
        });
        settled.await.is_ok().then_some(Input::Settled)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let Self { hub, at, .. } = *self;
        hub.registry.lock().leave(at, self.generation);
        if hub.is_closing() {
            // The agent will be back, here or elsewhere: see `link::disconnected`.
            return;
        }
        // Looked at again inside the transaction: a new connection enters first and is noted after.
        let _ = hub.db.submit(|tx| {
            if !hub.registry.lock().is_open(at) {
                link::disconnected(tx, at);
            }
            Ok::<_, ()>(())
        });
    }
}

/// Runs the channel until either side ends it. Gives the reason in words for the operator.
async fn converse(
    presence: &mut Presence<'_>,
    channel: &mut CommandChannel,
    sink: &mut SplitSink<Socket, Message>,
    mut stream: SplitStream<Socket>,
) -> &'static str {
    let Presence { hub, at, .. } = *presence;
    loop {
        let mut sent = false;
        // A payload has credentials, which are of the state as it is now: what they hang on has to be durable first.
        let mut made_at: Option<Sequence> = None;
        while let Some(output) = channel.poll(&mut |arn| {
            let (now, seed) = (hub.now(), hub.db.draw_seed());
            hub.db.peek(|state| {
                made_at = Some(state.sequence());
                link::task_payload(state, at, arn, now, seed)
            })
        }) {
            if let Some(sequence) = made_at.take()
                && hub.db.wait_durable(sequence).await.is_err()
            {
                return NOT_STORED;
            }
            let answer = match output {
                Output::Send(text) => {
                    sent = true;
                    if sink.feed(Message::Text(text.into())).await.is_err() {
                        return CUT;
                    }
                    continue;
                }
                Output::Look(look) => {
                    // What it finds is told once that is durable.
                    let found = hub.db.read(|state| link::look(state, at, &look)).await.ok().flatten();
                    Some(Input::Looked(look, found))
                }
                Output::WriteConnected => presence.write_connected().await,
                Output::WriteSettled => presence.write_settled().await,
                Output::Renew(renewal) => {
                    let (now, seed) = (hub.now(), hub.db.draw_seed());
                    // Of a role or of a data key that is not durable they would be worth nothing after a crash.
                    let made =
                        hub.db.read(|state| link::fresh_credentials(state, at, &renewal, now, seed)).await;
                    made.ok().map(|made| Input::Renewed(renewal, made))
                }
                Output::Close(reason) => {
                    let _ = sink.send(close(reason)).await;
                    return reason.text();
                }
                Output::Strays(tasks) => {
                    tracing::warn!(instance = %at.instance, count = tasks.len(), "told an agent to stop strays");
                    continue;
                }
                Output::Malformed(error) => {
                    tracing::warn!(instance = %at.instance, %error, "skipped a malformed message");
                    continue;
                }
            };
            let Some(answer) = answer else { return NOT_STORED };
            channel.handle(hub.now(), answer);
        }
        if sent && sink.flush().await.is_err() {
            return CUT;
        }
        let now = hub.now();
        let pause = channel.deadline().map_or(IDLE_MAX, |deadline| deadline.since(now).min(IDLE_MAX));
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => channel.handle(hub.now(), Input::Received(text.as_str())),
                Some(Ok(Message::Close { .. })) => return CLOSED,
                Some(Err(_)) | None => return CUT,
                // Commands are text; what else there is means nothing.
                Some(Ok(Message::Binary(_))) => {}
            },
            () = presence.waker.woken.notified() => channel.handle(hub.now(), Input::News(presence.news())),
            () = tokio::time::sleep(pause) => channel.handle(hub.now(), Input::Tick),
        }
    }
}
