//! What is stored of the keyring.

use longshore_base::Timestamp;
use longshore_state::{KeyReader, KeyWriter, Kind, Record, RecordKey};
use serde::{Deserialize, Serialize};

use crate::{Fingerprint, Keyring, Sealed};

/// A key that seals secrets, wrapped by the root key.
///
/// It is its own known answer: it opens with the root key that wrapped it and with no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataKey {
    pub wrapped: Sealed,
    /// Of the root key that wrapped it: a wrong one can be named.
    pub root: Fingerprint,
    pub made_at: Timestamp,
}

/// Data keys are numbered. The highest one seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataKeyNumber(pub u32);

impl RecordKey for DataKeyNumber {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.part(self.0);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(key.parse(|text| text.parse().ok())?))
    }
}

impl Record for DataKey {
    type Key = DataKeyNumber;
    type Tables = Keyring;
    const KIND: Kind = Kind { name: "data-keys", level: 1 };
}
