//! The link between a control plane and its container instances: what both ends say, and when.
//!
//! The protocol is that of the official ECS agent (agent-protocol G5 to G9); there is no second one for our own
//! agent. Two websockets, both opened by the agent: ACS carries commands down and acks up, TCS carries metrics and
//! health up. State reports are plain API calls and not in this crate.
//!
//! Start at [`message`] for the vocabulary, then [`server::Session`] for the control plane's end of an ACS
//! connection and [`client::Session`] for the agent's. [`server::Telemetry`] and [`client::Telemetry`] are the
//! ends of TCS, [`upgrade`] the query and the refusals of both sockets, [`limits`] every number. [`join`] is how a machine
//! gets the key that it signs with.
//!
//! All sessions are state machines without I/O: `handle(now, input)`, then `poll` until it gives nothing, then
//! wait until [`deadline`](server::Session::deadline) or the next input. Equal inputs give equal outputs; chance
//! comes from a [`Seed`](longshore_base::Seed).
//!
//! Invariants:
//! - On one instance the numbers of payloads and manifests only rise, over connections too.
//! - A task is confirmed by the agent's ack or by what the control plane learned otherwise, never by having been sent.
//! - A stop is confirmed only against what is wanted now.
//! - No text from a peer makes a session panic; what is not understood is skipped.
//!
//! The crate does not know sockets, signatures, stores or what a task means.

pub mod client;
pub mod join;
pub mod limits;
pub mod message;
mod redacted;
pub mod server;
pub mod upgrade;

pub use redacted::Redacted;
