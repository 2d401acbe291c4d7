//! Which condition keys policies ask about, as they write them.

use std::collections::BTreeMap;

use longshore_service::{Access, Caller};
use longshore_shapes_iam::{GetContextKeysForPolicyResponse, InvalidInputException, NoSuchEntityException};
use longshore_state::State;
use longshore_tables_iam::Source;
use longshore_tables_iam::arn::IamArn;
use longshore_tables_iam::record::{Group, IdentityPolicy, Role, User};
use serde_json::Value;

use super::input::given;
use super::permission::Ask;
use super::{find, texts};

/// The keys of conditions and variables, by their names in lower case.
pub type ContextKeys = BTreeMap<String, String>;

/// Adds what a document asks about, as it writes it, by its name in lower case.
pub fn collect(document: &str, keys: &mut ContextKeys) {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return };
    let statements = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    for statement in statements {
        for tests in statement["Condition"].as_object().into_iter().flat_map(|object| object.values()) {
            for key in tests.as_object().into_iter().flat_map(|object| object.keys()) {
                keys.entry(key.to_lowercase()).or_insert_with(|| key.clone());
            }
        }
        variables(statement, keys);
    }
}

/// `${aws:username}` and its like, wherever they stand.
fn variables(value: &Value, keys: &mut ContextKeys) {
    match value {
        Value::String(text) => {
            for rest in text.split("${").skip(1) {
                let inner = rest.split(['}', ',']).next().unwrap_or_default().trim();
                if inner.contains(':') {
                    keys.entry(inner.to_lowercase()).or_insert_with(|| inner.to_owned());
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| variables(value, keys)),
        Value::Object(object) => object.values().for_each(|value| variables(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads the policies of a request.
pub(super) fn read(list: Option<&Vec<String>>) -> Result<Vec<IdentityPolicy>, InvalidInputException> {
    let read = |text: &String| {
        IdentityPolicy::new(text)
            .map_err(|invalid| InvalidInputException::new(format!("Invalid policy: {invalid}")))
    };
    list.into_iter().flatten().map(read).collect()
}

fn answer(keys: ContextKeys) -> GetContextKeysForPolicyResponse {
    GetContextKeysForPolicyResponse { context_key_names: Some(keys.into_values().collect()) }
}

query!(GetContextKeysForCustomPolicy, |ask, _input| ask.on_all(), |_state, _caller, input| {
    let mut keys = ContextKeys::new();
    for policy in read(input.policy_input_list.as_ref())? {
        collect(policy.text(), &mut keys);
    }
    Ok(answer(keys))
});

query!(
    GetContextKeysForPrincipalPolicy,
    |ask, input| on_source(ask, given(&input.policy_source_arn)),
    |state, caller, input| {
        let mut keys = ContextKeys::new();
        for policy in read(input.policy_input_list.as_ref())? {
            collect(policy.text(), &mut keys);
        }
        let source = PolicySource::find(state, caller, given(&input.policy_source_arn))?;
        source.each(state, caller, &mut |_, policy| collect(policy.text(), &mut keys));
        Ok(answer(keys))
    }
);

/// The question about a user, a group or a role that is named by its ARN.
pub(super) fn on_source(ask: Ask<'_>, arn: &str) -> Access {
    match IamArn::parse(arn) {
        Some(IamArn { kind: "user", name, .. }) => ask.user(Some(name)),
        Some(IamArn { kind: "group", name, .. }) => ask.group(name),
        Some(IamArn { kind: "role", name, .. }) => ask.role(name),
        Some(_) | None => ask.on(arn),
    }
}

/// A user, a group or a role whose policies are asked about.
pub(super) enum PolicySource<'s> {
    User(&'s User),
    Group(&'s Group),
    Role(&'s Role),
}

impl<'s> PolicySource<'s> {
    pub fn find(state: &'s State, caller: &Caller, named: &str) -> Result<Self, NoSuchEntityException> {
        let missing = || NoSuchEntityException::new(texts::source_not_found(named));
        let arn = IamArn::parse(named).filter(|arn| arn.account_id() == Some(caller.scope.account));
        let arn = arn.ok_or_else(missing)?;
        let found = match arn.kind {
            "user" => Self::User(find::user(state, caller, arn.name)?),
            "group" => Self::Group(find::group(state, caller, arn.name)?),
            "role" => Self::Role(find::role(state, caller, arn.name)?),
            _other => return Err(missing()),
        };
        let own = match &found {
            Self::User(user) => &user.own,
            Self::Group(group) => &group.own,
            Self::Role(role) => &role.own,
        };
        if *own.path == *arn.path { Ok(found) } else { Err(missing()) }
    }

    /// Shows each of its policies.
    pub fn each(
        &self,
        state: &'s State,
        caller: &Caller,
        see: &mut dyn FnMut(Source<'s>, &'s IdentityPolicy),
    ) {
        let realm = find::realm(state, caller);
        match self {
            Self::User(user) => realm.policies_of_user(user, see),
            Self::Group(group) => realm.policies_of(&group.own.id, &group.grants, see),
            Self::Role(role) => realm.policies_of_role(role, see),
        }
    }
}
