//! AssumeRoleWithWebIdentity: who has a token of a provider that a role trusts becomes one of the role's sessions, without
//! a key (identity J3).
//!
//! [`WebSts`] stands before the table of operations: it sees to it that the issuer's keys are there, which may take a while,
//! before the operation is parsed. Keys are fetched of issuers that the role's account has made a provider of, and of no
//! others, whatever a token says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_api::{Api, Body, BoxFuture, Reply, Request};
use longshore_base::{AccountId, Timestamp};
use longshore_policy::{Asker, Context};
use longshore_service::{Caller, Command, Cx, Resources, Server};
use longshore_shapes_sts::{
    AssumeRoleWithWebIdentityRequest, AssumeRoleWithWebIdentityResponse, AssumedRoleUser,
    ExpiredTokenException, IDPCommunicationErrorException, InvalidIdentityTokenException, ops,
};
use longshore_state::{Db, State, Tx};
use longshore_tables_iam::arn::{self, IamArn};
use longshore_tables_iam::record::OidcProvider;
use longshore_tables_iam::session::{Of, Session};
use longshore_tables_iam::{IamState, trust};
use longshore_wire::route::ServiceFacts;
use longshore_wire::{Denied, Fault, OperationShape, iso8601};

use super::issuers::Issuers;
use super::jwt::{Jwt, Verdict};
use super::limits::{self, Given};
use super::{Sts, shape};
use crate::iam::input::{self, given};

const DEFAULT_SECONDS: u32 = 3600;
const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// STS, with the keys of web identities.
pub struct WebSts {
    server: Server<Sts>,
    issuers: Arc<Issuers>,
    db: Arc<Db>,
}

impl WebSts {
    pub fn new(server: Server<Sts>, issuers: Arc<Issuers>, db: Arc<Db>) -> Self {
        Self { server, issuers, db }
    }

    /// Has the keys ready that the request will be verified with.
    async fn prepare(&self, request: &Request<Bytes>) {
        let headers = request.headers_to_read();
        let ask = request.ask(&headers);
        // What cannot be read is refused by the operation.
        let Ok(input) = ask.protocol.read::<ops::AssumeRoleWithWebIdentity>(&ask.request) else { return };
        let Some(token) = input.web_identity_token.as_deref().and_then(Jwt::read) else { return };
        let (Some(issuer), Some(role)) = (token.text("iss"), &input.role_arn) else { return };
        let account = IamArn::parse(role).and_then(|arn| arn.account_id());
        let is_provider =
            self.db.peek(|state| account.is_some_and(|account| provider(state, account, issuer).is_some()));
        if is_provider {
            self.issuers.prepare(issuer, token.key_id.as_deref(), request.call.now).await;
        }
    }
}

impl Api for WebSts {
    fn facts(&self) -> &'static ServiceFacts {
        self.server.facts()
    }

    fn operations(&self) -> &'static [&'static str] {
        self.server.operations()
    }

    fn takes_unsigned(&self, operation: &str) -> bool {
        operation == ops::AssumeRoleWithWebIdentity::NAME
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            if request.operation != ops::AssumeRoleWithWebIdentity::NAME {
                return self.server.call(request).await;
            }
            let request = match request.whole().await {
                Ok(request) => request,
                Err(broken) => return broken,
            };
            self.prepare(&request).await;
            let Request { call, operation, protocol, body } = request;
            self.server.call(Request { call, operation, protocol, body: Body::from(body) }).await
        })
    }
}

/// A provider's id is its URL without the scheme.
fn id_of(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/')
}

fn provider<'s>(state: &'s State, account: AccountId, issuer: &str) -> Option<&'s Arc<OidcProvider>> {
    state.iam().realm_of(account)?.provider(id_of(issuer))
}

/// A call that was read.
pub struct Asked {
    input: AssumeRoleWithWebIdentityRequest,
    given: Given,
    token: Jwt,
    issuer: String,
    /// `None` if the issuer's keys could not be had.
    verdict: Option<Verdict>,
}

impl Command<Sts> for ops::AssumeRoleWithWebIdentity {
    type Parsed = Asked;
    type Answer = Self::Output;

    fn parse(cx: &Cx<'_, Sts>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        if input.provider_id.as_ref().is_some_and(|id| !id.is_empty()) {
            return Err(Fault::final_refusal(
                "ProviderId is of OAuth 2.0, which is not served. Leave it out.",
            )
            .into());
        }
        let given = Given::read::<Self::Error>(input.policy.as_deref(), input.policy_arns.as_ref(), None)?;
        let token = input.web_identity_token.as_deref().and_then(Jwt::read);
        let token = token
            .ok_or_else(|| InvalidIdentityTokenException::new("The ID Token provided is not a valid JWT."))?;
        let Some(issuer) = token.text("iss").map(str::to_owned) else {
            return Err(InvalidIdentityTokenException::new("Missing a required claim: iss").into());
        };
        let keys = cx.api.issuers.as_ref().and_then(|issuers| issuers.get(&issuer));
        let verdict = keys.map(|keys| token.verify(&keys));
        Ok(Asked { input, given, token, issuer, verdict })
    }

    // Nobody signs the call; the trust policy decides, below.
    fn resources(_: &State, _: &Caller, _: &Self::Parsed) -> Resources {
        Resources::none()
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, asked: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let Asked { input, given: with, token, issuer, verdict } = asked;
        let (partition, named) = (caller.scope.partition(), given(&input.role_arn));
        let denied = || Denied::new(format!("Not authorized to perform {ACTION}"));
        let account = IamArn::parse(named).and_then(|arn| arn.account_id()).ok_or_else(denied)?;
        let Some(provider) = provider(tx.state(), account, &issuer) else {
            let text = format!("No OpenIDConnect provider found in your account for {issuer}");
            return Err(InvalidIdentityTokenException::new(text).into());
        };
        let audiences = token.texts("aud");
        let Some(audience) = audiences.iter().find(|own| provider.clients.contains(own.as_str())).cloned()
        else {
            return Err(InvalidIdentityTokenException::new("Incorrect token audience").into());
        };
        match verdict {
            Some(Verdict::Valid) => {}
            Some(Verdict::Invalid) => {
                return Err(InvalidIdentityTokenException::new(
                    "The signature of the ID Token is not valid.",
                )
                .into());
            }
            Some(Verdict::UnknownKey) | None => {
                let text = "Couldn't retrieve verification key from your identity provider, please reference \
                            AssumeRoleWithWebIdentity documentation for requirements";
                return Err(match verdict {
                    Some(_) => InvalidIdentityTokenException::new(text).into(),
                    None => IDPCommunicationErrorException::new(text).into(),
                });
            }
        }
        check_times::<Self::Error>(&token, tx.now)?;
        let provider_arn = arn::of(partition, account, "oidc-provider", "/", id_of(&issuer));
        let (_, role) = tx.iam().role_named(partition, named).ok_or_else(denied)?;
        let role = role.clone();
        let session_name = given(&input.role_session_name);
        let asker = Asker::Federated(provider_arn.clone());
        let context = context(&token, &issuer, session_name, tx.now);
        if !trust::allows(&role, account, named, asker, ACTION, &context) {
            return Err(denied().into());
        }
        with.check(tx.state(), caller, account)?;
        let seconds = limits::seconds(input.duration_seconds, DEFAULT_SECONDS);
        if seconds > role.session_max {
            let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(Fault::final_refusal(text).into());
        }
        let of = Of::Role { id: role.own.id.clone(), name: session_name.into() };
        let mut session = Session::new(of, tx.now, tx.now + Duration::from_secs(seconds.into()));
        session.limits = with.limits;
        session.provider = Some(provider_arn.as_str().into());
        let issued = shape::issue(tx, account, session)?;
        Ok(AssumeRoleWithWebIdentityResponse {
            assumed_role_user: Some(AssumedRoleUser {
                arn: Some(format!(
                    "arn:{}:sts::{account}:assumed-role/{}/{session_name}",
                    partition.as_str(),
                    role.own.name
                )),
                assumed_role_id: Some(format!("{}:{session_name}", role.own.id)),
            }),
            audience: Some(audience),
            credentials: Some(shape::credentials(issued)),
            packed_policy_size: with.packed_percent,
            provider: Some(provider_arn),
            source_identity: None,
            subject_from_web_identity_token: token.text("sub").map(str::to_owned),
        })
    }
}

fn check_times<E>(token: &Jwt, now: Timestamp) -> Result<(), E>
where
    E: From<ExpiredTokenException> + From<InvalidIdentityTokenException>,
{
    let seconds = now.as_millis().div_euclid(1000);
    let shown = |seconds: i64| iso8601(Timestamp::from_millis(seconds.saturating_mul(1000)));
    let Some(ends) = token.seconds("exp") else {
        return Err(InvalidIdentityTokenException::new("Missing a required claim: exp").into());
    };
    if ends <= seconds {
        let text = format!(
            "Token expired: current date/time {} must be before the expiration date/time {}",
            shown(seconds),
            shown(ends)
        );
        return Err(ExpiredTokenException::new(text).into());
    }
    // Clocks differ a little.
    match token.seconds("nbf") {
        Some(begins) if begins > seconds + 300 => {
            Err(InvalidIdentityTokenException::new("The ID Token is not valid yet.").into())
        }
        Some(_) | None => Ok(()),
    }
}

/// What the trust policy may ask about: the issuer's claims, under its name.
fn context(token: &Jwt, issuer: &str, session_name: &str, now: Timestamp) -> Context {
    let mut context = Context::new().at(now).with("sts:RoleSessionName", session_name);
    for name in token.claims.keys() {
        let values = token.texts(name);
        if !values.is_empty() {
            context.set_all(&format!("{}:{name}", id_of(issuer)), values);
        }
    }
    context
}
