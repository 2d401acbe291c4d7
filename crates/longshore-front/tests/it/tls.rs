//! The same over TLS, and what strangers may do instead of a handshake.

use std::sync::Arc;
use std::time::Duration;

use longshore_front::{Limits, Tls};
use longshore_identity::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::client::{ask, connect, signed};
use crate::server::{PATIENCE, Server, known, limits, start_with};

/// A server with a certificate of its own, and a client that trusts it.
async fn start(limits: Limits) -> (Server, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).expect("they match");
    let server = start_with(Mode::Strict, limits, Some(tls)).await;
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, TlsConnector::from(Arc::new(config)))
}

async fn shake_hands(server: &Server, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let name = "localhost".try_into().expect("a name");
    let stream = connect(server.address).await;
    timeout(PATIENCE, connector.connect(name, stream)).await.expect("in time").expect("TLS")
}

/// Reads until the server has closed, which may be a reset.
async fn closed(stream: &mut TcpStream) {
    let reading = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {} };
    timeout(PATIENCE, reading).await.expect("the server ends the connection");
}

#[test]
fn a_pair_has_to_be_one() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    assert!(Tls::from_pem(b"", key.as_bytes()).is_err());
    assert!(Tls::from_pem(chain.as_bytes(), b"").is_err());
}

#[tokio::test]
async fn tls_serves_the_same() {
    let (server, connector) = start(limits()).await;
    let mut stream = shake_hands(&server, &connector).await;
    let answer = ask(&mut stream, &signed(&known(), "Toy.Echo", "{}")).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_loses_its_place() {
    let (server, connector) =
        start(Limits { handshake_timeout: Duration::from_millis(200), ..limits() }).await;
    // Nothing at all, and the beginning of a record that is never completed.
    for beginning in [&b""[..], b"\x16\x03\x01\x40\x00\x01\x00"] {
        let mut stream = connect(server.address).await;
        stream.write_all(beginning).await.expect("the system buffers");
        closed(&mut stream).await;
    }
    server.counts_connections(0).await;
    shake_hands(&server, &connector).await;
}

#[tokio::test]
async fn what_is_no_handshake_is_refused_at_once() {
    let (server, connector) = start(limits()).await;
    let plain = signed(&known(), "Toy.Echo", "{}");
    let huge_record = [&b"\x16\x03\x01\xff\xff"[..], &[0x41; 2000]].concat();
    for beginning in [plain.as_bytes(), b"SSH-2.0-x\r\n", &huge_record, b"\x17\x03\x03\x00\x01\x00"] {
        let mut stream = connect(server.address).await;
        stream.write_all(beginning).await.expect("the system buffers");
        closed(&mut stream).await;
    }
    server.counts_connections(0).await;
    let mut stream = shake_hands(&server, &connector).await;
    assert!(ask(&mut stream, &signed(&known(), "Toy.Echo", "{}")).await.is_some());
}

#[tokio::test]
async fn a_finished_handshake_without_a_request_loses_its_place() {
    let (server, connector) = start(Limits { head_timeout: Duration::from_millis(200), ..limits() }).await;
    let _idle = shake_hands(&server, &connector).await;
    server.counts_connections(0).await;
}

#[tokio::test]
async fn nothing_but_http_1_is_offered() {
    let (server, connector) = start(limits()).await;
    let mut config = (**connector.config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = shake_hands(&server, &TlsConnector::from(Arc::new(config))).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

/// A ClientHello of TLS 1.2, or of 1.3 with a key for x25519, that names the server `name`.
fn client_hello(name: &str, version: u8) -> Vec<u8> {
    fn sized(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat()
    }
    let extension = |number: u16, content: &[u8]| [&number.to_be_bytes()[..], &sized(content)].concat();
    let server_name = sized(&[&[0][..], &sized(name.as_bytes())].concat());
    let mut extensions = [
        extension(0, &server_name),
        // Groups and signatures: x25519, and ECDSA with P-256 and SHA-256.
        extension(10, &[0, 2, 0, 29]),
        extension(13, &[0, 2, 4, 3]),
        // The points' format and the extended master secret, of TLS 1.2.
        extension(11, &[1, 0]),
        extension(23, &[]),
    ]
    .concat();
    if version == 3 {
        extensions.extend(extension(43, &[2, 3, 4]));
        extensions.extend(extension(51, &sized(&[&[0, 29][..], &sized(&[9; 32])].concat())));
    }
    // TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
    let suites = [0, 4, 0x13, 0x01, 0xc0, 0x2b];
    let body = [&[3, 3][..], &[7; 32], &[0], &suites, &[1, 0], &sized(&extensions)].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

/// The kind of the record that answers, and of the message in it.
async fn answer_to(server: &Server, hello: &[u8]) -> [u8; 2] {
    let mut stream = connect(server.address).await;
    stream.write_all(hello).await.expect("the system buffers");
    let mut answer = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    [answer[0], answer[5]]
}

#[tokio::test]
async fn a_server_name_that_is_no_host_name_counts_as_none() {
    let (server, _) = start(limits()).await;
    let (server_hello, alert) = ([22, 2], [21, 2]);
    for version in [2, 3] {
        for name in ["localhost", "192.0.2.2", "localhost:8743", "192.0.2.2:8722", "[2001:db8::1]:8722"] {
            let answer = answer_to(&server, &client_hello(name, version)).await;
            assert_eq!(answer, server_hello, "{name} in TLS 1.{version}");
        }
        assert_eq!(answer_to(&server, &client_hello("", version)).await, alert, "a name without a character");
    }
}

#[tokio::test]
async fn a_hello_may_come_in_pieces() {
    let (server, _) = start(limits()).await;
    let mut stream = connect(server.address).await;
    for piece in client_hello("localhost:8743", 3).chunks(7) {
        stream.write_all(piece).await.expect("the server reads");
        stream.flush().await.expect("it is sent");
    }
    let mut answer = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert_eq!([answer[0], answer[5]], [22, 2]);
}
