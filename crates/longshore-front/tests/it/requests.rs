//! Signatures, routing and answers.

use std::time::Duration;

use longshore_identity::Mode;
use longshore_sigv4::{Credentials, ToSign, presign};

use crate::client::{ask, ask_once, connect, form, get, read_answer, signed};
use crate::server::{NOW, known, limits, start};

/// The status and error code of a request in `mode`.
async fn outcome(mode: Mode, request: &str) -> (u16, String) {
    let server = start(mode, limits()).await;
    let answer = ask_once(server.address, request).await;
    let id = answer.header("x-amzn-requestid").or(answer.header("x-amz-request-id"));
    assert_eq!(id.map(str::len), Some(36), "{}", answer.head);
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn signatures_are_checked_where_the_secret_is_known() {
    let request = signed(&known(), "Toy.Echo", "{}");
    let stranger = signed(&Credentials::new("test", "test"), "Toy.Echo", "{}");
    let liar = signed(&Credentials::new("AKIAKNOWN", "guess"), "Toy.Echo", "{}");
    let unsigned = "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Toy.Echo\r\ncontent-length: 0\r\n\r\n";
    let malformed = unsigned.replace("host: h", "host: h\r\nauthorization: AWS4-HMAC-SHA256 Credential=x");
    // What an agent hands on for a container: no unknown key counts.
    let of_container = |request: &str| request.replacen("\r\n", "\r\nx-longshore-from-container: 1\r\n", 1);
    for (mode, request, status, code) in [
        (Mode::Open, &*of_container(&request), 200, "OK"),
        (Mode::Open, &of_container(&stranger), 400, "UnrecognizedClientException"),
        (Mode::Open, request.as_str(), 200, "OK"),
        (Mode::Open, &stranger, 200, "OK"),
        (Mode::Open, &liar, 400, "InvalidSignatureException"),
        (Mode::Open, unsigned, 400, "MissingAuthenticationTokenException"),
        (Mode::Open, &malformed, 400, "IncompleteSignatureException"),
        (Mode::Strict, &request, 200, "OK"),
        (Mode::Strict, &stranger, 400, "UnrecognizedClientException"),
        (Mode::Strict, &liar, 400, "InvalidSignatureException"),
        (Mode::Strict, &request.replace("\r\n\r\n{}", "\r\n\r\n[]"), 400, "InvalidSignatureException"),
        (Mode::Strict, &request.replace("Toy.Echo", "Toy.Panic"), 400, "InvalidSignatureException"),
        (Mode::Strict, unsigned, 400, "MissingAuthenticationTokenException"),
    ] {
        assert_eq!(outcome(mode, request).await, (status, code.to_owned()), "{mode:?} {request}");
    }
}

#[tokio::test]
async fn operations_are_found_or_refused() {
    for (target, status, code) in [
        ("Toy.Echo", 200, "OK"),
        ("Toy.Nothing", 404, "UnknownOperationException"),
        ("Other.Echo", 404, "UnknownOperationException"),
        ("Echo", 404, "UnknownOperationException"),
        ("Toy.NotBuilt", 404, "UnknownOperationException"),
        ("Toy.Panic", 500, "InternalFailure"),
    ] {
        let request = signed(&known(), target, "{}");
        assert_eq!(outcome(Mode::Strict, &request).await, (status, code.to_owned()), "{target}");
    }
}

#[tokio::test]
async fn the_principal_reaches_the_api_and_connections_are_reused() {
    let server = start(Mode::Open, limits()).await;
    let mut stream = connect(server.address).await;
    let one = ask(&mut stream, &signed(&known(), "Toy.Echo", "one")).await.expect("an answer");
    assert_eq!(one.body, "111122223333 eu-west-1 one");
    assert_eq!(one.header("content-type"), Some("application/x-amz-json-1.1"));
    let own = Credentials::new("444455556666", "x");
    let two = ask(&mut stream, &signed(&own, "Toy.Echo", "two")).await.expect("an answer");
    assert_eq!(two.body, "444455556666 eu-west-1 two");
    assert_ne!(one.header("x-amzn-requestid"), two.header("x-amzn-requestid"));
}

#[tokio::test]
async fn a_signature_has_its_time() {
    let server = start(Mode::Strict, limits()).await;
    let request = signed(&known(), "Toy.Echo", "{}");
    for (seconds, status) in [(0, 200), (300, 200), (301, 400)] {
        server.clock.set(NOW + Duration::from_secs(seconds));
        assert_eq!(ask_once(server.address, &request).await.status, status, "after {seconds} s");
    }
    server.clock.set(NOW - Duration::from_secs(301));
    let early = ask_once(server.address, &request).await;
    assert!(early.body.contains("not yet current") && early.body.contains("+ 5 min."), "{}", early.body);
    // Not every service is so strict.
    let request = form(&known(), "Action=Echo");
    for (seconds, status) in [(301, 200), (900, 200), (901, 403)] {
        server.clock.set(NOW + Duration::from_secs(seconds));
        assert_eq!(ask_once(server.address, &request).await.status, status, "after {seconds} s");
    }
}

#[tokio::test]
async fn presigned_requests_count_for_their_time() {
    let server = start(Mode::Strict, limits()).await;
    let headers = [("host", "h"), ("x-amz-target", "Toy.Echo")];
    let to_sign = ToSign { method: "POST", path: "/", query: "a=b", headers: &headers, body: b"{}" };
    let minute = Duration::from_secs(60);
    let query = presign(&to_sign, &known(), "eu-west-1", "ecs", NOW, minute);
    let request = format!(
        "POST /?{query} HTTP/1.1\r\nhost: h\r\nx-amz-target: Toy.Echo\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    assert_eq!(ask_once(server.address, &request).await.body, "111122223333 eu-west-1 {}");
    let tampered = ask_once(server.address, &request.replace("a=b", "a=c")).await;
    assert_eq!(
        (tampered.status, tampered.header("x-amzn-errortype")),
        (400, Some("InvalidSignatureException"))
    );
    server.clock.set(NOW + minute + minute);
    assert_eq!(ask_once(server.address, &request).await.status, 400);
}

#[tokio::test]
async fn a_credential_of_another_service_is_refused() {
    let server = start(Mode::Open, limits()).await;
    let request = signed(&Credentials::new("test", "test"), "Toy.Echo", "{}").replace("/ecs/", "/ecr/");
    let answer = ask_once(server.address, &request).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("Credential should be scoped to correct service: 'ecs'."));
}

#[tokio::test]
async fn a_panic_tells_nothing_and_the_connection_lives_on() {
    let server = start(Mode::Open, limits()).await;
    let mut stream = connect(server.address).await;
    let answer = ask(&mut stream, &signed(&known(), "Toy.Panic", "{}")).await.expect("an answer");
    assert_eq!(answer.status, 500);
    assert!(!answer.body.contains("hush"), "{}", answer.body);
    let next = ask(&mut stream, &signed(&known(), "Toy.Echo", "{}")).await.expect("an answer");
    assert_eq!(next.status, 200);
    assert!(server.metrics.encode().contains("longshore_panics_total 1"));
}

#[tokio::test]
async fn operators_find_what_they_expect() {
    let server = start(Mode::Strict, limits()).await;
    assert_eq!(get(server.address, "/healthz").await.status, 200);
    assert_eq!(get(server.address, "/readyz").await.status, 503);
    server.ready.set(true);
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    assert_eq!(get(server.address, "/nothing").await.status, 404);
    assert_eq!(ask_once(server.address, &signed(&known(), "Toy.Echo", "{}")).await.status, 200);
    ask_once(server.address, &signed(&known(), "Toy.Invented", "{}")).await;
    let text = get(server.address, "/metrics").await.body;
    assert!(
        text.contains("longshore_requests_total{service=\"Toy\",operation=\"Echo\",code=\"OK\"} 1"),
        "{text}"
    );
    assert!(!text.contains("Invented"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    use tokio::io::AsyncWriteExt;
    let server = start(Mode::Strict, limits()).await;
    let mut stream = connect(server.address).await;
    let (one, two) = (signed(&known(), "Toy.Hang", ""), signed(&known(), "Toy.Echo", "two"));
    stream.write_all(format!("{one}{two}").as_bytes()).await.expect("the server reads");
    server.entered.notified().await;
    server.release.notify_one();
    let first = read_answer_of(&mut stream, "released").await;
    assert_eq!(first, "released");
    assert_eq!(read_answer(&mut stream).await.expect("an answer").body, "111122223333 eu-west-1 two");
}

/// Reads exactly one answer, whose body is known to be `want`, and leaves the next in the socket.
async fn read_answer_of(stream: &mut tokio::net::TcpStream, want: &str) -> String {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    while !bytes.ends_with(want.as_bytes()) {
        bytes.push(stream.read_u8().await.expect("an answer"));
    }
    want.to_owned()
}

/// HTTP/2 is not served, so that its attacks (streams that are reset at once, header tables, settings) have no target.
#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = start(Mode::Strict, limits()).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let answer = ask(&mut connect(server.address).await, preface).await;
    assert!(answer.is_none_or(|answer| answer.status == 400 || answer.status == 505));
    let upgrade = "GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    assert_eq!(ask_once(server.address, upgrade).await.status, 200, "the upgrade is not taken");
}
