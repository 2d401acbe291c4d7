//! The control plane: the state, a disk that takes its time, the controllers' agenda.
//!
//! What `longshore_state::Db` and `longshore_controllers::driver` are around threads, this is around the event queue: the
//! same ledger says what is written together and who waits for it, the same schedule what the controllers look at, the
//! same registry which connection is woken.
//! Beside it a follower reads what was written, as another control plane would.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{Ids, Timestamp};
use longshore_controllers::connection::{Generation, Registry};
use longshore_controllers::link;
use longshore_controllers::schedule::{Job, Schedule};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_state::ledger::{self, Group, NotSubmitted, Verdict, Wait};
use longshore_state::{Domains, Hints, Ledger, Moment, MomentKey, Records, State, SteadyTime, Stopped, Tx};
use longshore_store::{Conflict, MemoryStore, Revision, Store, StoreError, Unavailable};
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ecs::{AgentHint, EcsTables, Hint, InstanceKey, ServiceKey};
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::SecretsTables;

use super::follower::Follower;
use super::network::{Call, CallId, Caller, PipeId, Reply};
use super::sessions::Served;
use super::{Event, Skew, World};
use crate::api::{self, Apis};

/// The key that opens what the store has sealed: kept outside of it, it survives everything.
const ROOT_KEY: [u8; 32] = [7; 32];

/// What a call is answered whose changes the store refused.
pub(super) const DISK_FAILED: &str = r#"{"__type":"ServerException","message":"the store refuses"}"#;

pub(super) struct Server {
    apis: Arc<Apis>,
    domains: Domains,
    store: MemoryStore,
    pub follower: Follower,
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
    ledger: Ledger<Then>,
    time: Cell<SteadyTime>,
    /// That of the last transaction.
    latest: Timestamp,
    /// The disk is at work on these.
    writing: Option<Group>,
    /// Calls that arrived and were not answered.
    calls: BTreeSet<CallId>,
    hints: BTreeSet<Hint>,
    is_looking: bool,
    schedule: Schedule,
    pub sessions: BTreeMap<PipeId, Served>,
    pub registry: Registry<PipeId>,
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
    Placer,
    Sweep,
    Api,
    Link,
}

impl Server {
    pub fn new() -> Self {
        let domains = Domains::new("longshore-sim")
            .with::<Ec2Tables>()
            .with::<EcsTables>()
            .with::<IamTables>()
            .with::<SecretsTables>()
            .with::<Keyring>();
        let store = MemoryStore::new();
        Self {
            apis: Arc::new(api::apis()),
            follower: Follower::of(&store, &domains),
            domains,
            store,
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
        let clock = self.server.skew.read(self.now);
        let Some(running) = &self.server.up else { return clock };
        let mut time = running.time.get();
        let now = time.read(clock);
        running.time.set(time);
        now
    }

    pub(super) fn server_up(&mut self) {
        if self.server.up.is_some() {
            return;
        }
        let now = self.server_now();
        self.server.epoch += 1;
        self.tally.server_starts += 1;
        let (mut state, revision) = match State::load_at(&self.server.store, &self.server.domains, now) {
            Ok(loaded) => loaded,
            Err(error) => {
                return self.fail("durability", format!("what was stored cannot be loaded: {error}"));
            }
        };
        let found = state.records();
        self.fail_different("durability", "after a restart", self.server.stored.differences(&found));
        let mut ledger = Ledger::new(&state, revision);
        let mut time = ledger.lead(&mut state, None, now);
        let now = time.read(now);
        // What says who writes is there before anybody asks for anything.
        if let Some(group) = ledger.next_group() {
            let outcomes = self.write(&group, group.len());
            ledger.committed(&group, outcomes);
        }
        let hints = state.all_hints();
        self.server.up = Some(Running {
            records: state.records(),
            state,
            ledger,
            time: Cell::new(time),
            latest: now,
            writing: None,
            calls: BTreeSet::new(),
            hints: BTreeSet::new(),
            is_looking: false,
            schedule: Schedule::new(now),
            sessions: BTreeMap::new(),
            registry: Registry::default(),
        });
        self.note(|| "the server starts".into());
        let unlocked = self.submit(&Writer::Api, |tx| tx.unlock(RootKey::new(ROOT_KEY)));
        if let Some((Err(error), _)) = unlocked {
            self.fail("durability", format!("the root key does not fit any more: {error}"));
        }
        self.watch_roles();
        self.hint(hints);
        self.check_wishes("after a restart");
    }

    /// kill -9. What was not durable is lost; of what the disk was at work on, a part may be there.
    pub(super) fn server_crash(&mut self, down: Duration) {
        self.server_ends(down, Vec::new());
    }

    /// `waited`: those who waited for the disk beside whom the ledger knows.
    fn server_ends(&mut self, down: Duration, waited: Vec<Then>) {
        let Some(mut running) = self.server.up.take() else { return };
        let survive = self.disks.below(running.writing.as_ref().map_or(0, Group::len) + 1);
        let mut durable = running.ledger.progress().sequence;
        if let Some(group) = &running.writing {
            durable = group.changes().take(survive).last().map_or(durable, |(sequence, _)| sequence);
            // Nobody is there to hear the outcome.
            let _ = self.write(group, survive);
        }
        self.note(|| format!("the server is killed, {survive} commits under way survive"));
        self.forget_wishes(self.server.epoch, durable);
        self.break_calls(running.calls.into_iter().collect());
        // Upgrades that were not answered yet break with it, too.
        let waiting = running.ledger.stop(Stopped::NoCommitter);
        let opening = waiting.into_iter().chain(waited).filter_map(|then| match then {
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
    fn server_gives_up(&mut self, down: Duration, waited: Vec<Then>) {
        self.note(|| "the server's disk fails".into());
        let calls = self.server.up.as_mut().map(|running| std::mem::take(&mut running.calls));
        for call in calls.into_iter().flatten() {
            self.send_answer(call, Ok((500, DISK_FAILED.as_bytes().to_vec())));
        }
        self.server_ends(down, waited);
    }

    /// Writes the first commits of a group, and has the follower read them.
    fn write(&mut self, group: &Group, count: usize) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        let outcomes = self.server.store.commit(&group.commits()[..count]);
        match &outcomes {
            Ok(outcomes) if outcomes.iter().all(Result::is_ok) => {}
            Ok(_) | Err(_) => self.fail("durability", format!("the store refuses a commit: {outcomes:?}")),
        }
        for (_, changes) in group.changes().take(count) {
            self.server.stored.apply(changes);
        }
        if let Err(error) = self.server.follower.catch_up() {
            self.fail("following", error);
        }
        outcomes
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
        let told = self.server.stored.get::<Moment>(&MomentKey).map(|moment| moment.at);
        let least = told.map_or(running.latest, |told| running.latest.max(told));
        if now < least {
            self.fail("time", format!("it is {now:?} after it was {least:?}"));
            return None;
        }
        running.latest = now;
        let before = running.state.sequence();
        let (result, sequence) = match ledger::submit(&mut running.state, &mut running.ledger, now, ids, f) {
            Ok(submitted) => submitted,
            // Nothing that the simulation does is too large, so some long work was not cut.
            Err(refused) => {
                let rule = if matches!(refused, NotSubmitted::TooLarge(_)) { "limits" } else { "ledger" };
                self.fail(rule, format!("{refused}: {refused:?}"));
                return None;
            }
        };
        // Changes are followed as they are queued, before anybody can see them.
        let entered = running.ledger.newest().filter(|(newest, _)| *newest > before);
        let entered = entered.map(|(newest, changes)| (newest, changes.clone()));
        let moved = (sequence != before).then_some(sequence);
        if moved != entered.as_ref().map(|(newest, _)| *newest) {
            self.fail("atomicity", "the state's sequence does not follow its changes");
            return None;
        }
        let (result, hints) = match result {
            Ok((value, hints)) => (Ok(value), hints),
            Err(error) => (Err(error), Hints::new()),
        };
        if let Some((_, changes)) = entered {
            self.tally.transactions += 1;
            self.watch_changes(writer, &changes);
            self.write_next();
        }
        self.hint(hints);
        Some((result, sequence))
    }

    fn write_next(&mut self) {
        let (low, high) = self.setup.server_disk_millis;
        let epoch = self.server.epoch;
        let Some(running) = &mut self.server.up else { return };
        // One group at a time; the next one gathers meanwhile.
        if let Some(group) = running.ledger.next_group() {
            running.writing = Some(group);
            let at = self.now + self.disks.millis(low, high);
            self.push(at, Event::Committed { epoch });
        }
    }

    pub(super) fn committed(&mut self, epoch: u32) {
        if self.server.epoch != epoch {
            return;
        }
        let Some(group) = self.server.up.as_mut().and_then(|running| running.writing.take()) else { return };
        let failure = self.server.disk_fails.take();
        let outcomes = match failure {
            Some(_) => Err(Unavailable::Poisoned { at: "the disk".into() }.into()),
            None => self.write(&group, group.len()),
        };
        let Some(running) = &mut self.server.up else { return };
        match (running.ledger.committed(&group, outcomes), failure) {
            (Verdict::Durable { released, .. }, None) => {
                for then in released {
                    self.then(then);
                }
                self.write_next();
            }
            // What the disk was at work on may be there all the same.
            (Verdict::Stopped { why: Stopped::Store(_), released }, Some(down)) => {
                running.writing = Some(group);
                self.server_gives_up(down, released);
            }
            (Verdict::Durable { .. } | Verdict::InDoubt | Verdict::Stopped { .. }, failure) => {
                self.fail("ledger", format!("it takes an answer for another; the disk failed: {failure:?}"));
            }
        }
    }

    /// The operator makes a new data key.
    pub(super) fn rotate_keys(&mut self) {
        if let Some((Err(error), _)) = self.submit(&Writer::Api, |tx| tx.rotate()) {
            self.fail("robustness", format!("no new data key: {error}"));
        }
    }

    /// Does something once `sequence` is durable, which may be now.
    pub(super) fn when_durable(&mut self, sequence: u64, then: Then) {
        let Some(running) = &mut self.server.up else { return };
        match running.ledger.wait(sequence, then) {
            Wait::Durable(then) => self.then(then),
            Wait::Kept => {}
            Wait::Stopped(why, _) => self.fail("ledger", format!("it has stopped: {why}")),
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
        let apis = self.server.apis.clone();
        let body = call.body.as_bytes();
        let result = self.submit(&Writer::Api, |tx| api::call(tx, &apis, &scope, call.operation, body));
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
        running.hints.extend(hints.take());
        let looks = !running.hints.is_empty() && !running.is_looking;
        running.is_looking |= looks;
        let mut woken = Vec::new();
        for hint in hints.take::<AgentHint>() {
            woken.extend(running.registry.hint(&hint).copied());
        }
        if looks {
            let at = self.now + self.disks.millis(0, 3);
            self.push(at, Event::Look { epoch });
        }
        for pipe in woken {
            self.wake_session(pipe);
        }
    }

    pub(super) fn look(&mut self, epoch: u32) {
        if self.server.epoch != epoch {
            return;
        }
        let Some(running) = &mut self.server.up else { return };
        running.is_looking = false;
        let hints = std::mem::take(&mut running.hints);
        for job in Schedule::hinted(hints) {
            self.do_job(&job);
        }
    }

    fn do_job(&mut self, job: &Job) {
        let settings = self.setup.controllers;
        let writer = match job {
            Job::Place(_) => Writer::Placer,
            Job::Reconcile(key) => Writer::Controller(key.clone()),
            Job::Sweep => Writer::Sweep,
        };
        loop {
            let looked = self.submit(&writer, |tx| Ok::<_, ()>(job.run(tx, &settings)));
            let seen = looked.and_then(|(seen, _)| seen.ok());
            let now = self.server_now();
            let Some(running) = &mut self.server.up else { return };
            if !running.schedule.done(job, seen, now) {
                return;
            }
        }
    }

    pub(super) fn server_deadline(&self) -> Option<Timestamp> {
        let running = self.server.up.as_ref()?;
        let sessions = running.sessions.values().filter_map(Served::deadline).min();
        let due = [Some(running.schedule.deadline()), sessions].into_iter().flatten().min();
        due.map(|at| self.server.skew.when(running.time.get().clock_at(at)))
    }

    pub(super) fn advance_server(&mut self) {
        let now = self.server_now();
        let Some(running) = &mut self.server.up else { return };
        for job in running.schedule.due(now) {
            self.do_job(&job);
        }
        let sweep = self.server.up.as_ref().and_then(|running| running.schedule.sweep(now));
        if let Some(sweep) = sweep {
            self.do_job(&sweep);
        }
        self.tick_sessions();
    }

    /// Notes that an agent is gone, unless a newer connection of its has come.
    pub(super) fn leave(&mut self, at: &InstanceKey, generation: Generation) {
        let Some(running) = &mut self.server.up else { return };
        running.registry.leave(at, generation);
        if !running.registry.is_open(at) {
            self.submit(&Writer::Link, |tx| {
                link::disconnected(tx, at);
                Ok::<_, ()>(())
            });
        }
    }
}
