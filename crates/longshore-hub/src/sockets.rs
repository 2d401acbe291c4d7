//! The hub as the front sees it: who may open a socket.

use std::sync::Arc;
use std::time::Instant;

use longshore_api::{BoxFuture, Call, Refusal, SocketHandler, Sockets};
use longshore_controllers::link;
use longshore_link::upgrade::{AcsQuery, Refusal as LinkRefusal, TcsQuery};

use crate::hub::{Channel, Hub};

/// Where agents open their command channel, and where their telemetry channel.
pub const ACS_PATH: &str = "/acs/ws";
pub const TCS_PATH: &str = "/tcs/ws";

/// What is repeated of an ARN that nobody knows.
const UNKNOWN_ARN_CHARACTERS_MAX: usize = 300;

fn refusal(refusal: LinkRefusal) -> Refusal {
    let status = http::StatusCode::from_u16(refusal.http_status()).expect("a refusal has a valid status");
    Refusal { status, body: refusal.body().into() }
}

/// The hub as the front sees it.
pub struct AgentSockets(pub Arc<Hub>);

impl Sockets for AgentSockets {
    fn serves(&self, path: &str) -> bool {
        path == ACS_PATH || path == TCS_PATH
    }

    fn open<'a>(
        &'a self,
        call: Call,
        path: &'a str,
        query: Vec<(String, String)>,
    ) -> BoxFuture<'a, Result<SocketHandler, Refusal>> {
        let hub = self.0.clone();
        let acs = path == ACS_PATH;
        Box::pin(async move {
            if hub.is_closing() {
                return Err(refusal(LinkRefusal::NotServing));
            }
            let acs_query = AcsQuery::from_pairs(query.clone());
            let tcs_query = TcsQuery::from_pairs(query);
            let (arn, channel) = if acs {
                (&acs_query.container_instance_arn, Channel::Commands)
            } else {
                (&tcs_query.container_instance_arn, Channel::Telemetry)
            };
            let identified = hub.db.read(|state| link::identify(state, &call.principal.scope, arn)).await;
            let at = match identified.unwrap_or(Err(LinkRefusal::NotServing)) {
                Ok(at) => at,
                Err(reason) => {
                    if let Some(kept_back) = hub.refused.event(Instant::now(), call.source_ip) {
                        let instance: String = arn.chars().take(UNKNOWN_ARN_CHARACTERS_MAX).collect();
                        let peer = call.source_ip;
                        tracing::info!(%peer, ?instance, ?channel, %reason, kept_back, "an agent's socket was refused");
                    }
                    return Err(refusal(reason));
                }
            };
            let handler: SocketHandler = if acs {
                Box::new(move |socket| Box::pin(hub.serve_acs(at, acs_query, socket)))
            } else {
                Box::new(move |socket| Box::pin(hub.serve_tcs(at, tcs_query, socket)))
            };
            Ok(handler)
        })
    }
}
