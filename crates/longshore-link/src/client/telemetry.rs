//! The agent's end of TCS, over all the connections of one process.

use std::collections::VecDeque;

use longshore_base::{Seed, Timestamp};

use super::backoff::Backoff;
use super::connection::{Due, Ending, Lifecycle, Loss, Rules};
use crate::limits::TELEMETRY_EVERY;
use crate::message::{MessageError, ToTelemetry};
use crate::upgrade::Refusal;

/// How many messages wait for a connection; the oldest are lost first (agent-protocol G9).
const BUFFERED_MAX: usize = 15;

#[derive(Debug)]
pub enum TelemetryInput<'a> {
    Opened,
    Refused(Option<Refusal>),
    Lost(Loss),
    Received(&'a str),
    /// A message to be sent, without its signature block.
    Publish(String),
    Stop,
    Tick,
}

#[derive(Debug)]
pub enum TelemetryOutput {
    /// Open the socket. Answered by `Opened`, `Refused` or `Lost`.
    Connect,
    /// Sign and send.
    Send(String),
    /// End the connection. No `Lost` is expected.
    End(Ending),
    /// It is time to publish what was observed.
    Round,
    Malformed(MessageError),
}

#[derive(Debug)]
pub struct Telemetry {
    lifecycle: Lifecycle,
    outbox: VecDeque<TelemetryOutput>,
    buffered: VecDeque<String>,
    round_at: Timestamp,
    now: Timestamp,
}

impl Telemetry {
    pub fn new(now: Timestamp, seed: Seed) -> Self {
        // A silent server is left by a close frame and tried again at once (agent-protocol G9).
        let rules = Rules { silence: Ending::Close("heartbeat timed out"), silence_backs_off: false };
        Self {
            lifecycle: Lifecycle::new(now, rules, Backoff::tcs(seed)),
            outbox: VecDeque::new(),
            buffered: VecDeque::new(),
            round_at: Timestamp::MAX,
            now,
        }
    }

    pub fn is_open(&self) -> bool {
        self.lifecycle.is_open()
    }

    pub fn handle(&mut self, now: Timestamp, input: TelemetryInput<'_>) {
        self.now = self.now.max(now);
        match input {
            TelemetryInput::Opened => {
                self.lifecycle.opened(self.now);
                self.outbox.extend(self.buffered.drain(..).map(TelemetryOutput::Send));
                self.round_at = self.now;
            }
            TelemetryInput::Refused(refusal) => self.lifecycle.refused(self.now, refusal),
            TelemetryInput::Lost(loss) => self.lifecycle.lost(self.now, loss),
            TelemetryInput::Received(text) => {
                self.lifecycle.heard(self.now);
                match ToTelemetry::decode(text) {
                    // Whatever it is, it shows that the server is there; there is nothing else to do.
                    Ok(_) => {}
                    Err(error) => self.outbox.push_back(TelemetryOutput::Malformed(error)),
                }
            }
            TelemetryInput::Publish(text) => {
                if self.lifecycle.is_open() {
                    self.outbox.push_back(TelemetryOutput::Send(text));
                } else {
                    if self.buffered.len() == BUFFERED_MAX {
                        self.buffered.pop_front();
                    }
                    self.buffered.push_back(text);
                }
            }
            TelemetryInput::Stop => {
                if let Some(ending) = self.lifecycle.end() {
                    self.outbox.push_back(TelemetryOutput::End(ending));
                }
            }
            TelemetryInput::Tick => {}
        }
    }

    pub fn poll(&mut self) -> Option<TelemetryOutput> {
        if let Some(output) = self.outbox.pop_front() {
            return Some(output);
        }
        if let Some(due) = self.lifecycle.due(self.now) {
            return Some(match due {
                Due::Connect => TelemetryOutput::Connect,
                Due::End(ending) => TelemetryOutput::End(ending),
            });
        }
        if self.lifecycle.is_open() && self.round_at <= self.now {
            self.round_at = self.now + TELEMETRY_EVERY;
            return Some(TelemetryOutput::Round);
        }
        None
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        let round = self.lifecycle.is_open().then_some(self.round_at);
        [self.lifecycle.deadline(), round].into_iter().flatten().min()
    }
}
