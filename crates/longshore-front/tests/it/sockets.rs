//! Agent sockets: upgrade, refusal, end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use longshore_front::{Ended, Limits};
use longshore_identity::Mode;
use longshore_sigv4::{Credentials, ToSign, sign};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::{connect, get};
use crate::server::{NOW, PATIENCE, Server, known, limits, start};

/// The query of the official agent, blanks as `+` (agent-protocol G5). What it signs is `%20`.
const QUERY: &str = "clusterArn=probe&dockerVersion=DockerVersion%3A+20.10&sendCredentials=true";

async fn open(
    server: &Server,
    credentials: &Credentials,
    query: &str,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let host = server.address.to_string();
    let uri = format!("ws://{host}/acs/ws?{query}");
    let mut request = uri.into_client_request().expect("a request");
    let headers = [("host", host.as_str())];
    let signed = query.replace('+', "%20");
    let to_sign = ToSign { method: "GET", path: "/acs/ws", query: &signed, headers: &headers, body: b"" };
    for (name, value) in sign(&to_sign, credentials, "eu-west-1", "ecs", NOW) {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    let stream = connect(server.address).await;
    let opened = timeout(PATIENCE, client_async(request, stream)).await.expect("in time");
    opened.map(|(socket, _response)| socket)
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<String> {
    let message = timeout(PATIENCE, socket.next()).await.expect("in time")?;
    message.ok().map(|message| message.into_text().expect("text").to_string())
}

#[tokio::test]
async fn an_agent_talks_through_its_socket() {
    let server = start(Mode::Strict, limits()).await;
    let mut socket = open(&server, &known(), QUERY).await.expect("accepted");
    let hello = next(&mut socket).await.expect("a greeting");
    assert!(hello.starts_with("111122223333") && hello.contains("DockerVersion: 20.10"), "{hello}");
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.expect("open");
        assert_eq!(next(&mut socket).await.as_deref(), Some(text));
    }
    assert!(server.metrics.encode().contains("longshore_connections 1"));
}

/// The status and body of a refused upgrade.
async fn refusal(server: &Server, credentials: &Credentials, query: &str) -> (u16, String) {
    match open(server, credentials, query).await {
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8_lossy(body).into_owned())
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn sockets_are_refused_in_words_that_agents_know() {
    let server = start(Mode::Strict, limits()).await;
    let (status, body) = refusal(&server, &known(), "refuse=1").await;
    assert_eq!((status, body.as_str()), (400, r#"{"InactiveInstanceException":"the instance is gone"}"#));
    let (status, body) = refusal(&server, &Credentials::new("AKIAKNOWN", "guess"), QUERY).await;
    assert_eq!(status, 403);
    assert!(body.contains("InvalidSignatureException"), "{body}");
    assert_eq!(get(server.address, "/acs/ws").await.status, 426);
    assert_eq!(get(server.address, "/tcs/ws").await.status, 404);
}

#[tokio::test]
async fn a_message_above_the_limit_ends_the_socket() {
    let server = start(Mode::Strict, Limits { socket_message_bytes_max: 1000, ..limits() }).await;
    let mut socket = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut socket).await.expect("a greeting");
    socket.send(Message::text("x".repeat(1001))).await.expect("open");
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn a_panic_in_a_socket_ends_it_and_nothing_else() {
    let server = start(Mode::Strict, Limits { connections_max: 2, ..limits() }).await;
    let mut other = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut other).await.expect("a greeting");
    for count in 1..=3 {
        let mut socket = open(&server, &known(), QUERY).await.expect("there is room again");
        next(&mut socket).await.expect("a greeting");
        socket.send(Message::text("panic")).await.expect("open");
        assert_eq!(next(&mut socket).await, None);
        server.counts_connections(1).await;
        assert!(server.metrics.encode().contains(&format!("longshore_panics_total {count}")));
    }
    other.send(Message::text("one")).await.expect("open");
    assert_eq!(next(&mut other).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn sockets_are_cut_when_the_grace_is_over() {
    let server = start(Mode::Strict, Limits { grace: Duration::from_millis(100), ..limits() }).await;
    let mut socket = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut socket).await.expect("a greeting");
    server.shutdown.send(()).expect("the server waits for it");
    assert_eq!(timeout(PATIENCE, server.running.ended()).await.expect("in time"), Ended::Cut(1));
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn a_socket_that_ends_frees_its_slot() {
    let server = start(Mode::Strict, Limits { connections_max: 1, ..limits() }).await;
    let mut socket = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut socket).await.expect("a greeting");
    drop(socket);
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn an_agent_that_does_not_read_loses_its_place() {
    let server = start(Mode::Strict, Limits { write_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut socket = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut socket).await.expect("a greeting");
    // Its echoes are far more than the system's buffers hold, and none of them is read.
    let message = Message::text("x".repeat(60_000));
    let talking = async { while socket.send(message.clone()).await.is_ok() {} };
    timeout(PATIENCE, talking).await.expect("the server ends the socket");
    server.counts_connections(0).await;
}

#[tokio::test]
async fn the_messages_of_agents_share_what_they_may_take_together() {
    let quick = Duration::from_millis(300);
    let limits = Limits { body_timeout: quick, messages_bytes_max: 50 << 10, ..limits() };
    let server = start(Mode::Strict, limits).await;
    let mut usual = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut usual).await.expect("a greeting");
    let of = |kib: usize| Message::text("x".repeat(kib << 10));
    for _ in 0..3 {
        // A socket's share is free again when it ends: what fits once fits again.
        let mut first = open(&server, &known(), QUERY).await.expect("accepted");
        next(&mut first).await.expect("a greeting");
        for _ in 0..3 {
            first.send(of(60)).await.expect("open");
            assert_eq!(next(&mut first).await.map(|text| text.len()), Some(60 << 10));
        }
        // The library still has the buffer for it, so there is no room for another; ordinary ones need none.
        let mut second = open(&server, &known(), QUERY).await.expect("accepted");
        next(&mut second).await.expect("a greeting");
        second.send(of(60)).await.expect("the system buffers");
        usual.send(of(10)).await.expect("open");
        assert_eq!(next(&mut usual).await.map(|text| text.len()), Some(10 << 10));
        assert_eq!(next(&mut second).await, None, "it finds no room");
        drop(first);
        server.counts_connections(1).await;
    }
}

#[tokio::test]
async fn a_long_message_that_does_not_end_ends_its_socket() {
    let server = start(Mode::Strict, Limits { body_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut socket = open(&server, &known(), QUERY).await.expect("accepted");
    next(&mut socket).await.expect("a greeting");
    // A frame that claims 1 MiB, and has a tenth of it.
    let header = [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
    let stream = socket.get_mut();
    stream.write_all(&[&header[..], &[b'x'; 100_000]].concat()).await.expect("open");
    assert_eq!(next(&mut socket).await, None);
    server.counts_connections(0).await;
}
