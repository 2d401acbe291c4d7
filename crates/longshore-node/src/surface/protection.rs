//! A container asks for protection of its own task, and what comes of it (agent-protocol G18).
//!
//! The official agent asks the control plane with the credentials of the task's role, and answers 403 to a task
//! without one. Here a task without one is asked for with the instance's own key: the URL tells that it is a container of
//! the task who asks, and it can ask for nothing but its own task (decision 28).

use longshore_engine::spec::{CredentialsId, TaskKey};
use longshore_link::message::RoleType;
use longshore_shapes_ecs::{
    Failure, GetTaskProtectionRequest, GetTaskProtectionResponse, UpdateTaskProtectionRequest,
};
use longshore_sigv4::Credentials;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Asked, Lookup, Reply};
use crate::api::{self, ApiError, Inquiry};
use crate::core::{AgentCore, CredentialStore};

const INVALID: &str = "InvalidParameterException";

pub(super) fn ask(core: &AgentCore, asked: &Asked, id: &str) -> Reply {
    let change = match asked.method.as_str() {
        "GET" => None,
        "PUT" => match Change::read(&asked.body) {
            Ok(change) => Some(change),
            Err(text) => return Reply::Now(error(400, None, INVALID, &text)),
        },
        _ => return Reply::Now(Answer { status: 405, body: String::new() }),
    };
    let Some(container) = core.engine().container_by_metadata_id(id) else {
        let text = "Failed to find a task for the request";
        return Reply::Now(error(404, None, "ResourceNotFoundException", text));
    };
    let task = container.task();
    let cluster = Some(core.config().cluster_name().to_owned());
    let tasks = Some(vec![task.key().arn().to_owned()]);
    let inquiry = match change {
        None => Inquiry::GetTaskProtection(GetTaskProtectionRequest { cluster, tasks }),
        Some(Change { enabled, minutes }) => Inquiry::UpdateTaskProtection(UpdateTaskProtectionRequest {
            cluster,
            tasks,
            protection_enabled: Some(enabled),
            // Far beyond what the control plane takes, which says so.
            expires_in_minutes: minutes.map(|minutes| minutes.clamp(i32::MIN.into(), i32::MAX.into()) as i32),
        }),
    };
    match role(core.credentials(), task.spec().task_credentials.as_ref()) {
        Ok(role) => Reply::Later(Lookup::Protection { task: task.key().clone(), inquiry, role }),
        Err(NotYet) => {
            let text = "credentials of the task's role are not yet there";
            Reply::Now(error(503, Some(task.key()), "CredentialsUninitialized", text))
        }
    }
}

/// The task has a role whose credentials have not come yet: after a restart of the agent the control plane sends them again.
/// What the role may not do, the instance is not asked to do for it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotYet;

/// The credentials of the task's role, if it has one.
fn role(known: &CredentialStore, id: Option<&CredentialsId>) -> Result<Option<Credentials>, NotYet> {
    let Some(id) = id else { return Ok(None) };
    let stored = known.get(id.expose()).filter(|stored| stored.role == RoleType::TaskApplication);
    Ok(Some(stored.ok_or(NotYet)?.signing()))
}

/// The body of a PUT.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    enabled: bool,
    minutes: Option<i64>,
}

impl Change {
    /// Names are read as Go reads them, in upper or lower case; other names are refused.
    fn read(body: &[u8]) -> Result<Self, String> {
        let refused = |what: String| format!("UpdateTaskProtection: failed to decode request: {what}");
        let members: serde_json::Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| refused(error.to_string()))?;
        let (mut enabled, mut minutes) = (None, None);
        for (name, value) in members {
            match name.to_ascii_lowercase().as_str() {
                "protectionenabled" => {
                    enabled =
                        Option::deserialize(value).map_err(|_| refused(format!("{name} is no boolean")))?;
                }
                "expiresinminutes" => {
                    minutes =
                        Option::deserialize(value).map_err(|_| refused(format!("{name} is no integer")))?;
                }
                _ => return Err(refused(format!("unknown field \"{name}\""))),
            }
        }
        let enabled = enabled.ok_or("Invalid request: does not contain 'ProtectionEnabled' field")?;
        Ok(Self { enabled, minutes })
    }
}

fn error(status: u16, task: Option<&TaskKey>, code: &str, message: &str) -> Answer {
    let mut said = json!({"Code": code, "Message": message});
    if let Some(task) = task {
        said["Arn"] = json!(task.arn());
    }
    super::answer(status, &json!({"error": said}))
}

/// What the control plane said, as the container hears it.
pub(super) fn answer(task: &TaskKey, inquiry: &Inquiry, answered: Result<Vec<u8>, ApiError>) -> Answer {
    let body = match answered {
        Ok(body) => body,
        Err(ApiError::Transport(cause)) => {
            let text = format!("{} got no answer from the control plane: {cause}", inquiry.operation());
            return error(504, Some(task), "RequestTimeout", &text);
        }
        Err(ApiError::Service { status, code, message }) => {
            return error(status, Some(task), &code, &message);
        }
    };
    // The two operations answer alike.
    let GetTaskProtectionResponse { failures, protected_tasks } = api::read(&body).unwrap_or_default();
    let first = |failures: Option<Vec<Failure>>| failures.unwrap_or_default().into_iter().next();
    if let Some(Failure { arn, reason, detail }) = first(failures) {
        let failure = json!({"Arn": arn, "Reason": reason, "Detail": detail});
        super::answer(200, &json!({"failure": failure}))
    } else if let Some(protected) = protected_tasks.unwrap_or_default().into_iter().next() {
        let protection = json!({
            "TaskArn": protected.task_arn.unwrap_or_default(),
            "ProtectionEnabled": protected.protection_enabled.unwrap_or_default(),
            "ExpirationDate": protected.expiration_date.map(super::rfc3339),
        });
        super::answer(200, &json!({"protection": protection}))
    } else {
        error(500, Some(task), "ServerException", "Unexpected error occurred")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_the_official_agent_reads_them() {
        let read = |body: &str| Change::read(body.as_bytes());
        let change = |enabled, minutes| Ok(Change { enabled, minutes });
        assert_eq!(read(r#"{"ProtectionEnabled":true,"ExpiresInMinutes":30}"#), change(true, Some(30)));
        assert_eq!(read(r#"{"protectionEnabled":false,"expiresInMinutes":null}"#), change(false, None));
        let decode = "UpdateTaskProtection: failed to decode request: ";
        let missing = "Invalid request: does not contain 'ProtectionEnabled' field";
        for (body, text) in [
            ("{}", missing.to_owned()),
            (r#"{"ExpiresInMinutes":30}"#, missing.to_owned()),
            (r#"{"ProtectionEnabled":"yes"}"#, format!("{decode}ProtectionEnabled is no boolean")),
            (
                r#"{"ProtectionEnabled":true,"ExpiresInMinutes":1.5}"#,
                format!("{decode}ExpiresInMinutes is no integer"),
            ),
            (r#"{"ProtectionEnabled":true,"Task":"other"}"#, format!("{decode}unknown field \"Task\"")),
        ] {
            assert_eq!(read(body), Err(text), "{body}");
        }
        for body in ["", "[]", "null", "{", r#"{"ProtectionEnabled":true} x"#] {
            assert!(read(body).is_err_and(|text| text.starts_with(decode)), "{body}");
        }
    }

    /// The instance's key is for tasks without a role.
    #[test]
    fn a_role_whose_credentials_have_not_come_is_waited_for() {
        let known = CredentialStore::default();
        assert!(matches!(role(&known, None), Ok(None)));
        assert!(matches!(role(&known, Some(&CredentialsId::new("id"))), Err(NotYet)));
    }

    #[test]
    fn answers_have_the_shapes_of_the_official_agent() {
        let (task, arn) = (TaskKey::new("arn:t"), "arn:t");
        let inquiry = Inquiry::GetTaskProtection(GetTaskProtectionRequest::default());
        let check = |answered: Result<&str, ApiError>, status: u16, expected: Value| {
            let said = answer(&task, &inquiry, answered.map(|body| body.as_bytes().to_vec()));
            let body: Value = serde_json::from_str(&said.body).expect("JSON");
            assert_eq!((said.status, body), (status, expected));
        };
        check(
            Ok(
                r#"{"protectedTasks":[{"taskArn":"arn:t","protectionEnabled":true,"expirationDate":1795210840.1}],"failures":[]}"#,
            ),
            200,
            json!({"protection": {"TaskArn": arn, "ProtectionEnabled": true, "ExpirationDate": "2026-11-20T21:40:40.1Z"}}),
        );
        check(
            Ok(r#"{"protectedTasks":[{"taskArn":"arn:t","protectionEnabled":false}]}"#),
            200,
            json!({"protection": {"TaskArn": arn, "ProtectionEnabled": false, "ExpirationDate": null}}),
        );
        check(
            Ok(r#"{"protectedTasks":[],"failures":[{"arn":"arn:t","reason":"TASK_NOT_VALID"}]}"#),
            200,
            json!({"failure": {"Arn": arn, "Reason": "TASK_NOT_VALID", "Detail": null}}),
        );
        let (code, message) = ("InvalidParameterException".to_owned(), "no".to_owned());
        check(
            Err(ApiError::Service { status: 400, code, message }),
            400,
            json!({"error": {"Arn": arn, "Code": INVALID, "Message": "no"}}),
        );
        check(
            Err(ApiError::Transport("refused".to_owned())),
            504,
            json!({"error": {
                "Arn": arn, "Code": "RequestTimeout",
                "Message": "GetTaskProtection got no answer from the control plane: refused",
            }}),
        );
        check(
            Ok("{}"),
            500,
            json!({"error": {"Arn": arn, "Code": "ServerException", "Message": "Unexpected error occurred"}}),
        );
    }
}
