//! Transactions, keys, layouts and loading, with a small domain of its own.

// Each of these files uses a part of it.
#[allow(dead_code)]
mod notes;

use std::collections::BTreeSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use longshore_base::{Ids, Seed};
use longshore_state::record::key_text;
use longshore_state::{Batch, Domains, Level, LevelKey, LevelTables, State, Tx};
use longshore_store::{COMMIT_OPS_MAX, Commit, LimitExceeded, MemoryStore, Op, Store};
use notes::*;

fn empty() -> State {
    State::new(&domains(), NOW)
}

fn run<T, E>(state: &mut State, f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<(T, Batch), E> {
    state.transact(NOW, Ids::new(Seed::new(0)), f).expect("it fits")
}

fn done(state: &mut State, f: impl FnOnce(&mut Tx<'_>)) -> Batch {
    let ((), batch) = run(state, |tx| {
        f(tx);
        Ok::<_, ()>(())
    })
    .expect("it does not fail");
    batch
}

fn stored(batches: &[&Batch]) -> MemoryStore {
    let store = MemoryStore::new();
    for batch in batches {
        let outcomes = store.commit(&[Commit::new(batch.changes.ops())]).expect("memory takes everything");
        assert!(outcomes.iter().all(Result::is_ok));
    }
    store
}

fn load(store: &MemoryStore, domains: &Domains) -> Result<State, String> {
    State::load(store, domains, NOW).map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    })
}

#[test]
fn what_is_put_is_there_and_comes_back() {
    let mut state = empty();
    let batch = done(&mut state, |tx| {
        tx.put::<Note>(NoteKey::new("a/b/../%"), note("one"));
        tx.put::<Note>(NoteKey::new(""), note("none"));
        tx.put::<Profile>(ProfileKey(account()), Profile { words: 3 });
        assert_eq!(tx.changed(), 3);
        tx.put::<Note>(NoteKey::new("a/b/../%"), note("two"));
        tx.delete::<Note>(NoteKey::new("never was"));
        assert_eq!(tx.changed(), 4, "each record counts once");
    });
    assert_eq!(state.of::<Notes>().note("a/b/../%").expect("it is there").text, "two");
    let found = load(&stored(&[&batch]), &domains()).expect("all is known");
    assert_eq!(found.records().differences(&state.records()), Vec::<String>::new());
    assert_eq!(found.check(), Vec::<String>::new());
}

#[test]
fn changes_are_told_by_kind() {
    let mut state = empty();
    done(&mut state, |tx| tx.put::<Note>(NoteKey::new("a"), note("one")));
    let batch = done(&mut state, |tx| {
        tx.delete::<Note>(NoteKey::new("a"));
        tx.put::<Note>(NoteKey::new("b"), note("two"));
    });
    let changed: Vec<_> =
        batch.changes.of::<Note>().map(|(key, note)| (&*key.name, note.is_some())).collect();
    assert_eq!(changed, [("a", false), ("b", true)]);
    assert_eq!(batch.changes.get::<Note>(&NoteKey::new("a")), Some(None));
    assert_eq!(batch.changes.get::<Note>(&NoteKey::new("c")), None);
    assert!(batch.changes.touches::<Note>() && !batch.changes.touches::<Profile>());
    let hints = |batch: &mut Batch| (batch.hints.take::<Changed>(), batch.hints.take::<Profiled>());
    let mut batch = batch;
    let both = BTreeSet::from([Changed("a".into()), Changed("b".into())]);
    assert_eq!(hints(&mut batch), (both, BTreeSet::new()));
}

#[test]
fn what_fails_leaves_no_trace() {
    let mut state = empty();
    done(&mut state, |tx| tx.put::<Note>(NoteKey::new("a"), note("one")));
    let (before, sequence) = (state.records(), state.sequence());
    let failed = run(&mut state, |tx| {
        tx.put::<Note>(NoteKey::new("a"), note("two"));
        tx.delete::<Note>(NoteKey::new("a"));
        tx.put::<Note>(NoteKey::new("b"), note("three"));
        Err::<(), _>("no")
    });
    assert_eq!(failed.err(), Some("no"));
    assert_eq!(before.differences(&state.records()), Vec::<String>::new());
    assert_eq!(state.check(), Vec::<String>::new());
    assert_eq!(state.sequence(), sequence);
}

/// Indexes may depend on the order in which records come, so a roll-back goes the whole way back, step by step.
#[test]
fn a_roll_back_goes_back_in_order() {
    let mut state = empty();
    done(&mut state, |tx| {
        tx.put::<Profile>(ProfileKey(account()), Profile { words: 1 });
        tx.put::<Note>(NoteKey::new("a"), note("one"));
        tx.put::<Note>(NoteKey::new("z"), note("two"));
    });
    assert_eq!(state.of::<Notes>().profiled(), [true, true]);
    let failed = run(&mut state, |tx| {
        tx.delete::<Note>(NoteKey::new("z"));
        tx.delete::<Profile>(ProfileKey(account()));
        tx.delete::<Note>(NoteKey::new("a"));
        Err::<(), _>(())
    });
    assert!(failed.is_err());
    // The profile went between the two, and is back between them.
    assert_eq!(state.of::<Notes>().profiled(), [false, true]);
}

#[test]
fn what_no_commit_takes_is_undone() {
    let mut state = empty();
    let ids = || Ids::new(Seed::new(0));
    let many = state.transact(NOW, ids(), |tx| {
        (0..=COMMIT_OPS_MAX).for_each(|n| tx.put::<Note>(NoteKey::new(n.to_string()), note("")));
        Ok::<_, ()>(())
    });
    assert_eq!(many.err(), Some(LimitExceeded::Operations { count: COMMIT_OPS_MAX + 1 }));
    // Escaped, it is three times as long.
    let long = state.transact(NOW, ids(), |tx| {
        tx.put::<Note>(NoteKey::new("/".repeat(400)), note(""));
        Ok::<_, ()>(())
    });
    assert!(matches!(long.err(), Some(LimitExceeded::KeyBytes { bytes }) if bytes > 1200));
    let large = state.transact(NOW, ids(), |tx| {
        tx.put::<Note>(NoteKey::new("a"), note(&"x".repeat(2 << 20)));
        assert!(tx.is_heavy());
        Ok::<_, ()>(())
    });
    assert!(matches!(large.err(), Some(LimitExceeded::Bytes { .. })));
    assert!(state.records().is_empty());
}

#[test]
fn a_kind_that_is_not_listed_cannot_be_stored() {
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        done(&mut empty(), |tx| tx.put::<Forgotten>(ProfileKey(account()), Forgotten));
    }));
    let text = *panicked.expect_err("it could not be read again").downcast::<String>().expect("a text");
    assert!(text.contains("forgotten is not in the list"), "{text}");
}

#[test]
#[should_panic(expected = "the domain notes is not in the list")]
fn tables_of_other_domains_are_not_there() {
    State::new(&Domains::new("nothing"), NOW).of::<Notes>();
}

#[test]
#[should_panic(expected = "notes is listed twice")]
fn two_domains_have_two_names() {
    let _ = domains().with::<OldNotes>();
}

#[test]
fn a_wrong_index_is_found() {
    let mut state = empty();
    done(&mut state, |tx| {
        tx.put::<Note>(NoteKey::new("a"), note("one"));
        tx.volatile(|tables: &mut Notes, _| tables.spoil());
    });
    let found = state.check();
    assert!(found.len() == 1 && found[0].contains("spoilt"), "{found:?}");
}

#[test]
fn an_appended_member_is_absent_in_old_records() {
    let mut old = State::new(&old_domains(), NOW);
    let batch =
        done(&mut old, |tx| tx.put::<NoteBefore>(NoteKey::new("a"), NoteBefore { text: "one".into() }));
    let state = load(&stored(&[&batch]), &domains()).expect("old layouts are read");
    assert_eq!(**state.of::<Notes>().note("a").expect("it is there"), note("one"));
}

#[test]
fn a_newer_layout_is_refused_with_the_program_that_can_read_it() {
    let mut state = empty();
    let notes = done(&mut state, |tx| tx.put::<Note>(NoteKey::new("a"), note("one")));
    let level = Level { level: domains().level(), program: domains().program().into() };
    let level = done(&mut state, |tx| tx.put::<Level>(LevelKey, level));
    let refused = load(&stored(&[&level, &notes]), &old_domains()).expect_err("it would drop a member");
    assert!(refused.contains("notes 2.0 (level 2)") && refused.contains("up to level 1"), "{refused}");
    // Also when nothing says so in the store.
    let refused = load(&stored(&[&notes]), &old_domains()).expect_err("it would drop a member");
    assert!(refused.contains("notes/notes/111122223333/eu-west-1/a has a layout of level 2"), "{refused}");
}

#[test]
fn what_is_not_known_is_never_skipped() {
    let mut state = empty();
    let batch = done(&mut state, |tx| tx.put::<Profile>(ProfileKey(account()), Profile { words: 1 }));
    let refused = load(&stored(&[&batch]), &old_domains()).expect_err("it knows no profiles");
    assert!(refused.contains("notes/profiles/111122223333"), "{refused}");
    let key = key_text::<Profile>(&ProfileKey(account()));
    for unknown in
        ["", "notes", "notes/profilesx/111122223333", "other/notes/x", &format!("{key}/x"), &key[..14]]
    {
        let store = stored(&[&batch]);
        let op = Op::put(if unknown.is_empty() { "?" } else { unknown }.to_owned(), vec![1, 0x91, 1]);
        store.commit(&[Commit::new(vec![op])]).expect("memory takes everything");
        let refused = load(&store, &domains()).expect_err(unknown);
        assert!(refused.contains(unknown), "{refused}");
    }
    let store = stored(&[&batch]);
    store.commit(&[Commit::new(vec![Op::put(vec![0xff, 0xfe], "")])]).expect("memory takes everything");
    load(&store, &domains()).expect_err("no text");
}

#[test]
fn a_store_knows_who_wrote_it() {
    let mut state = empty();
    assert_eq!(state.of::<LevelTables>().level(), None);
    let level = Level { level: 2, program: "notes 2.0".into() };
    let batch = done(&mut state, |tx| tx.put::<Level>(LevelKey, level.clone()));
    assert_eq!(batch.changes.ops()[0].key(), "longshore/level");
    let found = load(&stored(&[&batch]), &domains()).expect("all is known");
    assert_eq!(found.of::<LevelTables>().level(), Some(&level));
}
