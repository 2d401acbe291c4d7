//! Joining over HTTP: operations under a target prefix of their own.

use std::sync::Arc;

use longshore_api::{Api, Body, BoxFuture, Call, Reply, Request};
use longshore_link::join::{self, CreateToken, Join, RevokeToken};
use longshore_service::{Attempt, Caller, Guard, Resources};
use longshore_shapes_ecs::InvalidParameterException;
use longshore_state::{Db, Refused, Tx};
use longshore_wire::route::ServiceFacts;
use longshore_wire::{Denied, Fault, GenericError, GenericErrorKind, ModeledError, Protocol, ServiceSchema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{JoinError, Server, keys, tokens};

/// Serves the operations of [`longshore_link::join`].
pub struct Joining {
    db: Arc<Db>,
    server: Server,
    guard: Arc<dyn Guard>,
}

/// Why there is no answer of success.
enum Refusal {
    Denied(Denied),
    Error(JoinError),
    Body(serde_json::Error),
    Db(Refused),
}

impl Joining {
    pub fn new(db: Arc<Db>, server: Server, guard: Arc<dyn Guard>) -> Self {
        Self { db, server, guard }
    }

    async fn answer(&self, call: &Call, operation: &str, body: &[u8], protocol: Protocol) -> Reply {
        let done = match operation {
            join::CREATE_TOKEN => self.create(call, body).await,
            join::LIST_TOKENS => self.list(call).await,
            join::REVOKE_TOKEN => self.revoke(call, body).await,
            join::JOIN => self.join(call, body).await,
            join::RENEW => self.renew(call).await,
            _ => {
                return told(
                    protocol,
                    &GenericError::new(GenericErrorKind::UnknownOperation, "It is not known."),
                );
            }
        };
        match done {
            Ok(json) => Reply::new(200, protocol.content_type(), Body::from(json)),
            Err(refusal) => refused(protocol, refusal),
        }
    }

    async fn create(&self, call: &Call, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: CreateToken = read(body)?;
        let caller = Caller::from(call);
        let made = self.write(|tx| {
            self.allow(tx, &caller, call, &|| tokens::to_create(&caller, &request))?;
            tokens::create(tx, &caller, request.clone(), &self.server).map_err(Refusal::Error)
        });
        let made = made.await?;
        tracing::info!(token = %made.about.id, cluster = %made.about.cluster, by = %caller.principal, "a join token was made");
        Ok(json(&made))
    }

    async fn list(&self, call: &Call) -> Result<Vec<u8>, Refusal> {
        let caller = Caller::from(call);
        let found = self.db.read(|state| {
            let needs = || tokens::to_list(&caller);
            self.guard.allow(&Attempt::new(state, &caller, call.now, &needs))?;
            Ok::<_, Denied>(tokens::list(state, &caller))
        });
        let found = found.await.map_err(|stopped| Refusal::Db(stopped.into()))?;
        found.map(|tokens| json(&tokens)).map_err(Refusal::Denied)
    }

    async fn revoke(&self, call: &Call, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let RevokeToken { id } = read(body)?;
        let caller = Caller::from(call);
        let revoked = self.write(|tx| {
            self.allow(tx, &caller, call, &|| tokens::to_revoke(&caller))?;
            tokens::revoke(tx, &caller, &id).map_err(Refusal::Error)
        });
        revoked.await?;
        tracing::info!(token = %id, by = %caller.principal, "a join token was revoked");
        Ok(b"{}".to_vec())
    }

    async fn join(&self, call: &Call, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: Join = read(body)?;
        let joined = self.write(|tx| keys::join(tx, &request).map_err(Refusal::Error)).await?;
        let peer = call.source_ip;
        tracing::info!(%peer, instance = %joined.container_instance_arn, "a machine has joined with a token");
        Ok(json(&joined))
    }

    async fn renew(&self, call: &Call) -> Result<Vec<u8>, Refusal> {
        let caller = Caller::from(call);
        let with = &call.principal.access_key_id;
        let renewed = self.write(|tx| keys::renew(tx, &caller, with).map_err(Refusal::Error));
        Ok(json(&renewed.await?))
    }

    fn allow(
        &self,
        tx: &Tx<'_>,
        caller: &Caller,
        call: &Call,
        needs: &dyn Fn() -> Resources,
    ) -> Result<(), Refusal> {
        self.guard.allow(&Attempt::new(tx.state(), caller, call.now, needs)).map_err(Refusal::Denied)
    }

    async fn write<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.db.write(f).await.map_err(Refusal::Db)?
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::Body)
}

fn json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("texts and numbers are JSON")
}

fn refused(protocol: Protocol, refusal: Refusal) -> Reply {
    let generic = |kind, text: String| told(protocol, &GenericError::new(kind, text));
    match refusal {
        Refusal::Denied(denied) => generic(GenericErrorKind::AccessDenied, denied.to_string()),
        // The parser quotes what it does not expect, which may be a secret.
        Refusal::Body(error) => {
            let text =
                format!("The body cannot be read, at line {} column {}.", error.line(), error.column());
            generic(GenericErrorKind::Serialization, text)
        }
        Refusal::Db(stopped) => told(protocol, &Fault::hidden(stopped)),
        Refusal::Error(error) => match error {
            JoinError::Keyring(error) => told(protocol, &Fault::hidden(error)),
            JoinError::Invalid
            | JoinError::Expired
            | JoinError::UsedUp
            | JoinError::Deregistered
            | JoinError::NoInstance => generic(GenericErrorKind::AccessDenied, error.to_string()),
            JoinError::Cluster(_)
            | JoinError::Ttl
            | JoinError::Uses
            | JoinError::TooMany
            | JoinError::Attribute(_)
            | JoinError::NoToken(_)
            | JoinError::Nonce => told(protocol, &InvalidParameterException::new(error.to_string())),
        },
    }
}

fn told(protocol: Protocol, error: &dyn ModeledError) -> Reply {
    protocol.error(error, Some(&FACTS.schema), "").map(Body::from)
}

/// What the router knows of these operations: they are called as ECS's are, under a target of their own.
static FACTS: ServiceFacts = ServiceFacts {
    name: "longshore-join",
    title: "Longshore",
    endpoint_prefix: "ecs",
    schema: ServiceSchema {
        signing_name: "ecs",
        api_version: "1",
        target_prefix: Some(join::TARGET_PREFIX),
        xml_namespace: None,
        protocols: &[Protocol::AwsJson11],
        is_query_compatible: false,
    },
    // As ECS's, whose signing name it has.
    clock_minutes: 5,
    operations: &[join::CREATE_TOKEN, join::JOIN, join::LIST_TOKENS, join::RENEW, join::REVOKE_TOKEN],
    bindings: &[],
};

impl Api for Joining {
    fn facts(&self) -> &'static ServiceFacts {
        &FACTS
    }

    fn takes_unsigned(&self, operation: &str) -> bool {
        operation == join::JOIN
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            match request.whole().await {
                Ok(Request { call, operation, protocol, body }) => {
                    self.answer(&call, operation, &body, protocol).await
                }
                Err(broken) => broken,
            }
        })
    }
}
