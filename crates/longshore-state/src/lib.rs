//! The state of the control plane: typed tables in memory, made durable by a store.
//!
//! Start reading at [`tables`] (what there is, and its indexes), then [`tx`] (how it changes) and
//! [`db`] (how a change becomes durable). [`record`] holds the stored forms, [`key`] their names.
//!
//! Invariants:
//! - One writer. A transaction sees everything before it and is all or nothing: a command that fails
//!   leaves no trace.
//! - Everything that can be computed from records is derived in [`tables`], never stored; `check`
//!   recomputes it from nothing and compares.
//! - Nothing that was read or written leaves [`db::Db`] before it is durable.
//!
//! This crate does not know the API, the scheduler's rules or the agents; it only keeps the books.

pub mod check;
pub mod codec;
pub mod db;
pub mod fleet;
pub mod key;
pub mod record;
mod sharing;
pub mod tables;
pub mod tx;
pub mod view;

pub use codec::{CodecError, Value};
pub use db::{Db, Refused, Stopped};
pub use key::{ClusterKey, InstanceKey, Key, ServiceKey};
pub use tables::{
    ClusterTables, Connection, Definition, FamilyTable, Guest, InstanceEntry, Realm, ServiceEntry, State,
};
pub use tx::{Batch, Hint, Hints, Tx};
