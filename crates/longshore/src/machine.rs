//! What a control plane takes from where it runs: time, chance and a place for its records.

use std::path::Path;
use std::sync::Arc;

use longshore_base::Clock;
use longshore_state::Domains;
use longshore_state::db::SeedSource;
use longshore_store::{MemoryStore, Store};
use longshore_store_embedded::EmbeddedStore;

use crate::clock::{SystemClock, SystemSeeds};
use crate::domains;

/// Opens the store in a directory; `None`: one that forgets everything.
pub type OpenStore = Box<dyn FnOnce(Option<&Path>) -> anyhow::Result<Arc<dyn Store>> + Send>;

pub struct Machine {
    pub clock: Arc<dyn Clock>,
    pub seeds: Arc<dyn SeedSource>,
    pub open_store: OpenStore,
    /// What there are records of.
    pub domains: Domains,
}

impl Machine {
    /// The machine that the process runs on.
    pub fn this() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seeds: Arc::new(SystemSeeds),
            open_store: Box::new(open_store),
            domains: domains::all(),
        }
    }
}

fn open_store(dir: Option<&Path>) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match dir {
        Some(dir) => Arc::new(EmbeddedStore::open(&dir.join("state"))?),
        None => Arc::new(MemoryStore::new()),
    })
}
