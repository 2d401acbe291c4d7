//! Agents' connections without sockets: which one of an instance is the newest, and the life of one.
//!
//! Whoever has the sockets (`longshore-hub`, and the simulation) does this for a connection:
//!
//! 1. [`Registry::enter`], and wakes the older connection that this gives back, if there is one.
//! 2. Asks [`CommandChannel::poll`] what to do, does it, and tells what came of it by [`CommandChannel::handle`], until
//!    there is nothing more to do. Then it waits: for text of the agent, for being woken, or for the deadline.
//! 3. At the end, however it comes, [`Registry::leave`]; and writes down that the agent is gone, in a transaction that
//!    finds [`Registry::is_open`] false.
//!
//! Looks and writes are answered once they are durable. Until then the channel has nothing to do, and the socket is not
//! read: an agent that says more than can be stored has to wait.

mod commands;
mod registry;

#[cfg(test)]
mod tests;

pub use commands::{CommandChannel, Input, LOOK_AT_ALL_EVERY, Output};
pub use registry::{Generation, News, Registry};
