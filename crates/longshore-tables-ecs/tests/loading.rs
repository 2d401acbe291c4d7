//! A store that is large enough for several threads loads as a small one does.

// Earlier layouts are for the golden files.
#[allow(dead_code)]
mod sample;

use std::error::Error;

use longshore_base::{TaskId, Timestamp};
use longshore_state::record::{encode, key_text};
use longshore_state::{Domains, Record, Records, State};
use longshore_store::{Commit, MemoryStore, Op, Store};
use longshore_tables_ecs::key::TaskKey;
use longshore_tables_ecs::record::{Service, Task};
use longshore_tables_ecs::{EcsState, EcsTables};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The sample with so many copies of its task.
fn store(tasks: u128) -> MemoryStore {
    let mut records = sample::records();
    let (at, task) = task(&records);
    for n in 0..tasks {
        let copy = Task { id: TaskId::from_bits(n), ..task.clone() };
        records.insert::<Task>(TaskKey { task: copy.id, ..at.clone() }, copy.into());
    }
    let store = MemoryStore::new();
    for ops in records.ops().chunks(100) {
        let outcomes = store.commit(&[Commit::new(ops.to_vec())]).expect("memory takes everything");
        assert!(outcomes.iter().all(Result::is_ok));
    }
    store
}

fn task(records: &Records) -> (TaskKey, Task) {
    let (key, task) = records.of::<Task>().next().expect("the sample has a task");
    (key.clone(), Task::clone(task))
}

fn load(store: &MemoryStore) -> Result<State, longshore_state::LoadError> {
    State::load(store, &Domains::new("test").with::<EcsTables>(), NOW)
}

#[test]
fn large_and_small_stores_load_alike() {
    let (small, large) = (load(&store(10)), load(&store(5_000)));
    let (small, large) = (small.expect("the records are whole"), large.expect("the records are whole"));
    let (few, many) = (small.records(), large.records());
    assert_eq!(many.len() - few.len(), 4_990);
    assert_eq!(many.of::<Task>().count() - few.of::<Task>().count(), 4_990, "{:?}", many.differences(&few));
    for state in [&small, &large] {
        assert_eq!(state.check(), Vec::<String>::new());
    }
    let (key, _) = task(&few);
    let instances = |state: &State| {
        let cluster = state.ecs().cluster(&key.cluster).expect("the sample's cluster");
        cluster.instances().values().map(|entry| entry.tasks().len()).collect::<Vec<_>>()
    };
    assert_eq!(instances(&large)[0] - instances(&small)[0], 4_990, "tasks find their instance");
}

#[test]
fn damage_is_told_wherever_it_is() {
    for tasks in [10, 5_000] {
        for n in [0, tasks / 2, tasks - 1] {
            let store = store(tasks);
            let (at, _) = task(&sample::records());
            let key = TaskKey { task: TaskId::from_bits(n), ..at };
            let op = Op::put(key_text::<Task>(&key), vec![1, 0xc1]);
            store.commit(&[Commit::new(vec![op])]).expect("memory takes everything");
            let error = load(&store).expect_err("a record is damaged");
            let cause = error.source().expect("a cause").to_string();
            assert!(cause.contains(&TaskId::from_bits(n).to_string()), "{cause}");
        }
    }
}

/// A rule that cannot be read does not become a service or a task without rules: the store is not loaded, and says which
/// record it is.
#[test]
fn rules_that_cannot_be_read_are_no_rules_that_are_missing() {
    fn check<R: Record>(rule: &str) {
        let store = store(1);
        let (key, record) = {
            let records = sample::records();
            let (key, record) = records.of::<R>().next().expect("the sample has one of each kind");
            (key_text::<R>(key), encode::<R>(record))
        };
        let at =
            record.windows(rule.len()).position(|part| part == rule.as_bytes()).expect("the sample has it");
        let spoilt = [&record[..at], b"?", &record[at + 1..]].concat();
        store.commit(&[Commit::new(vec![Op::put(key.clone(), spoilt)])]).expect("memory takes everything");
        let error = load(&store).expect_err("the record cannot be read");
        let mut chain = vec![error.to_string()];
        let mut next = error.source();
        while let Some(cause) = next {
            chain.push(cause.to_string());
            next = cause.source();
        }
        let says = |word: &str| chain.iter().any(|text| text.contains(word));
        assert!(says(&key) && says("is invalid"), "{chain:?}");
    }
    for rule in ["distinctInstance", "spread"] {
        check::<Service>(rule);
    }
    for rule in ["distinctInstance", "binpack"] {
        check::<Task>(rule);
    }
}
