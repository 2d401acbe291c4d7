//! Calls over real sockets, to a server that answers as a script says.

mod support;

use std::sync::Arc;
use std::time::Duration;

use longshore_base::{Clock, Seed};
use longshore_client::{
    ATTEMPTS_MAX, CallError, Client, ConnectError, Endpoint, HttpClient, Retry, SendError, SystemClock,
};
use longshore_shapes_ecs::{self as ecs, ops};
use longshore_shapes_sts as sts;
use longshore_sigv4::{CLOCK_SKEW, Credentials, Presented, Secret};
use longshore_wire::Protocol;
use serde_json::Value;
use support::{Server, Step, certificate, trusting};

const SECRET: &str = "hidden";

fn client(server: &Server, http: HttpClient) -> Client {
    let credentials = Credentials::new("AKIAEXAMPLE", SECRET);
    Client::new(http, &server.endpoint(), credentials, "eu-west-1", Arc::new(SystemClock))
        .expect("an address")
}

fn plain(server: &Server) -> Client {
    client(server, HttpClient::default())
}

fn list() -> ecs::ListClustersRequest {
    ecs::ListClustersRequest { max_results: Some(5), ..Default::default() }
}

fn run() -> ecs::RunTaskRequest {
    ecs::RunTaskRequest { count: Some(1), ..Default::default() }
}

/// One that waits for a tenth of what it may, at most: the token is drawn first, then each wait.
fn retry() -> Retry {
    let is_short = |seed: &Seed| (1..=2).all(|drawn| seed.of(drawn).bits() < u64::MAX / 10);
    Retry::standard((0..).map(Seed::new).find(is_short).expect("one in a hundred"))
}

#[tokio::test]
async fn a_call_is_signed_and_its_answer_is_read() {
    let server = Server::start([Step::answer(200, r#"{"clusterArns":["a"],"new":1}"#)]).await;
    let answer = plain(&server).call::<ops::ListClusters>(&list()).await.expect("an answer");
    assert_eq!(answer.cluster_arns, Some(vec!["a".to_owned()]));
    let seen = server.seen();
    let (line, headers) = seen[0].parts();
    assert_eq!((line, seen[0].body.as_str()), ("POST / HTTP/1.1", r#"{"maxResults":5}"#));
    let headers = headers.as_slice();
    let presented = longshore_sigv4::Request { method: "POST", path: "/", query: "", headers: &headers };
    let signature = Presented::parse(&presented).expect("it is signed");
    assert_eq!((signature.service(), signature.region()), ("ecs", "eu-west-1"));
    signature.check_time(SystemClock.now(), CLOCK_SKEW).expect("it is signed now");
    let key = signature.signing_key(&Secret::new(SECRET));
    signature.verify(&presented, &key, seen[0].body.as_bytes()).expect("the signature is right");
    let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
    assert!(headers.contains(&("x-amz-target", target)), "{headers:?}");
}

#[tokio::test]
async fn the_protocol_is_that_of_the_service() {
    let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult>\
                </GetCallerIdentityResponse>";
    let no = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>old</Message></Error></ErrorResponse>";
    let server = Server::start([Step::answer(200, body), Step::answer(403, no)]).await;
    let client = plain(&server);
    let nothing = sts::GetCallerIdentityRequest::default();
    let ask = || client.call::<sts::ops::GetCallerIdentity>(&nothing);
    assert_eq!(ask().await.expect("an answer").account.as_deref(), Some("1"));
    let error = ask().await.expect_err("it is refused");
    assert_eq!(error.to_string(), "GetCallerIdentity was refused: ExpiredToken: old");
    assert_eq!(server.seen()[0].body, "Action=GetCallerIdentity&Version=2011-06-15");
    // A service without a name for the other protocol is not called in it.
    let refused = plain(&server).speaking(Protocol::AwsJson11);
    let refused = refused.call::<sts::ops::GetCallerIdentity>(&nothing).await;
    assert!(matches!(refused, Err(CallError::NotWritten(_))), "{refused:?}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn refusals_say_who_and_why() {
    let no = r#"{"__type":"ns#ClusterNotFoundException","message":"Cluster not found."}"#;
    let page = "<html>502 Bad Gateway</html>";
    let server = Server::start([
        Step::answer(400, no).with("x-amzn-requestid: r-1"),
        Step::answer(502, page),
        Step::answer(200, "<html>welcome</html>"),
    ])
    .await;
    let client = plain(&server);
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(client.call::<ops::ListClusters>(&list()).await.expect_err("no answer"));
    }
    assert_eq!(
        errors[0].to_string(),
        "ListClusters was refused: ClusterNotFoundException: Cluster not found."
    );
    assert!(
        matches!(&errors[0], CallError::Refused { status: 400, request_id: Some(id), .. } if id == "r-1")
    );
    assert_eq!(
        errors[1].to_string(),
        "ListClusters was answered with HTTP 502, and not as an AWS API does it"
    );
    assert_eq!(errors[2].to_string(), "the answer to ListClusters cannot be read");
    assert!(!format!("{errors:?} {:?}", client.signer()).contains(SECRET));
}

#[tokio::test]
async fn connections_are_kept() {
    let server =
        Server::start([Step::answer(200, "{}"), Step::answer(400, "{}"), Step::answer(200, "{}")]).await;
    let client = plain(&server);
    for _ in 0..3 {
        let _ = client.call::<ops::ListClusters>(&list()).await;
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 0], "a refusal ends none");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let server = Server::start([Step::answer(200, "{}").then_close(), Step::answer(200, "{}")]).await;
    let client = plain(&server);
    client.call::<ops::RunTask>(&run()).await.expect("an answer");
    server.has_closed().await;
    client.call::<ops::RunTask>(&run()).await.expect("a new connection");
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1]);
}

/// A task that was launched must not be launched again because its answer was lost.
#[tokio::test]
async fn what_may_have_arrived_is_not_sent_again() {
    let script = || [Step::answer(200, "{}"), Step::Break, Step::answer(200, "{}")];
    let server = Server::start(script()).await;
    let client = plain(&server);
    client.call::<ops::RunTask>(&run()).await.expect("an answer");
    let error = client.call::<ops::RunTask>(&run()).await.expect_err("nobody knows");
    assert!(matches!(error, CallError::Send(SendError::Lost { .. })), "{error:?}");
    assert_eq!(server.seen().len(), 2);

    // Where twice is as good as once, the kept connection is no failure: by the model, and by who says so.
    let server = Server::start(script()).await;
    let client = plain(&server);
    client.call::<ops::ListClusters>(&list()).await.expect("an answer");
    client.call::<ops::DescribeClusters>(&Default::default()).await.expect("an answer, after all");
    let server = Server::start(script()).await;
    let client = plain(&server).repeating();
    client.call::<ops::RunTask>(&run()).await.expect("an answer");
    client.call::<ops::RunTask>(&run()).await.expect("an answer, after all");
    assert_eq!(server.seen().len(), 3);
}

/// By their token the server knows that they are one.
#[tokio::test]
async fn calls_that_are_made_again_are_one() {
    let busy = r#"{"__type":"ThrottlingException"}"#;
    let script = [
        Step::answer(503, "busy"),
        Step::answer(400, busy),
        Step::answer(200, "{}"),
        Step::answer(200, "{}"),
    ];
    let server = Server::start(script).await;
    let client = plain(&server).retrying(retry());
    client.call::<ops::RunTask>(&run()).await.expect("an answer");
    client.call::<ops::RunTask>(&run()).await.expect("an answer");
    let tokens: Vec<Value> = server.seen().iter().map(|seen| seen.json()["clientToken"].clone()).collect();
    assert!(tokens[0].as_str().is_some_and(|token| token.len() == 36), "{tokens:?}");
    assert!(tokens[0] == tokens[1] && tokens[1] == tokens[2] && tokens[2] != tokens[3], "{tokens:?}");
}

#[tokio::test]
async fn retries_end() {
    let server = Server::start((0..5).map(|_| Step::answer(503, "busy"))).await;
    let error = plain(&server).retrying(retry()).call::<ops::ListClusters>(&list()).await.expect_err("busy");
    assert!(matches!(error, CallError::Foreign { status: 503, .. }), "{error:?}");
    assert_eq!(server.seen().len(), ATTEMPTS_MAX as usize);
    // What cannot pass is not tried again, and who has not asked for it tries once.
    let no = r#"{"__type":"ClientException"}"#;
    let server = Server::start([Step::answer(400, no), Step::answer(503, "busy")]).await;
    plain(&server).retrying(retry()).call::<ops::ListClusters>(&list()).await.expect_err("refused");
    plain(&server).call::<ops::ListClusters>(&list()).await.expect_err("busy");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let server = Server::start([Step::Silence]).await;
    let patience = Duration::from_millis(50);
    let error =
        plain(&server).within(patience).call::<ops::ListClusters>(&list()).await.expect_err("silence");
    let expected = format!("{} did not answer within 50ms", server.address);
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let large = "x".repeat(17 << 20);
    let server = Server::start([Step::answer(200, &large)]).await;
    let error = plain(&server).get("/large").await.expect_err("too large");
    assert!(matches!(error, SendError::Body { .. }), "{error:?}");
}

#[tokio::test]
async fn anybody_may_ask_for_a_path() {
    let server = Server::start([Step::answer(404, "nothing here")]).await;
    let answer = plain(&server).get("/metrics").await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (404, &b"nothing here"[..]));
    let (line, headers) = (server.seen()[0].parts().0.to_owned(), server.seen()[0].head.clone());
    assert_eq!(line, "GET /metrics HTTP/1.1");
    assert!(!headers.contains("authorization"), "{headers}");
}

#[tokio::test]
async fn tls_is_for_servers_that_are_trusted() {
    let made = certificate();
    let (trusted, stranger) = (trusting(&made), trusting(&certificate()));
    let server = Server::start_tls(&made, [Step::answer(200, "{}")]).await;
    client(&server, trusted.clone()).call::<ops::ListClusters>(&list()).await.expect("an answer");
    let refused = async |http: HttpClient| {
        let error = client(&server, http).call::<ops::ListClusters>(&list()).await.expect_err("no answer");
        match error {
            CallError::Send(SendError::Connect(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(refused(stranger).await, ConnectError::Untrusted { .. }));
    assert!(matches!(refused(HttpClient::default()).await, ConnectError::NoAuthorities(_)));
    // The wrong scheme is told apart on both sides.
    let plain = Server::start([]).await;
    let https = plain.endpoint().replace("http:", "https:");
    let origin = Endpoint::parse(&https).expect("an address").origin;
    let error = trusted.connect(&origin).await.err().expect("no TLS");
    assert_eq!(error.to_string(), format!("{} speaks plain HTTP, not TLS", plain.address));
}

#[tokio::test]
async fn a_server_with_tls_does_not_speak_plain_http() {
    let server = Server::start_tls(&certificate(), []).await;
    let http = server.endpoint().replace("https:", "http:");
    let credentials = Credentials::new("A", SECRET);
    let client = Client::new(HttpClient::default(), &http, credentials, "r", Arc::new(SystemClock))
        .expect("an address");
    let error = client.call::<ops::ListClusters>(&list()).await.expect_err("no HTTP");
    assert_eq!(error.to_string(), format!("{} does not speak plain HTTP", server.address));
}

#[tokio::test]
async fn nobody_listens() {
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("bound")
    };
    let credentials = Credentials::new("A", SECRET);
    let endpoint = format!("http://{address}");
    let client = Client::new(HttpClient::default(), &endpoint, credentials, "r", Arc::new(SystemClock))
        .expect("an address");
    let error = client.call::<ops::ListClusters>(&list()).await.expect_err("nobody");
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
}
