//! How a store fails: conflict, limit, unavailable and corrupt, because callers act differently on
//! each. A conflict is read again and decided again, a limit is a defect of the caller, what is in doubt is asked
//! again, unavailable and corrupt stop the process.

use std::io;

use bytes::Bytes;

use crate::commit::{Condition, Revision};
use crate::lead::FencingToken;
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_CONDITIONS_MAX, COMMIT_OPS_MAX, KEY_BYTES_MAX};

/// Why one commit of a group was not applied. The others stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A condition does not hold: the first that fails, and what was found instead.
    #[error("condition {condition:?} does not hold: the key was last written at {modified:?}")]
    Condition { condition: Condition, modified: Option<Revision> },
    /// Whoever had the token leads no more: another has taken the lead, or it was given up.
    #[error("the fencing token {0} is no longer that of the leader")]
    Fenced(FencingToken),
}

/// How a commit is beyond what every backend accepts. See [`crate::limits`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    #[error("{count} operations in one commit; at most {COMMIT_OPS_MAX} are possible")]
    Operations { count: usize },
    #[error("{count} conditions on one commit; at most {COMMIT_CONDITIONS_MAX} are possible")]
    Conditions { count: usize },
    #[error("a commit of {bytes} bytes; at most {COMMIT_BYTES_MAX} are possible")]
    Bytes { bytes: usize },
    #[error("a key of {bytes} bytes; at most {KEY_BYTES_MAX} are possible")]
    KeyBytes { bytes: usize },
    #[error("a key without a byte")]
    EmptyKey,
    #[error("key {key:?} is written twice in one commit")]
    KeyTwice { key: Bytes },
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The commit at this place of the group can never be accepted. Nothing of the group was applied.
    #[error("commit {commit} of the group is beyond the store's limits")]
    Limit {
        commit: usize,
        #[source]
        source: LimitExceeded,
    },
    /// The store cannot be read or written now. After a failed write, what of the group is durable
    /// is unknown until the store is opened again; until then it refuses every write.
    #[error("the store is unavailable")]
    Unavailable(#[source] Unavailable),
    /// The store gave no answer, and goes on: what was asked for may have happened or not. The same may be asked again.
    #[error("the store gave no answer")]
    InDoubt(#[source] Unavailable),
    /// What is stored is not what was written. Restore a backup; going on would lose records.
    #[error("the store is corrupt: {detail}")]
    Corrupt { detail: String },
}

impl From<Unavailable> for StoreError {
    fn from(cause: Unavailable) -> Self {
        StoreError::Unavailable(cause)
    }
}

/// Why a store can be neither read nor written, and what its operator can do.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("no space is left at {at}; free some, or move the data directory, and start again")]
    DiskFull {
        at: String,
        #[source]
        source: io::Error,
    },
    #[error("{at} cannot be written; check its owner, its mode and how its file system is mounted")]
    ReadOnly {
        at: String,
        #[source]
        source: io::Error,
    },
    #[error("reading or writing {at} failed")]
    Io {
        at: String,
        #[source]
        source: io::Error,
    },
    /// An earlier write failed.
    #[error("an earlier write to {at} failed; start again to recover what is durable")]
    Poisoned { at: String },
}

impl Unavailable {
    /// Sorts an I/O error by what an operator has to do about it. `at` is the directory or address.
    pub fn from_io(at: impl Into<String>, source: io::Error) -> Self {
        use io::ErrorKind as K;
        let at = at.into();
        match source.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Self::DiskFull { at, source },
            K::ReadOnlyFilesystem | K::PermissionDenied => Self::ReadOnly { at, source },
            _ => Self::Io { at, source },
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The history that the watch needs is gone. Scan again and watch from there.
    #[error("history before revision {oldest} is no longer kept")]
    Compacted { oldest: Revision },
    #[error("failed to watch")]
    Store(#[source] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_learns_what_to_do() {
        let check = |kind: io::ErrorKind, expected: &str| {
            let error = Unavailable::from_io("/data", io::Error::from(kind));
            assert_eq!(error.to_string(), expected);
        };
        check(
            io::ErrorKind::StorageFull,
            "no space is left at /data; free some, or move the data directory, and start again",
        );
        check(
            io::ErrorKind::ReadOnlyFilesystem,
            "/data cannot be written; check its owner, its mode and how its file system is mounted",
        );
        check(io::ErrorKind::TimedOut, "reading or writing /data failed");
    }
}
