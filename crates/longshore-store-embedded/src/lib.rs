//! The store of a single server: one directory on a local disk, one process at a time.
//!
//! Start reading at [`EmbeddedStore::open`]. `directory` owns the lock and the format marker,
//! `journal` decides what an unfinished journal means, `engine` is the only module that knows fjall,
//! and `backend` is the [`longshore_store::Store`] over it.
//!
//! Invariants:
//! - A group of commits is one write batch and one `fdatasync`: after a crash it is there or it is not.
//! - What was never acknowledged may be dropped on opening, silently. What was acknowledged is there,
//!   or opening fails: damage in front of intact data is an error, not a shorter history.
//! - After the first failed write every further one is refused. What the disk holds is then known only
//!   by opening again.
//! - The revision and the last fencing token are in the same batch as the records that they belong to.
//!
//! It does not know what is stored, and it keeps no second copy of it in memory: reads are for
//! start-up and for conditions. Why fjall: `docs/decisions/0002-embedded-store.md`.

mod backend;
mod directory;
mod engine;
mod error;
mod journal;

pub use backend::EmbeddedStore;
pub use directory::FORMAT_VERSION;
pub use error::OpenError;
