//! One request, from its head to its answer.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use longshore_base::{Ids, Timestamp};
use longshore_identity::{AuthError, Principal};
use longshore_sigv4::Headers;
use longshore_telemetry::RequestEnd;

use crate::answer::{Answer, Failure, Protocol, answer, plain};
use crate::api::{Api, Call, Reply, RequestId};
use crate::body::{self, Received};
use crate::server::{Peer, Phase, Shared};
use crate::site::Foreign;
use crate::{cors, socket};

/// The label of requests that name no operation of ours, so that clients cannot invent labels.
const UNKNOWN_OPERATION: &str = "unknown";

const TARGET: &str = "x-amz-target";

/// The headers of a request, as the verifier reads them.
struct HeaderView<'a>(&'a HeaderMap);

impl Headers for HeaderView<'_> {
    fn each<'h>(&'h self, name: &str, see: &mut dyn FnMut(&'h [u8])) {
        for value in self.0.get_all(name) {
            see(value.as_bytes());
        }
    }
}

pub(crate) async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    peer.slot.is_used.store(true, Ordering::Relaxed);
    let drawn = shared.requests_drawn.fetch_add(1, Ordering::Relaxed);
    let id = RequestId::new(Ids::new(shared.request_ids.of(drawn)).uuid());
    let is_probe = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let serves_socket = |path| shared.services.sockets.as_ref().is_some_and(|sockets| sockets.serves(path));
    let mode = shared.services.identity.mode();
    if let Err(foreign) = shared.site.check_host(mode, request.uri(), request.headers()) {
        return Ok(refuse_foreign(&shared, &peer, &id, request, &foreign).await);
    }
    Ok(match path {
        "/" => api(&shared, &peer, id, request).await,
        "/healthz" if is_probe => plain(StatusCode::OK, "ok\n", &id),
        "/readyz" if is_probe => readiness(&shared, &id),
        "/metrics" if is_probe => metrics(&shared, &id),
        path if serves_socket(path) => socket::upgrade(&shared, peer, id, request).await,
        _unknown => plain(StatusCode::NOT_FOUND, "nothing is served here\n", &id),
    })
}

fn readiness(shared: &Shared, id: &RequestId) -> Answer {
    let (is_ready, text) = shared.services.ready.report();
    plain(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text, id)
}

fn metrics(shared: &Shared, id: &RequestId) -> Answer {
    let mut response = plain(StatusCode::OK, shared.services.metrics.encode(), id);
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(open_metrics));
    response
}

/// Who signed this request, or the error in the words of its protocol.
pub(crate) fn authenticate(
    shared: &Shared,
    parts: &Parts,
    body: &[u8],
    now: Timestamp,
    protocol: Protocol,
) -> Result<Principal, Failure> {
    let headers = HeaderView(&parts.headers);
    let request = longshore_sigv4::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
    };
    shared.services.identity.authenticate(&request, body, now).map_err(|error: AuthError| {
        let code = match protocol {
            Protocol::Json => error.code(),
            Protocol::Query => error.query_code(),
        };
        Failure::new(StatusCode::FORBIDDEN, code, error.to_string())
    })
}

pub(crate) fn call(
    shared: &Shared,
    peer: &Peer,
    id: &RequestId,
    parts: &Parts,
    now: Timestamp,
    who: Principal,
) -> Call {
    Call {
        principal: who,
        request_id: id.clone(),
        now,
        deadline: now + shared.limits.request_timeout,
        source_ip: peer.ip,
        user_agent: parts.headers.get(USER_AGENT).cloned(),
    }
}

async fn api(shared: &Arc<Shared>, peer: &Peer, id: RequestId, request: Request<Incoming>) -> Answer {
    let _in_flight = shared.services.metrics.request_begins();
    let page = match shared.site.check_origin(shared.scheme, request.headers()) {
        Ok(page) => page.cloned(),
        Err(foreign) => return refuse_foreign(shared, peer, &id, request, &foreign).await,
    };
    let (parts, incoming) = request.into_parts();
    if let Some(origin) = &page
        && let Some(answer) = cors::preflight(origin, &parts, &id)
    {
        return answer;
    }
    let protocol = protocol_of(&parts);
    let mut response = ask(shared, peer, id, &parts, incoming, protocol).await;
    if let Some(origin) = &page {
        cors::admit(origin, response.headers_mut());
    }
    response
}

/// Reads, authenticates, routes and runs a request that may be answered.
async fn ask(
    shared: &Arc<Shared>,
    peer: &Peer,
    id: RequestId,
    parts: &Parts,
    incoming: Incoming,
    protocol: Protocol,
) -> Answer {
    let Received { bytes: body, share: _share } = match body::read(shared, &parts.headers, incoming).await {
        Ok(received) => received,
        Err(failure) => {
            tracing::debug!(request_id = %id, code = failure.code, "body refused");
            return refuse_unread(shared, &id, failure, protocol);
        }
    };
    let began = Instant::now();
    let now = shared.services.clock.now();
    let named = match authenticate(shared, parts, &body, now, protocol) {
        Ok(who) => route(shared, parts, protocol, &who).map(|(api, name)| (who, api, name)),
        Err(failure) => Err(failure),
    };
    let (operation, reply) = match named {
        Ok((who, api, operation)) => {
            let call = call(shared, peer, &id, parts, now, who);
            let reply = run(shared, &**api, call, &operation, body, protocol, &id).await;
            (operation, reply)
        }
        Err(failure) => (UNKNOWN_OPERATION.into(), failure.into_reply(protocol, &id)),
    };
    record(shared, peer, &id, &operation, &reply, began);
    answer(reply, &id)
}

/// Refuses what a page may have sent. The body is read within its limits and forgotten: a client that is refused by
/// mistake should get to see the answer, rather than the end of a connection that has more to give.
pub(crate) async fn refuse_foreign(
    shared: &Shared,
    peer: &Peer,
    id: &RequestId,
    request: Request<Incoming>,
    foreign: &Foreign,
) -> Answer {
    tracing::debug!(request_id = %id, peer = %peer.ip, %foreign, "foreign request refused");
    let (parts, incoming) = request.into_parts();
    let status = match foreign {
        Foreign::Host(_) | Foreign::Origin => StatusCode::FORBIDDEN,
        Foreign::UnreadableHost => StatusCode::BAD_REQUEST,
    };
    let failure = Failure::new(status, "AccessDeniedException", foreign.to_string());
    match body::read(shared, &parts.headers, incoming).await {
        Ok(_unused) => refuse(shared, id, failure, protocol_of(&parts)),
        Err(unread) => refuse_unread(shared, id, unread, protocol_of(&parts)),
    }
}

/// Counts and answers a request that named no operation yet.
fn refuse(shared: &Shared, id: &RequestId, failure: Failure, protocol: Protocol) -> Answer {
    let end = RequestEnd::Error(failure.code);
    shared.services.metrics.request_ends(UNKNOWN_OPERATION, end, std::time::Duration::ZERO);
    answer(failure.into_reply(protocol, id), id)
}

/// The same where the rest of the body is not read, so that the connection cannot carry another request.
fn refuse_unread(shared: &Shared, id: &RequestId, failure: Failure, protocol: Protocol) -> Answer {
    let mut response = refuse(shared, id, failure, protocol);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// How errors are written: the Query protocol sends forms, or everything in the URL; all else is JSON.
fn protocol_of(parts: &Parts) -> Protocol {
    let headers = &parts.headers;
    if headers.contains_key(TARGET) {
        return Protocol::Json;
    }
    let form = b"application/x-www-form-urlencoded";
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..form.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(form));
    if is_form || parts.method == Method::GET { Protocol::Query } else { Protocol::Json }
}

/// The service and the operation that a request names, by `X-Amz-Target` alone: a header that is signed and that no
/// page of another origin can send without asking first. A form or a URL, which every page can send, names none.
fn route<'s>(
    shared: &'s Shared,
    parts: &Parts,
    protocol: Protocol,
    who: &Principal,
) -> Result<(&'s Arc<dyn Api>, String), Failure> {
    let unknown = || {
        let message = "Longshore serves no such operation. It speaks Amazon ECS; what is meant for AWS goes there again \
                       without AWS_ENDPOINT_URL.";
        Failure::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
    };
    let target = parts.headers.get(TARGET).ok_or_else(unknown)?.to_str().map_err(|_| unknown())?;
    let (prefix, operation) = target.rsplit_once('.').ok_or_else(unknown)?;
    let api = shared.services.apis.iter().find(|api| api.target_prefix() == prefix).ok_or_else(unknown)?;
    if api.signing_name() != &*who.service {
        let code = match protocol {
            Protocol::Json => "InvalidSignatureException",
            Protocol::Query => "SignatureDoesNotMatch",
        };
        let message = format!("Credential should be scoped to correct service: '{}'.", api.signing_name());
        return Err(Failure::new(StatusCode::FORBIDDEN, code, message));
    }
    Ok((api, operation.to_owned()))
}

/// Runs the operation within its deadline, with panics caught.
async fn run(
    shared: &Shared,
    api: &dyn Api,
    call: Call,
    operation: &str,
    body: Bytes,
    protocol: Protocol,
    id: &RequestId,
) -> Reply {
    // A handler owns nothing that outlives it. What it shares looks after itself: the database stops when a
    // transaction panics, and the program then ends the process.
    let work = AssertUnwindSafe(async { api.call(call, operation, body).await }).catch_unwind();
    match tokio::time::timeout(shared.limits.request_timeout, work).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_panic)) => {
            shared.services.metrics.panicked();
            tracing::error!(request_id = %id, operation, "the handler panicked");
            Failure::internal().into_reply(protocol, id)
        }
        Err(_elapsed) => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "The request was not answered in time. It may still take effect.",
        )
        .into_reply(protocol, id),
    }
}

/// Counts and logs an answer.
fn record(shared: &Shared, peer: &Peer, id: &RequestId, operation: &str, reply: &Reply, began: Instant) {
    let took = began.elapsed();
    let (end, operation) = match reply.error_code.as_deref() {
        None => (RequestEnd::Ok, operation),
        Some(code @ "UnknownOperationException") => (RequestEnd::Error(code), UNKNOWN_OPERATION),
        Some(code) => (RequestEnd::Error(code), operation),
    };
    shared.services.metrics.request_ends(operation, end, took);
    let (status, code) = (reply.status.as_u16(), reply.error_code.as_deref().unwrap_or("OK"));
    let took_micros = took.as_micros();
    if reply.status.is_server_error() {
        tracing::warn!(request_id = %id, operation, status, code, took_micros, peer = %peer.ip, "request failed");
    } else {
        tracing::debug!(request_id = %id, operation, status, code, took_micros, peer = %peer.ip, "request");
    }
}

/// Whether new work is still taken.
pub(crate) fn is_serving(shared: &Shared) -> bool {
    *shared.phase.borrow() == Phase::Serving
}
