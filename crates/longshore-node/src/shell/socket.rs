//! One websocket to the control plane, ACS or TCS, from its upgrade to its end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::Request;
use longshore_client::{Endpoint, Stream};
use longshore_link::client::{Ending, Loss};
use longshore_link::limits::SERVER_FRAME_BYTES_MAX;
use longshore_link::message::join_signed;
use longshore_link::upgrade::Refusal;
use longshore_sigv4::ToSign;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::debug;

use super::calls::Calls;
use crate::core::{Input, Socket, SocketEvent};

/// How many frames may wait for the socket. One round of telemetry of 1,000 tasks has 200.
pub(super) const OUTGOING_MAX: usize = 4096;

/// How long the connection and its upgrade may take (agent-protocol G5).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the writing of one frame may take (agent-protocol G5).
const WRITE_TIMEOUT: Duration = Duration::from_secs(180);
/// How long the server's answer to our close frame is waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Small, because a process may have thousands of agents; frames larger than this still fit.
const BUFFER_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) enum Outgoing {
    Text(String),
    End(Ending),
}

/// One connection to open, and what it needs.
pub(super) struct Job {
    pub socket: Socket,
    pub connection: u64,
    /// As discovery gave it, `http` or `https`.
    pub endpoint: String,
    pub query: String,
    pub calls: Calls,
    pub frames: mpsc::Receiver<Outgoing>,
    pub inputs: mpsc::Sender<Input>,
}

/// Where the upgrade goes, in the parts that a signature needs.
struct Target {
    endpoint: Endpoint,
    path: String,
    query: String,
}

type Websocket = WebSocketStream<Box<dyn Stream>>;

/// Opens the connection and serves it until either end gives it up. Everything that happens goes to `job.inputs`.
pub(super) async fn run(mut job: Job) {
    let tell = |event| {
        let (socket, connection, inputs) = (job.socket, job.connection, job.inputs.clone());
        async move {
            // Fails only when the agent is gone.
            let _ = inputs.send(Input::Socket { socket, connection, event }).await;
        }
    };
    let opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, open(&job)).await;
    let (target, websocket) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(refusal)) => return tell(SocketEvent::Refused(refusal)).await,
        Err(_) => return tell(SocketEvent::Refused(None)).await,
    };
    tell(SocketEvent::Opened).await;
    let (mut sink, mut stream) = websocket.split();
    loop {
        tokio::select! {
            outgoing = job.frames.recv() => match outgoing {
                Some(Outgoing::Text(text)) => {
                    let text = match job.socket {
                        Socket::Commands => text,
                        Socket::Telemetry => signed(&job.calls, &target, &text),
                    };
                    let sent = tokio::time::timeout(WRITE_TIMEOUT, sink.send(Message::text(text))).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return tell(SocketEvent::Lost(Loss::Broken)).await;
                    }
                }
                Some(Outgoing::End(Ending::Drop)) => return,
                Some(Outgoing::End(Ending::Close(reason))) => {
                    let frame = CloseFrame { code: CloseCode::Normal, reason: reason.into() };
                    let close = async {
                        if sink.send(Message::Close(Some(frame))).await.is_ok() {
                            while let Some(Ok(_)) = stream.next().await {}
                        }
                    };
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
                    return;
                }
                // The agent's loop has dropped its end: it has given this connection up.
                None => return tell(SocketEvent::Lost(Loss::Broken)).await,
            },
            frame = stream.next() => match frame {
                Some(Ok(Message::Text(text))) => tell(SocketEvent::Received(text.as_str().to_owned())).await,
                // Pings are answered below us. Binary frames are not part of the protocol.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(1005, |frame| u16::from(frame.code));
                    return tell(SocketEvent::Lost(Loss::Closed(code))).await;
                }
                Some(Err(_)) | None => return tell(SocketEvent::Lost(Loss::Broken)).await,
            },
        }
    }
}

/// Opens the connection and upgrades it. The refusal is the server's answer, `None` if there was no such answer.
async fn open(job: &Job) -> Result<(Target, Websocket), Option<Refusal>> {
    let target = target(&job.endpoint, &job.query).ok_or(None)?;
    let stream = job.calls.http().connect(&target.endpoint.origin).await.map_err(|error| {
        debug!(%error, socket = ?job.socket, "cannot connect");
        None
    })?;
    let signed = target.sign(&job.calls, b"");
    let scheme = if target.endpoint.origin.is_tls { "wss" } else { "ws" };
    let host = &target.endpoint.authority;
    let mut request = Request::get(format!("{scheme}://{host}{}?{}", target.path, target.query))
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key());
    for (name, value) in &signed {
        request = request.header(*name, value);
    }
    let request = request.body(()).map_err(|_| None)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(SERVER_FRAME_BYTES_MAX)
        .max_message_size(Some(SERVER_FRAME_BYTES_MAX))
        .max_frame_size(Some(SERVER_FRAME_BYTES_MAX));
    match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
        Ok((websocket, _)) => Ok((target, websocket)),
        Err(tungstenite::Error::Http(answer)) => {
            debug!(status = %answer.status(), socket = ?job.socket, "the upgrade was refused");
            Err(answer.body().as_deref().and_then(Refusal::parse))
        }
        Err(error) => {
            debug!(%error, socket = ?job.socket, "the upgrade failed");
            Err(None)
        }
    }
}

/// The endpoint with `/ws` appended to its path (agent-protocol G2). `None` if it is not an address.
fn target(endpoint: &str, query: &str) -> Option<Target> {
    let endpoint = Endpoint::parse(endpoint).ok()?;
    let path = format!("{}/ws", endpoint.path);
    Some(Target { endpoint, path, query: query.to_owned() })
}

impl Target {
    /// The headers that sign the upgrade, or a message on its socket.
    fn sign(&self, calls: &Calls, body: &[u8]) -> Vec<(&'static str, String)> {
        let headers = [("host", self.endpoint.authority.as_str())];
        calls.sign(&ToSign { method: "GET", path: &self.path, query: &self.query, headers: &headers, body })
    }
}

/// A frame for TCS: the signature of the connection's URL with the message as body (agent-protocol G9).
fn signed(calls: &Calls, target: &Target, message: &str) -> String {
    let signed = target.sign(calls, message.as_bytes());
    let find =
        |wanted: &str| signed.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
    let headers = [
        ("Authorization", find("authorization")),
        ("Host", Some(target.endpoint.authority.as_str())),
        ("X-Amz-Date", find("x-amz-date")),
        ("X-Amz-Security-Token", find("x-amz-security-token")),
    ];
    join_signed(headers.into_iter().filter_map(|(name, value)| Some((name, value?))), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoints_path_is_kept() {
        let of = |endpoint| target(endpoint, "q=1").map(|target| (target.endpoint.authority, target.path));
        assert_eq!(of("http://h:1/acs"), Some(("h:1".into(), "/acs/ws".into())));
        assert_eq!(of("https://h/"), Some(("h".into(), "/ws".into())));
        assert_eq!(of("nowhere"), None);
    }
}
