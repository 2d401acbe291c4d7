//! Another control plane, which reads what the server wrote and is ready to take over.

use longshore_state::{Domains, Ledger, State};
use longshore_store::{MemoryStore, Revision, Store, Watch};

use super::{START, World};

/// Another control plane that has not taken over: it has read everything that is durable.
pub(super) struct Follower {
    pub state: State,
    ledger: Ledger<()>,
    watch: Watch,
}

impl Follower {
    pub fn of(store: &MemoryStore, domains: &Domains) -> Self {
        let state = State::new(domains, START);
        let ledger = Ledger::new(&state, Revision::ZERO);
        let watch = store.watch(b"", Revision::ZERO).expect("a new store has its whole history");
        Self { state, ledger, watch }
    }

    /// Reads what was written since it last did.
    pub fn catch_up(&mut self) -> Result<(), String> {
        while let Some(update) = self.watch.try_next().map_err(|error| error.to_string())? {
            self.ledger.follow(&mut self.state, &update).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl World {
    /// Whether a follower has what is stored, and all that follows from it.
    pub(super) fn compare_follower(&mut self) {
        let follower = &self.server.follower.state;
        let mut differences = self.server.stored.differences(&follower.records());
        differences.extend(follower.check());
        self.fail_different("following", "a follower", differences);
    }
}
