//! ECS's records and tables: clusters, instances, definitions, tasks, services.
//!
//! Start reading at [`record`] (what is stored) and [`tables`] (where it is kept, and its indexes), then [`changes`]
//! (what a transaction does with them). Everything above reaches them through two traits: [`EcsState`] for whoever reads
//! and [`EcsTx`] for whoever changes.
//!
//! ```ignore
//! let task = tx.ecs().task(&at, id).cloned();
//! tx.put_task(&at, record::Task { desired_status: DesiredStatus::Stopped, ..task });
//! ```
//!
//! Invariants: a record changes only in a [`longshore_state::Keep`] of [`EcsTables`], which keeps every index in step;
//! what can be computed from records is derived here and never stored. This crate does not know the API, the
//! scheduler's rules or the agents; it only keeps the books.

pub mod changes;
pub mod fleet;
pub mod key;
pub mod record;
pub mod tables;
pub mod view;

use longshore_state::{State, Tx};

pub use changes::EcsTx;
pub use key::{ClusterKey, InstanceKey, ServiceKey};
pub use tables::{
    AgentHint, ClusterTables, Connection, EcsTables, FamilyTable, Guest, Hint, InstanceEntry, Interfaces,
    Realm, ServiceEntry, TaskAt, Wish,
};

/// ECS's tables in a state.
pub trait EcsState {
    fn ecs(&self) -> &EcsTables;
}

impl EcsState for State {
    fn ecs(&self) -> &EcsTables {
        self.of()
    }
}

impl EcsState for Tx<'_> {
    fn ecs(&self) -> &EcsTables {
        self.state().of()
    }
}
