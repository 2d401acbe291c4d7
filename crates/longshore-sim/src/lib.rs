//! Runs whole clusters in virtual time from one seed, breaks them, and checks every promise.
//!
//! Start reading at [`scenario`] (what a seed stands for: machines, numbers, and a script of users and faults), then
//! [`world`] (the event queue, and the parts around it), then `world/watch.rs` and `world/users.rs`: the independent
//! checks and the reference model. [`shrink`] makes a failing script shorter; [`report`] prints it.
//!
//! What runs is what is shipped: the state and its transactions, the operations of the API, the controllers, the
//! server's sessions, the agent's core with its engine, over the scripted container engine. What is simulated: sockets,
//! disks, clocks, chance, and people.
//!
//! Invariant: equal seeds and equal steps give equal runs, event by event.

pub mod api;
pub mod chance;
mod draw;
pub mod images;
pub mod report;
pub mod scenario;
pub mod shrink;
pub mod world;

pub use scenario::{Scenario, Step, Timed};
pub use world::{Outcome, Tally, Violation, run};
