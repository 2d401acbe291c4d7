//! Several services, each in its own protocol: who is called, and how errors are told.

use longshore_identity::Mode;
use longshore_sigv4::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{ask_once, connect, form, get, signed, signed_as};
use crate::server::{SMALL_BYTES_MAX, known, limits, start};

const ECHO: &str = "Action=Echo&Version=2026-11-30";

fn liar() -> Credentials {
    Credentials::new("AKIAKNOWN", "guess")
}

#[tokio::test]
async fn each_service_is_called_in_its_own_way() {
    let server = start(Mode::Strict, limits()).await;
    for (request, content_type, body) in [
        (signed(&known(), "Toy.Echo", "{}"), "application/x-amz-json-1.1", "{}"),
        (form(&known(), ECHO), "text/xml", ECHO),
        (signed_as("GET", &format!("/?{ECHO}"), "sts", &[], &known(), ""), "text/xml", ""),
        (signed_as("PUT", "/echo/x", "scheduler", &[], &known(), "hi"), "application/json", "hi"),
        (signed_as("PUT", "/echo/a%20b", "s3", &[], &known(), "hi"), "application/xml", "hi"),
    ] {
        let answer = ask_once(server.address, &request).await;
        assert_eq!(answer.body, format!("111122223333 eu-west-1 {body}"), "{request}");
        assert_eq!(answer.header("content-type"), Some(content_type), "{request}");
    }
    let text = server.metrics.encode();
    for service in ["Toy", "Forms", "Paths", "Buckets"] {
        assert!(
            text.contains(&format!("{{service=\"{service}\",operation=\"Echo\",code=\"OK\"}}")),
            "{text}"
        );
    }
}

/// Status, content type and code of everything that goes wrong, in the words of each protocol.
#[tokio::test]
async fn errors_are_told_in_the_protocol_of_the_request() {
    let server = start(Mode::Strict, limits()).await;
    let (xml, json) = ("text/xml", "application/json");
    let unsigned = |text: &str| {
        let lines = text.split("\r\n").filter(|line| !line.starts_with("authorization"));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    let put = |service, who: &Credentials| signed_as("PUT", "/echo/x", service, &[], who, "");
    for (request, status, content_type, code) in [
        (form(&liar(), ECHO), 403, xml, "SignatureDoesNotMatch"),
        (form(&Credentials::new("test", "test"), ECHO), 403, xml, "InvalidClientTokenId"),
        (unsigned(&form(&known(), ECHO)), 403, xml, "MissingAuthenticationToken"),
        (form(&known(), &ECHO.replace("Echo", "NotBuilt")), 400, xml, "InvalidAction"),
        (form(&known(), &ECHO.replace("Echo", "Nothing")), 400, xml, "InvalidAction"),
        (form(&known(), &ECHO.replace("Echo", "Panic")), 500, xml, "InternalFailure"),
        (form(&known(), ECHO).replace("/sts/", "/ecs/"), 403, xml, "SignatureDoesNotMatch"),
        (put("scheduler", &liar()), 403, json, "InvalidSignatureException"),
        (put("s3", &liar()), 403, "application/xml", "SignatureDoesNotMatch"),
        (put("s3", &Credentials::new("x", "x")), 403, "application/xml", "InvalidAccessKeyId"),
        (signed_as("DELETE", "/x", "s3", &[], &known(), ""), 405, "application/xml", "MethodNotAllowed"),
        (signed_as("DELETE", "/x", "scheduler", &[], &known(), ""), 404, json, "UnknownOperationException"),
    ] {
        let answer = ask_once(server.address, &request).await;
        let got = (answer.status, answer.header("content-type"), answer.code());
        assert_eq!(got, (status, Some(content_type), code), "{request}");
        let id_header =
            if content_type == "application/xml" { "x-amz-request-id" } else { "x-amzn-requestid" };
        let id = answer.header(id_header).expect("an id");
        assert!(
            content_type == json || answer.body.contains(&format!("<RequestId>{id}</RequestId>")),
            "{}",
            answer.body
        );
    }
}

/// What is not served is told so to everybody, with what is missing, and nobody asks again.
#[tokio::test]
async fn services_that_are_not_there_are_named() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        for (request, status, text) in [
            (signed_as("POST", "/", "ec2", &form, &known(), ECHO), 400, "does not serve Absent yet (Echo)"),
            (signed_as("POST", "/", "ec2", &form, &liar(), ECHO), 400, "does not serve Absent yet (Echo)"),
            (
                signed_as("POST", "/", "sns", &form, &liar(), "Action=Publish&Version=2010-03-31"),
                400,
                "'sns'",
            ),
            (signed_as("GET", "/2015-03-31/functions/", "lambda", &[], &liar(), ""), 404, "'lambda'"),
            (signed_as("GET", "/metrics", "lambda", &[], &liar(), ""), 404, "'lambda'"),
            (
                signed_as("POST", "/", "sqs", &[("x-amz-target", "AmazonSQS.ListQueues")], &liar(), "{}"),
                404,
                "'sqs'",
            ),
        ] {
            let answer = ask_once(server.address, &request).await;
            assert_eq!(answer.status, status, "{request}{}", answer.body);
            assert!(
                answer.body.contains(text) && answer.body.contains("AWS_ENDPOINT_URL"),
                "{}",
                answer.body
            );
        }
        let text = server.metrics.encode();
        assert!(text.contains("{service=\"Absent\",operation=\"unknown\",code=\"InvalidAction\"}"), "{text}");
        assert!(!text.contains("lambda") && !text.contains("Publish"), "clients invent no labels: {text}");
        // What is too long to be read to its end is answered all the same, and the connection ends.
        let long = "PUT /b/k HTTP/1.1\r\nhost: localhost\r\nauthorization: AWS4-HMAC-SHA256 \
                    Credential=A/20150830/r/lambda/aws4_request\r\ncontent-length: 99999999\r\n\r\n";
        let answer = ask_once(server.address, long).await;
        assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    }
}

/// A bucket may be called as the fixed paths are.
#[tokio::test]
async fn a_signature_for_s3_leads_to_s3() {
    let server = start(Mode::Strict, limits()).await;
    for path in ["/metrics", "/healthz", "/v2"] {
        let mut stream = connect(server.address).await;
        let request = signed_as("GET", path, "s3", &[("connection", "close")], &known(), "");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("text");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {text}");
        // In pieces, as they come.
        assert!(text.contains("transfer-encoding: chunked"), "{text}");
        assert!(text.ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{text}");
    }
    assert_eq!(server.answered("Stream"), 3);
    assert!(get(server.address, "/metrics").await.body.contains("longshore_requests_total"));
}

#[tokio::test]
async fn an_operation_may_take_less_than_others() {
    let server = start(Mode::Strict, limits()).await;
    let body = |length| "x".repeat(length);
    let fits = signed(&known(), "Toy.Small", &body(SMALL_BYTES_MAX));
    assert_eq!(ask_once(server.address, &fits).await.status, 200);
    let target = ask_once(server.address, &signed(&known(), "Toy.Small", &body(SMALL_BYTES_MAX + 1))).await;
    assert_eq!((target.status, target.code()), (413, "RequestEntityTooLargeException"));
    assert_eq!(ask_once(server.address, &signed(&known(), "Toy.Echo", &body(100))).await.status, 200);
    // Named by the body itself.
    let form = ask_once(server.address, &form(&known(), &ECHO.replace("Echo", "Small"))).await;
    assert_eq!((form.status, form.code()), (413, "RequestEntityTooLarge"));
}
