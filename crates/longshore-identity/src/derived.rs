//! Signing keys that were derived: four HMACs each, made once a day, region and service.

use longshore_sigv4::{KeyCache, Presented, Secret, SigningKey};
use parking_lot::Mutex;

/// Derived keys kept per shard. A day and region make one for each active key; agents and tasks
/// sign rarely, so that only the busy clients need to stay.
const CACHE_PER_SHARD: usize = 512;

/// Shards of the cache, so that connections on different threads seldom meet.
const SHARDS: usize = 16;

/// A bounded cache. It only saves work: whether a key may be used is decided by its record, each time.
pub(crate) struct Derived([Mutex<KeyCache>; SHARDS]);

impl Default for Derived {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(KeyCache::new(CACHE_PER_SHARD))))
    }
}

impl Derived {
    /// The part of the cache where the keys derived for an id live.
    fn shard(&self, access_key_id: &str) -> &Mutex<KeyCache> {
        // A cheap spread is enough: the ids of busy clients differ in their last characters.
        let spread = access_key_id.bytes().fold(0_usize, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        &self.0[spread % SHARDS]
    }

    pub(crate) fn get(&self, presented: &Presented<'_>) -> Option<SigningKey> {
        self.shard(presented.access_key_id()).lock().get(presented.credential())
    }

    /// Derives the key, and keeps it if `may_keep` says so, which is asked with the shard locked.
    pub(crate) fn derive(
        &self,
        presented: &Presented<'_>,
        secret: &Secret,
        may_keep: impl FnOnce() -> bool,
    ) -> SigningKey {
        let derived = presented.signing_key(secret);
        let mut shard = self.shard(presented.access_key_id()).lock();
        if may_keep() {
            shard.insert(presented.credential(), derived.clone());
        }
        derived
    }

    /// Forgets the keys that were derived for an id, and some others.
    pub(crate) fn forget(&self, access_key_id: &str) {
        self.shard(access_key_id).lock().clear();
    }

    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|shard| shard.lock().clear());
    }
}
