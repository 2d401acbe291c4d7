//! The contract in executable form: a suite that every backend passes.
//!
//! A backend implements [`Subject`], which gives the suite its stores, and calls [`run`] in its tests. A broken promise
//! panics; the name of its case is the last one on stderr.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::{
    COMMIT_BYTES_MAX, COMMIT_CONDITIONS_MAX, COMMIT_OPS_MAX, ENTRY_OVERHEAD_BYTES, KEY_BYTES_MAX,
};
use crate::{
    Change, Commit, Condition, Conflict, Entry, FencingToken, KeyRange, Leader, LimitExceeded, Lost, Op,
    Revision, Store, StoreError, Update, Watch, WatchError,
};

/// The backend under test.
pub trait Subject {
    /// A store without records, apart from every earlier one.
    fn empty(&mut self) -> Arc<dyn Store>;

    /// The same store after its process ended and started again. The argument is the only handle to it.
    fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

type Case = (&'static str, fn(&mut dyn Subject));

/// Every case with its name.
pub const CASES: &[Case] = &[
    ("a commit is read back with its revision", read_back),
    ("revisions rise with every group that changes something", revisions_rise),
    ("a commit that changes nothing reports the revision it saw", nothing_changed),
    ("a failed condition changes nothing, its neighbours stand", conditions),
    ("conditions see the earlier commits of the group", conditions_in_group),
    ("a condition is judged before the operations of its own commit", conditions_before_ops),
    ("a commit at the limits is taken, one beyond them refuses the group", limits),
    ("ranges are ordered and bounded", ranges),
    ("pages follow one another without gap or repetition", pages),
    ("a scan sees one revision and can be broken off", scans),
    ("a scan is not disturbed by a write", scan_beside_write),
    ("a watch yields past and new updates in order", watch_in_order),
    ("a watch sees only its prefix", watch_prefix),
    ("a watch waits and is woken", watch_wakes),
    ("a watch from before the kept history is refused", watch_compacted),
    ("there is one leader, and tokens rise", leads),
    ("the lead is taken only from a leader that gave no sign of life", signs_of_life),
    ("a fenced commit of a former leader is refused", fencing),
    ("what is committed is there after a restart", reopened),
    ("tokens rise over restarts, and commits with old ones stay refused", reopened_tokens),
];

/// Runs every case.
pub fn run(subject: &mut dyn Subject) {
    for (name, case) in CASES {
        eprintln!("conformance: {name}");
        case(subject);
    }
}

fn put(key: &str, value: &str) -> Op {
    Op::put(key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn delete(key: &str) -> Op {
    Op::delete(key.as_bytes().to_vec())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Commits and returns the outcome of each.
fn commit_all(store: &dyn Store, group: &[Commit]) -> Vec<Result<Revision, Conflict>> {
    let outcomes = store.commit(group).expect("the store takes the group");
    assert_eq!(outcomes.len(), group.len(), "one outcome per commit");
    outcomes
}

/// Commits one, which has to succeed.
fn commit(store: &dyn Store, commit: Commit) -> Revision {
    commit_all(store, &[commit]).remove(0).expect("nothing conflicts")
}

fn put_all(store: &dyn Store, pairs: &[(&str, &str)]) -> Revision {
    commit(store, Commit::new(pairs.iter().map(|(key, value)| put(key, value)).collect()))
}

/// `key=value` of every entry, in order.
fn contents(store: &dyn Store) -> String {
    let page = store.range(&KeyRange::ALL, usize::MAX, None).expect("readable");
    assert!(!page.more, "no limit was given");
    let scanned = scan(store, &KeyRange::ALL);
    assert_eq!(page.entries, scanned, "a page of everything is a scan");
    page.entries.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn scan(store: &dyn Store, range: &KeyRange) -> Vec<Entry> {
    let mut entries = Vec::new();
    store
        .scan(range, &mut |entry| {
            entries.push(Entry {
                key: Bytes::copy_from_slice(entry.key),
                value: Bytes::copy_from_slice(entry.value),
                modified: entry.modified,
            });
            ControlFlow::Continue(())
        })
        .expect("readable");
    entries
}

fn show(entry: &Entry) -> String {
    format!("{}={}", String::from_utf8_lossy(&entry.key), String::from_utf8_lossy(&entry.value))
}

fn keys(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.key).into_owned()).collect()
}

fn read_back(subject: &mut dyn Subject) {
    let store = subject.empty();
    assert_eq!(store.get(b"a").expect("readable"), None);
    let revision = put_all(&*store, &[("a", "1"), ("b", "")]);
    let entry = store.get(b"a").expect("readable").expect("just written");
    assert_eq!(entry, Entry { key: bytes("a"), value: bytes("1"), modified: revision });
    let empty = store.get(b"b").expect("readable").expect("an empty value is a value");
    assert_eq!(empty.value.len(), 0);
    commit(&*store, Commit::new(vec![delete("a")]));
    assert_eq!(store.get(b"a").expect("readable"), None);
    assert_eq!(contents(&*store), "b=");
}

fn revisions_rise(subject: &mut dyn Subject) {
    let store = subject.empty();
    let before = store.revision();
    let group: Vec<Commit> = (0..20).map(|n| Commit::new(vec![put("k", &n.to_string())])).collect();
    let outcomes = commit_all(&*store, &group);
    let mut last = before.next();
    for outcome in outcomes {
        let revision = outcome.expect("nothing conflicts");
        assert!(revision >= last, "commits of a group may share a revision");
        last = revision;
    }
    assert_eq!(store.revision(), last);
    let after = put_all(&*store, &[("k", "19")]);
    assert!(after > last, "groups do not");
    let last = after;
    assert_eq!(contents(&*store), "k=19");
    let entry = store.get(b"k").expect("readable").expect("just written");
    assert_eq!(entry.modified, last);
}

fn nothing_changed(subject: &mut dyn Subject) {
    let store = subject.empty();
    let before = put_all(&*store, &[("a", "1")]);
    assert!(commit_all(&*store, &[]).is_empty());
    assert_eq!(commit(&*store, Commit::default()), before);
    assert_eq!(commit(&*store, Commit::new(vec![delete("b")])), before);
    assert_eq!(commit(&*store, Commit::default().when(Condition::Present(bytes("a")))), before);
    assert_eq!(store.revision(), before);
    // Writing the same value again is a change.
    assert!(put_all(&*store, &[("a", "1")]) > before);
}

fn conditions(subject: &mut dyn Subject) {
    let store = subject.empty();
    let first = put_all(&*store, &[("a", "1")]);
    let second = put_all(&*store, &[("b", "1")]);
    let write = |n: usize, condition: Condition| {
        Commit::new(vec![put(&format!("x{n}"), "x"), put(&format!("y{n}"), "y")]).when(condition)
    };
    let group = [
        (Condition::Absent(bytes("a")), Some(Some(first))),
        (Condition::Absent(bytes("c")), None),
        (Condition::Present(bytes("a")), None),
        (Condition::Present(bytes("c")), Some(None)),
        (Condition::ModifiedAt(bytes("a"), first), None),
        (Condition::ModifiedAt(bytes("a"), second), Some(Some(first))),
        (Condition::ModifiedAt(bytes("b"), first), Some(Some(second))),
        (Condition::ModifiedAt(bytes("c"), first), Some(None)),
    ];
    let commits: Vec<Commit> =
        group.iter().enumerate().map(|(n, (condition, _))| write(n, condition.clone())).collect();
    let outcomes = commit_all(&*store, &commits);
    for (n, ((condition, conflict), outcome)) in group.iter().zip(outcomes).enumerate() {
        let written = store.get(format!("x{n}").as_bytes()).expect("readable");
        let written_too = store.get(format!("y{n}").as_bytes()).expect("readable");
        match conflict {
            None => {
                let revision = outcome.expect("the condition holds");
                assert_eq!(written.map(|entry| entry.modified), Some(revision));
                assert_eq!(written_too.map(|entry| entry.modified), Some(revision));
            }
            Some(modified) => {
                let expected = Conflict::Condition { condition: condition.clone(), modified: *modified };
                assert_eq!(outcome, Err(expected));
                assert_eq!((written, written_too), (None, None));
            }
        }
    }
    // All have to hold, and the first that does not is the one that is named.
    let both = Commit::new(vec![put("z", "z")])
        .when(Condition::Present(bytes("a")))
        .when(Condition::Present(bytes("c")))
        .when(Condition::Absent(bytes("a")));
    let expected = Conflict::Condition { condition: Condition::Present(bytes("c")), modified: None };
    assert_eq!(commit_all(&*store, &[both]), vec![Err(expected)]);
}

fn conditions_in_group(subject: &mut dyn Subject) {
    let store = subject.empty();
    let claim = |by: &str| Commit::new(vec![put("claim", by)]).when(Condition::Absent(bytes("claim")));
    let release = Commit::new(vec![delete("claim")]).when(Condition::Present(bytes("claim")));
    let group = [claim("one"), claim("two"), release.clone(), claim("three"), release, claim("four")];
    let outcomes: Vec<bool> = commit_all(&*store, &group).iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [true, false, true, true, true, true]);
    assert_eq!(contents(&*store), "claim=four");
}

fn conditions_before_ops(subject: &mut dyn Subject) {
    let store = subject.empty();
    let create = Commit::new(vec![put("a", "1")]).when(Condition::Absent(bytes("a")));
    let first = commit(&*store, create);
    let replace = Commit::new(vec![put("a", "2")]).when(Condition::ModifiedAt(bytes("a"), first));
    commit(&*store, replace);
    assert_eq!(contents(&*store), "a=2");
}

fn limits(subject: &mut dyn Subject) {
    let store = subject.empty();
    let ops = |count: usize| -> Vec<Op> { (0..count).map(|n| put(&format!("k{n:04}"), "")).collect() };
    let absent = |count: usize| -> Vec<Condition> {
        (0..count).map(|n| Condition::Absent(bytes(&format!("k{n:04}")))).collect()
    };
    // A fence takes nothing away from either.
    let sight = store.sight().expect("readable");
    let token = store.take(&sight, b"limits").expect("writable").expect("nobody else is there");
    let full = Commit::new(ops(COMMIT_OPS_MAX));
    commit(&*store, Commit { fence: Some(token), conditions: absent(COMMIT_CONDITIONS_MAX), ..full });
    let key = vec![b'x'; KEY_BYTES_MAX];
    let room = COMMIT_BYTES_MAX - ENTRY_OVERHEAD_BYTES - key.len();
    commit(&*store, Commit::new(vec![Op::put(key.clone(), vec![7; room])]));
    let largest = store.get(&key).expect("readable").expect("just written");
    assert!(largest.value.len() == room && largest.value.iter().all(|byte| *byte == 7));

    let condition = |n: usize| Condition::Absent(bytes(&format!("c{n}")));
    let mut conditioned = Commit::new(vec![put("a", "")]);
    conditioned.conditions = (0..=COMMIT_CONDITIONS_MAX).map(condition).collect();
    let too_long = bytes(&"x".repeat(KEY_BYTES_MAX + 1));
    let beyond = [
        (Commit::new(ops(COMMIT_OPS_MAX + 1)), LimitExceeded::Operations { count: COMMIT_OPS_MAX + 1 }),
        (conditioned, LimitExceeded::Conditions { count: COMMIT_CONDITIONS_MAX + 1 }),
        (
            Commit::new(vec![Op::put(key, vec![7; room + 1])]),
            LimitExceeded::Bytes { bytes: COMMIT_BYTES_MAX + 1 },
        ),
        (
            Commit::new(vec![Op::delete(too_long.clone())]),
            LimitExceeded::KeyBytes { bytes: KEY_BYTES_MAX + 1 },
        ),
        (
            Commit::default().when(Condition::Absent(too_long)),
            LimitExceeded::KeyBytes { bytes: KEY_BYTES_MAX + 1 },
        ),
        (Commit::new(vec![put("", "")]), LimitExceeded::EmptyKey),
        (Commit::new(vec![put("t", "1"), delete("t")]), LimitExceeded::KeyTwice { key: bytes("t") }),
    ];
    let before = store.revision();
    for (commit, expected) in beyond {
        assert_eq!(commit.check(), Err(expected.clone()));
        let innocent = Commit::new(vec![put("innocent", "")]);
        match store.commit(&[innocent, commit]) {
            Err(StoreError::Limit { commit: 1, source }) => assert_eq!(source, expected),
            other => panic!("expected {expected:?}, got {other:?}"),
        }
        assert_eq!(store.get(b"innocent").expect("readable"), None, "nothing of the group is applied");
    }
    assert_eq!(store.revision(), before);
    put_all(&*store, &[("after", "a limit the store goes on")]);
}

fn ranges(subject: &mut dyn Subject) {
    let store = subject.empty();
    let high = Bytes::from_static(&[0xff, 0xff]);
    let higher = Bytes::from_static(&[0xff, 0xff, 0x01]);
    put_all(&*store, &[("b/2", ""), ("a", ""), ("b/10", ""), ("b", ""), ("c", ""), ("b/", ""), ("b0", "")]);
    commit(
        &*store,
        Commit::new(vec![Op::put(high.clone(), Bytes::new()), Op::put(higher.clone(), Bytes::new())]),
    );
    let check = |range: KeyRange, expected: &[&str]| {
        let page = store.range(&range, usize::MAX, None).expect("readable");
        assert_eq!(keys(&page.entries), expected, "{range:?}");
        assert_eq!(page.revision, store.revision());
        assert_eq!(scan(&*store, &range), page.entries);
        assert!(page.entries.iter().all(|entry| range.contains(&entry.key)));
    };
    check(KeyRange::prefix("b/"), &["b/", "b/10", "b/2"]);
    check(KeyRange::new("a", "b/2"), &["a", "b", "b/", "b/10"]);
    check(KeyRange::new("b", "b"), &[]);
    check(KeyRange::new("c", "a"), &[]);
    check(KeyRange::prefix("nothing"), &[]);
    let top = store.range(&KeyRange::prefix(high.clone()), usize::MAX, None).expect("readable");
    assert_eq!(top.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>(), [high, higher]);
    assert_eq!(scan(&*store, &KeyRange::ALL).len(), 9);
}

fn pages(subject: &mut dyn Subject) {
    let store = subject.empty();
    let names: Vec<String> = (0..25).map(|n| format!("p/{n:02}")).collect();
    commit(&*store, Commit::new(names.iter().map(|name| put(name, "")).collect()));
    put_all(&*store, &[("o", ""), ("q", "")]);
    let range = KeyRange::prefix("p/");
    for limit in [1, 7, 24, 25, 26] {
        let mut seen: Vec<Entry> = Vec::new();
        loop {
            let after = seen.last().map(|entry| entry.key.clone());
            let page = store.range(&range, limit, after.as_deref()).expect("readable");
            assert!(page.entries.len() <= limit);
            assert!(page.more || seen.len() + page.entries.len() == names.len());
            seen.extend(page.entries);
            if !page.more {
                break;
            }
        }
        assert_eq!(keys(&seen), names, "in pages of {limit}");
    }
    // `after` need not exist, and may lie outside of the range.
    let keys_after = |after: &[u8]| keys(&store.range(&range, 2, Some(after)).expect("readable").entries);
    assert_eq!(keys_after(b"p/03x"), ["p/04", "p/05"]);
    assert_eq!(keys_after(b"a"), ["p/00", "p/01"]);
    assert!(keys_after(b"z").is_empty());
    let none = store.range(&range, 0, None).expect("readable");
    assert!(none.entries.is_empty() && none.more);
}

fn scans(subject: &mut dyn Subject) {
    let store = subject.empty();
    put_all(&*store, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut seen = 0;
    let revision = store
        .scan(&KeyRange::ALL, &mut |_| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("readable");
    assert_eq!(seen, 2);
    assert_eq!(revision, store.revision());
}

fn scan_beside_write(subject: &mut dyn Subject) {
    let store = subject.empty();
    let before = put_all(&*store, &[("a", "1"), ("b", "1"), ("d", "1")]);
    let mut seen = Vec::new();
    let revision = store
        .scan(&KeyRange::ALL, &mut |entry| {
            if entry.key == b"a" {
                let writer = Arc::clone(&store);
                put_all(&*writer, &[("b", "2"), ("c", "2")]);
                commit(&*writer, Commit::new(vec![delete("d")]));
            }
            let entry = Entry {
                key: Bytes::copy_from_slice(entry.key),
                value: Bytes::copy_from_slice(entry.value),
                modified: entry.modified,
            };
            seen.push(show(&entry));
            ControlFlow::Continue(())
        })
        .expect("readable");
    assert_eq!(seen, ["a=1", "b=1", "d=1"]);
    assert_eq!(revision, before);
    assert_eq!(contents(&*store), "a=1 b=2 c=2");
}

/// `+key` and `-key` of every update that is there, one text per update.
fn updates(watch: &mut Watch) -> Vec<String> {
    let mut seen = Vec::new();
    // Long enough for a backend that hears of changes over a network.
    let wait = |seen: &Vec<String>| if seen.is_empty() { Duration::from_secs(10) } else { Duration::ZERO };
    while let Some(update) = watch.next(wait(&seen)).expect("nothing was compacted") {
        seen.push(show_update(&update));
    }
    seen
}

fn show_update(update: &Update) -> String {
    let show = |change: &Change| match change {
        Change::Put { key, .. } => format!("+{}", String::from_utf8_lossy(key)),
        Change::Deleted { key } => format!("-{}", String::from_utf8_lossy(key)),
    };
    update.changes.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn watch_in_order(subject: &mut dyn Subject) {
    let store = subject.empty();
    let mut from_start = store.watch(b"", Revision::ZERO).expect("a new store has its whole history");
    put_all(&*store, &[("a", "1")]);
    let second = put_all(&*store, &[("b", "2")]);
    let mut from_second = store.watch(b"", second).expect("recent");
    let mut from_now = store.watch(b"", store.revision().next()).expect("now");
    assert_eq!(from_now.try_next().expect("now"), None);
    let outcomes = commit_all(
        &*store,
        &[
            Commit::new(vec![put("c", "3"), delete("a"), delete("unknown")]),
            Commit::new(vec![put("d", "4")]).when(Condition::Absent(bytes("c"))),
            Commit::new(vec![delete("unknown")]),
        ],
    );
    let last = commit(&*store, Commit::new(vec![delete("c")]));
    assert_eq!(updates(&mut from_start), ["+a", "+b", "+c -a", "-c"]);
    assert_eq!(updates(&mut from_second), ["+b", "+c -a", "-c"]);
    let first = from_now.next(Duration::from_secs(10)).expect("kept").expect("there");
    assert_eq!(Ok(first.revision), outcomes[0].clone());
    assert_eq!(first.changes[0], Change::Put { key: bytes("c"), value: bytes("3") });
    let next = from_now.next(Duration::from_secs(10)).expect("kept").expect("there");
    assert_eq!((next.revision, show_update(&next)), (last, "-c".to_owned()));
}

fn watch_prefix(subject: &mut dyn Subject) {
    let store = subject.empty();
    let mut watch = store.watch(b"t/", Revision::ZERO).expect("new");
    put_all(&*store, &[("s/1", "")]);
    put_all(&*store, &[("t/1", ""), ("s/2", ""), ("t/2", "")]);
    put_all(&*store, &[("t", ""), ("u/1", "")]);
    commit(&*store, Commit::new(vec![delete("s/1"), delete("t/1")]));
    assert_eq!(updates(&mut watch), ["+t/1 +t/2", "-t/1"]);
}

fn watch_wakes(subject: &mut dyn Subject) {
    let store = subject.empty();
    let mut watch = store.watch(b"wanted", Revision::ZERO).expect("new");
    let waiting = std::thread::spawn(move || watch.next(Duration::from_secs(30)));
    put_all(&*store, &[("other", "")]);
    put_all(&*store, &[("wanted", "")]);
    let update = waiting.join().expect("no panic").expect("kept").expect("woken before the deadline");
    assert_eq!(show_update(&update), "+wanted");
}

fn watch_compacted(subject: &mut dyn Subject) {
    let store = subject.empty();
    let mut slow = store.watch(b"", Revision::ZERO).expect("new");
    // More than any backend may keep by the count and by the size.
    let value = Bytes::from(vec![0; 64 * 1024]);
    for _ in 0..32 {
        let group: Vec<Commit> =
            (0..8).map(|n| Commit::new(vec![Op::put(format!("k{n}"), value.clone())])).collect();
        commit_all(&*store, &group);
    }
    let small: Vec<Commit> = (0..512).map(|_| Commit::new(vec![put("k", "")])).collect();
    for _ in 0..crate::history::HISTORY_REVISIONS_MAX / small.len() + 1 {
        commit_all(&*store, &small);
    }
    let oldest = match slow.try_next() {
        Err(WatchError::Compacted { oldest }) => oldest,
        other => panic!("expected Compacted, got {other:?}"),
    };
    match store.watch(b"", Revision::ZERO) {
        Err(WatchError::Compacted { oldest: again }) => assert_eq!(again, oldest),
        other => panic!("expected Compacted, got {other:?}"),
    }
    let mut watch = store.watch(b"", oldest).expect("the oldest that is kept");
    assert_eq!(watch.try_next().expect("kept").map(|update| update.revision), Some(oldest));
}

fn taken(store: &dyn Store, claim: &str) -> FencingToken {
    let seen = store.sight().expect("available");
    store.take(&seen, claim.as_bytes()).expect("available").expect("nothing has happened since")
}

fn leads(subject: &mut dyn Subject) {
    let store = subject.empty();
    let sight = || store.sight().expect("available");
    let nobody = sight();
    assert_eq!(nobody.leader, None);
    let first = taken(&*store, "one");
    let leads = sight();
    assert_eq!(leads.leader, Some(Leader { token: first, claim: bytes("one") }));
    assert_ne!(leads.pulse, nobody.pulse);
    let late = store.take(&nobody, b"two").expect("available");
    assert_eq!(late, Err(Lost { now: leads }), "somebody was quicker");
    store.resign(first).expect("available").expect("it leads");
    assert_eq!(sight().leader, None);
    assert_eq!(store.beat(first).expect("available"), Err(Lost { now: sight() }));
    assert_eq!(store.resign(first).expect("available"), Err(Lost { now: sight() }));
    assert!(taken(&*store, "two") > first);
    assert!(store.resign(first).expect("available").is_err(), "an old token has no power over a new leader");
    assert!(sight().leader.is_some());
}

fn signs_of_life(subject: &mut dyn Subject) {
    let store = subject.empty();
    let sight = || store.sight().expect("available");
    let token = taken(&*store, "one");
    let silent = sight();
    assert_eq!(sight(), silent, "silence changes nothing");
    store.beat(token).expect("available").expect("it leads");
    let beaten = sight();
    assert!(store.take(&silent, b"two").expect("available").is_err(), "it has beaten");
    commit(&*store, Commit::new(vec![put("a", "1")]).fenced(token));
    assert!(store.take(&beaten, b"two").expect("available").is_err(), "it has written");
    let silent = sight();
    let next = store.take(&silent, b"two").expect("available").expect("it was silent");
    assert!(next > token);
    assert!(store.take(&silent, b"three").expect("available").is_err(), "one of two that saw the same");
}

fn fencing(subject: &mut dyn Subject) {
    let store = subject.empty();
    let old = taken(&*store, "old");
    let write = |token: FencingToken, value: &str| Commit::new(vec![put("a", value)]).fenced(token);
    commit(&*store, write(old, "old"));
    let new = taken(&*store, "new");
    let unknown = FencingToken::new(new.get() + 1);
    let outcomes = commit_all(&*store, &[write(old, "late"), write(new, "new"), write(unknown, "x")]);
    assert_eq!(outcomes[0], Err(Conflict::Fenced(old)));
    assert!(outcomes[1].is_ok());
    assert_eq!(outcomes[2], Err(Conflict::Fenced(unknown)));
    assert_eq!(contents(&*store), "a=new");
    store.resign(new).expect("available").expect("it leads");
    assert_eq!(commit_all(&*store, &[write(new, "resigned")]), vec![Err(Conflict::Fenced(new))]);
}

fn reopened(subject: &mut dyn Subject) {
    let mut store = subject.empty();
    let first = put_all(&*store, &[("a", "1"), ("b", "1")]);
    let second = put_all(&*store, &[("b", "2"), ("c", "2")]);
    let last = commit(&*store, Commit::new(vec![delete("a")]));
    for round in 0..3 {
        store = subject.reopen(store);
        assert_eq!(store.revision(), last, "in round {round}");
        assert_eq!(contents(&*store), "b=2 c=2");
        let entry = store.get(b"b").expect("readable").expect("written before");
        assert_eq!(entry.modified, second);
    }
    match store.watch(b"", first) {
        Ok(mut watch) => assert_eq!(updates(&mut watch)[0], "+a +b"),
        Err(WatchError::Compacted { oldest }) => assert!(oldest <= last.next()),
        Err(other) => panic!("{other:?}"),
    }
    let mut watch = store.watch(b"", last.next()).expect("one can always follow from now on");
    let stale = Commit::new(vec![put("b", "x")]).when(Condition::ModifiedAt(bytes("b"), first));
    assert!(commit_all(&*store, &[stale])[0].is_err());
    let fresh = Commit::new(vec![put("b", "3")]).when(Condition::ModifiedAt(bytes("b"), second));
    assert!(commit(&*store, fresh) > last);
    assert_eq!(updates(&mut watch), ["+b"]);
}

fn reopened_tokens(subject: &mut dyn Subject) {
    let store = subject.empty();
    let old = taken(&*store, "old");
    let store = subject.reopen(store);
    // A backend that several processes share still shows the leader; one that does not has none.
    let new = taken(&*store, "new");
    assert!(new > old);
    let late = Commit::new(vec![put("a", "late")]).fenced(old);
    assert_eq!(commit_all(&*store, &[late]), vec![Err(Conflict::Fenced(old))]);
    let store = subject.reopen(store);
    assert!(taken(&*store, "newer") > new);
}
