//! Recomputes everything that is derived, and compares.
//!
//! Used by the simulation after every step, by tests and by `longshore check`; it is far too slow for a running server.

use crate::hint::Hints;
use crate::records::Records;
use crate::state::State;

impl State {
    /// Every record. Equal states give equal ones.
    pub fn records(&self) -> Records {
        let mut records = Records::new();
        self.slots().iter().for_each(|slot| slot.tables.records(&mut records));
        records
    }

    /// What does not agree between the indexes and the records, in words; empty when all is well.
    pub fn check(&self) -> Vec<String> {
        let records = self.records();
        let mut fresh = State::new(self.domains(), self.loaded_at());
        records.enter(&mut fresh, &mut Hints::deaf());
        let mut notes = records.differences(&fresh.records());
        for (own, fresh) in self.slots().iter().zip(fresh.slots()) {
            notes.extend(own.tables.compare(&*fresh.tables));
        }
        notes
    }
}
