//! One call: its operation as a type, and from a request to a reply.

use crate::fault::{Denied, Fault, ModeledError};
use crate::generic::GenericError;
use crate::protocol::{Protocol, ServiceSchema};
use crate::reply::Reply;
use crate::rest;
use crate::shape::Structure;

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
    type Error: ModeledError + From<Fault> + From<Denied> + Send + 'static;
}

/// An error as a client reads it ([`Protocol::read_error`]). Empty texts where the reply has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ReceivedError {
    pub code: String,
    pub message: String,
}

/// A request for one operation, as its protocol reads it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub protocol: Protocol,
    pub request: rest::Request<'a>,
    /// Answers in XML repeat it.
    pub request_id: &'a str,
}

impl<'a> Ask<'a> {
    /// A request whose members all travel in its body, as in the JSON protocols.
    pub fn of_body(protocol: Protocol, body: &'a [u8]) -> Self {
        let request = rest::Request { path: "/", query: "", headers: &[], body };
        Self { protocol, request, request_id: "" }
    }
}

/// Runs one call and encodes what comes back.
pub async fn run<O, F, Fut>(ask: &Ask<'_>, call: F) -> Reply
where
    O: OperationShape,
    F: FnOnce(O::Input) -> Fut,
    Fut: Future<Output = Result<O::Output, O::Error>>,
{
    let Ask { protocol, request, request_id } = ask;
    let failed =
        |error: &dyn ModeledError| protocol.error_about(error, Some(O::SERVICE), request_id, request.path);
    let input = match protocol.read::<O>(request) {
        Ok(input) => input,
        Err(error) => return failed(&GenericError::from(error)),
    };
    match call(input).await {
        Ok(output) => protocol.answer::<O>(&output, request_id),
        Err(error) => failed(&error),
    }
}
