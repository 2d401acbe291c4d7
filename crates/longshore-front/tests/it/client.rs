//! A client that writes its HTTP by hand, so that it can also write it wrongly: in parts, too long, several requests at
//! once. `longshore-client` would do none of that.

use std::net::SocketAddr;

use longshore_sigv4::{Credentials, ToSign, sign};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::{NOW, PATIENCE};

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The code of an error, as clients of its protocol find it.
    pub fn code(&self) -> &str {
        let between = |start, end| self.body.split_once(start)?.1.split_once(end).map(|(code, _)| code);
        let header = self.header("x-amzn-errortype");
        header.or_else(|| between("<Code>", "</Code>")).unwrap_or("OK")
    }
}

/// A signed POST of `body` to `target`, as bytes.
pub fn signed(credentials: &Credentials, target: &str, body: &str) -> String {
    signed_as("POST", "/", "ecs", &[("x-amz-target", target)], credentials, body)
}

/// A signed form for the service that takes them.
pub fn form(credentials: &Credentials, body: &str) -> String {
    let form = ("content-type", "application/x-www-form-urlencoded");
    signed_as("POST", "/", "sts", &[form], credentials, body)
}

pub fn signed_as(
    method: &str,
    target: &str,
    service: &str,
    headers: &[(&str, &str)],
    credentials: &Credentials,
    body: &str,
) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = [&[("host", "localhost")], headers].concat();
    let to_sign = ToSign { method, path, query, headers: &headers, body: body.as_bytes() };
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    let added = sign(&to_sign, credentials, "eu-west-1", service, NOW);
    for (name, value) in headers.into_iter().chain(added.iter().map(|(n, v)| (*n, v.as_str()))) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    timeout(PATIENCE, TcpStream::connect(address)).await.expect("in time").expect("the server listens")
}

/// Reads one answer; `None` if the server closed instead.
pub async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Answer> {
    timeout(PATIENCE, async {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).expect("a head is text");
        let mut answer = Answer { status: 0, head, body: String::new() };
        answer.status = answer.head.split(' ').nth(1)?.parse().expect("a status");
        let length = answer.header("content-length").map_or(0, |n| n.parse().expect("a number"));
        while bytes.len() < head_end + 4 + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        assert_eq!(bytes.len(), head_end + 4 + length, "more than one answer was read");
        answer.body = String::from_utf8(bytes[head_end + 4..].to_vec()).expect("bodies here are text");
        Some(answer)
    })
    .await
    .expect("an answer in time")
}

pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str) -> Option<Answer> {
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    read_answer(stream).await
}

pub async fn ask_once(address: SocketAddr, request: &str) -> Answer {
    ask(&mut connect(address).await, request).await.expect("an answer")
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    ask_once(address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await
}
