//! What every backend accepts at most.
//!
//! etcd's defaults are the contract, so that a control plane that was tested on another backend
//! does not meet them first in production. Callers check with [`check`] (or [`Commit::check`])
//! before they queue a commit: a backend refuses the whole group that holds a commit beyond them.

use std::collections::BTreeSet;

use crate::commit::{Commit, Op};
use crate::error::LimitExceeded;

/// What etcd's `--max-txn-ops` allows by default. It holds the longest of a transaction's three lists against it:
/// comparisons, operations on success, operations on failure.
const ETCD_TXN_OPS_MAX: usize = 128;

/// Operations in one commit.
///
/// One of etcd's is left for the log entry that each of its transactions writes beside them (ha M4).
pub const COMMIT_OPS_MAX: usize = ETCD_TXN_OPS_MAX - 1;

/// Conditions on one commit. The fence is not counted.
///
/// Two of etcd's comparisons are left: that the fence's token still leads, and that nothing was written since the last
/// commit (ha M4).
pub const COMMIT_CONDITIONS_MAX: usize = ETCD_TXN_OPS_MAX - 2;

/// What the fence and the guard add to a request, whether a commit has a fence or not: three keys, each with the prefix
/// of its cluster, and one short value.
const GUARD_BYTES: usize = 4 * 1024;

/// Bytes of one commit, as [`commit_bytes`] counts them: 4 KiB less than 1.5 MiB.
///
/// etcd's `--max-request-bytes` is 1.5 MiB and is held against the encoded request: keys, values
/// and conditions together with their framing, and what stands around them ([`GUARD_BYTES`]).
pub const COMMIT_BYTES_MAX: usize = 3 * 1024 * 1024 / 2 - GUARD_BYTES;

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
    conditions.chain(ops).sum()
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
    let conditions = commit.conditions.len();
    if conditions > COMMIT_CONDITIONS_MAX {
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
