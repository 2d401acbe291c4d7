//! The control plane's end of both sockets. Written for the official agent; ours is its second client.

mod outstanding;
mod session;
mod task_arn;
mod telemetry;

pub use session::{CloseReason, Connection, DesiredTask, FreshCredentials, Input, Output, Session};
pub use telemetry::{Observation, Telemetry, TelemetryOutput};

/// The first number that connection `epoch` of an instance may use for `seqNum` and `timeline`.
///
/// The numbers of one instance must never fall, not even over a restart of the control plane
/// (agent-protocol G20). So the control plane counts the connections of each instance durably, and every
/// connection has four billion numbers of its own.
pub fn first_number(epoch: u32) -> i64 {
    (i64::from(epoch) << 32) + 1
}
