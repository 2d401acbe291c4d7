//! The hub as the front sees it: who may open a socket.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use longshore_api::{BoxFuture, Call, Refusal, SocketHandler, Sockets};
use longshore_base::ArnFormat;
use longshore_controllers::link;
use longshore_link::upgrade::{AcsQuery, Refusal as LinkRefusal, TcsQuery};
use longshore_service::{Access, Attempt, Caller, Guard, Resources};
use longshore_state::State;
use longshore_tables_ecs::InstanceKey;
use longshore_wire::Denied;

use crate::hub::{Channel, Hub};

/// Where agents open their command channel (agent-protocol G5).
pub const ACS_PATH: &str = "/acs/ws";
/// Where agents open their telemetry channel (agent-protocol G9).
pub const TCS_PATH: &str = "/tcs/ws";

/// What is repeated of an ARN that nobody knows.
const UNKNOWN_ARN_CHARACTERS_MAX: usize = 300;

/// A refusal as HTTP.
fn refusal(refusal: LinkRefusal) -> Refusal {
    let status = http::StatusCode::from_u16(refusal.http_status()).expect("a refusal has a valid status");
    Refusal { status, body: refusal.body().into() }
}

/// The hub as the front sees it.
pub struct AgentSockets {
    hub: Arc<Hub>,
    guard: Arc<dyn Guard>,
}

impl AgentSockets {
    pub fn new(hub: Arc<Hub>, guard: Arc<dyn Guard>) -> Self {
        Self { hub, guard }
    }
}

/// The instance whose socket is to be opened, if the caller may do `action` on it.
///
/// # Errors
/// First what policies say, then whether there is such an instance.
fn allowed(
    state: &State,
    guard: &dyn Guard,
    call: &Call,
    arn: &str,
    action: &str,
) -> Result<InstanceKey, Refused> {
    let found = link::identify(state, &call.principal.scope, arn);
    let caller = Caller::from(call);
    // Policies name instances by their long ARNs. What is not there is asked about as it was given, so that nobody learns
    // whether it is there who may not.
    let at_arn =
        |at: &InstanceKey| caller.scope.instance_arn(&at.cluster.cluster, at.instance, ArnFormat::Long);
    let resources = || {
        let known = found.as_ref().ok();
        let on = known.map_or_else(|| arn.to_owned(), &at_arn);
        let asked = Access::new(action, on, &caller);
        Resources::from(match known {
            Some(at) => asked.with("ecs:cluster", caller.scope.cluster_arn(&at.cluster.cluster)),
            None => asked,
        })
    };
    guard.allow(&Attempt::new(state, &caller, call.now, &resources)).map_err(Refused::Denied)?;
    found.map_err(Refused::Link)
}

/// Why a socket is not opened.
enum Refused {
    /// By a policy.
    Denied(Denied),
    /// By what the agent protocol asks for.
    Link(LinkRefusal),
}

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
        let (hub, guard) = (self.hub.clone(), self.guard.clone());
        let acs = path == ACS_PATH;
        Box::pin(async move {
            if hub.is_closing() {
                return Err(refusal(LinkRefusal::NotServing));
            }
            let acs_query = AcsQuery::from_pairs(query.clone());
            let tcs_query = TcsQuery::from_pairs(query);
            let (arn, channel, action) = if acs {
                (&acs_query.container_instance_arn, Channel::Commands, "ecs:Poll")
            } else {
                (&tcs_query.container_instance_arn, Channel::Telemetry, "ecs:StartTelemetrySession")
            };
            let identified = hub.db.read(|state| allowed(state, &*guard, &call, arn, action)).await;
            let at = match identified.unwrap_or(Err(Refused::Link(LinkRefusal::NotServing))) {
                Ok(at) => at,
                Err(Refused::Denied(denied)) => {
                    let text = denied.to_string();
                    return Err(Refusal::new(StatusCode::FORBIDDEN, "AccessDeniedException", &text));
                }
                Err(Refused::Link(reason)) => {
                    if let Some(kept_back) = hub.refused.event(Instant::now(), call.source_ip) {
                        let instance: String = arn.chars().take(UNKNOWN_ARN_CHARACTERS_MAX).collect();
                        let peer = call.source_ip;
                        tracing::info!(%peer, ?instance, ?channel, %reason, kept_back, "an agent's socket was refused");
                    }
                    return Err(refusal(reason));
                }
            };
            let peer = call.source_ip;
            let handler: SocketHandler = if acs {
                Box::new(move |socket| Box::pin(hub.serve_acs(at, acs_query, peer, socket)))
            } else {
                Box::new(move |socket| Box::pin(hub.serve_tcs(at, tcs_query, socket)))
            };
            Ok(handler)
        })
    }
}
