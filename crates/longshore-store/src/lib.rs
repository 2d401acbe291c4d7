//! The contract between the control plane and whatever keeps its records: ordered byte keys,
//! revisions, conditional atomic commits, watches, and a leader with a fencing token.
//!
//! Start reading at [`Store`], then [`Commit`] and [`limits`]. [`MemoryStore`] is the smallest
//! correct backend; `conformance` (a feature of this crate) is the suite that every backend
//! has to pass, and so the contract in executable form.
//!
//! Invariants of every backend:
//! - When [`Store::commit`] returns, what it reports is durable. What it does not report as applied
//!   has changed nothing.
//! - A reader sees whole commits only, and only durable ones.
//! - Revisions and fencing tokens only rise, also over restarts.
//! - A commit beyond the [`limits`] is refused, however much the engine beneath could take. So
//!   the memory backend refuses in a test what etcd would refuse in production.
//!
//! The contract is blocking and object-safe: it is called from the committer's own thread and at
//! start-up, never from an async task. It knows nothing of records, of how keys are spelled or of migrations
//! (that is `longshore-state`), and nothing of time: when a leader has been silent for too long is for others to judge.

pub mod commit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod error;
pub mod history;
pub mod lead;
pub mod limits;
pub mod memory;
pub mod range;
mod store;

pub use commit::{Commit, Condition, Op, Revision};
pub use error::{Conflict, LimitExceeded, StoreError, Unavailable, WatchError};
pub use history::{Change, History, Update, Watch, WatchSource};
pub use lead::{FencingToken, LeadTable, Leader, Lost, Pulse, Sight};
pub use limits::{COMMIT_BYTES_MAX, COMMIT_CONDITIONS_MAX, COMMIT_OPS_MAX, KEY_BYTES_MAX};
pub use memory::MemoryStore;
pub use range::{Entry, EntryRef, KeyRange, Page};
pub use store::Store;
