//! A request for a [`Place`](longshore_api::Place): what it may send, and what becomes of what it sent for nothing.
//!
//! Such a body has no deadline and no bound: a layer of ten gigabytes takes as long as it takes. What bounds it is that
//! it must not pause, and that it is read no faster than it is taken.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use longshore_api::{Body, BodyError, Place, Visit};
use longshore_telemetry::RequestEnd;
use tokio::time::Sleep;

use crate::answer::{Answer, plain};
use crate::call::refuse_foreign;
use crate::handle::Asking;

/// What requests for places are counted as.
const SERVICE: &str = "registry";

/// Runs it. Pages of other origins are refused before anything is read.
pub(crate) async fn visit(asking: Asking<'_>, incoming: Incoming, place: &dyn Place) -> Answer {
    let shared = asking.shared;
    let _in_flight = shared.services.metrics.request_begins();
    if let Err(foreign) = shared.site.check_origin(shared.scheme, &asking.head.headers) {
        return refuse_foreign(asking, incoming, &foreign).await;
    }
    let began = Instant::now();
    let body = Coming::new(incoming, shared.limits.stream_pause);
    let visit = Visit {
        request_id: asking.id.clone(),
        now: shared.services.clock.now(),
        source_ip: asking.peer.ip,
        is_secure: shared.scheme == "https",
        head: asking.head.clone(),
        body: Body::stream(Pieces(body.clone())),
    };
    // It owns nothing that outlives it; see `call::run`.
    let mut answer = match AssertUnwindSafe(async { place.answer(visit).await }).catch_unwind().await {
        Ok(answer) => answer,
        Err(_panic) => {
            shared.services.metrics.panicked();
            tracing::error!(request_id = %asking.id, service = SERVICE, "the handler panicked");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the request failed\n", &asking.id)
        }
    };
    // Who waits for a word before sending the body needs none to get an answer.
    let is_awaited = asking.head.headers.contains_key(EXPECT);
    let is_read = body.is_ended() || (!is_awaited && body.drain(shared.limits.body_bytes_max).await);
    if !is_read {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(asking.id.as_str()) {
        answer.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    record(&asking, &answer, began.elapsed());
    answer
}

fn record(asking: &Asking<'_>, answer: &Answer, took: Duration) {
    let status = answer.status();
    let end = match status.is_client_error() || status.is_server_error() {
        true => RequestEnd::Error(status.canonical_reason().unwrap_or("Error")),
        false => RequestEnd::Ok,
    };
    // Methods are few, and any other one is refused.
    let operation = match asking.head.method.as_str() {
        "GET" | "HEAD" => "Pull",
        "POST" | "PATCH" | "PUT" => "Push",
        "DELETE" => "Delete",
        _ => "unknown",
    };
    asking.shared.services.metrics.request_ends(SERVICE, operation, end, took);
    let (status, took_micros) = (status.as_u16(), took.as_micros());
    let (request_id, peer) = (&asking.id, asking.peer.ip);
    if status >= 500 {
        tracing::warn!(%request_id, service = SERVICE, operation, status, took_micros, %peer, "request failed");
    } else {
        tracing::debug!(%request_id, service = SERVICE, operation, status, took_micros, %peer, "request");
    }
}

/// A body on its way. The place holds one end of it, the edge the other, for what the place leaves.
#[derive(Clone)]
struct Coming(Arc<Mutex<State>>);

struct State {
    incoming: Incoming,
    pause: Duration,
    /// The end of the pause that is going on.
    pause_ends: Option<Pin<Box<Sleep>>>,
    is_ended: bool,
}

impl Coming {
    fn new(incoming: Incoming, pause: Duration) -> Self {
        let is_ended = incoming.is_end_stream();
        Self(Arc::new(Mutex::new(State { incoming, pause, pause_ends: None, is_ended })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ended(&self) -> bool {
        self.state().is_ended
    }

    /// Reads on for nothing, at most so many bytes, so that a client gets to see its answer rather than the end of a
    /// connection that has more to give. Whether that was the rest.
    async fn drain(&self, mut bytes: usize) -> bool {
        loop {
            match std::future::poll_fn(|cx| self.state().poll(cx)).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => match bytes.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(left) => bytes = left,
                    None => return false,
                },
            }
        }
    }
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.pause_ends = None;
                self.is_ended = frame.is_none();
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => {
                let pause = self.pause;
                let ends = self.pause_ends.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                if ends.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err("the request body did not go on in time".into())))
            }
        }
    }
}

/// The place's end of a body.
struct Pieces(Coming);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.state().poll(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.state().incoming.size_hint()
    }
}
