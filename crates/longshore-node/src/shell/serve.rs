//! The HTTP servers for people (introspection) and for containers (credentials and task metadata).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::gateway::Peers;
use crate::core::AgentCore;
use crate::surface::{self, Answer};

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Introspection,
    Tasks,
}

/// A request for the loop, which owns the core.
pub(super) struct Query {
    surface: Surface,
    path: String,
    query: String,
    answer: oneshot::Sender<Answer>,
}

impl Query {
    pub fn answer(self, core: &AgentCore) {
        let answer = match self.surface {
            Surface::Introspection => surface::introspection(core, &self.path, &self.query),
            Surface::Tasks => surface::tasks(core, &self.path, &self.query),
        };
        // The client may be gone.
        let _ = self.answer.send(answer);
    }
}

/// Requests have no bodies and short headers; a client that takes longer to send them is not one of ours.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many clients are served at once; more wait in the kernel's queue.
const CLIENTS_MAX: usize = 128;

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
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= CLIENTS_MAX || clients.try_join_next().is_some() {
            if clients.len() >= CLIENTS_MAX {
                clients.join_next().await;
            }
        }
        let stream = match listener.accept().await {
            Ok((_, peer)) if peers.as_ref().is_some_and(|peers| !peers.allow(peer.ip())) => continue,
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: let some go.
                warn!(%agent, %error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let queries = queries.clone();
        clients.spawn(async move {
            let service = service_fn(move |request| respond(request, surface, queries.clone()));
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 << 10);
            let connection = server.serve_connection(TokioIo::new(stream), service);
            within(CLIENT_LIFE, CLIENT_GRACE, std::pin::pin!(connection)).await;
        });
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

async fn respond(
    request: Request<Incoming>,
    surface: Surface,
    queries: mpsc::Sender<Query>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET {
        return Ok(response(Answer { status: 405, body: String::new() }));
    }
    let (answer, answered) = oneshot::channel();
    let uri = request.uri();
    let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    let asked = queries.send(Query { surface, path, query, answer }).await;
    let answer = match asked {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    Ok(response(answer.unwrap_or(Answer { status: 503, body: String::new() })))
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
