//! What every backend accepts at most.
//!
//! What etcd takes is the contract, so that a control plane that was tested on another backend
//! does not meet its limits first in production. Callers check with [`check`] (or [`Commit::check`])
//! before they queue a commit: a backend refuses the whole group that holds a commit beyond them.

use std::collections::BTreeSet;

use crate::commit::{Commit, Op};
use crate::error::LimitExceeded;

/// Operations in one commit, and, counted apart from them, conditions (a fence is one more).
///
/// etcd's `--max-txn-ops` is 128, and it holds the longest of a transaction's three lists against
/// it: comparisons, operations on success, operations on failure. We use no third list, so up to
/// 128 conditions may stand beside 128 operations.
pub const COMMIT_OPS_MAX: usize = 128;

/// Bytes of one commit, as [`commit_bytes`] counts them: 32 MiB.
///
/// A commit of [`COMMIT_OPS_MAX`] records has to fit whatever strangers wrote into them, or they could make one that
/// the store refuses, which ends the process. The largest records that a transaction changes by the dozen are tasks
/// and instances; what they take from requests is bounded to less than 256 KiB each (50 tags in letters of four bytes
/// are 75 KiB, overrides 32 KiB). etcd's `--max-request-bytes`, by default 1.5 MiB, has to be raised to this; it is
/// held against the encoded request: keys, values and conditions together with their framing.
pub const COMMIT_BYTES_MAX: usize = COMMIT_OPS_MAX * 256 * 1024;

/// Bytes of a key; a key has at least one.
///
/// etcd has no limit of its own. Keys are held by its in-memory index and by ours, so they have
/// to be short: our longest is a scope, a record's kind and a few names of at most 255 bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// What one condition or operation adds to its key and value.
///
/// protobuf spends at most 26 bytes on the tags and lengths of a nested put (four levels of one
/// tag byte and up to four length bytes, then two of the same) and fewer on a comparison with its
/// revision; the rest is room for the prefix that an etcd backend puts before every key.
pub const ENTRY_OVERHEAD_BYTES: usize = 64;

/// The size that is held against [`COMMIT_BYTES_MAX`].
pub fn commit_bytes(commit: &Commit) -> usize {
    let conditions = commit.conditions.iter().map(|condition| condition.key().len() + ENTRY_OVERHEAD_BYTES);
    let ops = commit.ops.iter().map(|op| op_bytes(op) + ENTRY_OVERHEAD_BYTES);
    let fence = commit.fence.map_or(0, |_| ENTRY_OVERHEAD_BYTES);
    fence + conditions.chain(ops).sum::<usize>()
}

/// The bytes of an operation's key and value.
pub fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
    }
}

impl Commit {
    /// See [`check`].
    pub fn check(&self) -> Result<(), LimitExceeded> {
        check(self)
    }
}

/// Whether any backend would take this commit, apart from its conditions.
pub fn check(commit: &Commit) -> Result<(), LimitExceeded> {
    if commit.ops.len() > COMMIT_OPS_MAX {
        return Err(LimitExceeded::Operations { count: commit.ops.len() });
    }
    let conditions = commit.conditions.len() + usize::from(commit.fence.is_some());
    if conditions > COMMIT_OPS_MAX {
        return Err(LimitExceeded::Conditions { count: conditions });
    }
    let keys = commit.conditions.iter().map(|condition| condition.key());
    for key in keys.chain(commit.ops.iter().map(Op::key)) {
        if key.is_empty() {
            return Err(LimitExceeded::EmptyKey);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(LimitExceeded::KeyBytes { bytes: key.len() });
        }
    }
    let bytes = commit_bytes(commit);
    if bytes > COMMIT_BYTES_MAX {
        return Err(LimitExceeded::Bytes { bytes });
    }
    check_keys_differ(&commit.ops)
}

fn check_keys_differ(ops: &[Op]) -> Result<(), LimitExceeded> {
    // Most commits write a handful of keys; comparing all pairs then beats building a set.
    const PAIRWISE_MAX: usize = 8;
    let twice = if ops.len() <= PAIRWISE_MAX {
        ops.iter().enumerate().find(|(at, op)| ops[..*at].iter().any(|earlier| earlier.key() == op.key()))
    } else {
        let mut seen = BTreeSet::new();
        ops.iter().enumerate().find(|(_, op)| !seen.insert(op.key()))
    };
    match twice {
        Some((_, op)) => Err(LimitExceeded::KeyTwice { key: op.key().clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conformance suite checks the limits themselves; this is about both ways to find a repeated key.
    #[test]
    fn a_repeated_key_is_found_in_short_and_long_commits() {
        for others in [0, 5, 100] {
            let op = |n: usize| Op::put(format!("k{n}"), "");
            let mut ops: Vec<Op> = (0..=others).map(op).collect();
            assert_eq!(Commit::new(ops.clone()).check(), Ok(()));
            ops.push(Op::delete(format!("k{others}")));
            let twice = LimitExceeded::KeyTwice { key: format!("k{others}").into() };
            assert_eq!(Commit::new(ops).check(), Err(twice));
        }
    }
}
