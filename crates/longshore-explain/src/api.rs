//! Explanations over HTTP: operations under a target prefix of their own.

use std::sync::Arc;

use longshore_api::{Api, Body, BoxFuture, Call, Reply, Request};
use longshore_api_ecs::Caller;
use longshore_base::Timestamp;
use longshore_controllers::Settings;
use longshore_service::{Allow, Attempt, Guard, Resources};
use longshore_state::{Db, State};
use longshore_wire::route::ServiceFacts;
use longshore_wire::{Denied, Fault, GenericError, GenericErrorKind, ModeledError, Protocol, ServiceSchema};

use longshore_shapes_ecs::InvalidParameterException;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::access::AccessQuestion;
use crate::{ExplainError, Question, access, permission};

/// What `X-Amz-Target` begins with. The operations are not ECS's, so they are not under its prefix.
pub const TARGET_PREFIX: &str = "LongshoreV1";

/// What `ListDrainingServices` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Names.
    pub services: Vec<String>,
}

/// Serves `ExplainTask`, `ExplainService`, `ExplainTaskDefinition` and `ExplainContainerInstance`, and for
/// `longshore status` `ListDrainingServices`, each with a [`Question`]; and `ExplainAccess` with an [`AccessQuestion`].
pub struct Explainer {
    db: Arc<Db>,
    /// Those of the controllers, so that both plan alike.
    settings: Settings,
    guard: Arc<dyn Guard>,
}

impl Explainer {
    /// Without a guard: everybody with an accepted signature may ask about everything in their account.
    pub fn new(db: Arc<Db>, settings: Settings) -> Self {
        Self { db, settings, guard: Arc::new(Allow) }
    }

    /// The same with a guard that decides about every question.
    #[must_use]
    pub fn guarded(self, guard: Arc<dyn Guard>) -> Self {
        Self { guard, ..self }
    }

    async fn answer(&self, call: &Call, operation: &str, body: &[u8], protocol: Protocol) -> Reply {
        let explain: Explain = match operation {
            "ExplainTask" => {
                |state, caller, question, _, now| said(crate::task(state, caller, question, now))
            }
            "ExplainService" => |state, caller, question, settings, now| {
                said(crate::service(state, caller, question, settings, now))
            },
            "ExplainContainerInstance" => |state, caller, question, settings, now| {
                said(crate::instance(state, caller, question, settings, now))
            },
            "ExplainTaskDefinition" => {
                |state, caller, question, _, now| said(crate::definition(state, caller, question, now))
            }
            "ListDrainingServices" => |state, caller, question, _, _| {
                said(crate::draining(state, caller, question).map(|services| Draining { services }))
            },
            "ExplainAccess" => {
                let explain = |state: &State, caller: &Caller, question: &AccessQuestion| {
                    said(crate::access(state, caller, question, call.now))
                };
                return self.asked(call, body, protocol, access::permission, explain).await;
            }
            _ => return generic(protocol, GenericErrorKind::UnknownOperation, "It is not known."),
        };
        let needs = |state: &State, caller: &Caller, question: &Question| {
            permission::of(state, caller, operation, question)
        };
        let explain = |state: &State, caller: &Caller, question: &Question| {
            explain(state, caller, question, &self.settings, call.now)
        };
        self.asked(call, body, protocol, needs, explain).await
    }

    /// Reads a question, and explains to whoever may ask it.
    async fn asked<Q: DeserializeOwned + Sync + Send>(
        &self,
        call: &Call,
        body: &[u8],
        protocol: Protocol,
        needs: impl Fn(&State, &Caller, &Q) -> Resources,
        explain: impl Fn(&State, &Caller, &Q) -> Result<Vec<u8>, ExplainError>,
    ) -> Reply {
        let question: Q = match serde_json::from_slice(body) {
            Ok(question) => question,
            Err(error) => return generic(protocol, GenericErrorKind::Serialization, error.to_string()),
        };
        let caller = Caller::from(call);
        let answer = self.db.read(|state| {
            let needs = || needs(state, &caller, &question);
            self.guard.allow(&Attempt::new(state, &caller, call.now, &needs))?;
            Ok::<_, Denied>(explain(state, &caller, &question))
        });
        let said = match answer.await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(denied)) => return generic(protocol, GenericErrorKind::AccessDenied, denied.to_string()),
            Err(stopped) => Err(stopped),
        };
        match said {
            Ok(Ok(text)) => Reply::new(200, protocol.content_type(), Body::from(text)),
            Ok(Err(error)) => refusal(protocol, &InvalidParameterException::new(error.to_string())),
            Err(stopped) => refusal(protocol, &Fault::hidden(stopped)),
        }
    }
}

/// An operation, whose answer is JSON.
type Explain = fn(&State, &Caller, &Question, &Settings, Timestamp) -> Result<Vec<u8>, ExplainError>;

fn said<T: Serialize>(answer: Result<T, ExplainError>) -> Result<Vec<u8>, ExplainError> {
    answer.map(|answer| serde_json::to_vec(&answer).expect("texts in lists and structures are JSON"))
}

fn generic(protocol: Protocol, kind: GenericErrorKind, message: impl Into<String>) -> Reply {
    refusal(protocol, &GenericError::new(kind, message))
}

fn refusal(protocol: Protocol, error: &dyn ModeledError) -> Reply {
    protocol.error(error, Some(&FACTS.schema), "").map(Body::from)
}

/// What the router knows of operations of Longshore's own: they are called as ECS's are, and with signatures as theirs, under
/// a target of their own.
pub const fn own_facts(
    name: &'static str,
    title: &'static str,
    target_prefix: &'static str,
    operations: &'static [&'static str],
) -> ServiceFacts {
    ServiceFacts {
        name,
        title,
        endpoint_prefix: "ecs",
        schema: ServiceSchema {
            signing_name: "ecs",
            api_version: "1",
            target_prefix: Some(target_prefix),
            xml_namespace: None,
            protocols: &[Protocol::AwsJson11],
            is_query_compatible: false,
        },
        // As ECS's.
        clock_minutes: 5,
        operations,
        bindings: &[],
    }
}

static FACTS: ServiceFacts = own_facts(
    "longshore",
    "Longshore",
    TARGET_PREFIX,
    &[
        "ExplainAccess",
        "ExplainContainerInstance",
        "ExplainService",
        "ExplainTask",
        "ExplainTaskDefinition",
        "ListDrainingServices",
    ],
);

impl Api for Explainer {
    fn facts(&self) -> &'static ServiceFacts {
        &FACTS
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
