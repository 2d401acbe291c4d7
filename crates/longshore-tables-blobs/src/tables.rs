//! Where the records are in memory, with what is derived from them, and what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use longshore_base::Timestamp;
use longshore_blobs::UploadId;
use longshore_images::Digest;
use longshore_state::{Hints, Keep, Kinds, Records, Tables};

use crate::key::{BlobKey, Holder, LinkKey, UploadKey};
use crate::record::{Blob, Link, Upload};

/// All blobs, of everybody.
#[derive(Debug)]
pub struct BlobTables {
    blobs: BTreeMap<Digest, Arc<Blob>>,
    links: BTreeMap<LinkKey, Arc<Link>>,
    uploads: BTreeMap<UploadKey, Arc<Upload>>,
    /// Derived: who holds each blob that anybody holds.
    holders: BTreeMap<Digest, BTreeSet<Holder>>,
    /// Derived: blobs that nobody holds.
    unheld: BTreeSet<Digest>,
    /// Derived: bytes of all blobs.
    bytes: u64,
    /// Until when a client may rely on having been told that the holder has the blob. Of this process: a new leader
    /// takes all links for told when it begins.
    leases: BTreeMap<LinkKey, Timestamp>,
    leads_since: Timestamp,
}

impl BlobTables {
    pub fn blob(&self, digest: &Digest) -> Option<&Arc<Blob>> {
        self.blobs.get(digest)
    }

    pub fn blobs(&self) -> impl Iterator<Item = (&Digest, &Arc<Blob>)> {
        self.blobs.iter()
    }

    pub fn link(&self, key: &LinkKey) -> Option<&Arc<Link>> {
        self.links.get(key)
    }

    pub fn upload(&self, key: &UploadKey) -> Option<&Arc<Upload>> {
        self.uploads.get(key)
    }

    /// Whoever has this blob.
    pub fn holders(&self, digest: &Digest) -> impl Iterator<Item = &Holder> {
        self.holders.get(digest).into_iter().flatten()
    }

    /// Blobs that nobody has.
    pub fn unheld(&self) -> impl Iterator<Item = &Digest> {
        self.unheld.iter()
    }

    /// Links behind this one, in the order of their keys; all of them behind nothing.
    pub fn links_after(&self, after: Option<&LinkKey>) -> impl Iterator<Item = (&LinkKey, &Arc<Link>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.links.range((from, Bound::Unbounded))
    }

    pub fn uploads(&self) -> impl Iterator<Item = (&UploadKey, &Arc<Upload>)> {
        self.uploads.iter()
    }

    /// Whether an upload of this id is recorded, whosever it is.
    pub fn knows_upload(&self, id: UploadId) -> bool {
        self.uploads.keys().any(|key| key.id == id)
    }

    /// How many blobs there are, and how many bytes they have together.
    pub fn usage(&self) -> (usize, u64) {
        (self.blobs.len(), self.bytes)
    }

    /// Until when a client may rely on what it was told about the link.
    pub(crate) fn lease(&self, key: &LinkKey) -> Option<Timestamp> {
        self.leases.get(key).copied()
    }

    pub(crate) fn leads_since(&self) -> Timestamp {
        self.leads_since
    }

    pub(crate) fn renew(&mut self, key: LinkKey, until: Timestamp) {
        let lease = self.leases.entry(key).or_insert(until);
        *lease = until.max(*lease);
    }

    pub(crate) fn forget_leases(&mut self, now: Timestamp) {
        self.leases.retain(|_, until| *until > now);
    }

    /// Puts a digest where it belongs among those that are held, or not.
    fn settle(&mut self, digest: &Digest) {
        if self.blobs.contains_key(digest) && !self.holders.contains_key(digest) {
            self.unheld.insert(digest.clone());
        } else {
            self.unheld.remove(digest);
        }
    }
}

fn replace<K: Ord + Clone, R>(map: &mut BTreeMap<K, Arc<R>>, key: &K, new: Option<Arc<R>>) -> Option<Arc<R>> {
    match new {
        Some(new) => map.insert(key.clone(), new),
        None => map.remove(key),
    }
}

impl Keep<Blob> for BlobTables {
    fn replace(&mut self, key: &BlobKey, new: Option<Arc<Blob>>, _: &mut Hints) -> Option<Arc<Blob>> {
        self.bytes += new.as_ref().map_or(0, |new| new.bytes);
        let old = replace(&mut self.blobs, &key.0, new);
        self.bytes -= old.as_ref().map_or(0, |old| old.bytes);
        self.settle(&key.0);
        old
    }
}

impl Keep<Link> for BlobTables {
    fn replace(&mut self, key: &LinkKey, new: Option<Arc<Link>>, _: &mut Hints) -> Option<Arc<Link>> {
        let own = self.holders.entry(key.digest.clone()).or_default();
        match &new {
            Some(_) => own.insert(key.holder.clone()),
            None => own.remove(&key.holder),
        };
        if own.is_empty() {
            self.holders.remove(&key.digest);
        }
        self.settle(&key.digest);
        replace(&mut self.links, key, new)
    }
}

impl Keep<Upload> for BlobTables {
    fn replace(&mut self, key: &UploadKey, new: Option<Arc<Upload>>, _: &mut Hints) -> Option<Arc<Upload>> {
        replace(&mut self.uploads, key, new)
    }
}

impl Tables for BlobTables {
    const DOMAIN: &'static str = "blobs";

    fn new(now: Timestamp) -> Self {
        Self {
            blobs: BTreeMap::new(),
            links: BTreeMap::new(),
            uploads: BTreeMap::new(),
            holders: BTreeMap::new(),
            unheld: BTreeSet::new(),
            bytes: 0,
            leases: BTreeMap::new(),
            leads_since: now,
        }
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<Blob>().with::<Link>().with::<Upload>()
    }

    fn records(&self, records: &mut Records) {
        for (digest, blob) in &self.blobs {
            records.insert::<Blob>(BlobKey(digest.clone()), blob.clone());
        }
        for (key, link) in &self.links {
            records.insert::<Link>(key.clone(), link.clone());
        }
        for (key, upload) in &self.uploads {
            records.insert::<Upload>(key.clone(), upload.clone());
        }
    }

    fn compare(&self, fresh: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.holders != fresh.holders {
            found.push("holders of blobs differ".to_owned());
        }
        if self.unheld != fresh.unheld {
            found
                .push(format!("blobs without a holder: are {:?}, should be {:?}", self.unheld, fresh.unheld));
        }
        if self.bytes != fresh.bytes {
            found.push(format!("bytes of blobs: are {}, should be {}", self.bytes, fresh.bytes));
        }
        found
    }

    /// Nobody waits for blobs: the collector looks at the time.
    fn all_hints(&self, _hints: &mut Hints) {}

    fn lead(&mut self, now: Timestamp) {
        self.leases.clear();
        self.leads_since = now;
    }
}
