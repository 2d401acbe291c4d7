//! When a failed call is made again: the standard mode of the AWS SDKs.
//!
//! At most three attempts; a wait that is drawn below 1 s, 2 s, 4 s ... and never above 20 s; and a budget that retries
//! draw on and successes fill, so that a server in trouble is not asked three times as much.
//! (AWS SDKs and Tools Reference Guide, "Retry behavior", and the values of botocore's standard mode.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_base::{Ids, Seed};

use crate::call::CallError;
use crate::http::SendError;

/// How often a call is made at most, the first time included.
pub const ATTEMPTS_MAX: u32 = 3;

const DELAY_MAX: Duration = Duration::from_secs(20);

/// The budget of a client, and what a retry takes from it. A time-out costs more, as it has cost the server more.
const QUOTA: u32 = 500;
const COST: u32 = 5;
const COST_AFTER_TIME_OUT: u32 = 10;
/// What a success gives back that needed no retry.
const INCREMENT: u32 = 1;

/// What a failure is to whoever might try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Throttled,
    Transient,
    TimedOut,
    /// The same request would fail in the same way.
    Final,
}

/// The codes by which services say that there were too many requests.
const THROTTLED: [&str; 14] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

fn kind(error: &CallError) -> Kind {
    match error {
        CallError::Send(SendError::TimedOut { .. }) => Kind::TimedOut,
        CallError::Send(SendError::Connect(_) | SendError::Lost { .. } | SendError::Body { .. }) => {
            Kind::Transient
        }
        CallError::Refused { error, .. } if THROTTLED.contains(&error.code.as_str()) => Kind::Throttled,
        CallError::Refused { error, .. }
            if matches!(error.code.as_str(), "RequestTimeout" | "RequestTimeoutException") =>
        {
            Kind::Transient
        }
        CallError::Refused { status: 500 | 502 | 503 | 504, .. }
        | CallError::Foreign { status: 500 | 502 | 503 | 504, .. } => Kind::Transient,
        CallError::Send(SendError::Malformed(_) | SendError::NoHttp(_))
        | CallError::Refused { .. }
        | CallError::Foreign { .. }
        | CallError::Unreadable { .. }
        | CallError::NotWritten(_) => Kind::Final,
    }
}

/// A wait below 2^(`attempt` - 1) seconds, spread over all of it. `attempt` counts from one.
fn delay(attempt: u32, chance: Seed) -> Duration {
    let most =
        Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(DELAY_MAX);
    most.mul_f64(chance.bits() as f64 / u64::MAX as f64)
}

/// Retries of one client; clones share the budget.
#[derive(Clone, Debug)]
pub struct Retry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    quota: Mutex<u32>,
    seed: Seed,
    drawn: AtomicU64,
}

/// The calls of one request. What it took from the budget comes back if one of them succeeds.
#[derive(Debug)]
pub(crate) struct Attempts {
    made: u32,
    taken: u32,
}

impl Retry {
    /// `seed` spreads the waits, and makes the tokens; it has to be another one in every process.
    pub fn standard(seed: Seed) -> Self {
        Self { shared: Arc::new(Shared { quota: Mutex::new(QUOTA), seed, drawn: AtomicU64::new(0) }) }
    }

    fn draw(&self) -> Seed {
        self.shared.seed.of(self.shared.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// A fresh idempotency token.
    pub(crate) fn token(&self) -> String {
        Ids::new(self.draw()).uuid()
    }

    pub(crate) fn begin() -> Attempts {
        Attempts { made: 0, taken: 0 }
    }

    /// How long to wait before the call is made again; `None` if it is not.
    pub(crate) fn after(&self, attempts: &mut Attempts, error: &CallError) -> Option<Duration> {
        attempts.made += 1;
        let cost = match kind(error) {
            Kind::Final => return None,
            Kind::Throttled | Kind::Transient => COST,
            Kind::TimedOut => COST_AFTER_TIME_OUT,
        };
        if attempts.made >= ATTEMPTS_MAX {
            return None;
        }
        let mut quota = self.shared.quota.lock().unwrap_or_else(PoisonError::into_inner);
        *quota = quota.checked_sub(cost)?;
        attempts.taken = cost;
        Some(delay(attempts.made, self.draw()))
    }

    pub(crate) fn succeeded(&self, attempts: &Attempts) {
        let back = if attempts.taken == 0 { INCREMENT } else { attempts.taken };
        let mut quota = self.shared.quota.lock().unwrap_or_else(PoisonError::into_inner);
        *quota = (*quota + back).min(QUOTA);
    }
}

#[cfg(test)]
mod tests {
    use longshore_wire::ReceivedError;

    use super::*;

    fn refused(status: u16, code: &str) -> CallError {
        let error = ReceivedError { code: code.to_owned(), message: String::new() };
        CallError::Refused { operation: "X".to_owned(), status, error, request_id: None }
    }

    fn timed_out() -> CallError {
        CallError::Send(SendError::TimedOut { server: "s".to_owned(), after: Duration::from_secs(1) })
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for (error, expected) in [
            (refused(400, "ThrottlingException"), Kind::Throttled),
            (refused(503, "SlowDown"), Kind::Throttled),
            (refused(400, "RequestTimeoutException"), Kind::Transient),
            (refused(500, "ServerException"), Kind::Transient),
            (refused(501, "NotImplemented"), Kind::Final),
            (refused(400, "ClientException"), Kind::Final),
            (CallError::Foreign { operation: "X".to_owned(), status: 502 }, Kind::Transient),
            (CallError::Foreign { operation: "X".to_owned(), status: 404 }, Kind::Final),
            (timed_out(), Kind::TimedOut),
            (CallError::Send(SendError::NoHttp("s".to_owned())), Kind::Final),
        ] {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_are_spread() {
        for (attempt, most) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 20), (40, 20)] {
            let drawn: Vec<Duration> = (0..200).map(|n| delay(attempt, Seed::new(n))).collect();
            let most = Duration::from_secs(most);
            assert!(drawn.iter().all(|delay| *delay <= most), "{attempt}");
            assert!(drawn.iter().any(|delay| *delay < most / 4), "{attempt}");
            assert!(drawn.iter().any(|delay| *delay > most / 4 * 3), "{attempt}");
        }
    }

    #[test]
    fn a_call_is_made_three_times_at_most() {
        let retry = Retry::standard(Seed::new(1));
        let mut attempts = Retry::begin();
        let error = refused(503, "ServiceUnavailable");
        let waits: Vec<bool> = (0..3).map(|_| retry.after(&mut attempts, &error).is_some()).collect();
        assert_eq!(waits, [true, true, false]);
    }

    #[test]
    fn the_budget_ends_retries_and_successes_fill_it() {
        let retry = Retry::standard(Seed::new(1));
        let again = |error: &CallError| retry.after(&mut Retry::begin(), error).is_some();
        let retried = (0..1000).take_while(|_| again(&timed_out())).count();
        assert_eq!(retried, 50, "500 in tens");
        assert!(!again(&refused(503, "")));
        for _ in 0..5 {
            retry.succeeded(&Retry::begin());
        }
        assert!(again(&refused(503, "")), "five successes are worth one");
        assert!(!again(&refused(503, "")));
        retry.succeeded(&Attempts { made: 2, taken: 5 });
        assert!(again(&refused(503, "")), "what was taken comes back");
        assert!(!again(&refused(400, "ClientException")));
    }
}
