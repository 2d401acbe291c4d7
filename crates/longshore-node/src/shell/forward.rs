//! The way of containers to the API: 169.254.170.2:51680, beside where they get the credentials of their roles.
//!
//! A container may have no route to the control plane, and does not know its certificate. So the agent takes its requests
//! and hands them on over a connection of its own, as they are: the signature names the host that the client saw, and the
//! control plane verifies it like that. There is one control plane to be reached so and nothing else, for containers of
//! tasks of this machine and nobody else, at a bounded size and pace. That a request comes from a container is said in a
//! header ([`FROM_CONTAINER`]), because for one no unknown key counts, whatever the mode.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_base::host::FROM_CONTAINER;
use longshore_client::{HttpClient, Origin};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use super::endpoint::{ADDRESS, CredentialsEndpoint};
use super::serve::{CLIENTS_MAX, Clients, Ends, may_be_a_pages};

/// Beside the ports that agents have on a machine (agent-protocol G2). Containers are told it once, when they are made.
const PORT: u16 = 51680;

/// How many connections one address may have: one container cannot keep the API from all others. SDKs open up to 50.
const CLIENTS_OF_PEER_MAX: usize = CLIENTS_MAX / 2;
/// The longest body, either way. The API itself takes less of most operations.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// How long a client may take for a head, and how long a connection waits for the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long either side may pause within a body.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the control plane may take to begin an answer, which may come after the whole body: as long as SDKs wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What belongs to one connection and not to the request (RFC 9110, section 7.6.1), and what only the agent says.
const NOT_HANDED_ON: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    FROM_CONTAINER,
];

type BoxError = Box<dyn Error + Send + Sync>;
type Piecewise = UnsyncBoxBody<Bytes, BoxError>;

/// Where the API is, and how it is reached.
struct Upstream {
    http: HttpClient,
    origin: Origin,
}

impl CredentialsEndpoint {
    /// Serves the API of a control plane to the containers of this machine's tasks. Gives the URL that they are told.
    ///
    /// # Errors
    /// The port is taken, or `origin` is none.
    pub async fn forward_api(self: &Arc<Self>, http: HttpClient, url: &str) -> io::Result<String> {
        let origin = url.parse().ok().and_then(|uri| Origin::of(&uri));
        let origin =
            origin.ok_or_else(|| io::Error::other("the address of the control plane has no host"))?;
        let listener = TcpListener::bind(SocketAddr::from((ADDRESS, PORT))).await?;
        let upstream = Arc::new(Upstream { http, origin });
        // It must not keep alive what ends it.
        let endpoint = Arc::downgrade(self);
        self.own(tokio::spawn(accept(listener, endpoint, upstream)));
        Ok(format!("http://{ADDRESS}:{PORT}"))
    }
}

async fn accept(
    listener: TcpListener,
    endpoint: std::sync::Weak<CredentialsEndpoint>,
    upstream: Arc<Upstream>,
) {
    let mut clients = Clients::new(CLIENTS_OF_PEER_MAX);
    let tell = |error: &io::Error| warn!(%error, "cannot accept containers that ask for the API");
    loop {
        // Who is a container of a task shows below.
        let (stream, peer, place) = clients.next(&listener, |_| true, tell).await;
        let Some(endpoint) = endpoint.upgrade() else { return };
        let upstream = upstream.clone();
        clients.serve(place, async move {
            let Ok(local) = stream.local_addr() else { return };
            let ends = Ends { peer, local };
            if !endpoint.is_for(ends).await {
                debug!(%peer, "somebody who is no container of a task asked for the API");
                return;
            }
            drop(endpoint);
            // One request after the other comes over a connection, and goes over one.
            let kept = Arc::new(Mutex::new(None));
            let service = service_fn(move |request| {
                let (upstream, kept) = (upstream.clone(), kept.clone());
                async move { Ok::<_, Infallible>(upstream.answer(request, &kept).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 << 10);
            // A client that breaks off is its own business.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Upstream {
    async fn answer(
        &self,
        request: Request<Incoming>,
        kept: &Mutex<Option<SendRequest<Piecewise>>>,
    ) -> Response<Piecewise> {
        if let Some(refusal) = refusal(request.headers()) {
            return said(refusal, "");
        }
        let request = handed_on(request);
        match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request, kept)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                debug!(%error, "a container's request was not answered");
                // SDKs try again.
                said(StatusCode::SERVICE_UNAVAILABLE, "the agent does not reach its control plane\n")
            }
            Err(_elapsed) => said(StatusCode::GATEWAY_TIMEOUT, "the control plane does not answer\n"),
        }
    }

    async fn exchange(
        &self,
        request: Request<Piecewise>,
        kept: &Mutex<Option<SendRequest<Piecewise>>>,
    ) -> Result<Response<Piecewise>, BoxError> {
        let mut kept = kept.lock().await;
        let mut request = request;
        if let Some(mut connection) = kept.take()
            && connection.ready().await.is_ok()
        {
            match connection.try_send_request(request).await {
                Ok(answer) => {
                    *kept = Some(connection);
                    return Ok(handed_back(answer));
                }
                // It had been closed meanwhile, and the request never left.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let stream = self.http.connect(&self.origin).await?;
        let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            let _ = driver.await;
        });
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        *kept = Some(connection);
        Ok(handed_back(answer))
    }
}

/// Why a request is not handed on: it may be a web page's (decision 25), it is for another host, or it wants another
/// protocol. Agents' sockets are not for containers.
fn refusal(headers: &HeaderMap) -> Option<StatusCode> {
    if may_be_a_pages(headers) {
        return Some(StatusCode::FORBIDDEN);
    }
    if headers.contains_key(header::UPGRADE) {
        return Some(StatusCode::NOT_FOUND);
    }
    let own = format!("{ADDRESS}:{PORT}");
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_ours =
        hosts.next().is_some_and(|host| host.as_bytes() == own.as_bytes()) && hosts.next().is_none();
    if !is_ours {
        return Some(StatusCode::MISDIRECTED_REQUEST);
    }
    let stated =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    stated.is_some_and(|bytes| bytes > BODY_BYTES_MAX).then_some(StatusCode::PAYLOAD_TOO_LARGE)
}

/// The request as the control plane gets it: the same, and from a container.
fn handed_on(request: Request<Incoming>) -> Request<Piecewise> {
    let (mut head, body) = request.into_parts();
    without_hops(&mut head.headers);
    head.headers.insert(HeaderName::from_static(FROM_CONTAINER), HeaderValue::from_static("1"));
    // Whoever writes the whole URL, as to a proxy, gets no other server by it.
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().unwrap_or_default();
    head.extensions.clear();
    let body = if body.is_end_stream() { nothing() } else { piecewise(body) };
    Request::from_parts(head, body)
}

fn handed_back(answer: Response<Incoming>) -> Response<Piecewise> {
    let (mut head, body) = answer.into_parts();
    without_hops(&mut head.headers);
    Response::from_parts(head, piecewise(body))
}

fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // What counts for the signature and for the length of the body is no affair of one connection.
    for name in named.into_iter().filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST) {
        headers.remove(name);
    }
    for name in NOT_HANDED_ON {
        headers.remove(name);
    }
}

/// The body as it comes, within its limits.
fn piecewise<B>(body: B) -> Piecewise
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let frames = stream::try_unfold((Box::pin(body), BODY_BYTES_MAX), |(mut body, left)| async move {
        let frame = match tokio::time::timeout(PAUSE_MAX, body.frame()).await {
            Err(_elapsed) => return Err(BoxError::from("a body paused for too long")),
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => frame.map_err(Into::<BoxError>::into)?,
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(bytes) {
            Some(left) => Ok(Some((frame, (body, left)))),
            None => Err(BoxError::from("a body is too long")),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn nothing() -> Piecewise {
    whole("")
}

fn whole(text: &'static str) -> Piecewise {
    Full::new(Bytes::from_static(text.as_bytes())).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn said(status: StatusCode, text: &'static str) -> Response<Piecewise> {
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_requests_for_this_address_are_handed_on() {
        const OWN: (&str, &str) = ("host", "169.254.170.2:51680");
        for (pairs, expected) in [
            (&[OWN][..], None),
            (&[OWN, ("content-length", "67108864")], None),
            (&[OWN, ("content-length", "67108865")], Some(413)),
            (&[OWN, ("upgrade", "websocket")], Some(404)),
            (&[OWN, ("origin", "http://a.example")], Some(403)),
            (&[("host", "169.254.170.2")], Some(421)),
            (&[("host", "192.0.2.1:8722")], Some(421)),
            (&[], Some(421)),
        ] {
            let found = refusal(&headers(pairs)).map(|status| status.as_u16());
            assert_eq!(found, expected, "{pairs:?}");
        }
        let mut two = headers(&[OWN]);
        two.append(header::HOST, HeaderValue::from_static("127.0.0.1"));
        assert_eq!(refusal(&two).map(|status| status.as_u16()), Some(421));
    }

    #[test]
    fn what_is_of_one_connection_stays_there() {
        let mut all = headers(&[
            ("host", "169.254.170.2:51680"),
            ("content-length", "2"),
            ("authorization", "AWS4-HMAC-SHA256 x"),
            ("connection", "close, x-mine, host, content-length"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("proxy-authorization", "x"),
            (FROM_CONTAINER, "no"),
        ]);
        without_hops(&mut all);
        let mut left: Vec<&str> = all.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-length", "host"]);
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_ends_in_an_error() {
        let piece = Bytes::from(vec![0; 1 << 20]);
        let endless = stream::repeat_with(move || Ok::<_, BoxError>(hyper::body::Frame::data(piece.clone())));
        let mut body = piecewise(StreamBody::new(endless));
        let mut taken = 0;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => taken += frame.data_ref().map_or(0, Bytes::len),
                Err(_) => break,
            }
        }
        assert_eq!(taken as u64, BODY_BYTES_MAX);
    }
}
