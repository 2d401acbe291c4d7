//! Following the engine's events across interruptions.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt, stream};
use longshore_base::Timestamp;
use longshore_engine::input::{FoundContainer, ObservedStatus};
use longshore_engine::spec::{ContainerKey, RuntimeId};
use longshore_runtime::{ErrorKind, LabelFilter, RuntimeError, RuntimeEvent, limits};

use tokio::time::Instant;

use crate::classify::{Call, refine};
use crate::{Engine, last_known, observe};

/// First and longest pause before another attempt to reach an engine that is away.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The engine is asked for events from this long before the list was made. It keeps the last few
/// hundred and repeats them, so nothing falls between list and subscription, unless the clocks of this
/// machine and the engine's differ by more than this. Hearing an event twice is harmless.
const OVERLAP: Duration = Duration::from_secs(10);
/// Of SIGKILL, which is what a container that ran out of memory ends with.
const EXIT_KILLED: i32 = 137;

/// How long the end of a container that nobody asked the engine to kill is held back for the news that
/// memory was the reason. The engine learns of the two by separate ways, and does not correct its own
/// record when they come in the wrong order; on a busy machine they have been seen 100 ms apart. News that
/// comes later still is passed on as a second observation.
const OOM_LAG: Duration = Duration::from_millis(500);

/// Everything that changes what a container is. `exec_*` is left out: health checks make three of
/// those each time.
const ACTIONS: [&str; 6] = ["start", "kill", "die", "oom", "health_status", "destroy"];

/// How long the list at the beginning may take. An engine that accepts a question and never answers it must not keep
/// the follower for ever: it is asked again.
const LIST_LIMIT: Duration = Duration::from_secs(60);
/// How many containers are looked at at once because they changed; more events wait on the socket.
const LOOKS_MAX: usize = 32;

/// Which container was looked at, and what came of it.
type Look = Pin<Box<dyn Future<Output = (ContainerKey, RuntimeId, Option<RuntimeEvent>)> + Send>>;
type Messages = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// Events of matching containers, for ever.
pub(crate) fn follow(engine: Arc<Engine>, filter: LabelFilter) -> impl Stream<Item = RuntimeEvent> + Send {
    let follower = Follower {
        engine,
        filter,
        messages: None,
        ready: VecDeque::new(),
        out_of_memory: HashSet::new(),
        killed: HashSet::new(),
        held: VecDeque::new(),
        looks: FuturesUnordered::new(),
        looking: HashMap::new(),
        ends: HashMap::new(),
        lost_said: false,
        pause: RETRY_FIRST,
    };
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await;
        Some((event, follower))
    })
}

struct Follower {
    engine: Arc<Engine>,
    filter: LabelFilter,
    /// `None` while there is no subscription.
    messages: Option<Messages>,
    ready: VecDeque<RuntimeEvent>,
    /// Containers that ran out of memory and have not ended yet.
    out_of_memory: HashSet<RuntimeId>,
    /// Containers that somebody had the engine send SIGKILL, and that have not ended yet.
    killed: HashSet<RuntimeId>,
    /// Ends with SIGKILL for a reason not known yet, in order.
    held: VecDeque<Held>,
    /// Looks under way. The engine does not answer questions about a container whose network it tears down, and
    /// nothing of the others may wait for that.
    looks: FuturesUnordered<Look>,
    /// Containers that are looked at, one look each so that they come in order; true if one changed again since
    /// its look began.
    looking: HashMap<RuntimeId, bool>,
    /// Ends of containers that are looked at, with exit code and whether memory was the reason.
    ends: HashMap<RuntimeId, (Held, i32, bool)>,
    lost_said: bool,
    pause: Duration,
}

struct Held {
    until: Instant,
    container: ContainerKey,
    id: RuntimeId,
    ended_at: Timestamp,
}

impl Follower {
    async fn next(&mut self) -> RuntimeEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let Some(messages) = &mut self.messages else {
                if let Err(error) = self.subscribe().await {
                    self.lost(error).await;
                }
                continue;
            };
            let held_until = self.held.front().map(|held| held.until);
            let message = tokio::select! {
                // What a look finds makes the end that follows cheap to tell.
                biased;
                Some((container, id, event)) = self.looks.next(), if !self.looks.is_empty() => {
                    let changed = self.looking.remove(&id);
                    // The look may be from before an end that was heard of meanwhile. If it does not do for telling
                    // that end, another one is begun.
                    let end = self.ends.remove(&id);
                    let is_over = end.is_some();
                    let end = end.and_then(|(held, code, oom_killed)| self.ended(held, code, oom_killed));
                    if changed == Some(true) {
                        self.look(container, id);
                    }
                    match if is_over { end } else { event } {
                        Some(event) => return event,
                        None => continue,
                    }
                }
                () = at(held_until) => {
                    if let Some(held) = self.held.pop_front()
                        && let Some(event) = self.ended(held, EXIT_KILLED, false)
                    {
                        return event;
                    }
                    continue;
                }
                message = messages.next(), if self.looks.len() < LOOKS_MAX => message,
            };
            match message {
                Some(Ok(message)) => {
                    if let Some(event) = self.read(message) {
                        return event;
                    }
                }
                Some(Err(error)) => self.lost(refine(Call::Ask, error)).await,
                None => {
                    let error = RuntimeError::new(
                        ErrorKind::Unavailable,
                        "the container engine closed its stream of events",
                    );
                    self.lost(error).await;
                }
            }
        }
    }

    /// Lists everything, and subscribes to what happened since shortly before that.
    async fn subscribe(&mut self) -> Result<(), RuntimeError> {
        self.engine.follow_networks();
        let since = last_known::now() - OVERLAP;
        let listing = tokio::time::timeout(LIST_LIMIT, self.engine.list(&self.filter)).await;
        let found = listing.unwrap_or_else(|_| {
            let text = "the container engine does not answer the question for its containers";
            Err(RuntimeError::new(ErrorKind::Timeout, text))
        })?;
        self.resynced(found);
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
            ("label".to_owned(), self.filter.0.clone()),
        ]);
        let options = EventsOptions {
            since: Some((since.as_millis() / 1000).to_string()),
            filters: Some(filters),
            ..EventsOptions::default()
        };
        // Sent when the stream is first polled.
        self.messages = Some(Box::pin(self.engine.docker.clone().events(Some(options)).fuse()));
        Ok(())
    }

    fn resynced(&mut self, found: Vec<FoundContainer>) {
        let alive: HashSet<&RuntimeId> = found.iter().map(|found| &found.observation.runtime_id).collect();
        self.engine.last_known.retain(|id| alive.contains(id));
        self.out_of_memory.clear();
        self.killed.clear();
        self.held.clear();
        self.looks.clear();
        self.looking.clear();
        self.ends.clear();
        self.pause = RETRY_FIRST;
        self.lost_said = false;
        self.ready.push_back(RuntimeEvent::Resynced(found));
    }

    /// Notes that the engine is away, and waits before the next attempt.
    async fn lost(&mut self, error: RuntimeError) {
        self.messages = None;
        if !self.lost_said {
            self.lost_said = true;
            self.ready.push_back(RuntimeEvent::Lost(error));
            // The news goes out before the pause.
            return;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RETRY_MAX);
    }

    fn read(&mut self, message: EventMessage) -> Option<RuntimeEvent> {
        let happened_at = message.time_nano.map(|nanos| Timestamp::from_millis(nanos / 1_000_000));
        let actor = message.actor?;
        let id = RuntimeId::new(actor.id.as_deref()?);
        let attributes = actor.attributes.unwrap_or_default();
        let container = observe::key(|label| attributes.get(label).map(String::as_str))?;
        let action = message.action?;
        match action.split(':').next().unwrap_or_default() {
            "oom" => self.ran_out_of_memory(container, id),
            "kill" => {
                if attributes
                    .get("signal")
                    .is_some_and(|signal| matches!(signal.as_str(), "9" | "SIGKILL" | "KILL"))
                {
                    self.killed.insert(id);
                }
                None
            }
            "destroy" => {
                self.engine.last_known.forget(&id);
                self.out_of_memory.remove(&id);
                self.killed.remove(&id);
                Some(RuntimeEvent::Vanished { container, runtime_id: id })
            }
            "die" => {
                let exit_code = attributes.get("exitCode").and_then(|code| code.parse().ok());
                let oom_killed = self.out_of_memory.remove(&id);
                let explained = self.killed.remove(&id);
                let (Some(exit_code), Some(ended_at)) = (exit_code, happened_at) else {
                    self.look(container, id);
                    return None;
                };
                let held = Held { until: Instant::now() + OOM_LAG, container, id, ended_at };
                if exit_code == EXIT_KILLED && !oom_killed && !explained {
                    self.held.push_back(held);
                    return None;
                }
                self.ended(held, exit_code, oom_killed)
            }
            _ => {
                self.look(container, id);
                None
            }
        }
    }

    fn ran_out_of_memory(&mut self, container: ContainerKey, id: RuntimeId) -> Option<RuntimeEvent> {
        if let Some(at) = self.held.iter().position(|held| held.id == id)
            && let Some(held) = self.held.remove(at)
        {
            return self.ended(held, EXIT_KILLED, true);
        }
        if let Some(last) = self.engine.last_known.last(&id)
            && let ObservedStatus::Exited { exit_code: EXIT_KILLED, .. } = last.status
            && let Some(ended_at) = last.finished_at
        {
            let held = Held { until: Instant::now(), container, id, ended_at };
            return self.ended(held, EXIT_KILLED, true);
        }
        // The end is still to come, or it was only a child that died.
        self.out_of_memory.insert(id);
        None
    }

    /// The end of a container, from what is remembered of it if possible; else a look is begun.
    fn ended(&mut self, end: Held, exit_code: i32, oom_killed: bool) -> Option<RuntimeEvent> {
        let Held { until, container, id, ended_at } = end;
        match self.engine.last_known.ended(&id, ended_at, exit_code, oom_killed) {
            Some(observation) => Some(RuntimeEvent::Observed { container, observation }),
            None if self.looking.contains_key(&id) => {
                // The look under way tells when the run began, which is all that is missing. One that is begun now
                // would have to wait for the engine to tear down the network.
                let held = Held { until, container, id: id.clone(), ended_at };
                self.ends.insert(id, (held, exit_code, oom_killed));
                None
            }
            None => {
                self.look(container, id);
                None
            }
        }
    }

    fn look(&mut self, container: ContainerKey, id: RuntimeId) {
        if let Some(again) = self.looking.get_mut(&id) {
            *again = true;
            return;
        }
        self.looking.insert(id.clone(), false);
        let engine = Arc::clone(&self.engine);
        self.looks.push(Box::pin(async move {
            let event = look(&engine, container.clone(), id.clone()).await;
            (container, id, event)
        }));
    }
}

/// Passes at the given time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The whole picture of one container.
async fn look(engine: &Engine, container: ContainerKey, id: RuntimeId) -> Option<RuntimeEvent> {
    let inspected = tokio::time::timeout(limits::INSPECT, engine.inspect(&id)).await;
    let inspected = inspected.unwrap_or_else(|_| {
        Err(RuntimeError::new(ErrorKind::Timeout, "the container engine does not answer an inspection"))
    });
    match inspected {
        Ok(observation) => Some(RuntimeEvent::Observed { container, observation }),
        Err(RuntimeError { kind: ErrorKind::NotFound, .. }) => {
            engine.last_known.forget(&id);
            Some(RuntimeEvent::Vanished { container, runtime_id: id })
        }
        Err(error) => {
            // The stream is about to break as well, and everything is listed again then. If not, the regular look
            // at each container makes up for this one.
            tracing::debug!(%id, %error, "failed to look at a container that changed");
            None
        }
    }
}
