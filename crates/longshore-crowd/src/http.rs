//! A client of HTTP/1.1 and SigV4 that costs next to nothing, so that what is measured is the server.
//!
//! It speaks what Longshore's port answers: bodies with a length, over plain connections that stay open. It
//! is no client for other servers.

use std::io;

use longshore_base::Timestamp;
use longshore_sigv4::{Credentials, ToSign, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What `X-Amz-Target` begins with.
const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113";
const SERVICE: &str = "ecs";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The largest answer that is read: a describe of 100 tasks has some 300 KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("{0} is no endpoint of the form http://HOST:PORT")]
    Malformed(String),
    #[error(
        "{0} asks for TLS, which scripted instances do not speak; listen on loopback, or with --plain-http"
    )]
    Tls(String),
}

/// Where to connect, and below which path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`, as in the `host` header.
    pub authority: String,
    /// Without a slash at its end; mostly empty.
    pub path: String,
}

impl Endpoint {
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        if url.starts_with("https:") || url.starts_with("wss:") {
            return Err(EndpointError::Tls(url.to_owned()));
        }
        let malformed = || EndpointError::Malformed(url.to_owned());
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://")).ok_or_else(malformed)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.is_empty() || authority.contains(['?', '#', '@']) {
            return Err(malformed());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority, path: path.trim_end_matches('/').to_owned() })
    }
}

/// Signs requests of one principal to one endpoint.
#[derive(Clone, Debug)]
pub struct Caller {
    pub endpoint: Endpoint,
    pub credentials: Credentials,
    pub region: String,
}

impl Caller {
    pub fn new(
        endpoint: &str,
        credentials: Credentials,
        region: impl Into<String>,
    ) -> Result<Self, EndpointError> {
        Ok(Self { endpoint: Endpoint::parse(endpoint)?, credentials, region: region.into() })
    }

    /// The bytes of a signed call of the ECS API, ready for the socket.
    pub fn request(&self, operation: &str, body: &[u8], now: Timestamp) -> Vec<u8> {
        let target = format!("{TARGET_PREFIX}.{operation}");
        let headers = [
            ("host", self.endpoint.authority.as_str()),
            ("content-type", CONTENT_TYPE),
            ("x-amz-target", target.as_str()),
        ];
        let path = if self.endpoint.path.is_empty() { "/" } else { &self.endpoint.path };
        let to_sign = ToSign { method: "POST", path, query: "", headers: &headers, body };
        let signed = sign(&to_sign, &self.credentials, &self.region, SERVICE, now);
        let mut text = format!("POST {path} HTTP/1.1\r\n");
        for (name, value) in headers.into_iter().chain(signed.iter().map(|(n, v)| (*n, v.as_str()))) {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// The headers that sign the upgrade of an agent's socket (agent-protocol G5).
    pub fn upgrade_headers(
        &self,
        endpoint: &Endpoint,
        path: &str,
        query: &str,
        now: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let headers = [("host", endpoint.authority.as_str())];
        let to_sign = ToSign { method: "GET", path, query, headers: &headers, body: b"" };
        sign(&to_sign, &self.credentials, &self.region, SERVICE, now)
    }
}

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

    /// The name of the error, without the name space that some services write before it.
    pub fn error_code(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Body {
            #[serde(rename = "__type")]
            code: String,
        }
        let code = serde_json::from_slice::<Body>(self.body).map(|body| body.code).unwrap_or_default();
        code.rsplit('#').next().unwrap_or_default().to_owned()
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
    fn endpoints_parse() {
        for (url, authority, path) in [
            ("http://127.0.0.1:8722", "127.0.0.1:8722", ""),
            ("http://127.0.0.1:8722/", "127.0.0.1:8722", ""),
            ("http://localhost/a/b/", "localhost:80", "/a/b"),
            ("ws://h:1/x", "h:1", "/x"),
        ] {
            let expected = Endpoint { authority: authority.into(), path: path.into() };
            assert_eq!(Endpoint::parse(url).expect(url), expected);
        }
        for url in ["", "h:1", "https://h:1", "wss://h", "http://", "http://a@b"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

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

    #[test]
    fn a_request_names_its_operation_and_length() {
        let caller = Caller::new("http://h:1", Credentials::new("A", "s"), "us-east-1").expect("valid");
        let request = caller.request("ListClusters", b"{}", Timestamp::from_millis(0));
        let text = String::from_utf8(request).expect("text");
        assert!(text.starts_with("POST / HTTP/1.1\r\nhost: h:1\r\n"), "{text}");
        assert!(text.contains("x-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n"), "{text}");
        assert!(text.ends_with("content-length: 2\r\n\r\n{}"), "{text}");
    }
}
