//! The HTTP servers for people (introspection) and for containers (credentials, task metadata, the agent's API).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use longshore_base::host::is_outside_public_dns;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::caller;
use super::gateway::{Peers, is_own};
use super::lookup::Sources;
use crate::core::AgentCore;
use crate::surface::{self, Answer, Asked, Reply};

/// Which of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Introspection,
    Tasks,
    /// No server of its own: whether a container of a task asks.
    Callers,
}

/// A request for the loop, which owns the core.
pub(super) struct Query {
    surface: Surface,
    asked: Asked,
    answer: oneshot::Sender<Answer>,
}

impl Query {
    pub fn new(surface: Surface, asked: Asked, answer: oneshot::Sender<Answer>) -> Self {
        Self { surface, asked, answer }
    }

    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Answers without asking the core. The client may be gone.
    pub fn reply(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }

    /// Answers, or has the answer found out beside the loop.
    pub fn answer(self, core: &AgentCore, sources: &Sources, tasks: &mut JoinSet<()>) {
        let reply = match self.surface {
            Surface::Introspection if self.asked.method != "GET" => {
                Reply::Now(Answer { status: 405, body: String::new() })
            }
            Surface::Introspection => {
                Reply::Now(surface::introspection(core, &self.asked.path, &self.asked.query))
            }
            Surface::Tasks => surface::tasks(core, &self.asked),
            Surface::Callers => surface::caller(core, &self.asked),
        };
        // The client may be gone.
        match reply {
            Reply::Now(answer) => {
                let _ = self.answer.send(answer);
            }
            Reply::Later(lookup) => {
                let sources = sources.clone();
                tasks.spawn(async move {
                    let _ = self.answer.send(sources.find(lookup).await);
                });
            }
        }
    }
}

/// The longest body that is read: what containers send are two small members.
const BODY_BYTES_MAX: usize = 16 << 10;

/// Requests have short headers and short bodies; a client that takes longer to send either is not one of ours.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many clients a listener serves at once; more wait in the kernel's queue.
pub(super) const CLIENTS_MAX: usize = 128;

/// How many of one address: a container that takes as many places as it can has to leave some for the others.
const CLIENTS_OF_PEER_MAX: usize = 32;

/// How long one connection is served. Clients open another; one that asks and never reads would keep its place for
/// ever, and a container with as many of those would keep credentials from all others.
const CLIENT_LIFE: Duration = Duration::from_secs(60);

/// How long the answer under way may take beyond that.
const CLIENT_GRACE: Duration = Duration::from_secs(5);

/// Serves until its task is dropped. An address that cannot be had costs this server, not the agent.
pub(super) async fn listen(
    address: SocketAddr,
    surface: Surface,
    queries: mpsc::Sender<Query>,
    agent: String,
) {
    match TcpListener::bind(address).await {
        Ok(listener) => {
            info!(%agent, %address, "{surface:?} is served");
            accept(listener, None, surface, queries, agent).await;
        }
        Err(error) => warn!(%agent, %address, %error, "cannot listen; {surface:?} is off"),
    }
}

/// Serves whom `peers` allows, or everybody, until its task is dropped.
pub(super) async fn accept(
    listener: TcpListener,
    peers: Option<Peers>,
    surface: Surface,
    queries: mpsc::Sender<Query>,
    agent: String,
) {
    let mut clients = Clients::new(CLIENTS_OF_PEER_MAX);
    let tell = |error: &io::Error| warn!(%agent, %error, "cannot accept");
    let allows = |peer| peers.as_ref().is_none_or(|peers| peers.allow(peer));
    loop {
        let (stream, peer, place) = clients.next(&listener, allows, tell).await;
        let queries = queries.clone();
        clients.serve(place, async move {
            let Ok(local) = stream.local_addr() else { return };
            let peer = Ends { peer, local };
            let service = service_fn(move |request| respond(request, surface, peer, queries.clone()));
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 << 10);
            let connection = server.serve_connection(TokioIo::new(stream), service);
            within(CLIENT_LIFE, CLIENT_GRACE, std::pin::pin!(connection)).await;
        });
    }
}

/// The clients that a listener serves, so many at once and of one address.
pub(super) struct Clients {
    served: JoinSet<()>,
    places: Places,
    of_peer_max: usize,
    is_failing: bool,
}

impl Clients {
    pub(super) fn new(of_peer_max: usize) -> Self {
        Self { served: JoinSet::new(), places: Places::default(), of_peer_max, is_failing: false }
    }

    /// The next client of an address that `allows` lets in, with a place. Why there is none, `tell` hears.
    pub(super) async fn next(
        &mut self,
        listener: &TcpListener,
        allows: impl Fn(IpAddr) -> bool,
        tell: impl Fn(&io::Error),
    ) -> (TcpStream, SocketAddr, Place) {
        loop {
            while self.served.len() >= CLIENTS_MAX || self.served.try_join_next().is_some() {
                if self.served.len() >= CLIENTS_MAX {
                    self.served.join_next().await;
                }
            }
            match listener.accept().await {
                Ok((_, peer)) if !allows(peer.ip()) => {}
                Ok((stream, peer)) => {
                    self.is_failing = false;
                    // Else closed at once: who is in a hurry comes again.
                    if let Some(place) = self.places.take(peer.ip(), self.of_peer_max) {
                        return (stream, peer, place);
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most likely: let some go. Said once, and not ten times a second.
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tell(&error);
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Serves it, in its place.
    pub(super) fn serve(&mut self, place: Place, work: impl Future<Output = ()> + Send + 'static) {
        self.served.spawn(async move {
            let _place = place;
            work.await;
        });
    }
}

/// How many clients of each address are served.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One of them, until it is dropped.
pub(super) struct Place {
    places: Places,
    peer: IpAddr,
}

impl Places {
    /// `None` if the address has as many as it may.
    fn take(&self, peer: IpAddr, max: usize) -> Option<Place> {
        let mut taken = self.0.lock();
        let count = taken.entry(peer).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

/// Serves a connection for its time, then finishes the answer under way, within `grace`.
async fn within<C: GracefulConnection>(life: Duration, grace: Duration, mut connection: Pin<&mut C>) {
    // A client that breaks off is its own business.
    if tokio::time::timeout(life, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(grace, connection).await;
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

impl Ends {
    /// The container that asks, where its address does not tell: it has the machine's.
    pub async fn container(self) -> Option<String> {
        let Self { peer, local } = self;
        let IpAddr::V4(address) = peer.ip() else { return None };
        if !is_own(address) {
            return None;
        }
        tokio::task::spawn_blocking(move || caller::container_of(peer, local)).await.ok().flatten()
    }
}

async fn respond(
    request: Request<Incoming>,
    surface: Surface,
    ends: Ends,
    queries: mpsc::Sender<Query>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let refused = |status| Ok(response(Answer { status, body: String::new() }));
    let (head, body) = request.into_parts();
    if may_be_a_pages(&head.headers) {
        return refused(403);
    }
    let body = match tokio::time::timeout(HEADER_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await
    {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return refused(413),
        Ok(Err(_)) => return refused(400),
        Err(_) => return refused(408),
    };
    let container = match surface {
        Surface::Tasks if surface::is_for_the_caller(head.uri.path()) => ends.container().await,
        Surface::Tasks | Surface::Callers | Surface::Introspection => None,
    };
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body,
        peer: Some(ends.peer.ip()),
        container,
    };
    let (answer, answered) = oneshot::channel();
    let answer = match queries.send(Query { surface, asked, answer }).await {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    Ok(response(answer.unwrap_or(Answer { status: 503, body: String::new() })))
}

/// Whether a web page may have sent a request with these headers (decision 25): browsers say where a page is from, and
/// a page whose own name was pointed here calls us by that name. Whoever has business here asks for an address, for
/// `localhost`, or for a name that is nobody's in the public DNS.
pub(super) fn may_be_a_pages(headers: &HeaderMap) -> bool {
    let is_near = |site: &HeaderValue| site == "none" || site == "same-origin";
    let is_ours = |host: &HeaderValue| {
        let authority = Authority::try_from(host.as_bytes()).ok();
        authority.is_some_and(|authority| {
            !authority.as_str().contains('@') && is_outside_public_dns(authority.host())
        })
    };
    headers.contains_key(header::ORIGIN)
        || !headers.get_all("sec-fetch-site").iter().all(is_near)
        || !headers.get_all(header::HOST).iter().all(is_ours)
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn pages_are_told_from_containers() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            may_be_a_pages(&headers.collect())
        };
        for own in [
            "169.254.170.2",
            "127.0.0.1:51678",
            "[::1]:51678",
            "localhost:51678",
            "host.docker.internal:51679",
        ] {
            assert!(!check(&[("host", own)]), "{own}");
            assert!(check(&[("host", own), ("origin", "http://other.example")]), "{own}");
            assert!(check(&[("host", own), ("origin", "null")]), "{own}");
        }
        assert!(!check(&[]));
        assert!(!check(&[("host", "localhost"), ("sec-fetch-site", "none")]));
        assert!(check(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]));
        assert!(check(&[("host", "localhost"), ("sec-fetch-site", "same-site")]));
        assert!(check(&[("host", "other.example:51678")]));
        assert!(check(&[("host", "127.0.0.1.other.example")]));
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::default();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().expect("an address"));
        let mut taken: Vec<Place> = std::iter::from_fn(|| places.take(a, CLIENTS_OF_PEER_MAX)).collect();
        assert_eq!(taken.len(), CLIENTS_OF_PEER_MAX);
        assert!(CLIENTS_OF_PEER_MAX * 2 < CLIENTS_MAX && places.take(b, CLIENTS_OF_PEER_MAX).is_some());
        taken.pop();
        assert!(places.take(a, CLIENTS_OF_PEER_MAX).is_some(), "a place is free again");
        drop(taken);
        assert!(places.0.lock().is_empty(), "and nothing is kept of who has gone");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_served_for_its_time_only() {
        let (mut client, server) = tokio::io::duplex(1024);
        let much = |_request| async {
            Ok::<_, Infallible>(response(Answer { status: 200, body: "x".repeat(1 << 20) }))
        };
        let server = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service_fn(much));
        client.write_all(b"GET /v1/tasks HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("there is room for it");
        let brief = Duration::from_millis(50);
        let server = pin!(server);
        let served = within(brief, brief, server);
        tokio::time::timeout(Duration::from_secs(20), served).await.expect("its place is free again");
        drop(client);
    }
}
