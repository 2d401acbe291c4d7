//! The agent's two sockets: frames of both directions, upgrade queries, refusals, and a session that hears them.

use longshore_base::{Seed, Timestamp};
use longshore_link::client;
use longshore_link::message::{
    FromAgent, FromTelemetry, MessageError, Named, TaskPayload, ToAgent, ToTelemetry, join_signed,
    split_signed,
};
use longshore_link::server::{Connection, Input, Output, Session, Telemetry, TelemetryOutput};
use longshore_link::upgrade::{AcsQuery, Refusal, TcsQuery};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The most outputs that one frame may cause.
const OUTPUTS_MAX: usize = 1000;

/// The first line says whose frame follows.
pub fn run(bytes: &[u8]) {
    let (kind, rest) = crate::first_line(bytes);
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match kind {
        "agent" => from_agent(text),
        "server" => to_agent(text),
        "telemetry" => from_telemetry(text),
        "acks" => to_telemetry(text),
        "query" => queries(text),
        "refusal" => refusal(rest),
        _other => {}
    }
}

/// Encodes a decoded message again and checks that it is the same; of a variant without a message, nothing.
macro_rules! round_trip {
    ($enum:ident, $message:expr, { $($variant:ident),* }) => {
        match $message {
            $($enum::$variant(message) => {
                let frame = message.frame();
                match $enum::decode(&frame).expect("what was written can be read") {
                    // Compared as text, because a NaN does not equal itself.
                    $enum::$variant(again) => assert_eq!(again.frame(), frame),
                    other => panic!("{frame} became {other:?}"),
                }
            })*
            $enum::Unknown(_) => {}
        }
    };
}

fn malformed(error: &MessageError) {
    assert!(!error.to_string().is_empty());
}

fn from_agent(text: &str) {
    match FromAgent::decode(text) {
        Ok(message) => {
            round_trip!(FromAgent, message, { HeartbeatAck, Ack, Nack, RoleCredentialsAck, StopVerification });
        }
        Err(error) => malformed(&error),
    }
    let mut session = Session::new(
        NOW,
        Connection {
            instance_arn: "arn:aws:ecs:us-east-1:123456789012:container-instance/default/i".into(),
            cluster_arn: "arn:aws:ecs:us-east-1:123456789012:cluster/default".into(),
            send_credentials: true,
            first_number: 1,
            seed: Seed::new(7),
        },
    );
    session.handle(NOW, Input::Desired(Vec::new()));
    // Repeated, because an answer to the first may change what the second means.
    for _ in 0..2 {
        session.handle(NOW, Input::Received(text));
        let mut outputs = 0;
        while let Some(output) = session.poll(&mut |_| None) {
            outputs += 1;
            assert!(outputs <= OUTPUTS_MAX);
            if let Output::Send(frame) = output {
                assert!(ToAgent::decode(&frame).is_ok(), "an agent could not read {frame}");
                assert!(frame.len() <= 2 * text.len() + 4096, "{} bytes for {}", frame.len(), text.len());
            }
        }
    }
}

fn to_agent(text: &str) {
    match ToAgent::decode(text) {
        Ok(ToAgent::Payload(payload)) => {
            for task in payload.tasks.iter().take(64) {
                if let Ok(task) = TaskPayload::decode(task.clone()) {
                    let written = serde_json::to_value(&task).expect("a payload is JSON");
                    let again = TaskPayload::decode(written.clone()).expect("what was written can be read");
                    assert_eq!(serde_json::to_value(&again).expect("a payload is JSON"), written);
                }
            }
        }
        Ok(message) => round_trip!(ToAgent, message, {
            Heartbeat, Payload, Manifest, StopVerificationAck, RoleCredentials, AttachTaskInterfaces,
            AttachInstanceInterfaces, ConfirmAttachment, StageUpdate, PerformUpdate, Error, Close
        }),
        Err(error) => malformed(&error),
    }
    let mut session = client::Session::new(NOW, Seed::new(7), 0);
    session.handle(NOW, client::Input::Tick);
    while session.poll().is_some() {}
    session.handle(NOW, client::Input::Opened);
    session.handle(NOW, client::Input::Received(text));
    let outputs = std::iter::from_fn(|| session.poll()).take(OUTPUTS_MAX + 1).count();
    assert!(outputs <= OUTPUTS_MAX);
}

fn from_telemetry(text: &str) {
    if let Ok(signed) = split_signed(text) {
        assert!(text.ends_with(signed.body) && text.starts_with(signed.headers));
        if let Ok(message) = FromTelemetry::decode(signed.body) {
            round_trip!(FromTelemetry, message, { Metrics, Health, InstanceStatus });
        }
        let lines: Vec<_> = signed.header_lines().collect();
        // A name that begins like a plain frame, or is empty, is not a header that anybody sends.
        let is_usual = |(name, value): &(&str, &str)| {
            !name.is_empty() && !name.contains(['\r', '{']) && !value.contains('\r')
        };
        if !lines.is_empty() && lines.iter().all(is_usual) {
            let joined = join_signed(lines.iter().copied(), signed.body);
            let again = split_signed(&joined).expect("a block and a body");
            assert_eq!(again.header_lines().collect::<Vec<_>>(), lines);
            assert_eq!(again.body, signed.body);
        }
    }
    let mut telemetry = Telemetry::new(NOW, Seed::new(7));
    telemetry.received(NOW, text);
    let mut observed = 0;
    while let Some(output) = telemetry.poll() {
        match output {
            TelemetryOutput::Send(frame) => assert!(ToTelemetry::decode(&frame).is_ok(), "{frame}"),
            TelemetryOutput::Observed(_) => observed += 1,
            TelemetryOutput::Malformed(error) => malformed(&error),
            TelemetryOutput::Close(reason) => panic!("a frame closed the connection: {reason:?}"),
        }
    }
    assert!(observed <= 1);
}

fn to_telemetry(text: &str) {
    match ToTelemetry::decode(text) {
        Ok(message) => {
            round_trip!(ToTelemetry, message, { Heartbeat, AckMetric, AckHealth, AckInstanceStatus, Stop });
        }
        Err(error) => malformed(&error),
    }
    let mut telemetry = client::Telemetry::new(NOW, Seed::new(7));
    telemetry.handle(NOW, client::TelemetryInput::Opened);
    telemetry.handle(NOW, client::TelemetryInput::Received(text));
    assert!(std::iter::from_fn(|| telemetry.poll()).take(OUTPUTS_MAX + 1).count() <= OUTPUTS_MAX);
}

/// What was read from a query is written as a query that reads as the same.
fn queries(text: &str) {
    let query = AcsQuery::parse(text);
    assert_eq!(AcsQuery::parse(&query.encode()), query);
    let query = TcsQuery::parse(text);
    assert_eq!(TcsQuery::parse(&query.encode()), query);
}

fn refusal(body: &[u8]) {
    if let Some(refusal) = Refusal::parse(body) {
        assert_eq!(Refusal::parse(refusal.body().as_bytes()), Some(refusal));
    }
}
