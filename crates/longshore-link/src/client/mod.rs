//! The agent's end of both sockets.

mod backoff;
mod connection;
mod session;
mod telemetry;

pub use backoff::Backoff;
pub use connection::{Ending, Loss};
pub use session::{Input, Output, Session};
pub use telemetry::{Telemetry, TelemetryInput, TelemetryOutput};
