//! The answers that a page of another origin needs, where the operator has admitted it (Fetch standard, CORS protocol).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use longshore_api::{Head, RequestId};

use crate::answer::{Answer, plain};

/// Chromium asks so before a page reaches an address of a more private network, loopback above all.
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// What SDKs in browsers read of an answer, beside its body.
const EXPOSED: &str = "x-amzn-requestid, x-amz-request-id, x-amzn-errortype, etag, date";

/// The methods that operations have. Each request is still held to the one that its operation has.
const METHODS: [Method; 6] =
    [Method::POST, Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH];

/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "600";

/// Lets the page of `origin` read the answer with these headers.
pub(crate) fn admit(origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

/// Answers a browser's question whether an admitted page may call; `None` if the request is no such question.
pub(crate) fn preflight(origin: &HeaderValue, head: &Head, id: &RequestId) -> Option<Answer> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = plain(StatusCode::NO_CONTENT, "", id);
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    admit(origin, headers);
    let wanted = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
    let method =
        METHODS.iter().find(|method| Some(method.as_str().as_bytes()) == wanted).unwrap_or(&Method::POST);
    let method =
        HeaderValue::from_str(method.as_str()).expect("the name of a method is a valid header value");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    // SDKs add headers of their own from version to version, and none of them changes who may do what.
    if let Some(wanted) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    if head.headers.contains_key(REQUEST_PRIVATE_NETWORK) {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    Some(response)
}
