//! GetAuthorizationToken: a password for the registry, which stands for the credentials that asked for it (registry I7).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_api::{Api, Body, BoxFuture, Call, Reply, Request};
use longshore_base::Scope;
use longshore_registry::USER;
use longshore_registry::ticket::{LASTS, Ticket};
use longshore_service::{Attempt, Caller, Guard, Resources, Server};
use longshore_shapes_ecr::{
    AuthorizationData, GetAuthorizationTokenError, GetAuthorizationTokenRequest,
    GetAuthorizationTokenResponse, ops,
};
use longshore_state::Db;
use longshore_wire::operation::run;
use longshore_wire::route::ServiceFacts;
use longshore_wire::{Fault, OperationShape};
use zeroize::Zeroizing;

use crate::operations::NAMES;
use crate::{Ecr, OPERATIONS, RegistryHost, find, input, permission};

/// The header, and the parameter of a URL, of temporary credentials.
const SESSION_HEADER: &str = "x-amz-security-token";
const SESSION_PARAMETER: &str = "X-Amz-Security-Token";

/// ECR: the table of operations, and what has to see more of a request than its input.
pub struct EcrApi {
    server: Server<Ecr>,
    db: Arc<Db>,
    guard: Arc<dyn Guard>,
    host: RegistryHost,
}

impl EcrApi {
    /// The API over a database with the tables of ECR, of blobs, of IAM, and the keyring.
    pub fn new(db: Arc<Db>, guard: Arc<dyn Guard>, host: RegistryHost) -> Self {
        let api = Ecr { host: host.clone() };
        let server =
            Server::new(&longshore_catalog::ECR, &OPERATIONS, db.clone(), api).guarded(guard.clone());
        Self { server, db, guard, host }
    }

    async fn authorize(
        &self,
        call: &Call,
        caller: &Caller,
        input: GetAuthorizationTokenRequest,
    ) -> Result<GetAuthorizationTokenResponse, GetAuthorizationTokenError> {
        input::check(&input)?;
        let ticket = Ticket {
            access_key_id: call.principal.access_key_id.to_string(),
            session_token: session_token(call),
            region: caller.scope.region.clone(),
            expires: call.now + LASTS,
        };
        let seed = self.db.draw_seed();
        let sealed = self.db.read(|state| {
            let resources = || Resources::from(permission::on_all(caller, "GetAuthorizationToken"));
            self.guard.allow(&Attempt::new(state, caller, call.now, &resources))?;
            ticket.seal(state, seed).map_err(|error| GetAuthorizationTokenError::from(Fault::hidden(error)))
        });
        let password = Zeroizing::new(sealed.await.map_err(Fault::hidden)??);
        let token = STANDARD.encode(Zeroizing::new(format!("{USER}:{}", password.as_str())).as_bytes());
        // One for each registry that is named, with one password: whose it is decides, not where it is used.
        let named = input.registry_ids.unwrap_or_default();
        let registries = match named.is_empty() {
            true => vec![caller.scope.clone()],
            false => named
                .iter()
                .map(|id| find::of_account(caller, "registryIds", id))
                .collect::<Result<Vec<Scope>, _>>()?,
        };
        let data = registries.iter().map(|registry| AuthorizationData {
            authorization_token: Some(token.clone()),
            expires_at: Some(ticket.expires),
            proxy_endpoint: Some(self.host.endpoint(registry)),
        });
        Ok(GetAuthorizationTokenResponse { authorization_data: Some(data.collect()) })
    }
}

/// What comes with temporary credentials, in the header or in the URL.
fn session_token(call: &Call) -> Option<Zeroizing<String>> {
    let in_header = call.head.header(SESSION_HEADER).map(str::to_owned);
    let token =
        in_header.or_else(|| longshore_registry::route::parameter(call.head.query(), SESSION_PARAMETER));
    token.map(Zeroizing::new)
}

impl Api for EcrApi {
    fn facts(&self) -> &'static ServiceFacts {
        self.server.facts()
    }

    fn operations(&self) -> &'static [&'static str] {
        NAMES
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            if request.operation != ops::GetAuthorizationToken::NAME {
                return self.server.call(request).await;
            }
            let request = match request.whole().await {
                Ok(request) => request,
                Err(broken) => return broken,
            };
            let caller = Caller::from(&request.call);
            let headers = request.headers_to_read();
            let ask = request.ask(&headers);
            let answer = run::<ops::GetAuthorizationToken, _, _>(&ask, |input| {
                self.authorize(&request.call, &caller, input)
            });
            answer.await.map(Body::from)
        })
    }
}
