//! The signer: the credentials, the region and the clock that requests are signed with.

use std::fmt;
use std::sync::Arc;

use longshore_base::Clock;
use longshore_sigv4::{Credentials, ToSign, sign};

/// Signs requests of one principal. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    credentials: Arc<Credentials>,
    region: Arc<str>,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub fn new(credentials: Credentials, region: &str, clock: Arc<dyn Clock>) -> Self {
        Self { credentials: Arc::new(credentials), region: region.into(), clock }
    }

    /// The same with other credentials, such as those of a task's role.
    pub fn of(&self, credentials: Credentials) -> Self {
        Self { credentials: Arc::new(credentials), ..self.clone() }
    }

    /// The same in another region.
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.into(), ..self.clone() }
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// The headers to add to a request to `service`. All of its own are signed and have to be sent as they are.
    pub fn sign(&self, service: &str, request: &ToSign<'_>) -> Vec<(&'static str, String)> {
        sign(request, &self.credentials, &self.region, service, self.clock.now())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { credentials, region, clock: _ } = self;
        f.debug_struct("Signer").field("credentials", credentials).field("region", region).finish()
    }
}
