//! The policies that secrets and keys have themselves. They are kept with the ids of the users and roles that they
//! name, and shown with their ARNs, as trust policies are (identity J4).

use longshore_service::{Caller, ResourcePolicy as Asked};
use longshore_state::State;
use longshore_tables_iam::IamState;
use longshore_tables_iam::record::ResourcePolicy;
use longshore_tables_iam::trust::{self, UnknownPrincipal};
use serde_json::Value;

/// As it is kept. The document is known to be right.
pub(crate) fn kept(state: &State, given: ResourcePolicy) -> Result<ResourcePolicy, UnknownPrincipal> {
    let text = trust::kept(state.iam(), given.text())?;
    if text == given.text() {
        return Ok(given);
    }
    let unknown = |_| UnknownPrincipal { kind: "AWS", name: String::new() };
    ResourcePolicy::new(&text).map_err(unknown)
}

/// As it is shown.
pub(crate) fn shown(state: &State, caller: &Caller, policy: &ResourcePolicy) -> String {
    trust::shown(state.iam(), caller.scope.partition(), policy.text())
}

/// As the guard is asked about it: a resource that has none is no other account's.
pub(crate) fn asked(policy: Option<&ResourcePolicy>) -> Asked {
    match policy {
        Some(policy) => Asked { policy: policy.shared(), is_indispensable: false },
        None => Asked::none(),
    }
}

/// Whether a policy allows something to everybody, without any condition.
pub(crate) fn is_public(policy: &ResourcePolicy) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(policy.text()) else { return true };
    let statements = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    statements.into_iter().any(|statement| {
        let has_condition = statement["Condition"].as_object().is_some_and(|condition| !condition.is_empty());
        statement["Effect"] == "Allow" && !has_condition && is_everybody(&statement["Principal"])
    })
}

fn is_everybody(principal: &Value) -> bool {
    let names_all = |value: &Value| match value {
        Value::Array(list) => list.iter().any(|name| name == "*"),
        one => one == "*",
    };
    names_all(principal) || names_all(&principal["AWS"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_may_is_public() {
        let policy = |effect: &str, rest: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"*","Resource":"*",{rest}}}]}}"#
            );
            ResourcePolicy::new(&text).expect("a policy")
        };
        for rest in [
            r#""Principal":"*""#,
            r#""Principal":{"AWS":"*"}"#,
            r#""Principal":{"AWS":["111122223333","*"]}"#,
        ] {
            assert!(is_public(&policy("Allow", rest)), "{rest}");
            assert!(!is_public(&policy("Deny", rest)), "{rest}");
            let condition =
                format!(r#"{rest},"Condition":{{"StringEquals":{{"aws:PrincipalAccount":"111122223333"}}}}"#);
            assert!(!is_public(&policy("Allow", &condition)), "{rest}");
        }
        assert!(!is_public(&policy("Allow", r#""Principal":{"AWS":"111122223333"}"#)));
    }
}
