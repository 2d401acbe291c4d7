//! Bytes out, an answer in, each with a deadline; and the signing of what should look genuine.
//!
//! What attacks the server is written and read by hand, as no library would send it or take it: a [`Draft`] can be
//! spoilt in every part, and a [`Connection`] tells silence from an end and garbage. What has to be right,
//! [`Caller::must`], [`Caller::ask`] and [`Caller::get`], goes through `longshore-client` as with any well-behaved
//! client.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longshore_base::{Clock, Timestamp};
use longshore_client::{CallError, Client, SystemClock};
use longshore_sigv4::{Credentials, ToSign, sign};

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::gate::{Gate, Wire};

pub const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113";

/// The longest that a server may take for an answer to a complete request. Far beyond what it takes, below
/// what it may wait for a body.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest answer that is taken for sane.
const ANSWER_BYTES_MAX: usize = 16 << 20;

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// How waiting for an answer ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answer(Answer),
    /// The server closed the connection instead.
    Closed,
    /// Neither in time.
    Silence,
    /// What came is no HTTP.
    Garbage(String),
}

/// One connection, blocking.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    /// Read, but not part of an answer yet.
    rest: Vec<u8>,
}

impl Connection {
    pub fn open(gate: &Gate) -> io::Result<Self> {
        Ok(Self { wire: gate.open(ANSWER_TIMEOUT)?, rest: Vec::new() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// Says that nothing more will come.
    pub fn half_close(&mut self) {
        self.wire.half_close();
    }

    pub fn answer(&mut self) -> Outcome {
        loop {
            match parse(&self.rest) {
                Parsed::Whole(answer, length) => {
                    self.rest.drain(..length);
                    if answer.status == 100 {
                        // "Go on", which everything here does anyway. The answer is still to come.
                        continue;
                    }
                    return Outcome::Answer(answer);
                }
                Parsed::Garbage(why) => return Outcome::Garbage(why),
                Parsed::Partial if self.rest.len() > ANSWER_BYTES_MAX => {
                    return Outcome::Garbage("an answer without end".into());
                }
                Parsed::Partial => {}
            }
            let mut buffer = [0; 16 * 1024];
            match self.wire.read(&mut buffer) {
                Ok(0) => return Outcome::Closed,
                Ok(length) => self.rest.extend_from_slice(&buffer[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Outcome::Silence;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_reset) => return Outcome::Closed,
            }
        }
    }

    /// Reads whatever comes until the server closes; false if it does not in time.
    pub fn drain(&mut self, patience: Duration) -> bool {
        let until = std::time::Instant::now() + patience;
        let mut buffer = [0; 16 * 1024];
        while std::time::Instant::now() < until {
            // A zero timeout would mean none at all; the loop ends in time anyway.
            let _ = self.wire.socket().set_read_timeout(Some(Duration::from_millis(200)));
            match self.wire.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_reset) => return true,
            }
        }
        false
    }
}

enum Parsed {
    Whole(Answer, usize),
    Partial,
    Garbage(String),
}

fn parse(bytes: &[u8]) -> Parsed {
    if !bytes.is_empty() && !b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]) {
        return Parsed::Garbage("the answer does not begin with a status line".into());
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Parsed::Partial };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else {
        return Parsed::Garbage("the head of the answer is no text".into());
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|status| status.parse().ok());
    let Some(status) = status else { return Parsed::Garbage("no status".into()) };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let answer = Answer { status, headers, body: Vec::new() };
    let length = match answer.header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => length,
        Some(Err(_)) => return Parsed::Garbage("a length that is no number".into()),
        None => 0,
    };
    if length > ANSWER_BYTES_MAX {
        return Parsed::Garbage(format!("an answer of {length} bytes"));
    }
    match bytes.get(end + 4..end + 4 + length) {
        Some(body) => Parsed::Whole(Answer { body: body.to_vec(), ..answer }, end + 4 + length),
        None => Parsed::Partial,
    }
}

/// A request in parts, so that each can be spoilt before or after it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    pub method: String,
    pub path: String,
    pub query: String,
    /// In the order in which they are sent; names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Draft {
    /// A call of the API, not signed yet.
    pub fn call(authority: &str, operation: &str, body: impl Into<Vec<u8>>) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: vec![
                header("host", authority),
                header("content-type", "application/x-amz-json-1.1"),
                header("x-amz-target", &format!("{TARGET_PREFIX}.{operation}")),
            ],
            body: body.into(),
        }
    }

    pub fn sign(&mut self, credentials: &Credentials, scope: (&str, &str), at: Timestamp) {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let to_sign = ToSign {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
        };
        let signed = sign(&to_sign, credentials, scope.0, scope.1, at);
        self.headers.extend(signed.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.headers.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.headers.push((name.to_owned(), value)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(own, _)| own != name);
    }

    /// The head without the line of the length and without its empty line.
    pub fn head(&self) -> Vec<u8> {
        let question = if self.query.is_empty() { "" } else { "?" };
        let mut text = format!("{} {}{question}{} HTTP/1.1\r\n", self.method, self.path, self.query);
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.into_bytes()
    }

    /// The whole request, with an honest length.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Makes genuine requests as the operator, and signs those that are to look so.
#[derive(Clone)]
pub struct Caller {
    pub gate: Gate,
    pub client: Client,
    runtime: Arc<Runtime>,
}

/// Region and service of every genuine signature here.
pub const SCOPE: (&str, &str) = ("us-east-1", "ecs");

impl Caller {
    pub fn new(gate: Gate, credentials: Credentials) -> anyhow::Result<Self> {
        let client = Client::new(gate.http(), &gate.url(), credentials, SCOPE.0, Arc::new(SystemClock))?;
        // Whoever calls waits; this one thread does the work.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { gate, client: client.within(ANSWER_TIMEOUT), runtime: Arc::new(runtime) })
    }

    pub fn credentials(&self) -> &Credentials {
        self.client.signer().credentials()
    }

    pub fn authority(&self) -> String {
        self.gate.address.to_string()
    }

    pub fn draft(&self, operation: &str, body: impl Into<Vec<u8>>) -> Draft {
        let mut draft = Draft::call(&self.authority(), operation, body);
        draft.sign(self.credentials(), SCOPE, now());
        draft
    }

    /// A genuine call that has to succeed.
    pub fn must(&self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let target = format!("{TARGET_PREFIX}.{operation}");
        let asked = self.client.call_json(SCOPE.1, &target, body.to_string());
        let answer = self.runtime.block_on(asked)?;
        serde_json::from_slice(&answer).with_context(|| format!("the answer to {operation} is no JSON"))
    }

    /// A genuine call that may be refused, which gives null: what it is about may be gone.
    pub fn ask(&self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        self.must(operation, body).or_else(|error| match error.downcast_ref() {
            Some(CallError::Refused { .. }) => Ok(Value::Null),
            Some(_) | None => Err(error),
        })
    }

    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.runtime.block_on(self.client.get(path))?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_one_by_one() {
        let bytes = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n";
        let Parsed::Whole(answer, length) = parse(bytes) else { panic!("it is whole") };
        assert_eq!((answer.status, answer.body.as_slice()), (400, b"{}".as_slice()));
        assert!(matches!(parse(&bytes[length..]), Parsed::Whole(answer, _) if answer.status == 200));
        assert!(matches!(parse(&bytes[..40]), Parsed::Partial));
        assert!(matches!(parse(b"SSH-2.0"), Parsed::Garbage(_)));
        assert!(matches!(parse(b"HTT"), Parsed::Partial));
    }

    #[test]
    fn drafts_become_requests() {
        let mut draft = Draft::call("h:1", "ListClusters", "{}");
        draft.sign(&Credentials::new("A", "s"), SCOPE, Timestamp::from_millis(0));
        let text = String::from_utf8(draft.bytes()).expect("text");
        assert!(text.starts_with("POST / HTTP/1.1\r\nhost: h:1\r\n"), "{text}");
        assert!(
            text.contains("authorization: AWS4-HMAC-SHA256 Credential=A/19700101/us-east-1/ecs/"),
            "{text}"
        );
        assert!(text.ends_with("content-length: 2\r\n\r\n{}"), "{text}");
    }
}
