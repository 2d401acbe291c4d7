//! A domain with holders, and what the tests of this crate have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{AccountId, ContainerId, Ids, Region, Scope, Seed, Timestamp};
use longshore_blobs::UploadId;
use longshore_images::{Algorithm, Digest};
use longshore_state::{
    Domains, Hints, Keep, KeyReader, KeyWriter, Kind, Kinds, Record, RecordKey, Records, State, Tables, Tx,
};
use longshore_tables_blobs::collect::Holders;
use longshore_tables_blobs::key::BlobKey;
use longshore_tables_blobs::{
    Blob, BlobState, BlobTables, Holder, HolderId, Link, LinkKey, Upload, UploadKey,
};
use serde::{Deserialize, Serialize};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub fn digest(of: &str) -> Digest {
    Digest::of(Algorithm::Sha256, of.as_bytes())
}

pub fn holder(n: u128) -> Holder {
    let account = AccountId::parse("111122223333").expect("twelve digits");
    let scope = Scope::new(account, Region::parse("eu-west-1").expect("a region"));
    Holder { scope, id: HolderId::from_bits(n) }
}

pub fn link(n: u128, of: &str) -> LinkKey {
    LinkKey { holder: holder(n), digest: digest(of) }
}

pub fn upload(n: u128) -> UploadId {
    UploadId::new(ContainerId::from_bits(n))
}

/// One record of each kind, with no member left empty.
pub fn records() -> Records {
    let mut records = Records::new();
    records.insert::<Blob>(BlobKey(digest("a")), Arc::new(Blob { bytes: 7, state: BlobState::Dying }));
    records.insert::<Link>(link(1, "a"), Arc::new(Link { linked_at: NOW }));
    let key = UploadKey { holder: holder(1), id: upload(2) };
    records.insert::<Upload>(key, Arc::new(Upload { began_at: NOW }));
    records
}

/// A holder of the tests: a shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shelf;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShelfKey(pub Holder);

/// That something on a shelf needs a blob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WishKey(pub LinkKey);

#[derive(Debug, Default)]
pub struct Shelves {
    pub shelves: BTreeSet<Holder>,
    pub wishes: BTreeSet<LinkKey>,
}

impl RecordKey for ShelfKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.0.write(key);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(Holder::read(key)?))
    }
}

impl RecordKey for WishKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.0.write(key);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(LinkKey::read(key)?))
    }
}

impl Record for Shelf {
    type Key = ShelfKey;
    type Tables = Shelves;
    const KIND: Kind = Kind { name: "shelves", level: 1 };
}

impl Record for Wish {
    type Key = WishKey;
    type Tables = Shelves;
    const KIND: Kind = Kind { name: "wishes", level: 1 };
}

fn replace<K: Ord + Clone, R>(set: &mut BTreeSet<K>, key: &K, new: Option<Arc<R>>, own: R) -> Option<Arc<R>> {
    let was_there = if new.is_some() { !set.insert(key.clone()) } else { set.remove(key) };
    was_there.then(|| Arc::new(own))
}

impl Keep<Shelf> for Shelves {
    fn replace(&mut self, key: &ShelfKey, new: Option<Arc<Shelf>>, _: &mut Hints) -> Option<Arc<Shelf>> {
        replace(&mut self.shelves, &key.0, new, Shelf)
    }
}

impl Keep<Wish> for Shelves {
    fn replace(&mut self, key: &WishKey, new: Option<Arc<Wish>>, _: &mut Hints) -> Option<Arc<Wish>> {
        replace(&mut self.wishes, &key.0, new, Wish)
    }
}

impl Tables for Shelves {
    const DOMAIN: &'static str = "shelves";

    fn new(_: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<Shelf>().with::<Wish>()
    }

    fn records(&self, records: &mut Records) {
        for holder in &self.shelves {
            records.insert::<Shelf>(ShelfKey(holder.clone()), Arc::new(Shelf));
        }
        for key in &self.wishes {
            records.insert::<Wish>(WishKey(key.clone()), Arc::new(Wish));
        }
    }

    fn compare(&self, _: &Self) -> Vec<String> {
        Vec::new()
    }

    fn all_hints(&self, _: &mut Hints) {}
}

pub const HOLDERS: [Holders; 1] = [Holders {
    has: |state, holder| state.of::<Shelves>().shelves.contains(holder),
    needs: |state, holder, digest| {
        let key = LinkKey { holder: holder.clone(), digest: digest.clone() };
        state.of::<Shelves>().wishes.contains(&key)
    },
}];

/// A state with some shelves.
pub fn empty(shelves: u128) -> State {
    let domains = Domains::new("test").with::<BlobTables>().with::<Shelves>();
    let mut state = State::new(&domains, NOW);
    at(&mut state, NOW, |tx| (0..shelves).for_each(|n| tx.put::<Shelf>(ShelfKey(holder(n)), Shelf)));
    state
}

pub fn at<T>(state: &mut State, now: Timestamp, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
    let seed = Seed::new(u128::from(state.sequence()) + 1);
    let done = state.transact(now, Ids::new(seed), |tx| Ok::<_, ()>(f(tx)));
    done.expect("it fits").expect("it is done").0
}

/// All keys in order, for tests that compare.
pub fn links(state: &State) -> BTreeMap<LinkKey, Timestamp> {
    let all = state.of::<BlobTables>().links_after(None);
    all.map(|(key, link)| (key.clone(), link.linked_at)).collect()
}
