//! A whole control plane, and what a web page can send to it without being asked (decision 25): to every API that is built,
//! in its own protocol and in the disguises that browsers allow. Whatever it is answered, nothing may have changed.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::Parser;
use longshore::args::{Args, Command};
use longshore::control_plane::ControlPlane;
use longshore::machine::Machine;
use longshore::server;
use longshore_base::Timestamp;
use longshore_sigv4::{Credentials, ToSign, presign, sign};
use longshore_state::Records;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An operation that changes something, or gives something away.
struct Call {
    service: &'static str,
    /// Of the JSON protocols, which name the operation in a header.
    target: Option<&'static str>,
    body: &'static str,
}

const CALLS: [Call; 8] = [
    Call { service: "iam", target: None, body: "Action=CreateUser&Version=2010-05-08&UserName=page" },
    Call {
        service: "iam",
        target: None,
        body: "Action=CreateAccountAlias&Version=2010-05-08&AccountAlias=page",
    },
    Call { service: "sts", target: None, body: "Action=GetSessionToken&Version=2011-06-15" },
    Call {
        service: "ec2",
        target: None,
        body: "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0%2F16",
    },
    Call {
        service: "secretsmanager",
        target: Some("secretsmanager.CreateSecret"),
        body: r#"{"Name":"page","SecretString":"x","ClientRequestToken":"01234567-0123-0123-0123-0123456789ab"}"#,
    },
    Call {
        service: "ssm",
        target: Some("AmazonSSM.PutParameter"),
        body: r#"{"Name":"page","Value":"x","Type":"String"}"#,
    },
    Call { service: "kms", target: Some("TrentService.CreateKey"), body: "{}" },
    Call {
        service: "ecs",
        target: Some("AmazonEC2ContainerServiceV20141113.CreateCluster"),
        body: r#"{"clusterName":"page"}"#,
    },
];

/// What a browser sends across origins without asking first, by the Fetch standard ("CORS-safelisted request-header").
const PLAIN_TYPES: [&str; 3] =
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"];

/// What browsers add: old ones nothing.
const PAGES: [&[(&str, &str)]; 5] = [
    &[],
    &[("origin", "http://other.example"), ("sec-fetch-site", "cross-site")],
    &[("origin", "http://other.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "same-site")],
];

async fn start(auth: &str) -> ControlPlane {
    let words = ["longshore", "server", "--listen", "127.0.0.1:0", "--ephemeral", "--auth", auth];
    match Args::parse_from(words).command {
        Command::Server(options) => server::start(&options, Machine::this()).await.expect("it starts"),
        other => panic!("not a server: {other:?}"),
    }
}

fn now() -> Timestamp {
    Machine::this().clock.now()
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The status, and all that came.
async fn ask(at: SocketAddr, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(at).await.expect("it listens");
    socket.write_all(request.as_bytes()).await.expect("it takes a request");
    let mut answer = Vec::new();
    // The server may close before it has read all.
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer)
}

/// A signature that anybody can invent, as the query of a URL.
fn invented(call: &Call, method: &str, query: &str, host: &str) -> String {
    let headers = [("host", host)];
    let to_sign = ToSign { method, path: "/", query, headers: &headers, body: b"" };
    let life = Duration::from_secs(900);
    presign(&to_sign, &Credentials::new("test", "guess"), "us-east-1", call.service, now(), life)
}

/// Everything that a page can make of a call without asking: URLs, methods and bodies.
fn disguises(call: &Call, host: &str) -> Vec<(&'static str, String, String)> {
    let named = match call.target {
        None => call.body.to_owned(),
        Some(target) => format!("X-Amz-Target={target}"),
    };
    let bare = ["/".to_owned(), format!("/?{named}")];
    let signed = ["", &named].map(|query| format!("/?{}", invented(call, "POST", query, host)));
    let mut all: Vec<(&'static str, String, String)> = Vec::new();
    for url in bare.into_iter().chain(signed) {
        all.push(("POST", url.clone(), call.body.to_owned()));
        all.push(("POST", url, format!("{named}&{}=", call.body)));
    }
    // An image, a link, a script.
    all.push(("GET", format!("/?{named}"), String::new()));
    all.push(("GET", format!("/?{}", invented(call, "GET", &named, host)), String::new()));
    all
}

fn written(plane: &ControlPlane) -> Records {
    plane.db.peek(|state| state.records())
}

async fn nothing_a_page_sends_is_done(plane: &ControlPlane, at: SocketAddr) {
    let (host, before) = (at.to_string(), written(plane));
    for call in &CALLS {
        for (method, url, body) in disguises(call, &host) {
            for content_type in PLAIN_TYPES {
                for page in PAGES {
                    let headers = [&[("host", host.as_str()), ("content-type", content_type)], page].concat();
                    let sent = request(method, &url, &headers, &body);
                    let (status, answer) = ask(at, &sent).await;
                    assert!((400..500).contains(&status), "{sent}\n{answer}");
                    assert!(!answer.to_ascii_lowercase().contains("access-control-allow-origin"), "{answer}");
                    if !page.is_empty() {
                        assert_eq!(status, 403, "{sent}\n{answer}");
                    }
                }
            }
        }
        // The browser's question before anything else.
        for wanted in ["x-amz-target", "authorization"] {
            let question = [
                ("host", host.as_str()),
                ("origin", "http://other.example"),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", wanted),
            ];
            let (status, answer) = ask(at, &request("OPTIONS", "/", &question, "")).await;
            assert_eq!(status, 403, "{answer}");
        }
        // A page whose own name was pointed here may send any header: to itself, as it thinks.
        for host in ["other.example", "other.example:8722"] {
            let (status, answer) =
                ask(at, &signed_in_header(call, host, &Credentials::new("test", "guess"))).await;
            // Open mode sees the host; strict mode the key, of which JSON says 400.
            assert!((400..=403).contains(&status), "{} {host}: {answer}", call.service);
        }
    }
    assert_eq!(before.differences(&written(plane)), Vec::<String>::new());
}

fn signed_in_header(call: &Call, host: &str, key: &Credentials) -> String {
    let content_type = match call.target {
        Some(_) => "application/x-amz-json-1.1",
        None => "application/x-www-form-urlencoded; charset=utf-8",
    };
    let mut headers = vec![("host", host), ("content-type", content_type)];
    headers.extend(call.target.map(|target| ("x-amz-target", target)));
    let body = call.body.as_bytes();
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body };
    let signature = sign(&to_sign, key, "us-east-1", call.service, now());
    headers.extend(signature.iter().map(|(name, value)| (&**name, value.as_str())));
    request("POST", "/", &headers, call.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_calls_any_api() {
    for auth in ["open", "strict"] {
        let plane = start(auth).await;
        let at: SocketAddr = plane.endpoint.trim_start_matches("http://").parse().expect("an address");
        nothing_a_page_sends_is_done(&plane, at).await;
        // Each of these calls is one that a client may make.
        for call in &CALLS {
            let (status, answer) = ask(at, &signed_in_header(call, &at.to_string(), &plane.operator)).await;
            assert_eq!(status, 200, "{} {}: {answer}", call.service, call.body);
        }
        plane.stop().await;
    }
}

/// Where containers reach the API there are no guests, in open mode either: no page, and no container with an invented key.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_no_guest_calls_where_containers_do() {
    let mut plane = start("open").await;
    let at = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    plane.serve_containers(at).await.expect("it listens");
    nothing_a_page_sends_is_done(&plane, at).await;
    let before = written(&plane);
    for call in &CALLS {
        let (status, answer) =
            ask(at, &signed_in_header(call, &at.to_string(), &Credentials::new("test", "guess"))).await;
        assert!((400..=403).contains(&status), "{}: {answer}", call.service);
    }
    assert_eq!(before.differences(&written(&plane)), Vec::<String>::new());
    plane.stop().await;
}
