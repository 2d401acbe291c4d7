//! From a signed upgrade request to an open websocket.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use longshore_base::percent;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::answer::{Answer, Failure, Protocol, answer, plain};
use crate::api::{JSON, Reply, RequestId, SocketHandler};
use crate::handle::{authenticate, call, is_serving, refuse_foreign};
use crate::meter::Metered;
use crate::server::{Peer, Phase, Shared};

/// The buffers of an agent's socket, each way. They grow for larger messages.
const SOCKET_BUFFER_BYTES: usize = 4 << 10;

/// Answers a request for an agent socket (agent-protocol G5).
pub(crate) async fn upgrade(
    shared: &Arc<Shared>,
    peer: Peer,
    id: RequestId,
    mut request: Request<Incoming>,
) -> Answer {
    // Pages may open sockets to anywhere, and tell whose they are.
    if let Err(foreign) = shared.site.check_origin(shared.scheme, request.headers()) {
        return refuse_foreign(shared, &peer, &id, request, &foreign).await;
    }
    let refuse = |failure: Failure| answer(failure.into_reply(Protocol::Json, &id), &id);
    let accept = match accept_key(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err(wrong) => {
            let mut response =
                refuse(Failure::new(StatusCode::UPGRADE_REQUIRED, "BadRequestException", wrong));
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return response;
        }
    };
    if !is_serving(shared) {
        // A status other than 101 makes agents back off; a closed socket would not (G5).
        return refuse(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServerException",
            "The server is shutting down.",
        ));
    }
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, _no_body) = request.into_parts();
    let now = shared.services.clock.now();
    let who = match authenticate(shared, &parts, b"", now, Protocol::Json) {
        Ok(who) => who,
        Err(failure) => {
            if let Some(kept_back) = shared.refused_sockets.event(Instant::now(), peer.ip) {
                tracing::warn!(request_id = %id, peer = %peer.ip, code = failure.code, kept_back, "socket refused");
            }
            return refuse(failure);
        }
    };
    let call = call(shared, &peer, &id, &parts, now, who);
    let query = query_pairs(parts.uri.query().unwrap_or(""));
    let Some(sockets) = &shared.services.sockets else {
        return plain(StatusCode::NOT_FOUND, "nothing is served here\n", &id);
    };
    let opening =
        AssertUnwindSafe(async { sockets.open(call, parts.uri.path(), query).await }).catch_unwind();
    match tokio::time::timeout(shared.limits.request_timeout, opening).await {
        Ok(Ok(Ok(handler))) => {
            tokio::spawn(run(shared.clone(), peer, id.clone(), on_upgrade, handler));
            let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, Bytes::new(), &id);
            let headers = response.headers_mut();
            headers.remove(http::header::CONTENT_TYPE);
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            response
        }
        Ok(Ok(Err(refusal))) => {
            tracing::debug!(request_id = %id, peer = %peer.ip, status = refusal.status.as_u16(), "socket refused");
            let reply =
                Reply { status: refusal.status, content_type: JSON, body: refusal.body, error_code: None };
            answer(reply, &id)
        }
        Ok(Err(_panic)) => {
            shared.services.metrics.panicked();
            tracing::error!(request_id = %id, "opening a socket panicked");
            refuse(Failure::internal())
        }
        Err(_elapsed) => refuse(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServerException",
            "The socket was not opened in time.",
        )),
    }
}

/// Checks the handshake of RFC 6455, section 4.2.1, and yields its answer.
fn accept_key(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, &'static str> {
    let has_token = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    if method != Method::GET || !has_token(UPGRADE, "websocket") || !has_token(CONNECTION, "upgrade") {
        return Err("This path takes websocket upgrades only.");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err("Only version 13 of the websocket protocol is supported.");
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or("Sec-WebSocket-Key is missing.")?;
    let accept = derive_accept_key(key.as_bytes());
    Ok(HeaderValue::from_str(&accept).expect("base64 is a valid header value"))
}

/// The parameters that are not part of a presigned signature.
fn query_pairs(query: &str) -> Vec<(String, String)> {
    let text = |part| percent::decode(part).map(|text| text.into_owned());
    query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("X-Amz-"))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((text(name)?, text(value)?))
        })
        .collect()
}

async fn run(shared: Arc<Shared>, peer: Peer, id: RequestId, on_upgrade: OnUpgrade, handler: SocketHandler) {
    let mut phase = shared.phase.subscribe();
    let cut = phase.wait_for(|phase| *phase == Phase::Cutting);
    let max = shared.limits.socket_message_bytes_max;
    // The library's buffers are made for few and busy sockets; here are thousands that are mostly idle.
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .max_message_size(Some(max))
        .max_frame_size(Some(max));
    let (messages, limit) = (shared.messages.clone(), shared.limits.body_timeout);
    let work = async {
        match on_upgrade.await {
            Ok(upgraded) => {
                let io = Metered::new(TokioIo::new(upgraded), messages, limit);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                handler(socket).await;
            }
            Err(error) => tracing::debug!(request_id = %id, %error, "the upgrade was not completed"),
        }
    };
    tokio::select! {
        ended = AssertUnwindSafe(work).catch_unwind() => if ended.is_err() {
            shared.services.metrics.panicked();
            tracing::error!(request_id = %id, "a socket's handler panicked");
        },
        _cut = cut => {}
    }
    drop(peer.slot);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_as_the_agent_writes_them() {
        let pairs = query_pairs("dockerVersion=DockerVersion%3A+20.10%2Bd&seqNum=1&&X-Amz-Date=0&flag");
        let want = [("dockerVersion", "DockerVersion: 20.10+d"), ("seqNum", "1"), ("flag", "")];
        assert_eq!(pairs, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
