//! The ledger without a thread: who may submit, what a group holds, who waits, what an answer means, and followers.

// Each of these files uses a part of it.
#[allow(dead_code)]
mod notes;

use std::time::Duration;

use longshore_base::{Ids, Seed};
use longshore_state::ledger::{
    self, GROUP_BYTES_MAX, GROUP_MAX, Group, NotSubmitted, QUEUE_BYTES_MAX, Unfollowable, Verdict, Wait,
};
use longshore_state::{Domains, Ledger, LevelTables, Progress, Sequence, State, Stopped, Tx};
use longshore_store::{
    COMMIT_OPS_MAX, Change, Commit, Condition, Conflict, FencingToken, MemoryStore, Op, Revision, Store,
    StoreError, Unavailable, Update,
};
use notes::*;
use proptest::prelude::*;

/// A control plane, as far as it is made of a ledger.
struct Node {
    state: State,
    ledger: Ledger<&'static str>,
}

impl Node {
    /// A new one, which follows a store that has nothing.
    fn following() -> Self {
        let state = State::new(&domains(), NOW);
        let ledger = Ledger::new(&state, Revision::ZERO);
        Self { state, ledger }
    }

    fn leading(store: &MemoryStore) -> Self {
        let mut node = Self::following();
        let token = take(store);
        node.ledger.lead(&mut node.state, Some(token), NOW);
        node
    }

    fn submit(&mut self, f: impl FnOnce(&mut Tx<'_>)) -> Result<Sequence, NotSubmitted> {
        let ids = Ids::new(Seed::new(0));
        let run = |tx: &mut Tx<'_>| {
            f(tx);
            Ok::<_, ()>(())
        };
        ledger::submit(&mut self.state, &mut self.ledger, NOW, ids, run).map(|(_, sequence)| sequence)
    }

    fn put(&mut self, name: &str) -> Sequence {
        self.submit(|tx| tx.put::<Note>(NoteKey::new(name), note(name))).expect("it leads")
    }

    fn group(&mut self) -> Group {
        self.ledger.next_group().expect("there is something to write")
    }

    /// Writes everything that is queued.
    fn write(&mut self, store: &MemoryStore) {
        while let Some(group) = self.ledger.next_group() {
            let verdict = self.ledger.committed(&group, store.commit(&group.commits()));
            assert!(matches!(verdict, Verdict::Durable { .. }), "{verdict:?}");
        }
    }
}

fn take(store: &MemoryStore) -> FencingToken {
    let seen = store.sight().expect("memory");
    store.take(&seen, b"test").expect("memory").expect("nobody is quicker")
}

fn in_doubt() -> StoreError {
    StoreError::InDoubt(Unavailable::Poisoned { at: "somewhere".into() })
}

/// The names of the notes in each of a group's transactions.
fn names(group: &Group) -> Vec<String> {
    group.changes().flat_map(|(_, changes)| changes.of::<Note>().map(|(key, _)| key.name.clone())).collect()
}

fn revisions(count: usize, revision: u64) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
    Ok(vec![Ok(Revision::new(revision)); count])
}

#[test]
fn who_follows_submits_nothing() {
    let mut node = Node::following();
    let refused = node.submit(|tx| tx.put::<Note>(NoteKey::new("a"), note("")));
    assert!(matches!(refused, Err(NotSubmitted::Following)));
    assert!(node.state.records().is_empty() && node.ledger.next_group().is_none());
}

#[test]
fn a_leader_says_first_which_program_writes() {
    let store = MemoryStore::new();
    let mut node = Node::leading(&store);
    node.put("a");
    let group = node.group();
    assert_eq!(group.commits()[0].ops[0].key(), "longshore/level");
    assert!(group.commits().iter().all(|commit| commit.fence.is_some()), "all of it under the fence");
    node.ledger.committed(&group, store.commit(&group.commits()));
    // The next one finds it there.
    let mut next = State::load(&store, &domains(), NOW).expect("all is known");
    assert_eq!(next.of::<LevelTables>().level().map(|level| level.level), Some(2));
    let mut ledger = Ledger::<()>::new(&next, store.revision());
    ledger.lead(&mut next, None, NOW);
    assert!(ledger.next_group().is_none());
}

/// What was stored says when, and a clock that is behind must not make it the future.
#[test]
fn a_leader_does_not_begin_before_the_last_one() {
    let store = MemoryStore::new();
    let mut node = Node::leading(&store);
    let put_at = |node: &mut Node, seconds: u64, names: &[String]| {
        let now = NOW + Duration::from_secs(seconds);
        let run = |tx: &mut Tx<'_>| {
            names.iter().for_each(|name| tx.put::<Note>(NoteKey::new(name), note("")));
            Ok::<_, ()>(())
        };
        let ids = Ids::new(Seed::new(0));
        ledger::submit(&mut node.state, &mut node.ledger, now, ids, run).map(|_| ()).expect("it leads");
        let moment = node.state.of::<LevelTables>().moment().expect("it was told");
        moment.at.since(NOW).as_secs()
    };
    let some = ["a".to_owned()];
    assert_eq!([0, 59, 60, 61].map(|seconds| put_at(&mut node, seconds, &some)), [0, 0, 60, 60]);
    // It goes with what has room for it, and with nothing that changes nothing.
    let full: Vec<String> = (0..COMMIT_OPS_MAX).map(|n| n.to_string()).collect();
    assert_eq!(put_at(&mut node, 300, &full), 60);
    assert_eq!(put_at(&mut node, 301, &[]), 60);
    assert_eq!(put_at(&mut node, 302, &full[1..]), 302);
    node.write(&store);

    let mut state = State::load(&store, &domains(), NOW).expect("all is known");
    assert_eq!(state.records(), node.state.records());
    let mut ledger = Ledger::<()>::new(&state, store.revision());
    let mut time = ledger.lead(&mut state, None, NOW);
    assert_eq!(time.read(NOW).since(NOW).as_secs(), 302);
}

#[test]
fn a_long_queue_has_no_room_until_the_store_takes_it() {
    let mut node = Node::leading(&MemoryStore::new());
    let text = "x".repeat(1 << 20);
    let put = |node: &mut Node| node.submit(|tx| tx.put::<Note>(NoteKey::new("a"), note(&text)));
    let mut puts = 0;
    while node.ledger.has_room() {
        put(&mut node).expect("it leads");
        puts += 1;
    }
    assert_eq!(puts, QUEUE_BYTES_MAX >> 20);
    put(&mut node).expect("whoever cannot wait is not refused");
    let group = node.group();
    assert!(node.ledger.has_room(), "what the store has been given is not queued");
    node.ledger.committed(&group, Err(in_doubt()));
    while node.ledger.has_room() {
        put(&mut node).expect("it leads");
    }
    node.ledger.stop(Stopped::NoCommitter);
    assert!(node.ledger.has_room(), "nobody waits for what will not be written");
}

#[test]
fn groups_are_whole_in_order_and_one_at_a_time() {
    let mut node = Node::leading(&MemoryStore::new());
    node.put("a");
    let first = node.group();
    assert_eq!(names(&first), ["a"]);
    let last = node.put("b");
    assert_eq!(node.submit(|_| ()).expect("it leads"), last, "what changes nothing is not written");
    node.put("c");
    assert!(node.ledger.next_group().is_none(), "the store has not answered");
    assert!(matches!(node.ledger.committed(&first, revisions(2, 1)), Verdict::Durable { .. }));
    assert_eq!(names(&node.group()), ["b", "c"]);
}

#[test]
fn groups_are_bounded() {
    let mut node = Node::leading(&MemoryStore::new());
    for n in 0..GROUP_MAX + 5 {
        node.put(&n.to_string());
    }
    // One is the level.
    let group = node.group();
    assert_eq!(group.len(), GROUP_MAX);
    node.ledger.committed(&group, revisions(GROUP_MAX, 1));
    assert_eq!(node.group().len(), 6);

    let mut node = Node::leading(&MemoryStore::new());
    let large = "x".repeat(1 << 20);
    for n in 0..20 {
        node.submit(|tx| tx.put::<Note>(NoteKey::new(n.to_string()), note(&large))).expect("it leads");
    }
    let bytes =
        |group: &Group| -> usize { group.commits().iter().map(longshore_store::limits::commit_bytes).sum() };
    let group = node.group();
    assert!(
        bytes(&group) >= GROUP_BYTES_MAX && bytes(&group) < GROUP_BYTES_MAX + (2 << 20),
        "{}",
        group.len()
    );
}

#[test]
fn who_waits_is_let_go_when_all_that_he_saw_is_durable() {
    let mut node = Node::leading(&MemoryStore::new());
    let first = node.put("a");
    let group = node.group();
    let second = node.put("b");
    assert!(matches!(node.ledger.wait(second, "second"), Wait::Kept));
    assert!(matches!(node.ledger.wait(first, "first"), Wait::Kept));
    assert!(matches!(node.ledger.wait(first, "first too"), Wait::Kept));
    // Commits of one group may have one revision in common.
    let Verdict::Durable { progress, released } = node.ledger.committed(&group, revisions(2, 7)) else {
        panic!("all were applied");
    };
    assert_eq!(progress, Progress { sequence: first, revision: Revision::new(7) });
    assert_eq!(released, ["first", "first too"]);
    assert!(matches!(node.ledger.wait(first, "late"), Wait::Durable("late")));
    let group = node.group();
    let Verdict::Durable { released, .. } = node.ledger.committed(&group, revisions(1, 8)) else {
        panic!("all were applied");
    };
    assert_eq!(released, ["second"]);
}

#[test]
fn what_is_in_doubt_is_written_again() {
    let store = MemoryStore::new();
    let mut node = Node::leading(&store);
    let sequence = node.put("a");
    assert!(matches!(node.ledger.wait(sequence, "waits"), Wait::Kept));
    let group = node.group();
    for _ in 0..3 {
        // It was written, and nobody heard of it.
        store.commit(&group.commits()).expect("memory");
        assert!(matches!(node.ledger.committed(&group, Err(in_doubt())), Verdict::InDoubt));
        assert!(node.ledger.next_group().is_none(), "nothing goes before it");
        assert_eq!(node.ledger.progress().sequence, 0);
    }
    let Verdict::Durable { released, .. } = node.ledger.committed(&group, store.commit(&group.commits()))
    else {
        panic!("it is there");
    };
    assert_eq!(released, ["waits"]);
}

#[test]
fn a_leader_that_was_asleep_is_shut_out() {
    let store = MemoryStore::new();
    let mut old = Node::leading(&store);
    old.put("before");
    old.write(&store);
    let mut new = Node::following();
    let mut watch = store.watch(b"", Revision::ZERO).expect("a new store");
    let token = take(&store);
    while let Some(update) = watch.try_next().expect("it is kept") {
        new.ledger.follow(&mut new.state, &update).expect("it is all there");
    }
    new.ledger.lead(&mut new.state, Some(token), NOW);
    // Both write at the same moment.
    let lost = old.put("lost");
    assert!(matches!(old.ledger.wait(lost, "in vain"), Wait::Kept));
    new.put("after");
    let group = old.group();
    match old.ledger.committed(&group, store.commit(&group.commits())) {
        Verdict::Stopped { why: Stopped::Lost(_), released } => assert_eq!(released, ["in vain"]),
        verdict => panic!("{verdict:?}"),
    }
    assert!(matches!(old.submit(|_| ()), Err(NotSubmitted::Stopped(Stopped::Lost(_)))));
    assert!(matches!(old.ledger.wait(1, "late"), Wait::Stopped(Stopped::Lost(_), "late")));
    new.write(&store);
    let found = State::load(&store, &domains(), NOW).expect("all is known");
    assert_eq!(notes::names(&found), ["after", "before"]);
}

#[test]
fn whatever_else_the_store_says_ends_it() {
    let conflict = Conflict::Condition { condition: Condition::Absent("k".into()), modified: None };
    let refused = [
        Ok(vec![Ok(Revision::new(1)), Err(conflict)]),
        Err(Unavailable::Poisoned { at: "here".into() }.into()),
        Err(StoreError::Corrupt { detail: "all of it".into() }),
    ];
    for outcomes in refused {
        let mut node = Node::leading(&MemoryStore::new());
        let sequence = node.put("a");
        assert!(matches!(node.ledger.wait(sequence, "in vain"), Wait::Kept));
        let group = node.group();
        node.put("b");
        let text = format!("{outcomes:?}");
        let Verdict::Stopped { released, .. } = node.ledger.committed(&group, outcomes) else {
            panic!("{text} is acknowledged");
        };
        assert_eq!(released, ["in vain"], "{text}");
        assert!(node.ledger.next_group().is_none(), "{text}: nothing is built on it");
    }
}

/// A panic in a transaction while the store writes: what it writes may be told by nobody.
#[test]
fn an_end_meanwhile_wins() {
    let store = MemoryStore::new();
    let mut node = Node::leading(&store);
    let sequence = node.put("a");
    let group = node.group();
    assert!(matches!(node.ledger.wait(sequence, "in vain"), Wait::Kept));
    assert_eq!(node.ledger.stop(Stopped::Panicked("on purpose".into())), ["in vain"]);
    let verdict = node.ledger.committed(&group, store.commit(&group.commits()));
    assert!(matches!(verdict, Verdict::Stopped { why: Stopped::Panicked(_), .. }), "{verdict:?}");
    assert!(node.ledger.stop(Stopped::NoCommitter).is_empty());
    let refused = node.submit(|_| ());
    assert!(matches!(refused, Err(NotSubmitted::Stopped(Stopped::Panicked(_)))), "the first reason stays");
}

#[test]
fn a_follower_stops_where_it_cannot_follow() {
    let update = |revision: u64, key: &str, value: &[u8]| Update {
        revision: Revision::new(revision),
        changes: vec![Change::Put { key: key.to_owned().into(), value: value.to_vec().into() }],
    };
    let good = [2, 0x92, 0xa1, b'x', 0xc2];
    let key = "notes/notes/111122223333/eu-west-1/a";
    let follow = |node: &mut Node, update: &Update| node.ledger.follow(&mut node.state, update).map(drop);
    let mut node = Node::following();
    follow(&mut node, &update(3, key, &good)).expect("a note");
    assert_eq!(node.ledger.progress(), Progress { sequence: 1, revision: Revision::new(3) });
    for again in [3, 2] {
        let refused = follow(&mut node, &update(again, key, &good));
        assert!(matches!(refused, Err(Unfollowable::OutOfOrder { .. })), "{again}");
    }
    for (key, value) in [
        ("notes/secrets/x", &good[..]),
        ("?", &good[..]),
        ("notes/notes/x", &good[..]),
        (key, &[3, 0x93][..]),
        (key, &[][..]),
    ] {
        let mut node = Node::following();
        let refused = follow(&mut node, &update(1, key, value));
        assert!(matches!(refused, Err(Unfollowable::Record(_))), "{key}: {refused:?}");
    }
    node.ledger.lead(&mut node.state, None, NOW);
    assert!(matches!(follow(&mut node, &update(9, key, &good)), Err(Unfollowable::NotFollowing)));
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Puts and deletes; whether it fails after that.
    Run(Vec<(u8, Option<u8>)>, bool),
    /// The store is given what is queued, and takes it.
    Write,
    /// It is given the next group, takes so many of its commits, and nobody hears.
    Doubt(usize),
    Follow,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..6_u8, prop::option::of(0..4_u8));
    prop_oneof![
        6 => (prop::collection::vec(change, 0..5), prop::bool::weighted(0.2)).prop_map(|(c, f)| Step::Run(c, f)),
        2 => Just(Step::Write),
        1 => (0..4_usize).prop_map(Step::Doubt),
        2 => Just(Step::Follow),
    ]
}

proptest! {
    /// Whatever happened, who followed is what the leader is, and what the next process finds.
    #[test]
    fn a_follower_equals_the_leader(steps in prop::collection::vec(step(), 0..60)) {
        let store = MemoryStore::new();
        let mut leader = Node::leading(&store);
        let mut follower = Node::following();
        let mut watch = store.watch(b"", Revision::ZERO).expect("a new store");
        let mut catch_up = |follower: &mut Node| {
            while let Some(update) = watch.try_next().expect("it is kept") {
                follower.ledger.follow(&mut follower.state, &update).expect("it can be followed");
            }
        };
        for step in steps {
            match step {
                Step::Run(changes, fails) => {
                    let run = |tx: &mut Tx<'_>| {
                        for (name, text) in changes {
                            let key = NoteKey::new(format!("/{name}%"));
                            match text {
                                Some(0) => tx.put::<Profile>(ProfileKey(account()), Profile { words: name.into() }),
                                Some(text) => tx.put::<Note>(key, note(&text.to_string())),
                                None => tx.delete::<Note>(key),
                            }
                        }
                        if fails { Err(()) } else { Ok(()) }
                    };
                    let ids = Ids::new(Seed::new(0));
                    let done = ledger::submit(&mut leader.state, &mut leader.ledger, NOW, ids, run);
                    prop_assert!(done.is_ok());
                }
                Step::Write => leader.write(&store),
                Step::Doubt(count) => {
                    if let Some(group) = leader.ledger.next_group() {
                        let commits = group.commits();
                        store.commit(&commits[..count.min(commits.len())]).expect("memory");
                        let verdict = leader.ledger.committed(&group, Err(in_doubt()));
                        prop_assert!(matches!(verdict, Verdict::InDoubt));
                        let verdict = leader.ledger.committed(&group, store.commit(&commits));
                        let durable = matches!(verdict, Verdict::Durable { .. });
                        prop_assert!(durable);
                    }
                }
                Step::Follow => {
                    catch_up(&mut follower);
                    prop_assert_eq!(follower.state.check(), Vec::<String>::new());
                }
            }
            prop_assert_eq!(leader.state.check(), Vec::<String>::new());
        }
        leader.write(&store);
        catch_up(&mut follower);
        let records = leader.state.records();
        prop_assert_eq!(records.differences(&follower.state.records()), Vec::<String>::new());
        prop_assert_eq!(follower.state.check(), Vec::<String>::new());
        prop_assert_eq!(follower.ledger.progress().revision, leader.ledger.progress().revision);
        let loaded = State::load(&store, &domains(), NOW).expect("all is known");
        prop_assert_eq!(records.differences(&loaded.records()), Vec::<String>::new());
    }
}

/// Domains that a store has beside ours belong to somebody else.
#[test]
fn a_stranger_in_the_store_is_noticed() {
    let store = MemoryStore::new();
    store.commit(&[Commit::new(vec![Op::put("other/things/1", "x")])]).expect("memory");
    assert!(State::load(&store, &Domains::new("test"), NOW).is_err());
}
