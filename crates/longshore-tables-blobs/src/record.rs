//! The stored forms: what survives a restart.
//!
//! The layout is a promise (see [`longshore_state::Record`]): members are only ever appended, with `#[serde(default)]`
//! and a higher level of the kind, and the golden files under `tests/golden` hold one record of every kind and level.

use longshore_base::Timestamp;
use longshore_state::{Kind, Record};
use serde::{Deserialize, Serialize};

use crate::key::{BlobKey, LinkKey, UploadKey};
use crate::tables::BlobTables;

/// A blob's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub bytes: u64,
    pub state: BlobState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobState {
    /// The file is there.
    Kept,
    /// Nobody holds it. The file is there, or is gone already.
    Dying,
}

/// That a holder has a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// When it was pushed or mounted, the last time.
    pub linked_at: Timestamp,
}

/// An upload that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub began_at: Timestamp,
}

impl Record for Blob {
    type Key = BlobKey;
    type Tables = BlobTables;
    const KIND: Kind = Kind { name: "blobs", level: 1 };
}

impl Record for Link {
    type Key = LinkKey;
    type Tables = BlobTables;
    const KIND: Kind = Kind { name: "links", level: 1 };
}

impl Record for Upload {
    type Key = UploadKey;
    type Tables = BlobTables;
    const KIND: Kind = Kind { name: "uploads", level: 1 };
}
