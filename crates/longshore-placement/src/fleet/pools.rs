//! Which instances belong to which launch type and capacity provider. Instances are named by their slots in the fleet,
//! so that a set of them is a set of bits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bits::Bits;
use crate::needs::{Launch, Pool};

/// The slots of every pool that has any. An instance is in the pool of its launch type, and in that of its capacity
/// provider if it has one.
#[derive(Debug, Default)]
pub(super) struct Pools {
    by_pool: BTreeMap<Pool, Bits>,
}

impl Pools {
    pub(super) fn join(&mut self, slot: u32, launch: Launch, provider: Option<&Arc<str>>) {
        self.by_pool.entry(Pool::Launch(launch)).or_default().insert(slot);
        if let Some(provider) = provider {
            self.by_pool.entry(Pool::Provider(provider.clone())).or_default().insert(slot);
        }
    }

    pub(super) fn leave(&mut self, slot: u32, launch: Launch, provider: Option<&Arc<str>>) {
        self.leave_one(slot, Pool::Launch(launch));
        if let Some(provider) = provider {
            self.leave_one(slot, Pool::Provider(provider.clone()));
        }
    }

    fn leave_one(&mut self, slot: u32, pool: Pool) {
        if let Some(bits) = self.by_pool.get_mut(&pool) {
            bits.remove(slot);
            if bits.is_empty() {
                self.by_pool.remove(&pool);
            }
        }
    }

    pub(super) fn contains(&self, pool: &Pool, slot: u32) -> bool {
        self.by_pool.get(pool).is_some_and(|bits| bits.contains(slot))
    }

    /// All slots of a pool.
    pub(super) fn bits(&self, pool: &Pool) -> Bits {
        self.by_pool.get(pool).cloned().unwrap_or_default()
    }
}
