//! What an operator sees: the log and the metrics.
//!
//! Start at [`Metrics`], a cheap handle that every part clones and counts with, and at
//! [`init_log`]. Metrics come out as text in the OpenMetrics format ([`Metrics::encode`]).
//!
//! Invariants: label values come from closed sets (operations of the model, error codes, states),
//! never straight from a request, so that no client can make the registry grow; log lines go to
//! stderr, because stdout is for data. A line that a peer can cause at will goes through a [`Damper`].
//!
//! It does not know: who serves `/metrics`, or what the numbers mean to a decision.

mod damper;
mod log;
mod metrics;

pub use damper::Damper;
pub use log::{LogError, LogFormat, check_filter, init_log};
pub use metrics::{InFlight, Metrics, RequestEnd, resident_bytes};
