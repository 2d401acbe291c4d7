//! The client for container health checks, since an image holds no shell and no curl.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::http;

/// Shorter than the shortest useful health check timeout, so that the reason is printed before
/// the engine kills the check.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Sends `GET` to an `http://host[:port][/path]` URL and gives the status code.
pub fn get(url: &str) -> io::Result<u16> {
    let (authority, path) = split(url)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "expected http://host[:port][/path]"))?;
    let address = authority
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    http::status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

/// Host with port, and path.
fn split(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if authority.is_empty() {
        return None;
    }
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    Some((authority, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        let check = |url, expected: Option<(&str, &str)>| {
            let found = split(url);
            assert_eq!(found.as_ref().map(|(a, p)| (a.as_str(), p.as_str())), expected, "{url}");
        };
        check("http://127.0.0.1:8080/healthz", Some(("127.0.0.1:8080", "/healthz")));
        check("http://localhost", Some(("localhost:80", "/")));
        check("https://localhost", None);
        check("http:///x", None);
    }
}
