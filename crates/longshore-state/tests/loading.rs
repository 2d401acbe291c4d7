//! A store that is large enough for several threads loads as a small one does.

// Earlier layouts are for the golden files.
#[allow(dead_code)]
mod sample;

use std::sync::Arc;

use longshore_base::{TaskId, Timestamp};
use longshore_state::{Key, State, Value};
use longshore_store::{Commit, MemoryStore, Op, Store};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The sample with so many copies of its task.
fn store(tasks: u128) -> MemoryStore {
    let store = MemoryStore::new();
    let put = |key: &Key, value: &Value| Op::put(key.encode(), value.encode());
    let mut ops: Vec<Op> = sample::records().iter().map(|(key, value)| put(key, value)).collect();
    let task = sample::records().into_iter().find_map(|(key, value)| match (key, value) {
        (Key::Task(at, _), Value::Task(task)) => Some((at, task)),
        _ => None,
    });
    let (at, task) = task.expect("the sample has a task");
    for n in 0..tasks {
        let copy = longshore_state::record::Task { id: TaskId::from_bits(n), ..(*task).clone() };
        ops.push(put(&Key::Task(at.clone(), copy.id), &Value::Task(Arc::new(copy))));
    }
    for ops in ops.chunks(100) {
        let outcomes = store.commit(&[Commit::new(ops.to_vec())]).expect("memory takes everything");
        assert!(outcomes.iter().all(Result::is_ok));
    }
    store
}

fn loaded(store: &MemoryStore) -> State {
    State::load(store, NOW).expect("the records are whole")
}

#[test]
fn large_and_small_stores_load_alike() {
    let (small, large) = (loaded(&store(10)), loaded(&store(5_000)));
    let (few, many) = (small.records().len(), large.records().len());
    assert_eq!(many - few, 4_990);
    let others = |state: &State| {
        let others = state.records().into_iter().filter(|(key, _)| !matches!(key, Key::Task(..)));
        others.collect::<Vec<_>>()
    };
    assert_eq!(others(&small), others(&large));
    assert_eq!(large.check(), Vec::<String>::new());
}

#[test]
fn damage_is_told_wherever_it_is() {
    for tasks in [10, 5_000] {
        for n in [0, tasks / 2, tasks - 1] {
            let store = store(tasks);
            let (key, _) = sample::records().into_iter().nth(4).expect("the sample's task");
            let Key::Task(at, _) = key else { panic!("not a task: {key:?}") };
            let key = Key::Task(at, TaskId::from_bits(n));
            let op = Op::put(key.encode(), vec![1, 0xc1]);
            store.commit(&[Commit::new(vec![op])]).expect("memory takes everything");
            let error = State::load(&store, NOW).expect_err("a record is damaged");
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            assert!(cause.contains(&TaskId::from_bits(n).to_string()), "{cause}");
        }
    }
}
