//! GetAuthorizationToken: what is in a password, and for whom.

use std::sync::Arc;

use longshore_registry::ticket::{LASTS, Ticket};
use longshore_service::{Attempt, Guard, not_authorized};
use longshore_wire::Denied;
use serde_json::{Value, json};

use crate::support::{NOW, World, scope};

fn password(world: &World, answer: &Value) -> Ticket {
    use base64::Engine;
    let token = answer["authorizationData"][0]["authorizationToken"].as_str().expect("a token");
    let decoded = base64::engine::general_purpose::STANDARD.decode(token).expect("base64");
    let text = String::from_utf8(decoded).expect("text");
    let (user, password) = text.split_once(':').expect("a user and a password");
    assert_eq!(user, "AWS");
    world.db.peek(|state| Ticket::open(state, password)).expect("it was made here")
}

#[test]
fn a_password_stands_for_the_credentials_that_asked() {
    let world = World::new();
    let answer = world.ask("GetAuthorizationToken", json!({}));
    let data = &answer["authorizationData"];
    // The official agent takes exactly one.
    assert_eq!(data.as_array().map(Vec::len), Some(1));
    assert_eq!(data[0]["proxyEndpoint"], "http://127.0.0.1:8722");
    assert_eq!(data[0]["expiresAt"].as_f64(), Some((NOW + LASTS).as_seconds_f64()));
    let ticket = password(&world, &answer);
    assert_eq!((ticket.access_key_id.as_str(), &ticket.region), ("ASIA1", &scope().region));
    assert_eq!((ticket.session_token, ticket.expires), (None, NOW + LASTS));
    let temporary = [("x-amz-security-token", "session")];
    let (_, answer) = world.ask_with("GetAuthorizationToken", json!({}), &temporary);
    assert_eq!(password(&world, &answer).session_token.expect("it came with one").as_str(), "session");
}

#[test]
fn there_is_one_for_each_registry_that_is_named() {
    let world = World::new();
    let answer = world.ask("GetAuthorizationToken", json!({"registryIds": ["111122223333", "444455556666"]}));
    assert_eq!(answer["authorizationData"].as_array().map(Vec::len), Some(2));
    let (code, _) = world.refused("GetAuthorizationToken", json!({"registryIds": ["1"]}));
    assert_eq!(code, "InvalidParameterException");
}

struct Never;

impl Guard for Never {
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        let resources = attempt.resources();
        resources.iter().next().map_or(Ok(()), |access| Err(not_authorized(attempt.caller, access, "")))
    }
}

#[test]
fn it_is_asked_about() {
    let world = World::guarded(Arc::new(Never));
    let (code, text) = world.refused("GetAuthorizationToken", json!({}));
    assert_eq!(code, "AccessDeniedException");
    assert!(
        text.ends_with("is not authorized to perform: ecr:GetAuthorizationToken on resource: *"),
        "{text}"
    );
}
