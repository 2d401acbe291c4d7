//! How images and the containers made of them behave.

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_engine::input::HealthStatus;

use crate::error::RuntimeError;

/// The behaviour of one image. The default is an image that is present, whose containers start in
/// 200 ms (what Docker needs), run until they are stopped and then leave at once with 143.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageScript {
    /// In the local store from the beginning.
    pub present: bool,
    /// What the registry answers; `Ok` names the digest.
    pub registry: Result<String, RuntimeError>,
    pub pull_time: Duration,
    pub size_bytes: u64,
    pub create_time: Duration,
    pub create_failure: Option<RuntimeError>,
    pub start_time: Duration,
    pub start_failure: Option<RuntimeError>,
    /// How long it runs by itself; `None` until it is stopped.
    pub run_time: Option<Duration>,
    /// Its exit code when it leaves by itself.
    pub exit_code: i32,
    /// When it leaves by itself, the reason is memory (and the code usually 137).
    pub out_of_memory: bool,
    /// Only SIGKILL ends it.
    pub ignores_term: bool,
    /// From SIGTERM to the end, and the code then.
    pub term_time: Duration,
    pub term_exit_code: i32,
    /// What the health check finds, counted from the start. Empty: there is no health check.
    pub health: Vec<(Duration, HealthStatus)>,
    /// Operations on it that are never answered.
    pub hangs: BTreeSet<Operation>,
}

impl Default for ImageScript {
    fn default() -> Self {
        Self {
            present: true,
            registry: Ok(DIGEST.to_owned()),
            pull_time: Duration::from_secs(2),
            size_bytes: 10 << 20,
            create_time: Duration::from_millis(20),
            create_failure: None,
            start_time: Duration::from_millis(200),
            start_failure: None,
            run_time: None,
            exit_code: 0,
            out_of_memory: false,
            ignores_term: false,
            term_time: Duration::ZERO,
            term_exit_code: 143,
            health: Vec::new(),
            hangs: BTreeSet::new(),
        }
    }
}

impl ImageScript {
    /// Runs for a while and ends with a code.
    pub fn exits(after: Duration, exit_code: i32) -> Self {
        Self { run_time: Some(after), exit_code, ..Self::default() }
    }

    /// Is only in the registry.
    pub fn remote(pull_time: Duration) -> Self {
        Self { present: false, pull_time, ..Self::default() }
    }
}

/// Any digest will do for an image without content.
const DIGEST: &str = "sha256:6c6f6e6773686f7265000000000000000000000000000000000000000000cafe";

/// A kind of operation, for hangs and faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    ImageInspect,
    ImageDigest,
    ImagePull,
    ImageList,
    ImageRemove,
    Create,
    Start,
    Stop,
    Kill,
    Inspect,
    Remove,
    List,
    Volume,
    Network,
    Stats,
    Cgroup,
}

/// What goes wrong by chance. Everything is per thousand; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Operations that take `slowness` longer.
    pub slow: u16,
    pub slowness: Duration,
    /// Operations that fail with `Unavailable` and have no effect.
    pub fail: u16,
    /// Operations that have their effect and fail all the same.
    pub lose_answer: u16,
    /// Events that nobody hears.
    pub lose_event: u16,
    /// Started containers that end by themselves, with code 1, within `die_within`.
    pub die: u16,
    pub die_within: Duration,
}
