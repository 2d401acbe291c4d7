//! A request, as an API gets it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Method, Uri};
use longshore_base::Timestamp;
use longshore_wire::{Ask, Family, GenericError, GenericErrorKind, Protocol, rest};

use crate::{Body, Principal, Reply};

/// The UUID that names a request in its answer and in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub fn new(uuid: impl Into<Arc<str>>) -> Self {
        Self(uuid.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The head of a request as it came, but for one thing: a bucket that the `Host` names stands before the path here,
/// where it would stand without such a name.
#[derive(Clone)]
pub struct Head {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl Head {
    /// The path as on the wire, percent-encoded.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// As on the wire, without the question mark; empty if there is none.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or("")
    }

    /// A header's first value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(self.headers.get(name)?.as_bytes())
    }

    /// All headers that are text, with their names in lower case.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        pairs(&self.headers)
    }
}

/// All headers that are text, with their names in lower case: how `longshore-wire` takes them.
fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut pairs = Vec::with_capacity(headers.len());
    pairs.extend(headers.iter().filter_map(|(name, value)| Some((name.as_str(), text(value.as_bytes())?))));
    pairs
}

/// A header's value, if it is text: AWS's clients write UTF-8 where they write more than ASCII.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

impl fmt::Debug for Head {
    /// Names only: a signature is in a header or in the query, and a secret may be in either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(http::HeaderName::as_str).collect();
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// Who asks, when, from where, and until when an answer is of use.
#[derive(Clone, Debug)]
pub struct Call {
    pub principal: Principal,
    pub request_id: RequestId,
    /// When the request was complete; of a body that is a stream, its head.
    pub now: Timestamp,
    /// After this the caller has got an error and nobody waits for the answer. With each piece of a stream that is
    /// taken, the same time begins anew.
    pub deadline: Timestamp,
    /// The other end of the connection, be it a proxy.
    pub source_ip: IpAddr,
    /// It came over TLS.
    pub is_secure: bool,
    pub head: Arc<Head>,
}

impl Call {
    /// The caller's `User-Agent`, if it is text.
    pub fn user_agent(&self) -> Option<&str> {
        self.head.header(USER_AGENT.as_str())
    }
}

/// A request for an operation.
#[derive(Debug)]
pub struct Request<B = Body> {
    pub call: Call,
    /// One of [`Api::operations`](crate::Api::operations).
    pub operation: &'static str,
    pub protocol: Protocol,
    pub body: B,
}

impl Request {
    /// The same with its body read, or the answer to a body that broke off.
    pub async fn whole(self) -> Result<Request<Bytes>, Reply> {
        let Self { call, operation, protocol, body } = self;
        match body.whole().await {
            Ok(body) => Ok(Request { call, operation, protocol, body }),
            Err(_broken) => {
                let text = "The request body ended early or is not valid HTTP.";
                let error = GenericError::new(GenericErrorKind::Serialization, text);
                Err(protocol.error(&error, None, call.request_id.as_str()).map(Body::from))
            }
        }
    }
}

impl Request<Bytes> {
    /// The headers that the protocol reads members from, as [`Request::ask`] takes them: none but in the REST protocols.
    pub fn headers_to_read(&self) -> Vec<(&str, &str)> {
        match self.protocol.family() {
            Family::RestJson | Family::RestXml => self.call.head.pairs(),
            Family::AwsJson | Family::Query | Family::Ec2 => Vec::new(),
        }
    }

    /// As the protocol reads it; `headers` are those of [`Request::headers_to_read`].
    pub fn ask<'a>(&'a self, headers: &'a [(&'a str, &'a str)]) -> Ask<'a> {
        let head = &self.call.head;
        let request = rest::Request { path: head.path(), query: head.query(), headers, body: &self.body };
        Ask { protocol: self.protocol, request, request_id: self.call.request_id.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_head_shows_no_values() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("hush"));
        headers.insert("x-amz-meta-name", HeaderValue::from_bytes("ü".as_bytes()).expect("opaque"));
        headers.append("x-odd", HeaderValue::from_bytes(b"\xff").expect("opaque"));
        let uri = Uri::from_static("/a%20b?X-Amz-Signature=hush");
        let head = Head { method: Method::GET, uri, headers };
        let shown = format!("{head:?}");
        assert!(shown.contains("authorization") && shown.contains("/a%20b"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(head.header("x-amz-meta-name"), Some("ü"));
        assert_eq!(head.pairs(), [("authorization", "hush"), ("x-amz-meta-name", "ü")]);
        assert_eq!((head.path(), head.query()), ("/a%20b", "X-Amz-Signature=hush"));
    }
}
