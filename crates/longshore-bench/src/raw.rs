//! A client of HTTP/1.1 that costs next to nothing, so that what is measured is the server.
//!
//! It shares two cores with the server, and one through hyper would take some of what it measures. So it sends requests
//! that `longshore-client` has signed and written before the clock starts, and reads what Longshore's port answers: bodies
//! with a length, over plain connections that stay open. It is no client for other servers, nor for anything but load.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest answer that is read: a describe of 100 tasks has some 300 KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An answer, borrowed from its connection's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    pub fn is_success(&self) -> bool {
        self.status == 200
    }
}

/// One connection: a request, then its answer, and again.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(authority: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends the bytes of one request and waits for the whole answer. After an error the connection is of
    /// no more use.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head = None;
        loop {
            if head.is_none() {
                head = parse_head(&self.buffer)?;
            }
            if let Some(Head { status, bytes, body_bytes }) = head
                && self.buffer.len() >= bytes + body_bytes
            {
                return Ok(Answer { status, body: &self.buffer[bytes..bytes + body_bytes] });
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// With its empty line.
    bytes: usize,
    body_bytes: usize,
}

/// `None` while it is not there whole.
fn parse_head(buffer: &[u8]) -> io::Result<Option<Head>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&buffer[..end]).map_err(|_| bad("the head of the answer is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| bad("the answer does not begin with a status"))?;
    let body_bytes = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| bad("the answer has no length"))?;
    if body_bytes > ANSWER_BYTES_MAX {
        return Err(bad("the answer is too long"));
    }
    Ok(Some(Head { status, bytes: end + 4, body_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_parse() {
        let whole = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(
            parse_head(whole).expect("valid"),
            Some(Head { status: 400, bytes: whole.len() - 2, body_bytes: 2 })
        );
        assert_eq!(parse_head(&whole[..30]).expect("so far valid"), None);
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse_head(b"SSH-2.0\r\n\r\n").is_err());
    }
}
