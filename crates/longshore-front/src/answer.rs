//! Answers that the front gives itself.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::api::{JSON, Reply, RequestId};

pub(crate) type Answer = Response<Full<Bytes>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How errors are written: in the protocol of the request, not of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// awsJson: `{"__type", "message"}`.
    Json,
    /// AWS Query: an `<ErrorResponse>`.
    Query,
}

/// An error of the front's own. Client errors that any AWS client may get (ecs-behaviour A2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The answer to a panic or another defect: nothing but a code and the request id.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "The request processing has failed because of an unknown error.",
        )
    }

    pub(crate) fn into_reply(self, protocol: Protocol, id: &RequestId) -> Reply {
        let (content_type, body) = match protocol {
            Protocol::Json => {
                (JSON, serde_json::json!({"__type": self.code, "message": self.message}).to_string())
            }
            Protocol::Query => {
                let fault = if self.status.is_server_error() { "Receiver" } else { "Sender" };
                let (code, message) = (self.code, escape(&self.message));
                let body = format!(
                    "<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code>\
                     <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
                );
                ("text/xml", body)
            }
        };
        Reply { status: self.status, content_type, body: body.into(), error_code: Some(self.code.into()) }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(crate) fn answer(reply: Reply, id: &RequestId) -> Answer {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(REQUEST_ID, id.header());
    if let Some(value) = reply.error_code.and_then(|code| HeaderValue::from_str(&code).ok()) {
        headers.insert(ERROR_TYPE, value);
    }
    response
}

/// Text for people and probes.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>, id: &RequestId) -> Answer {
    let body = text.into();
    answer(Reply { status, content_type: "text/plain; charset=utf-8", body, error_code: None }, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_written_in_the_protocol_of_the_request() {
        let id = RequestId::new("5dd5c2f6-0000-4000-8000-000000000000".into());
        let failure = Failure::new(StatusCode::FORBIDDEN, "SomeException", "a < b & \"c\"");
        let text = |protocol| {
            let reply = failure.clone().into_reply(protocol, &id);
            String::from_utf8(reply.body.to_vec()).expect("text")
        };
        assert_eq!(text(Protocol::Json), r#"{"__type":"SomeException","message":"a < b & \"c\""}"#);
        assert_eq!(
            text(Protocol::Query),
            "<ErrorResponse><Error><Type>Sender</Type><Code>SomeException</Code>\
             <Message>a &lt; b &amp; \"c\"</Message></Error>\
             <RequestId>5dd5c2f6-0000-4000-8000-000000000000</RequestId></ErrorResponse>"
        );
    }
}
