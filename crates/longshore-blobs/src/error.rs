//! What can go wrong. Callers act differently on each.

use std::io;

use longshore_images::Digest;

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It never began, or it is over.
    #[error("there is no such upload")]
    NoUpload,
    /// Somebody else writes to it now.
    #[error("the upload has another writer")]
    Busy,
    /// The upload is gone: its bytes are of no use.
    #[error("the content has the digest {actual}, not {expected}")]
    WrongDigest { expected: Digest, actual: Digest },
    /// Nothing was written: what is left of the disk is for the state, and for deleting.
    #[error("the disk has {available} bytes left, and {reserve} are reserved")]
    Reserve { available: u64, reserve: u64 },
    /// A write failed for want of room.
    #[error("the disk is full")]
    DiskFull(#[source] io::Error),
    #[error("failed to {what}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        #[source]
        source: io::Error,
    },
}

impl BlobError {
    /// Whether there is no room, whoever noticed.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Reserve { .. } | Self::DiskFull(_) => true,
            Self::NoUpload | Self::Busy | Self::WrongDigest { .. } | Self::Io { .. } => false,
        }
    }

    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(source),
            _ => Self::Io { what: what.into(), source },
        }
    }
}
