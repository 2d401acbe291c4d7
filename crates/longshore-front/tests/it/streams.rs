//! Bodies that an operation takes as they come, and operations that need no signature.

use std::time::Duration;

use longshore_front::Limits;
use longshore_identity::Mode;
use longshore_sigv4::{Algorithm, Checksum, ChunkForm, ChunkSigner, Credentials, ToSign, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::{Answer, ask, ask_once, connect, form, read_answer, signed_as};
use crate::server::{NOW, PATIENCE, STREAM_BYTES_MAX, known, limits, start};

const SIGNED: ChunkForm = ChunkForm { is_signed: true, has_trailers: false };
const SIGNED_TRAILER: ChunkForm = ChunkForm { is_signed: true, has_trailers: true };
const UNSIGNED_TRAILER: ChunkForm = ChunkForm { is_signed: false, has_trailers: true };
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// A PUT with these headers; `wire` is its body as it is sent.
fn put(path: &str, who: &Credentials, headers: &[(&str, &str)], wire: &[u8]) -> Vec<u8> {
    let headers = [&[("host", "localhost")], headers].concat();
    let to_sign = ToSign { method: "PUT", path, query: "", headers: &headers, body: b"" };
    let signed = sign(&to_sign, who, "eu-west-1", "s3", NOW);
    let mut head = format!("PUT {path} HTTP/1.1\r\ncontent-length: {}\r\n", wire.len());
    for (name, value) in headers.into_iter().chain(signed.iter().map(|(n, v)| (*n, v.as_str()))) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", wire].concat()
}

/// The same in chunks of `size` bytes.
fn put_chunks(path: &str, who: &Credentials, form: ChunkForm, body: &[u8], size: usize) -> Vec<u8> {
    let length = body.len().to_string();
    let mut headers = vec![("x-amz-content-sha256", form.name()), ("x-amz-decoded-content-length", &length)];
    headers.extend(form.has_trailers.then(|| ("x-amz-trailer", Algorithm::Crc32.header())));
    let head = String::from_utf8(put(path, who, &headers, b"")).expect("text");
    let authorization = head.lines().find(|line| line.starts_with("authorization")).expect("it is signed");
    let mut signer =
        ChunkSigner::new(form, who, "eu-west-1", "s3", NOW, authorization).expect("it is signed");
    let mut wire: Vec<u8> = body.chunks(size).flat_map(|chunk| signer.chunk(chunk)).collect();
    wire.extend(signer.chunk(b""));
    let sums = form.has_trailers.then(|| (Algorithm::Crc32.header().to_owned(), sum(body)));
    wire.extend(signer.trailers(&sums.into_iter().collect::<Vec<_>>()));
    put(path, who, &headers, &wire)
}

fn sum(body: &[u8]) -> String {
    let mut sum = Checksum::new(Algorithm::Crc32);
    sum.update(body);
    sum.finish()
}

async fn send(address: std::net::SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(address).await;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    read_answer(&mut stream).await.expect("an answer")
}

fn replaced(request: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = request.windows(from.len()).rposition(|part| part == from.as_bytes()).expect("it is there");
    [&request[..at], to.as_bytes(), &request[at + from.len()..]].concat()
}

#[tokio::test]
async fn a_body_is_taken_as_it_comes() {
    let server = start(Mode::Strict, Limits { body_bytes_max: 1000, ..limits() }).await;
    // Far more than what may be whole, or held.
    let long = vec![b'x'; STREAM_BYTES_MAX as usize];
    let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    for (request, length, sum) in [
        (put("/put/k", &known(), &[("x-amz-content-sha256", HELLO)], b"hello"), 5, "-".to_owned()),
        (put("/put/k", &known(), &unsigned, &long), long.len(), "-".to_owned()),
        (put_chunks("/put/k", &known(), SIGNED, &long, 65_536), long.len(), "-".to_owned()),
        (put_chunks("/put/k", &known(), SIGNED_TRAILER, &long, 100_000), long.len(), sum(&long)),
        (put_chunks("/put/k", &known(), UNSIGNED_TRAILER, b"hello", 2), 5, sum(b"hello")),
        (put_chunks("/put/k", &known(), UNSIGNED_TRAILER, b"", 2), 0, sum(b"")),
    ] {
        let answer = send(server.address, &request).await;
        assert_eq!(answer.body, format!("User /put/k {length} {sum}"), "{}", answer.head);
    }
    assert_eq!(server.answered("Put"), 6);
    // The room that all bodies share is given back.
    let again = send(server.address, &put_chunks("/put/k", &known(), SIGNED, &long, 1 << 20)).await;
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_the_one_that_was_signed_is_no_success() {
    let server = start(Mode::Strict, limits()).await;
    let hash = put("/put/k", &known(), &[("x-amz-content-sha256", HELLO)], b"hello");
    let signed = put_chunks("/put/k", &known(), SIGNED, b"hello", 3);
    let trailed = put_chunks("/put/k", &known(), SIGNED_TRAILER, b"hello", 3);
    let unsigned = put_chunks("/put/k", &known(), UNSIGNED_TRAILER, b"hello", 3);
    let liar = Credentials::new("AKIAKNOWN", "guess");
    for (request, status, code) in [
        (replaced(&hash, "hello", "hallo"), 400, "XAmzContentSHA256Mismatch"),
        (replaced(&replaced(&hash, "/put/", "/drop/"), "hello", "hallo"), 403, "SignatureDoesNotMatch"),
        // The operation takes nothing of it, and says that all is well.
        (
            put("/drop/k", &known(), &[("x-amz-content-sha256", HELLO)], b"hallo"),
            400,
            "XAmzContentSHA256Mismatch",
        ),
        (replaced(&signed, "lo", "la"), 403, "SignatureDoesNotMatch"),
        (replaced(&trailed, "NhCmhg", "NhCmhA"), 403, "SignatureDoesNotMatch"),
        (replaced(&unsigned, "NhCmhg", "NhCmhA"), 400, "BadDigest"),
        (replaced(&unsigned, "hel", "hal"), 400, "BadDigest"),
        (replaced(&unsigned, "3\r\nhel", "x\r\nhel"), 400, "InvalidRequest"),
        (replaced(&unsigned, "\r\n2\r\nlo", "\r\n0\r\nlo"), 400, "InvalidRequest"),
        (put_chunks("/put/k", &liar, SIGNED, b"hello", 3), 403, "SignatureDoesNotMatch"),
        (put("/put/k", &known(), &[], b"hello"), 400, "AuthorizationHeaderMalformed"),
    ] {
        let answer = send(server.address, &request).await;
        let text = String::from_utf8_lossy(&request).into_owned();
        assert_eq!((answer.status, answer.code()), (status, code), "{text}\n{}", answer.body);
    }
    assert_eq!(server.answered("Put") + server.answered("Drop"), 0);
    let sound = put("/drop/k", &known(), &[("x-amz-content-sha256", HELLO)], b"hello");
    assert_eq!(send(server.address, &sound).await.body, "taken nothing");
}

/// What a client says in chunks is no part of what it means, wherever it says so.
#[tokio::test]
async fn whole_bodies_may_come_in_chunks_too() {
    let server = start(Mode::Strict, limits()).await;
    for form in [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER] {
        let request = put_chunks("/echo/k", &known(), form, b"hello", 3);
        assert_eq!(send(server.address, &request).await.body, "111122223333 eu-west-1 hello", "{form:?}");
        let request = replaced(&request, "hel", "hal");
        assert_eq!(send(server.address, &request).await.status / 100, 4, "{form:?}");
    }
}

/// Nobody knows a guest's secret: his chunks are taken as they are.
#[tokio::test]
async fn guests_of_open_mode_send_streams() {
    let server = start(Mode::Open, limits()).await;
    let guest = Credentials::new("test", "test");
    for form in [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER] {
        let answer = send(server.address, &put_chunks("/put/k", &guest, form, b"hello", 3)).await;
        assert!(answer.body.starts_with("Guest /put/k 5"), "{}", answer.body);
    }
}

#[tokio::test]
async fn streams_have_their_limits() {
    let quick = Duration::from_millis(200);
    let server =
        start(Mode::Strict, Limits { stream_pause: quick, bodies_bytes_max: 1 << 20, ..limits() }).await;
    let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    let length = STREAM_BYTES_MAX as usize + 1;
    // Too long, by its length, by what it states, and by what comes.
    let stated = put("/put/k", &known(), &unsigned, b"");
    let stated = replaced(&stated, "content-length: 0", &format!("content-length: {length}"));
    let long = vec![b'x'; length];
    let chunks = put_chunks("/put/k", &known(), UNSIGNED_TRAILER, &long, 1 << 20);
    let head = [("x-amz-content-sha256", UNSIGNED_TRAILER.name())];
    let wire = [b"400001\r\n", &long[..], b"\r\n0\r\n\r\n"].concat();
    for request in [stated, chunks, put("/put/k", &known(), &head, &wire)] {
        let answer = send(server.address, &request).await;
        assert_eq!((answer.status, answer.code()), (400, "EntityTooLarge"));
    }
    // It pauses too long.
    let mut stream = connect(server.address).await;
    let request =
        replaced(&put("/put/k", &known(), &unsigned, b"he"), "content-length: 2", "content-length: 5");
    stream.write_all(&request).await.expect("the server reads");
    let answer = read_answer(&mut stream).await.expect("an answer");
    assert_eq!(
        (answer.status, answer.code(), answer.header("connection")),
        (400, "RequestTimeout", Some("close"))
    );
    // A signed chunk finds no room.
    let much = put_chunks("/put/k", &known(), SIGNED, &long[..3 << 20], 3 << 20);
    let answer = send(server.address, &much).await;
    assert_eq!((answer.status, answer.code()), (503, "ServiceUnavailable"));
    assert_eq!(server.answered("Put"), 0);
}

/// A body may take as long as it likes as long as it goes on; then the operation has its own time.
#[tokio::test]
async fn a_slow_body_that_goes_on_is_no_slow_operation() {
    let limits = Limits { request_timeout: Duration::from_millis(400), ..limits() };
    let server = start(Mode::Strict, limits).await;
    let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    let request = put("/put/k", &known(), &unsigned, &[b'x'; 10]);
    let (head, body) = request.split_at(request.len() - 10);
    let mut stream = connect(server.address).await;
    stream.write_all(head).await.expect("the server reads");
    for byte in body {
        tokio::time::sleep(Duration::from_millis(80)).await;
        stream.write_all(&[*byte]).await.expect("the server reads");
    }
    assert_eq!(read_answer(&mut stream).await.expect("an answer").body, "User /put/k 10 -");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_operation() {
    let server = start(Mode::Strict, limits()).await;
    let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    for cut in [1, 5] {
        let request = put("/put/k", &known(), &unsigned, b"hello");
        let mut stream = connect(server.address).await;
        stream.write_all(&request[..request.len() - cut]).await.expect("the server reads");
        timeout(PATIENCE, server.entered.notified()).await.expect("it begins");
        drop(stream);
        server.counts_connections(0).await;
    }
    assert_eq!(server.answered("Put"), 0);
    assert!(!server.metrics.encode().contains("longshore_panics_total 1"));
}

/// Who asks whether to send a body is told before he does.
#[tokio::test]
async fn a_body_that_is_waited_for_is_asked_for_once_it_is_wanted() {
    let server = start(Mode::Strict, limits()).await;
    let headers = [("x-amz-content-sha256", HELLO), ("expect", "100-continue")];
    let request = put("/put/k", &known(), &headers, b"hello");
    let (head, body) = request.split_at(request.len() - 5);
    let mut stream = connect(server.address).await;
    stream.write_all(head).await.expect("the server reads");
    let mut word = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut word)).await.expect("in time").expect("a word");
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(ask(&mut stream, std::str::from_utf8(body).expect("text")).await.expect("it").status, 200);
    // Refused, it is not asked for.
    let liar = put("/put/k", &Credentials::new("AKIAKNOWN", "guess"), &headers, b"hello");
    let answer = send(server.address, &liar[..liar.len() - 5]).await;
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")));
}

/// A bucket in the host stands where it would stand in the path, and what was sent is what was signed.
#[tokio::test]
async fn hosts_may_name_buckets() {
    let to = |host: &str, path: &str, service: &str| {
        let headers = [("host", host), ("x-amz-content-sha256", HELLO)];
        let to_sign = ToSign { method: "PUT", path, query: "x=y", headers: &headers, body: b"hello" };
        let signed = sign(&to_sign, &known(), "eu-west-1", service, NOW);
        let mut text = format!("PUT {path}?x=y HTTP/1.1\r\ncontent-length: 5\r\n");
        for (name, value) in headers.into_iter().chain(signed.iter().map(|(n, v)| (*n, v.as_str()))) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + "\r\nhello"
    };
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        for host in ["put.s3.localhost:8722", "put.localhost", "put.ecs.example"] {
            let answer = ask_once(server.address, &to(host, "/a%20b/c", "s3")).await;
            assert_eq!(answer.body, "User /put/a%20b/c 5 -", "{host}");
        }
        let path_style = ask_once(server.address, &to("s3.localhost", "/put/k", "s3")).await;
        assert_eq!(path_style.body, "User /put/k 5 -");
        // Of an anonymous caller, the API says whose it is.
        let anonymous = "PUT /k HTTP/1.1\r\nhost: public.localhost\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(ask_once(server.address, anonymous).await.body, "Anonymous /public/k 5 -");
        // Errors say which path was meant, and both ids.
        let wrong = to("put.localhost", "/k", "s3").replace("x=y HTTP", "x=z HTTP");
        let wrong = ask_once(server.address, &wrong).await;
        let id = wrong.header("x-amz-request-id").expect("an id").to_owned();
        let ids =
            format!("<Resource>/put/k</Resource><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>");
        assert!(wrong.body.contains("<Error><Code>SignatureDoesNotMatch</Code>"), "{}", wrong.body);
        assert!(wrong.body.ends_with(&ids), "{}", wrong.body);
        assert_eq!(wrong.header("x-amz-id-2"), Some(id.as_str()));
        // A name below ours is a bucket's, and nobody else's; a name of somebody else is no bucket's.
        if mode == Mode::Open {
            for (host, service) in [
                ("put.ecs.example", "scheduler"),
                ("put.other.example", "s3"),
                ("put.ecs.example.other", "s3"),
            ] {
                let answer = ask_once(server.address, &to(host, "/echo/k", service)).await;
                assert_eq!(answer.status, 403, "{host} {service}");
                assert!(answer.body.contains("does not answer to the name"), "{}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn some_operations_need_no_signature() {
    let strip = |text: String| {
        let lines = text.split("\r\n").filter(|line| !line.starts_with("authorization"));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    let open = "Action=Open&Version=2026-11-30";
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        let answer = ask_once(server.address, &strip(form(&known(), open))).await;
        assert_eq!(answer.body, format!("000000000000 us-east-1 {open}"));
        // A signature that is there has to be right.
        let liar = form(&Credentials::new("AKIAKNOWN", "guess"), open);
        assert_eq!(ask_once(server.address, &liar).await.code(), "SignatureDoesNotMatch");
        let malformed = form(&known(), open).replace("Signature=", "Signature=x");
        assert_eq!(ask_once(server.address, &malformed).await.code(), "IncompleteSignature");
        // All others need one.
        let echo = ask_once(server.address, &strip(form(&known(), "Action=Echo&Version=2026-11-30"))).await;
        assert_eq!(echo.code(), "MissingAuthenticationToken");
        // No page of another origin sends it all the same (decision 25).
        for header in ["origin: http://other.example", "sec-fetch-site: cross-site"] {
            let far = strip(form(&known(), open)).replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
            assert_eq!(ask_once(server.address, &far).await.status, 403, "{header}");
        }
        // By a path: whose it is, the API knows.
        let put = |path| strip(signed_as("PUT", path, "s3", &[], &known(), "hello"));
        let answer = ask_once(server.address, &put("/public/k")).await;
        assert_eq!(answer.body, "Anonymous /public/k 5 -");
        assert_eq!(ask_once(server.address, &put("/private/k")).await.status, 404);
        let far = put("/public/k").replacen("\r\n", "\r\norigin: http://other.example\r\n", 1);
        assert_eq!(ask_once(server.address, &far).await.status, 403);
        assert_eq!(server.answered("Open") + server.answered("PutOpen"), 2);
    }
}
