//! What a web page of another origin can send, byte for byte as browsers send it, and what must not come of it.

use std::time::Duration;

use longshore_identity::Mode;
use longshore_sigv4::{Credentials, ToSign, presign};

use crate::client::{Answer, ask_once, form as form_of, get, signed, signed_as};
use crate::server::{FRONT_END, NOW, Server, known, limits, start};

/// Everything of a signature can be invented where no secret is known, and a query needs no header.
fn invented_query(method: &str, query: &str) -> String {
    let headers = [("host", "h")];
    let to_sign = ToSign { method, path: "/", query, headers: &headers, body: b"" };
    presign(&to_sign, &Credentials::new("test", "guess"), "eu-west-1", "ecs", NOW, Duration::from_secs(900))
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// Asks, and makes sure that nothing was done.
async fn refused(server: &Server, request: &str) -> Answer {
    let answer = ask_once(server.address, request).await;
    assert!((400..500).contains(&answer.status), "{}\n{request}", answer.head);
    assert_eq!(server.answered("Echo"), 0, "{request}");
    assert_eq!(answer.header("access-control-allow-origin"), None, "{request}");
    answer
}

#[tokio::test]
async fn no_form_image_or_link_of_another_origin_commands_the_server() {
    let (host, form) = (("host", "127.0.0.1:8722"), ("content-type", "application/x-www-form-urlencoded"));
    let (origin, far) = (("origin", "http://other.example"), ("sec-fetch-site", "cross-site"));
    let query = invented_query("POST", "Action=Echo");
    let url = format!("/?{query}");
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        for (request, status) in [
            // A form, with and without what browsers of today add; a script's request as plain text.
            (request("POST", &url, &[host, form, origin, far], "Action=Echo"), 403),
            (request("POST", &url, &[host, form, origin], "Action=Echo"), 403),
            (request("POST", &url, &[host, form, ("origin", "null")], "{}"), 403),
            (request("POST", &url, &[host, ("content-type", "text/plain"), origin], "{}"), 403),
            (
                request(
                    "POST",
                    &url,
                    &[host, ("content-type", "text/plain"), ("sec-fetch-site", "same-site")],
                    "{}",
                ),
                403,
            ),
            // An image or a link.
            (request("GET", &format!("/?{}", invented_query("GET", "Action=Echo")), &[host, far], ""), 403),
            // The browser's question before a request with headers of its own.
            (request("OPTIONS", "/", &[host, origin, ("access-control-request-method", "POST")], ""), 403),
            // A page on another port of this machine is of the same site, and of another origin.
            (request("POST", &url, &[host, form, ("origin", "http://127.0.0.1:8723")], ""), 403),
        ] {
            let answer = refused(&server, &request).await;
            assert_eq!(answer.status, status, "{request}");
        }
        // Browsers that add nothing: there is no operation without a header that they would ask about first.
        for bare in [
            request("POST", &url, &[host, form], "Action=Echo"),
            request("POST", &url, &[host, form], "{}"),
            request("GET", &format!("/?{}", invented_query("GET", "Action=Echo")), &[host], ""),
        ] {
            refused(&server, &bare).await;
        }
        // Nor does a header help that the signature leaves out.
        let unsigned = request("POST", &url, &[host, ("x-amz-target", "Toy.Echo")], "{}");
        assert_eq!(refused(&server, &unsigned).await.status, 400);
    }
}

/// The parts of an invented signature for `service`, as a query.
fn invented_for(service: &str, method: &str, path: &str, query: &str) -> String {
    let headers = [("host", "h")];
    let to_sign = ToSign { method, path, query, headers: &headers, body: b"" };
    presign(&to_sign, &Credentials::new("test", "guess"), "eu-west-1", service, NOW, Duration::from_secs(900))
}

/// APIs that take forms or are called by paths: what browsers send without asking, even those that tell nothing of the
/// page. A guest's signature counts in the header alone, for which every browser asks first.
#[tokio::test]
async fn no_form_or_url_of_another_origin_calls_what_takes_forms_and_urls() {
    let (host, form) = (("host", "127.0.0.1:8722"), ("content-type", "application/x-www-form-urlencoded"));
    let action = "Action=Echo&Version=2026-11-30";
    let urls = [
        ("GET", format!("/?{}", invented_for("sts", "GET", "/", action)), ""),
        ("POST", format!("/?{}", invented_for("sts", "POST", "/", action)), ""),
        ("POST", format!("/?{}", invented_for("sts", "POST", "/", "")), action),
        ("POST", "/".to_owned(), action),
        ("GET", format!("/?{action}"), ""),
        ("PUT", format!("/echo/x?{}", invented_for("scheduler", "PUT", "/echo/x", "")), "x"),
        ("GET", format!("/x?{}", invented_for("scheduler", "GET", "/x", "")), ""),
        ("GET", format!("/metrics?{}", invented_for("s3", "GET", "/metrics", "")), ""),
    ];
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        for (method, url, body) in &urls {
            for page in [&[][..], &[("origin", "http://other.example")], &[("sec-fetch-site", "cross-site")]]
            {
                let headers = [&[host, form], page].concat();
                let answer = refused(&server, &request(method, url, &headers, body)).await;
                assert_eq!(answer.status, 403, "{mode:?} {method} {url} {page:?}: {}", answer.body);
                assert_eq!(server.answered("Stream"), 0, "{url}");
            }
        }
        // With the header, which a page cannot add without asking; and whoever asks, is told no.
        let page = [("origin", "http://other.example"), form];
        let call = signed_as("POST", "/", "sts", &page, &known(), action);
        assert_eq!(refused(&server, &call).await.status, 403);
        for path in ["/", "/x", "/echo/x"] {
            let ask = [host, page[0], ("access-control-request-method", "PUT")];
            assert_eq!(refused(&server, &request("OPTIONS", path, &ask, "")).await.status, 403, "{path}");
        }
        let rebound = form_of(&known(), action).replace("host: localhost", "host: other.example");
        let status = refused(&server, &rebound).await.status;
        assert_eq!(status, 403, "open mode sees the host, strict mode the signature");
        // A client's own.
        assert_eq!(ask_once(server.address, &form_of(&known(), action)).await.status, 200);
    }
    let open = start(Mode::Open, limits()).await;
    assert_eq!(ask_once(open.address, &form_of(&Credentials::new("test", "test"), action)).await.status, 200);
}

/// A URL that somebody signed with a key that is known is a proof, not an invention.
#[tokio::test]
async fn a_url_counts_where_its_signature_is_verified() {
    let headers = [("host", "h")];
    let action = "Action=Echo&Version=2026-11-30";
    let to_sign = ToSign { method: "GET", path: "/", query: action, headers: &headers, body: b"" };
    let query = presign(&to_sign, &known(), "eu-west-1", "sts", NOW, Duration::from_secs(60));
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        let own = request("GET", &format!("/?{query}"), &[("host", "h")], "");
        assert_eq!(ask_once(server.address, &own).await.status, 200);
        let changed = own.replace("Action=Echo", "Action=Much");
        assert_eq!(ask_once(server.address, &changed).await.status, 403);
        let image =
            request("GET", &format!("/?{query}"), &[("host", "h"), ("sec-fetch-site", "cross-site")], "");
        assert_eq!(ask_once(server.address, &image).await.status, 403);
    }
}

#[tokio::test]
async fn a_name_that_was_pointed_at_the_server_is_not_ours() {
    let server = start(Mode::Open, limits()).await;
    let stranger = Credentials::new("test", "test");
    let rebound = signed(&stranger, "Toy.Echo", "{}").replace("host: localhost", "host: other.example:8722");
    let answer = refused(&server, &rebound).await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, Some("AccessDeniedException")));
    assert!(answer.body.contains("--allow-host"), "{}", answer.body);
    for path in ["/metrics", "/healthz", "/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: other.example\r\n\r\n");
        assert_eq!(ask_once(server.address, &request).await.status, 403, "{path}");
    }
    let whole_url = signed(&stranger, "Toy.Echo", "{}").replace("POST / ", "POST http://other.example/ ");
    refused(&server, &whole_url).await;
    assert_eq!(ask_once(server.address, &signed(&stranger, "Toy.Echo", "{}")).await.status, 200);
}

#[tokio::test]
async fn no_page_of_another_origin_opens_an_agents_socket() {
    for mode in [Mode::Open, Mode::Strict] {
        let server = start(mode, limits()).await;
        let url = format!("/acs/ws?{}", invented_query("GET", "clusterArn=probe"));
        let upgrade = [
            ("host", "127.0.0.1:8722"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for origin in ["http://other.example", "http://127.0.0.1:8723", "null"] {
            let headers = [&upgrade[..], &[("origin", origin)]].concat();
            assert_eq!(refused(&server, &request("GET", &url, &headers, "")).await.status, 403, "{origin}");
        }
        let rebound =
            [&upgrade[1..], &[("host", "other.example"), ("origin", "http://other.example")]].concat();
        assert_eq!(refused(&server, &request("GET", &url, &rebound, "")).await.status, 403);
    }
}

#[tokio::test]
async fn an_admitted_front_end_asks_and_calls() {
    let server = start(Mode::Strict, limits()).await;
    let question = [
        ("host", "localhost"),
        ("origin", FRONT_END),
        ("sec-fetch-site", "same-site"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,x-amz-date,x-amz-target"),
        ("access-control-request-private-network", "true"),
    ];
    let answer = ask_once(server.address, &request("OPTIONS", "/", &question, "")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(FRONT_END)));
    assert_eq!(answer.header("access-control-allow-headers"), Some(question[4].1));
    assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
    for origin in [FRONT_END.to_owned(), format!("http://{}", "localhost")] {
        let head = format!("POST / HTTP/1.1\r\norigin: {origin}\r\n");
        let call = signed(&known(), "Toy.Echo", "{}").replace("POST / HTTP/1.1\r\n", &head);
        let answer = ask_once(server.address, &call).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, Some(origin.as_str()))
        );
    }
    assert_eq!(get(server.address, "/healthz").await.header("access-control-allow-origin"), None);
}
