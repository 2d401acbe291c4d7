//! All open sockets of agents: who is connected, who is woken, and how all of them end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use longshore_api::{Message, Socket};
use longshore_base::Timestamp;
use longshore_controllers::connection::Registry;
use longshore_link::server::CloseReason;
use longshore_state::Db;
use longshore_tables_ecs::InstanceKey;
use longshore_telemetry::{Damper, Metrics};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::commands::Waker;

/// How long a connection may take to say that the server goes away. One whose agent does not read is dropped.
const FAREWELL: Duration = Duration::from_millis(200);

/// How many connections of an agent the log tells within [`TOLD_EVERY`]. One lasts for half an hour, so that a sound
/// agent stays below it.
const CONNECTIONS_TOLD: u32 = 5;
/// How long what an agent did is held against it in the log.
const TOLD_EVERY: Duration = Duration::from_secs(600);
/// Of how many agents that is remembered.
const TOLD_KEYS_MAX: usize = 20_000;

/// All open sockets of agents.
pub struct Hub {
    pub(crate) db: Arc<Db>,
    pub(crate) registry: Mutex<Registry<Waker>>,
    /// How many instances are known to the state as connected.
    pub(crate) connected: watch::Sender<usize>,
    /// How many sockets are open, of both kinds.
    pub(crate) sockets: watch::Sender<usize>,
    /// The server goes away.
    closing: watch::Sender<bool>,
    pub(crate) metrics: Metrics,
    /// Which sockets the operator hears of, and which refusals: agents come again on their own, some without a pause.
    told: Damper<(InstanceKey, Channel)>,
    pub(crate) refused: Damper<IpAddr>,
    pub(crate) taken_over: Damper<InstanceKey>,
}

/// An agent's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Commands,
    Telemetry,
}

impl Hub {
    /// Makes the hub that `db` wakes.
    pub fn new(db: Arc<Db>, metrics: Metrics) -> Arc<Self> {
        let hub = Arc::new(Self {
            db: db.clone(),
            registry: Mutex::default(),
            connected: watch::Sender::new(0),
            sockets: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            metrics,
            told: Damper::new(1, CONNECTIONS_TOLD, TOLD_EVERY, TOLD_KEYS_MAX),
            refused: Damper::new(1, CONNECTIONS_TOLD, TOLD_EVERY, TOLD_KEYS_MAX),
            taken_over: Damper::new(1, CONNECTIONS_TOLD, TOLD_EVERY, TOLD_KEYS_MAX),
        });
        let woken = Arc::downgrade(&hub);
        db.on_hint(move |hints| {
            let Some(hub) = woken.upgrade() else { return };
            let mut registry = hub.registry.lock();
            for hint in hints {
                if let Some(connection) = registry.hint(hint) {
                    connection.woken.notify_one();
                }
            }
        });
        hub
    }

    /// How many instances are known to the state as connected: tasks can be placed on these alone.
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
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender is in `self`, so that this ends with true only.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.db.clock().now()
    }

    /// Tells the operator of a new connection, unless there are many. Says whether its end is to be told too.
    pub(crate) fn tell(&self, at: &InstanceKey, channel: Channel, agent_version: &str) -> bool {
        let Some(kept_back) = self.told.event(Instant::now(), (at.clone(), channel)) else { return false };
        let (cluster, instance) = (&at.cluster.cluster, at.instance);
        tracing::info!(%cluster, %instance, ?channel, agent = ?agent_version, kept_back, "agent connected");
        true
    }
}

/// One more, for as long as this lives.
pub(crate) struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    pub(crate) fn one(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Says a last word to an agent that may not listen.
pub(crate) async fn take_leave(sink: &mut SplitSink<Socket, Message>, reason: CloseReason) {
    let told = sink.send(close(reason));
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

/// The last word of a connection.
pub(crate) fn close(reason: CloseReason) -> Message {
    Message::Close { code: reason.code(), reason: reason.text().into() }
}
