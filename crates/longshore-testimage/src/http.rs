//! As much of HTTP/1.1 as the test server and its client need: requests without bodies. By hand, because the program is
//! all that there is in its images, and small images start fast.

use std::io::{self, BufRead, Read, Write};

/// Longest request line and longest sum of headers that are read.
const HEAD_BYTES_MAX: u64 = 16 * 1024;

/// A request line and the one header that matters here.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Without the question mark; empty if there is none.
    pub query: String,
    pub keep_alive: bool,
}

impl Request {
    /// Reads one request. `None` if the connection ended before a request began.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut head = reader.take(HEAD_BYTES_MAX);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            keep_alive: version == "HTTP/1.1",
        };
        loop {
            let mut header = String::new();
            if head.read_line(&mut header)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let header = header.trim_end();
            if header.is_empty() {
                return Ok(Some(request));
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("connection")
            {
                request.keep_alive = value.trim().eq_ignore_ascii_case("keep-alive");
            }
        }
    }

    /// The value of a query parameter, undecoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Writes a whole answer with a text body.
pub fn respond(writer: &mut impl Write, status: u16, body: &str, keep_alive: bool) -> io::Result<()> {
    let phrase = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        503 => "Service Unavailable",
        _ => "Unknown",
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let answer = format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
        body.len()
    );
    writer.write_all(answer.as_bytes())?;
    writer.flush()
}

/// Reads the status code out of an answer's first line.
pub fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Request> {
        Request::read(&mut text.as_bytes()).expect("a request")
    }

    #[test]
    fn a_request_is_split_into_its_parts() {
        let request = read("GET /exit?code=3&x=1 HTTP/1.1\r\nHost: a\r\n\r\n").expect("present");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/exit"));
        assert_eq!(request.parameter("code"), Some("3"));
        assert_eq!(request.parameter("cod"), None);
        assert!(request.keep_alive);
    }

    #[test]
    fn connections_are_kept_as_the_client_asks() {
        assert!(!read("GET / HTTP/1.0\r\n\r\n").expect("present").keep_alive);
        assert!(!read("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("present").keep_alive);
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_torn_request_is_an_error() {
        for text in ["GET / HTTP/1.1\r\nHost: a\r\n", "hello\r\n\r\n"] {
            assert!(Request::read(&mut text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn status_lines_give_their_code() {
        assert_eq!(status("HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status("SSH-2.0"), None);
    }
}
