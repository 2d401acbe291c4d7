//! One call: which operation, in which protocol, and the reply as bytes.

use std::error::Error;

use crate::document::Document;
use crate::fault::{GenericError, GenericErrorKind, ModeledError};
use crate::protocol::{Protocol, ServiceSchema};
use crate::shape::{DecodeError, DecodeReason, Shape, Structure};
use crate::{cbor, json, rest};

/// One operation of a service model, as a type.
pub trait OperationShape: Send + Sync + 'static {
    const SERVICE: &'static ServiceSchema;
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

    /// Reads the body of one of the JSON protocols or of CBOR, where all members travel; an empty one counts as no
    /// members at all.
    pub fn decode<T: Shape>(self, body: &[u8]) -> Result<T, DecodeError> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 | Self::RestJson1 => json::from_slice(body),
            Self::RpcV2Cbor => cbor::from_slice(body),
            Self::Query | Self::Ec2Query | Self::RestXml => {
                Err(DecodeError::new(DecodeReason::Malformed("body")))
            }
        }
    }

    /// Reads the body of a reply whose status tells of an error. For clients.
    pub fn decode_error(self, body: &[u8]) -> Result<ReceivedError, DecodeError> {
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

    /// Writes the body of an output in one of the JSON protocols or in CBOR.
    pub fn encode(self, output: &dyn Shape) -> Vec<u8> {
        match self {
            Self::RpcV2Cbor => cbor::to_vec(output),
            Self::AwsJson10
            | Self::AwsJson11
            | Self::RestJson1
            | Self::Query
            | Self::Ec2Query
            | Self::RestXml => json::to_vec(output),
        }
    }
}

/// An encoded answer, ready for HTTP.
///
/// The edge adds `x-amzn-RequestId`, and `x-amzn-ErrorType` with [`ReplyError::code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Empty for an answer without a body. One among the headers, which then is a member of the output, wins.
    pub content_type: &'static str,
    /// Further ones, with their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What went wrong, for headers, logs and metrics; `None` for an output.
    pub error: Option<ReplyError>,
}

impl Reply {
    pub fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, headers: Vec::new(), body, error: None }
    }

    #[must_use]
    pub fn with_headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = headers;
        self
    }

    /// Notes what went wrong, for the edge.
    #[must_use]
    pub fn failed(mut self, error: &dyn ModeledError, code: &'static str) -> Self {
        self.error = Some(ReplyError {
            code,
            message: error.message().to_owned(),
            server_fault: error.is_server_fault(),
            cause: error.hidden_cause().map(chain),
        });
        self
    }
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
    let request = rest::Request { path: "/", query: "", headers: &[], body };
    let failed = |error: &dyn ModeledError| protocol.error(error, Some(O::SERVICE), "");
    let input = match protocol.read::<O>(&request) {
        Ok(input) => input,
        Err(error) => return failed(&GenericError::from(error)),
    };
    match call(input).await {
        Ok(output) => protocol.answer::<O>(&output, ""),
        Err(error) => failed(&error),
    }
}
