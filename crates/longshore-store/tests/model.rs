//! The memory backend against the simplest model: an ordered map and a counter.

use std::collections::BTreeMap;

use longshore_store::{Commit, Condition, KeyRange, MemoryStore, Op, Revision, Store};
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3_u8, 1..3)
}

fn commit() -> impl Strategy<Value = Commit> {
    let condition = (key(), 0..30_u64, 0..3_u8).prop_map(|(key, revision, kind)| match kind {
        0 => Condition::Absent(key.into()),
        1 => Condition::Present(key.into()),
        _ => Condition::ModifiedAt(key.into(), Revision::new(revision)),
    });
    let op = (key(), proptest::option::weighted(0.7, any::<u8>())).prop_map(|(key, value)| match value {
        Some(value) => Op::put(key, vec![value]),
        None => Op::delete(key),
    });
    (proptest::collection::vec(condition, 0..2), proptest::collection::vec(op, 0..3)).prop_map(
        |(conditions, mut ops)| {
            let mut seen = std::collections::BTreeSet::new();
            ops.retain(|op| seen.insert(op.key().clone()));
            Commit { conditions, ops, fence: None }
        },
    )
}

/// Applies a commit to the model; whether its conditions hold.
fn apply(model: &mut Model, revision: &mut u64, commit: &Commit) -> bool {
    let holds = commit.conditions.iter().all(|condition| match condition {
        Condition::Absent(key) => !model.contains_key(key.as_ref()),
        Condition::Present(key) => model.contains_key(key.as_ref()),
        Condition::ModifiedAt(key, at) => {
            model.get(key.as_ref()).is_some_and(|(_, modified)| *modified == at.get())
        }
    });
    if holds {
        let changes = |op: &Op| match op {
            Op::Put { .. } => true,
            Op::Delete { key } => model.contains_key(key.as_ref()),
        };
        *revision += u64::from(commit.ops.iter().any(changes));
        for op in &commit.ops {
            match op {
                Op::Put { key, value } => {
                    model.insert(key.to_vec(), (value.to_vec(), *revision));
                }
                Op::Delete { key } => {
                    model.remove(key.as_ref());
                }
            }
        }
    }
    holds
}

proptest! {
    #[test]
    fn behaves_like_a_map(groups in proptest::collection::vec(proptest::collection::vec(commit(), 0..4), 0..30)) {
        let mut store = MemoryStore::new();
        let (mut model, mut revision) = (Model::new(), 0);
        for group in groups {
            let outcomes = store.commit(&group).expect("within the limits");
            for (commit, outcome) in group.iter().zip(outcomes) {
                let holds = apply(&mut model, &mut revision, commit);
                prop_assert_eq!(outcome.ok(), holds.then(|| Revision::new(revision)));
            }
            let page = store.range(&KeyRange::ALL, usize::MAX, None).expect("memory");
            let contents: Model = page
                .entries
                .iter()
                .map(|entry| (entry.key.to_vec(), (entry.value.to_vec(), entry.modified.get())))
                .collect();
            prop_assert_eq!(&contents, &model);
            prop_assert_eq!(store.revision(), Revision::new(revision));
            store = store.fork();
        }
    }

    #[test]
    fn a_prefix_covers_exactly_the_keys_that_begin_with_it(
        prefix in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..4),
        key in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..5),
    ) {
        prop_assert_eq!(KeyRange::prefix(prefix.clone()).contains(&key), key.starts_with(&prefix));
    }
}
