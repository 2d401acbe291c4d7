//! What the messages of agents may take together.
//!
//! A websocket library keeps a message until it is whole, and keeps the buffer that the longest one needed for as long
//! as the socket is open. Each agent may have sockets, and each message megabytes. So what a socket's longest message
//! needs beyond a free part is taken out of a common share, for the life of the socket, before the bytes are read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// What every socket may take without asking: far more than commands, and most telemetry, need.
const FREE_BYTES: u64 = 16 * 1024;

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + Sync>>;

/// The server's end of an agent's connection. Reading fails with [`io::ErrorKind::TimedOut`] when a long message is
/// not there in time, be it for its sender or for want of room.
pub struct Metered<S> {
    stream: S,
    frames: Frames,
    /// One permit per KiB.
    room: Arc<Semaphore>,
    share: Option<OwnedSemaphorePermit>,
    waiting: Option<Waiting>,
    limit: Duration,
    /// Runs while a message that is longer than the free part is not whole.
    whole_by: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, room: Arc<Semaphore>, limit: Duration) -> Self {
        Self { stream, frames: Frames::default(), room, share: None, waiting: None, limit, whole_by: None }
    }

    /// Waits until the share covers what has been read of the message.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let beyond = self.frames.unfinished.saturating_sub(FREE_BYTES);
        if beyond == 0 {
            (self.waiting, self.whole_by) = (None, None);
            return Poll::Ready(Ok(()));
        }
        let limit = self.limit;
        let whole_by = self.whole_by.get_or_insert_with(|| Box::pin(sleep(limit)));
        if whole_by.as_mut().poll(cx).is_ready() {
            let text = "a long message did not arrive in time, or found no room";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        let held = self.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u64;
        let more = beyond.div_ceil(1024).saturating_sub(held);
        if more == 0 {
            return Poll::Ready(Ok(()));
        }
        // As many as a message of the longest kind has KiB, which is far from the bound of either type.
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let room = self.room.clone();
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(room.acquire_many_owned(more)));
        let permit = ready!(waiting.as_mut().poll(cx)).expect("the semaphore is never closed");
        self.waiting = None;
        match &mut self.share {
            Some(share) => share.merge(permit),
            none => *none = Some(permit),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_room(cx))?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.frames.see(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Follows websocket frames (RFC 6455, section 5.2) only as far as to know how long the message under way is.
/// What is no frame is refused by the library, which reads the same bytes.
#[derive(Debug, Default)]
struct Frames {
    /// The header of the next frame, as far as it is there.
    header: [u8; 14],
    header_length: usize,
    /// What is still to come of the frame.
    payload_left: u64,
    /// Pings and the like may come between the parts of a message, and are short.
    is_control: bool,
    is_last: bool,
    /// Payload that was seen of a message that is not whole.
    unfinished: u64,
}

impl Frames {
    fn see(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let part = bytes.len().min(usize::try_from(self.payload_left).unwrap_or(usize::MAX));
                self.payload_left -= part as u64;
                self.unfinished += if self.is_control { 0 } else { part as u64 };
                bytes = &bytes[part..];
                self.end_frame();
                continue;
            }
            self.header[self.header_length] = first;
            self.header_length += 1;
            bytes = rest;
            if self.header_length >= 2 && self.header_length == self.header_length_wanted() {
                self.header_length = 0;
                self.payload_left = self.payload_length();
                self.is_last = self.header[0] & 0x80 != 0;
                self.is_control = self.header[0] & 0x08 != 0;
                self.end_frame();
            }
        }
    }

    /// Only if nothing of it is left.
    fn end_frame(&mut self) {
        if self.payload_left == 0 && self.is_last && !self.is_control {
            self.unfinished = 0;
        }
    }

    fn header_length_wanted(&self) -> usize {
        let mask = if self.header[1] & 0x80 != 0 { 4 } else { 0 };
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _short => 0,
        };
        2 + extended + mask
    }

    fn payload_length(&self) -> u64 {
        let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |length, &byte| length << 8 | u64::from(byte));
        match self.header[1] & 0x7f {
            126 => big_endian(&self.header[2..4]),
            127 => big_endian(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame with so much payload, of which `sent` is there.
    fn frame(first: u8, length: u64, sent: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(0x80 | length.to_be_bytes()[7]),
            126..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&length.to_be_bytes()[6..]);
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[9; 4]);
        // Payload that would be a header, were it taken for one.
        bytes.resize(bytes.len() + sent, 0x81);
        bytes
    }

    #[test]
    fn a_message_counts_until_it_is_whole() {
        const TEXT: u8 = 0x81;
        const BEGINNING: u8 = 0x01;
        const MIDDLE: u8 = 0x00;
        const END: u8 = 0x80;
        const PING: u8 = 0x89;
        for (frames, unfinished) in [
            (vec![], 0),
            (vec![frame(TEXT, 5, 5)], 0),
            (vec![frame(TEXT, 0, 0)], 0),
            (vec![frame(TEXT, 100, 40)], 40),
            (vec![frame(TEXT, 300, 300), frame(TEXT, 300, 299)], 299),
            (vec![frame(TEXT, 70_000, 69_000)], 69_000),
            (vec![frame(TEXT, u64::MAX, 10)], 10),
            (vec![frame(BEGINNING, 200, 200)], 200),
            (vec![frame(BEGINNING, 200, 200), frame(PING, 125, 125), frame(MIDDLE, 50, 50)], 250),
            (vec![frame(BEGINNING, 200, 200), frame(MIDDLE, 0, 0), frame(END, 0, 0)], 0),
            (vec![frame(BEGINNING, 200, 200), frame(END, 10, 9)], 209),
            (vec![frame(PING, 100, 50)], 0),
        ] {
            let bytes = frames.concat();
            // However the bytes are cut.
            for step in [1, 2, 3, 7, 4096, usize::MAX] {
                let mut seen = Frames::default();
                bytes.chunks(step).for_each(|part| seen.see(part));
                assert_eq!(seen.unfinished, unfinished, "{frames:02x?} in steps of {step}");
            }
        }
    }
}
