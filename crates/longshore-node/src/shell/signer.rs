//! Signatures with the instance's credentials, or with those of a task's role.

use std::sync::Arc;

use longshore_base::Clock;
use longshore_sigv4::{Credentials, ToSign, sign};

use crate::config::Config;

/// The service name in every signature of an agent, sockets included (agent-protocol G1).
const SERVICE: &str = "ecs";

pub(super) struct Signer {
    credentials: Credentials,
    region: String,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        Self { credentials: config.credentials.clone(), region: config.region.as_str().to_owned(), clock }
    }

    /// The same with the credentials of somebody else, such as a task's role.
    pub fn of(&self, credentials: Credentials) -> Self {
        Self { credentials, region: self.region.clone(), clock: self.clock.clone() }
    }

    /// The headers to add to a request. `headers` are signed and have to be sent as they are.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<(&'static str, String)> {
        let request = ToSign { method, path, query, headers, body };
        sign(&request, &self.credentials, &self.region, SERVICE, self.clock.now())
    }
}
