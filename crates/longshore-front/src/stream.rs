//! Bodies that an operation takes as they come: verified on the way, bounded in length, pauses and memory.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body as _, Frame, Incoming};
use longshore_api::{Body, BodyError};
use longshore_sigv4::{BodyReader, BodyRefused};
use longshore_wire::{GenericError, GenericErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::body::{FREE_BYTES, too_large};

/// A body on its way. The operation holds one end of it ([`Streamed::body`]), the edge the other: what the operation
/// leaves is read here, and what went wrong is told here.
#[derive(Clone)]
pub(crate) struct Streamed(Arc<Mutex<State>>);

struct State {
    incoming: Incoming,
    /// `None` once the end was seen.
    reader: Option<BodyReader>,
    /// What has come and was not taken.
    input: Bytes,
    bytes: u64,
    bytes_max: u64,
    /// How long the client may pause, and the end of the pause that is going on.
    pause: Duration,
    pause_ends: Option<Pin<Box<Sleep>>>,
    /// What all bodies may hold, and this one's share of it.
    room: Arc<Semaphore>,
    share: Option<OwnedSemaphorePermit>,
    failed: Option<GenericError>,
    /// The operation is over, and its end of the body gives nothing more.
    is_over: bool,
    /// When the operation last took a piece.
    taken_at: Instant,
}

/// How far the rest of a body may be read for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// To its end: it has to be verified.
    All,
    UpTo(u64),
}

impl Streamed {
    pub(crate) fn new(
        incoming: Incoming,
        reader: BodyReader,
        bytes_max: u64,
        pause: Duration,
        room: Arc<Semaphore>,
    ) -> Self {
        Self(Arc::new(Mutex::new(State {
            incoming,
            reader: Some(reader),
            input: Bytes::new(),
            bytes: 0,
            bytes_max,
            pause,
            pause_ends: None,
            room,
            share: None,
            failed: None,
            is_over: false,
            taken_at: Instant::now(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operation's end.
    pub(crate) fn body(&self) -> Body {
        Body::stream(Pieces(self.clone()))
    }

    /// When the operation last took a piece, or now if it waits for the client, whose pauses have a bound of their own.
    pub(crate) fn taken_at(&self) -> Instant {
        let state = self.state();
        if state.pause_ends.is_some() { Instant::now() } else { state.taken_at }
    }

    /// Ends the operation's part, and reads what it left. Gives what was wrong with the body; `false` if it was not read
    /// to its end.
    pub(crate) async fn finish(&self, rest: Rest) -> Result<bool, GenericError> {
        self.state().is_over = true;
        let mut left = match rest {
            Rest::All => u64::MAX,
            Rest::UpTo(bytes) => bytes,
        };
        loop {
            match std::future::poll_fn(|cx| self.state().poll_piece(cx)).await {
                None => return Ok(true),
                Some(Err(error)) => return Err(error),
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    match left.checked_sub(bytes) {
                        Some(less) => left = less,
                        None => return Ok(false),
                    }
                }
            }
        }
    }

    /// Whether all of it has come.
    pub(crate) fn is_ended(&self) -> bool {
        self.state().reader.is_none()
    }

    /// What went wrong with it so far.
    pub(crate) fn failed(&self) -> Option<GenericError> {
        self.state().failed.clone()
    }
}

impl State {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GenericError>>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Some(Err(error.clone())));
        }
        let polled = self.poll_next(cx);
        if let Poll::Ready(Some(Err(error))) = &polled {
            self.failed = Some(error.clone());
        }
        if polled.is_ready() {
            (self.pause_ends, self.taken_at) = (None, Instant::now());
        }
        polled
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GenericError>>> {
        loop {
            let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
            match reader.take(&mut self.input) {
                Ok(Some(piece)) => return Poll::Ready(Some(self.counted(piece))),
                Ok(None) => {}
                Err(refused) => return Poll::Ready(Some(Err(told(&refused)))),
            }
            let held = reader.held_bytes();
            if let Err(error) = self.take_share(held) {
                return Poll::Ready(Some(Err(error)));
            }
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers of HTTP itself are not signed, and nobody sends them.
                    self.input = frame.into_data().unwrap_or_default();
                    self.pause_ends = None;
                }
                Poll::Ready(Some(Err(_broken))) => {
                    let text = "The request body ended early or is not valid HTTP.";
                    return Poll::Ready(Some(Err(GenericError::new(GenericErrorKind::IncompleteBody, text))));
                }
                Poll::Ready(None) => return Poll::Ready(self.end()),
                Poll::Pending => {
                    let pause = self.pause;
                    let ends = self.pause_ends.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                    if ends.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let text = "The request body did not go on in time.";
                    return Poll::Ready(Some(Err(GenericError::new(GenericErrorKind::RequestTimeout, text))));
                }
            }
        }
    }

    fn counted(&mut self, piece: Bytes) -> Result<Frame<Bytes>, GenericError> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.bytes_max { Err(too_large(self.bytes_max)) } else { Ok(Frame::data(piece)) }
    }

    /// A signed chunk is held until it is verified: what that takes beyond a free part comes out of what all bodies have.
    fn take_share(&mut self, held: usize) -> Result<(), GenericError> {
        let wanted = held.saturating_sub(FREE_BYTES).div_ceil(1024);
        let more = wanted.saturating_sub(self.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        // A chunk has its own largest size, which is far from the bound of the type.
        let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) else { return Ok(()) };
        let Ok(permit) = self.room.clone().try_acquire_many_owned(more) else {
            let text = "Too many long requests at once. Try again.";
            return Err(GenericError::new(GenericErrorKind::ServiceUnavailable, text));
        };
        match &mut self.share {
            Some(share) => share.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Verifies what only the end shows.
    fn end(&mut self) -> Option<Result<Frame<Bytes>, GenericError>> {
        self.share = None;
        let trailers = match self.reader.take()?.end() {
            Ok(trailers) => trailers,
            Err(refused) => return Some(Err(told(&refused))),
        };
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                map.insert(name, value);
            }
        }
        (!map.is_empty()).then(|| Ok(Frame::trailers(map)))
    }
}

/// A body that is not what its request says, in the words that clients know.
pub(crate) fn told(refused: &BodyRefused) -> GenericError {
    let kind = match refused {
        BodyRefused::Hash => GenericErrorKind::PayloadMismatch,
        BodyRefused::Signature => GenericErrorKind::InvalidSignature,
        BodyRefused::Checksum(_) => GenericErrorKind::BadDigest,
        BodyRefused::Length | BodyRefused::Truncated => GenericErrorKind::IncompleteBody,
        BodyRefused::Malformed(_) => GenericErrorKind::MalformedChunks,
    };
    GenericError::new(kind, refused.to_string())
}

/// The operation's end of a body.
struct Pieces(Streamed);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.0.state();
        if state.is_over {
            return Poll::Ready(Some(Err("the call that this body belongs to is over".into())));
        }
        state.poll_piece(cx).map_err(BodyError::from)
    }
}
