//! Any sequence of calls, with restarts in between, behaves like the memory backend.

#[allow(dead_code)]
mod common;

use longshore_store::{Commit, Condition, KeyRange, MemoryStore, Op, Revision, Store};
use longshore_store_embedded::EmbeddedStore;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Commit>),
    Reopen,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys, so that they meet; some are prefixes of others, some at the end of the order.
    prop_oneof![
        (0..6_u8).prop_map(|n| vec![b'k', n]),
        Just(vec![b'k']),
        Just(vec![0]),
        Just(vec![0xff, 0xff]),
        Just(b"m".to_vec()),
        Just(b"r".to_vec()),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    (key(), 0..40_u64, 0..4_u8).prop_map(|(key, revision, kind)| match kind {
        0 => Condition::Absent(key.into()),
        1 => Condition::Present(key.into()),
        _ => Condition::ModifiedAt(key.into(), Revision::new(revision)),
    })
}

fn op() -> impl Strategy<Value = Op> {
    (key(), proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..20))).prop_map(
        |(key, value)| match value {
            Some(value) => Op::put(key, value),
            None => Op::delete(key),
        },
    )
}

fn commit() -> impl Strategy<Value = Commit> {
    let conditions = proptest::collection::vec(condition(), 0..2);
    (conditions, proptest::collection::vec(op(), 0..4)).prop_map(|(conditions, ops)| Commit {
        conditions,
        ops,
        fence: None,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => proptest::collection::vec(commit(), 0..5).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn behaves_like_memory(
        steps in proptest::collection::vec(step(), 1..20),
        from in key(),
        to in key(),
        limit in 0..5_usize,
    ) {
        let root = tempfile::TempDir::new().expect("a temporary directory");
        let mut store = EmbeddedStore::open(root.path()).expect("opens");
        let mut model = MemoryStore::new();
        for step in steps {
            match step {
                Step::Commit(group) => match (store.commit(&group), model.commit(&group)) {
                    (Ok(outcomes), Ok(expected)) => prop_assert_eq!(outcomes, expected),
                    (Err(error), Err(expected)) => prop_assert_eq!(error.to_string(), expected.to_string()),
                    (got, expected) => prop_assert!(false, "{:?} instead of {:?}", got, expected),
                },
                Step::Reopen => {
                    drop(store);
                    store = EmbeddedStore::open(root.path()).expect("opens again");
                    model = model.fork();
                }
            }
            prop_assert_eq!(store.revision(), model.revision());
            prop_assert_eq!(common::scan(&store, &KeyRange::ALL), common::scan(&model, &KeyRange::ALL));
            let range = KeyRange::new(from.clone(), to.clone());
            let page = store.range(&range, limit, Some(&from)).expect("readable");
            prop_assert_eq!(page, model.range(&range, limit, Some(&from)).expect("readable"));
            prop_assert_eq!(store.get(&from).expect("readable"), model.get(&from).expect("readable"));
        }
    }
}
