//! The numbers of the protocol, each with where it comes from.

use std::time::Duration;

/// The largest frame that the server takes from an agent on ACS.
///
/// The largest message an agent sends there is the list of stop candidates, about 250 bytes per
/// task; this allows some 4,000.
pub const ACS_FRAME_BYTES_MAX: usize = 1 << 20;

/// The largest frame that the server takes from an agent on TCS. Agents cut their messages at about
/// 1 MiB (agent-protocol G9); the signature block comes on top.
pub const TCS_FRAME_BYTES_MAX: usize = 2 << 20;

/// The largest frame that our agent takes from a server. A manifest of 10,000 tasks has 2.5 MiB.
pub const SERVER_FRAME_BYTES_MAX: usize = 8 << 20;

/// How often the server sends a heartbeat, before jitter. An agent gives up after 60 s of silence at
/// the earliest, so 20 to 45 s are recommended (agent-protocol G5).
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);

/// Each heartbeat comes up to this much later than [`HEARTBEAT_EVERY`], so that thousands of agents that
/// connected together do not stay in step.
pub const HEARTBEAT_JITTER: Duration = Duration::from_secs(5);

/// How long an agent may say nothing on ACS before the server closes the connection: three heartbeats
/// unanswered, and time for the last answer.
pub const ACS_SILENCE_MAX: Duration = Duration::from_secs(110);

/// The same for TCS, where agents speak every 20 s without being asked (agent-protocol G9).
pub const TCS_SILENCE_MAX: Duration = Duration::from_secs(120);

/// How long the server waits for an ack before it sends a message again on the same connection. Acks
/// come within milliseconds (agent-protocol G6); a connection that lost one is rare, a slow disk is not.
pub const RESEND_AFTER: Duration = Duration::from_secs(20);

/// The wait doubles with each repetition up to this.
pub const RESEND_AFTER_MAX: Duration = Duration::from_secs(300);

/// How many times refreshed credentials are sent before the server gives up until the next refresh. An
/// agent never acks them for a task it does not know (agent-protocol G6).
pub const CREDENTIALS_TRIES_MAX: u32 = 5;

/// How many payloads may be unanswered at a time. Keeps a connect with thousands of tasks from filling
/// the socket's buffer in one go.
pub const PAYLOADS_IN_FLIGHT_MAX: usize = 64;

/// How often the manifest is repeated on a connection, before jitter of the same size. It repairs what should
/// not happen, so rarely is enough; a reconnect (every 30 min) sends one anyway.
pub const MANIFEST_EVERY: Duration = Duration::from_secs(600);

/// How long our agent waits for any server message, before jitter of the same size (agent-protocol G5, G9).
pub const SERVER_SILENCE_MAX: Duration = Duration::from_secs(60);

/// The age at which our agent replaces a connection, and the jitter on top (agent-protocol G5, G9).
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30 * 60);
pub const CONNECTION_AGE_JITTER: Duration = Duration::from_secs(5 * 60);

/// How long an agent waits after it was told that its instance is inactive (agent-protocol G5).
pub const INACTIVE_WAIT: Duration = Duration::from_secs(3600);

/// How long discovery's answer is used before it is asked for again (agent-protocol G3).
pub const DISCOVERY_TTL: Duration = Duration::from_secs(12 * 3600);

/// The cadence of telemetry (agent-protocol G9).
pub const TELEMETRY_EVERY: Duration = Duration::from_secs(20);

/// The most tasks in one metrics or health message (agent-protocol G9).
pub const TELEMETRY_TASKS_MAX: usize = 10;
