//! From a signed upgrade request to an open websocket.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use longshore_api::{Body, Message, Reply, RequestId, SocketError, SocketHandler, Text};
use longshore_base::percent;
use longshore_sigv4::CLOCK_SKEW;
use longshore_wire::{Family, GenericError, GenericErrorKind, Protocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use crate::answer::{Answer, answer, plain};
use crate::call::{call, internal, refuse_foreign};
use crate::handle::{Asking, is_serving};
use crate::meter::Metered;
use crate::server::{Peer, Phase, Shared};

/// The buffers of an agent's socket, each way. They grow for larger messages.
const SOCKET_BUFFER_BYTES: usize = 4 << 10;

/// Answers a request for an agent socket (agent-protocol G5).
pub(crate) async fn upgrade(asking: Asking<'_>, incoming: Incoming, extensions: Extensions) -> Answer {
    let (shared, peer, id) = (asking.shared, asking.peer, &asking.id);
    // Pages may open sockets to anywhere, and tell whose they are.
    if let Err(foreign) = shared.site.check_origin(shared.scheme, &asking.head.headers) {
        return refuse_foreign(asking, incoming, &foreign).await;
    }
    let accept = match accept_key(&asking.head.method, &asking.head.headers) {
        Ok(accept) => accept,
        Err(wrong) => {
            let mut response = plain(StatusCode::UPGRADE_REQUIRED, wrong, id);
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return response;
        }
    };
    if !is_serving(shared) {
        // A status other than 101 makes agents back off; a closed socket would not (G5).
        return refuse(id, GenericErrorKind::ServiceUnavailable, "The server is shutting down.");
    }
    let on_upgrade = on_upgrade(extensions);
    let now = shared.services.clock.now();
    // ECS's own calls have a narrower window, by which SDKs set their clock; an agent's sockets have no such help.
    let who = match asking.authenticate(b"", now, CLOCK_SKEW) {
        Ok(who) => who,
        Err(error) => {
            if let Some(kept_back) = shared.refused_sockets.event(Instant::now(), peer.ip) {
                let code = error.kind().code();
                tracing::warn!(request_id = %id, peer = %peer.ip, code, kept_back, "socket refused");
            }
            return refuse(id, error.kind(), error.to_string());
        }
    };
    let call = call(&asking, who, now);
    let query = query_pairs(asking.head.query());
    let Some(sockets) = &shared.services.sockets else {
        return plain(StatusCode::NOT_FOUND, "nothing is served here\n", id);
    };
    let opening =
        AssertUnwindSafe(async { sockets.open(call, asking.head.path(), query).await }).catch_unwind();
    match tokio::time::timeout(shared.limits.request_timeout, opening).await {
        Ok(Ok(Ok(handler))) => {
            tokio::spawn(run(shared.clone(), peer.clone(), id.clone(), on_upgrade, handler));
            let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, Bytes::new(), id);
            let headers = response.headers_mut();
            headers.remove(http::header::CONTENT_TYPE);
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            response
        }
        Ok(Ok(Err(refusal))) => {
            let status = refusal.status.as_u16();
            tracing::debug!(request_id = %id, peer = %peer.ip, status, "socket refused");
            answer(Reply::new(status, JSON.content_type(), Body::from(refusal.body)), JSON, id)
        }
        Ok(Err(_panic)) => {
            shared.services.metrics.panicked();
            tracing::error!(request_id = %id, "opening a socket panicked");
            let error = internal();
            refuse(id, error.kind, error.message)
        }
        Err(_elapsed) => {
            refuse(id, GenericErrorKind::ServiceUnavailable, "The socket was not opened in time.")
        }
    }
}

/// How agents read refusals.
const JSON: Protocol = Protocol::AwsJson11;

/// Agents look at the status: that of a signature is 403, as everywhere outside of awsJson.
fn refuse(id: &RequestId, kind: GenericErrorKind, message: impl Into<String>) -> Answer {
    let error = GenericError::new(kind, message);
    let mut reply = JSON.error(&error, None, id.as_str()).map(Body::from);
    (_, reply.status) = kind.told_in(Family::RestJson);
    answer(reply, JSON, id)
}

/// What turns the connection into a socket once the answer is written: hyper keeps it among the extensions.
fn on_upgrade(extensions: Extensions) -> OnUpgrade {
    let mut request = Request::new(());
    *request.extensions_mut() = extensions;
    hyper::upgrade::on(&mut request)
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
                handler(Box::pin(Carried(socket))).await;
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

/// A websocket as the port has it.
struct Carried<S>(WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Carried<S> {
    type Item = Result<Message, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let said = match ready!(self.0.poll_next_unpin(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(message)) => said(message),
            };
            if let Some(said) = said {
                return Poll::Ready(Some(Ok(said)));
            }
        }
    }
}

/// What the peer says, apart from pings, which the library answers.
fn said(message: tungstenite::Message) -> Option<Message> {
    match message {
        tungstenite::Message::Text(text) => {
            let text = Text::try_from(Bytes::from(text)).expect("the library has checked that it is UTF-8");
            Some(Message::Text(text))
        }
        tungstenite::Message::Binary(bytes) => Some(Message::Binary(bytes)),
        tungstenite::Message::Close(frame) => {
            let (code, reason) = match frame {
                Some(frame) => (frame.code.into(), frame.reason.to_string()),
                None => (NO_STATUS, String::new()),
            };
            Some(Message::Close { code, reason: reason.into() })
        }
        tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_) | tungstenite::Message::Frame(_) => {
            None
        }
    }
}

/// Who closes without a code (RFC 6455, section 7.1.5).
const NO_STATUS: u16 = 1005;

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Carried<S> {
    type Error = SocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.0.poll_ready_unpin(cx).map_err(SocketError::from)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SocketError> {
        let message = match message {
            Message::Text(text) => tungstenite::Message::Text(Utf8Bytes::try_from(text.into_bytes())?),
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
            Message::Close { code, reason } => {
                let reason = Utf8Bytes::from(reason.into_owned());
                tungstenite::Message::Close(Some(CloseFrame { code: code.into(), reason }))
            }
        };
        self.0.start_send_unpin(message).map_err(SocketError::from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.0.poll_flush_unpin(cx).map_err(SocketError::from)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.0.poll_close_unpin(cx).map_err(SocketError::from)
    }
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
