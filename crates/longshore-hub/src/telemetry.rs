//! An agent's telemetry channel (TCS): what it observes is written down.

use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use longshore_api::{Message, Socket};
use longshore_controllers::link;
use longshore_link::server::{CloseReason, Observation, Telemetry, TelemetryOutput};
use longshore_link::upgrade::TcsQuery;
use longshore_tables_ecs::InstanceKey;

use crate::hub::{Channel, Counted, Hub, close, take_leave};
use crate::{CLOSED, CUT, IDLE_MAX, NO_TEXT, NOT_STORED, SERVER_ENDS};

impl Hub {
    pub(crate) async fn serve_tcs(self: Arc<Self>, at: InstanceKey, query: TcsQuery, socket: Socket) {
        let _open = Counted::one(&self.sockets);
        let told = self.tell(&at, Channel::Telemetry, &query.agent_version);
        let (mut sink, stream) = socket.split();
        let reason = tokio::select! {
            reason = self.listen(&at, &mut sink, stream) => reason,
            () = self.closed() => {
                take_leave(&mut sink, CloseReason::Draining).await;
                SERVER_ENDS
            }
        };
        if told {
            tracing::info!(instance = %at.instance, channel = ?Channel::Telemetry, reason, "agent disconnected");
        }
    }

    /// Takes in what an agent observes until either side ends it. Gives the reason in words for the operator.
    async fn listen(
        &self,
        at: &InstanceKey,
        sink: &mut SplitSink<Socket, Message>,
        mut stream: SplitStream<Socket>,
    ) -> &'static str {
        let seed = self.registry.lock().generation().seed();
        let mut session = Telemetry::new(self.now(), seed);
        loop {
            while let Some(output) = session.poll() {
                match output {
                    TelemetryOutput::Send(text) => {
                        if sink.send(Message::Text(text.into())).await.is_err() {
                            return CUT;
                        }
                    }
                    TelemetryOutput::Observed(observation) => {
                        if !self.take_in(at, &observation).await {
                            return NOT_STORED;
                        }
                    }
                    TelemetryOutput::Malformed(error) => {
                        tracing::warn!(instance = %at.instance, %error, "skipped a malformed telemetry message");
                    }
                    TelemetryOutput::Close(reason) => {
                        let _ = sink.send(close(reason)).await;
                        return reason.text();
                    }
                }
            }
            let pause =
                session.deadline().map_or(IDLE_MAX, |deadline| deadline.since(self.now()).min(IDLE_MAX));
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => session.received(self.now(), text.as_str()),
                    Some(Ok(Message::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                        Ok(text) => session.received(self.now(), text),
                        Err(_) => return NO_TEXT,
                    },
                    Some(Ok(Message::Close { .. })) => return CLOSED,
                    Some(Err(_)) | None => return CUT,
                },
                () = tokio::time::sleep(pause) => session.tick(self.now()),
            }
        }
    }

    /// False if it could not be stored.
    async fn take_in(&self, at: &InstanceKey, observation: &Observation) -> bool {
        for part in link::parts(observation) {
            let taken = self.db.write(|tx| {
                link::take_in(tx, at, &part);
                Ok::<_, ()>(())
            });
            if taken.await.is_err() {
                return false;
            }
        }
        true
    }
}
