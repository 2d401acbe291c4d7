//! One call: which operation, in which protocol, and the reply as bytes.

use std::error::Error;

use crate::document::Document;
use crate::fault::{GenericError, GenericErrorKind, ModeledError};
use crate::json::{self, JsonWriter};
use crate::shape::{DecodeError, Shape, Structure};

/// One operation of a service model, as a type.
pub trait OperationShape: Send + Sync + 'static {
    const NAME: &'static str;
    /// The model promises that it changes nothing.
    const READONLY: bool;
    /// The model promises that repeating it changes nothing more.
    const IDEMPOTENT: bool;
    /// The HTTP method, the path with its labels, and the status of an answer; of use in the REST protocols.
    const METHOD: &'static str = "POST";
    const URI: &'static str = "/";
    const STATUS: u16 = 200;
    /// The element that the members of a Query answer stand in.
    const RESULT_WRAPPER: Option<&'static str> = None;
    type Input: Structure + Default + Send;
    type Output: Structure + Default + Send;
    type Error: ModeledError + Send + 'static;
}

/// How a request is written, and therefore its answer. A property of the request, not of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    AwsJson10,
    AwsJson11,
}

impl Protocol {
    /// Chooses by the `Content-Type` of a request that carries `X-Amz-Target`. Parameters after `;`
    /// do not matter. An absent or plain JSON type counts as 1.1, which is what small hand-written
    /// clients send.
    pub fn of_content_type(content_type: Option<&str>) -> Option<Self> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-amz-json-1.0" => Some(Self::AwsJson10),
            "application/x-amz-json-1.1" | "application/json" | "" => Some(Self::AwsJson11),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::AwsJson10 => "application/x-amz-json-1.0",
            Self::AwsJson11 => "application/x-amz-json-1.1",
        }
    }

    /// Reads an input; an empty body counts as no members at all.
    pub fn decode<T: Shape>(self, body: &[u8]) -> Result<T, DecodeError> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 => json::from_slice(body),
        }
    }

    /// Reads the body of a reply whose status tells of an error. For clients.
    pub fn decode_error(self, body: &[u8]) -> Result<ReceivedError, DecodeError> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 => {
                let Document::Map(mut members) = self.decode(body)? else {
                    return Err(DecodeError::wrong_type("a value", "Structure"));
                };
                let mut text = |names: [&str; 2]| {
                    names.into_iter().find_map(|name| match members.remove(name) {
                        Some(Document::String(text)) => Some(text),
                        Some(_) | None => None,
                    })
                };
                // Some services put a name space before the name: `com.amazon#ThrottlingException`.
                let code = text(["__type", "code"]).unwrap_or_default();
                let code = code.rsplit('#').next().unwrap_or_default().to_owned();
                Ok(ReceivedError { code, message: text(["message", "Message"]).unwrap_or_default() })
            }
        }
    }

    /// Writes an output.
    pub fn encode(self, output: &dyn Shape) -> Vec<u8> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 => json::to_vec(output),
        }
    }

    /// The reply of a call that succeeded.
    pub fn reply(self, output: &dyn Shape) -> Reply {
        Reply { status: 200, content_type: self.content_type(), body: self.encode(output), error: None }
    }

    /// The reply of a call that failed.
    pub fn error_reply(self, error: &dyn ModeledError) -> Reply {
        let body = match self {
            Self::AwsJson10 | Self::AwsJson11 => {
                let mut writer = JsonWriter::for_error(error.code());
                error.encode(&mut writer);
                writer.into_bytes()
            }
        };
        let failure = ReplyError {
            code: error.code(),
            message: error.message().to_owned(),
            server_fault: error.is_server_fault(),
            cause: error.hidden_cause().map(chain),
        };
        Reply { status: error.http_status(), content_type: self.content_type(), body, error: Some(failure) }
    }
}

/// An encoded answer, ready for HTTP.
///
/// The edge adds `x-amzn-RequestId`, and `x-amzn-ErrorType` with [`ReplyError::code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// What went wrong, for headers, logs and metrics; `None` for an output.
    pub error: Option<ReplyError>,
}

/// The failure that a [`Reply`] carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyError {
    pub code: &'static str,
    /// What the caller reads.
    pub message: String,
    pub server_fault: bool,
    /// The whole chain of causes that the caller does not read. For the log only.
    pub cause: Option<String>,
}

/// An error as a client reads it. Empty texts where the reply has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ReceivedError {
    pub code: String,
    pub message: String,
}

/// Text of an error and of all its sources, joined by `: `.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Splits `X-Amz-Target` into the service's prefix and the operation's name.
pub fn split_target(target: &str) -> Option<(&str, &str)> {
    let (prefix, operation) = target.rsplit_once('.')?;
    (!prefix.is_empty() && !operation.is_empty()).then_some((prefix, operation))
}

/// The answer to a target that names no known operation.
pub fn unknown_operation(target: &str) -> GenericError {
    // The text goes back to the caller and into logs: keep it printable and short.
    let shown: String = target.chars().filter(|c| c.is_ascii_graphic()).take(128).collect();
    GenericError::new(GenericErrorKind::UnknownOperation, format!("The operation {shown} is not known."))
}

/// Runs one decoded call and encodes what comes back. Generated dispatchers end here.
pub async fn run<O, F, Fut>(protocol: Protocol, body: &[u8], call: F) -> Reply
where
    O: OperationShape,
    F: FnOnce(O::Input) -> Fut,
    Fut: Future<Output = Result<O::Output, O::Error>>,
{
    let input = match protocol.decode::<O::Input>(body) {
        Ok(input) => input,
        Err(error) => return protocol.error_reply(&GenericError::from(error)),
    };
    match call(input).await {
        Ok(output) => protocol.reply(&output),
        Err(error) => protocol.error_reply(&error),
    }
}
