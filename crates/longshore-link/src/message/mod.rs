//! What the two ends say to each other: serde types with the exact names of the wire.
//!
//! Every ACS frame, and every TCS frame without its signature block, is one JSON object
//! `{"type": "<Name>", "message": {...}}`. Decoding takes what peers of other versions may send: an
//! unknown type is [`FromAgent::Unknown`], unknown members are skipped, `null` is an absent member. Absent
//! members are omitted when encoding. A text that is no message is an error, never a panic.

mod acs;
mod signed;
mod task;
mod tcs;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use acs::*;
pub use signed::{SignedFrame, join_signed, split_signed};
pub use task::*;
pub use tcs::*;

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the frame has {size} bytes; at most {max} are allowed")]
    TooLarge { size: usize, max: usize },
    #[error("the frame has no signature block")]
    Unsigned,
    #[error("the frame is not a message")]
    Envelope(#[source] serde_json::Error),
    #[error("the {kind} is malformed")]
    Body { kind: String, source: serde_json::Error },
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: Value,
}

#[derive(Serialize)]
struct EnvelopeRef<'a, M> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a M,
}

fn open(text: &str, max: usize) -> Result<Envelope, MessageError> {
    if text.len() > max {
        return Err(MessageError::TooLarge { size: text.len(), max });
    }
    let mut envelope: Envelope = serde_json::from_str(text).map_err(MessageError::Envelope)?;
    drop_nulls(&mut envelope.message);
    if envelope.message.is_null() {
        envelope.message = Value::Object(serde_json::Map::new());
    }
    Ok(envelope)
}

fn body<M: serde::de::DeserializeOwned>(envelope: Envelope) -> Result<M, MessageError> {
    let Envelope { kind, message } = envelope;
    serde_json::from_value(message).map_err(|source| MessageError::Body { kind, source })
}

/// Removes members that are `null`: peers written in Go send them where we would send nothing.
/// The depth is bounded by serde_json's own limit of 128.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A message that has a name on the wire.
pub trait Named: Serialize {
    const TYPE: &'static str;

    /// The whole frame.
    fn frame(&self) -> String
    where
        Self: Sized,
    {
        serde_json::to_string(&EnvelopeRef { kind: Self::TYPE, message: self })
            .expect("string keys and finite numbers always serialise")
    }
}

macro_rules! named {
    ($($type:ty = $name:literal;)*) => {$(
        impl Named for $type {
            const TYPE: &'static str = $name;
        }
    )*};
}

named! {
    Heartbeat = "HeartbeatMessage";
    TaskManifest = "TaskManifestMessage";
    StopVerificationAck = "TaskStopVerificationAck";
    RoleCredentialsMessage = "IAMRoleCredentialsMessage";
    AttachTaskInterfaces = "AttachTaskNetworkInterfacesMessage";
    AttachInstanceInterfaces = "AttachInstanceNetworkInterfacesMessage";
    ConfirmAttachment = "ConfirmAttachmentMessage";
    StageUpdate = "StageUpdateMessage";
    PerformUpdate = "PerformUpdateMessage";
    ErrorText = "ErrorMessage";
    CloseText = "CloseMessage";
    HeartbeatAck = "HeartbeatAckRequest";
    Ack = "AckRequest";
    Nack = "NackRequest";
    RoleCredentialsAck = "IAMRoleCredentialsAckRequest";
    StopVerification = "TaskStopVerificationMessage";
    PublishMetrics = "PublishMetricsRequest";
    PublishHealth = "PublishHealthRequest";
    PublishInstanceStatus = "PublishInstanceStatusRequest";
    AckPublishMetric = "AckPublishMetric";
    AckPublishHealth = "AckPublishHealth";
    AckPublishInstanceStatus = "AckPublishInstanceStatus";
    StopTelemetrySession = "StopTelemetrySessionMessage";
}

impl<T: Serialize> Named for PayloadMessage<T> {
    const TYPE: &'static str = "PayloadMessage";
}

macro_rules! decoder {
    ($(#[$doc:meta])* $name:ident, $max:expr, { $($variant:ident($type:ty),)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($variant($type),)*
            /// A type that this version does not know; to be ignored.
            Unknown(String),
        }

        impl $name {
            pub fn decode(text: &str) -> Result<Self, MessageError> {
                let envelope = open(text, $max)?;
                $(if envelope.kind == <$type as Named>::TYPE {
                    return body(envelope).map(Self::$variant);
                })*
                Ok(Self::Unknown(envelope.kind))
            }
        }
    };
}

decoder! {
    /// What an agent says on ACS.
    FromAgent, crate::limits::ACS_FRAME_BYTES_MAX, {
        HeartbeatAck(HeartbeatAck),
        Ack(Ack),
        Nack(Nack),
        RoleCredentialsAck(RoleCredentialsAck),
        StopVerification(StopVerification),
    }
}

decoder! {
    /// What a control plane says on ACS. The tasks of a payload stay undecoded, because each of them is
    /// accepted or refused on its own: [`TaskPayload::decode`].
    ToAgent, crate::limits::SERVER_FRAME_BYTES_MAX, {
        Heartbeat(Heartbeat),
        Payload(PayloadMessage<Value>),
        Manifest(TaskManifest),
        StopVerificationAck(StopVerificationAck),
        RoleCredentials(RoleCredentialsMessage),
        AttachTaskInterfaces(AttachTaskInterfaces),
        AttachInstanceInterfaces(AttachInstanceInterfaces),
        ConfirmAttachment(ConfirmAttachment),
        StageUpdate(StageUpdate),
        PerformUpdate(PerformUpdate),
        Error(ErrorText),
        Close(CloseText),
    }
}

decoder! {
    /// What an agent says on TCS, after its signature block was split off.
    FromTelemetry, crate::limits::TCS_FRAME_BYTES_MAX, {
        Metrics(PublishMetrics),
        Health(PublishHealth),
        InstanceStatus(PublishInstanceStatus),
    }
}

decoder! {
    /// What a control plane says on TCS.
    ToTelemetry, crate::limits::SERVER_FRAME_BYTES_MAX, {
        Heartbeat(Heartbeat),
        AckMetric(AckPublishMetric),
        AckHealth(AckPublishHealth),
        AckInstanceStatus(AckPublishInstanceStatus),
        Stop(StopTelemetrySession),
    }
}

#[cfg(test)]
mod tests;
