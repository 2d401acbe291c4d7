//! The keys of records. Each begins with account and region.

use longshore_base::Scope;
use longshore_images::{Digest, RepositoryName, Tag};
use longshore_state::{KeyReader, KeyWriter, RecordKey};
use longshore_tables_blobs::Holder;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryKey {
    pub scope: Scope,
    pub name: RepositoryName,
}

/// An image of a repository, by the digest of its manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageKey {
    pub holder: Holder,
    pub digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagKey {
    pub holder: Holder,
    pub tag: Tag,
}

impl RecordKey for RepositoryKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.name);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, name: key.parse(RepositoryName::parse)? })
    }
}

impl RecordKey for ImageKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.holder.write(key);
        key.part(&self.digest);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let digest = |text: &str| Digest::parse(text).ok();
        Some(Self { holder: Holder::read(key)?, digest: key.parse(digest)? })
    }
}

impl RecordKey for TagKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.holder.write(key);
        key.part(&self.tag);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { holder: Holder::read(key)?, tag: key.parse(Tag::parse)? })
    }
}
