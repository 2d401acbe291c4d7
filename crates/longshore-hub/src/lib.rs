//! The agents' sockets: one task per connection, around what `longshore-controllers` says of a connection's life and
//! `longshore-link` of its words.
//!
//! A connection is woken with the tasks whose work changed, looks at what is wanted of them now, waits until that is
//! durable, and lets the session find the difference to what it has sent already. Now and then it looks at all.
//!
//! Start reading at [`Hub`] (who is connected), then `commands` and `telemetry` (the loop of each kind of socket) and
//! [`AgentSockets`] (upgrades).
//!
//! Invariants: nothing is decided here, or the simulation would not see it: `connection::CommandChannel` says what to do
//! and `connection::Registry` who is the newest. A connection's end, be it a panic, takes back what it noted: nobody
//! stays connected by mistake. A frame goes from the look to the socket in one task, and is copied by nobody.

mod commands;
mod hub;
mod sockets;
mod telemetry;

pub use hub::Hub;
pub use sockets::{ACS_PATH, AgentSockets, TCS_PATH};

use std::time::Duration;

/// Longest sleep of a connection that waits for nothing; its session's deadlines are sooner.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Why a connection has ended that this server did not close.
const CLOSED: &str = "the agent closed it";
const CUT: &str = "the connection broke";
const NOT_STORED: &str = "what it said could not be stored";
const SERVER_ENDS: &str = "the server ends";
const NO_TEXT: &str = "the agent sent what is no text";
