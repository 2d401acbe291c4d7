//! What clients can make the server hold, and how it ends.

use std::time::Duration;

use longshore_base::Seed;
use longshore_front::{Config, Ended, Limits, ServeError, serve};
use longshore_identity::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::{ask, ask_once, connect, get, read_answer, signed};
use crate::server::{MUCH_BYTES, PATIENCE, known, limits, start};

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = start(Mode::Strict, Limits { body_bytes_max: 1000, ..limits() }).await;
    let of = |length: usize| signed(&known(), "Toy.Echo", &"x".repeat(length));
    assert_eq!(ask_once(server.address, &of(1000)).await.status, 200);
    let answer = ask_once(server.address, &of(1001)).await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert!(answer.body.contains("RequestEntityTooLargeException"));
    // Without a stated length it is found out while reading.
    let head = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = "x".repeat(1001);
    assert_eq!(ask_once(server.address, &format!("{head}3e9\r\n{chunk}\r\n0\r\n\r\n")).await.status, 413);
    // A length that is only claimed reserves nothing.
    let claimed = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999999999\r\n\r\n";
    assert_eq!(ask_once(server.address, claimed).await.status, 413);
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn heads_have_a_limit() {
    let server = start(Mode::Strict, limits()).await;
    let mut stream = connect(server.address).await;
    let head = format!("GET / HTTP/1.1\r\nhost: h\r\nx-long: {}\r\n\r\n", "x".repeat(100_000));
    // The server may close before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let status = read_answer(&mut stream).await.map(|answer| answer.status);
    assert!(matches!(status, None | Some(431)), "{status:?}");
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn slow_clients_lose_their_place() {
    let quick = Duration::from_millis(200);
    let limits = Limits { head_timeout: quick, body_timeout: quick, ..limits() };
    let server = start(Mode::Strict, limits).await;

    // A head that never ends.
    let mut stream = connect(server.address).await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\n").await.expect("the server reads");
    let status = read_answer(&mut stream).await.map(|answer| answer.status);
    assert!(matches!(status, None | Some(408)), "{status:?}");

    // A body that never ends.
    let mut stream = connect(server.address).await;
    let request = signed(&known(), "Toy.Echo", "{}").replace("content-length: 2", "content-length: 3");
    let answer = ask(&mut stream, &request).await.expect("an answer");
    assert_eq!(answer.status, 408);
    assert!(answer.body.contains("RequestTimeoutException"));
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.expect("in time").expect("closed"), 0);
}

#[tokio::test]
async fn clients_that_do_not_read_lose_their_place() {
    let server = start(Mode::Strict, Limits { write_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut stream = connect(server.address).await;
    // Far more answers than the system's buffers hold, and none of them is read.
    let request = signed(&known(), "Toy.Echo", &"x".repeat(900_000));
    let asking = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, asking).await.expect("the server ends the connection");
    server.counts_connections(0).await;
}

/// Otherwise one client without patience for answers makes the server keep all of them: this one asks for 128 MiB.
#[tokio::test]
async fn pipelined_answers_that_nobody_reads_are_not_kept() {
    const ASKED: u64 = 2000;
    /// Generous: what the buffers of two systems may take (some 10 MiB), and what the server may write ahead.
    const ANSWERED_MAX: u64 = (32 << 20) / MUCH_BYTES as u64;
    let server = start(Mode::Strict, Limits { write_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut stream = connect(server.address).await;
    let requests = signed(&known(), "Toy.Much", "").repeat(ASKED as usize);
    // The server may end the connection before it has taken them all.
    let asking = stream.write_all(requests.as_bytes());
    let _ = timeout(PATIENCE, asking).await.expect("the server takes them, or ends the connection");
    // The system took them before the server has seen the connection.
    server.until(|server| server.answered("Much") > 0).await;
    server.counts_connections(0).await;
    let answered = server.answered("Much");
    assert!(
        (1..=ANSWERED_MAX).contains(&answered),
        "{answered} of {ASKED} requests were answered into memory"
    );
}

#[tokio::test]
async fn bodies_share_what_they_may_take_together() {
    let quick = Duration::from_millis(300);
    let limits = Limits { body_timeout: quick, bodies_bytes_max: 50 << 10, ..limits() };
    let server = start(Mode::Strict, limits).await;
    let of = |kib: usize| signed(&known(), "Toy.Echo", &"x".repeat(kib << 10));
    // What finds no room waits for it in vain; meanwhile ordinary requests are served.
    let (too_long, short) = (of(90), of(10));
    let (refused, served) =
        tokio::join!(ask_once(server.address, &too_long), ask_once(server.address, &short));
    assert_eq!((refused.status, served.status), (503, 200), "{}", refused.body);
    assert!(refused.body.contains("ServiceUnavailable"), "{}", refused.body);
    // Its share is free again, and so are those of requests that were answered.
    for _ in 0..3 {
        assert_eq!(ask_once(server.address, &of(60)).await.status, 200);
    }
}

#[tokio::test]
async fn a_truncated_body_harms_nobody() {
    let server = start(Mode::Strict, limits()).await;
    let mut stream = connect(server.address).await;
    let request = signed(&known(), "Toy.Echo", "{}").replace("content-length: 2", "content-length: 3");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream.shutdown().await.expect("half of it closes");
    let status = read_answer(&mut stream).await.map(|answer| answer.status);
    assert!(matches!(status, None | Some(400)), "{status:?}");
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn an_operation_has_a_deadline() {
    let limits = Limits { request_timeout: Duration::from_millis(100), ..limits() };
    let server = start(Mode::Strict, limits).await;
    let answer = ask_once(server.address, &signed(&known(), "Toy.Hang", "")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("ServiceUnavailable"));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let server = start(Mode::Strict, Limits { connections_max: 1, ..limits() }).await;
    let mut first = connect(server.address).await;
    let request = signed(&known(), "Toy.Echo", "{}");
    assert_eq!(ask(&mut first, &request).await.expect("an answer").status, 200);
    // The second is in the backlog: what it asks is answered once the first has left.
    let mut second = connect(server.address).await;
    second.write_all(request.as_bytes()).await.expect("the system buffers");
    assert!(server.metrics.encode().contains("longshore_connections 1"));
    drop(first);
    assert_eq!(read_answer(&mut second).await.expect("an answer").status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_are_no_burden() {
    let server = start(Mode::Strict, limits()).await;
    let request = signed(&known(), "Toy.Echo", "{}");
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(connect(server.address).await);
    }
    assert_eq!(ask_once(server.address, &request).await.status, 200);
    for stream in idle.iter_mut().step_by(100) {
        assert_eq!(ask(stream, &request).await.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn shutdown_lets_open_requests_finish() {
    let server = start(Mode::Strict, limits()).await;
    server.ready.set(true);
    let mut busy = connect(server.address).await;
    let mut fresh = connect(server.address).await;
    let mut idle = connect(server.address).await;
    let request = signed(&known(), "Toy.Echo", "{}");
    assert_eq!(ask(&mut idle, &request).await.expect("an answer").status, 200);
    busy.write_all(signed(&known(), "Toy.Hang", "").as_bytes()).await.expect("the server reads");
    server.entered.notified().await;

    server.shutdown.send(()).expect("the server waits for it");
    // Connections without a request are closed at once, and no new one is accepted.
    for stream in [&mut idle, &mut fresh] {
        assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.expect("in time").expect("closed"), 0);
    }
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
    assert!(!server.ready.report().0);

    server.release.notify_one();
    let answer = read_answer(&mut busy).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "released"));
    assert_eq!(timeout(PATIENCE, server.running.ended()).await.expect("in time"), Ended::Drained);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let server = start(Mode::Strict, Limits { grace: Duration::from_millis(100), ..limits() }).await;
    let mut busy = connect(server.address).await;
    busy.write_all(signed(&known(), "Toy.Hang", "").as_bytes()).await.expect("the server reads");
    server.entered.notified().await;
    server.shutdown.send(()).expect("the server waits for it");
    assert_eq!(timeout(PATIENCE, server.running.ended()).await.expect("in time"), Ended::Cut(1));
    assert!(read_answer(&mut busy).await.is_none());
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let server = start(Mode::Strict, limits()).await;
    let other = start(Mode::Strict, limits()).await;
    let services = other.services;
    let config = Config::new(server.address, Seed::new(2));
    let error = serve(config, services, std::future::pending()).await.expect_err("it is taken");
    assert!(matches!(error, ServeError::InUse { .. }));
    assert!(error.to_string().contains("--listen"), "{error}");
}
