//! The control plane: the state, a disk that takes its time, the controllers' agenda.
//!
//! This is what `longshore_state::Db` and `longshore_controllers::driver` are around threads, told again around the
//! event queue: a transaction joins the queue of commits, everything that has queued up is written together, and
//! nothing leaves before what it is based on is durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longshore_api_ecs::Ecs;
use longshore_base::{Ids, Timestamp};
use longshore_controllers::driver::Agenda;
use longshore_controllers::{link, service, upkeep};
use longshore_state::{Changes, Domains, Hints, Records, State, Tx};
use longshore_store::{Commit, MemoryStore, Store};
use longshore_tables_ecs::{AgentHint, EcsTables, EcsTx, Hint, InstanceKey, ServiceKey};

use super::network::{Call, CallId, Caller, PipeId, Reply};
use super::sessions::Served;
use super::{Event, Skew, World};
use crate::api;

/// What a call is answered whose changes the store refused.
pub(super) const DISK_FAILED: &str = r#"{"__type":"ServerException","message":"the store refuses"}"#;

pub(super) struct Server {
    api: Arc<Ecs>,
    domains: Domains,
    store: MemoryStore,
    /// What the store must hold, kept apart from it.
    pub stored: Records,
    pub skew: Skew,
    /// Counts starts.
    pub epoch: u32,
    /// The next group of commits is refused, and the server comes back after this time.
    pub disk_fails: Option<Duration>,
    pub up: Option<Running>,
}

pub(super) struct Running {
    pub state: State,
    /// What the state must hold, kept apart from it.
    pub records: Records,
    queue: VecDeque<Queued>,
    /// The disk is at work on these.
    writing: Vec<Queued>,
    pub durable: u64,
    waiting: BTreeMap<u64, Vec<Then>>,
    /// Calls that arrived and were not answered.
    calls: BTreeSet<CallId>,
    hints: BTreeSet<ServiceKey>,
    is_looking: bool,
    agenda: Agenda,
    sweep_at: Timestamp,
    pub sessions: BTreeMap<PipeId, Served>,
    /// The newest connection of each instance, with its generation.
    pub newest: BTreeMap<InstanceKey, (u64, PipeId)>,
    pub generations: u64,
}

struct Queued {
    sequence: u64,
    changes: Changes,
    commit: Commit,
}

/// What happens once a revision is durable.
pub(super) enum Then {
    Answer(CallId, Reply),
    Session(PipeId, super::sessions::Wake),
}

/// Whose transaction it is.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    Controller(ServiceKey),
    Sweep,
    Api,
    Link,
}

impl Server {
    pub fn new() -> Self {
        Self {
            api: Arc::new(api::api()),
            domains: Domains::new("longshore-sim").with::<EcsTables>(),
            store: MemoryStore::new(),
            stored: Records::new(),
            skew: Skew::default(),
            epoch: 0,
            disk_fails: None,
            up: None,
        }
    }
}

impl World {
    pub(super) fn server_now(&self) -> Timestamp {
        self.server.skew.read(self.now)
    }

    pub(super) fn server_up(&mut self) {
        if self.server.up.is_some() {
            return;
        }
        let now = self.server_now();
        self.server.epoch += 1;
        self.tally.server_starts += 1;
        let state = match State::load(&self.server.store, &self.server.domains, now) {
            Ok(state) => state,
            Err(error) => {
                return self.fail("durability", format!("what was stored cannot be loaded: {error}"));
            }
        };
        let found = state.records();
        self.fail_different("durability", "after a restart", self.server.stored.differences(&found));
        let hints = state.all_hints();
        self.server.up = Some(Running {
            durable: state.sequence(),
            state,
            records: found,
            queue: VecDeque::new(),
            writing: Vec::new(),
            waiting: BTreeMap::new(),
            calls: BTreeSet::new(),
            hints: BTreeSet::new(),
            is_looking: false,
            agenda: Agenda::default(),
            sweep_at: now,
            sessions: BTreeMap::new(),
            newest: BTreeMap::new(),
            generations: 1,
        });
        self.note(|| "the server starts".into());
        self.hint(hints);
        self.check_wishes("after a restart");
    }

    /// kill -9. What was not durable is lost; of what the disk was at work on, a part may be there.
    pub(super) fn server_crash(&mut self, down: Duration) {
        let Some(running) = self.server.up.take() else { return };
        let survive = self.disks.below(running.writing.len() + 1);
        let mut durable = running.durable;
        for queued in running.writing.into_iter().take(survive) {
            durable = queued.sequence;
            self.make_durable(queued);
        }
        self.note(|| format!("the server is killed, {survive} commits under way survive"));
        self.forget_wishes(self.server.epoch, durable);
        self.break_calls(running.calls.into_iter().collect());
        // Upgrades that were not answered yet break with it, too.
        let opening = running.waiting.into_values().flatten().filter_map(|then| match then {
            Then::Session(pipe, _) => Some(pipe),
            Then::Answer(..) => None,
        });
        let pipes: BTreeSet<PipeId> = running.sessions.into_keys().chain(opening).collect();
        for pipe in pipes {
            self.lose_pipe(pipe);
        }
        self.push(self.now + down, Event::ServerUp);
    }

    /// The disk has refused a group of commits: every call that waits fails, and the process ends.
    fn server_gives_up(&mut self, down: Duration) {
        self.note(|| "the server's disk fails".into());
        let calls = self.server.up.as_mut().map(|running| std::mem::take(&mut running.calls));
        for call in calls.into_iter().flatten() {
            self.send_answer(call, Ok((500, DISK_FAILED.as_bytes().to_vec())));
        }
        self.server_crash(down);
    }

    fn make_durable(&mut self, queued: Queued) {
        if let Err(error) = self.server.store.commit(&[queued.commit]) {
            self.fail("durability", format!("the store refuses a commit: {error}"));
        }
        self.server.stored.apply(&queued.changes);
    }

    /// Runs a transaction. What it gives must not leave before its sequence is durable.
    pub(super) fn submit<T, E>(
        &mut self,
        writer: &Writer,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Option<(Result<T, E>, u64)> {
        let now = self.server_now();
        let ids = Ids::new(self.seeds.seed());
        let running = self.server.up.as_mut()?;
        let before = running.state.sequence();
        let (result, batch) = match running.state.transact(now, ids, f) {
            Ok(Ok((value, batch))) => (Ok(value), batch),
            Ok(Err(error)) => (Err(error), longshore_state::Batch::default()),
            // Nothing that the simulation does is that large, so some long work was not cut.
            Err(exceeded) => {
                self.fail("limits", exceeded.to_string());
                return None;
            }
        };
        let sequence = running.state.sequence();
        let moved = sequence != before;
        if moved == batch.changes.is_empty() {
            self.fail("atomicity", "the state's sequence does not follow its changes");
            return None;
        }
        if !batch.changes.is_empty() {
            self.tally.transactions += 1;
            self.watch_changes(writer, &batch.changes);
            let commit = Commit::new(batch.changes.ops());
            if let Some(running) = &mut self.server.up {
                running.queue.push_back(Queued { sequence, changes: batch.changes, commit });
            }
            self.write_next();
        }
        self.hint(batch.hints);
        Some((result, sequence))
    }

    fn write_next(&mut self) {
        let (low, high) = self.setup.server_disk_millis;
        let epoch = self.server.epoch;
        let Some(running) = &mut self.server.up else { return };
        if running.writing.is_empty() && !running.queue.is_empty() {
            running.writing = running.queue.drain(..).collect();
            let at = self.now + self.disks.millis(low, high);
            self.push(at, Event::Committed { epoch });
        }
    }

    pub(super) fn committed(&mut self, epoch: u32) {
        if self.server.epoch != epoch {
            return;
        }
        if let Some(down) = self.server.disk_fails.filter(|_| self.server.up.is_some()) {
            self.server.disk_fails = None;
            return self.server_gives_up(down);
        }
        let Some(running) = &mut self.server.up else { return };
        for queued in std::mem::take(&mut running.writing) {
            if let Some(running) = &mut self.server.up {
                running.durable = queued.sequence;
            }
            self.make_durable(queued);
        }
        self.release();
        self.write_next();
    }

    /// Lets go what waited for what is durable now.
    fn release(&mut self) {
        while let Some(running) = &mut self.server.up
            && let Some(entry) = running.waiting.first_entry()
            && *entry.key() <= running.durable
        {
            for then in entry.remove() {
                self.then(then);
            }
        }
    }

    /// Does something once `sequence` is durable, which may be now.
    pub(super) fn when_durable(&mut self, sequence: u64, then: Then) {
        let Some(running) = &mut self.server.up else { return };
        if sequence <= running.durable {
            self.then(then);
        } else {
            running.waiting.entry(sequence).or_default().push(then);
        }
    }

    fn then(&mut self, then: Then) {
        match then {
            Then::Answer(call, reply) => {
                if let Some(running) = &mut self.server.up {
                    running.calls.remove(&call);
                }
                self.acknowledge(call);
                self.send_answer(call, reply);
            }
            Then::Session(pipe, wake) => self.session_wakes(pipe, wake),
        }
    }

    pub(super) fn serve(&mut self, id: CallId, call: &Call) {
        let scope = match &call.caller {
            Caller::User(wish) => self.places[wish.place].scope.clone(),
            Caller::Agent { machine, .. } => self.host_of(*machine).scope.clone(),
        };
        let Some(running) = &mut self.server.up else {
            return self.send_answer(id, Err("connection refused".into()));
        };
        running.calls.insert(id);
        let before = matches!(call.caller, Caller::User(_)).then(|| running.state.records());
        let api = self.server.api.clone();
        let result =
            self.submit(&Writer::Api, |tx| api::call(tx, &api, &scope, call.operation, call.body.as_bytes()));
        let Some((result, sequence)) = result else { return };
        let reply = match result {
            Ok(body) => {
                self.learn(id, call, &body, sequence);
                self.check_wishes("after a call");
                (200, body)
            }
            Err(failure) => {
                if let (Some(before), Some(running)) = (before, &self.server.up)
                    && before != running.state.records()
                {
                    self.fail(
                        "atomicity",
                        format!("{} failed and changed something: {failure:?}", call.operation),
                    );
                }
                if failure.status >= 500 {
                    self.fail("robustness", format!("{} {}: {failure:?}", call.operation, call.body));
                }
                (failure.status, failure.body)
            }
        };
        self.when_durable(sequence, Then::Answer(id, Ok(reply)));
    }

    pub(super) fn hint(&mut self, mut hints: Hints) {
        let epoch = self.server.epoch;
        let Some(running) = &mut self.server.up else { return };
        let mut woken = Vec::new();
        for hint in hints.take::<Hint>() {
            match hint {
                Hint::Service(key) => {
                    running.hints.insert(key);
                }
                // No scenario has providers with managed scaling; the sweep looks at definitions.
                Hint::Provisioning(_) | Hint::Definitions(_) => {}
            }
        }
        for hint in hints.take::<AgentHint>() {
            let (key, task) = match hint {
                AgentHint::Instance(key) => (key, None),
                AgentHint::Work(key, task) => (key, Some(task)),
            };
            woken.extend(running.newest.get(&key).map(|(_, pipe)| (*pipe, task)));
        }
        if !running.hints.is_empty() && !running.is_looking {
            running.is_looking = true;
            let at = self.now + self.disks.millis(0, 3);
            self.push(at, Event::Look { epoch });
        }
        for (pipe, task) in woken {
            self.wake_session(pipe, task);
        }
    }

    pub(super) fn look(&mut self, epoch: u32) {
        if self.server.epoch != epoch {
            return;
        }
        let Some(running) = &mut self.server.up else { return };
        running.is_looking = false;
        let keys = std::mem::take(&mut running.hints);
        for key in keys {
            self.reconcile(&key);
        }
    }

    fn reconcile(&mut self, key: &ServiceKey) {
        let settings = self.setup.controllers;
        let writer = Writer::Controller(key.clone());
        let looked = self.submit(&writer, |tx| Ok::<_, ()>(service::reconcile(tx, key, &settings)));
        if let (Some((Ok(next), _)), Some(running)) = (looked, &mut self.server.up) {
            running.agenda.set(key, next);
        }
    }

    pub(super) fn server_deadline(&self) -> Option<Timestamp> {
        let running = self.server.up.as_ref()?;
        let sessions = running.sessions.values().filter_map(Served::deadline).min();
        let due = [running.agenda.next(), Some(running.sweep_at), sessions].into_iter().flatten().min();
        due.map(|at| self.server.skew.when(at))
    }

    pub(super) fn advance_server(&mut self) {
        let now = self.server_now();
        let Some(running) = &mut self.server.up else { return };
        for key in running.agenda.due(now) {
            self.reconcile(&key);
        }
        let sweep = self.server.up.as_ref().is_some_and(|running| running.sweep_at <= now);
        if sweep {
            let settings = self.setup.controllers;
            let swept = self.submit(&Writer::Sweep, |tx| Ok::<_, ()>(upkeep::sweep(tx, &settings)));
            let pause =
                if matches!(swept, Some((Ok(true), _))) { Duration::ZERO } else { upkeep::SWEEP_EVERY };
            if let Some(running) = &mut self.server.up {
                running.sweep_at = now + pause;
            }
        }
        self.tick_sessions();
    }

    /// Notes that an agent is gone, unless a newer connection of its has come.
    pub(super) fn leave(&mut self, at: &InstanceKey, generation: u64) {
        let Some(running) = &mut self.server.up else { return };
        if running.newest.get(at).is_some_and(|(newest, _)| *newest == generation) {
            running.newest.remove(at);
        }
        if !running.newest.contains_key(at) {
            self.submit(&Writer::Link, |tx| {
                tx.set_connected(at, false);
                Ok::<_, ()>(())
            });
        }
    }

    pub(super) fn settle_credentials(&mut self, at: &InstanceKey) -> Option<u64> {
        let submitted = self.submit(&Writer::Link, |tx| {
            link::credentials_settled(tx, at);
            Ok::<_, ()>(())
        });
        submitted.map(|(_, sequence)| sequence)
    }
}
