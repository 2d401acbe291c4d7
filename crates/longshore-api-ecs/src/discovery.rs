//! Where agents connect to (agent-protocol G3, "DiscoverPollEndpoint").

use longshore_shapes_ecs::*;

use crate::Settings;

/// The paths that the front serves agents on; an agent adds `/ws`.
const COMMAND_PATH: &str = "acs";
const TELEMETRY_PATH: &str = "tcs";

/// Both sockets are at one address, the API's unless the operator says otherwise. Agents keep the answer for twelve hours, so it must not depend on
/// the call.
pub fn discover_poll_endpoint(
    settings: &Settings,
    _input: DiscoverPollEndpointRequest,
) -> Result<DiscoverPollEndpointResponse, DiscoverPollEndpointError> {
    let at = |path: &str| Some(format!("{}/{path}", settings.socket_endpoint));
    Ok(DiscoverPollEndpointResponse {
        endpoint: at(COMMAND_PATH),
        telemetry_endpoint: at(TELEMETRY_PATH),
        // There is no Service Connect to configure.
        service_connect_endpoint: None,
    })
}
