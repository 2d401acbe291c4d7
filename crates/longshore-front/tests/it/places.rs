//! What has paths of its own: bodies of any length, pauses, answers that come before the body is read.

use std::time::Duration;

use longshore_front::Limits;
use longshore_identity::Mode;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::client::{Answer, connect, read_answer};
use crate::server::{PATIENCE, limits, start};

async fn send(address: std::net::SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(address).await;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    read_answer(&mut stream).await.expect("an answer")
}

fn patch(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("PATCH {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_body_of_a_place_has_no_bound() {
    let server = start(Mode::Strict, Limits { body_bytes_max: 1000, ..limits() }).await;
    let long = vec![b'x'; 3 << 20];
    let stated = patch("/v2/a", &format!("content-length: {}\r\n", long.len()), &long);
    let answer = send(server.address, &stated).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, &*format!("/v2/a {}", long.len())));
    assert!(answer.header("x-amzn-requestid").is_some_and(|id| id.len() == 36), "{}", answer.head);
    let chunked = patch("/v2/b", "transfer-encoding: chunked\r\n", b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n");
    assert_eq!(send(server.address, &chunked).await.body, "/v2/b 8");
    assert_eq!(send(server.address, &patch("/v2/c", "content-length: 0\r\n", b"")).await.body, "/v2/c 0");
}

#[tokio::test]
async fn a_client_must_not_pause_for_long() {
    let pause = Duration::from_millis(50);
    let server = start(Mode::Strict, Limits { stream_pause: pause, ..limits() }).await;
    let mut stream = connect(server.address).await;
    stream.write_all(&patch("/v2/a", "content-length: 10\r\n", b"hello")).await.expect("it reads");
    let answer =
        timeout(PATIENCE, read_answer(&mut stream)).await.expect("it does not wait").expect("an answer");
    assert_eq!(answer.body, "broken: the request body did not go on in time");
    assert_eq!(answer.header("connection"), Some("close"));
}

/// The client sees the answer, though it was still sending.
#[tokio::test]
async fn what_a_place_leaves_is_read_to_some_extent() {
    let server = start(Mode::Strict, Limits { body_bytes_max: 100_000, ..limits() }).await;
    let short = patch("/v2/drop", "content-length: 50000\r\n", &[b'x'; 50_000]);
    let answer = send(server.address, &short).await;
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("taken nothing", None));
    let long = patch("/v2/drop", "content-length: 5000000\r\n", &[b'x'; 101_000]);
    let answer = send(server.address, &long).await;
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("taken nothing", Some("close")));
    let awaited = patch("/v2/drop", "content-length: 5\r\nexpect: 100-continue\r\n", b"");
    let answer = send(server.address, &awaited).await;
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("taken nothing", Some("close")));
}

#[tokio::test]
async fn panics_and_pages_end_at_the_edge() {
    let server = start(Mode::Strict, limits()).await;
    let panicked = send(server.address, &patch("/v2/panic", "content-length: 0\r\n", b"")).await;
    assert_eq!((panicked.status, panicked.body.contains("hush")), (500, false));
    let page = "content-length: 5\r\norigin: https://evil.example\r\n";
    assert_eq!(send(server.address, &patch("/v2/a", page, b"hello")).await.status, 403);
    assert_eq!(send(server.address, &patch("/v1/a", "content-length: 0\r\n", b"")).await.status, 404);
}
