//! How an AWS API over the state is served: operations as types, one table of them, and who may do what in one place.
//!
//! Start at [`Command`] and [`Query`]: an operation says how its input is read, what it needs permission for, and what it
//! does. [`operations!`] lists those of an API in a [`Table`], which is all there is to list: [`Server`] serves it,
//! [`Table::run_in`] runs it inside a transaction for whoever brings his own (the simulation), and tests walk it.
//!
//! A request goes through: decode, [`parse`](Command::parse), lock, [`Guard::allow`], `run`, unlock, wait until it is durable, encode.
//!
//! Invariants:
//! - What is read from a request alone is read before the lock is taken.
//! - What a caller may do is asked under the lock that the operation runs under, so that both see one revision, and
//!   before the operation has looked at anything: who is not allowed learns no more than that.
//! - An operation is done or not done; an answer leaves when what it rests on is durable.
//!
//! It does not know: HTTP, signatures, policies, or any particular API.

mod caller;
mod guard;
mod operation;
mod resources;
mod server;
mod table;
pub mod watchman;

pub use caller::Caller;
pub use guard::{Allow, Attempt, Guard, not_authorized};
pub use operation::{Command, Cx, Query, Watch, carry_out, look};
pub use resources::{Access, Resources, Values};
pub use server::Server;
pub use table::{Entry, Table};

#[doc(hidden)]
pub use longshore_wire as wire;
