//! The control plane's end of one TCS connection.

use std::collections::VecDeque;

use longshore_base::{Seed, Timestamp};

use super::session::CloseReason;
use crate::limits::{HEARTBEAT_EVERY, HEARTBEAT_JITTER, TCS_SILENCE_MAX};
use crate::message::{
    AckPublishHealth, AckPublishInstanceStatus, AckPublishMetric, FromTelemetry, Heartbeat, MessageError,
    Named, PublishHealth, PublishInstanceStatus, PublishMetrics, split_signed,
};

/// What an agent observed. The cluster and the instance named in it are the agent's claim; the signature of the
/// connection says whose they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    Metrics(PublishMetrics),
    Health(PublishHealth),
    InstanceStatus(PublishInstanceStatus),
}

/// What the owner of the socket has to do.
#[derive(Debug)]
pub enum TelemetryOutput {
    /// A text frame for the agent.
    Send(String),
    Observed(Observation),
    /// The agent sent something that is not a message. It was skipped.
    Malformed(MessageError),
    /// Close the socket. Nothing comes after it.
    Close(CloseReason),
}

/// One TCS connection, from the accepted upgrade to its end. Acks every message that it understands.
#[derive(Debug)]
pub struct Telemetry {
    outbox: VecDeque<TelemetryOutput>,
    seed: Seed,
    heartbeats: u64,
    heartbeat_at: Timestamp,
    /// When the agent last sent anything.
    heard_at: Timestamp,
    closed: bool,
}

impl Telemetry {
    pub fn new(now: Timestamp, seed: Seed) -> Self {
        let mut telemetry = Self {
            outbox: VecDeque::new(),
            seed,
            heartbeats: 0,
            heartbeat_at: now,
            heard_at: now,
            closed: false,
        };
        telemetry.next_heartbeat(now);
        telemetry
    }

    /// A frame from the agent, with its signature block.
    pub fn received(&mut self, now: Timestamp, frame: &str) {
        self.heard_at = self.heard_at.max(now);
        let message = split_signed(frame).and_then(|signed| FromTelemetry::decode(signed.body));
        let (ack, observation) = match message {
            Ok(FromTelemetry::Metrics(metrics)) => {
                (AckPublishMetric::default().frame(), Observation::Metrics(metrics))
            }
            Ok(FromTelemetry::Health(health)) => {
                (AckPublishHealth::default().frame(), Observation::Health(health))
            }
            Ok(FromTelemetry::InstanceStatus(status)) => {
                (AckPublishInstanceStatus::default().frame(), Observation::InstanceStatus(status))
            }
            Ok(FromTelemetry::Unknown(_)) => return,
            Err(error) => return self.outbox.push_back(TelemetryOutput::Malformed(error)),
        };
        self.outbox.push_back(TelemetryOutput::Send(ack));
        self.outbox.push_back(TelemetryOutput::Observed(observation));
    }

    /// Time has passed. Call it no later than [`deadline`](Self::deadline).
    pub fn tick(&mut self, now: Timestamp) {
        if self.closed {
            return;
        }
        if self.heard_at + TCS_SILENCE_MAX <= now {
            return self.close(CloseReason::Silent);
        }
        if self.heartbeat_at <= now {
            self.outbox.push_back(TelemetryOutput::Send(
                Heartbeat { message_id: String::new(), healthy: true }.frame(),
            ));
            self.next_heartbeat(now);
        }
    }

    /// Ends the connection with one [`TelemetryOutput::Close`], unless it has ended already.
    pub fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.outbox.push_back(TelemetryOutput::Close(reason));
        }
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<TelemetryOutput> {
        self.outbox.pop_front()
    }

    /// When [`tick`](Self::tick) is due; `None` once the connection is closed.
    pub fn deadline(&self) -> Option<Timestamp> {
        (!self.closed).then(|| self.heartbeat_at.min(self.heard_at + TCS_SILENCE_MAX))
    }

    fn next_heartbeat(&mut self, now: Timestamp) {
        self.heartbeats += 1;
        let jitter = self.seed.of(self.heartbeats).below(HEARTBEAT_JITTER.as_millis() as usize);
        self.heartbeat_at = now + HEARTBEAT_EVERY + std::time::Duration::from_millis(jitter as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::join_signed;

    #[test]
    fn every_message_is_acked_and_observed() {
        let start = Timestamp::from_millis(0);
        let mut telemetry = Telemetry::new(start, Seed::new(1));
        for (kind, ack) in [
            ("PublishMetricsRequest", "AckPublishMetric"),
            ("PublishHealthRequest", "AckPublishHealth"),
            ("PublishInstanceStatusRequest", "AckPublishInstanceStatus"),
        ] {
            let frame = join_signed([("Host", "h")], &format!(r#"{{"type":"{kind}","message":{{}}}}"#));
            telemetry.received(start, &frame);
            let Some(TelemetryOutput::Send(text)) = telemetry.poll() else { panic!("an ack for {kind}") };
            assert_eq!(text, format!(r#"{{"type":"{ack}","message":{{"message":""}}}}"#));
            assert!(matches!(telemetry.poll(), Some(TelemetryOutput::Observed(_))), "{kind}");
        }
        telemetry.received(start, "no message");
        assert!(matches!(telemetry.poll(), Some(TelemetryOutput::Malformed(_))));
        assert!(telemetry.poll().is_none());
    }

    #[test]
    fn heartbeats_come_until_the_agent_falls_silent() {
        let mut now = Timestamp::from_millis(0);
        let mut telemetry = Telemetry::new(now, Seed::new(1));
        let mut heartbeats = 0;
        loop {
            now = telemetry.deadline().expect("it is open");
            telemetry.tick(now);
            match telemetry.poll().expect("a deadline means something to do") {
                TelemetryOutput::Send(_) => heartbeats += 1,
                TelemetryOutput::Close(reason) => {
                    assert_eq!(reason, CloseReason::Silent);
                    break;
                }
                output => panic!("{output:?}"),
            }
        }
        assert_eq!(now.since(Timestamp::from_millis(0)), Duration::from_secs(120));
        assert_eq!(heartbeats, 3);
        assert_eq!(telemetry.deadline(), None);
    }
}
