//! One container at a time in the networks of an engine that cannot do two.
//!
//! Docker before 26 opens its file of networks anew for every note that it makes there, and whoever finds it open
//! sleeps for 50 ms, however soon it is closed (moby/moby #47285). A start that meets another one, or the end of a
//! container whose network is torn down, sleeps so once or twice; and the end of a container is what most starts in a
//! service follow. So starts take turns: each is called when the networks of the containers that have ended are gone,
//! and the next one as soon as the engine says that this one's container is in its network. All that an engine does for
//! a start after that, which is most of it, it does side by side.
//!
//! Nothing rests on this but time. Where nobody tells what the engine does (a newer engine, Podman, a stream that
//! broke), nobody waits, and an engine that does not tell what it should is waited for once.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, EventMessage, EventMessageTypeEnum, SystemVersion};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures_util::{Stream, StreamExt};
use longshore_engine::spec::RuntimeId;
use longshore_runtime::limits;
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify};
use tokio::time::{Instant, timeout};

use crate::last_known;

/// The API of the first engine that keeps the file open.
const QUICK_SINCE: (u32, u32) = (1, 45);
/// How long a start waits for the networks of others to go, and for its own at most before the next one is called.
/// Each takes a tenth of that; on a machine with ten times as much to do as it can, half of it.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// How long nobody takes turns after one in which the engine told nothing.
const MISTRUST: Duration = Duration::from_secs(10);
/// Pause before the engine is asked for its events again.
const RETRY: Duration = Duration::from_secs(5);
/// As for the containers' own events: the engine repeats what came between list and subscription.
const OVERLAP: Duration = Duration::from_secs(2);
const ACTIONS: [&str; 4] = ["connect", "disconnect", "die", "destroy"];

/// Who is in which network is the engine's business; here is only who comes and goes.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Notify,
    /// Held from before a start is called until its container is in its network; fair.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Somebody tells what the engine does.
    is_told: bool,
    joined: HashSet<RuntimeId>,
    /// Have ended, and their networks are being torn down.
    leaving: HashSet<RuntimeId>,
    mistrusted_until: Option<Instant>,
}

/// A start's turn, or the freedom to need none.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    id: &'a RuntimeId,
    held: Option<MutexGuard<'a, ()>>,
}

impl Turns {
    /// Waits for a turn to start a container; one that joins no network needs none.
    pub async fn take<'a>(&'a self, id: &'a RuntimeId, joins_network: bool) -> Turn<'a> {
        let mut turn = Turn { turns: self, id, held: None };
        if !joins_network || !self.are_of_use() {
            return turn;
        }
        let held = self.turn.lock().await;
        if !self.are_of_use() {
            return turn;
        }
        let before: HashSet<RuntimeId> = self.state.lock().leaving.clone();
        let gone = self.until(|state| !state.is_told || state.leaving.is_disjoint(&before));
        if timeout(WAIT_MAX, gone).await.is_err() {
            // Nobody waits for them again.
            self.state.lock().leaving.retain(|id| !before.contains(id));
        }
        turn.held = Some(held);
        turn
    }

    fn are_of_use(&self) -> bool {
        let state = self.state.lock();
        state.is_told && state.mistrusted_until.is_none_or(|until| until <= Instant::now())
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // What changes after the look wakes.
            changed.as_mut().enable();
            if is_so(&self.state.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }

    /// From now on somebody tells. These are in networks already.
    fn begin(&self, joined: HashSet<RuntimeId>) {
        self.change(|state| *state = State { is_told: true, joined, ..State::default() });
    }

    /// Nobody tells any more.
    fn end(&self) {
        self.change(|state| *state = State::default());
    }

    fn hear(&self, event: EventMessage) {
        let Some(actor) = event.actor else { return };
        let container = match event.typ {
            Some(EventMessageTypeEnum::NETWORK) => {
                actor.attributes.and_then(|mut about| about.remove("container"))
            }
            Some(EventMessageTypeEnum::CONTAINER) => actor.id,
            Some(_) | None => None,
        };
        let (Some(id), Some(action)) = (container.map(|id| RuntimeId::new(&id)), event.action) else {
            return;
        };
        self.change(|state| match action.as_str() {
            "connect" => {
                state.joined.insert(id);
            }
            // What shares another one's network, as the containers of a task do, has none to be torn down.
            "die" if state.joined.remove(&id) => {
                state.leaving.insert(id);
            }
            // A network that is gone with its container, or one that somebody took from it.
            "disconnect" | "destroy" => {
                state.joined.remove(&id);
                state.leaving.remove(&id);
            }
            _ => {}
        });
    }
}

impl Turn<'_> {
    /// Makes the call that the turn was taken for, and gives the turn up as soon as the container is in its network.
    pub async fn call<T>(self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        if self.held.is_some() {
            tokio::select! {
                biased;
                result = &mut call => return result,
                () = self.is_over() => {}
            }
        }
        drop(self);
        call.await
    }

    async fn is_over(&self) {
        let joined = self.turns.until(|state| !state.is_told || state.joined.contains(self.id));
        if timeout(WAIT_MAX, joined).await.is_err() {
            self.turns.change(|state| state.mistrusted_until = Some(Instant::now() + MISTRUST));
        }
    }
}

/// Tells `turns` what the engine does, for as long as it takes turns for it to be quick.
pub(crate) async fn follow(docker: Docker, turns: Arc<Turns>) {
    loop {
        match listen(&docker, &turns).await {
            Ok(Engine::Quick) => return,
            Ok(Engine::Closed) => tracing::debug!("the engine closed its stream of network events"),
            Err(error) => tracing::debug!(%error, "cannot follow the engine's networks"),
        }
        turns.end();
        tokio::time::sleep(RETRY).await;
    }
}

enum Engine {
    Quick,
    Closed,
}

async fn listen(docker: &Docker, turns: &Turns) -> Result<Engine, Error> {
    if is_quick(&in_time(docker.version()).await?) {
        return Ok(Engine::Quick);
    }
    let since = last_known::now() - OVERLAP;
    let running = in_time(docker.list_containers(None::<ListContainersOptions>)).await?;
    turns.begin(running.into_iter().filter_map(in_network).collect());
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let filters = HashMap::from([
        ("type".to_owned(), words(&["container", "network"])),
        ("event".to_owned(), words(&ACTIONS)),
    ]);
    let options = EventsOptions {
        since: Some((since.as_millis() / 1000).to_string()),
        filters: Some(filters),
        ..EventsOptions::default()
    };
    hear_all(turns, docker.events(Some(options))).await
}

async fn hear_all(
    turns: &Turns,
    events: impl Stream<Item = Result<EventMessage, Error>>,
) -> Result<Engine, Error> {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        turns.hear(event?);
    }
    Ok(Engine::Closed)
}

async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(limits::LIST, call).await.unwrap_or(Err(Error::RequestTimeoutError))
}

/// True of engines that are known to be, and of those that are not known.
fn is_quick(version: &SystemVersion) -> bool {
    let api = version.api_version.as_deref().and_then(crate::system::api_version);
    api.is_none_or(|api| api >= QUICK_SINCE)
}

/// A running container that has a network of its own.
fn in_network(container: ContainerSummary) -> Option<RuntimeId> {
    let mode = container.host_config.and_then(|host| host.network_mode).unwrap_or_default();
    let id = container.id.filter(|_| joins_network(&mode))?;
    Some(RuntimeId::new(&id))
}

/// True if a container of this network mode is put into a network when it starts.
pub(crate) fn joins_network(mode: &str) -> bool {
    !mode.starts_with("container:")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use serde_json::{Value, json};

    use super::*;

    fn id(name: &str) -> RuntimeId {
        RuntimeId::new(name)
    }

    fn event(of: Value) -> EventMessage {
        serde_json::from_value(of).expect("an event")
    }

    fn network(action: &str, container: &str) -> EventMessage {
        let actor =
            json!({"ID": "n1", "Attributes": {"container": container, "name": "bridge", "type": "bridge"}});
        event(json!({"Type": "network", "Action": action, "Actor": actor}))
    }

    fn container(action: &str, container: &str) -> EventMessage {
        event(json!({"Type": "container", "Action": action, "Actor": {"ID": container}}))
    }

    /// Of an engine in which these run.
    fn turns(running: &[&str]) -> Turns {
        let turns = Turns::default();
        turns.begin(running.iter().map(|name| id(name)).collect());
        turns
    }

    /// A start, as the port makes it. It ends by itself only if the turn does not have to wait.
    async fn start(turns: &Turns, name: &str) {
        let id = id(name);
        turns.take(&id, true).await.call(std::future::ready(())).await;
    }

    /// True if it goes on without anything happening or time passing.
    async fn goes_on(future: impl Future<Output = ()>) -> bool {
        futures_util::poll!(std::pin::pin!(future)).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_until_the_network_of_one_that_has_ended_is_gone() {
        let turns = turns(&["old", "other"]);
        assert!(goes_on(start(&turns, "new")).await, "nothing is being torn down");
        turns.hear(container("die", "old"));
        let mut next = std::pin::pin!(start(&turns, "new"));
        assert!(futures_util::poll!(&mut next).is_pending());
        turns.hear(container("die", "other"));
        turns.hear(network("disconnect", "old"));
        assert!(
            futures_util::poll!(&mut next).is_ready(),
            "what ended after it was asked for is not waited for"
        );
        assert!(!goes_on(start(&turns, "new")).await);
        turns.hear(container("destroy", "other"));
        assert!(goes_on(start(&turns, "new")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_network_of_its_own_neither_waits_nor_is_waited_for() {
        let turns = turns(&["old"]);
        // It shared the network of another one, so nobody told that it joined one.
        turns.hear(container("die", "sharing"));
        assert!(goes_on(start(&turns, "new")).await);
        turns.hear(container("die", "old"));
        assert!(!goes_on(start(&turns, "new")).await);
        assert!(goes_on(async { drop(turns.take(&id("sharing"), false).await) }).await);
        let mode = |text| json!({"Id": "c", "HostConfig": {"NetworkMode": text}});
        let listed = |text| in_network(serde_json::from_value(mode(text)).expect("a summary"));
        assert_eq!(["default", "host", "container:p"].map(listed), [Some(id("c")), Some(id("c")), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_start_is_called_when_the_container_before_is_in_its_network() {
        let turns = turns(&[]);
        let (first, begun) = (id("first"), Instant::now());
        let turn = turns.take(&first, true).await;
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let mut first = std::pin::pin!(turn.call(finished));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = std::pin::pin!(start(&turns, "second"));
        assert!(futures_util::poll!(&mut second).is_pending());
        turns.hear(network("connect", "first"));
        // The first goes on, and gives up its turn.
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_ready());
        finish.send(()).expect("it waits");
        first.await.expect("the answer of the call");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_fails_or_is_given_up_leaves_its_turn() {
        let turns = turns(&[]);
        let (failing, given_up) = (id("failing"), id("given-up"));
        let error = turns.take(&failing, true).await.call(std::future::ready(Err::<(), _>("no"))).await;
        error.expect_err("the answer of the call");
        assert!(!goes_on(turns.take(&given_up, true).await.call(std::future::pending())).await);
        assert!(goes_on(start(&turns, "next")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_tells_less_than_it_should_is_waited_for_once() {
        let turns = turns(&["old"]);
        turns.hear(container("die", "old"));
        let begun = Instant::now();
        start(&turns, "first").await;
        assert_eq!(begun.elapsed(), WAIT_MAX);
        start(&turns, "second").await;
        assert_eq!(begun.elapsed(), WAIT_MAX, "the same end is waited for no more");
        // It does not tell of those that join, either.
        let silent = id("silent");
        let call = turns.take(&silent, true).await.call(tokio::time::sleep(MISTRUST / 2));
        let third = async {
            start(&turns, "third").await;
            begun.elapsed()
        };
        let ((), waited) = tokio::join!(call, third);
        assert_eq!(waited, 2 * WAIT_MAX);
        assert!(!turns.are_of_use());
        tokio::time::sleep(MISTRUST).await;
        assert!(turns.are_of_use());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_an_engine_that_nobody_listens_to() {
        let turns = turns(&["old"]);
        turns.hear(container("die", "old"));
        let mut next = std::pin::pin!(start(&turns, "new"));
        assert!(futures_util::poll!(&mut next).is_pending());
        turns.end();
        assert!(futures_util::poll!(&mut next).is_ready());
        assert!(goes_on(start(&turns, "other")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_heard_until_the_stream_breaks() {
        let turns = turns(&["old"]);
        let broken = stream::iter([Ok(container("die", "old")), Err(Error::RequestTimeoutError)]);
        assert!(hear_all(&turns, broken).await.is_err());
        assert!(!goes_on(start(&turns, "new")).await);
        let closed = stream::iter([Ok(network("disconnect", "old"))]);
        assert!(matches!(hear_all(&turns, closed).await, Ok(Engine::Closed)));
        assert!(goes_on(start(&turns, "new")).await);
    }

    #[test]
    fn only_engines_that_are_known_to_sleep_are_slow() {
        let quick = |api: Option<&str>| {
            is_quick(&SystemVersion { api_version: api.map(str::to_owned), ..SystemVersion::default() })
        };
        assert_eq!([Some("1.41"), Some("1.44")].map(quick), [false, false]);
        assert_eq!([Some("1.45"), Some("1.52"), Some("2.0"), Some("x"), None].map(quick), [true; 5]);
    }
}
