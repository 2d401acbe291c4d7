//! Explanations over HTTP: three operations under a target prefix of their own.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use longshore_api_ecs::Caller;
use longshore_controllers::Settings;
use longshore_front::{Api, BoxFuture, Call, Reply};
use longshore_state::{Db, State};
use serde_json::json;

use crate::{ExplainError, Explanation, Question};

/// What `X-Amz-Target` begins with. The operations are not ECS's, so they are not under its prefix.
pub const TARGET_PREFIX: &str = "LongshoreV1";

/// Serves `ExplainTask`, `ExplainService` and `ExplainTaskDefinition`, each with a [`Question`].
pub struct Explainer {
    db: Arc<Db>,
    /// Those of the controllers, so that both plan alike.
    settings: Settings,
}

impl Explainer {
    pub fn new(db: Arc<Db>, settings: Settings) -> Self {
        Self { db, settings }
    }

    async fn answer(&self, call: &Call, operation: &str, body: &[u8]) -> Reply {
        let explain: fn(&State, &Caller, &Question, &Settings, _) -> Result<Explanation, ExplainError> =
            match operation {
                "ExplainTask" => |state, caller, question, _, now| crate::task(state, caller, question, now),
                "ExplainService" => crate::service,
                "ExplainTaskDefinition" => {
                    |state, caller, question, _, _| crate::definition(state, caller, question)
                }
                _ => return refusal("UnknownOperationException", "Longshore does not know this operation."),
            };
        let question: Question = match serde_json::from_slice(body) {
            Ok(question) => question,
            Err(error) => return refusal("SerializationException", &error.to_string()),
        };
        let caller = Caller::from(call);
        let said = self.db.read(|state| explain(state, &caller, &question, &self.settings, call.now)).await;
        match said {
            Ok(Ok(explanation)) => Reply::json(serde_json::to_vec(&explanation).unwrap_or_default()),
            Ok(Err(error)) => refusal("InvalidParameterException", &error.to_string()),
            Err(stopped) => {
                let body = json!({"__type": "ServerException", "message": stopped.to_string()});
                Reply::json_error(StatusCode::INTERNAL_SERVER_ERROR, "ServerException", body.to_string())
            }
        }
    }
}

fn refusal(code: &'static str, message: &str) -> Reply {
    let body = json!({"__type": code, "message": message});
    Reply::json_error(StatusCode::BAD_REQUEST, code, body.to_string())
}

impl Api for Explainer {
    fn signing_name(&self) -> &str {
        "ecs"
    }

    fn target_prefix(&self) -> &str {
        TARGET_PREFIX
    }

    fn call<'a>(&'a self, call: Call, operation: &'a str, body: Bytes) -> BoxFuture<'a, Reply> {
        Box::pin(async move { self.answer(&call, operation, &body).await })
    }
}
