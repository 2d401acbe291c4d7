//! The keys of records.

use std::fmt;

use longshore_base::{Ids, Scope};
use longshore_blobs::UploadId;
use longshore_images::Digest;
use longshore_state::{KeyReader, KeyWriter, RecordKey};
use serde::{Deserialize, Serialize};

/// What tells a holder from all others, also from earlier ones of its name: 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HolderId(u128);

impl HolderId {
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    pub fn draw(ids: &mut Ids) -> Self {
        Self(u128::from_be_bytes(ids.seed().to_bytes()))
    }

    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(u128::from_str_radix(text, 16).ok()?);
        // One spelling: no sign, no capitals, nothing left out.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Something that has blobs of its own: a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    pub scope: Scope,
    pub id: HolderId,
}

impl Holder {
    pub fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(self.id);
    }

    pub fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, id: key.parse(HolderId::parse)? })
    }
}

/// A blob, whoever has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobKey(pub Digest);

/// A blob of a holder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkKey {
    pub holder: Holder,
    pub digest: Digest,
}

/// An upload of a holder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadKey {
    pub holder: Holder,
    pub id: UploadId,
}

fn digest(text: &str) -> Option<Digest> {
    Digest::parse(text).ok()
}

impl RecordKey for BlobKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.part(&self.0);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(key.parse(digest)?))
    }
}

impl RecordKey for LinkKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.holder.write(key);
        key.part(&self.digest);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { holder: Holder::read(key)?, digest: key.parse(digest)? })
    }
}

impl RecordKey for UploadKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.holder.write(key);
        key.part(self.id);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let id = |text: &str| UploadId::parse(text).ok();
        Some(Self { holder: Holder::read(key)?, id: key.parse(id)? })
    }
}
