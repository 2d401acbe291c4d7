//! An encoded answer, ready for HTTP.

use std::error::Error;

use crate::fault::ModeledError;

/// An encoded answer, ready for HTTP. The body is whole here; the edge of a server has one that may come in pieces too.
///
/// The edge adds the request's id and the error's code in the headers that the protocol has for them
/// ([`Protocol::request_id_header`](crate::Protocol::request_id_header),
/// [`error_code_header`](crate::Protocol::error_code_header)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<B = Vec<u8>> {
    pub status: u16,
    /// Empty for an answer without a body. One among the headers, which then is a member of the output, wins.
    pub content_type: &'static str,
    /// Further ones, with their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: B,
    /// What went wrong, for headers, logs and metrics; `None` for an output.
    pub error: Option<ReplyError>,
}

impl<B> Reply<B> {
    pub fn new(status: u16, content_type: &'static str, body: B) -> Self {
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

    /// The same answer with another kind of body.
    pub fn map<C>(self, body: impl FnOnce(B) -> C) -> Reply<C> {
        let Self { status, content_type, headers, body: old, error } = self;
        Reply { status, content_type, headers, body: body(old), error }
    }
}

/// The failure that a [`Reply`] carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyError {
    /// From a model or from the list of generic errors, never from a request: it becomes a label of metrics.
    pub code: &'static str,
    /// What the caller reads.
    pub message: String,
    pub server_fault: bool,
    /// The whole chain of causes that the caller does not read. For the log only.
    pub cause: Option<String>,
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
