//! The stored forms: what survives a restart.
//!
//! The layout is a promise (see [`longshore_state::Record`]): members are only ever appended, with `#[serde(default)]`
//! and a higher level of the kind, and the golden files under `tests/golden` hold one record of every kind and level.

use std::sync::Arc;

use longshore_base::Timestamp;
use longshore_domain::tags::Tags;
use longshore_images::Digest;
use longshore_images::mutability::TagMutability;
use longshore_state::{Kind, Record};
use longshore_tables_blobs::HolderId;
use longshore_tables_iam::record::ResourcePolicy;
use serde::{Deserialize, Serialize};

use crate::key::{ImageKey, RepositoryKey, TagKey};
use crate::tables::EcrTables;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// What its images, tags and blobs hang on. Drawn, and never again.
    pub id: HolderId,
    pub created_at: Timestamp,
    pub tags: Tags,
    pub mutability: TagMutability,
    /// Echoed. Nothing scans here.
    pub scan_on_push: bool,
    pub encryption: Encryption,
    /// Users and roles are in it by their ids.
    pub policy: Option<ResourcePolicy>,
    pub lifecycle: Option<Lifecycle>,
}

/// Echoed: what is on the disk is as it was pushed (registry I3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    Aes256,
    /// With the ARN of a key.
    Kms(Arc<str>),
    KmsDsse(Arc<str>),
}

/// A lifecycle policy that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// As it was given.
    pub text: Arc<str>,
    /// When the sweep last went by it.
    pub evaluated_at: Option<Timestamp>,
}

/// A manifest that was pushed. Its bytes are a blob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub media_type: Arc<str>,
    pub artifact_type: Option<Arc<str>>,
    pub config_media_type: Option<Arc<str>>,
    /// Of the manifest.
    pub bytes: u64,
    /// Of its config and layers.
    pub content_bytes: u64,
    pub pushed_at: Timestamp,
    /// When it was last pulled, to the day.
    pub pulled_at: Option<Timestamp>,
    /// The blobs that it needs; also those that it only names, if they are there.
    pub blobs: Vec<Digest>,
    /// Images of the same repository: the entries of an index.
    pub children: Vec<Digest>,
    /// What it is about. It need not be there.
    pub subject: Option<Digest>,
}

/// A tag, which is on an image of the same repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagOn {
    pub digest: Digest,
    pub tagged_at: Timestamp,
}

impl Record for Repository {
    type Key = RepositoryKey;
    type Tables = EcrTables;
    const KIND: Kind = Kind { name: "repositories", level: 1 };
}

impl Record for Image {
    type Key = ImageKey;
    type Tables = EcrTables;
    const KIND: Kind = Kind { name: "images", level: 1 };

    /// A manifest may name thousands of others.
    fn weight(&self) -> usize {
        const DIGEST_BYTES: usize = 80;
        (self.blobs.len() + self.children.len()) * DIGEST_BYTES
    }
}

impl Record for TagOn {
    type Key = TagKey;
    type Tables = EcrTables;
    const KIND: Kind = Kind { name: "tags", level: 1 };
}
