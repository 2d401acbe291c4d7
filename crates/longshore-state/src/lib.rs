//! The kernel of the control plane: records in memory, changed by one writer, made durable by a store.
//!
//! It knows no domain. ECS, IAM or load balancing bring their own [`Record`]s and [`Tables`]; the kernel runs the
//! transactions, writes them down, reads them back, and tells whoever waits for a change. `docs/adding-a-record.md`
//! shows what a record needs.
//!
//! Start reading at [`record`] (what is stored, and under which name) and [`domain`] (where it is kept in memory), then
//! [`tx`] (how it changes) and [`db`] (how a change becomes durable).
//!
//! Erased in the middle, typed at the edges: a [`State`] holds any domains, and `state.of::<EcsTables>()` is one of
//! them; a transaction holds changes of any kind, and `tx.put(key, record)` takes the key that belongs to the record.
//!
//! Invariants:
//! - One writer. A transaction sees everything before it and is all or nothing: a command that fails
//!   leaves no trace.
//! - Everything that can be computed from records is derived in tables, never stored; [`State::check`]
//!   recomputes it from nothing and compares.
//! - Nothing that was read or written leaves [`db::Db`] before it is durable.
//! - What the store holds and this program does not know is an error, never skipped.

mod board;
mod check;
pub mod codec;
pub mod db;
pub mod domain;
mod follow;
pub mod golden;
pub mod hint;
pub mod key;
pub mod ledger;
pub mod level;
pub mod load;
pub mod record;
pub mod records;
pub mod sharing;
pub mod state;
pub mod time;
pub mod tx;

pub use board::Inbox;
pub use codec::CodecError;
pub use db::{Db, Refused, Stopped};
pub use domain::{Domains, Keep, Kinds, Tables};
pub use golden::Golden;
pub use hint::{Hint, Hints};
pub use key::{KeyReader, KeyWriter, RecordKey};
pub use ledger::{Ledger, Progress, Sequence};
pub use level::{Level, LevelKey, LevelTables};
pub use load::LoadError;
pub use record::{Kind, Record};
pub use records::{Changes, Records};
pub use sharing::Sharing;
pub use state::State;
pub use time::{Moment, MomentKey, SteadyTime};
pub use tx::{Batch, Tx};
