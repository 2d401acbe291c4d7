//! Where agents connect to (agent-protocol G3, "DiscoverPollEndpoint").

use longshore_service::{Cx, Query, Resources, Watch};
use longshore_shapes_ecs::*;
use longshore_state::State;

use crate::{Caller, Ecs, permission};

/// The paths that the front serves agents on; an agent adds `/ws`.
const COMMAND_PATH: &str = "acs";
const TELEMETRY_PATH: &str = "tcs";

/// Both sockets are at one address, the API's unless the operator says otherwise. Agents keep the answer for twelve hours, so it must not depend on
/// the call.
impl Query<Ecs> for ops::DiscoverPollEndpoint {
    type Parsed = Endpoints;
    type Answer = DiscoverPollEndpointResponse;

    fn parse(cx: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let at = |path: &str| format!("{}/{path}", cx.api.settings.socket_endpoint);
        let (cluster, instance) = (input.cluster, input.container_instance);
        Ok(Endpoints { cluster, instance, commands: at(COMMAND_PATH), telemetry: at(TELEMETRY_PATH) })
    }

    fn resources(state: &State, caller: &Caller, parsed: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.for_instance(ask.on_all(), || {
            let (cluster, named) = (parsed.cluster.as_deref(), parsed.instance.as_deref());
            Some(match named.filter(|named| !named.is_empty()) {
                Some(named) => permission::member_arn(caller, cluster, "container-instance", named),
                None => caller.principal.to_string(),
            })
        })
    }

    fn run(_: &State, _: &Caller, parsed: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        Ok(DiscoverPollEndpointResponse {
            endpoint: Some(parsed.commands),
            telemetry_endpoint: Some(parsed.telemetry),
            // There is no Service Connect to configure.
            service_connect_endpoint: None,
        })
    }

    fn watch<'a>(cx: Cx<'a, Ecs>, parsed: &Self::Parsed) -> Option<Watch<'a, Self::Answer, Self::Error>> {
        let instance = parsed.instance.clone();
        Some(Box::new(move |result| {
            if let Ok(answer) = result {
                cx.api.news.discovered(instance.as_deref(), answer);
            }
        }))
    }
}

/// Where an agent finds its sockets.
pub struct Endpoints {
    cluster: Option<String>,
    /// As the agent names itself.
    instance: Option<String>,
    commands: String,
    telemetry: String,
}
