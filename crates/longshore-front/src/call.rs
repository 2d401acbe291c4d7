//! A request of an AWS API: read, authenticated, run, answered; and what it is told if it is not.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, StatusCode};
use hyper::body::{Body as _, Incoming};
use longshore_api::{Api, Body, Call, Intake, Reply, Request};
use longshore_base::Timestamp;
use longshore_identity::{AuthError, Principal};
use longshore_sigv4::{BodyReader, SigError};
use longshore_telemetry::RequestEnd;
use longshore_wire::route::{CLOCK_MINUTES, Routing, ServiceFacts};
use longshore_wire::{GenericError, GenericErrorKind, ModeledError, Protocol};

use crate::answer::{Answer, answer, plain};
use crate::body::{self, Received};
use crate::cors;
use crate::handle::Asking;
use crate::site::Foreign;
use crate::stream::{self, Rest, Streamed};

/// The label of requests that name no service or operation of ours, so that clients cannot invent labels.
const UNKNOWN: &str = "unknown";

/// What is known of a request once it is routed: how to answer it, and how to count it.
#[derive(Clone, Copy)]
struct Asked {
    protocol: Protocol,
    facts: Option<&'static ServiceFacts>,
    operation: &'static str,
}

impl Asked {
    fn of(asking: &Asking<'_>, routing: &Routing) -> Self {
        match routing {
            Routing::To(to) => Self { protocol: to.protocol, facts: Some(to.facts), operation: to.operation },
            Routing::Refused(refused) => {
                Self { protocol: refused.protocol, facts: refused.facts, operation: UNKNOWN }
            }
            Routing::NeedsBody | Routing::Elsewhere => Self::nothing(asking),
        }
    }

    /// Nothing but how the request looks, for those that are answered before they are routed.
    fn nothing(asking: &Asking<'_>) -> Self {
        Self { protocol: asking.guess(), facts: None, operation: UNKNOWN }
    }

    fn service(&self) -> &'static str {
        self.facts.map_or(UNKNOWN, |facts| facts.name)
    }

    /// How far the time of its signature may lie from ours.
    fn window(&self) -> Duration {
        Duration::from_secs(60 * self.facts.map_or(CLOCK_MINUTES, |facts| facts.clock_minutes))
    }

    fn error(&self, error: &dyn ModeledError, asking: &Asking<'_>) -> Reply {
        let schema = self.facts.map(|facts| &facts.schema);
        let (id, path) = (asking.id.as_str(), asking.head.path());
        self.protocol.error_about(error, schema, id, path).map(Body::from)
    }
}

/// Answers a request that is for an API or looks like it. Pages of other origins are refused before anything is read.
pub(crate) async fn answer_api(asking: Asking<'_>, incoming: Incoming, routing: Routing) -> Answer {
    let shared = asking.shared;
    let _in_flight = shared.services.metrics.request_begins();
    let page = match shared.site.check_origin(shared.scheme, &asking.head.headers) {
        Ok(page) => page.cloned(),
        Err(foreign) => return refuse_foreign(asking, incoming, &foreign).await,
    };
    if let Some(origin) = &page
        && let Some(answer) = cors::preflight(origin, &asking.head, &asking.id)
    {
        return answer;
    }
    let mut response = match routing {
        // A question without an origin, about what is no API's.
        Routing::Elsewhere => plain(StatusCode::NOT_FOUND, "nothing is served here\n", &asking.id),
        routing => ask(asking, incoming, routing).await,
    };
    if let Some(origin) = &page {
        cors::admit(origin, response.headers_mut());
    }
    response
}

/// Reads, authenticates and runs a request that may be answered.
async fn ask(asking: Asking<'_>, incoming: Incoming, routing: Routing) -> Answer {
    let shared = asking.shared;
    if let Routing::Refused(refused) = &routing
        && refused.is_for_everybody()
    {
        return refuse(&asking, incoming, Asked::of(&asking, &routing), &refused.error()).await;
    }
    if let Some((api, bytes_max)) = streaming(&asking, &routing) {
        // Few requests take this way, and without a box all of them would carry the room that it needs.
        return Box::pin(ask_streaming(asking, incoming, routing, api, bytes_max)).await;
    }
    let max = body_bytes_max(&asking, &routing);
    let Received { bytes: body, share: _share } =
        match body::read(shared, &asking.head.headers, incoming, max).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(request_id = %asking.id, code = error.kind.code(), "body refused");
                return refuse_unread(&asking, Asked::of(&asking, &routing), &error);
            }
        };
    let began = Instant::now();
    let now = shared.services.clock.now();
    let routing = match routing {
        Routing::NeedsBody => asking.route(Some(&body)),
        routed => routed,
    };
    let asked = Asked::of(&asking, &routing);
    // Of an operation that a form names, the limit is known only now.
    let max = body_bytes_max(&asking, &routing);
    let reply = if body.len() > max {
        asked.error(&body::too_large(max), &asking)
    } else if let Routing::Refused(refused) = &routing
        && refused.is_for_everybody()
    {
        asked.error(&refused.error(), &asking)
    } else {
        match identify(&asking, &routing, asked, body, now) {
            Ok((who, body)) => serve(&asking, routing, asked, who, body, now).await,
            Err(error) => asked.error(&error, &asking),
        }
    };
    record(&asking, asked, &reply, began.elapsed());
    answer(reply, asked.protocol, &asking.id)
}

/// Who asks, and the body without what is no part of it.
fn identify(
    asking: &Asking<'_>,
    routing: &Routing,
    asked: Asked,
    body: Bytes,
    now: Timestamp,
) -> Result<(Principal, Bytes), GenericError> {
    if !asking.is_chunked() {
        return match asking.authenticate(&body, now, asked.window()) {
            Ok(who) => Ok((who, body)),
            Err(error) => Ok((excused(asking, routing, &error)?, body)),
        };
    }
    let (who, mut reader) = identify_head(asking, routing, asked, now)?;
    let (mut input, mut whole) = (body, BytesMut::new());
    while let Some(piece) = reader.take(&mut input).map_err(|refused| stream::told(&refused))? {
        whole.extend_from_slice(&piece);
    }
    reader.end().map_err(|refused| stream::told(&refused))?;
    Ok((who, whole.freeze()))
}

/// Who asks, before the body is there, and what reads that.
fn identify_head(
    asking: &Asking<'_>,
    routing: &Routing,
    asked: Asked,
    now: Timestamp,
) -> Result<(Principal, BodyReader), GenericError> {
    let refused = |error: AuthError| GenericError::new(error.kind(), error.to_string());
    match asking.authenticate_head(now, asked.window()) {
        Ok(identified) => Ok(identified),
        Err(error) => {
            let who = excused(asking, routing, &error)?;
            let reader = asking.anonymous_reader().map_err(|error| refused(error.into()))?;
            Ok((who, reader))
        }
    }
}

/// An anonymous caller, if it was the signature that is missing, and the operation needs none.
fn excused(asking: &Asking<'_>, routing: &Routing, error: &AuthError) -> Result<Principal, GenericError> {
    let services = &asking.shared.services;
    if let (Routing::To(to), AuthError::Signature(SigError::Missing)) = (routing, error)
        && services.apis.get(to.position).is_some_and(|api| api.takes_unsigned(to.operation))
    {
        return Ok(services.identity.anonymous(to.facts.schema.signing_name));
    }
    Err(GenericError::new(error.kind(), error.to_string()))
}

/// The API, and the longest body, of an operation that takes it as it comes.
fn streaming<'s>(asking: &Asking<'s>, routing: &Routing) -> Option<(&'s dyn Api, u64)> {
    let Routing::To(to) = routing else { return None };
    let api = asking.shared.services.apis.get(to.position)?;
    match api.intake(to.operation) {
        Intake::Whole => None,
        Intake::Stream { bytes_max } => Some((&**api, bytes_max)),
    }
}

/// Authenticates the head, and runs an operation that takes the body as it comes.
async fn ask_streaming(
    asking: Asking<'_>,
    incoming: Incoming,
    routing: Routing,
    api: &dyn Api,
    bytes_max: u64,
) -> Answer {
    let shared = asking.shared;
    let asked = Asked::of(&asking, &routing);
    let (began, now) = (Instant::now(), shared.services.clock.now());
    let (who, reader) = match identify_head(&asking, &routing, asked, now) {
        Ok(identified) => identified,
        Err(error) => return refuse_stream(&asking, incoming, asked, &error).await,
    };
    let stated = if reader.is_chunked() { reader.stated_bytes() } else { incoming.size_hint().exact() };
    if stated.is_some_and(|stated| stated > bytes_max) {
        return refuse_stream(&asking, incoming, asked, &body::too_large(bytes_max)).await;
    }
    let body = Streamed::new(incoming, reader, bytes_max, shared.limits.stream_pause, shared.bodies.clone());
    let request = Request {
        call: call(&asking, who, now),
        operation: asked.operation,
        protocol: asked.protocol,
        body: body.body(),
    };
    let mut reply = run(&asking, api, request, asked, Some(&body)).await;
    let rest = match &reply.error {
        None => Rest::All,
        Some(_) => Rest::UpTo(shared.limits.body_bytes_max as u64),
    };
    // Who waits for a word before sending the body needs none to get an answer.
    let is_awaited = asking.head.headers.contains_key(EXPECT);
    let is_read = match rest {
        Rest::UpTo(_) if is_awaited && !body.is_ended() => false,
        rest => body.finish(rest).await.unwrap_or(false),
    };
    if let Some(error) = body.failed() {
        tracing::debug!(request_id = %asking.id, code = error.kind.code(), "body refused");
        reply = asked.error(&error, &asking);
    }
    record(&asking, asked, &reply, began.elapsed());
    let mut response = answer(reply, asked.protocol, &asking.id);
    if !is_read {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Refuses before the body is read. Who asked whether to send it does not have to.
async fn refuse_stream(
    asking: &Asking<'_>,
    incoming: Incoming,
    asked: Asked,
    error: &GenericError,
) -> Answer {
    match asking.head.headers.contains_key(EXPECT) {
        true => refuse_unread(asking, asked, error),
        false => refuse(asking, incoming, asked, error).await,
    }
}

/// Runs what an accepted signature asks for, or says why not.
async fn serve(
    asking: &Asking<'_>,
    routing: Routing,
    asked: Asked,
    who: Principal,
    body: Bytes,
    now: Timestamp,
) -> Reply {
    match routing {
        Routing::To(to) => {
            // What is served comes first in the table of what is known.
            let Some(api) = asking.shared.services.apis.get(to.position) else {
                return asked.error(&internal(), asking);
            };
            let call = call(asking, who, now);
            let request = Request { call, operation: to.operation, protocol: to.protocol, body: body.into() };
            run(asking, &**api, request, asked, None).await
        }
        Routing::Refused(refused) => asked.error(&refused.error(), asking),
        Routing::NeedsBody | Routing::Elsewhere => asked.error(&internal(), asking),
    }
}

/// What an API, or the sockets of agents, get to know of a request.
pub(crate) fn call(asking: &Asking<'_>, who: Principal, now: Timestamp) -> Call {
    Call {
        principal: who,
        request_id: asking.id.clone(),
        now,
        deadline: now + asking.shared.limits.request_timeout,
        source_ip: asking.peer.ip,
        is_secure: asking.shared.scheme == "https",
        head: asking.head.clone(),
    }
}

/// The longest body of a request, in bytes: its operation's, or what is taken from everybody.
fn body_bytes_max(asking: &Asking<'_>, routing: &Routing) -> usize {
    let all = asking.shared.limits.body_bytes_max;
    match routing {
        Routing::To(to) => {
            let api = asking.shared.services.apis.get(to.position);
            api.and_then(|api| api.body_bytes_max(to.operation)).unwrap_or(all)
        }
        Routing::Refused(_) | Routing::NeedsBody | Routing::Elsewhere => all,
    }
}

/// The answer to a panic or another defect: nothing but a code and the request id.
pub(crate) fn internal() -> GenericError {
    let text = "The request processing has failed because of an unknown error.";
    GenericError::new(GenericErrorKind::InternalFailure, text)
}

/// Refuses what a page may have sent.
pub(crate) async fn refuse_foreign(asking: Asking<'_>, incoming: Incoming, foreign: &Foreign) -> Answer {
    tracing::debug!(request_id = %asking.id, peer = %asking.peer.ip, %foreign, "foreign request refused");
    let kind = match foreign {
        Foreign::Host(_) | Foreign::Origin => GenericErrorKind::ForeignPage,
        Foreign::UnreadableHost => GenericErrorKind::UnreadableHost,
    };
    let asked = Asked::nothing(&asking);
    refuse(&asking, incoming, asked, &GenericError::new(kind, foreign.to_string())).await
}

/// Counts and answers what is refused without looking at it. The body is read within its limits and forgotten: a client
/// should get to see the answer, rather than the end of a connection that has more to give.
async fn refuse(asking: &Asking<'_>, incoming: Incoming, asked: Asked, error: &GenericError) -> Answer {
    let max = asking.shared.limits.body_bytes_max;
    match body::read(asking.shared, &asking.head.headers, incoming, max).await {
        Ok(_unused) => {
            let reply = asked.error(error, asking);
            record(asking, asked, &reply, Duration::ZERO);
            answer(reply, asked.protocol, &asking.id)
        }
        Err(_unread) => refuse_unread(asking, asked, error),
    }
}

/// The same where the rest of the body is not read, so that the connection cannot carry another request.
fn refuse_unread(asking: &Asking<'_>, asked: Asked, error: &GenericError) -> Answer {
    let reply = asked.error(error, asking);
    record(asking, asked, &reply, Duration::ZERO);
    let mut response = answer(reply, asked.protocol, &asking.id);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Runs the operation within its deadline, with panics caught. A body that it takes as it comes puts the deadline off.
async fn run(
    asking: &Asking<'_>,
    api: &dyn Api,
    request: Request,
    asked: Asked,
    body: Option<&Streamed>,
) -> Reply {
    let shared = asking.shared;
    // A handler owns nothing that outlives it. What it shares looks after itself: the database stops when a
    // transaction panics, and the program then ends the process.
    let work = AssertUnwindSafe(async { api.call(request).await }).catch_unwind();
    let limit = shared.limits.request_timeout;
    let done = match body {
        None => tokio::time::timeout(limit, work).await,
        Some(body) => while_it_goes_on(limit, body, work).await,
    };
    match done {
        Ok(Ok(reply)) => reply,
        Ok(Err(_panic)) => {
            shared.services.metrics.panicked();
            let Asked { operation, .. } = asked;
            tracing::error!(request_id = %asking.id, service = asked.service(), operation, "the handler panicked");
            asked.error(&internal(), asking)
        }
        Err(_elapsed) => {
            let text = "The request was not answered in time. It may still take effect.";
            asked.error(&GenericError::new(GenericErrorKind::ServiceUnavailable, text), asking)
        }
    }
}

/// Waits for `work` as long as it goes on taking pieces of its body, and then for `limit`.
async fn while_it_goes_on<T>(
    limit: Duration,
    body: &Streamed,
    work: impl Future<Output = T>,
) -> Result<T, tokio::time::error::Elapsed> {
    let mut work = std::pin::pin!(work);
    loop {
        let ends = body.taken_at() + limit;
        match tokio::time::timeout_at(ends, &mut work).await {
            Err(_elapsed) if body.taken_at() + limit > ends => {}
            done => return done,
        }
    }
}

/// Counts and logs an answer. The cause of a fault, which the caller does not read, goes to the log.
fn record(asking: &Asking<'_>, asked: Asked, reply: &Reply, took: Duration) {
    let (service, operation) = (asked.service(), asked.operation);
    let code = reply.error.as_ref().map(|error| error.code);
    let end = code.map_or(RequestEnd::Ok, RequestEnd::Error);
    asking.shared.services.metrics.request_ends(service, operation, end, took);
    let (status, code, took_micros) = (reply.status, code.unwrap_or("OK"), took.as_micros());
    let (request_id, peer) = (&asking.id, asking.peer.ip);
    let cause = reply.error.as_ref().and_then(|error| error.cause.as_deref());
    if let Some(cause) = cause {
        tracing::error!(%request_id, service, operation, status, code, took_micros, %peer, cause, "request failed");
    } else if reply.status >= 500 && reply.error.as_ref().is_none_or(|error| error.server_fault) {
        tracing::warn!(%request_id, service, operation, status, code, took_micros, %peer, "request failed");
    } else {
        tracing::debug!(%request_id, service, operation, status, code, took_micros, %peer, "request");
    }
}
