//! Commits: what is written together, and under which conditions.

use std::fmt;

use bytes::Bytes;

use crate::lead::FencingToken;

/// A point in the store's history.
///
/// Every commit that changes something has a revision, greater than that of any group before it and no smaller than that
/// of a commit before it in its own group: a backend may write commits of one group under one revision.
/// Every key remembers the revision that last wrote it. A commit that changes nothing (it has no
/// operations, or only deletes keys that are absent) reports the revision that it saw.
/// Revisions never repeat, also over restarts. Do not count on steps of one: other users of an
/// etcd cluster take revisions too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Before every commit. No key carries it.
    pub const ZERO: Revision = Revision(0);

    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next point; where a watch begins that follows a scan at `self`.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has to hold for a commit to be applied; judged before the commit's own operations, after
/// those of every earlier commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key has no value.
    Absent(Bytes),
    /// The key has some value.
    Present(Bytes),
    /// The key has a value, and exactly this revision wrote it last.
    ModifiedAt(Bytes, Revision),
}

impl Condition {
    pub fn key(&self) -> &Bytes {
        match self {
            Condition::Absent(key) | Condition::Present(key) | Condition::ModifiedAt(key, _) => key,
        }
    }

    /// Whether the condition holds for a key that was last written at `modified` (`None`: absent).
    pub fn holds(&self, modified: Option<Revision>) -> bool {
        match self {
            Condition::Absent(_) => modified.is_none(),
            Condition::Present(_) => modified.is_some(),
            Condition::ModifiedAt(_, revision) => modified == Some(*revision),
        }
    }
}

/// One change to one key. A commit names a key in at most one of its operations.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    Put {
        key: Bytes,
        value: Bytes,
    },
    /// Deleting an absent key is no error and no change.
    Delete {
        key: Bytes,
    },
}

impl Op {
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Op::Put { key: key.into(), value: value.into() }
    }

    pub fn delete(key: impl Into<Bytes>) -> Self {
        Op::Delete { key: key.into() }
    }

    pub fn key(&self) -> &Bytes {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }
}

/// Values can hold secrets, so only their length is shown.
impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Put { key, value } => {
                f.debug_struct("Put").field("key", key).field("value_bytes", &value.len()).finish()
            }
            Op::Delete { key } => f.debug_struct("Delete").field("key", key).finish(),
        }
    }
}

/// Operations that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// All have to hold.
    pub conditions: Vec<Condition>,
    pub ops: Vec<Op>,
    /// If given: nobody may have taken the lead since this token was given out. See [`crate::lead`].
    pub fence: Option<FencingToken>,
}

impl Commit {
    pub fn new(ops: Vec<Op>) -> Self {
        Self { ops, ..Self::default() }
    }

    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    #[must_use]
    pub fn fenced(mut self, token: FencingToken) -> Self {
        self.fence = Some(token);
        self
    }
}
