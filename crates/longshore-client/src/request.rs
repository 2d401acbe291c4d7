//! An HTTP request before it is sent: built for an endpoint, signed or not.

use bytes::Bytes;
use http_body_util::Full;
use longshore_sigv4::ToSign;
use longshore_wire::Written;

use crate::endpoint::Endpoint;
use crate::signer::Signer;

/// A request with its `host`, signed or not.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    /// As it is sent: percent-encoded, beginning with a slash.
    pub path: String,
    /// As it is sent, without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Request {
    /// A GET that is not signed.
    pub fn get(endpoint: &Endpoint, path: &str) -> Self {
        let written = Written {
            method: "GET",
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        Self::to(endpoint, written)
    }

    /// Below the endpoint's own path.
    pub fn to(endpoint: &Endpoint, written: Written) -> Self {
        let Written { method, path, query, mut headers, body } = written;
        headers.insert(0, ("host", endpoint.authority.clone()));
        Self { method, path: format!("{}{path}", endpoint.path), query, headers, body: body.into() }
    }

    /// Signs all that is there for `service`.
    #[must_use]
    pub fn signed(mut self, signer: &Signer, service: &str) -> Self {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let Self { method, path, query, body, .. } = &self;
        let to_sign = ToSign { method, path, query, headers: &headers, body };
        let signed = signer.sign(service, &to_sign);
        self.headers.extend(signed);
        self
    }

    fn target(&self) -> String {
        let question = if self.query.is_empty() { "" } else { "?" };
        format!("{}{question}{}", self.path, self.query)
    }

    /// As HTTP/1.1 writes it, for who sends bytes by hand: load generators, which sign before the clock starts, and
    /// tests of servers.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target());
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(crate) fn into_http(self) -> Result<http::Request<Full<Bytes>>, http::Error> {
        let mut request = http::Request::builder().method(self.method).uri(self.target());
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body))
    }
}

impl std::fmt::Debug for Request {
    /// Without what may be secret: headers, the query and the body.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, body, .. } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("path", path)
            .field("body_bytes", &body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longshore_base::{Clock, Timestamp};
    use longshore_sigv4::Credentials;

    use super::*;

    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
    }

    fn request(endpoint: &str) -> Request {
        let written = Written {
            method: "POST",
            path: "/".into(),
            query: String::new(),
            headers: vec![("x-amz-target", "A.B".into())],
            body: b"{}".to_vec(),
        };
        let signer = Signer::new(Credentials::new("A", "hidden"), "us-east-1", Arc::new(Epoch));
        Request::to(&Endpoint::parse(endpoint).expect("valid"), written).signed(&signer, "ecs")
    }

    #[test]
    fn a_request_names_its_host_and_length() {
        let text = String::from_utf8(request("http://h:1").bytes()).expect("text");
        assert!(text.starts_with("POST / HTTP/1.1\r\nhost: h:1\r\nx-amz-target: A.B\r\n"), "{text}");
        assert!(text.contains("SignedHeaders=host;x-amz-date;x-amz-target"), "{text}");
        assert!(text.ends_with("content-length: 2\r\n\r\n{}"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        let below = String::from_utf8(request("http://h:1/a").bytes()).expect("text");
        assert!(below.starts_with("POST /a/ HTTP/1.1\r\n"), "{below}");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?}", request("http://h:1"));
        assert_eq!(shown, r#"Request { method: "POST", path: "/", body_bytes: 2 }"#);
    }
}
