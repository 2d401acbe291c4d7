//! Replies as HTTP.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use longshore_api::{Body, Reply, RequestId};
use longshore_wire::Protocol;

pub(crate) type Answer = Response<Body>;

/// A reply with the headers that its protocol has for the request's id and for the code of an error.
pub(crate) fn answer(reply: Reply, protocol: Protocol, id: &RequestId) -> Answer {
    let mut response = Response::new(reply.body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if !reply.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    }
    for (name, value) in reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        // A member that no header can carry: the client learns by its absence.
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) else { continue };
        // A content type that is a member of the output wins.
        headers.insert(name, value);
    }
    name_request(headers, protocol, id);
    if let (Some(name), Some(error)) = (protocol.error_code_header(), reply.error) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(error.code));
    }
    response
}

/// S3 has a second header, for the host that answered. Its clients log both; there are no hosts to name here.
fn name_request(headers: &mut HeaderMap, protocol: Protocol, id: &RequestId) {
    let id = HeaderValue::from_str(id.as_str()).expect("a UUID is a valid header value");
    if protocol == Protocol::RestXml {
        headers.insert(HeaderName::from_static("x-amz-id-2"), id.clone());
    }
    headers.insert(HeaderName::from_static(protocol.request_id_header()), id);
}

/// Text for people and probes, where no protocol is spoken: the request's id is in the header that most have.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>, id: &RequestId) -> Answer {
    let reply = Reply::new(status.as_u16(), "text/plain; charset=utf-8", Body::from(text.into()));
    answer(reply, Protocol::AwsJson11, id)
}

#[cfg(test)]
mod tests {
    use longshore_wire::{GenericError, GenericErrorKind};

    use super::*;

    /// The headers of an error, by protocol.
    #[test]
    fn errors_have_the_headers_of_their_protocol() {
        let id = RequestId::new("5dd5c2f6-0000-4000-8000-000000000000");
        let error = GenericError::new(GenericErrorKind::AccessDenied, "no");
        for (protocol, id_header, code) in [
            (Protocol::AwsJson11, "x-amzn-requestid", Some("AccessDeniedException")),
            (Protocol::RpcV2Cbor, "x-amzn-requestid", Some("AccessDeniedException")),
            (Protocol::RestJson1, "x-amzn-requestid", Some("AccessDeniedException")),
            (Protocol::Query, "x-amzn-requestid", None),
            (Protocol::Ec2Query, "x-amzn-requestid", None),
            (Protocol::RestXml, "x-amz-request-id", None),
        ] {
            let reply = protocol.error(&error, None, id.as_str()).map(Body::from);
            let response = answer(reply, protocol, &id);
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text"));
            assert_eq!(header(id_header), Some(id.as_str()), "{protocol:?}");
            assert_eq!(header("x-amzn-errortype"), code, "{protocol:?}");
            assert_eq!(header("content-type"), Some(protocol.content_type()), "{protocol:?}");
        }
    }

    #[test]
    fn members_in_headers_win_or_are_left_out() {
        let headers = [("content-type", "image/png"), ("x-amz-meta-a", "ü"), ("x-bad", "a\nb"), ("b d", "x")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let reply = Reply::new(206, "application/octet-stream", Body::from("x")).with_headers(headers);
        let response = answer(reply, Protocol::RestXml, &RequestId::new("id"));
        assert_eq!(response.status(), 206);
        assert_eq!(response.headers()["content-type"], "image/png");
        assert_eq!(response.headers()["x-amz-meta-a"].as_bytes(), "ü".as_bytes());
        // Those two, and two ids.
        assert_eq!(response.headers().len(), 4);
    }
}
