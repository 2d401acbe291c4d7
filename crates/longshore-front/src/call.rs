//! A request of an AWS API: read, authenticated, run, answered; and what it is told if it is not.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use longshore_api::{Api, Body, Call, Reply, Request};
use longshore_base::Timestamp;
use longshore_identity::Principal;
use longshore_telemetry::RequestEnd;
use longshore_wire::route::{Routing, ServiceFacts};
use longshore_wire::{GenericError, GenericErrorKind, ModeledError, Protocol};

use crate::answer::{Answer, answer, plain};
use crate::body::{self, Received};
use crate::cors;
use crate::handle::Asking;
use crate::site::Foreign;

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

    fn nothing(asking: &Asking<'_>) -> Self {
        Self { protocol: asking.guess(), facts: None, operation: UNKNOWN }
    }

    fn service(&self) -> &'static str {
        self.facts.map_or(UNKNOWN, |facts| facts.name)
    }

    fn error(&self, error: &dyn ModeledError, asking: &Asking<'_>) -> Reply {
        let schema = self.facts.map(|facts| &facts.schema);
        self.protocol.error(error, schema, asking.id.as_str()).map(Body::from)
    }
}

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
    let reply = match routing {
        _ if body.len() > max => asked.error(&body::too_large(max), &asking),
        Routing::Refused(refused) if refused.is_for_everybody() => asked.error(&refused.error(), &asking),
        routing => match asking.authenticate(&body, now) {
            Ok(who) => serve(&asking, routing, asked, who, body, now).await,
            Err(error) => asked.error(&GenericError::new(error.kind(), error.to_string()), &asking),
        },
    };
    record(&asking, asked, &reply, began.elapsed());
    answer(reply, asked.protocol, &asking.id)
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
            run(asking, &**api, request, asked).await
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
        head: asking.head.clone(),
    }
}

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

/// Runs the operation within its deadline, with panics caught.
async fn run(asking: &Asking<'_>, api: &dyn Api, request: Request, asked: Asked) -> Reply {
    let shared = asking.shared;
    // A handler owns nothing that outlives it. What it shares looks after itself: the database stops when a
    // transaction panics, and the program then ends the process.
    let work = AssertUnwindSafe(async { api.call(request).await }).catch_unwind();
    match tokio::time::timeout(shared.limits.request_timeout, work).await {
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
    } else if reply.status >= 500 {
        tracing::warn!(%request_id, service, operation, status, code, took_micros, %peer, "request failed");
    } else {
        tracing::debug!(%request_id, service, operation, status, code, took_micros, %peer, "request");
    }
}
