//! What an operator chooses about the API.

use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL at which agents open their sockets, without a slash at its end. With TLS it has no port if that is 443,
    /// because official agents take the whole of `host:port` for the server's name (agent-protocol G2).
    pub socket_endpoint: Arc<str>,
    /// Whether the account settings may ask for ARNs of the old format. ECS has refused it since
    /// 2021; old clients and examples need it (ecs-behaviour A9).
    pub allow_short_arns: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { socket_endpoint: "http://127.0.0.1:8722".into(), allow_short_arns: false }
    }
}
