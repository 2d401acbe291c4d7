//! Reading a request's body within its limits: of length, of time, and of what all bodies take together.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use longshore_wire::{GenericError, GenericErrorKind};
use tokio::sync::OwnedSemaphorePermit;

use crate::server::Shared;

/// What every body may take without asking. Nearly all requests are smaller, so that clients with long ones
/// cannot keep out the others.
pub(crate) const FREE_BYTES: usize = 16 * 1024;

/// A whole body, with its share of what all bodies may take.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    /// Held until the request is answered.
    pub(crate) share: Option<OwnedSemaphorePermit>,
}

/// Reads to the end, at most `max` bytes, or says in which way it went wrong.
pub(crate) async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    body: Incoming,
    max: usize,
) -> Result<Received, GenericError> {
    if body.is_end_stream() {
        return Ok(Received { bytes: Bytes::new(), share: None });
    }
    let stated = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > max)) {
        return Err(too_large(max));
    }
    let mut reading =
        Reading { shared, body, max, parts: Vec::new(), length: 0, share: None, is_waiting: false };
    match tokio::time::timeout(shared.limits.body_timeout, reading.receive()).await {
        Ok(Ok(())) => Ok(reading.finish()),
        Ok(Err(error)) => Err(error),
        // The client did its part; the room was taken by others.
        Err(_elapsed) if reading.is_waiting => Err(GenericError::new(
            GenericErrorKind::ServiceUnavailable,
            "Too many long requests at once. Try again.",
        )),
        Err(_elapsed) => Err(GenericError::new(
            GenericErrorKind::RequestTimeout,
            "The request body did not arrive in time.",
        )),
    }
}

pub(crate) fn too_large(max: impl std::fmt::Display) -> GenericError {
    let message = format!("The request body is longer than {max} bytes.");
    GenericError::new(GenericErrorKind::RequestEntityTooLarge, message)
}

struct Reading<'s> {
    shared: &'s Shared,
    body: Incoming,
    max: usize,
    parts: Vec<Bytes>,
    length: usize,
    share: Option<OwnedSemaphorePermit>,
    /// For its share, not for the client.
    is_waiting: bool,
}

impl Reading<'_> {
    /// Everything up to the end.
    async fn receive(&mut self) -> Result<(), GenericError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_truncated| {
                GenericError::new(
                    GenericErrorKind::Serialization,
                    "The request body ended early or is not valid HTTP.",
                )
            })?;
            // Trailers say nothing that is of use here.
            let Ok(part) = frame.into_data() else { continue };
            self.length += part.len();
            if self.length > self.max {
                return Err(too_large(self.max));
            }
            self.take_share().await;
            self.parts.push(part);
        }
        Ok(())
    }

    /// Waits until the share covers the length. Meanwhile nothing more is read, so that the client waits too.
    async fn take_share(&mut self) {
        let wanted = self.length.saturating_sub(FREE_BYTES).div_ceil(1024);
        let held = self.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = wanted.checked_sub(held).and_then(|more| u32::try_from(more).ok()) else { return };
        if more == 0 {
            return;
        }
        self.is_waiting = true;
        let bodies = self.shared.bodies.clone();
        let permit = bodies.acquire_many_owned(more).await.expect("the semaphore is never closed");
        self.is_waiting = false;
        match &mut self.share {
            Some(share) => share.merge(permit),
            none => *none = Some(permit),
        }
    }

    fn finish(mut self) -> Received {
        let bytes = match self.parts.len() {
            1 => self.parts.pop().expect("it has one part"),
            _ => {
                let mut whole = BytesMut::with_capacity(self.length);
                self.parts.iter().for_each(|part| whole.extend_from_slice(part));
                whole.freeze()
            }
        };
        Received { bytes, share: self.share }
    }
}
