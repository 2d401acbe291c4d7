//! When to connect, to give up and to come back; the same for both sockets.

use std::time::Duration;

use longshore_base::Timestamp;

use super::backoff::Backoff;
use crate::limits::{CONNECTION_AGE_JITTER, CONNECTION_AGE_MAX, INACTIVE_WAIT, SERVER_SILENCE_MAX};
use crate::upgrade::Refusal;

/// How a connection was lost that the agent did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A close frame with this code; 1005 if it had none.
    Closed(u16),
    /// The stream ended, or broke.
    Broken,
}

impl Loss {
    /// Codes after which another server is expected to be there at once (agent-protocol G5).
    fn is_orderly(self) -> bool {
        match self {
            Loss::Closed(code) => matches!(code, 1000 | 1001 | 1006 | 1011),
            Loss::Broken => true,
        }
    }
}

/// How the agent itself ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Drop the stream without a close frame.
    Drop,
    /// Send a close frame with code 1000 and this text.
    Close(&'static str),
}

/// What is special about a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// What to do about a silent server, and whether to back off afterwards.
    pub silence: Ending,
    pub silence_backs_off: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// To be opened at this time.
    Waiting(Timestamp),
    Opening,
    Open {
        since: Timestamp,
        silent_at: Timestamp,
        expires_at: Timestamp,
    },
    /// For good.
    Ended,
}

/// What time demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Connect,
    End(Ending),
}

/// A connection shorter than this counts as a failure however it ended: a server that accepts and
/// closes must not make a hot loop (agent-protocol G20).
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// The time that a connection has to last for the waits to start from the beginning (agent-protocol G5).
const RESET_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Lifecycle {
    rules: Rules,
    backoff: Backoff,
    state: State,
}

impl Lifecycle {
    /// Connects at once.
    pub fn new(now: Timestamp, rules: Rules, backoff: Backoff) -> Self {
        Self { rules, backoff, state: State::Waiting(now) }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    pub fn opened(&mut self, now: Timestamp) {
        let silence = SERVER_SILENCE_MAX + self.backoff.draw(SERVER_SILENCE_MAX);
        let age = CONNECTION_AGE_MAX + self.backoff.draw(CONNECTION_AGE_JITTER);
        self.state = State::Open { since: now, silent_at: now + silence, expires_at: now + age };
    }

    /// The server has said something.
    pub fn heard(&mut self, now: Timestamp) {
        if let State::Open { silent_at, .. } = &mut self.state {
            *silent_at = now + SERVER_SILENCE_MAX + self.backoff.draw(SERVER_SILENCE_MAX);
        }
    }

    /// The upgrade failed.
    pub fn refused(&mut self, now: Timestamp, refusal: Option<Refusal>) {
        let wait = match refusal {
            Some(Refusal::InactiveInstance) => INACTIVE_WAIT,
            Some(
                Refusal::InvalidInstance
                | Refusal::InvalidCluster
                | Refusal::AccessDenied
                | Refusal::BadRequest
                | Refusal::Server
                | Refusal::NotServing,
            )
            | None => self.backoff.fail(),
        };
        self.wait(now, wait);
    }

    pub fn lost(&mut self, now: Timestamp, loss: Loss) {
        let State::Open { since, .. } = self.state else {
            // An opening that failed without an answer.
            if matches!(self.state, State::Opening) {
                self.refused(now, None);
            }
            return;
        };
        self.reconnect(now, since, !loss.is_orderly());
    }

    pub fn end(&mut self) -> Option<Ending> {
        let was_open = self.is_open();
        self.state = State::Ended;
        was_open.then_some(Ending::Drop)
    }

    /// What is due now; to be asked until there is nothing.
    pub fn due(&mut self, now: Timestamp) -> Option<Due> {
        match self.state {
            State::Waiting(at) if at <= now => {
                self.state = State::Opening;
                Some(Due::Connect)
            }
            State::Open { since, silent_at, .. } if silent_at <= now => {
                self.reconnect(now, since, self.rules.silence_backs_off);
                Some(Due::End(self.rules.silence))
            }
            State::Open { since, expires_at, .. } if expires_at <= now => {
                self.reconnect(now, since, false);
                Some(Due::End(Ending::Close("ConnectionExpired: Reconnect to continue")))
            }
            State::Waiting(_) | State::Opening | State::Open { .. } | State::Ended => None,
        }
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting(at) => Some(at),
            State::Open { silent_at, expires_at, .. } => Some(silent_at.min(expires_at)),
            State::Opening | State::Ended => None,
        }
    }

    fn reconnect(&mut self, now: Timestamp, since: Timestamp, back_off: bool) {
        let lasted = now.since(since);
        if lasted >= RESET_AFTER {
            self.backoff.reset();
        }
        let wait = if back_off || lasted < GOOD_AFTER { self.backoff.fail() } else { self.backoff.at_once() };
        self.wait(now, wait);
    }

    fn wait(&mut self, now: Timestamp, wait: Duration) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Waiting(now + wait);
        }
    }
}
